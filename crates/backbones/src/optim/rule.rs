//! The update rules, in PyTorch's order of operations. All tensors are flat.

#[cfg(feature = "flex")]
use burn::tensor::DType;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

#[cfg(feature = "flex")]
use super::in_place;
#[cfg(feature = "flex")]
use crate::cpu::flat;

/// An update rule with its constants. The learning rate comes from the schedule.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "lowercase", deny_unknown_fields)]
#[non_exhaustive]
pub enum Rule {
    /// Gradient descent with momentum (no dampening) and coupled weight decay: `torch.optim.SGD`.
    Sgd {
        /// 0.9 by default, as in MoCo; 0 keeps no buffer.
        #[serde(default = "momentum")]
        momentum: f64,
        /// Nesterov's momentum.
        #[serde(default)]
        nesterov: bool,
    },
    /// `torch.optim.Adam`: weight decay is *coupled*, added to the gradient (L2). MoCo-CXR's optimiser.
    Adam {
        /// Decay rates of the mean and of the mean square, (0.9, 0.999) by default.
        #[serde(default = "betas")]
        betas: (f64, f64),
        /// Added to the denominator, 1e-8 by default.
        #[serde(default = "eps")]
        eps: f64,
    },
    /// `torch.optim.AdamW`: weight decay is decoupled (Loshchilov and Hutter, arXiv:1711.05101).
    AdamW {
        /// Decay rates of the mean and of the mean square, (0.9, 0.999) by default.
        #[serde(default = "betas")]
        betas: (f64, f64),
        /// Added to the denominator, 1e-8 by default.
        #[serde(default = "eps")]
        eps: f64,
    },
    /// Layer-wise rates for large batches (You et al., arXiv:1708.03888), in the form of MoCo v3 (arXiv:2104.02057):
    /// tensors of one dimension (norm and bias) are neither decayed nor rescaled.
    Lars {
        /// 0.9 by default.
        #[serde(default = "momentum")]
        momentum: f64,
        /// Trust coefficient: the norm of a layer's step relative to that of its weights, 0.001 by default.
        #[serde(default = "trust")]
        trust: f64,
    },
}

fn momentum() -> f64 {
    0.9
}
fn betas() -> (f64, f64) {
    (0.9, 0.999)
}
fn eps() -> f64 {
    1e-8
}
fn trust() -> f64 {
    0.001
}

impl Rule {
    /// SGD with momentum 0.9, as in MoCo.
    pub const SGD: Self = Self::Sgd { momentum: 0.9, nesterov: false };
    /// Adam with PyTorch's defaults, as in MoCo-CXR (`main_moco.py`).
    pub const ADAM: Self = Self::Adam { betas: (0.9, 0.999), eps: 1e-8 };
    /// AdamW with PyTorch's betas and eps.
    pub const ADAM_W: Self = Self::AdamW { betas: (0.9, 0.999), eps: 1e-8 };
    /// LARS with momentum 0.9 and trust 0.001.
    pub const LARS: Self = Self::Lars { momentum: 0.9, trust: 0.001 };

    /// Names of the tensors kept for each parameter, as PyTorch calls them.
    pub fn slots(self) -> &'static [&'static str] {
        match self {
            Self::Sgd { momentum: 0.0, .. } => &[],
            Self::Sgd { .. } | Self::Lars { .. } => &["momentum_buffer"],
            Self::Adam { .. } | Self::AdamW { .. } => &["exp_avg", "exp_avg_sq"],
        }
    }

    /// One update of one tensor. `slots` is empty on the tensor's first step and later holds the tensors that
    /// [`Self::slots`] names.
    pub(super) fn update(self, at: Update, slots: Vec<Tensor<1>>) -> (Tensor<1>, Vec<Tensor<1>>) {
        #[cfg(feature = "flex")]
        match flat::precision([&at.weight, &at.gradient].into_iter().chain(&slots)) {
            Some(DType::F32) => return in_place::update::<f32>(self, at, slots),
            Some(_) => return in_place::update::<f64>(self, at, slots),
            None => (),
        }
        self.by_tensors(at, slots)
    }

    /// [`Self::update`] by operations on whole tensors, on any device.
    pub(super) fn by_tensors(self, at: Update, slots: Vec<Tensor<1>>) -> (Tensor<1>, Vec<Tensor<1>>) {
        match self {
            Self::Sgd { momentum, nesterov } => sgd(at, slots, momentum, nesterov),
            Self::Adam { betas, eps } => {
                let gradient = decayed(at.gradient.clone(), &at);
                adam(Update { gradient, ..at }, slots, betas, eps)
            }
            Self::AdamW { betas, eps } => {
                let weight = match at.decay {
                    0.0 => at.weight,
                    decay => at.weight * (1.0 - at.lr * decay),
                };
                adam(Update { weight, ..at }, slots, betas, eps)
            }
            Self::Lars { momentum, trust } => lars(at, slots, momentum, trust),
        }
    }
}

