//! The linear evaluation of the paper's label fractions, 16 fits, by both protocols.
//!
//! 1. The standard protocol from cached features at CheXpert's size (2 GB of memory), penalty chosen on a validation set:
//!    `cargo bench -p moco-cxr-eval --no-default-features --bench probe -- [IMAGES] [FEATURES]`
//! 2. Both protocols whole, from the same images, with a small network; and what a forward pass of ResNet18 costs:
//!    `cargo bench -p moco-cxr-eval --features flex --bench probe -- both [IMAGES]`
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

#[cfg(feature = "flex")]
#[path = "../tests/tiny/mod.rs"]
mod tiny;

use std::time::Instant;

use eval::{LinearProbeConfig, Selection, auroc};
use ndarray::{Array2, Axis};
use rand::RngExt;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

/// Fraction of CheXpert and number of label draws.
const FRACTIONS: [(f64, usize); 4] = [(0.001, 5), (0.01, 5), (0.1, 5), (1.0, 1)];
const VALID: usize = 234;

fn main() {
    let both = std::env::args().any(|argument| argument == "both");
    let numbers: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let number = |place: usize, otherwise: usize| numbers.get(place).copied().unwrap_or(otherwise);
    println!("{} threads", rayon::current_num_threads());
    if !both {
        cached(number(0, 223_414), number(1, 512));
        return;
    }
    #[cfg(feature = "flex")]
    protocols::whole(number(0, 20_000));
    #[cfg(not(feature = "flex"))]
    println!("the faithful protocol needs the feature flex");
}

/// Rows of each draw: every image by chance, as the paper draws.
fn draws(n: usize, fraction: f64, count: usize) -> Vec<Vec<usize>> {
    let mut rng = ChaCha8Rng::seed_from_u64((fraction * 1e4) as u64);
    (0..count).map(|_| (0..n).filter(|_| rng.random::<f64>() < fraction).collect()).collect()
}

/// AUROC of the validation rows, which is also what chose: a check that something was learned, not a result.
fn score(labels: &Array2<f64>, logits: &Array2<f64>) -> f64 {
    let truth: Vec<bool> = labels.iter().map(|y| *y == 1.0).collect();
    auroc(&truth, &logits.iter().copied().collect::<Vec<_>>(), None).unwrap()
}

/// Seconds of the fits of every fraction, and of all.
fn standard(x: &Array2<f32>, y: &Array2<f64>, valid: &Array2<f32>, valid_labels: &Array2<f64>) -> f64 {
    let config = LinearProbeConfig::default();
    let whole = Instant::now();
    for (fraction, count) in FRACTIONS {
        let (start, mut seen, mut mean) = (Instant::now(), 0, 0.0);
        for rows in draws(x.nrows(), fraction, count) {
            let (x, y) = (x.select(Axis(0), &rows), y.select(Axis(0), &rows));
            let selection = Selection::Validation { features: valid.view(), targets: valid_labels.view() };
            let probe = config.fit(x.view(), y.view(), selection).unwrap();
            mean += score(valid_labels, &probe.logits(valid.view()).unwrap()) / count as f64;
            seen = rows.len();
        }
        let seconds = start.elapsed().as_secs_f64();
        println!("standard {seen:>7} rows x {count} draws: {seconds:8.3} s, 8 penalties a fit, AUROC {mean:.3}");
    }
    let seconds = whole.elapsed().as_secs_f64();
    println!("standard, 16 fits: {seconds:.2} s");
    seconds
}

/// The standard protocol on features like a network's: a few strong directions with a falling spectrum, and noise.
fn cached(n: usize, d: usize) {
    let make = |n: usize, seed: u64| {
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
    };
    let ((train, labels), (valid, valid_labels)) = (make(n, 1), make(VALID, 2));
    println!("{n} images, {d} features, {VALID} validation images");
    standard(&train, &labels, &valid, &valid_labels);
}

#[cfg(feature = "flex")]
mod protocols {
    use std::convert::Infallible;

    use backbones::{Arch, Backbone, Classifier, Mode, NetworkConfig};
    use burn::tensor::{Device, Tensor};
    use eval::{
        FineTune, PAPER_EPOCHS, SupervisedConfig, Trained, estimate_running_statistics, extract_features, predict,
    };
    use ndarray::Array3;
    use rand::seq::SliceRandom;

    use super::{Array2, Axis, ChaCha8Rng, FRACTIONS, Instant, RngExt, SeedableRng, VALID, draws, score, standard};
    use crate::tiny::Tiny;

    const SIDE: usize = 16;
    const BATCH: usize = 16;

