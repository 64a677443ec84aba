//! The cross entropy of momentum contrast over a long queue, one pass over the similarities forward and one backward,
//! parallel over queries.
//!
//! Letters: N batch, n negatives.

use burn::{
    backend::{
        Flex,
        autodiff::{
            checkpoint::base::Checkpointer,
            grads::Gradients,
            ops::{Backward, Ops, OpsKind},
        },
        flex::FlexTensor,
    },
    tensor::{DType, Tensor},
};
use rayon::prelude::*;

use super::{
    Real,
    memory::Buffer,
    tape::{self, Strategy},
};

/// Independent sums and maxima of a row, so that loops vectorise.
const LANES: usize = 16;

/// [`contrast`]'s result.
#[derive(Debug)]
pub struct Contrast {
    /// Mean over the batch, `[1]`, on the tape.
    pub loss: Tensor<1>,
    /// For each query, how many negatives are at least as similar as the positive.
    pub better: Vec<usize>,
    /// Mean similarity of the negatives, excluded ones included.
    pub negative: f64,
}

/// `-log( exp(p·s) / (exp(p·s) + Σᵢ exp(nᵢ·s)) )`, with similarities p of the positive and nᵢ of the negatives, and
/// sharpness s; the largest exponent is subtracted before. Excluded negatives have no part in it. `None` on a device or
/// in a precision without this kernel.
///
/// # Shapes
/// - positive `[N, 1]`, negatives `[N, n]`, excluded `N·n` in row-major order
pub fn contrast(
    positive: &Tensor<2>,
    negatives: &Tensor<2>,
    excluded: Option<&[bool]>,
    sharpness: f64,
) -> Option<Contrast> {
    if positive.dtype() != negatives.dtype() {
        return None;
    }
    let (p, n) = (tape::operand(positive)?, tape::operand(negatives)?);
    let context = tape::context(&[&p, &n]);
    let nodes = [p.tensor.node(), n.tensor.node()];
    let prepared = ContrastBackward.prepare::<Strategy>(nodes).compute_bound().stateful();
    let (p, n) = (p.tensor.into_primitive().to_contiguous(), n.tensor.into_primitive().to_contiguous());
    let (out, better, negative, state) = match p.dtype() {
        DType::F32 => forward::<f32>(&p, &n, excluded, sharpness),
        _ => forward::<f64>(&p, &n, excluded, sharpness),
    };
    let loss = match prepared {
        OpsKind::Tracked(prepared) => prepared.finish(state, out),
        OpsKind::UnTracked(prepared) => prepared.finish(out),
    };
    Some(Contrast { loss: tape::wrap(loss, context), better, negative })
}

#[derive(Debug, Clone)]
struct State {
    /// `exp(nᵢ·s - largest)`, `[N, n]`, and 0 where excluded.
    weights: FlexTensor,
    /// For each query, the sum of these weights, and the weight of the positive.
    rows: Vec<(f64, f64)>,
    sharpness: f64,
}

#[derive(Debug)]
struct ContrastBackward;

impl Backward<Flex, 2> for ContrastBackward {
    type State = State;

    fn backward(self, ops: Ops<State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = tape::gradient(grads, &ops);
        let [positive, negatives] = ops.parents.map(|p| p.map(|p| p.id));
        let (dp, dn) = match grad.dtype() {
            DType::F32 => backward::<f32>(ops.state, &grad),
            _ => backward::<f64>(ops.state, &grad),
        };
        if let Some(positive) = positive {
            grads.register::<Flex>(positive, dp);
        }
        if let Some(negatives) = negatives {
            grads.register::<Flex>(negatives, dn);
        }
    }
}

/// What a row of similarities has to say.
struct Row {
    loss: f64,
    better: usize,
    similarity: f64,
    sums: (f64, f64),
}

