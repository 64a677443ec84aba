//! InfoNCE (van den Oord et al., arXiv:1807.03748; MoCo, arXiv:1911.05722, equation 1).
//!
//! Letters: N batch, D embedding, n negatives.

use burn::tensor::{Int, Tensor};

use crate::{queue::Negatives, similarities};

/// The loss of a batch, with measurements.
#[derive(Debug)]
pub struct InfoNce {
    /// Mean over the batch, `[1]`, on the tape.
    pub loss: Tensor<1>,
    /// `[5]`, off the tape: loss, top-1, top-5 (fractions of the batch), mean similarity of positives, of negatives (those
    /// of the queue, where it has any).
    pub measures: Tensor<1>,
    /// `[N, 1]` and `[N, at most 1024]`, off the tape: similarities of positives, and of the negatives of the queue; `None`
    /// where it has none.
    pub similarities: Option<(Tensor<2>, Tensor<2>)>,
    /// `[n]`, off the tape: mean similarity of the queries to each row of the queue; `None` where it has none.
    pub(crate) rows: Option<Tensor<1>>,
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
///
/// # Panics
/// When there are no negatives at all.
pub fn info_nce(q: Tensor<2>, k: Tensor<2>, negatives: Negatives, temperature: f64) -> InfoNce {
    let [n, _] = q.dims();
    let pos = (q.clone() * k.clone()).sum_dim(1); // [N, 1]
    let positive = pos.clone().inner();
    let (mut rows, mut similarities, mut parts) = (None, None, Vec::new());
    if negatives.rows.dims()[0] > 0 {
        let neg = q.clone().matmul(negatives.rows.transpose()); // [N, n]
        rows = Some(neg.clone().inner().mean_dim(0).reshape([-1])); // [n]
        similarities = Some(similarities::keep(positive.clone(), neg.clone().inner()));
        parts.push((neg, negatives.excluded));
    }
    if let Some(excluded) = negatives.batch {
        parts.push((q.matmul(k.transpose()), Some(excluded))); // [N, N]
    }
    let negative = match (&rows, parts.first()) {
        (Some(rows), _) => rows.clone().mean(),
        // The mean over all pairs but those of a query and its own key.
        (None, Some((batch, _))) => {
            (batch.clone().inner().sum() - positive.clone().sum()) / (n * n.saturating_sub(1)).max(1) as f64
        }
        (None, None) => panic!("InfoNCE without negatives"),
    };

    // A product: Burn's backward of a division takes its reciprocal in single precision, in f64 too.
    let sharpness = 1.0 / temperature;
    let l_pos = pos * sharpness; // [N, 1]
    let logits = |(similarity, excluded): (Tensor<2>, Option<_>)| {
        let l = similarity * sharpness;
        // exp gives 0, and so does its gradient
        if let Some(excluded) = excluded { l.mask_fill(excluded, f64::NEG_INFINITY) } else { l }
    };
    let l_neg: Vec<Tensor<2>> = parts.into_iter().map(logits).collect();
    let largest = l_neg.iter().fold(l_pos.clone().inner(), |largest, l| largest.max_pair(l.clone().inner().max_dim(1)));
    let share = |l: Tensor<2>| (l - largest.clone()).exp().sum_dim(1); // [N, 1]
    let sum = l_neg.iter().fold(share(l_pos.clone()), |sum, l| sum + share(l.clone())); // [N, 1]
    let loss = (sum.log() + largest.clone() - l_pos.clone()).mean(); // [1]

    let l_pos = l_pos.inner();
    let better = |l: Tensor<2>| -> Tensor<2, Int> { l.inner().greater_equal(l_pos.clone()).int().sum_dim(1) }; // [N, 1]
    let better = l_neg.into_iter().map(better).reduce(|a, b| a + b).expect("one part at least");
    let top = |m: i32| better.clone().lower_elem(m).float().sum() / n as f64; // [1]
    let measures = vec![loss.clone().inner(), top(1), top(5), positive.mean(), negative];
    InfoNce { loss, measures: Tensor::cat(measures, 0), similarities, rows }
}
