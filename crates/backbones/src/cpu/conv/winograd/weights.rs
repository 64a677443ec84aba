//! The mapped weights as the kernel reads them.

use std::ops::Range;

use rayon::prelude::*;

use super::{POINTS, WHOLE, blocks, squares};
use crate::cpu::{
    Real,
    conv::{geometry::Geometry, scratch::Scratch},
    kernel::{Kernels, Transform},
};

const TAPS: usize = 9;

/// `[block, 16, channel of the source, channel of the result]`, with the channels of the result in blocks.
pub(super) struct Weights<T: Real> {
    values: Scratch<T>,
    pub(super) blocks: Vec<Range<usize>>,
    /// Channels of the source.
    pub(super) depth: usize,
}

impl<T: Real> Weights<T> {
    /// From the input to the output.
    pub(super) fn forward(g: &Geometry, weight: &[T], kernels: &Kernels<T>) -> Self {
        let taps = std::array::from_fn(|tap| tap);
        Self::map(weight, [g.output, g.input], [g.depth(), TAPS], taps, kernels)
    }

    /// From the gradient of the output to that of the input: taps in reverse.
    pub(super) fn backward(g: &Geometry, weight: &[T], kernels: &Kernels<T>) -> Self {
        let taps = std::array::from_fn(|tap| TAPS - 1 - tap);
        Self::map(weight, [g.input, g.output], [TAPS, g.depth()], taps, kernels)
    }

    /// Weights of two channels of the result, and of two of the source, are `distances` apart.
    fn map(
        weight: &[T],
        [channels, depth]: [usize; 2],
        distances: [usize; 2],
        taps: [usize; TAPS],
        kernels: &Kernels<T>,
    ) -> Self {
        let blocks = blocks(0..channels, kernels);
        let lengths = blocks.iter().map(|block| POINTS * point(depth, block.len()));
        let mut values = Scratch::new(lengths.sum());
        let mut rest: &mut [T] = &mut values;
        let mut parts = Vec::new();
        for block in &blocks {
            let part;
            (part, rest) = rest.split_at_mut(POINTS * point(depth, block.len()));
            parts.push((block, part));
        }
        parts.into_par_iter().for_each(|(block, to)| {
            let width = block.len();
            let mut turned = vec![T::zero(); WHOLE * TAPS * width];
            let starts: Vec<usize> = (0..WHOLE).flat_map(|c| taps.map(|tap| (c * TAPS + tap) * width)).collect();
            let ends = squares(WHOLE, point(depth, width), width);
            for first in (0..depth).step_by(WHOLE) {
                let from = &weight[block.start * distances[0] + first * distances[1]..];
                if distances[1] == TAPS {
                    kernels.transpose(from, distances[0], &mut turned, width, [width, WHOLE * TAPS]);
                } else {
                    for (c, turned) in turned.chunks_exact_mut(TAPS * width).enumerate() {
                        kernels.transpose(&from[c * distances[1]..], distances[0], turned, width, [width, TAPS]);
                    }
                }
                kernels.transform(Transform::Weight, (&turned, &starts), (&mut to[first * width..], &ends), width);
            }
        });
        Self { values, blocks, depth }
    }

    /// Channels of the result.
    pub(super) fn channels(&self) -> usize {
        self.blocks.last().map_or(0, |b| b.end)
    }

    /// One block: its channels, and for each of 16 points `[channel of the source, channel of the block]`.
    pub(super) fn block(&self, block: usize) -> (Range<usize>, impl Iterator<Item = &[T]>) {
        let length = |block: &Range<usize>| point(self.depth, block.len());
        let start: usize = self.blocks[..block].iter().map(|b| POINTS * length(b)).sum();
        let range = self.blocks[block].clone();
        let length = length(&range);
        (range, self.values[start..].chunks_exact(length).take(POINTS))
    }
}

/// Distance of points of a block: a few elements more, lest all 16 begin at one place of the cache.
fn point(depth: usize, width: usize) -> usize {
    depth * width + WHOLE
}
