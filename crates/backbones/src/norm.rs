//! Batch normalisation with an explicit mode, groups, and PyTorch's running statistics.
//!
//! Why not Burn's layer: it picks batch or running statistics by the kind of device, shares running statistics between
//! clones of a module, and keeps the biased variance (`docs/deviations.md`). In training the arithmetic is Burn's
//! one-node `batch_norm_train`, or on the CPU the kernel in `cpu/norm.rs`; the statistics around it are ours.

use burn::{
    module::{Module, Param},
    tensor::{DType, FloatDType, Tensor, module},
};

use crate::Mode;

/// Batch normalisation over `[B, C, H, W]`, per channel.
///
/// `y = (x - mean) / sqrt(var + eps) * weight + bias`; in training mean and (biased) variance are those of the batch, and
/// the running statistics become `(1 - momentum) * running + momentum * batch` with the *unbiased* variance, as in
/// PyTorch.
#[derive(Module, Debug)]
pub struct BatchNorm {
    /// Scale, `[C]`.
    pub weight: Param<Tensor<1>>,
    /// Offset, `[C]`.
    pub bias: Param<Tensor<1>>,
    /// Running mean, `[C]`; a buffer.
    pub running_mean: Param<Tensor<1>>,
    /// Running unbiased variance, `[C]`; a buffer.
    pub running_var: Param<Tensor<1>>,
    #[module(skip)]
    eps: f64,
    #[module(skip)]
    momentum: f64,
}

impl BatchNorm {
    /// From its four tensors, each `[C]`, with PyTorch's `eps = 1e-5` and `momentum = 0.1`.
    pub fn new(weight: Tensor<1>, bias: Tensor<1>, running_mean: Tensor<1>, running_var: Tensor<1>) -> Self {
        let buffer = |t: Tensor<1>| Param::from_tensor(t).set_require_grad(false);
        Self {
            weight: Param::from_tensor(weight),
            bias: Param::from_tensor(bias),
            running_mean: buffer(running_mean),
            running_var: buffer(running_var),
            eps: 1e-5,
            momentum: 0.1,
        }
    }

    /// Normalises a batch; in [`Mode::Train`] updates the running statistics, one group after the other in batch order.
    ///
    /// # Shapes
    /// - `[B, C, H, W]` to the same
    ///
    /// # Panics
    /// When `groups` does not divide the batch: configurations are checked before training begins.
    pub fn forward(&mut self, x: Tensor<4>, mode: Mode) -> Tensor<4> {
        // Statistics of thousands of values need more than eight bits of mantissa.
        let half = x.dtype() == DType::BF16;
        let x = if half { x.cast(FloatDType::F32) } else { x };
        let y = self.normalise(x, mode);
        if half { y.cast(FloatDType::BF16) } else { y }
    }

    fn normalise(&mut self, x: Tensor<4>, mode: Mode) -> Tensor<4> {
        match mode {
            Mode::Eval => self.eval(x),
            Mode::Train { groups } => self.train(x, groups),
        }
    }

    /// With the running statistics: one scale and one offset a channel, which rounds as PyTorch's does, and takes half
    /// the passes over `x` of Burn's `batch_norm`.
    fn eval(&self, x: Tensor<4>) -> Tensor<4> {
        let [c] = self.weight.lazy_shape().dims();
        let scale = self.weight.val() / (self.running_var.val() + self.eps).sqrt(); // [C]
        let offset = self.bias.val() - self.running_mean.val() * scale.clone(); // [C]
        x * scale.reshape([1, c, 1, 1]) + offset.reshape([1, c, 1, 1])
    }

    fn train(&mut self, x: Tensor<4>, groups: usize) -> Tensor<4> {
        let [b, c, h, w] = x.dims();
        assert!(groups > 0 && b % groups == 0, "batch normalisation: {groups} groups do not divide a batch of {b}");
        let (out, mean, variance) = batch_norm_train(x, self.weight.val(), self.bias.val(), groups, self.eps);
        for g in 0..groups {
            let part = g * c..(g + 1) * c;
            let of_group = |t: &Tensor<1>| t.clone().slice([part.clone()]);
            self.update(of_group(&mean), of_group(&variance), b / groups * h * w);
        }
        out
    }

    /// `variance` is the biased one of `count` values.
    fn update(&mut self, mean: Tensor<1>, variance: Tensor<1>, count: usize) {
        let m = self.momentum;
        let unbiased = variance * (count as f64 / (count as f64 - 1.0).max(1.0));
        blend(&mut self.running_mean, mean, m);
        blend(&mut self.running_var, unbiased, m);
    }
}

/// Normalised batch, and mean and biased variance of each channel in each group.
///
/// # Shapes
/// - x `[B, C, H, W]`, weight and bias `[C]` to `[B, C, H, W]`, `[G·C]`, `[G·C]`
fn batch_norm_train(
    x: Tensor<4>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    groups: usize,
    eps: f64,
) -> (Tensor<4>, Tensor<1>, Tensor<1>) {
    #[cfg(feature = "flex")]
    if let Some(out) = crate::cpu::batch_norm_train(&x, &weight, &bias, groups, eps) {
        return out;
    }
    if groups == 1 {
        let out = module::batch_norm_train(x, weight, bias, eps);
        return (out.output, out.mean, out.variance);
    }
    // Groups side by side as channels, so that one call normalises all of them.
    let [b, c, h, w] = x.dims();
    let n = b / groups;
    let x = x.reshape([groups, n, c, h, w]).swap_dims(0, 1).reshape([n, groups * c, h, w]); // [B/G, G·C, H, W]
    let out = module::batch_norm_train(x, weight.repeat(&[groups]), bias.repeat(&[groups]), eps);
    let y = out.output.reshape([n, groups, c, h, w]).swap_dims(0, 1).reshape([b, c, h, w]);
    (y, out.mean, out.variance)
}

fn blend(running: &mut Param<Tensor<1>>, batch: Tensor<1>, m: f64) {
    let old = running.val().detach();
    *running = running.clone().map(|_| old * (1.0 - m) + batch.detach() * m);
}
