//! Rules of the bootstrap: seeds, threads, patients, absent classes, refusals.
#![allow(clippy::unwrap_used)]

use eval::{Bootstrap, Cohort, Error, Evaluation, Metric, Resamples, Row, Rule, Scores, Stamp, Undefined, Unit};
use eval::{auroc, compare_models, delong_test};
use ndarray::Array2;

/// 60 rows of 20 patients; the score follows the label with noise from a multiplicative sequence.
fn cohort() -> (Cohort, Vec<f64>, Vec<f64>) {
    let noise = |row: usize, step: usize| ((row * step) % 61) as f64 / 61.0;
    let labels: Vec<bool> = (0..60).map(|row| row % 3 == 0).collect();
    let first = (0..60).map(|row| noise(row, 17) + if labels[row] { 0.5 } else { 0.0 }).collect();
    let second = (0..60).map(|row| noise(row, 23) + if labels[row] { 0.2 } else { 0.0 }).collect();
    let patients: Vec<usize> = (0..60).map(|row| row / 3).collect();
    (Cohort::new(labels, &patients).unwrap(), first, second)
}

#[test]
fn the_same_seed_gives_the_same_interval_on_any_number_of_threads() {
    let (cohort, first, second) = cohort();
    for rule in [Rule::Percentile, Rule::Bca] {
        let settings = Bootstrap { rule, seed: 7, ..Bootstrap::default() };
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| settings.paired(&cohort, &[&first[..]], &[&second[..]], Metric::Auroc).unwrap())
        };
        assert_eq!(run(1), run(8));
        let other = Bootstrap { seed: 8, ..settings.clone() };
        assert_ne!(run(1).lower, other.paired(&cohort, &[&first[..]], &[&second[..]], Metric::Auroc).unwrap().lower);
    }
}

#[test]
fn published_intervals_do_not_move() {
    // Values of this program; they change only if the order of random numbers does, which would move published intervals.
    let (cohort, first, _) = cohort();
    let interval = Bootstrap::default().interval(&cohort, &[&first[..]], Metric::Auroc).unwrap();
    assert_eq!(format!("{interval:.6}"), "0.837500 (0.736250, 0.923750)");
}

#[test]
fn rows_of_a_patient_stay_together() {
    // Two patients, each with one row of each class, ranked oppositely: a resample of patients holds a first patient k
    // times and a second 2 - k times, so only three AUROCs exist. Row-wise resampling would give others.
    let cohort = Cohort::new(vec![true, false, true, false], &["a", "a", "b", "b"]).unwrap();
    let scores = [0.9, 0.1, 0.2, 0.8];
    let settings = Bootstrap { level: 0.999, ..Bootstrap::default() };
    let interval = settings.interval(&cohort, &[scores], Metric::Auroc).unwrap();
    assert_eq!((interval.lower, interval.estimate, interval.upper), (0.0, 0.75, 1.0));
    assert_eq!(interval.redrawn, 0); // each patient brings both classes
    let by_row = Bootstrap { unit: Unit::Row, ..settings }.interval(&cohort, &[scores], Metric::Auroc).unwrap();
    assert!(by_row.redrawn > 0);
}

#[test]
fn resamples_without_a_class_are_drawn_again_and_counted() {
    let mut labels = vec![false; 30];
    (labels[4], labels[9]) = (true, true);
    let cohort = Cohort::independent(labels).unwrap();
    let scores: Vec<f64> = (0..30).map(f64::from).collect();
    let interval = Bootstrap::default().interval(&cohort, &[&scores[..]], Metric::Auroc).unwrap();
    // (1 - 2/30)^30 = 0.126 of the resamples lack both positive rows: 2000 * 0.126 / 0.874 = 289 redraws expected, sd about 18.
    assert!((200..380).contains(&interval.redrawn), "{}", interval.redrawn);
    // With resamples that are given there is nothing to draw again.
    let given = Resamples::Given(vec![vec![0; 30]; 40]);
    let error = Bootstrap::default().interval_with(&cohort, &[&scores[..]], Metric::Auroc, &given).unwrap_err();
    assert_eq!(error.undefined_reason(), Some(&Undefined::ResamplesLackAClass { replicate: 0, attempts: 1 }));
}

/// One unit of a class is in every resample that has both classes: what comes out is no interval, and no zero width either.
#[test]
fn an_interval_needs_two_patients_of_each_class() {
    let noise = |row: usize| ((row * 17) % 61) as f64 / 61.0;
    type Case = (fn(usize) -> bool, fn(usize) -> usize, [usize; 2]);
    let cases: [Case; 4] = [
        (|row| row % 2 == 0, |_| 0, [1, 1]),         // 80 rows of one patient
        (|row| row % 2 == 0, |row| row % 2, [1, 1]), // two patients, one of each class
        (|row| row == 7, |row| row, [1, 79]),        // one positive row
        (|row| row < 5, |row| row / 5, [1, 15]),     // five positive rows, all of one patient
    ];
    for (label, patient, [positives, negatives]) in cases {
        let labels: Vec<bool> = (0..80).map(label).collect();
        let scores: Vec<f64> = (0..80).map(noise).collect();
        let cohort = Cohort::new(labels, &(0..80).map(patient).collect::<Vec<_>>()).unwrap();
        let reason = Undefined::TooFewOfAClass { positives, negatives, unit: Unit::Patient };
        for rule in [Rule::Percentile, Rule::Bca] {
            let settings = Bootstrap { rule, replicates: 100, ..Bootstrap::default() };
            for metric in [Metric::Auroc, Metric::Auprc, Metric::SensitivityAt { specificity: 0.9 }] {
                let error = settings.interval(&cohort, &[&scores[..]], metric).unwrap_err();
                assert_eq!(error.undefined_reason(), Some(&reason), "{error}");
            }
            let error = settings.paired(&cohort, &[&scores[..]], &[&scores[..]], Metric::Auroc).unwrap_err();
            assert_eq!(error.undefined_reason(), Some(&reason), "{error}");
        }
        let settings = Bootstrap { replicates: 100, ..Bootstrap::default() };
        let error = settings.roc_band(&cohort, &scores, 5).unwrap_err();
        assert_eq!(error.undefined_reason(), Some(&reason), "{error}");
        // The Brier score needs no class, but patients.
        let brier = settings.interval(&cohort, &[&scores[..]], Metric::Brier);
        match cohort.patient_count() {
            1 => {
                let reason = Undefined::OneUnit { unit: Unit::Patient };
                assert_eq!(brier.unwrap_err().undefined_reason(), Some(&reason));
            }
            _ => assert!(brier.unwrap().standard_error > 0.0),
        }
    }
    let two = Cohort::new(vec![true, true, false, false], &["a", "b", "c", "d"]).unwrap();
    assert!(Bootstrap::default().interval(&two, &[[0.9, 0.2, 0.1, 0.3]], Metric::Auroc).is_ok());
}

