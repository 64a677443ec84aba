//! DeLong against published implementations and results: Sun and Xu's fast algorithm as in yandexdataschool/roc_comparison
//! (run by the generator, which also holds it against the definition over all pairs), and the results that pROC has for its
//! data set aSAH. Obuchowski's clustered variance against its equations.

use eval::{Cohort, Unit, auroc, delong, delong_test};

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

/// Variances, covariance and p-value of the published fast algorithm in double precision.
#[test]
fn delong_equals_the_published_fast_algorithm() {
    for value in stats()["delong"].as_array().unwrap() {
        let (k, n) = (value["case"].as_u64().unwrap(), value["n"].as_u64().unwrap() as usize);
        let (labels, patients) = inputs::labels_and_patients(k, n);
        let models = inputs::draws(k, &labels, 10, 2, 0.4);
        let cohort = Cohort::new(labels, &patients).unwrap();
        let published = &value["published"];
        let covariance: Vec<Vec<f64>> = published["covariance"].as_array().unwrap().iter().map(numbers).collect();
        let mut variances = [0.0; 2];
        // 1e-15: sums of at most 500 terms of at most 1, divided by as many, twice; p is a function of their quotient.
        for (model, scores) in models.iter().enumerate() {
            let ours = delong(&cohort, std::slice::from_ref(scores), Unit::Row, 0.95).unwrap();
            assert_close("AUROC", ours.estimate, numbers(&published["auc"])[model], 1e-14);
            variances[model] = ours.standard_error.powi(2);
            assert_close("variance", variances[model], covariance[model][model], 1e-15);
        }
        let test = delong_test(&cohort, &models[..1], &models[1..], Unit::Row, 0.95).unwrap();
        let ours = (variances[0] + variances[1] - test.difference.standard_error.powi(2)) / 2.0;
        assert_close("covariance", ours, covariance[0][1], 1e-15);
        assert_close("p", test.p_value, published["p"].as_f64().unwrap(), 1e-12);
    }
}

/// The numbers of pROC 1.19.0.1 (its `tests/testthat/test-auc.R`, `test-var.R`, `test-cov.R`, `test-roc.test.R` and
/// `test-ci.auc.R`) for the outcome of 113 patients by WFNS, NDKA and S100B; golden/make_asah.py stores the ranks.
#[test]
fn delong_equals_the_results_of_proc() {
    const WFNS: usize = 0;
    const NDKA: usize = 1;
    const S100B: usize = 2;
    let text = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../golden/asah/ranks.csv"));
    let rows: Vec<Vec<f64>> =
        text.lines().skip(1).map(|line| line.split(',').map(|cell| cell.parse().unwrap()).collect()).collect();
    let column = |at: usize| rows.iter().map(|row| row[at]).collect::<Vec<f64>>();
    let labels: Vec<bool> = rows.iter().map(|row| row[0] == 1.0).collect();
    assert_eq!((labels.len(), labels.iter().filter(|poor| **poor).count()), (113, 41));
    let markers = [1, 2, 3].map(|at| vec![column(at)]);
    let cohort = Cohort::independent(labels).unwrap();
    let variance = |marker: usize| delong(&cohort, &markers[marker], Unit::Row, 0.95).unwrap().standard_error.powi(2);

    // The published numbers have 15 digits: half a unit of the last one is 5e-16 of an AUROC, 5e-18 of a variance of some
    // 1e-3, 5e-15 of z. The bounds leave our own rounding (1e-16 times some hundred terms) beside it.
    for (marker, auc) in [(WFNS, 0.823678861788618), (NDKA, 0.611957994579946)] {
        assert_close("AUROC", auroc(cohort.labels(), &markers[marker][0], None).unwrap(), auc, 1e-15);
    }
    for (marker, expected) in [(WFNS, 0.00146991470882363), (NDKA, 0.0031908105493913), (S100B, 0.00266868245717244)] {
        assert_close("variance", variance(marker), expected, 1e-16);
    }
    let ndka = delong(&cohort, &markers[NDKA], Unit::Row, 0.95).unwrap();
    assert_close("lower limit", ndka.lower, 0.501244999271703, 1e-14);
    assert_close("upper limit", ndka.upper, 0.722670989888189, 1e-14);

    let tests = [
        (
            [WFNS, S100B],
            0.00119615567376754,
            2.20898359144091,
            0.0271757822291882,
            [0.0104061769564846, 0.174214419249478],
        ),
        (
            [WFNS, NDKA],
            -0.000532967856762438,
            2.79777591868904,
            0.00514557970691098,
            [0.0634011709339876, 0.3600405634833566],
        ),
        (
            [NDKA, S100B],
            -0.000756164938056579,
            -1.39077002573558,
            0.164295175223054,
            [-0.2876917446341914, 0.0488706064228094],
        ),
    ];
    for ([a, b], covariance, z, p, [lower, upper]) in tests {
        let test = delong_test(&cohort, &markers[a], &markers[b], Unit::Row, 0.95).unwrap();
        let ours = (variance(a) + variance(b) - test.difference.standard_error.powi(2)) / 2.0;
        assert_close("covariance", ours, covariance, 1e-16);
        assert_close("z", test.z, z, 1e-13);
        assert_close("p", test.p_value, p, 1e-14);
        assert_close("lower limit", test.difference.lower, lower, 1e-14);
        assert_close("upper limit", test.difference.upper, upper, 1e-14);
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
