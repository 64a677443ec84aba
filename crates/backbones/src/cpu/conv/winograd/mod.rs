//! Winograd's convolution `F(2x2, 3x3)` for 3x3 kernels of stride 1 and padding 1: 16 products where 36 are multiplied directly.
//!
//! Channels are the vectors' elements: pixels of a group of tiles are turned to `[pixel, channel]` and mapped to `[16, tile,
//! channel]` ([`tiles`]), multiplied with the mapped weights ([`weights`]) and mapped back. The gradient of the weight
//! ([`weight_grad`]) sums over tiles in between.

mod tiles;
mod weight_grad;
mod weights;

use std::ops::Range;

use rayon::prelude::*;

use super::geometry::Geometry;
use crate::cpu::{
    Real,
    kernel::{Columns, Kernels, Transform},
    memory::Buffer,
};
use tiles::{Group, Tiles};
pub(super) use weight_grad::weight_grad;
use weights::Weights;

/// Products of a tile.
const POINTS: usize = 16;
/// Channels come in multiples of this, which is whole vectors of every instruction set.
const WHOLE: usize = 16;
/// Tasks aimed at.
const TASKS: usize = 8;
/// Tiles of a task, and at least this many for every channel that the weights of a task are read for.
const TILES: usize = 96;
const FEWEST: usize = 32;
/// Channels of the result that a task should have.
const CHANNELS: usize = 128;
/// Rows of weights multiplied at a time, so that they stay in the first cache.
const DEPTH: usize = 256;

/// Whether a layer has the form: 3x3, stride 1, padding 1, channels in whole vectors.
pub(super) fn applies(g: &Geometry) -> bool {
    let form = g.kernel == [3, 3] && g.stride == 1 && g.padding == 1 && g.batch * g.positions() > 0;
    let channels = [g.input, g.output];
    form && channels.iter().all(|c| c.is_multiple_of(WHOLE) && *c > 0)
}

/// Whether that is less work for a batch of this size than multiplying directly, in products: those of the tiles, and about
/// as many as could be made while pixels and weights are mapped (measured).
pub(super) fn pays(g: &Geometry, batch: usize) -> bool {
    const OF_PIXELS: usize = 80;
    const OF_WEIGHTS: usize = 200;
    let pairs = g.input * g.output;
    let tiles = batch * g.height.div_ceil(2) * g.width.div_ceil(2);
    let work = tiles * (POINTS * pairs + OF_PIXELS * (g.input + g.output)) + OF_WEIGHTS * pairs;
    // Taps that find only the border are left out.
    let taps = (0..g.taps()).filter(|tap| g.meets([tap / 3, tap % 3])).count();
    work < batch * g.positions() * taps * pairs
}

/// `out[B, Co, H, W]` of `x[B, Ci, H, W]` and `weight[Co, Ci, 3, 3]`.
pub(super) fn forward<T: Real>(g: &Geometry, x: &[T], weight: &[T], kernels: &Kernels<T>) -> Buffer<T> {
    correlate(g, x, Weights::forward(g, weight, kernels), kernels)
}

/// `dx[B, Ci, H, W]` of the gradient `[B, Co, H, W]` of the output.
pub(super) fn input_grad<T: Real>(g: &Geometry, weight: &[T], grad: &[T], kernels: &Kernels<T>) -> Buffer<T> {
    correlate(g, grad, Weights::backward(g, weight, kernels), kernels)
}

/// Divided by groups of tiles and channels of the result; every element is one sum in one order, whoever computes it.
fn correlate<T: Real>(g: &Geometry, source: &[T], mut weights: Weights<T>, kernels: &Kernels<T>) -> Buffer<T> {
    let channels = weights.channels();
    let fewest = (channels / 4).clamp(FEWEST, 4 * FEWEST);
    let tiles = Tiles::new(g, TASKS, [fewest, TILES.max(fewest)]);
    // Where every weight is used by one task, it is mapped there, which spares writing all to memory and reading them again.
    if tiles.groups() > 1 {
        weights.map(kernels);
    }
    let weights = &weights;
    let blocks = weights.blocks.len();
    let splits = TASKS.div_ceil(tiles.groups()).min(channels.div_ceil(CHANNELS));
    let together = blocks.div_ceil(splits);
    let splits = blocks.div_ceil(together);
    let mut out = Buffer::stale(g.batch * channels * g.positions());
    let mut tasks: Vec<Vec<&mut [T]>> = (0..tiles.groups() * splits).map(|_| Vec::new()).collect();
    for (n, image) in out.chunks_exact_mut(channels * g.positions()).enumerate() {
        let mut planes = image.chunks_exact_mut(g.positions());
        for (block, columns) in weights.blocks.iter().enumerate() {
            for plane in planes.by_ref().take(columns.len()) {
                for (piece, part) in plane.chunks_mut(tiles.part()).enumerate() {
                    tasks[tiles.group_of(n, piece) * splits + block / together].push(part);
                }
            }
        }
    }
    tasks.into_par_iter().enumerate().for_each_init(Buffers::default, |buffers, (task, out)| {
        let group = tiles.group(task / splits);
        let first = task % splits * together;
        let blocks = first..blocks.min(first + together);
        Task { kernels, weights, group, blocks, out }.run(source, buffers);
    });
    out
}

