//! Batch normalisation over the batch: two passes forward, two backward, parallel over channels and images.

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
    clock::{self, Part},
    tape::{self, Strategy, Tracked},
};

/// Normalised batch, and the mean and biased variance of each channel (without gradient), for each of `groups` equal
/// parts of the batch by itself.
///
/// # Shapes
/// - x `[B, C, H, W]`, weight and bias `[C]` to `[B, C, H, W]`, `[G·C]`, `[G·C]`, group by group
pub(crate) fn batch_norm_train(
    x: &Tensor<4>,
    weight: &Tensor<1>,
    bias: &Tensor<1>,
    groups: usize,
    eps: f64,
) -> Option<(Tensor<4>, Tensor<1>, Tensor<1>)> {
    let (a, w, b) = (tape::operand(x)?, tape::operand(weight)?, tape::operand(bias)?);
    if x.dtype() != weight.dtype() || x.dtype() != bias.dtype() {
        return None;
    }
    let context = tape::context(&[&a, &w, &b]);
    let nodes = [a.tensor.node(), w.tensor.node(), b.tensor.node()];
    let prepared = NormBackward.prepare::<Strategy>(nodes).compute_bound().stateful();
    let contiguous = |t: Tracked| t.into_primitive().to_contiguous();
    let (x, w, b) = (contiguous(a.tensor), contiguous(w.tensor), contiguous(b.tensor));
    let Forward { out, mean, variance } = match x.dtype() {
        DType::F32 => forward::<f32>(&x, &w, &b, groups, eps),
        _ => forward::<f64>(&x, &w, &b, groups, eps),
    };
    let out = match prepared {
        OpsKind::Tracked(prepared) => {
            let state = State { x, weight: w, mean: mean.clone(), variance: variance.clone(), groups, eps };
            prepared.finish(state, out)
        }
        OpsKind::UnTracked(prepared) => prepared.finish(out),
    };
    let constant = |t: FlexTensor| tape::wrap(Tracked::new(t), context);
    Some((tape::wrap(out, context), constant(mean), constant(variance)))
}

#[derive(Debug)]
struct NormBackward;

#[derive(Debug, Clone)]
struct State {
    x: FlexTensor,
    weight: FlexTensor,
    mean: FlexTensor,
    variance: FlexTensor,
    groups: usize,
    eps: f64,
}

impl Backward<Flex, 3> for NormBackward {
    type State = State;

    fn backward(self, ops: Ops<State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let parents = ops.parents.map(|p| p.map(|p| p.id));
        let grad = grads.consume::<Flex>(&ops.node).to_contiguous();
        let results = match grad.dtype() {
            DType::F32 => backward::<f32>(&ops.state, &grad),
            _ => backward::<f64>(&ops.state, &grad),
        };
        for (parent, result) in parents.into_iter().zip(results) {
            if let Some(parent) = parent {
                grads.register::<Flex>(parent, result);
            }
        }
    }
}

struct Forward {
    out: FlexTensor,
    mean: FlexTensor,
    variance: FlexTensor,
}

fn forward<T: Real>(x: &FlexTensor, weight: &FlexTensor, bias: &FlexTensor, groups: usize, eps: f64) -> Forward {
    let [b, c, h, w] = tape::dims(x);
    let _t = clock::time(Part::Norm).work(4 * b * c * h * w * size_of::<T>()); // three reads, one write
    let (hw, n) = (h * w, b / groups); // n: images of a group
    let (values, weight, bias) = (tape::values::<T>(x), tape::values::<T>(weight), tape::values::<T>(bias));
    let plane = |i: usize, channel: usize| &values[(i * c + channel) * hw..][..hw];
    let count = (n * hw) as f64;
    let statistics: Vec<(f64, f64)> = (0..groups * c)
        .into_par_iter()
        .map(|k| {
            let (images, channel) = (k / c * n..(k / c + 1) * n, k % c);
            let sum: f64 = images.clone().map(|i| lanes(plane(i, channel), |v| v)).sum();
            let mean = sum / count;
            let m = T::narrow(mean);
            let squares: f64 = images.map(|i| lanes(plane(i, channel), |v| (v - m) * (v - m))).sum();
            (mean, squares / count)
        })
        .collect();
    let affine: Vec<(T, T)> = statistics
        .iter()
        .enumerate()
        .map(|(k, &(mean, variance))| {
            let scale = weight[k % c] * T::narrow(1.0 / (variance + eps).sqrt());
            (scale, bias[k % c] - T::narrow(mean) * scale)
        })
        .collect();
    let mut out = vec![T::zero(); values.len()];
    out.par_chunks_mut(c * hw).zip(values.par_chunks(c * hw)).enumerate().for_each(|(i, (out, x))| {
        let affine = &affine[i / n * c..][..c];
        for ((out, x), &(scale, offset)) in out.chunks_exact_mut(hw).zip(x.chunks_exact(hw)).zip(affine) {
            for (o, &v) in out.iter_mut().zip(x) {
                *o = v * scale + offset;
            }
        }
    });
    let each =
        |f: fn(&(f64, f64)) -> f64| tape::tensor::<T>(statistics.iter().map(f).map(T::narrow).collect(), [groups * c]);
    Forward { out: tape::tensor(out, [b, c, h, w]), mean: each(|s| s.0), variance: each(|s| s.1) }
}

