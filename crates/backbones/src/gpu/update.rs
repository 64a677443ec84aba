//! The update rules on GPUs, for all tensors of a network in a few launches.
//!
//! An element goes through the operations of `Rule::by_tensors` in the same order.

use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::{
    flat::{Launch, Part, PartLaunch, launches, vectors},
    packed::Packed,
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

/// New weights and buffers of weights, gradients and buffers (none yet at first).
#[allow(unsafe_code)]
pub(crate) fn sgd(sgd: Sgd, weights: &Packed, gradients: &[CubeTensor], buffers: Option<&Packed>) -> [Packed; 2] {
    let results = [(); 2].map(|()| weights.new_like());
    // Any buffer that may be read, where there is none.
    let buffers = buffers.unwrap_or(weights);
    for launch in launches(gradients, 4) {
        let range = weights.range(&launch);
        let [w, b, new_w, new_b] =
            [weights, buffers, &results[0], &results[1]].map(|packed| packed.part(range.clone()));
        let mut sequence = SequenceArg::new();
        for (i, span) in &launch.items {
            let start = (weights.start(*i) - range.start) / launch.vector;
            sequence.push(PartLaunch::new(tape::argument(&gradients[*i]), span.from, span.to, span.length, start));
        }
        let Sgd { momentum, nesterov, lr, decay, first } = sgd;
        // SAFETY: a gradient's vectors lie within it, and the four buffers have a place of its length for it.
        unsafe {
            sgd_all::launch_unchecked(
                &launch.client,
                launch.cube_count(),
                Launch::cube_dim(),
                launch.vector,
                w,
                b,
                new_w,
                new_b,
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

#[cube(launch_unchecked)]
fn sgd_all<N: Size>(
    weights: &[Vector<f32, N>],
    buffers: &[Vector<f32, N>],
    new_weights: &mut [Vector<f32, N>],
    new_buffers: &mut [Vector<f32, N>],
    gradients: Sequence<Part<N>>,
    momentum: f32,
    lr: f32,
    decay: f32,
    #[comptime] first: bool,
    #[comptime] nesterov: bool,
    #[comptime] decayed: bool,
) {
    for part in gradients {
        if CUBE_POS_X as usize >= part.from && (CUBE_POS_X as usize) < part.to {
            let (mut at, end) = vectors(part.from, part.length);
            while at < end {
                let place = part.start + at;
                let weight = weights[place];
                let mut gradient = part.values[at];
                if comptime!(decayed) {
                    gradient += weight * Vector::new(decay);
                }
                let mut buffer = gradient;
                if comptime!(!first) {
                    buffer = buffers[place] * Vector::new(momentum) + gradient;
                }
                let mut direction = buffer;
                if comptime!(nesterov) {
                    direction = gradient + buffer * Vector::new(momentum);
                }
                new_weights[place] = weight - direction * Vector::new(lr);
                new_buffers[place] = buffer;
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

/// New weights, means and mean squares of weights, gradients, means and mean squares (none before the first step).
#[allow(unsafe_code)]
pub(crate) fn adam(adam: Adam, weights: &Packed, gradients: &[CubeTensor], slots: Option<[&Packed; 2]>) -> [Packed; 3] {
    let results = [(); 3].map(|()| weights.new_like());
    let [means, squares] = slots.unwrap_or([weights; 2]);
    let Adam { betas: (b1, b2), eps, lr, decay, decoupled, step } = adam;
    let (correction1, correction2) = (1.0 - b1.powf(step as f64), 1.0 - b2.powf(step as f64));
    for launch in launches(gradients, 6) {
        let range = weights.range(&launch);
        let [w, m, v] = [weights, means, squares].map(|packed| packed.part(range.clone()));
        let [new_w, new_m, new_v] = results.each_ref().map(|packed| packed.part(range.clone()));
        let mut sequence = SequenceArg::new();
        for (i, span) in &launch.items {
            let start = (weights.start(*i) - range.start) / launch.vector;
            sequence.push(PartLaunch::new(tape::argument(&gradients[*i]), span.from, span.to, span.length, start));
        }
        // SAFETY: a gradient's vectors lie within it, and the six buffers have a place of its length for it.
        unsafe {
            adam_all::launch_unchecked(
                &launch.client,
                launch.cube_count(),
                Launch::cube_dim(),
                launch.vector,
                w,
                m,
                v,
                new_w,
                new_m,
                new_v,
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
    weights: &[Vector<f32, N>],
    means: &[Vector<f32, N>],
    squares: &[Vector<f32, N>],
    new_weights: &mut [Vector<f32, N>],
    new_means: &mut [Vector<f32, N>],
    new_squares: &mut [Vector<f32, N>],
    gradients: Sequence<Part<N>>,
    of: Constants,
    #[comptime] first: bool,
    #[comptime] shrink: bool,
    #[comptime] decayed: bool,
) {
    for part in gradients {
        if CUBE_POS_X as usize >= part.from && (CUBE_POS_X as usize) < part.to {
            let (mut at, end) = vectors(part.from, part.length);
            while at < end {
                let place = part.start + at;
                let mut weight = weights[place];
                let mut gradient = part.values[at];
                if comptime!(shrink) {
                    weight *= Vector::new(of.decay);
                }
                if comptime!(decayed) {
                    gradient += weight * Vector::new(of.decay);
                }
                let mut mean = gradient * Vector::new(of.rest1);
                let mut square = gradient * gradient * Vector::new(of.rest2);
                if comptime!(!first) {
                    mean += means[place] * Vector::new(of.beta1);
                    square += squares[place] * Vector::new(of.beta2);
                }
                let denominator = square.sqrt() / Vector::new(of.root) + Vector::new(of.eps);
                new_weights[place] = weight - mean / denominator * Vector::new(of.rate);
                new_means[place] = mean;
                new_squares[place] = square;
                at += CUBE_DIM as usize;
            }
        }
    }
}