fn forward<T: Real>(
    positive: &FlexTensor,
    negatives: &FlexTensor,
    excluded: Option<&[bool]>,
    sharpness: f64,
) -> (FlexTensor, Vec<usize>, f64, State) {
    let [batch, n] = tape::dims(negatives);
    let (positive, negatives) = (tape::values::<T>(positive), tape::values::<T>(negatives));
    let mut weights = Buffer::<T>::stale(batch * n);
    let rows = weights.par_chunks_mut(n).zip(negatives.par_chunks(n)).zip(positive.par_iter()).enumerate();
    let rows: Vec<Row> = rows
        .map(|(i, ((weights, negatives), &positive))| {
            let excluded = excluded.map(|all| &all[i * n..(i + 1) * n]);
            row(weights, negatives, positive, excluded, T::narrow(sharpness))
        })
        .collect();
    let mean = |f: fn(&Row) -> f64| rows.iter().map(f).sum::<f64>() / batch as f64;
    let loss = tape::tensor(vec![T::narrow(mean(|row| row.loss))], [1]);
    let sums = rows.iter().map(|row| row.sums).collect();
    let state = State { weights: weights.into_tensor([batch, n]), rows: sums, sharpness };
    (loss, rows.iter().map(|row| row.better).collect(), mean(|row| row.similarity) / n as f64, state)
}

fn row<T: Real>(weights: &mut [T], negatives: &[T], positive: T, excluded: Option<&[bool]>, sharpness: T) -> Row {
    let own = positive * sharpness;
    let logits = weights.iter_mut().zip(negatives);
    match excluded {
        None => logits.for_each(|(logit, &v)| *logit = v * sharpness),
        Some(excluded) => {
            for ((logit, &v), &excluded) in logits.zip(excluded) {
                *logit = if excluded { T::neg_infinity() } else { v * sharpness };
            }
        }
    }
    let (mut largest, mut better, mut similarity) = ([own; LANES], [T::zero(); LANES], 0.0_f64);
    // The sums are finished in double precision.
    for (logits, negatives) in weights.chunks(1 << 12).zip(negatives.chunks(1 << 12)) {
        let mut sums = [T::zero(); LANES];
        for (logits, negatives) in logits.chunks(LANES).zip(negatives.chunks(LANES)) {
            for (lane, (&logit, &v)) in logits.iter().zip(negatives).enumerate() {
                largest[lane] = if logit > largest[lane] { logit } else { largest[lane] };
                better[lane] = better[lane] + if logit >= own { T::one() } else { T::zero() };
                sums[lane] = sums[lane] + v;
            }
        }
        similarity += sums.iter().fold(0.0, |sum, lane| sum + lane.wide());
    }
    let largest = largest.into_iter().fold(own, |a, b| if b > a { b } else { a });
    let mut sum = 0.0_f64;
    for chunk in weights.chunks_mut(LANES) {
        for weight in chunk.iter_mut() {
            *weight = (*weight - largest).exp();
        }
        sum += chunk.iter().fold(0.0, |sum, weight| sum + weight.wide());
    }
    let of_positive = (own - largest).exp().wide();
    let better = better.iter().map(|count| count.wide() as usize).sum();
    Row { loss: (sum + of_positive).ln() + largest.wide() - own.wide(), better, similarity, sums: (sum, of_positive) }
}

/// With the probability `pᵢ` of each candidate: `dnᵢ = pᵢ·s/N`, `dp = (p - 1)·s/N`.
fn backward<T: Real>(state: State, grad: &FlexTensor) -> (FlexTensor, FlexTensor) {
    let State { mut weights, rows, sharpness } = state;
    let [batch, n] = tape::dims(&weights);
    let scale = tape::values::<T>(grad)[0].wide() * sharpness / batch as f64;
    weights.storage_mut::<T>().par_chunks_mut(n).zip(&rows).for_each(|(weights, &(sum, own))| {
        let factor = T::narrow(scale / (sum + own));
        for weight in weights {
            *weight = *weight * factor;
        }
    });
    let of_positive = rows.iter().map(|&(sum, own)| T::narrow(-sum / (sum + own) * scale)).collect();
    (tape::tensor::<T>(of_positive, [batch, 1]), weights)
}
