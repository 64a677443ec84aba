//! Step time of the normalisation layer beside that of Burn's own on the CPU, in one run:
//! `cargo bench -p moco-cxr-backbones --bench norm`.
//!
//! Every batch normalisation of a ResNet18 on a batch of 64 images of 64 px, forward and backward, the two layers in
//! turn; and a whole forward and backward pass of that network. Medians.
#![allow(clippy::print_stdout)]

use std::time::Instant;

use backbones::{Arch, Backbone, BatchNorm, Mode, NetworkConfig};
use burn::{
    module::Module,
    nn::BatchNormConfig,
    tensor::{Device, Tensor, TensorData},
};

const BATCH: usize = 64;
const SIDE: usize = 64;
const REPEATS: usize = 15;

/// Channels, side of the maps, and how many such layers ResNet18 has.
const LAYERS: [(usize, usize, usize); 5] =
    [(64, SIDE / 2, 1), (64, SIDE / 4, 4), (128, SIDE / 8, 5), (256, SIDE / 16, 5), (512, SIDE / 32, 5)];

fn main() {
    let device = Device::flex().autodiff();
    println!("| layer | this project, ms | Burn's, ms |\n|---|---|---|");
    let mut sums = [0.0; 2];
    for (channels, side, count) in LAYERS {
        let x = numbers([BATCH, channels, side, side], &device);
        let factors = numbers([BATCH, channels, side, side], &device);
        let vector = |value: f32| Tensor::<1>::from_data(TensorData::new(vec![value; channels], [channels]), &device);
        let mut ours = BatchNorm::new(vector(1.0), vector(0.0), vector(0.0), vector(1.0)).train();
        let burns = BatchNormConfig::new(channels).init(&device).train();
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..REPEATS {
            times[0].push(step(&x, &factors, |x| ours.forward(x, Mode::TRAIN)));
            times[1].push(step(&x, &factors, |x| burns.forward(x)));
        }
        let [a, b] = times.map(median);
        println!("| {count} of [{BATCH}, {channels}, {side}, {side}] | {:.2} | {:.2} |", a * 1e3, b * 1e3);
        sums = [sums[0] + count as f64 * a, sums[1] + count as f64 * b];
    }
    println!("| all 20 of a step | {:.1} | {:.1} |", sums[0] * 1e3, sums[1] * 1e3);

    let mut net = NetworkConfig::new(Arch::ResNet18).init(0, &device).train();
    let images = numbers([BATCH, 1, SIDE, SIDE], &device);
    let factors = numbers([BATCH, 512, 1, 1], &device).reshape([BATCH, 512]);
    let mut times = Vec::new();
    for _ in 0..5 {
        let start = Instant::now();
        let gradients = (net.features(images.clone(), Mode::TRAIN) * factors.clone()).sum().backward();
        times.push(start.elapsed().as_secs_f64());
        drop(gradients);
    }
    println!("\nResNet18, {BATCH} images of {SIDE} px, forward and backward: {:.0} ms", median(times) * 1e3);
}

/// Seconds of a forward and a backward pass, the gradient of the input included.
fn step(x: &Tensor<4>, factors: &Tensor<4>, mut forward: impl FnMut(Tensor<4>) -> Tensor<4>) -> f64 {
    let x = x.clone().detach().require_grad();
    let start = Instant::now();
    let gradients = (forward(x.clone()) * factors.clone()).sum().backward();
    let gradient = x.grad(&gradients);
    let seconds = start.elapsed().as_secs_f64();
    assert!(gradient.is_some(), "the input has a gradient");
    seconds
}

fn numbers(shape: [usize; 4], device: &Device) -> Tensor<4> {
    let values = (0..shape.iter().product::<usize>() as u64).map(|i| (i * 2_654_435_761 % 1000) as f32 / 500.0 - 1.0);
    Tensor::from_data(TensorData::new(values.collect::<Vec<_>>(), shape), device)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
