//! InfoNCE (van den Oord et al., arXiv:1807.03748; MoCo, arXiv:1911.05722, equation 1).
//!
//! Letters: N batch, D embedding, n negatives.

use backbones::cpu_times::{self, Part};
use burn::tensor::{Int, Tensor};

use crate::{queue::Negatives, similarities};

/// The loss of a batch, with measurements.
#[derive(Debug)]
pub struct InfoNce {
    /// Mean over the batch, `[1]`, on the tape.
    pub loss: Tensor<1>,
    /// `[5]`, off the tape: loss, top-1, top-5 (fractions of the batch), mean similarity of positives, of negatives.
    pub measures: Tensor<1>,
    /// `[N, 1]` and `[N, at most 1024]`, off the tape: similarities of positives, and of negatives.
    pub similarities: (Tensor<2>, Tensor<2>),
}

/// Cross entropy of picking the positive among `1 + n` candidates:
/// `-log( exp(q·k₊/T) / (exp(q·k₊/T) + Σᵢ exp(q·kᵢ/T)) )`.
///
/// The same numbers as PyTorch's `cross_entropy` over `[l_pos; l_neg] / T` with target 0, without joining the two. The
/// largest logit is subtracted before exponentiation, so nothing overflows at any temperature. A tie with a negative
/// counts against top-1, so that collapsed embeddings do not look solved.
///
/// # Shapes
/// - q `[N, D]` on the tape, k `[N, D]` off it, both of unit length
pub fn info_nce(q: Tensor<2>, k: Tensor<2>, negatives: Negatives, temperature: f64) -> InfoNce {
    let _t = cpu_times::time(Part::Loss);
    let [n, _] = q.dims();
    let pos = (q.clone() * k).sum_dim(1); // [N, 1]
    let neg = q.matmul(negatives.rows.transpose()); // [N, n]
    let similarity = (pos.clone().inner().mean(), neg.clone().inner().mean());
    let similarities = similarities::keep(pos.clone().inner(), neg.clone().inner());

    // A product: Burn's backward of a division takes its reciprocal in single precision, in f64 too.
    let sharpness = 1.0 / temperature;
    let l_pos = pos * sharpness; // [N, 1]
    let mut l_neg = neg * sharpness; // [N, n]
    if let Some(excluded) = negatives.excluded {
        l_neg = l_neg.mask_fill(excluded, f64::NEG_INFINITY); // exp gives 0, and so does its gradient
    }
    let largest = l_neg.clone().inner().max_dim(1).max_pair(l_pos.clone().inner()); // [N, 1]
    let sum = (l_neg.clone() - largest.clone()).exp().sum_dim(1) + (l_pos.clone() - largest.clone()).exp(); // [N, 1]
    let loss = (sum.log() + largest - l_pos.clone()).mean(); // [1]

    let better: Tensor<2, Int> = l_neg.inner().greater_equal(l_pos.inner()).int().sum_dim(1); // [N, 1]
    let top = |m: i32| better.clone().lower_elem(m).float().sum() / n as f64; // [1]
    let measures = vec![loss.clone().inner(), top(1), top(5), similarity.0, similarity.1];
    InfoNce { loss, measures: Tensor::cat(measures, 0), similarities }
}
