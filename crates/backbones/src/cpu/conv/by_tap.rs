//! The gradient of the weight as one plain product for every tap: `dw[o, c] = Σ grad[position, o] · x[pixel(position), c]`.
//!
//! Both factors are turned so that channels follow one another, which pays where there are many of them.

use std::ops::Range;

use rayon::prelude::*;

use super::geometry::Geometry;
use crate::cpu::{
    Real,
    kernel::{Columns, Kernels, Run},
    memory::Buffer,
};

/// Positions multiplied at a time, so that their pixels stay in the first cache.
const DEPTH: usize = 256;
/// Tasks aimed at, and channels of the output that one should have.
const TASKS: usize = 16;
const CHANNELS: usize = 32;
const FEW: usize = 512;

/// Whether input channels are whole vectors.
pub(super) fn applies<T>(g: &Geometry, kernels: &Kernels<T>) -> bool {
    g.input.is_multiple_of(kernels.lanes) && g.input > 0 && g.output > 0 && g.batch > 0
}

/// Whether positions are so few that sums over vectors of them cost more than turning both factors (measured).
pub(super) fn pays(g: &Geometry) -> bool {
    g.batch * g.positions() <= FEW
}

/// `dw[Co, Ci, kH, kW]` of `x[B, Ci, H, W]` and the gradient `[B, Co, H', W']` of the output.
///
/// Divided by channels of output and input; every element is one sum in one order, whoever computes it.
pub(super) fn weight_grad<T: Real>(g: &Geometry, x: &[T], grad: &[T], kernels: &Kernels<T>) -> Buffer<T> {
    let taps: Vec<usize> = (0..g.taps()).filter(|tap| g.meets([tap / g.kernel[1], tap % g.kernel[1]])).collect();
    if taps.is_empty() {
        return Buffer::zeroed(g.output * g.depth());
    }
    let pixels = pixels(g, x, kernels);
    let grads = panels(g, grad, kernels);
    let starts: Vec<Vec<usize>> = taps.iter().map(|tap| starts(g, *tap)).collect();
    let vectors = g.input / kernels.lanes;
    let blocks = vectors.div_ceil(kernels.width);
    let start = |i: usize| i * vectors / blocks * kernels.lanes;
    let panels = g.output.div_ceil(kernels.rows);
    let splits = TASKS.div_ceil(blocks).min(g.output.div_ceil(CHANNELS));
    let together = panels.div_ceil(splits);
    let splits = panels.div_ceil(together);
    let work = Work { kernels, pixels, grads, starts, positions: g.batch * g.positions() };
    let sums: Vec<Buffer<T>> = (0..blocks * splits)
        .into_par_iter()
        .map(|task| {
            let (block, first) = (task / splits, task % splits * together);
            work.sums(start(block)..start(block + 1), first..panels.min(first + together))
        })
        .collect();
    let mut dw = Buffer::zeroed(g.output * g.depth());
    let rows = together * kernels.rows;
    dw.par_chunks_exact_mut(g.depth()).enumerate().for_each(|(row, dw)| {
        let (split, row) = (row / rows, row % rows);
        for block in 0..blocks {
            let sums = &sums[block * splits + split];
            let (first, width) = (start(block), start(block + 1) - start(block));
            let of_tap = sums.len() / taps.len();
            let dw = &mut dw[first * g.taps()..][..width * g.taps()];
            if g.taps() == 1 {
                dw.copy_from_slice(&sums[row * width..][..width]);
                continue;
            }
            if taps.len() == g.taps() {
                // One row of every tap, turned.
                kernels.transpose(&sums[row * width..], of_tap, dw, g.taps(), [taps.len(), width]);
                continue;
            }
            for (sums, tap) in sums[row * width..].chunks(of_tap).zip(&taps) {
                dw[*tap..].iter_mut().step_by(g.taps()).zip(&sums[..width]).for_each(|(dw, sum)| *dw = *sum);
            }
        }
    });
    dw
}

/// `[pixel, channel]` of all images, and a pixel of zeros behind them.
fn pixels<T: Real>(g: &Geometry, x: &[T], kernels: &Kernels<T>) -> Buffer<T> {
    let size = g.height * g.width;
    let mut pixels = Buffer::scratch((g.batch * size + 1) * g.input);
    pixels[g.batch * size * g.input..].fill(T::zero());
    pixels.par_chunks_exact_mut(size * g.input).enumerate().for_each(|(n, pixels)| {
        if n < g.batch {
            kernels.transpose(&x[n * size * g.input..], size, pixels, g.input, [g.input, size]);
        }
    });
    pixels
}

/// `[panel, position, row of the panel]` of the output's gradient.
fn panels<T: Real>(g: &Geometry, grad: &[T], kernels: &Kernels<T>) -> Buffer<T> {
    let (rows, size) = (kernels.rows, g.positions());
    let panel = g.batch * size * rows;
    let mut panels = Buffer::scratch(g.output.div_ceil(rows) * panel);
    panels.par_chunks_exact_mut(panel).enumerate().for_each(|(p, panel)| {
        let used = rows.min(g.output - p * rows);
        for (n, to) in panel.chunks_exact_mut(size * rows).enumerate() {
            kernels.transpose(&grad[(n * g.output + p * rows) * size..], size, to, rows, [used, size]);
        }
    });
    panels
}

/// Where the pixels under a tap begin, for all positions.
fn starts(g: &Geometry, tap: usize) -> Vec<usize> {
    let side = |position: usize, tap: usize, pixels: usize| {
        (position * g.stride + tap).checked_sub(g.padding).filter(|pixel| *pixel < pixels)
    };
    let of_position = |at: usize| {
        let (n, y, x) = (at / g.positions(), at / g.out_width % g.out_height, at % g.out_width);
        let pixel = side(y, tap / g.kernel[1], g.height).zip(side(x, tap % g.kernel[1], g.width));
        pixel.map_or(g.batch * g.height * g.width, |(y, x)| (n * g.height + y) * g.width + x) * g.input
    };
    (0..g.batch * g.positions()).map(of_position).collect()
}

/// What all tasks read.
struct Work<'a, T: Real> {
    kernels: &'a Kernels<T>,
    pixels: Buffer<T>,
    grads: Buffer<T>,
    starts: Vec<Vec<usize>>,
    positions: usize,
}

impl<T: Real> Work<'_, T> {
    /// `[tap, output channel, input channel]`.
    fn sums(&self, channels: Range<usize>, panels: Range<usize>) -> Buffer<T> {
        let Self { kernels, pixels, grads, starts, positions } = self;
        let (width, height) = (channels.len(), kernels.rows);
        let mut sums = Buffer::scratch(starts.len() * panels.len() * height * width);
        let mut packed = Buffer::scratch(DEPTH.min(*positions) * width);
        let run = |column: usize| Run { column, source: column };
        let runs: Vec<Run> = (0..width).step_by(kernels.lanes).map(run).collect();
        for (starts, sums) in starts.iter().zip(sums.chunks_exact_mut(panels.len() * height * width)) {
            for (d, starts) in starts.chunks(DEPTH).enumerate() {
                kernels.copy(&mut packed, width, starts, &runs, &pixels[channels.start..]);
                let columns = Columns::new((0..starts.len()).map(|i| (d * DEPTH + i) * height).collect(), 1);
                for (panel, sums) in panels.clone().zip(sums.chunks_exact_mut(height * width)) {
                    let grads = &grads[panel * positions * height..];
                    kernels.tile(sums, width, (grads, &columns), &packed, width, d > 0);
                }
            }
        }
        sums
    }
}
