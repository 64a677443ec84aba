//! Adam as PyTorch defines it, without weight decay: what MoCo-CXR's supervised training uses.

use std::collections::BTreeMap;

use backbones::{NamePath, TensorKind};
use burn::{
    module::{Module, ModuleMapper, Param},
    tensor::{Gradients, Tensor},
};

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPSILON: f64 = 1e-8;

/// Step size and moments, kept by tensor name (Kingma and Ba, arXiv:1412.6980; `torch.optim.Adam` with its defaults).
#[derive(Debug)]
pub(super) struct Adam {
    lr: f64,
    moments: BTreeMap<String, Moments>,
}

/// Flat, off the tape.
#[derive(Debug)]
struct Moments {
    step: i32,
    first: Tensor<1>,
    second: Tensor<1>,
}

impl Adam {
    pub(super) fn new(lr: f64) -> Self {
        Self { lr, moments: BTreeMap::new() }
    }

    /// Updates every parameter that has a gradient; buffers have none.
    pub(super) fn step<M: Module>(&mut self, module: M, gradients: &Gradients) -> M {
        module.map(&mut Apply { path: NamePath::default(), adam: self, gradients })
    }

    fn update(&mut self, name: String, weight: Tensor<1>, gradient: Tensor<1>) -> Tensor<1> {
        let new = || Moments { step: 0, first: gradient.zeros_like(), second: gradient.zeros_like() };
        let Moments { step, first, second } = self.moments.remove(&name).unwrap_or_else(new);
        let step = step + 1;
        let first = first * BETA1 + gradient.clone() * (1.0 - BETA1);
        let second = second * BETA2 + gradient.clone() * gradient * (1.0 - BETA2);
        let (correction1, correction2) = (1.0 - BETA1.powi(step), 1.0 - BETA2.powi(step));
        let deviation = second.clone().sqrt() / correction2.sqrt() + EPSILON;
        let weight = weight - first.clone() / deviation * (self.lr / correction1);
        self.moments.insert(name, Moments { step, first, second });
        weight
    }
}

struct Apply<'a> {
    path: NamePath,
    adam: &'a mut Adam,
    gradients: &'a Gradients,
}

impl ModuleMapper for Apply<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }
    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let name = self.path.name();
        if TensorKind::of(&name) == TensorKind::Buffer {
            return param;
        }
        let Some(gradient) = param.val().grad(self.gradients) else { return param };
        param.map(|old| {
            let shape = old.dims();
            let weight = self.adam.update(name, old.inner().reshape([-1]), gradient.reshape([-1]));
            // A leaf again: off the old tape, on a new one.
            Tensor::from_inner(weight.reshape(shape)).require_grad()
        })
    }
}
