//! Gradients by tensor name: collection, averaging, clipping.

use std::collections::BTreeMap;

#[cfg(feature = "flex")]
use burn::tensor::DType;
use burn::{
    module::{Module, Param},
    tensor::{Gradients, Tensor},
};

use super::Order;
#[cfg(feature = "flex")]
use crate::cpu::flat;
#[cfg(feature = "cube")]
use crate::gpu::flat as gpu;
use crate::{
    TensorKind, TensorVisitor,
    cpu_times::{self, Part},
    visit_tensors,
};

/// Gradients of a module's parameters, by the parameter's name; off the tape.
#[derive(Debug, Default)]
pub struct NamedGradients {
    pub(super) tensors: BTreeMap<String, Gradient>,
}

/// A gradient, flat, in the order in which it lies in memory.
#[derive(Debug, Clone)]
pub(super) struct Gradient {
    pub(super) elements: Tensor<1>,
    pub(super) order: Order,
}

impl Gradient {
    pub(super) fn in_order(self, order: Order) -> Tensor<1> {
        self.order.change(self.elements, order)
    }
}

impl NamedGradients {
    /// Takes the gradients of a module's parameters from a backward pass. Buffers have none.
    pub fn take<M: Module>(module: &M, gradients: Gradients) -> Self {
        let mut take = Take { gradients, tensors: BTreeMap::new() };
        visit_tensors(module, &mut take);
        Self { tensors: take.tensors }
    }

    /// The gradient of a parameter, flat, in row-major order.
    pub fn get(&self, name: &str) -> Option<Tensor<1>> {
        self.tensors.get(name).map(|gradient| gradient.clone().in_order(Order::RowMajor))
    }

    /// All gradients as one vector, in the order of their names, each row-major, `[P]`; `None` without gradients.
    pub fn joined(&self) -> Option<Tensor<1>> {
        let all: Vec<_> = self.tensors.values().map(|gradient| gradient.clone().in_order(Order::RowMajor)).collect();
        (!all.is_empty()).then(|| Tensor::cat(all, 0))
    }

    /// Replaces all gradients by the parts of a vector as [`Self::joined`] makes it.
    ///
    /// # Panics
    /// When it has another length.
    pub fn replace(&mut self, joined: Tensor<1>) {
        let length = joined.dims()[0];
        let mut at = 0;
        for gradient in self.tensors.values_mut() {
            let n = gradient.elements.dims()[0];
            *gradient = Gradient { elements: joined.clone().narrow(0, at, n), order: Order::RowMajor };
            at += n;
        }
        assert_eq!(at, length, "gradients: a vector of {length} for {at} numbers");
    }

    /// Adds the gradients of another backward pass.
    pub fn add(&mut self, other: Self) {
        for (name, gradient) in other.tensors {
            let sum = match self.tensors.remove(&name) {
                Some(Gradient { elements, order }) => Gradient { elements: elements + gradient.in_order(order), order },
                None => gradient,
            };
            self.tensors.insert(name, sum);
        }
    }

    /// Multiplies all gradients by a number; `1/n` after adding n passes averages them.
    pub fn scale(&mut self, factor: f64) {
        if factor != 1.0 {
            self.tensors.values_mut().for_each(|gradient| gradient.elements.inplace(|t| scaled(t, factor)));
        }
    }

    /// Norm of all gradients as one vector, `[1]` on the device; `None` without gradients.
    pub fn norm(&self) -> Option<Tensor<1>> {
        let _t = cpu_times::time(Part::GradientNorm);
        #[cfg(feature = "flex")]
        match flat::precision(self.elements()) {
            Some(DType::F32) => return Some(flat::norm::<f32>(self.elements().cloned())),
            Some(_) => return Some(flat::norm::<f64>(self.elements().cloned())),
            None => (),
        }
        #[cfg(feature = "cube")]
        if let Some(tensors) = self.elements().map(gpu::take).collect::<Option<Vec<_>>>() {
            return gpu::norm(&tensors).map(gpu::wrap);
        }
        self.norm_by_tensors()
    }

    fn elements(&self) -> impl Iterator<Item = &Tensor<1>> {
        self.tensors.values().map(|gradient| &gradient.elements)
    }

    /// [`Self::norm`] by operations on whole tensors, on any device.
    fn norm_by_tensors(&self) -> Option<Tensor<1>> {
        let squares: Vec<_> = self.elements().map(|t| t.clone().dot(t.clone())).collect();
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

fn scaled(tensor: Tensor<1>, factor: f64) -> Tensor<1> {
    #[cfg(feature = "flex")]
    match flat::precision([&tensor]) {
        Some(DType::F32) => return flat::scale::<f32>(tensor, factor),
        Some(_) => return flat::scale::<f64>(tensor, factor),
        None => (),
    }
    tensor * factor
}

struct Take {
    gradients: Gradients,
    tensors: BTreeMap<String, Gradient>,
}

impl TensorVisitor for Take {
    fn visit<const D: usize>(&mut self, name: &str, kind: TensorKind, param: &Param<Tensor<D>>) {
        if kind == TensorKind::Buffer {
            return;
        }
        if let Some(gradient) = param.val().grad_remove(&mut self.gradients) {
            let order = Order::of(&gradient);
            self.tensors.insert(name.to_owned(), Gradient { elements: order.flatten(gradient), order });
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use burn::tensor::{DType, Device, TensorData};

    use super::*;

    /// Gradients of odd sizes, from one element to several chunks of the CPU's pass.
    fn gradients(dtype: DType) -> NamedGradients {
        let sizes = [1, 37, 16_384, 16_385, 70_001];
        let tensor = |n: usize| {
            let values: Vec<f64> = (0..n).map(|i| ((i * 7919 + n) % 1013) as f64 / 500.0 - 1.0).collect();
            let elements = Tensor::from_data(TensorData::new(values, [n]), (&Device::flex(), dtype));
            Gradient { elements, order: Order::RowMajor }
        };
        NamedGradients { tensors: sizes.map(|n| (n.to_string(), tensor(n))).into() }
    }

    #[test]
    fn the_norm_is_that_of_tensor_operations_and_scales() {
        for (dtype, bound) in [(DType::F32, 1e-5), (DType::F64, 1e-13)] {
            let number = |norm: Option<Tensor<1>>| norm.unwrap().into_data().iter::<f64>().next().unwrap();
            let mut gradients = gradients(dtype);
            let (norm, expected) = (number(gradients.norm()), number(gradients.norm_by_tensors()));
            assert!((norm - expected).abs() <= bound * expected, "{dtype:?}: {norm} and {expected}");
            gradients.clip(norm, 0.5);
            assert!((number(gradients.norm()) - 0.5).abs() < 1e-6, "{dtype:?}");
        }
        assert!(NamedGradients::default().norm().is_none());
    }

    #[cfg(feature = "flex")]
    #[test]
    fn the_number_of_threads_does_not_change_the_norm() {
        let norm = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| gradients(DType::F64).norm().unwrap().into_data())
        };
        assert!(norm(1) == norm(2) && norm(1) == norm(5));
    }
}
