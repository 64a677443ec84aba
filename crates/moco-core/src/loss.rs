//! InfoNCE (van den Oord et al., arXiv:1807.03748; MoCo, arXiv:1911.05722, equation 1).
//!
//! Letters: N batch, D embedding, n negatives.

use backbones::cpu_times::{self, Part};
#[cfg(feature = "flex")]
use burn::tensor::TensorData;
use burn::tensor::{Bool, FloatDType, Int, Tensor};

#[cfg(feature = "cube")]
use crate::queue::Quarters;
use crate::{
    queue::{Negatives, Queue},
    similarities,
};

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
    let batch = k.clone();
    measured(q, (k, batch), negatives, temperature, None)
}

/// As [`info_nce`]; of the queue that the negatives come from, `measures` has also the mean similarity of the newest and of the
/// oldest quarter of its keys, `[7]`, unless they all have one age. `batch` are the keys of the whole batch, `[B, D]`, where q
/// and k are a part of it.
pub(crate) fn measured(
    q: Tensor<2>,
    (k, batch): (Tensor<2>, Tensor<2>),
    negatives: Negatives,
    temperature: f64,
    queue: Option<&Queue>,
) -> InfoNce {
    let _t = cpu_times::time(Part::Loss);
    // On the CPU this goes on the tape first: the order in which gradients of q are added decides their last bits.
    let pos = (!serves(&q)).then(|| (q.clone() * k.clone()).sum_dim(1)); // [N, 1]
    let in_queue = negatives.rows.dims()[0] > 0;
    let mut parts = Vec::new();
    if in_queue {
        parts.push((q.clone().matmul(negatives.rows.transpose()), negatives.excluded)); // [N, n]
    }
    if let Some(excluded) = negatives.batch {
        parts.push((q.clone().matmul(batch.transpose()), Some(excluded))); // [N, B]
    }
    assert!(!parts.is_empty(), "InfoNCE without negatives");
    let queue = queue.filter(|_| in_queue);
    // A product: Burn's backward of a division takes its reciprocal in single precision, in f64 too.
    let sharpness = 1.0 / temperature;
    #[cfg(feature = "cube")]
    if (in_queue || parts[0].0.dims() == [q.dims()[0]; 2])
        && let Some(found) = on_gpu((&q, &k), &parts, sharpness, in_queue, queue)
    {
        return found;
    }

    let [n, _] = q.dims();
    let pos = pos.unwrap_or_else(|| (q * k).sum_dim(1)); // [N, 1]
    let positive = pos.clone().inner();
    let first = parts[0].0.clone().inner();
    let (negative, similarities, ages) = if in_queue {
        let rows = first.clone().mean_dim(0).reshape([-1]); // [n]
        let ages = queue.and_then(|queue| queue.young_and_old(rows.clone())); // [2]
        (rows.mean(), Some(similarities::keep(positive.clone(), first)), ages)
    } else {
        // The mean over all pairs but those of a query and its own key.
        let others = first.dims()[1].saturating_sub(1);
        let negative = (first.sum() - positive.clone().sum()) / (n * others).max(1) as f64;
        (negative, None, None)
    };
    let (loss, top) = contrast(pos, parts, sharpness);
    let mut measures = vec![loss.clone().inner(), top, positive.mean(), negative];
    measures.extend(ages);
    InfoNce { loss, measures: Tensor::cat(measures, 0), similarities }
}

/// Similarities of queries with negatives, `[N, n]`, and which of them do not count.
type Negative = (Tensor<2>, Option<Tensor<2, Bool>>);

/// The loss `[1]`, and top-1 and top-5, `[2]` off the tape.
fn contrast(pos: Tensor<2>, parts: Vec<Negative>, sharpness: f64) -> (Tensor<1>, Tensor<1>) {
    #[cfg(feature = "flex")]
    if let Some(found) = on_cpu(&pos, &parts, sharpness) {
        return found;
    }
    by_tensors(pos, parts, sharpness)
}