#[test]
fn fewer_than_forty_replicates_and_more_than_a_million_are_refused() {
    let (cohort, first, _) = cohort();
    let many = [1_000_001, 1 << 32, usize::MAX].map(|replicates| Bootstrap { replicates, ..Bootstrap::default() });
    let few =
        [Bootstrap { replicates: 39, ..Bootstrap::paper(0) }, Bootstrap { replicates: 1, ..Bootstrap::default() }];
    for settings in many.into_iter().chain(few) {
        let error = settings.interval(&cohort, &[&first[..]], Metric::Auroc).unwrap_err();
        assert!(matches!(error, Error::Setting { name: "bootstrap replicates", .. }), "{error}");
    }
    let other_level = Bootstrap { level: 0.9, ..Bootstrap::paper(0) };
    assert!(other_level.interval(&cohort, &[&first[..]], Metric::Auroc).is_err());
}

#[test]
fn one_class_is_undefined_with_the_reason() {
    let cohort = Cohort::independent(vec![false; 5]).unwrap();
    let error = Bootstrap::default().interval(&cohort, &[[0.1; 5]], Metric::Auprc).unwrap_err();
    assert_eq!(error.undefined_reason(), Some(&Undefined::NoPositives { negatives: 5 }));
    assert!(auroc(&[true, true], &[0.1, 0.2], None).is_err());
    // A class whose rows all have weight zero is absent.
    assert!(auroc(&[true, false], &[0.1, 0.2], Some(&[1.0, 0.0])).is_err());
}

#[test]
fn a_comparison_agrees_with_its_parts() {
    let (cohort, first, second) = cohort();
    let settings = Bootstrap::default();
    let (first, second) = (vec![first.clone(), second.clone()], vec![second, first]);
    let comparison = compare_models(&cohort, &first, &second, Metric::Auroc, &settings).unwrap();
    // The draws are the same in another order: the mean difference is zero, the models are equal.
    assert_eq!(comparison.first, comparison.second);
    assert!(comparison.difference.contains(0.0) && comparison.p_bootstrap > 0.5);

    let test = compare_models(&cohort, &first[..1], &second[..1], Metric::Auroc, &settings).unwrap();
    let delong = delong_test(&cohort, &first[..1], &second[..1], Unit::Patient, 0.95).unwrap();
    assert_eq!(test.p_delong, Some(delong.p_value));
    assert!((test.difference.estimate - (test.first - test.second)).abs() < 1e-15);

    let same = compare_models(&cohort, &first[..1], &first[..1], Metric::Auroc, &settings).unwrap();
    assert_eq!((same.p_bootstrap, same.p_delong, same.delong_undefined), (1.0, None, Some(Undefined::ZeroVariance)));
}

#[test]
fn numbers_of_a_task_do_not_depend_on_the_other_tasks() {
    let (cohort, first, second) = cohort();
    let rows = (0..60).map(|row| Row {
        path: format!("{row}.png"),
        patient: cohort.patients()[row].to_string(),
        study: row.to_string(),
        ..Row::default()
    });
    let label = |row: usize, task: usize| match task {
        // The second task has other rows, the third a single class.
        1 if row.is_multiple_of(5) => f64::NAN,
        2 => 0.0,
        _ => f64::from(u8::from(cohort.labels()[row])),
    };
    let labels = Array2::from_shape_fn((60, 3), |(row, task)| label(row, task));
    let scores = Array2::from_shape_fn((60, 3), |(row, task)| if task == 0 { first[row] } else { second[row] });
    let scores = Scores::new(["a", "b", "c"].map(str::to_owned).to_vec(), rows.collect(), labels, scores).unwrap();

    let evaluation = Evaluation::default();
    let all = evaluation.run(std::slice::from_ref(&scores), Stamp::default()).unwrap();
    for task in ["a", "b"] {
        let alone = evaluation.run(&[scores.select_tasks(&[task]).unwrap()], Stamp::default()).unwrap();
        let within: Vec<_> = all.rows.iter().filter(|row| row.task == task).cloned().collect();
        assert_eq!(alone.rows, within);
    }
    let undefined = all.rows.iter().find(|row| row.task == "c").unwrap();
    assert_eq!(undefined.interval, None);
    assert_eq!(undefined.undefined, Some(Undefined::NoPositives { negatives: 60 }));
}
