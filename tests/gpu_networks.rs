//! Whole networks on the kernels for GPUs: features and every gradient as on the CPU.
//!
//! In eval mode, where a network is a smooth function of its weights but for its rectifiers; statistics of a batch, which
//! amplify any difference in a small one, are in tests/gpu_kernels.rs, and whole steps in tests/parity.rs. As
//! tests/gpu_kernels.rs: needs the feature `wgpu` and an adapter.
#![cfg(feature = "wgpu")]
#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs)]

mod support;

use std::collections::BTreeMap;

use burn::{
    module::{Module, Param},
    tensor::{Device, Tensor},
};
use moco_cxr::backbones::{
    Arch, Backbone, Mode, NetworkConfig, TensorKind, TensorMapper, TensorVisitor, map_tensors, optim::NamedGradients,
    visit_tensors,
};
use support::gpu::{difference, gpu, tensor, values};

/// Running statistics other than 0 and 1, so that eval mode does something.
struct Statistics(Device);

impl TensorMapper for Statistics {
    fn map<const D: usize>(&mut self, name: &str, kind: TensorKind, old: Tensor<D>) -> Tensor<D> {
        match kind {
            TensorKind::Parameter => old,
            TensorKind::Buffer => {
                let noise = tensor(old.dims(), name.len(), &self.0) * 0.1;
                if name.ends_with("running_var") { noise + 1.0 } else { noise }
            }
        }
    }
}

struct Named<'a>(&'a NamedGradients, BTreeMap<String, Vec<f32>>);

impl TensorVisitor for Named<'_> {
    fn visit<const D: usize>(&mut self, name: &str, kind: TensorKind, _: &Param<Tensor<D>>) {
        if kind == TensorKind::Parameter {
            self.1.insert(name.to_owned(), values(self.0.get(name).unwrap()));
        }
    }
}

/// Features, and the gradients of all parameters by name.
fn run(arch: Arch, device: &Device) -> (Vec<f32>, BTreeMap<String, Vec<f32>>) {
    let network = map_tensors(NetworkConfig::new(arch).init(1, device), &mut Statistics(device.clone()));
    let mut network = network.train();
    let device = device.clone().autodiff();
    let images: Tensor<4> = tensor([2, 1, 40, 36], 5, &device) * 0.5 + 0.5;
    let features = network.features(images, Mode::Eval);
    let loss = (features.clone() * tensor(features.dims(), 6, &device)).sum();
    let gradients = NamedGradients::take(&network, loss.backward());
    let mut named = Named(&gradients, BTreeMap::new());
    visit_tensors(&network, &mut named);
    (values(features), named.1)
}

/// Features, gradients and running statistics of DenseNet121 over batch statistics of two groups. The last maps have 2 x 2 positions
/// of four images a group: a smaller batch amplifies rounding.
fn trained(device: &Device) -> (Vec<f32>, BTreeMap<String, Vec<f32>>) {
    let mut network = NetworkConfig::new(Arch::DenseNet121).init(1, device).train();
    let device = device.clone().autodiff();
    let images: Tensor<4> = tensor([8, 1, 64, 64], 5, &device) * 0.5 + 0.5;
    let features = network.features(images, Mode::Train { groups: 2 });
    let loss = (features.clone() * tensor(features.dims(), 6, &device)).sum();
    let gradients = NamedGradients::take(&network, loss.backward());
    let mut named = Named(&gradients, BTreeMap::new());
    visit_tensors(&network, &mut named);
    let mut statistics = Buffers(named.1);
    visit_tensors(&network, &mut statistics);
    (values(features), statistics.0)
}

struct Buffers(BTreeMap<String, Vec<f32>>);

impl TensorVisitor for Buffers {
    fn visit<const D: usize>(&mut self, name: &str, kind: TensorKind, param: &Param<Tensor<D>>) {
        if kind == TensorKind::Buffer {
            self.0.insert(name.to_owned(), values(param.val().inner()));
        }
    }
}

#[test]
fn a_dense_network_over_batch_statistics_is_the_cpus() {
    let Some(gpu) = gpu() else { return };
    let ((there, of_there), (here, of_here)) = (trained(&gpu), trained(&Device::flex()));
    let found = difference(&there, &here);
    assert!(found < 1e-4, "features differ by {found}");
    for (name, here) in &of_here {
        let there = &of_there[name];
        let largest = here.iter().fold(1e-6_f32, |m, x| m.max(x.abs()));
        let mean = there.iter().zip(here).map(|(a, b)| (a - b).abs()).sum::<f32>() / here.len() as f32 / largest;
        let (found, bound) = if name.contains(".running_") {
            (difference(there, here), 2e-5)
        } else if name.starts_with("features.denseblock4.") || name.starts_with("features.norm5.") {
            (difference(there, here), 5e-4) // no rectifier of an earlier block can have switched behind them
        } else {
            (mean, 5e-2) // some have
        };
        assert!(found < bound, "{name} differs by {found}");
    }
}

#[test]
fn features_and_gradients_are_the_cpus() {
    let Some(gpu) = gpu() else { return };
    for arch in [Arch::ResNet18, Arch::DenseNet121, Arch::ResNet18Narrow] {
        let ((there, of_there), (here, of_here)) = (run(arch, &gpu), run(arch, &Device::flex()));
        let found = difference(&there, &here);
        assert!(found < 1e-5, "{arch:?}: features differ by {found}");
        assert!(of_there.keys().eq(of_here.keys()));
        for (name, here) in &of_here {
            // Up to 121 layers of sums in f32; a rectifier near 0 may switch, which changes a gradient by a part in a thousand.
            let found = difference(&of_there[name], here);
            assert!(found < 2e-3, "{arch:?}: the gradient of {name} differs by {found}");
        }
    }
}
