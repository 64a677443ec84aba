//! The update rules on GPUs, for all tensors of a network in a few launches.
//!
//! An element goes through the operations of `Rule::by_tensors` in the same order.

use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::{
    flat::{Item, Launch, launches, new_like, vectors},
    tape,
};

/// Gradient descent with momentum.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sgd {
    pub(crate) momentum: f64,
    pub(crate) nesterov: bool,
    pub(crate) lr: f64,
    pub(crate) decay: f64,
    /// Whether there is no buffer yet: it becomes the gradient.
    pub(crate) first: bool,
}

/// New weights and buffers of weights, gradients and buffers (any tensors where there are none yet).
#[allow(unsafe_code)]
pub(crate) fn sgd(sgd: Sgd, tensors: Vec<[CubeTensor; 3]>) -> Vec<[CubeTensor; 2]> {
    let results: Vec<[CubeTensor; 2]> = tensors.iter().map(|[weight, ..]| [(); 2].map(|()| new_like(weight))).collect();
    for launch in launches(items(tensors, &results)) {
        let mut sequence = SequenceArg::new();
        for (item, span) in &launch.items {
            let [w, g, b, new_w, new_b] = arguments(item);
            sequence.push(SgdItemLaunch::new(w, g, b, new_w, new_b, span.from, span.to, span.length));
        }
        let Sgd { momentum, nesterov, lr, decay, first } = sgd;
        // SAFETY: an item's vectors lie within its buffers, which have its length.
        unsafe {
            sgd_all::launch_unchecked(
                &launch.client,
                launch.cube_count(),
                Launch::cube_dim(),
                launch.vector,
                sequence,
                momentum as f32,
                lr as f32,
                decay as f32,
                first,
                nesterov,
                decay != 0.0,
            );
        }
    }
    results
}

#[derive(CubeType, CubeLaunch)]
struct SgdItem<N: Size> {
    weight: Box<[Vector<f32, N>]>,
    gradient: Box<[Vector<f32, N>]>,
    buffer: Box<[Vector<f32, N>]>,
    new_weight: Box<[Vector<f32, N>]>,
    new_buffer: Box<[Vector<f32, N>]>,
    from: usize,
    to: usize,
    length: usize,
}

#[cube(launch_unchecked)]
fn sgd_all<N: Size>(
    items: Sequence<SgdItem<N>>,
    momentum: f32,
    lr: f32,
    decay: f32,
    #[comptime] first: bool,
    #[comptime] nesterov: bool,
    #[comptime] decayed: bool,
) {
    for mut item in items {
        if CUBE_POS_X as usize >= item.from && (CUBE_POS_X as usize) < item.to {
            let (mut at, end) = vectors(item.from, item.length);
            while at < end {
                let weight = item.weight[at];
                let mut gradient = item.gradient[at];
                if comptime!(decayed) {
                    gradient += weight * Vector::new(decay);
                }
                let mut buffer = gradient;
                if comptime!(!first) {
                    buffer = item.buffer[at] * Vector::new(momentum) + gradient;
                }
                let mut direction = buffer;
                if comptime!(nesterov) {
                    direction = gradient + buffer * Vector::new(momentum);
                }
                item.new_weight[at] = weight - direction * Vector::new(lr);
                item.new_buffer[at] = buffer;
                at += CUBE_DIM as usize;
            }
        }
    }
}

/// Adam and AdamW.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Adam {
    pub(crate) betas: (f64, f64),
    pub(crate) eps: f64,
    pub(crate) lr: f64,
    pub(crate) decay: f64,
    /// Whether weights are decayed by themselves, as in AdamW, and not through the gradient.
    pub(crate) decoupled: bool,
    /// Steps with this one.
    pub(crate) step: u64,
}

