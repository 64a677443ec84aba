//! The output and the gradient of the input: products of weights and patches.
//!
//! Patches of a strip of positions are packed as the kernel reads them and multiplied with all weights while they are
//! near. A result goes straight to its image where whole vectors of it lie there, else through a buffer.

use std::ops::Range;

use rayon::prelude::*;

use super::{factor, factor::Factor, geometry::Geometry, shifts::Shifts};
use crate::cpu::{
    Real,
    kernel::Kernels,
    memory::{Buffer, Values},
    simd::Level,
};

/// Rows of a patch packed together, so that those of a strip stay in the first cache.
const DEPTH: usize = 256;
/// Positions packed and summed together, so that the weights of a block serve several strips.
const NEAR: usize = 192;
/// Positions from which copying the transposed weight pays.
const WORTH_PACKING: usize = 1024;
/// Positions of a task: enough to waste little of the last strip.
const POSITIONS: usize = 384;
/// Tasks below which channels are divided too, and channels that a task should have, lest patches be packed too often; half
/// as many where one task is all there would be.
const TASKS: usize = 8;
const CHANNELS: usize = 128;

/// `out[B, Co, H', W']` of `x[B, Ci, H, W]` and `weight[Co, Ci, kH, kW]`.
pub(super) fn forward<T: Real>(g: &Geometry, x: &[T], weight: &[T], level: Level) -> Buffer<T> {
    let sets = vec![Shifts::forward(g)];
    let mut out = unfilled(g.batch * g.output * g.positions(), g.positions(), &sets);
    let target = Target { channels: g.output, height: g.out_height, width: g.out_width };
    product(&T::kernels(level), sets, [g.depth(), g.taps()], weight, x, target, &mut out);
    out
}

/// `dx[B, Ci, H, W]` of the gradient `[B, Co, H', W']` of the output.
pub(super) fn input_grad<T: Real>(g: &Geometry, weight: &[T], grad: &[T], level: Level) -> Buffer<T> {
    let sets = Shifts::backward(g);
    let mut dx = unfilled(g.batch * g.input * g.height * g.width, g.height * g.width, &sets);
    let target = Target { channels: g.input, height: g.height, width: g.width };
    product(&T::kernels(level), sets, [g.taps(), g.depth()], weight, grad, target, &mut dx);
    dx
}

/// Memory of a result whose planes have `plane` pixels. What no tap reaches stays zero, as with a stride beyond the kernel.
fn unfilled<T: Real>(len: usize, plane: usize, sets: &[Shifts]) -> Buffer<T> {
    let reached: usize = sets.iter().filter(|set| !set.taps.is_empty()).map(Shifts::positions).sum();
    if reached == plane { Buffer::stale(len) } else { Buffer::zeroed(len) }
}

/// An image of the result.
#[derive(Clone, Copy)]
struct Target {
    channels: usize,
    height: usize,
    width: usize,
}