/// By operations on whole tensors, on any device.
fn by_tensors(pos: Tensor<2>, parts: Vec<Negative>, sharpness: f64) -> (Tensor<1>, Tensor<1>) {
    let [n, _] = pos.dims();
    let l_pos = pos * sharpness; // [N, 1]
    let logits = |(similarity, excluded): Negative| {
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
    let top = |m: i32| better.clone().lower_elem(m).float().cast(FloatDType::from(loss.dtype())).sum() / n as f64; // [1]
    let top = Tensor::cat(vec![top(1), top(5)], 0);
    (loss, top)
}

/// Whether the kernels for GPUs may take a tensor's loss.
#[allow(unused_variables)] // without them
fn serves(q: &Tensor<2>) -> bool {
    #[cfg(feature = "cube")]
    return backbones::kernels::gpu::serves(q);
    #[cfg(not(feature = "cube"))]
    false
}

/// All of it in one pass over the similarities; `None` on a device that is no GPU.
#[cfg(feature = "cube")]
fn on_gpu(
    (q, k): (&Tensor<2>, &Tensor<2>),
    parts: &[Negative],
    sharpness: f64,
    in_queue: bool,
    queue: Option<&Queue>,
) -> Option<InfoNce> {
    use backbones::kernels::gpu::{Spans, Wanted, contrast};

    let spans = queue.and_then(|queue| {
        let Quarters { starts, length } = queue.quarters()?;
        Some(Spans { starts, length, ring: queue.size() })
    });
    let keep = if in_queue { similarities::NEGATIVES } else { 0 };
    let found = contrast(q, k, parts, Wanted { sharpness, of_batch: !in_queue, keep, spans })?;
    let similarities = in_queue.then_some((found.positives, found.kept));
    Some(InfoNce { loss: found.loss, measures: found.measures, similarities })
}

/// The same in one pass over the similarities; `None` on another device than the CPU.
#[cfg(feature = "flex")]
fn on_cpu(pos: &Tensor<2>, parts: &[Negative], sharpness: f64) -> Option<(Tensor<1>, Tensor<1>)> {
    let neg = match parts {
        [(neg, _)] => neg.clone(),
        parts => Tensor::cat(parts.iter().map(|(neg, _)| neg.clone()).collect(), 1),
    };
    let excluded = if parts.iter().any(|(_, excluded)| excluded.is_some()) { Some(joined(parts)?) } else { None };
    let contrast = backbones::kernels::contrast(pos, &neg, excluded.as_deref(), sharpness)?;
    let (loss, n) = (contrast.loss, contrast.better.len() as f64);
    let top = |m: usize| contrast.better.iter().filter(|&&better| better < m).count() as f64 / n;
    let top = TensorData::new(vec![top(1), top(5)], [2]);
    let top = Tensor::from_data(top, (&loss.clone().inner().device(), loss.dtype()));
    Some((loss, top))
}

/// The masks side by side, in row-major order.
#[cfg(feature = "flex")]
fn joined(parts: &[Negative]) -> Option<Vec<bool>> {
    let masks = parts.iter().map(|(neg, excluded)| {
        let width = neg.dims()[1];
        let mask = excluded.as_ref().map(|mask| mask.to_data().try_to_vec::<bool>()).transpose().ok()?;
        Some((width, mask))
    });
    let masks: Vec<(usize, Option<Vec<bool>>)> = masks.collect::<Option<_>>()?;
    let rows = parts.first()?.0.dims()[0];
    let of_row = |row: usize| {
        masks.iter().flat_map(move |(width, mask)| {
            (0..*width).map(move |i| mask.as_ref().is_some_and(|mask| mask[row * width + i]))
        })
    };
    Some((0..rows).flat_map(of_row).collect())
}

#[cfg(all(test, feature = "flex"))]
#[allow(clippy::unwrap_used)]
mod tests {
    use burn::tensor::{DType, Device};

    use super::*;

    /// Similarities in [-1, 1], with ties.
    fn similarities(shape: [usize; 2], seed: usize, dtype: DType) -> Tensor<2> {
        let value = |i: usize| ((i + seed).wrapping_mul(2_654_435_761) % 2_001) as f64 / 1_000.0 - 1.0;
        let values: Vec<f64> = (0..shape[0] * shape[1]).map(value).collect();
        Tensor::from_data(TensorData::new(values, shape), (&Device::flex().autodiff(), dtype)).require_grad()
    }

    #[test]
    fn one_pass_gives_what_operations_on_whole_tensors_give() {
        let values = |t: Tensor<1>| t.into_data().convert::<f64>().try_to_vec::<f64>().unwrap();
        // f32: sums of ten thousand terms, in another order.
        for (dtype, bound) in [(DType::F64, 1e-13), (DType::F32, 1e-5)] {
            for (n, masked) in [(1, false), (33, true), (10_007, false), (10_007, true)] {
                let mask = |n: usize| {
                    let mask = (0..3 * n).map(|i| i % 7 == 2).collect::<Vec<bool>>();
                    Tensor::<2, Bool>::from_data(TensorData::new(mask, [3, n]), &Device::flex())
                };
                let run = |fused: bool| {
                    let (pos, neg) = (similarities([3, 1], 11, dtype), similarities([3, n], 5, dtype));
                    let batch = similarities([3, 3], 7, dtype);
                    // The queue alone, or the queue and the batch.
                    let mut parts = vec![(neg.clone(), masked.then(|| mask(n)))];
                    if masked {
                        parts.push((batch.clone(), Some(mask(3))));
                    }
                    let (loss, top) = match fused {
                        true => on_cpu(&pos, &parts, 5.0).unwrap(),
                        false => by_tensors(pos.clone(), parts, 5.0),
                    };
                    let measures = Tensor::cat(vec![loss.clone().inner(), top], 0);
                    let gradients = (loss * 3.0).backward();
                    let of_batch = batch.grad(&gradients).map_or_else(Vec::new, |g| values(g.reshape([-1])));
                    let of_pos = pos.grad(&gradients).unwrap().reshape([-1]);
                    [values(measures), values(of_pos), values(neg.grad(&gradients).unwrap().reshape([-1])), of_batch]
                };
                for (found, expected) in run(true).iter().zip(&run(false)) {
                    assert_eq!(found.len(), expected.len());
                    for (a, b) in found.iter().zip(expected) {
                        assert!((a - b).abs() <= bound * (1.0 + b.abs()), "{dtype:?}, {n}, {masked}: {a} and {b}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_similarity_that_is_not_a_number_reaches_the_loss() {
        let (pos, neg) = (similarities([2, 1], 1, DType::F32), similarities([2, 40], 2, DType::F32));
        let (loss, _) = on_cpu(&pos, &[(neg.log(), None)], 5.0).unwrap(); // of negative numbers
        assert!(loss.into_data().iter::<f32>().all(f32::is_nan));
    }
}