    /// Noise in which a positive image has a brighter left half.
    fn images(n: usize, seed: u64) -> (Array3<u8>, Array2<f64>) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let targets = Array2::from_shape_simple_fn((n, 1), || f64::from(u8::from(rng.random::<f64>() < 0.4)));
        let images = Array3::from_shape_fn((n, SIDE, SIDE), |(row, _, x)| {
            let bright = x < SIDE / 2 && targets[[row, 0]] == 1.0;
            rng.random_range(60..160_u8) + if bright { 12 } else { 0 }
        });
        (images, targets)
    }

    fn batches(images: &Array3<u8>) -> impl Iterator<Item = Result<(Array3<u8>, Vec<usize>), Infallible>> {
        let rows: Vec<usize> = (0..images.len_of(Axis(0))).collect();
        let parts: Vec<Vec<usize>> = rows.chunks(64).map(<[usize]>::to_vec).collect();
        parts.into_iter().map(|rows| Ok((images.select(Axis(0), &rows), rows)))
    }

    /// Both protocols from the same images, nothing left out: features once and 16 fits to convergence; and 16 runs of the
    /// paper's epochs, each image forward in every epoch, validation after each.
    pub(super) fn whole(n: usize) {
        let ((train, labels), (valid, valid_labels)) = (images(n, 1), images(VALID, 2));
        println!("{n} images of {SIDE} x {SIDE}, {VALID} validation images, two convolutions, 6 features");
        let mut network = Tiny::new(3, &Device::flex());
        estimate_running_statistics(&mut network, batches(&train)).unwrap();

        let start = Instant::now();
        let x = extract_features(&network, batches(&train)).unwrap().values;
        let v = extract_features(&network, batches(&valid)).unwrap().values;
        let extraction = start.elapsed().as_secs_f64();
        println!("standard, features once: {extraction:.2} s");
        let standard = extraction + standard(&x, &labels, &v, &valid_labels);

        let (mut faithful, mut passes) = (0.0, 0_usize);
        for ((fraction, count), (_, epochs)) in FRACTIONS.into_iter().zip(PAPER_EPOCHS) {
            let (start, mut seen, mut mean) = (Instant::now(), 0, 0.0);
            for rows in draws(n, fraction, count) {
                let head = Tiny::classifier(7, 1, &Device::flex()).head;
                let model = Classifier::new(network.clone(), head, "fc");
                let training = SupervisedConfig::new(Trained::Head).init(&model).unwrap();
                let epoch = |epoch: usize| {
                    let mut order = rows.clone();
                    order.shuffle(&mut ChaCha8Rng::seed_from_u64(epoch as u64));
                    let (train, labels) = (&train, &labels);
                    let parts: Vec<Vec<usize>> = order.chunks(BATCH).map(<[usize]>::to_vec).collect();
                    parts.into_iter().map(move |rows| {
                        Ok::<_, Infallible>((train.select(Axis(0), &rows), labels.select(Axis(0), &rows)))
                    })
                };
                let measure = |model: &Classifier<Tiny>| Ok(score(&valid_labels, &predict(model, batches(&valid))?.0));
                let tuned = FineTune { keep: 1, ..FineTune::new(epochs) }.run(training, epoch, measure).unwrap();
                mean += tuned.top[0].auroc / count as f64;
                seen = rows.len();
                passes += epochs * (rows.len() + VALID);
            }
            let seconds = start.elapsed().as_secs_f64();
            faithful += seconds;
            println!(
                "faithful {seen:>7} rows x {count} draws: {seconds:8.3} s, {epochs} epochs a fit, AUROC {mean:.3}"
            );
        }
        println!("faithful, 16 fits: {faithful:.1} s, {passes} images forward");
        println!("standard in all {standard:.2} s, faithful in all {faithful:.1} s: {:.0}x", faithful / standard);
        forward_cost();
    }

    /// Seconds an image of ResNet18 at the reference's size costs forward, in train mode, in batches of 16.
    fn forward_cost() {
        let side = 320;
        let mut network = NetworkConfig::new(Arch::ResNet18).init(1, &Device::flex());
        let mut forward = || {
            let images = Tensor::<4>::ones([BATCH, 1, side, side], &Device::flex());
            network.features(images, Mode::TRAIN).sum().into_scalar::<f32>()
        };
        forward(); // warm
        let fastest = (0..3).map(|_| {
            let start = Instant::now();
            forward();
            start.elapsed().as_secs_f64() / BATCH as f64
        });
        let seconds = fastest.fold(f64::INFINITY, f64::min);
        println!("ResNet18, {side} x {side}, batch {BATCH}, train mode: {:.1} ms an image forward", seconds * 1e3);
    }
}
