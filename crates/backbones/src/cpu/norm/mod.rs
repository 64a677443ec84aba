//! Batch normalisation, with the addition of a residual and the rectifier behind it: one pass over memory forward and one
//! backward, parallel over channels.
//!
//! [`channels`] finds a channel's planes in tensors `[B, C, H, W]`, [`kernel`] has the arithmetic on one channel.
//!
//! Letters: B batch, G groups, C channels.

mod channels;
mod kernel;

use std::sync::{Arc, Mutex, PoisonError};

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
    memory::Buffer,
    pass,
    simd::Level,
    tape::{self, Strategy, Tracked},
};
use channels::{Channel, Channels, by_channel};
pub(crate) use kernel::Moments;
use kernel::{Apply, Mask, Measure, Propagate, Sums};

/// Elements below which work items are joined, as waking a thread takes longer.
const SMALLEST: usize = 1 << 13;

/// What is done to a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Norm {
    /// Equal parts of the batch with statistics of their own.
    pub(crate) groups: usize,
    pub(crate) eps: f64,
    /// Whether negative results become 0.
    pub(crate) rectify: bool,
}

/// Where the moments come from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Source<'a> {
    /// The batch; of pieces that were normalised before, the moments found then, each `[G·c]`, channel by channel.
    Batch(&'a [Vec<Moments>]),
    /// Given, `[C]`, and constants to the gradient.
    Given(&'a [Moments]),
}

/// Gradients of the pieces of a dense block, gathered from the layers that read them.
pub(crate) type Gathered = Arc<Mutex<Vec<Option<FlexTensor>>>>;

/// Running statistics after the batch, one group after the other: `(1 - m)·running + m·batch`, with the unbiased
/// variance of `count` values a group.
///
/// # Shapes
/// - running `[C]`, moments `[C·G]` channel by channel
pub(crate) fn update_running(
    [mean, variance]: [&Tensor<1>; 2],
    moments: &[Moments],
    count: usize,
    momentum: f64,
) -> Option<[Tensor<1>; 2]> {
    let unbiased = count as f64 / (count as f64 - 1.0).max(1.0);
    let updated = |running: &Tensor<1>, factor: f64, f: fn(&Moments) -> f64| {
        let operand = tape::operand(running)?;
        let context = tape::context(&[&operand]);
        let running = operand.tensor.into_primitive().to_contiguous();
        let blended = match running.dtype() {
            DType::F32 => blend::<f32>(&running, moments.iter().map(f), factor, momentum),
            _ => blend::<f64>(&running, moments.iter().map(f), factor, momentum),
        };
        Some(tape::constant(blended, context))
    };
    Some([updated(mean, 1.0, |m| m.mean)?, updated(variance, unbiased, |m| m.variance)?])
}

fn blend<T: Real>(
    running: &FlexTensor,
    mut batch: impl ExactSizeIterator<Item = f64>,
    factor: f64,
    momentum: f64,
) -> FlexTensor {
    let running = tape::values::<T>(running);
    let groups = batch.len() / running.len().max(1);
    let [keep, take, factor] = [1.0 - momentum, momentum, factor].map(T::narrow);
    let one = |&running: &T| batch.by_ref().take(groups).fold(running, |r, v| r * keep + T::narrow(v) * factor * take);
    tape::tensor(running.iter().map(one).collect(), [running.len()])
}

/// Running statistics as moments, `[C]`.
pub(crate) fn moments([mean, variance]: [&Tensor<1>; 2]) -> Option<Vec<Moments>> {
    let values = |t: &Tensor<1>| -> Option<Vec<f64>> {
        let t = tape::operand(t)?.tensor.into_primitive().to_contiguous();
        Some(match t.dtype() {
            DType::F32 => tape::values::<f32>(&t).iter().map(|v| v.wide()).collect(),
            _ => tape::values::<f64>(&t).to_vec(),
        })
    };
    let (mean, variance) = (values(mean)?, values(variance)?);
    Some(mean.into_iter().zip(variance).map(|(mean, variance)| Moments { mean, variance }).collect())
}

/// The normalised pieces, beside each other, and the moments, `[C·G]` channel by channel (empty where they were given).
///
/// Where there are several pieces, `gathered` has a place for the gradient of each. On the tape, the result depends on
/// the last piece alone: what it gives to the gradients of the others is added there, and taken by the layer whose last
/// piece they are, which comes later on the way back. So each but the last piece must have been the last of such a
/// layer, between whose output and the last piece a path leads; this is how a dense block is made.
///
/// # Shapes
/// - pieces `[B, c, H, W]` of Σ c = C, weight and bias `[C]`, residual `[B, C, H, W]` to `[B, C, H, W]`, `[C·G]`
pub(crate) fn batch_norm(
    norm: Norm,
    pieces: &[Tensor<4>],
    [weight, bias]: [&Tensor<1>; 2],
    residual: Option<&Tensor<4>>,
    source: Source<'_>,
    gathered: Option<&Gathered>,
) -> Option<(Tensor<4>, Vec<Moments>)> {
    let dtype = weight.dtype();
    if bias.dtype() != dtype || pieces.iter().chain(residual).any(|piece| piece.dtype() != dtype) {
        return None;
    }
    let (last, earlier) = pieces.split_last()?;
    let (x, w, b) = (tape::operand(last)?, tape::operand(weight)?, tape::operand(bias)?);
    let r = match residual {
        Some(residual) => Some(tape::operand(residual)?),
        None => None,
    };
    let mut operands = vec![&x, &w, &b];
    operands.extend(&r);
    let context = tape::context(&operands);
    let nodes = [x.tensor.node(), w.tensor.node(), b.tensor.node()];
    let node_of_residual = r.as_ref().map(|r| r.tensor.node());

    let contiguous = |t: Tracked| t.into_primitive().to_contiguous();
    let mut inputs = Vec::with_capacity(pieces.len());
    for piece in earlier {
        inputs.push(contiguous(tape::operand(piece)?.tensor));
    }
    inputs.push(contiguous(x.tensor));
    let layer = Layer {
        norm,
        pieces: inputs,
        weight: contiguous(w.tensor),
        bias: contiguous(b.tensor),
        constant: matches!(source, Source::Given(_)),
    };
    let residual = r.map(|r| contiguous(r.tensor));
    let (out, moments) = match dtype {
        DType::F32 => forward::<f32>(&layer, residual.as_ref(), source),
        _ => forward::<f64>(&layer, residual.as_ref(), source),
    };
    let batch = match source {
        Source::Batch(_) => moments.clone(),
        Source::Given(_) => Vec::new(),
    };
    if !tape::records(context) {
        return Some((tape::constant(out, context), batch));
    }
    let output = (residual.is_some() && norm.rectify).then(|| out.clone());
    let state = move || State { layer, moments: moments.into(), output, gathered: gathered.cloned() };
    let out = match node_of_residual {
        None => match NormBackward.prepare::<Strategy>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish(state(), out),
            OpsKind::UnTracked(prepared) => prepared.finish(out),
        },
        Some(residual) => {
            let [x, w, b] = nodes;
            match NormBackward.prepare::<Strategy>([x, w, b, residual]).compute_bound().stateful() {
                OpsKind::Tracked(prepared) => prepared.finish(state(), out),
                OpsKind::UnTracked(prepared) => prepared.finish(out),
            }
        }
    };
    Some((tape::wrap(out, context), batch))
}