/// One group of tiles, some channels of the result.
struct Task<'a, T: Real> {
    kernels: &'a Kernels<T>,
    weights: &'a Weights<'a, T>,
    group: Group,
    blocks: Range<usize>,
    /// The pixels of every image and, within, channel.
    out: Vec<&'a mut [T]>,
}

struct Buffers<T: Real> {
    pixels: Buffer<T>,
    mapped: Buffer<T>,
    weights: Buffer<T>,
    products: Buffer<T>,
    results: Buffer<T>,
    turned: Buffer<T>,
}

impl<T: Real> Default for Buffers<T> {
    fn default() -> Self {
        let [pixels, mapped, weights, products, results, turned] = std::array::from_fn(|_| Buffer::default());
        Self { pixels, mapped, weights, products, results, turned }
    }
}

impl<T: Real> Task<'_, T> {
    fn run(mut self, source: &[T], buffers: &mut Buffers<T>) {
        let (kernels, depth) = (self.kernels, self.weights.depth);
        let tiles = self.group.tiles();
        let rows = tiles.next_multiple_of(kernels.rows);
        // A few elements more, lest the 16 parts begin at one place of the cache.
        let part = rows * depth + WHOLE;
        buffers.mapped.grow(POINTS * part);
        let ends = squares(tiles, part, depth);
        let pixels = self.group.input(depth);
        let to = (&mut *buffers.mapped, ends.as_slice());
        self.group.map(kernels, &pixels, source, (0..depth, depth), to, &mut buffers.pixels);
        let columns: Vec<Columns> = (0..depth)
            .step_by(DEPTH)
            .map(|from| Columns::new((from..depth.min(from + DEPTH)).collect(), depth))
            .collect();
        let length = self.group.length();
        let pixels = length * self.group.images.len();
        // Behind them one that stands for all beyond the edge.
        let turned_row = pixels.next_multiple_of(kernels.lanes);
        let first = self.weights.blocks[self.blocks.start].start;
        let channels = self.weights.blocks[self.blocks.end - 1].end - first;
        let mut tables = [Vec::new(), Vec::new()];
        let mut last = 0;
        for block in self.blocks.clone() {
            let (range, weights) = self.weights.block(block, &mut buffers.weights, kernels);
            let width = range.len();
            let product = rows * width + WHOLE;
            buffers.products.grow(POINTS * product);
            for (f, weights) in weights.enumerate() {
                let to = &mut buffers.products[f * product..][..rows * width];
                for (d, columns) in columns.iter().enumerate() {
                    let weights = &weights[d * DEPTH * width..];
                    for (panel, to) in to.chunks_exact_mut(kernels.rows * width).enumerate() {
                        let from = &buffers.mapped[f * part + panel * kernels.rows * depth..];
                        kernels.tile(to, width, (from, columns), weights, width, d > 0);
                    }
                }
            }
            if width != last {
                tables = [squares(tiles, product, width), self.group.targets(width)];
                last = width;
            }
            let [starts, ends] = &tables;
            buffers.results.grow((turned_row + 1) * width);
            kernels.transform(Transform::Output, (&buffers.products, starts), (&mut buffers.results, ends), width);
            buffers.turned.grow(width * turned_row);
            kernels.transpose(&buffers.results, width, &mut buffers.turned, turned_row, [turned_row, width]);
            for (c, turned) in range.zip(buffers.turned.chunks_exact(turned_row)) {
                for (image, turned) in turned.chunks_exact(length).take(self.group.images.len()).enumerate() {
                    self.out[image * channels + c - first].copy_from_slice(turned);
                }
            }
        }
    }
}

/// Where the points of `count` squares lie in `[16, square, channel]`.
fn squares(count: usize, point: usize, square: usize) -> Vec<usize> {
    (0..count).flat_map(|i| (0..POINTS).map(move |f| f * point + i * square)).collect()
}

/// `channels` in whole vectors and blocks of nearly equal width, as wide as a tile of the kernel at most.
fn blocks<T: Real>(channels: Range<usize>, kernels: &Kernels<T>) -> Vec<Range<usize>> {
    let vectors = channels.len() / kernels.lanes;
    let count = vectors.div_ceil(kernels.width);
    let start = |i: usize| channels.start + i * vectors / count * kernels.lanes;
    (0..count).map(|i| start(i)..start(i + 1)).collect()
}
