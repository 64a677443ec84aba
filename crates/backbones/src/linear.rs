//! A fully connected layer in PyTorch's layout.

use burn::{
    module::{Module, Param},
    tensor::Tensor,
};

/// `y = x · weightᵀ + bias`, the weight stored `[out, in]` as in PyTorch so that weight files need no adapter.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[out, in]`.
    pub weight: Param<Tensor<2>>,
    /// `[out]`.
    pub bias: Param<Tensor<1>>,
}

impl Linear {
    /// From a weight `[out, in]` and a bias `[out]`.
    pub fn new(weight: Tensor<2>, bias: Tensor<1>) -> Self {
        Self { weight: Param::from_tensor(weight), bias: Param::from_tensor(bias) }
    }

    /// # Shapes
    /// - `[B, in]` to `[B, out]`
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        x.matmul(self.weight.val().transpose()) + self.bias.val().unsqueeze()
    }
}
