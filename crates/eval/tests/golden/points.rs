//! Brier score, calibration and an operating point against scikit-learn.

use super::{assert_close, inputs, numbers, stats};

#[test]
fn probabilities_equal_scikit_learn() {
    for value in stats()["points"].as_array().unwrap() {
        let number = |name: &str| value[name].as_f64().unwrap();
        let (k, n) = (value["case"].as_u64().unwrap(), value["n"].as_u64().unwrap() as usize);
        let labels: Vec<bool> = inputs::uniform(k, 1, n).into_iter().map(|u| u < 0.4).collect();
        let add = |label: bool, u: f64| if label { 0.4 * u } else { 0.0 };
        let scores: Vec<f64> = inputs::uniform(k, 2, n)
            .into_iter()
            .zip(inputs::uniform(k, 3, n))
            .zip(&labels)
            .map(|((base, extra), label)| 0.6 * base + add(*label, extra))
            .collect();

        // 1e-14: means of at most 1,000 values in [0, 1].
        assert_close("Brier", eval::brier(&labels, &scores).unwrap(), number("brier"), 1e-14);
        assert_close("ECE", eval::expected_calibration_error(&labels, &scores, 15).unwrap(), number("ece"), 1e-14);
        let bins = eval::reliability(&labels, &scores, 15).unwrap();
        let rows: Vec<f64> = bins.iter().map(|bin| bin.rows as f64).collect();
        assert_eq!(rows, numbers(&value["bin_rows"]));
        for (bin, (share, score)) in
            bins.iter().zip(numbers(&value["bin_positive_share"]).into_iter().zip(numbers(&value["bin_mean_score"])))
        {
            assert_close("share of positives", bin.positive_share, share, 1e-14);
            assert_close("mean score", bin.mean_score, score, 1e-14);
        }

        let sensitivity = eval::sensitivity_at_specificity(&labels, &scores, 0.8).unwrap();
        assert_close("sensitivity at 0.8", sensitivity, number("sensitivity_at_0.8"), 0.0);

        let roc = eval::roc_curve(&labels, &scores).unwrap();
        assert_eq!(roc.len() as f64, number("roc_points"));
        assert_close("ROC x", roc.iter().map(|point| point.0).sum(), number("roc_x_sum"), 1e-9);
        assert_close("ROC y", roc.iter().map(|point| point.1).sum(), number("roc_y_sum"), 1e-9);
    }
}
