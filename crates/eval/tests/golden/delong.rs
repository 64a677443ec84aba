//! DeLong against its definition over all pairs, which the generator holds against Sun and Xu's algorithm as published in
//! yandexdataschool/roc_comparison, and Obuchowski's clustered variance against its equations.

use eval::{Cohort, Unit, delong, delong_test};

use super::{assert_close, inputs, numbers, stats};

#[test]
fn delong_equals_the_reference() {
    for value in stats()["delong"].as_array().unwrap() {
        let number = |name: &str| value[name].as_f64().unwrap();
        let (k, n) = (value["case"].as_u64().unwrap(), value["n"].as_u64().unwrap() as usize);
        let (labels, patients) = inputs::labels_and_patients(k, n);
        let models = inputs::draws(k, &labels, 10, 2, 0.4);
        let cohort = Cohort::new(labels, &patients).unwrap();

        // 1e-13: values of at most 1 that are sums of at most 500 terms, and a quotient of two of them (z).
        for (model, scores) in models.iter().enumerate() {
            let ours = delong(&cohort, std::slice::from_ref(scores), Unit::Row, 0.95).unwrap();
            assert_close("AUROC", ours.estimate, numbers(&value["auc"])[model], 1e-14);
            assert_close("variance", ours.standard_error.powi(2), numbers(&value["variance"])[model], 1e-15);
        }
        let test = delong_test(&cohort, &models[..1], &models[1..], Unit::Row, 0.95).unwrap();
        assert_close(
            "variance of the difference",
            test.difference.standard_error.powi(2),
            number("difference_variance"),
            1e-15,
        );
        assert_close("z", test.z, number("z"), 1e-12);
        assert_close("p", test.p_value, number("p"), 1e-12);

        let clustered = delong(&cohort, &models[..1], Unit::Patient, 0.95).unwrap();
        assert_close("clustered variance", clustered.standard_error.powi(2), number("clustered_variance"), 1e-15);
    }
}

#[test]
fn one_row_a_patient_makes_the_clustered_variance_delongs() {
    let (labels, _) = inputs::labels_and_patients(3002, 113);
    let models = inputs::draws(3002, &labels, 10, 1, 0.4);
    let cohort = Cohort::independent(labels).unwrap();
    let by_patient = delong(&cohort, &models, Unit::Patient, 0.95).unwrap();
    let by_row = delong(&cohort, &models, Unit::Row, 0.95).unwrap();
    assert_eq!(by_patient.standard_error, by_row.standard_error);
}
