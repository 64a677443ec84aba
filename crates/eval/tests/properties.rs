//! What must hold for any rows: symmetry, invariance, and the definition by pairs.
#![allow(clippy::unwrap_used)]

use eval::{Bootstrap, Cohort, Metric, Resamples, Unit, auprc, auroc};
use proptest::prelude::*;

/// Rows with both classes, many ties (scores in tenths) and a patient each.
fn rows() -> impl Strategy<Value = (Vec<bool>, Vec<f64>, Vec<u8>)> {
    prop::collection::vec((any::<bool>(), -20_i32..20, 0_u8..12), 2..80).prop_map(|rows| {
        let mut labels: Vec<bool> = rows.iter().map(|row| row.0).collect();
        (labels[0], labels[1]) = (true, false);
        let scores = rows.iter().map(|row| f64::from(row.1) / 10.0).collect();
        (labels, scores, rows.iter().map(|row| row.2).collect())
    })
}

/// Slow and obvious: every pair of a positive and a negative row.
fn by_pairs(labels: &[bool], scores: &[f64], weights: &[f64]) -> f64 {
    let (mut sum, mut total) = (0.0, 0.0);
    for p in (0..labels.len()).filter(|&row| labels[row]) {
        for n in (0..labels.len()).filter(|&row| !labels[row]) {
            let weight = weights[p] * weights[n];
            total += weight;
            sum += weight
                * if scores[p] > scores[n] {
                    1.0
                } else if scores[p] == scores[n] {
                    0.5
                } else {
                    0.0
                };
        }
    }
    sum / total
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn auroc_is_the_share_of_pairs_in_order((labels, scores, weights) in rows()) {
        let mut weights: Vec<f64> = weights.into_iter().map(|weight| f64::from(weight) / 4.0).collect();
        weights[..2].fill(1.0);
        let ours = auroc(&labels, &scores, Some(&weights)).unwrap();
        // Weights are quarters: all sums are exact, only the quotient rounds.
        prop_assert_eq!(ours, by_pairs(&labels, &scores, &weights));
    }

    #[test]
    fn negated_scores_give_the_complement((labels, scores, _) in rows()) {
        let negated: Vec<f64> = scores.iter().map(|score| -score).collect();
        let sum = auroc(&labels, &scores, None).unwrap() + auroc(&labels, &negated, None).unwrap();
        prop_assert!((sum - 1.0).abs() <= f64::EPSILON); // two quotients, each rounded once
    }

    #[test]
    fn strictly_growing_maps_change_nothing((labels, scores, _) in rows()) {
        // Both maps keep tenths between -2 and 2 apart in f64.
        for map in [|score: f64| 1.0 / (1.0 + (-score).exp()), |score: f64| score.powi(3) + 5.0 * score] {
            let mapped: Vec<f64> = scores.iter().map(|score| map(*score)).collect();
            prop_assert_eq!(auroc(&labels, &scores, None).unwrap(), auroc(&labels, &mapped, None).unwrap());
            prop_assert_eq!(auprc(&labels, &scores, None).unwrap(), auprc(&labels, &mapped, None).unwrap());
        }
    }

    #[test]
    fn the_order_of_the_rows_does_not_matter((labels, scores, _) in rows(), turn in 0_usize..80) {
        let turned = |turn: usize| -> (Vec<bool>, Vec<f64>) {
            let by = turn % labels.len();
            let rows = labels.iter().zip(&scores).cycle().skip(by).take(labels.len());
            rows.map(|(label, score)| (*label, *score)).unzip()
        };
        let (other_labels, other_scores) = turned(turn);
        prop_assert_eq!(auroc(&labels, &scores, None).unwrap(), auroc(&other_labels, &other_scores, None).unwrap());
        let difference = auprc(&labels, &scores, None).unwrap() - auprc(&other_labels, &other_scores, None).unwrap();
        prop_assert!(difference.abs() <= 1e-15);
    }

    /// A replicate that counts rows is the statistic of the rows written out as often as they count.
    #[test]
    fn counting_rows_equals_repeating_them((mut labels, mut scores, mut patients) in rows(), draws in prop::collection::vec(0_usize..1000, 1..12)) {
        // An interval needs two patients of each class: two that have both.
        labels.extend([true, false, true, false]);
        scores.extend([0.1, -0.2, 0.3, 0.4]);
        patients.extend([100, 100, 101, 101]);
        let cohort = Cohort::new(labels.clone(), &patients).unwrap();
        let mut of_patient: Vec<Vec<usize>> = vec![Vec::new(); cohort.patient_count()];
        cohort.patients().iter().enumerate().for_each(|(row, patient)| of_patient[*patient as usize].push(row));
        // The first two rows keep both classes in the resample.
        let mut drawn: Vec<usize> = draws.iter().map(|draw| draw % cohort.patient_count()).collect();
        drawn.extend([cohort.patients()[0] as usize, cohort.patients()[1] as usize]);
        let written: Vec<usize> = drawn.iter().flat_map(|patient| of_patient[*patient].clone()).collect();
        let labels: Vec<bool> = written.iter().map(|row| labels[*row]).collect();
        let repeated: Vec<f64> = written.iter().map(|row| scores[*row]).collect();

        let resamples = Resamples::Given(vec![drawn; 40]);
        let settings = Bootstrap { unit: Unit::Patient, ..Bootstrap::default() };
        let lower = |metric| {
            settings.interval_with(&cohort, std::slice::from_ref(&scores), metric, &resamples).unwrap().lower
        };
        prop_assert_eq!(lower(Metric::Auroc), auroc(&labels, &repeated, None).unwrap());
        prop_assert!((lower(Metric::Auprc) - auprc(&labels, &repeated, None).unwrap()).abs() <= 1e-15);
        let expected = eval::sensitivity_at_specificity(&labels, &repeated, 0.75).unwrap();
        prop_assert_eq!(lower(Metric::SensitivityAt { specificity: 0.75 }), expected);
    }
}