/// In each group, with `x̂ = (x - mean) / sqrt(var + eps)`: `dbias = Σ dy`, `dweight = Σ dy·x̂`,
/// `dx = weight / sqrt(var + eps) · (dy - dbias/n - x̂ · dweight/n)`; the parameters get the sum over groups.
fn backward<T: Real>(state: &State, grad: &FlexTensor) -> [FlexTensor; 3] {
    let [b, c, h, w] = tape::dims(&state.x);
    let _t = clock::time(Part::Norm).work(5 * b * c * h * w * size_of::<T>()); // two reads of x and dy, one write
    let (hw, n) = (h * w, b / state.groups);
    let (x, dy, weight) = (tape::values::<T>(&state.x), tape::values::<T>(grad), tape::values::<T>(&state.weight));
    let (mean, variance) = (tape::values::<T>(&state.mean), tape::values::<T>(&state.variance));
    let count = (n * hw) as f64;
    let sums: Vec<(f64, f64)> = (0..state.groups * c)
        .into_par_iter()
        .map(|k| {
            let (mut dbias, mut product) = (0.0, 0.0);
            for i in k / c * n..(k / c + 1) * n {
                let range = (i * c + k % c) * hw..(i * c + k % c + 1) * hw;
                let (s, p) = lanes_pair(&dy[range.clone()], &x[range], mean[k]);
                dbias += s;
                product += p;
            }
            (dbias, product * inverse(variance[k], state.eps))
        })
        .collect();
    // Differences from the means are taken first, as they lose digits where a mean is large.
    let coefficients: Vec<[T; 4]> = sums
        .iter()
        .enumerate()
        .map(|(k, &(dbias, dweight))| {
            let inv = inverse(variance[k], state.eps);
            [weight[k % c].wide() * inv, dbias / count, inv * dweight / count, mean[k].wide()].map(T::narrow)
        })
        .collect();
    let mut dx = vec![T::zero(); x.len()];
    let images = dx.par_chunks_mut(c * hw).zip(x.par_chunks(c * hw).zip(dy.par_chunks(c * hw)));
    images.enumerate().for_each(|(i, (dx, (x, dy)))| {
        let planes = dx.chunks_exact_mut(hw).zip(x.chunks_exact(hw).zip(dy.chunks_exact(hw)));
        for ((dx, (x, dy)), &[scale, mean_dy, slope, mean]) in planes.zip(&coefficients[i / n * c..][..c]) {
            for (d, (&x, &dy)) in dx.iter_mut().zip(x.iter().zip(dy)) {
                *d = (dy - mean_dy - (x - mean) * slope) * scale;
            }
        }
    });
    let total = |f: fn(&(f64, f64)) -> f64| {
        let channel = |channel: usize| T::narrow(sums.iter().skip(channel).step_by(c).map(f).sum());
        tape::tensor::<T>((0..c).map(channel).collect(), [c])
    };
    [tape::tensor(dx, [b, c, h, w]), total(|s| s.1), total(|s| s.0)]
}

fn inverse<T: Real>(variance: T, eps: f64) -> f64 {
    1.0 / (variance.wide() + eps).sqrt()
}

const LANES: usize = 16;

/// `Σ f(v)` in independent lanes, so that the loop vectorises, finished in double precision.
fn lanes<T: Real>(values: &[T], f: impl Fn(T) -> T) -> f64 {
    let mut sums = [T::zero(); LANES];
    let chunks = values.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (s, &v) in sums.iter_mut().zip(chunk) {
            *s = *s + f(v);
        }
    }
    let total = |t: f64, v: &T| t + v.wide();
    let tail = rest.iter().map(|&v| f(v)).fold(0.0, |t, v| total(t, &v));
    sums.iter().fold(tail, total)
}

/// `Σ dy` and `Σ dy · (x - mean)`, as [`lanes`].
fn lanes_pair<T: Real>(dy: &[T], x: &[T], mean: T) -> (f64, f64) {
    let (mut a, mut b) = ([T::zero(); LANES], [T::zero(); LANES]);
    let (dys, xs) = (dy.chunks_exact(LANES), x.chunks_exact(LANES));
    let (dy_rest, x_rest) = (dys.remainder(), xs.remainder());
    for (dy, x) in dys.zip(xs) {
        for lane in 0..LANES {
            a[lane] = a[lane] + dy[lane];
            b[lane] = b[lane] + dy[lane] * (x[lane] - mean);
        }
    }
    let (mut sum, mut product) = (0.0, 0.0);
    for (&d, &x) in dy_rest.iter().zip(x_rest) {
        sum += d.wide();
        product += (d * (x - mean)).wide();
    }
    for lane in 0..LANES {
        sum += a[lane].wide();
        product += b[lane].wide();
    }
    (sum, product)
}
