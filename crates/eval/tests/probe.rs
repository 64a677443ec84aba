//! Probes against scikit-learn (`golden/make_probe.py`) and against their own rules.
#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicUsize, Ordering};

use eval::{
    Convergence, Error, FewLabels, LinearProbeConfig, LogisticProbe, PenaltyChoice, Selection, Standardizer, auroc,
    check_disjoint,
};
use ndarray::{Array1, Array2, Axis, s};
use rand::RngExt;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use serde_json::Value;

fn golden() -> Vec<Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../golden/probe/logistic.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

fn features(case: &Value) -> Array2<f32> {
    let shape = (case["n"].as_u64().unwrap() as usize, case["d"].as_u64().unwrap() as usize);
    Array2::from_shape_vec(shape, numbers(&case["features"]).into_iter().map(|x| x as f32).collect()).unwrap()
}

/// Largest difference, relative to the largest expected value.
fn distance(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let scale = expected.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
    found.iter().zip(expected).map(|(f, e)| (f - e).abs()).fold(0.0, f64::max) / scale
}

/// `LogisticRegression(C=1/l2, solver="newton-cholesky", tol=1e-14).fit(x, y)`
#[test]
fn coefficients_equal_scikit_learns() {
    let convergence = Convergence { tolerance: 1e-13, max_evaluations: 5000 };
    for case in golden() {
        let labels: Vec<bool> = numbers(&case["labels"]).iter().map(|y| *y == 1.0).collect();
        let l2 = case["l2"].as_f64().unwrap();
        let probe = LogisticProbe::fit(features(&case).view(), &labels, l2, &convergence).unwrap();
        let mut found = probe.weights.to_vec();
        found.push(probe.intercept);
        let mut expected = numbers(&case["weights"]);
        expected.push(case["intercept"].as_f64().unwrap());
        // A gradient of 1e-13 n moves a weight by at most 1e-13 n / l2 where the data say nothing: 2e-9 for 24 rows and l2
        // 1e-3, on either side, relative to weights of about 1. Seen: 5e-10 there, below 1e-12 elsewhere.
        let d = distance(&found, &expected);
        assert!(d < 5e-9, "n {} d {} l2 {l2}: {d:.1e}", case["n"], case["d"]);
    }
}

/// `StandardScaler().fit(x)`, and the regression on what it makes.
#[test]
fn standardized_probe_equals_scikit_learns_and_so_does_its_plain_layer() {
    let convergence = Convergence { tolerance: 1e-13, max_evaluations: 5000 };
    for case in golden() {
        let x = features(&case);
        let standardizer = Standardizer::fit(x.view()).unwrap();
        // Sums of 200 values of one size: a few hundred units of 1e-16.
        assert!(distance(standardizer.mean().as_slice().unwrap(), &numbers(&case["mean"])) < 1e-13);
        assert!(distance(standardizer.deviation().as_slice().unwrap(), &numbers(&case["deviation"])) < 1e-13);

        let targets = Array2::from_shape_vec((x.nrows(), 1), numbers(&case["labels"])).unwrap();
        let l2 = case["l2"].as_f64().unwrap();
        let config = LinearProbeConfig { convergence, ..Default::default() };
        let probe = config.fit(x.view(), targets.view(), Selection::Fixed(l2)).unwrap();
        let found = probe.tasks()[0].weights.to_vec();
        // The standardised features are rounded to f32 (6e-8); where the penalty hardly holds (separable classes, l2 1e-3,
        // or correlated features) the answer magnifies that. Seen: at most 6e-7.
        let d = distance(&found, &numbers(&case["standardized_weights"]));
        assert!(d < 5e-6, "n {} d {} l2 {l2}: {d:.1e}", case["n"], case["d"]);

        let (weight, bias) = probe.layer();
        let plain = x.mapv(f64::from).dot(&weight.row(0)) + bias[0];
        let logits = probe.logits(x.view()).unwrap();
        let scale = plain.iter().fold(1.0_f64, |m, z| m.max(z.abs()));
        // Again the rounding of standardised features, here summed over at most 40 of them.
        assert!((&plain - &logits.column(0)).iter().all(|d| d.abs() < 1e-5 * scale));
    }
}

