//! The standard linear protocol from cached features: every fraction and draw of the paper, 16 fits, penalty on a validation
//! set.
//!
//! `cargo bench -p moco-cxr-eval --no-default-features --bench probe -- [IMAGES] [FEATURES]`; the default is
//! CheXpert's 223,414 training images and ResNet18's 512 features (2 GB of memory).
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

use std::time::Instant;

use eval::{LinearProbeConfig, Selection, auroc};
use ndarray::{Array2, Axis};
use rand::RngExt;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

/// Correlated features as a network's are: a few strong directions with a falling spectrum, and noise.
fn features(n: usize, d: usize, seed: u64) -> (Array2<f32>, Array2<f64>) {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let normal = |rng: &mut ChaCha8Rng| (0..4).map(|_| rng.random::<f32>()).sum::<f32>() - 2.0;
    let directions = 64;
    let mixing = Array2::from_shape_fn((directions, d), |(k, _)| normal(&mut rng) * 8.0 / (k as f32 + 1.0));
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let latent = Array2::from_shape_simple_fn((n, directions), || normal(&mut rng));
    let noise = Array2::from_shape_simple_fn((n, d), || 0.3 * normal(&mut rng));
    let labels = latent.rows().into_iter().map(|z| z[3] + z[10] + 0.5 * z[30] + normal(&mut rng) > 0.8);
    let labels = labels.map(|y| f64::from(u8::from(y))).collect();
    (latent.dot(&mixing) + noise, Array2::from_shape_vec((n, 1), labels).unwrap())
}

fn main() {
    let mut numbers = std::env::args().filter_map(|argument| argument.parse::<usize>().ok());
    let (n, d) = (numbers.next().unwrap_or(223_414), numbers.next().unwrap_or(512));
    let (train, labels) = features(n, d, 1);
    let (valid, valid_labels) = features(234, d, 2);
    let truth: Vec<bool> = valid_labels.iter().map(|y| *y == 1.0).collect();
    println!("{n} images, {d} features, 234 validation images, {} threads", rayon::current_num_threads());
    let config = LinearProbeConfig::default();
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let whole = Instant::now();
    for (fraction, draws) in [(0.001, 5), (0.01, 5), (0.1, 5), (1.0, 1)] {
        let (start, mut rows_seen, mut best) = (Instant::now(), 0, 0.0);
        for _ in 0..draws {
            let rows: Vec<usize> = (0..n).filter(|_| rng.random::<f64>() < fraction).collect();
            let (x, y) = (train.select(Axis(0), &rows), labels.select(Axis(0), &rows));
            let selection = Selection::Validation { features: valid.view(), targets: valid_labels.view() };
            let probe = config.fit(x.view(), y.view(), selection).unwrap();
            best = auroc(&truth, probe.logits(valid.view()).unwrap().as_slice().unwrap(), None).unwrap();
            rows_seen = rows.len();
        }
        let seconds = start.elapsed().as_secs_f64() / f64::from(draws);
        println!(
            "{rows_seen:>7} rows: {seconds:8.3} s a fit with 8 penalties (validation AUROC of the last {best:.3})"
        );
    }
    println!("16 fits: {:.1} s", whole.elapsed().as_secs_f64());
}
