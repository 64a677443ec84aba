//! Gradients by tensor name: collection, averaging, clipping.

use std::collections::BTreeMap;

use burn::{
    module::{Module, Param},
    tensor::{Gradients, Tensor},
};

use crate::{TensorKind, TensorVisitor, visit_tensors};

/// Gradients of a module's parameters, flat, by the parameter's name; off the tape.
#[derive(Debug, Default)]
pub struct NamedGradients {
    pub(super) tensors: BTreeMap<String, Tensor<1>>,
}

impl NamedGradients {
    /// Takes the gradients of a module's parameters from a backward pass. Buffers have none.
    pub fn take<M: Module>(module: &M, gradients: Gradients) -> Self {
        let mut take = Take { gradients, tensors: BTreeMap::new() };
        visit_tensors(module, &mut take);
        Self { tensors: take.tensors }
    }

    /// The gradient of a parameter, flat.
    pub fn get(&self, name: &str) -> Option<&Tensor<1>> {
        self.tensors.get(name)
    }

    /// Adds the gradients of another backward pass.
    pub fn add(&mut self, other: Self) {
        for (name, tensor) in other.tensors {
            let sum = match self.tensors.remove(&name) {
                Some(sum) => sum + tensor,
                None => tensor,
            };
            self.tensors.insert(name, sum);
        }
    }

    /// Multiplies all gradients by a number; `1/n` after adding n passes averages them.
    pub fn scale(&mut self, factor: f64) {
        if factor != 1.0 {
            self.tensors.values_mut().for_each(|tensor| tensor.inplace(|t| t * factor));
        }
    }

    /// Norm of all gradients as one vector, `[1]` on the device; `None` without gradients.
    pub fn norm(&self) -> Option<Tensor<1>> {
        let squares: Vec<_> = self.tensors.values().map(|t| t.clone().dot(t.clone())).collect();
        (!squares.is_empty()).then(|| Tensor::cat(squares, 0).sum().sqrt())
    }

    /// Global-norm clipping as `torch.nn.utils.clip_grad_norm_`: scales by `max / (norm + 1e-6)` where that is below 1.
    /// `norm` is the value read from [`Self::norm`].
    pub fn clip(&mut self, norm: f64, max: f64) {
        let factor = max / (norm + 1e-6);
        if factor < 1.0 {
            self.scale(factor);
        }
    }
}

struct Take {
    gradients: Gradients,
    tensors: BTreeMap<String, Tensor<1>>,
}

impl TensorVisitor for Take {
    fn visit<const D: usize>(&mut self, name: &str, kind: TensorKind, param: &Param<Tensor<D>>) {
        if kind == TensorKind::Buffer {
            return;
        }
        if let Some(gradient) = param.val().grad_remove(&mut self.gradients) {
            self.tensors.insert(name.to_owned(), gradient.reshape([-1]));
        }
    }
}