/// Rows of `patients` patients, three each; task 0 follows feature 0 with noise, task 1 is task 0 masked in places.
struct Data {
    features: Array2<f32>,
    targets: Array2<f64>,
    patients: Vec<u64>,
}

fn data(patients: usize, d: usize, noise: f64, seed: u64) -> Data {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let n = 3 * patients;
    let normal = |rng: &mut ChaCha8Rng| -> f64 { (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0 };
    let features = Array2::from_shape_simple_fn((n, d), || normal(&mut rng) as f32);
    let mut targets = Array2::zeros((n, 2));
    for row in 0..n {
        let label = f64::from(u8::from(f64::from(features[[row, 0]]) + noise * normal(&mut rng) > 0.3));
        targets[[row, 0]] = label;
        targets[[row, 1]] = if rng.random::<f64>() < 0.4 { f64::NAN } else { label };
    }
    Data { features, targets, patients: (0..n as u64).map(|row| row / 3 * 1000).collect() }
}

#[test]
fn a_masked_row_is_as_good_as_absent() {
    let Data { features, targets, .. } = data(60, 8, 0.5, 1);
    let both = LinearProbeConfig::default().fit(features.view(), targets.view(), Selection::Fixed(3.0)).unwrap();
    let kept: Vec<usize> = (0..targets.nrows()).filter(|&row| !targets[[row, 1]].is_nan()).collect();
    let labels: Vec<bool> = kept.iter().map(|&row| targets[[row, 1]] == 1.0).collect();
    let standardized = both.standardizer().transform(features.view()).unwrap().select(Axis(0), &kept);
    let alone = LogisticProbe::fit(standardized.view(), &labels, 3.0, &Convergence::default()).unwrap();
    let difference = &both.tasks()[1].weights - &alone.weights;
    // Both gradients are below 1e-8 n, so weights differ by at most 2e-8 n / l2 = 1.2e-6.
    assert!(difference.iter().all(|d| d.abs() < 1.2e-6), "{difference}");
    assert!((&both.tasks()[0].weights - &both.tasks()[1].weights).iter().any(|d| d.abs() > 1e-3));
}

#[test]
fn nested_selection_prefers_a_strong_penalty_for_noise_and_a_weak_one_for_signal() {
    let config = LinearProbeConfig::default();
    let chosen = |noise: f64, d: usize, patients: usize| -> PenaltyChoice {
        let Data { features, targets, patients } = data(patients, d, noise, 2);
        let task = targets.slice(s![.., ..1]);
        config.fit(features.view(), task, Selection::Nested(&patients)).unwrap().choices()[0].clone()
    };
    let (clean, noisy) = (chosen(0.0, 4, 100), chosen(3.0, 60, 40));
    assert!(clean.l2 < noisy.l2, "{clean:?} {noisy:?}");
    assert_eq!(clean.tried.len(), config.penalties.len());
    let best = clean.tried.iter().map(|t| t.1).fold(0.0, f64::max);
    assert!(clean.tried.contains(&(clean.l2, best)));
}

#[test]
fn every_regression_is_told() {
    let Data { features, targets, patients } = data(100, 4, 0.5, 2);
    let (told, tasks) = (AtomicUsize::new(0), targets.ncols());
    let fitted = || {
        told.fetch_add(1, Ordering::Relaxed);
    };
    let config = LinearProbeConfig { few: None, ..LinearProbeConfig::default() };
    let fit = |selection| config.fit_telling(features.view(), targets.view(), selection, &fitted).unwrap();
    fit(Selection::Fixed(1.0));
    assert_eq!(told.swap(0, Ordering::Relaxed), tasks);
    fit(Selection::Nested(&patients));
    // Every penalty on every fold, and then at least the chosen one on all rows.
    assert!(told.into_inner() > tasks * config.penalties.len() * config.folds);
}

#[test]
fn rows_held_out_of_a_fold_have_no_part_in_its_fit() {
    // Every patient has features of its own direction and a label at random: only leakage between folds could score.
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let (patients, copies) = (60, 4);
    let labels: Vec<f64> = (0..patients).map(|_| f64::from(u8::from(rng.random::<bool>()))).collect();
    let mut features = Array2::<f32>::zeros((patients * copies, patients));
    let targets = Array2::from_shape_fn((patients * copies, 1), |(row, _)| labels[row / copies]);
    for row in 0..patients * copies {
        features[[row, row / copies]] = 1.0 + rng.random::<f32>() * 0.01;
    }
    let by_patient: Vec<u64> = (0..patients * copies).map(|row| (row / copies) as u64).collect();
    let by_row: Vec<u64> = (0..(patients * copies) as u64).collect();
    let best = |groups: &[u64]| {
        let probe =
            LinearProbeConfig::default().fit(features.view(), targets.view(), Selection::Nested(groups)).unwrap();
        probe.choices()[0].tried.iter().map(|t| t.1).fold(0.0, f64::max)
    };
    let (whole, torn) = (best(&by_patient), best(&by_row));
    // 60 patients, AUROC under the null has a deviation of about 0.075; the largest of 8 correlated tries stays below 0.5
    // plus four of them. Rows of a patient torn apart give the labels away.
    assert!(whole < 0.8 && torn > 0.99, "{whole} {torn}");
}

#[test]
fn few_labels_have_a_fixed_penalty_and_need_no_folds() {
    let Data { features, mut targets, patients } = data(40, 8, 1.0, 4);
    let few = FewLabels { below: 50, l2: 30.0 };
    let config = LinearProbeConfig { few: Some(few), ..LinearProbeConfig::default() };
    // The first task keeps 120 labels, the second 49 (all of 17 patients).
    let first = targets.column(0).to_owned();
    targets.column_mut(1).assign(&first);
    targets.slice_mut(s![49.., 1]).fill(f64::NAN);
    let found = config.fit(features.view(), targets.view(), Selection::Nested(&patients)).unwrap();
    assert_eq!(found.choices()[0].tried.len(), config.penalties.len());
    assert_eq!(found.choices()[1], PenaltyChoice { l2: 30.0, tried: Vec::new() });
    let fixed = config.fit(features.view(), targets.view(), Selection::Fixed(30.0)).unwrap();
    assert_eq!(found.tasks()[1], fixed.tasks()[1]);
    // One more label, and folds choose; a part that is given to choose on always does.
    targets[[49, 1]] = targets[[49, 0]];
    let found = config.fit(features.view(), targets.view(), Selection::Nested(&patients)).unwrap();
    assert_eq!(found.choices()[1].tried.len(), config.penalties.len());
    targets[[49, 1]] = f64::NAN;
    let valid = Selection::Validation { features: features.view(), targets: targets.view() };
    let found = config.fit(features.view(), targets.view(), valid).unwrap();
    assert_eq!(found.choices()[1].tried.len(), config.penalties.len());
}

#[test]
fn validation_rows_decide_when_they_are_given() {
    let Data { features, targets, .. } = data(50, 30, 1.0, 3);
    let valid = data(50, 30, 1.0, 4);
    let config = LinearProbeConfig::default();
    let selection = Selection::Validation { features: valid.features.view(), targets: valid.targets.view() };
    let probe = config.fit(features.view(), targets.view(), selection).unwrap();
    for (task, choice) in probe.choices().iter().enumerate() {
        for &(l2, reported) in &choice.tried {
            let single = config.fit(features.view(), targets.view(), Selection::Fixed(l2)).unwrap();
            let logits = single.logits(valid.features.view()).unwrap();
            let truth: Array1<f64> = valid.targets.column(task).to_owned();
            let rows: Vec<usize> = (0..truth.len()).filter(|&row| !truth[row].is_nan()).collect();
            let labels: Vec<bool> = rows.iter().map(|&row| truth[row] == 1.0).collect();
            let scores: Vec<f64> = rows.iter().map(|&row| logits[[row, task]]).collect();
            let direct = auroc(&labels, &scores, None).unwrap();
            // The warm start ends within the tolerance of the cold one; a pair of nearly equal scores may swap.
            assert!((direct - reported).abs() < 2e-3, "l2 {l2}: {direct} {reported}");
            assert!(reported <= choice.tried.iter().find(|t| t.0 == choice.l2).unwrap().1);
        }
    }
}

#[test]
fn one_thread_and_many_give_the_same_bits() {
    let Data { features, targets, patients } = data(300, 16, 1.0, 6);
    let fit = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            LinearProbeConfig::default().fit(features.view(), targets.view(), Selection::Nested(&patients)).unwrap()
        })
    };
    assert_eq!(fit(1), fit(4));
}