/// The inputs that the backward pass needs again.
#[derive(Debug, Clone)]
struct Layer {
    norm: Norm,
    pieces: Vec<FlexTensor>,
    weight: FlexTensor,
    bias: FlexTensor,
    /// Whether the moments are constants.
    constant: bool,
}

impl Layer {
    fn channels<T: Real>(&self) -> Channels<'_, T> {
        let pieces = self.pieces.iter().map(|piece| {
            let [_, c, _, _] = tape::dims(piece);
            (tape::values::<T>(piece), c)
        });
        Channels::new(pieces.collect(), self.plane())
    }

    fn plane(&self) -> usize {
        let [_, _, h, w] = tape::dims(&self.pieces[0]);
        h * w
    }

    /// Images of a group.
    fn images(&self) -> usize {
        let [b, _, _, _] = tape::dims(&self.pieces[0]);
        b / self.norm.groups
    }

    /// Bytes of `n` tensors of the size of all pieces.
    fn bytes<T>(&self, n: usize) -> usize {
        let elements = |piece: &FlexTensor| tape::dims::<4>(piece).iter().product::<usize>();
        n * size_of::<T>() * self.pieces.iter().map(elements).sum::<usize>()
    }

    /// Work items that are joined.
    fn joined(&self) -> usize {
        SMALLEST.div_ceil((self.images() * self.plane()).max(1))
    }
}