/// The inputs of one update of one tensor.
pub(super) struct Update {
    pub(super) weight: Tensor<1>,
    pub(super) gradient: Tensor<1>,
    pub(super) lr: f64,
    pub(super) decay: f64,
    /// Steps of this tensor, counted from 1.
    pub(super) step: u64,
    /// Whether the tensor has one dimension.
    pub(super) vector: bool,
}

/// `g + λ·w`.
fn decayed(gradient: Tensor<1>, at: &Update) -> Tensor<1> {
    match at.decay {
        0.0 => gradient,
        decay => gradient + at.weight.clone() * decay,
    }
}

/// `b = μ·b + g` (the first buffer is `g`); `w -= lr·b`, or `lr·(g + μ·b)` with Nesterov.
fn sgd(at: Update, slots: Vec<Tensor<1>>, momentum: f64, nesterov: bool) -> (Tensor<1>, Vec<Tensor<1>>) {
    let gradient = decayed(at.gradient.clone(), &at);
    if momentum == 0.0 {
        return (at.weight - gradient * at.lr, slots);
    }
    let buffer = match slots.into_iter().next() {
        Some(buffer) => buffer * momentum + gradient.clone(),
        None => gradient.clone(),
    };
    let direction = if nesterov { gradient + buffer.clone() * momentum } else { buffer.clone() };
    (at.weight - direction * at.lr, vec![buffer])
}

/// `m = β₁m + (1-β₁)g`; `v = β₂v + (1-β₂)g²`; `w -= lr/(1-β₁ᵗ) · m / (√v/√(1-β₂ᵗ) + ε)`.
fn adam(at: Update, slots: Vec<Tensor<1>>, (b1, b2): (f64, f64), eps: f64) -> (Tensor<1>, Vec<Tensor<1>>) {
    let mut slots = slots.into_iter();
    let square = at.gradient.clone().square() * (1.0 - b2);
    let (mean, mean_square) = match (slots.next(), slots.next()) {
        (Some(m), Some(v)) => (m * b1 + at.gradient * (1.0 - b1), v * b2 + square),
        _ => (at.gradient * (1.0 - b1), square),
    };
    let t = at.step as f64;
    let (correction1, correction2) = (1.0 - b1.powf(t), 1.0 - b2.powf(t));
    let denominator = mean_square.clone().sqrt() / correction2.sqrt() + eps;
    let weight = at.weight - mean.clone() / denominator * (at.lr / correction1);
    (weight, vec![mean, mean_square])
}

/// `g' = (g + λw) · trust·|w| / |g + λw|` (the factor is 1 where a norm is 0); `b = μ·b + g'`; `w -= lr·b`. The factor
/// stays on the device.
fn lars(at: Update, slots: Vec<Tensor<1>>, momentum: f64, trust: f64) -> (Tensor<1>, Vec<Tensor<1>>) {
    let gradient = if at.vector {
        at.gradient.clone()
    } else {
        let gradient = decayed(at.gradient.clone(), &at);
        let norm = |t: &Tensor<1>| t.clone().dot(t.clone()).sqrt();
        let (weight, update) = (norm(&at.weight), norm(&gradient));
        let zero = weight.clone().equal_elem(0.0).bool_or(update.clone().equal_elem(0.0));
        gradient * (weight * trust / update).mask_fill(zero, 1.0)
    };
    sgd(Update { gradient, decay: 0.0, ..at }, slots, momentum, false)
}