#[test]
fn faults_are_named() {
    let Data { features, mut targets, patients } = data(20, 4, 1.0, 7);
    let config = LinearProbeConfig { few: None, ..LinearProbeConfig::default() }; // folds, however few labels
    let fit = |targets: &Array2<f64>, selection| config.fit(features.view(), targets.view(), selection).unwrap_err();
    let error = fit(&targets, Selection::Fixed(0.0)).to_string();
    assert!(error.contains("l2 is 0"), "{error}");

    let positives: Vec<usize> = (0..60).filter(|&row| targets[[row, 1]] == 1.0).collect();
    let keep = positives[0];
    positives.iter().filter(|&&row| row != keep).for_each(|&row| targets[[row, 1]] = 0.0);
    let error = fit(&targets, Selection::Nested(&patients));
    assert!(matches!(&error, Error::InTask { task: 1, source } if matches!(**source, Error::FewerThanFolds { .. })));
    let error = error.to_string();
    assert!(error.contains("task 1") && error.contains("1 patients with positive rows") && error.contains("5 folds"));

    targets[[keep, 1]] = 0.0;
    let error = fit(&targets, Selection::Fixed(1.0)).to_string();
    assert!(error.contains("task 1") && error.contains("no positive rows"), "{error}");

    let mut broken = features.clone();
    broken[[7, 2]] = f32::NAN;
    let error = config.fit(broken.view(), targets.view(), Selection::Fixed(1.0)).unwrap_err().to_string();
    assert!(error.contains("row 7, feature 2"), "{error}");

    assert!(check_disjoint(["a", "b"], ["c"]).is_ok());
    let error = check_disjoint(["a", "b", "c"], ["x", "b", "c"]).unwrap_err().to_string();
    assert!(error.contains("2 rows") && error.contains("\"b\""), "{error}");
}