#[derive(Debug, Clone)]
struct State {
    layer: Layer,
    /// `[C·G]`, channel by channel.
    moments: Arc<[Moments]>,
    /// Where the mask of the rectifier cannot be computed from the pieces.
    output: Option<FlexTensor>,
    gathered: Option<Gathered>,
}

fn forward<T: Real>(layer: &Layer, residual: Option<&FlexTensor>, source: Source<'_>) -> (FlexTensor, Vec<Moments>) {
    let _t = clock::time(Part::Norm).work(layer.bytes::<T>(if residual.is_some() { 3 } else { 2 }));
    let level = Level::best();
    let (channels, n, groups) = (layer.channels::<T>(), layer.images(), layer.norm.groups);
    let (weight, bias) = (tape::values::<T>(&layer.weight), tape::values::<T>(&layer.bias));
    let residual = residual.map(|r| Channels::new(vec![(tape::values::<T>(r), channels.count())], layer.plane()));
    let mut out = Buffer::<T>::stale(n * groups * channels.count() * layer.plane());
    let mut planes = by_channel(&mut out, channels.count(), layer.plane());
    let items = planes.par_chunks_mut(n).with_min_len(layer.joined()).enumerate();
    let moments = items.map(|(item, out)| {
        let (channel, group) = (item / groups, item % groups);
        let images = group * n..(group + 1) * n;
        let part = |maps| Channel { maps, channel, images: images.clone() };
        let (piece, number) = channels.place(channel);
        let moments = match source {
            Source::Given(moments) => moments[channel],
            Source::Batch(known) => match known.get(piece) {
                Some(known) => known[number * groups + group],
                None => pass::run(level, Measure(part(&channels))),
            },
        };
        let affine = moments.affine(weight[channel], bias[channel], layer.norm.eps);
        let residual = residual.as_ref().map(part);
        pass::run(level, Apply { out, x: part(&channels), residual, affine, rectify: layer.norm.rectify });
        moments
    });
    let moments = items_in_order(moments);
    let [b, _, h, w] = tape::dims(&layer.pieces[0]);
    let shape = [b, channels.count(), h, w];
    (out.into_tensor(shape), moments)
}

fn items_in_order<R: Send>(items: impl IndexedParallelIterator<Item = R>) -> Vec<R> {
    let mut results = Vec::new();
    items.collect_into_vec(&mut results);
    results
}

#[derive(Debug)]
struct NormBackward;

impl<const N: usize> Backward<Flex, N> for NormBackward {
    type State = State;

    fn backward(self, ops: Ops<State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = tape::gradient(grads, &ops);
        let parents = ops.parents.map(|p| p.map(|p| p.id));
        let results = match grad.dtype() {
            DType::F32 => backward::<f32>(&ops.state, grad, N == 4),
            _ => backward::<f64>(&ops.state, grad, N == 4),
        };
        for (parent, result) in parents.into_iter().zip(results) {
            if let (Some(parent), Some(result)) = (parent, result) {
                grads.register::<Flex>(parent, result);
            }
        }
    }
}