/// Divided by images and channels of the result; every element is one sum in one order, whoever computes it. Weights of
/// two rows, and of two channels of the source, are `distances` apart.
fn product<T: Real>(
    kernels: &Kernels<T>,
    sets: Vec<Shifts>,
    distances: [usize; 2],
    weight: &[T],
    source: &[T],
    target: Target,
    out: &mut [T],
) {
    let size = target.height * target.width;
    let positions = sets.iter().map(Shifts::positions).max().unwrap_or(0);
    if positions == 0 || out.is_empty() || weight.is_empty() {
        out.fill(T::zero());
        return;
    }
    let batch = out.len() / (target.channels * size);
    let group = POSITIONS.div_ceil(positions).min(batch);
    let groups = batch.div_ceil(group);
    let fewest = if groups == 1 && target.channels <= CHANNELS { CHANNELS / 2 } else { CHANNELS };
    let splits = TASKS.div_ceil(groups).min(target.channels.div_ceil(fewest));
    let channels = target.channels.div_ceil(splits).next_multiple_of(kernels.rows);
    let splits = target.channels.div_ceil(channels);
    let sets: Vec<Shifts> = sets.into_iter().filter(|s| !s.taps.is_empty()).collect();
    // Neighbouring columns of the transposed weight lie far apart, the more so with a stride, which skips taps.
    let worth = WORTH_PACKING / if sets.iter().any(|s| s.step > 1) { 4 } else { 1 };
    let packed = (batch * positions >= worth && distances[1] > distances[0])
        .then(|| factor::pack(weight, target.channels, distances, &sets, kernels));
    let mut all = Vec::with_capacity(sets.len());
    for (i, shifts) in sets.iter().enumerate() {
        let starts = shifts.weights(distances[1]);
        let block = starts.len().div_ceil(starts.len().div_ceil(DEPTH));
        let factor = match &packed {
            Some(packed) => Factor::packed(packed, &sets, i, block, kernels),
            None => Factor::in_place(weight, target.channels, distances[0], &starts, block, kernels),
        };
        // Tasks over the same images share their planes.
        let planes = (splits > 1).then(|| shifts.all_planes(source));
        all.push(Set { shifts, factor, planes });
    }
    let mut tasks: Vec<Vec<&mut [T]>> = (0..groups * splits).map(|_| Vec::new()).collect();
    for (n, image) in out.chunks_exact_mut(target.channels * size).enumerate() {
        for (split, part) in image.chunks_mut(channels * size).enumerate() {
            tasks[n / group * splits + split].push(part);
        }
    }
    tasks.into_par_iter().enumerate().for_each_init(Buffers::default, |buffers, (task, out)| {
        let (first, split) = (task / splits * group, task % splits);
        let images = first..first + out.len();
        let rows = split * channels..((split + 1) * channels).min(target.channels);
        let mut task = Task { kernels, images, rows, target, out };
        for set in &all {
            task.run(set, source, buffers);
        }
    });
}

/// One set of shifts with its weights.
struct Set<'a, T: Real> {
    shifts: &'a Shifts,
    factor: Factor<'a, T>,
    planes: Option<Values<'a, T>>,
}

/// Some channels of some images of the result.
struct Task<'a, T> {
    kernels: &'a Kernels<T>,
    images: Range<usize>,
    rows: Range<usize>,
    target: Target,
    /// The channels of every image.
    out: Vec<&'a mut [T]>,
}

struct Buffers<T> {
    planes: Buffer<T>,
    patches: Buffer<T>,
    sums: Buffer<T>,
}

impl<T: Real> Default for Buffers<T> {
    fn default() -> Self {
        Self { planes: Buffer::default(), patches: Buffer::default(), sums: Buffer::default() }
    }
}