proptest::proptest! {
    /// At the minimum of a strictly convex function the gradient vanishes; computed here from its definition.
    #[test]
    fn the_gradient_vanishes_at_the_answer(seed in 0_u64..500, n in 6_usize..60, d in 1_usize..80, exponent in -3_i32..4) {
        let Data { features, targets, .. } = data(n.div_ceil(3), d, 1.0, seed);
        let labels: Vec<bool> = targets.column(0).iter().map(|y| *y == 1.0).collect();
        let l2 = 10f64.powi(exponent);
        let Ok(probe) = LogisticProbe::fit(features.view(), &labels, l2, &Convergence::default()) else {
            proptest::prop_assert!(labels.iter().all(|y| *y == labels[0]));
            return Ok(());
        };
        let x = features.mapv(f64::from);
        let residual: Array1<f64> = (x.dot(&probe.weights) + probe.intercept).mapv(|z| 1.0 / (1.0 + (-z).exp()))
            - targets.column(0);
        let gradient = (x.t().dot(&residual) + l2 * &probe.weights) / labels.len() as f64;
        // The tolerance of the fit, and rounding of sums of at most 60 values.
        proptest::prop_assert!(gradient.iter().all(|g| g.abs() < 1.001e-8), "{}", gradient);
        proptest::prop_assert!((residual.sum() / labels.len() as f64).abs() < 1.001e-8);
    }
}
