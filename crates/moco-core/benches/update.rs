//! Time of the update of a step on the CPU: key encoder, gradient norm, optimiser, queue.
//! `cargo bench -p moco-core --features flex --bench update`.
//!
//! Each line is the median of five steps after one that allocates the optimiser's state. The update is
//! `update_s + wait_s` of [`StepTimes`](moco_core::StepTimes); the rest of the step is there for comparison.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use backbones::{Arch, NetworkConfig};
use burn::tensor::Device;
use moco_core::{HostBatch, MocoConfig, OptimizerConfig, Rule, Step};
use ndarray::Array3;

const STEPS: u64 = 5;

fn main() {
    println!("| network | optimiser | update, ms | rest of the step, ms |\n|---|---|---|---|");
    for (arch, side, n) in [(Arch::ResNet18, 64, 32), (Arch::DenseNet121, 224, 8)] {
        for (name, rule) in [("SGD", Rule::SGD), ("Adam", Rule::ADAM)] {
            let (update, rest) = measure(arch, side, n, rule);
            println!("| {arch:?}, {side} px, batch {n} | {name} | {update:.1} | {rest:.0} |");
        }
    }
}

/// Median milliseconds of the update and of the rest of a step.
fn measure(arch: Arch, side: usize, n: usize, rule: Rule) -> (f64, f64) {
    let device = Device::flex();
    let mut moco = MocoConfig::new().init(NetworkConfig::new(arch).init(0, &device), 0).unwrap();
    let mut optimizer = OptimizerConfig::new(rule, 1e-4).init();
    let (mut updates, mut rests) = (Vec::new(), Vec::new());
    for index in 0..=STEPS {
        let views = batch(side, n, index as usize).to_device(n, &device).unwrap();
        moco.step(vec![views], &mut optimizer, &Step { index, lr: 1e-4, done: 0.0, clip_norm: None }).unwrap();
        let times = moco.times();
        if index > 0 {
            updates.push(1e3 * (times.update_s + times.wait_s));
            rests.push(1e3 * (times.forward_s + times.backward_s));
        }
    }
    (median(updates), median(rests))
}

fn batch(side: usize, n: usize, step: usize) -> HostBatch {
    let grey = |shift: usize| {
        Array3::from_shape_fn((n, side, side), |(i, y, x)| {
            (((i * side + y) * side + x + 97 * (shift + step)).wrapping_mul(2_654_435_761) >> 8) as u8
        })
    };
    HostBatch { query: grey(0), key: grey(1), patients: (0..n as u32).collect() }
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