impl<T: Real> Task<'_, T> {
    fn run(&mut self, set: &Set<T>, source: &[T], buffers: &mut Buffers<T>) {
        let Set { shifts, factor, planes } = set;
        let (kernels, lanes) = (self.kernels, self.kernels.lanes);
        let channels = shifts.source[0];
        let planes = match planes {
            Some(all) => shifts.of(all, &self.images, &(0..channels)),
            None => shifts.planes(source, self.images.clone(), 0..channels, &mut buffers.planes),
        };
        let depths = shifts.all(channels);
        let width = kernels.width * lanes;
        let together = NEAR / width;
        let panels = self.rows.start / kernels.rows..self.rows.end.div_ceil(kernels.rows);
        let tile = kernels.rows * width;
        let size = self.target.height * self.target.width;
        // One vector more for the last run of a strip.
        let pitch = factor.blocks[0].len() * width + lanes;
        buffers.patches.grow(together * pitch);
        buffers.sums.grow(together * panels.len() * tile);
        let mut runs = Vec::new();
        let all_strips = strips(self.images.len(), shifts.positions(), width, lanes);
        // Strips of one width together.
        for strips in all_strips
            .chunk_by(|a, b| a.len().div_ceil(lanes) == b.len().div_ceil(lanes))
            .flat_map(|s| s.chunks(together))
        {
            let width = strips[0].len().next_multiple_of(lanes);
            runs.clear();
            for (i, strip) in strips.iter().enumerate() {
                shifts.runs(strip.clone(), planes.image, lanes, i * pitch, &mut runs);
            }
            let mut row = 0;
            for columns in &factor.blocks {
                kernels.copy(&mut buffers.patches, width, &depths[row..row + columns.len()], &runs, planes.data);
                let sums = buffers.sums.chunks_exact_mut(panels.len() * tile);
                for ((strip, sums), patches) in strips.iter().zip(sums).zip(buffers.patches.chunks_exact(pitch)) {
                    let direct = self.direct(shifts, strip);
                    for (panel, sums) in panels.clone().zip(sums.chunks_exact_mut(tile)) {
                        let weight = (factor.panel(panel), columns);
                        let first = panel * kernels.rows - self.rows.start;
                        if direct && first + kernels.rows <= self.rows.len() {
                            let out = &mut self.out[strip.start / size][first * size + strip.start % size..];
                            kernels.tile(out, size, weight, patches, width, row > 0);
                        } else {
                            kernels.tile(sums, width, weight, patches, width, row > 0);
                        }
                    }
                }
                row += columns.len();
            }
            for (strip, sums) in strips.iter().zip(buffers.sums.chunks_exact(panels.len() * tile)) {
                self.write(shifts, strip.clone(), sums);
            }
        }
    }

    /// Whether the target is the grid, so that positions follow one another over whole images.
    fn whole(&self, shifts: &Shifts) -> bool {
        shifts.step == 1 && shifts.grid == [self.target.height, self.target.width]
    }

    /// Whether a strip is full vectors of one image, which are summed where they belong.
    fn direct(&self, shifts: &Shifts, strip: &Range<usize>) -> bool {
        let size = self.target.height * self.target.width;
        let full = strip.len().is_multiple_of(self.kernels.lanes) && strip.start / size == (strip.end - 1) / size;
        full && self.whole(shifts)
    }

    /// Writes the sums of one strip to the images, unless they are there.
    fn write(&mut self, shifts: &Shifts, strip: Range<usize>, sums: &[T]) {
        let (height, tile) = (self.kernels.rows, self.kernels.rows * self.kernels.width * self.kernels.lanes);
        let width = strip.len().next_multiple_of(self.kernels.lanes);
        let size = self.target.height * self.target.width;
        let whole = self.whole(shifts);
        let done = if self.direct(shifts, &strip) { self.rows.len() / height * height } else { 0 };
        let mut column = strip.start;
        while column < strip.end {
            let (image, length, to) = if whole {
                let (image, at) = (column / size, column % size);
                (image, (strip.end - column).min(size - at), at)
            } else {
                let line = shifts.lines(column..strip.end).next().expect("the strip has a column left");
                let y = shifts.first[0] + line.y * shifts.step;
                (line.image, line.length, y * self.target.width + shifts.first[1] + line.x * shifts.step)
            };
            for (row, out) in self.out[image].chunks_exact_mut(size).enumerate().skip(done) {
                let from = &sums[row / height * tile + row % height * width + column - strip.start..][..length];
                if shifts.step == 1 {
                    out[to..to + length].copy_from_slice(from);
                } else {
                    for (out, from) in out[to..].iter_mut().step_by(shifts.step).zip(from) {
                        *out = *from;
                    }
                }
            }
            column += length;
        }
    }
}

/// All positions of `images` in strips of at most `width`; cut at the end of an image where that wastes no lanes.
fn strips(images: usize, positions: usize, width: usize, lanes: usize) -> Vec<Range<usize>> {
    let (parts, length) = if positions.is_multiple_of(lanes) { (images, positions) } else { (1, images * positions) };
    let of_part = |part: usize| {
        let end = (part + 1) * length;
        (part * length..end).step_by(width).map(move |first| first..end.min(first + width))
    };
    (0..parts).flat_map(of_part).collect()
}
