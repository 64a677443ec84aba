//! InfoNCE (van den Oord et al., arXiv:1807.03748; MoCo, arXiv:1911.05722, equation 1).
//!
//! Letters: N batch, D embedding, n negatives.

use backbones::cpu_times::{self, Part};
#[cfg(feature = "flex")]
use burn::tensor::TensorData;
use burn::tensor::{Bool, FloatDType, Int, Tensor};

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
    let pos = (q.clone() * k).sum_dim(1); // [N, 1]
    let neg = q.matmul(negatives.rows.transpose()); // [N, n]
    let similarities = similarities::keep(pos.clone().inner(), neg.clone().inner());

    // A product: Burn's backward of a division takes its reciprocal in single precision, in f64 too.
    let sharpness = 1.0 / temperature;
    #[cfg(feature = "flex")]
    if let Some((loss, measures)) = on_cpu(&pos, &neg, negatives.excluded.as_ref(), sharpness) {
        return InfoNce { loss, measures, similarities };
    }
    let (loss, measures) = by_tensors(pos, neg, negatives.excluded, sharpness);
    InfoNce { loss, measures, similarities }
}

/// The loss and the measures by operations on whole tensors, on any device.
fn by_tensors(
    pos: Tensor<2>,
    neg: Tensor<2>,
    excluded: Option<Tensor<2, Bool>>,
    sharpness: f64,
) -> (Tensor<1>, Tensor<1>) {
    let [n, _] = pos.dims();
    let similarity = (pos.clone().inner().mean(), neg.clone().inner().mean());
    let l_pos = pos * sharpness; // [N, 1]
    let mut l_neg = neg * sharpness; // [N, n]
    if let Some(excluded) = excluded {
        l_neg = l_neg.mask_fill(excluded, f64::NEG_INFINITY); // exp gives 0, and so does its gradient
    }
    let largest = l_neg.clone().inner().max_dim(1).max_pair(l_pos.clone().inner()); // [N, 1]
    let sum = (l_neg.clone() - largest.clone()).exp().sum_dim(1) + (l_pos.clone() - largest.clone()).exp(); // [N, 1]
    let loss = (sum.log() + largest - l_pos.clone()).mean(); // [1]

    let better: Tensor<2, Int> = l_neg.inner().greater_equal(l_pos.inner()).int().sum_dim(1); // [N, 1]
    let top = |m: i32| better.clone().lower_elem(m).float().cast(FloatDType::from(loss.dtype())).sum() / n as f64; // [1]
    let measures = vec![loss.clone().inner(), top(1), top(5), similarity.0, similarity.1];
    (loss, Tensor::cat(measures, 0))
}

/// The same in one pass over the similarities; `None` on another device than the CPU.
#[cfg(feature = "flex")]
fn on_cpu(
    pos: &Tensor<2>,
    neg: &Tensor<2>,
    excluded: Option<&Tensor<2, Bool>>,
    sharpness: f64,
) -> Option<(Tensor<1>, Tensor<1>)> {
    let excluded = match excluded {
        Some(mask) => Some(mask.to_data().try_to_vec::<bool>().ok()?),
        None => None,
    };
    let contrast = backbones::kernels::contrast(pos, neg, excluded.as_deref(), sharpness)?;
    let (loss, n) = (contrast.loss.clone().inner(), contrast.better.len() as f64);
    let top = |m: usize| contrast.better.iter().filter(|&&better| better < m).count() as f64 / n;
    let number = |value: f64| Tensor::from_data(TensorData::new(vec![value], [1]), (&loss.device(), loss.dtype()));
    let positive = pos.clone().inner().mean();
    let measures = vec![loss.clone(), number(top(1)), number(top(5)), positive, number(contrast.negative)];
    Some((contrast.loss, Tensor::cat(measures, 0)))
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
                let excluded = masked.then(|| {
                    let mask = (0..3 * n).map(|i| i % 7 == 2).collect::<Vec<bool>>();
                    Tensor::<2, Bool>::from_data(TensorData::new(mask, [3, n]), &Device::flex())
                });
                let run = |fused: bool| {
                    let (pos, neg) = (similarities([3, 1], 11, dtype), similarities([3, n], 5, dtype));
                    let (loss, measures) = match fused {
                        true => on_cpu(&pos, &neg, excluded.as_ref(), 5.0).unwrap(),
                        false => by_tensors(pos.clone(), neg.clone(), excluded.clone(), 5.0),
                    };
                    let gradients = (loss * 3.0).backward();
                    let of_pos = pos.grad(&gradients).unwrap().reshape([-1]);
                    [values(measures), values(of_pos), values(neg.grad(&gradients).unwrap().reshape([-1]))]
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
        let (loss, _) = on_cpu(&pos, &(neg.log()), None, 5.0).unwrap(); // of negative numbers
        assert!(loss.into_data().iter::<f32>().all(f32::is_nan));
    }
}