/// Gradients of the last piece, weight, bias and residual; those of the other pieces are gathered.
///
/// In each group, with `dy` masked by the rectifier and `x̂ = (x - mean) / sqrt(variance + eps)`: `dbias = Σ dy`,
/// `dweight = Σ dy·x̂`, `dx = weight / sqrt(variance + eps) · (dy - dbias/n - x̂ · dweight/n)`, without the two means where
/// the moments are constants; weight and bias get the sum over groups.
fn backward<T: Real>(state: &State, mut grad: FlexTensor, residual: bool) -> [Option<FlexTensor>; 4] {
    let State { layer, moments, output, gathered } = state;
    let _t = clock::time(Part::Norm).work(layer.bytes::<T>(if residual { 5 } else { 3 }));
    let (level, norm) = (Level::best(), layer.norm);
    let (channels, n, plane) = (layer.channels::<T>(), layer.images(), layer.plane());
    let count = channels.count();
    let (weight, bias) = (tape::values::<T>(&layer.weight), tape::values::<T>(&layer.bias));
    let output = output.as_ref().map(|y| Channels::new(vec![(tape::values::<T>(y), count)], plane));

    // The gradient of a single piece takes the place of `dy`, unless that becomes the residual's.
    let mut targets = match (&gathered, residual) {
        (None, false) => Vec::new(),
        _ => Targets::of(layer, gathered.as_ref()),
    };
    let add: Vec<bool> = targets.iter().map(|t| t.add).collect();
    let mut dx: Vec<&mut [T]> = targets.iter_mut().flat_map(|t| t.planes(plane)).collect();
    let mut dy = by_channel(grad.storage_mut::<T>(), count, plane);

    let item = |item: usize, dy: &mut [&mut [T]], dx: Option<&mut [&mut [T]]>| {
        let (channel, group) = (item / norm.groups, item % norm.groups);
        let part = |maps| Channel { maps, channel, images: group * n..(group + 1) * n };
        let (x, moments) = (part(&channels), moments[if layer.constant { channel } else { item }]);
        let mask = match (&output, norm.rectify) {
            (_, false) => Mask::None,
            (Some(output), true) => Mask::Output(part(output)),
            (None, true) => {
                let (scale, offset) = moments.affine(weight[channel], bias[channel], norm.eps);
                Mask::Affine(scale, offset)
            }
        };
        let inverse = moments.inverse(norm.eps);
        let (dbias, product) = pass::run(level, Sums { dy: &mut *dy, x: &x, mask, mean: T::narrow(moments.mean) });
        let dweight = product * inverse;
        let means = if layer.constant { [0.0; 2] } else { [dbias, inverse * dweight].map(|s| s / (n * plane) as f64) };
        let coefficients = [weight[channel].wide() * inverse, means[0], means[1], moments.mean].map(T::narrow);
        let add = dx.is_some() && add[channels.place(channel).0];
        pass::run(level, Propagate { dy, dx, add, x: &x, coefficients });
        (dweight, dbias)
    };
    let items = dy.par_chunks_mut(n).with_min_len(layer.joined());
    let sums = if dx.is_empty() {
        items_in_order(items.enumerate().map(|(i, dy)| item(i, dy, None)))
    } else {
        items_in_order(items.zip(dx.par_chunks_mut(n)).enumerate().map(|(i, (dy, dx))| item(i, dy, Some(dx))))
    };
    let total = |f: fn(&(f64, f64)) -> f64| {
        let channel = |items: &[(f64, f64)]| T::narrow(items.iter().map(f).sum());
        tape::tensor::<T>(sums.chunks(norm.groups).map(channel).collect(), [count])
    };
    let (dweight, dbias) = (total(|s| s.0), total(|s| s.1));
    let (dx, dr) = match targets.pop() {
        None => (grad, None),
        Some(last) => (last.tensor, residual.then_some(grad)),
    };
    if let Some(gathered) = gathered {
        let mut gathered = gathered.lock().unwrap_or_else(PoisonError::into_inner);
        for (place, target) in gathered.iter_mut().zip(targets) {
            *place = Some(target.tensor);
        }
    }
    [Some(dx), Some(dweight), Some(dbias), dr]
}

/// Where the gradient of a piece goes.
struct Targets {
    tensor: FlexTensor,
    channels: usize,
    /// Whether it already has the gradients of other layers.
    add: bool,
}

impl Targets {
    fn of(layer: &Layer, gathered: Option<&Gathered>) -> Vec<Self> {
        let mut gathered = gathered.map(|g| g.lock().unwrap_or_else(PoisonError::into_inner));
        let target = |(i, piece): (usize, &FlexTensor)| {
            let [b, channels, h, w] = tape::dims(piece);
            let found = gathered.as_mut().and_then(|g| g[i].take());
            let add = found.is_some();
            let new = || match piece.dtype() {
                DType::F32 => Buffer::<f32>::stale(b * channels * h * w).into_tensor([b, channels, h, w]),
                _ => Buffer::<f64>::stale(b * channels * h * w).into_tensor([b, channels, h, w]),
            };
            Self { tensor: found.unwrap_or_else(new), channels, add }
        };
        layer.pieces.iter().enumerate().map(target).collect()
    }

    fn planes<T: Real>(&mut self, plane: usize) -> Vec<&mut [T]> {
        by_channel(self.tensor.storage_mut(), self.channels, plane)
    }
}
