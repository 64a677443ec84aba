//! The mapped weights as the kernel reads them.

use std::ops::Range;

use rayon::prelude::*;

use super::{POINTS, WHOLE, blocks, squares};
use crate::cpu::{
    Real,
    conv::geometry::Geometry,
    kernel::{Kernels, Transform},
    memory::Buffer,
};

const TAPS: usize = 9;

/// The weights between a source and a result, and, mapped, `[block, 16, channel of the source, channel of the result]`, with the
/// channels of the result in blocks.
pub(super) struct Weights<'a, T: Real> {
    weight: &'a [T],
    /// Of two channels of the result, and of two of the source.
    distances: [usize; 2],
    taps: [usize; TAPS],
    pub(super) blocks: Vec<Range<usize>>,
    /// Channels of the source.
    pub(super) depth: usize,
    mapped: Option<Buffer<T>>,
}

impl<'a, T: Real> Weights<'a, T> {
    /// From the input to the output.
    pub(super) fn forward(g: &Geometry, weight: &'a [T], kernels: &Kernels<T>) -> Self {
        let (taps, blocks) = (std::array::from_fn(|tap| tap), blocks(0..g.output, kernels));
        Self { weight, distances: [g.depth(), TAPS], taps, blocks, depth: g.input, mapped: None }
    }

    /// From the gradient of the output to that of the input: taps in reverse.
    pub(super) fn backward(g: &Geometry, weight: &'a [T], kernels: &Kernels<T>) -> Self {
        let (taps, blocks) = (std::array::from_fn(|tap| TAPS - 1 - tap), blocks(0..g.input, kernels));
        Self { weight, distances: [TAPS, g.depth()], taps, blocks, depth: g.output, mapped: None }
    }

    /// Channels of the result.
    pub(super) fn channels(&self) -> usize {
        self.blocks.last().map_or(0, |b| b.end)
    }

    /// Elements of a mapped block.
    fn length(&self, block: &Range<usize>) -> usize {
        POINTS * point(self.depth, block.len())
    }

    /// Maps all blocks, for several tasks to use.
    pub(super) fn map(&mut self, kernels: &Kernels<T>) {
        let mut mapped = Buffer::scratch(self.blocks.iter().map(|block| self.length(block)).sum());
        let mut rest: &mut [T] = &mut mapped;
        let mut parts = Vec::new();
        for block in &self.blocks {
            let part;
            (part, rest) = rest.split_at_mut(self.length(block));
            parts.push((block, part));
        }
        parts.into_par_iter().for_each(|(block, to)| self.map_block(block, to, kernels));
        self.mapped = Some(mapped);
    }

    fn map_block(&self, block: &Range<usize>, to: &mut [T], kernels: &Kernels<T>) {
        let (width, depth, distances) = (block.len(), self.depth, self.distances);
        let mut turned = Buffer::scratch(WHOLE * TAPS * width);
        let starts: Vec<usize> = (0..WHOLE).flat_map(|c| self.taps.map(|tap| (c * TAPS + tap) * width)).collect();
        let ends = squares(WHOLE, point(depth, width), width);
        for first in (0..depth).step_by(WHOLE) {
            let from = &self.weight[block.start * distances[0] + first * distances[1]..];
            if distances[1] == TAPS {
                kernels.transpose(from, distances[0], &mut turned, width, [width, WHOLE * TAPS]);
            } else {
                for (c, turned) in turned.chunks_exact_mut(TAPS * width).enumerate() {
                    kernels.transpose(&from[c * distances[1]..], distances[0], turned, width, [width, TAPS]);
                }
            }
            kernels.transform(Transform::Weight, (&turned, &starts), (&mut to[first * width..], &ends), width);
        }
    }

    /// One block: its channels, and for each of 16 points `[channel of the source, channel of the block]`, from
    /// what [`Self::map`] left or else mapped into `buffer`.
    pub(super) fn block<'b>(
        &'b self,
        block: usize,
        buffer: &'b mut Buffer<T>,
        kernels: &Kernels<T>,
    ) -> (Range<usize>, impl Iterator<Item = &'b [T]>) {
        let range = self.blocks[block].clone();
        let length = self.length(&range);
        let mapped = match &self.mapped {
            Some(mapped) => &mapped[self.blocks[..block].iter().map(|b| self.length(b)).sum()..],
            None => {
                buffer.grow(length);
                self.map_block(&range, &mut buffer[..length], kernels);
                &buffer[..]
            }
        };
        (range, mapped[..length].chunks_exact(length / POINTS))
    }
}

/// Distance of points of a block: a few elements more, lest all 16 begin at one place of the cache.
fn point(depth: usize, width: usize) -> usize {
    depth * width + WHOLE
}
