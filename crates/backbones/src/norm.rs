//! Batch normalisation with an explicit mode, groups, and PyTorch's running statistics.
//!
//! Why not Burn's layer: it picks batch or running statistics by the kind of device, shares running statistics between
//! clones of a module, and keeps the biased variance (`docs/deviations.md`). The arithmetic is Burn's one-node
//! `batch_norm_train`, or the kernels in `cpu/norm/` and `gpu/norm/`; the statistics around it are ours.

use burn::{
    module::{Module, Param},
    tensor::{DType, FloatDType, Tensor, activation::relu, module},
};

#[cfg(feature = "flex")]
use crate::cpu::norm::{self, Gathered, Moments, Norm, Source};
#[cfg(feature = "cube")]
use crate::gpu::norm as gpu;
use crate::{Mode, pieces::Pieces, pool::max_pool};

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
    /// Share of the batch in a new running value, PyTorch's default.
    pub const MOMENTUM: f64 = 0.1;

    /// From its four tensors, each `[C]`, with PyTorch's `eps = 1e-5` and `momentum = 0.1`.
    pub fn new(weight: Tensor<1>, bias: Tensor<1>, running_mean: Tensor<1>, running_var: Tensor<1>) -> Self {
        let buffer = |t: Tensor<1>| Param::from_tensor(t).set_require_grad(false);
        Self {
            weight: Param::from_tensor(weight),
            bias: Param::from_tensor(bias),
            running_mean: buffer(running_mean),
            running_var: buffer(running_var),
            eps: 1e-5,
            momentum: Self::MOMENTUM,
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
        self.layer(x, None, false, mode)
    }

    /// `relu(self.forward(x, mode))`, in one pass of the kernels.
    ///
    /// # Shapes, panics
    /// As [`Self::forward`].
    pub fn forward_relu(&mut self, x: Tensor<4>, mode: Mode) -> Tensor<4> {
        self.layer(x, None, true, mode)
    }

    /// `relu(self.forward(x, mode) + residual)`, in one pass of the kernels.
    ///
    /// # Shapes, panics
    /// As [`Self::forward`]; the residual has the shape of `x`.
    pub fn forward_add_relu(&mut self, x: Tensor<4>, residual: Tensor<4>, mode: Mode) -> Tensor<4> {
        self.layer(x, Some(residual), true, mode)
    }

    /// `max_pool(self.forward_relu(x, mode))`, as in the stems of ResNet and DenseNet; on a GPU without the map between.
    ///
    /// # Shapes, panics
    /// - `[B, C, H, W]` to `[B, C, ⌈H/2⌉, ⌈W/2⌉]`; otherwise as [`Self::forward`]
    pub fn forward_relu_max_pool(&mut self, x: Tensor<4>, mode: Mode) -> Tensor<4> {
        #[cfg(feature = "cube")]
        if let Some(y) = self.on_gpu(gpu::Input::Map(&x), None, true, true, mode) {
            return y;
        }
        max_pool(self.forward_relu(x, mode))
    }

    /// [`Self::forward_relu`] of pieces joined along the channels, without joining them where there are kernels.
    ///
    /// # Shapes
    /// - pieces `[B, c, H, W]` of Σ c = C to `[B, C, H, W]`
    pub(crate) fn forward_pieces_relu(&mut self, pieces: &mut Pieces, mode: Mode) -> Tensor<4> {
        #[cfg(feature = "flex")]
        if let Some(y) = self.fused_pieces(pieces, mode) {
            return y;
        }
        #[cfg(feature = "cube")]
        if let Some((slab, last)) = pieces.slab()
            && let Some(y) = self.on_gpu(gpu::Input::Slab(slab, last), None, true, false, mode)
        {
            return y;
        }
        self.forward_relu(pieces.joined(), mode)
    }

    fn layer(&mut self, x: Tensor<4>, residual: Option<Tensor<4>>, rectify: bool, mode: Mode) -> Tensor<4> {
        #[cfg(feature = "cube")]
        if let Some(y) = self.on_gpu(gpu::Input::Map(&x), residual.as_ref(), rectify, false, mode) {
            return y;
        }
        if x.dtype() == DType::BF16 {
            // Statistics of thousands of values need more than eight bits of mantissa.
            let y = self.layer(x.cast(FloatDType::F32), None, false, mode);
            return finish(y.cast(FloatDType::BF16), residual, rectify);
        }
        #[cfg(feature = "flex")]
        if let Some(y) = self.fused(&x, residual.as_ref(), rectify, mode) {
            return y;
        }
        finish(self.plain(x, mode), residual, rectify)
    }

    /// By operations on whole tensors, on any device.
    fn plain(&mut self, x: Tensor<4>, mode: Mode) -> Tensor<4> {
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
        check(groups, b);
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

#[cfg(feature = "flex")]
impl BatchNorm {
    fn fused(&mut self, x: &Tensor<4>, residual: Option<&Tensor<4>>, rectify: bool, mode: Mode) -> Option<Tensor<4>> {
        let (out, moments) = self.on_cpu(std::slice::from_ref(x), residual, rectify, mode, &[], None)?;
        self.update_running(&moments, x.dims(), mode)?;
        Some(out)
    }

    fn fused_pieces(&mut self, pieces: &mut Pieces, mode: Mode) -> Option<Tensor<4>> {
        let (tensors, known, gathered) = pieces.separate()?;
        let shape = tensors[0].dims();
        let (out, moments) = self.on_cpu(tensors, None, true, mode, known, Some(gathered))?;
        self.update_running(&moments, shape, mode)?;
        if let Mode::Train { groups } = mode {
            pieces.learn(&moments, groups);
        }
        Some(out)
    }

    /// The result, and in training the moments of the batch.
    fn on_cpu(
        &self,
        pieces: &[Tensor<4>],
        residual: Option<&Tensor<4>>,
        rectify: bool,
        mode: Mode,
        known: &[Vec<Moments>],
        gathered: Option<&Gathered>,
    ) -> Option<(Tensor<4>, Vec<Moments>)> {
        let given;
        let (groups, source) = match mode {
            Mode::Train { groups } => {
                let [b, ..] = pieces[0].dims();
                check(groups, b);
                (groups, Source::Batch(known))
            }
            Mode::Eval => {
                given = norm::moments([&self.running_mean.val(), &self.running_var.val()])?;
                (1, Source::Given(&given))
            }
        };
        let norm = Norm { groups, eps: self.eps, rectify };
        norm::batch_norm(norm, pieces, [&self.weight.val(), &self.bias.val()], residual, source, gathered)
    }

    fn update_running(&mut self, moments: &[Moments], [b, _, h, w]: [usize; 4], mode: Mode) -> Option<()> {
        let Mode::Train { groups } = mode else { return Some(()) };
        let running = [&self.running_mean.val(), &self.running_var.val()];
        let [mean, variance] = norm::update_running(running, moments, b / groups * h * w, self.momentum)?;
        self.running_mean = self.running_mean.clone().map(|_| mean);
        self.running_var = self.running_var.clone().map(|_| variance);
        Some(())
    }
}

#[cfg(feature = "cube")]
impl BatchNorm {
    fn on_gpu(
        &mut self,
        input: gpu::Input<'_>,
        residual: Option<&Tensor<4>>,
        rectify: bool,
        pool: bool,
        mode: Mode,
    ) -> Option<Tensor<4>> {
        let running = [&self.running_mean.val(), &self.running_var.val()];
        let (groups, source) = match mode {
            Mode::Train { groups } => {
                check(groups, input.batch());
                (groups, gpu::Source::Batch { running, momentum: self.momentum })
            }
            Mode::Eval => (1, gpu::Source::Given(running)),
        };
        let norm = gpu::Norm { groups, eps: self.eps, rectify, pool };
        let parameters = [&self.weight.val(), &self.bias.val()];
        let (out, running) = gpu::batch_norm(norm, input, parameters, residual, source)?;
        if let Some([mean, variance]) = running {
            self.running_mean = self.running_mean.clone().map(|_| mean);
            self.running_var = self.running_var.clone().map(|_| variance);
        }
        Some(out)
    }
}

/// # Panics
/// When `groups` does not divide a batch of `b`.
fn check(groups: usize, b: usize) {
    assert!(
        groups > 0 && b.is_multiple_of(groups),
        "batch normalisation: {groups} groups do not divide a batch of {b}"
    );
}

fn finish(y: Tensor<4>, residual: Option<Tensor<4>>, rectify: bool) -> Tensor<4> {
    let y = match residual {
        Some(residual) => y + residual,
        None => y,
    };
    if rectify { relu(y) } else { y }
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

#[cfg(all(test, feature = "flex"))]
#[allow(clippy::unwrap_used)]
mod tests;