/// New weights, means and mean squares of weights, gradients, means and mean squares (any tensors before the first step).
#[allow(unsafe_code)]
pub(crate) fn adam(adam: Adam, tensors: Vec<[CubeTensor; 4]>) -> Vec<[CubeTensor; 3]> {
    let results: Vec<[CubeTensor; 3]> = tensors.iter().map(|[weight, ..]| [(); 3].map(|()| new_like(weight))).collect();
    let Adam { betas: (b1, b2), eps, lr, decay, decoupled, step } = adam;
    let (correction1, correction2) = (1.0 - b1.powf(step as f64), 1.0 - b2.powf(step as f64));
    for launch in launches(items(tensors, &results)) {
        let mut sequence = SequenceArg::new();
        for (item, span) in &launch.items {
            let [w, g, m, v, new_w, new_m, new_v] = arguments(item);
            sequence.push(AdamItemLaunch::new(w, g, m, v, new_w, new_m, new_v, span.from, span.to, span.length));
        }
        // SAFETY: an item's vectors lie within its buffers, which have its length.
        unsafe {
            adam_all::launch_unchecked(
                &launch.client,
                launch.cube_count(),
                Launch::cube_dim(),
                launch.vector,
                sequence,
                ConstantsLaunch::new(
                    b1 as f32,
                    (1.0 - b1) as f32,
                    b2 as f32,
                    (1.0 - b2) as f32,
                    (lr / correction1) as f32,
                    correction2.sqrt() as f32,
                    eps as f32,
                    if decoupled { 1.0 - lr * decay } else { decay } as f32,
                ),
                step == 1,
                decay != 0.0 && decoupled,
                decay != 0.0 && !decoupled,
            );
        }
    }
    results
}

#[derive(CubeType, CubeLaunch)]
struct AdamItem<N: Size> {
    weight: Box<[Vector<f32, N>]>,
    gradient: Box<[Vector<f32, N>]>,
    mean: Box<[Vector<f32, N>]>,
    square: Box<[Vector<f32, N>]>,
    new_weight: Box<[Vector<f32, N>]>,
    new_mean: Box<[Vector<f32, N>]>,
    new_square: Box<[Vector<f32, N>]>,
    from: usize,
    to: usize,
    length: usize,
}

/// Numbers of a step of Adam.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
struct Constants {
    beta1: f32,
    rest1: f32,
    beta2: f32,
    rest2: f32,
    rate: f32,
    root: f32,
    eps: f32,
    /// What the weight is multiplied by (decoupled), or is multiplied by and added to the gradient.
    decay: f32,
}

#[cube(launch_unchecked)]
fn adam_all<N: Size>(
    items: Sequence<AdamItem<N>>,
    of: Constants,
    #[comptime] first: bool,
    #[comptime] shrink: bool,
    #[comptime] decayed: bool,
) {
    for mut item in items {
        if CUBE_POS_X as usize >= item.from && (CUBE_POS_X as usize) < item.to {
            let (mut at, end) = vectors(item.from, item.length);
            while at < end {
                let mut weight = item.weight[at];
                let mut gradient = item.gradient[at];
                if comptime!(shrink) {
                    weight *= Vector::new(of.decay);
                }
                if comptime!(decayed) {
                    gradient += weight * Vector::new(of.decay);
                }
                let mut mean = gradient * Vector::new(of.rest1);
                let mut square = gradient * gradient * Vector::new(of.rest2);
                if comptime!(!first) {
                    mean += item.mean[at] * Vector::new(of.beta1);
                    square += item.square[at] * Vector::new(of.beta2);
                }
                let denominator = square.sqrt() / Vector::new(of.root) + Vector::new(of.eps);
                item.new_weight[at] = weight - mean / denominator * Vector::new(of.rate);
                item.new_mean[at] = mean;
                item.new_square[at] = square;
                at += CUBE_DIM as usize;
            }
        }
    }
}

fn items<const A: usize, const B: usize>(read: Vec<[CubeTensor; A]>, written: &[[CubeTensor; B]]) -> Vec<Item> {
    let both = read.into_iter().zip(written);
    both.map(|(read, written)| Item { buffers: read.into_iter().chain(written.iter().cloned()).collect() }).collect()
}

fn arguments<const N: usize>(item: &Item) -> [BufferArg; N] {
    std::array::from_fn(|i| tape::argument(&item.buffers[i]))
}
