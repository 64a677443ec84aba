//! Updates of many tensors in few launches give the numbers of the CPU, tensor by tensor.
//!
//! As tests/gpu_kernels.rs: needs the feature `wgpu` and an adapter.
#![cfg(feature = "wgpu")]
#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs)]

mod support;

use burn::{
    module::Module,
    tensor::{Device, Tensor},
};
use moco_cxr::backbones::{
    BatchNorm, Conv2d,
    optim::{NamedGradients, OptimizerConfig, Rule, moving_averages},
    state_dict,
};
use support::gpu::{difference, gpu, tensor, values};

/// Tensors of many sizes: of one chunk and several, divisible by four and not, more than fit into one launch.
#[derive(Module, Debug)]
struct Many {
    convolutions: Vec<Conv2d>,
    norm: BatchNorm,
}

impl Many {
    fn new(device: &Device) -> Self {
        let sizes = (0..28).map(|i| [4, 1 + i % 3, 3, 3]).chain([[64, 33, 3, 3], [16, 64, 5, 5]]);
        let conv = |(i, size)| Conv2d::new(tensor(size, 10 + i, device), 1, 1);
        let vector = |seed| tensor([7], seed, device);
        Self {
            convolutions: sizes.enumerate().map(conv).collect(),
            norm: BatchNorm::new(vector(1), vector(2), vector(3), vector(4)),
        }
    }

    /// Gradients that differ by element and by step. Some lie channels last, as those of convolutions do, others not, and some
    /// now in one order and now in the other.
    fn gradients(&self, step: usize, device: &Device) -> NamedGradients {
        let convolutions = self.convolutions.iter().enumerate().map(|(i, conv)| {
            let weight = conv.weight.val();
            let weight = if i % 3 == 0 || i % 3 == step % 2 { weight.permute([0, 2, 3, 1]) } else { weight };
            (weight.clone() * tensor(weight.dims(), 100 * step + i, device)).sum()
        });
        let norm = (self.norm.weight.val() * tensor([7], step, device)).sum() + self.norm.bias.val().sum() * 0.5;
        let loss = convolutions.fold(norm, |sum, part| sum + part);
        NamedGradients::take(self, loss.backward())
    }
}

/// Weights and state after three steps, and the norm of the last gradient. On a GPU the state goes through a record between.
fn trained(config: OptimizerConfig, device: &Device) -> (Vec<Vec<f32>>, f32) {
    let device = device.clone().autodiff();
    let mut module = Many::new(&device);
    let mut optimizer = config.init();
    let mut norm = 0.0;
    for step in 1..=3 {
        let gradients = module.gradients(step, &device);
        norm = values(gradients.norm().unwrap())[0];
        optimizer.step_in_place(&mut module, gradients, 0.01);
        if step == 2 && device.clone().inner() != Device::flex() {
            let record = optimizer.to_record(str::to_owned).unwrap();
            optimizer = config.init();
            optimizer.load_record(&module, &record, &device, str::to_owned).unwrap();
        }
    }
    let floats = |data: burn::tensor::TensorData| data.convert::<f32>().try_to_vec::<f32>().unwrap();
    let mut all: Vec<_> = state_dict(&module).unwrap().into_values().map(floats).collect();
    all.extend(optimizer.to_record(str::to_owned).unwrap().into_values().map(floats));
    (all, norm)
}

#[test]
fn every_rule_gives_the_cpus_numbers() {
    let Some(gpu) = gpu() else { return };
    let rules = [
        Rule::Sgd { momentum: 0.0, nesterov: false },
        Rule::SGD,
        Rule::Sgd { momentum: 0.8, nesterov: true },
        Rule::ADAM,
        Rule::ADAM_W,
        Rule::LARS,
    ];
    for rule in rules {
        for (decay, all) in [(0.0, true), (1e-2, true), (1e-2, false)] {
            let mut config = OptimizerConfig::new(rule, decay);
            config.decay_norm_and_bias = all;
            let ((there, norm), (here, expected)) = (trained(config, &gpu), trained(config, &Device::flex()));
            assert_eq!(there.len(), here.len());
            // Some twenty operations in f32 for each number, in the same order; a root and a division may be rounded twice.
            let found = there.iter().zip(&here).map(|(there, here)| difference(there, here)).fold(0.0, f32::max);
            assert!(found < 3e-6, "{rule:?}, decay {decay}, {all}: {found}");
            assert!((norm - expected).abs() < 1e-5 * expected, "{rule:?}: norm {norm} and {expected}");
        }
    }
}

#[test]
fn averages_are_the_cpus_and_leave_their_inputs_alone() {
    let Some(gpu) = gpu() else { return };
    let lengths = [1, 3, 4, 1_000, 8_192, 8_193, 100_003];
    let on = |seed: usize, device: &Device| -> Vec<Tensor<1>> {
        lengths.iter().map(|n| tensor([*n], seed + n, device)).collect()
    };
    let (averages, news) = (on(1, &gpu), on(2, &gpu));
    let found = moving_averages(&averages, &news, 0.99).unwrap();
    for (((found, average), new), n) in found.into_iter().zip(averages).zip(news).zip(lengths) {
        let (a, b) = (tensor::<1>([n], 1 + n, &Device::flex()), tensor::<1>([n], 2 + n, &Device::flex()));
        let expected = values(a.clone() * 0.99 + b.clone() * 0.01);
        assert!(difference(&values(found), &expected) < 1e-6, "{n}"); // two products and a sum, which may be fused
        assert!(values(average) == values(a) && values(new) == values(b), "{n}");
    }
}

/// After a step all weights are parts of one buffer, in an order of its own.
#[test]
fn parts_of_one_buffer_are_averaged_in_any_order_and_an_operation_on_one_leaves_the_others_alone() {
    let Some(gpu) = gpu() else { return };
    let lengths = [4, 1_000, 3, 8_193, 64, 1];
    let on = |seed: usize, device: &Device| -> Vec<Tensor<1>> {
        lengths.iter().map(|n| tensor([*n], seed + n, device)).collect()
    };
    let (a, b) = (on(1, &gpu), on(2, &gpu));
    let (mut averages, mut news) = (moving_averages(&a, &b, 0.5).unwrap(), moving_averages(&a, &b, 0.25).unwrap());
    averages.reverse();
    news.reverse();
    let mut found = moving_averages(&averages, &news, 0.9).unwrap();
    let changed = values(found.remove(2) * 2.0 + 1.0);
    let (a, b) = (on(1, &Device::flex()), on(2, &Device::flex()));
    let expected = a.into_iter().zip(b).rev().map(|(a, b)| {
        let (average, new) = (a.clone() * 0.5 + b.clone() * 0.5, a * 0.25 + b * 0.75);
        average * 0.9 + new * 0.1
    });
    let mut expected: Vec<_> = expected.collect();
    // Three products and sums, which may be fused.
    assert!(difference(&changed, &values(expected.remove(2) * 2.0 + 1.0)) < 3e-6);
    for (found, expected) in found.into_iter().zip(expected) {
        assert!(difference(&values(found), &values(expected)) < 3e-6);
    }
}
