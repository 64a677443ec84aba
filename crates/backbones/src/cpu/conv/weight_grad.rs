//! The gradient of the weight: sums over positions of patches times the output's gradient.

use std::ops::Range;

use rayon::prelude::*;

use super::{geometry::Geometry, planes::Planes, shifts::Shifts};
use crate::cpu::{
    Real,
    kernel::{Columns, Kernels},
    memory::{Buffer, Values},
    simd::Level,
};

/// Positions of a tile: long enough for sums over vectors to cost little, short enough for the first cache.
const POSITIONS: usize = 1024;
/// Positions up to which sums over vectors cost more than turning the patches.
const SHORT: usize = 128;
/// Elements of the output's gradient that a task reads for every few rows of patches: they should stay in the second cache.
const NEAR: usize = 1 << 17;
/// Weights up to which images are divided too, and in how many parts.
const FEW: usize = 1 << 16;
const PARTS: usize = 8;
/// Tasks aimed at.
const TASKS: usize = 16;

/// `dw[Co, Ci, kH, kW]` of `x[B, Ci, H, W]` and the gradient `[B, Co, H', W']` of the output.
///
/// Divided by channels of input and output, and by images where there are few weights; every part is one sum over its
/// tiles in their order, and parts are added in theirs.
pub(super) fn weight_grad<T: Real>(g: &Geometry, x: &[T], grad: &[T], level: Level) -> Buffer<T> {
    let kernels = T::kernels(level);
    let shifts = Shifts::forward(g);
    let mut dw = Buffer::zeroed(g.output * g.depth());
    if shifts.taps.is_empty() || g.batch == 0 || dw.is_empty() {
        return dw;
    }
    let tiles = tiles(g);
    let longest = tiles.iter().map(|t| t.columns.len()).max().unwrap_or(0).next_multiple_of(kernels.lanes);
    let form = Form::new(&kernels, longest <= SHORT);
    let parts = if dw.len() <= FEW { PARTS.min(tiles.len()) } else { 1 };
    // Channels that fill whole groups of rows of patches, and rows that fill whole groups of the gradient's.
    let whole = (1..=form.width).find(|n| (n * shifts.taps.len()).is_multiple_of(form.width)).unwrap_or(1);
    let channels = g.input.div_ceil(TASKS.div_ceil(parts)).next_multiple_of(whole).min(g.input);
    let blocks = g.input.div_ceil(channels);
    let step = 4 * kernels.rows;
    let rows = g.output.div_ceil(TASKS.div_ceil(parts * blocks)).next_multiple_of(step);
    let rows = rows.min((NEAR / longest / step).max(1) * step);
    let splits = g.output.div_ceil(rows);
    // One vector more, lest all rows begin at one place of the cache.
    let stride = longest + kernels.lanes;
    let grads = tiles.par_iter().map(|tile| gather(g, grad, tile, [kernels.lanes, form.height], stride)).collect();
    // Tasks over the same channels share their planes.
    let planes = (splits > 1).then(|| shifts.all_planes(x));
    let work = Work { kernels, form, shifts, x, planes, tiles, grads, stride };
    let sums: Vec<Buffer<T>> = (0..blocks * splits * parts)
        .into_par_iter()
        .map(|task| {
            let (block, split, part) = (task / parts / splits, task / parts % splits, task % parts);
            let tiles = part * work.tiles.len() / parts..(part + 1) * work.tiles.len() / parts;
            let range = |i: usize, size: usize, end: usize| i * size..end.min((i + 1) * size);
            work.sums(tiles, range(block, channels, g.input), range(split, rows, g.output))
        })
        .collect();
    let taps: Vec<usize> = work.shifts.kernel_taps().collect();
    dw.par_chunks_exact_mut(g.depth()).enumerate().for_each_init(Vec::new, |used, (row, dw)| {
        let (split, row) = (row / rows, row % rows);
        let panels = rows.min(g.output - split * rows).div_ceil(work.form.height);
        for (block, dw) in dw.chunks_mut(channels * g.taps()).enumerate() {
            let sums = &sums[(block * splits + split) * parts..][..parts];
            if taps.len() == g.taps() {
                sums.iter().for_each(|sums| work.form.add_row(row, panels, sums, dw));
                continue;
            }
            used.clear();
            used.resize(dw.len() / g.taps() * taps.len(), T::zero());
            sums.iter().for_each(|sums| work.form.add_row(row, panels, sums, used));
            for (dw, used) in dw.chunks_exact_mut(g.taps()).zip(used.chunks_exact(taps.len())) {
                taps.iter().zip(used).for_each(|(tap, sum)| dw[*tap] = *sum);
            }
        }
    });
    dw
}

/// Some positions of some images.
struct Tile {
    images: Range<usize>,
    /// Positions, counted over `images`.
    columns: Range<usize>,
}

/// Small images together, large ones in pieces of equal length.
fn tiles(g: &Geometry) -> Vec<Tile> {
    let group = (POSITIONS / g.positions()).clamp(1, g.batch.max(1));
    let of_group = |first: usize| {
        let images = first..g.batch.min(first + group);
        let columns = images.len() * g.positions();
        let length = columns.div_ceil(columns.div_ceil(POSITIONS)).next_multiple_of(16);
        let tile = move |start: usize| Tile { images: images.clone(), columns: start..columns.min(start + length) };
        (0..columns).step_by(length).map(tile)
    };
    (0..g.batch).step_by(group).flat_map(of_group).collect()
}

/// The output's gradient over a tile, one row for every channel.
struct Rows<'a, T: Real> {
    values: Values<'a, T>,
    stride: usize,
}

/// In place where a tile is whole vectors of one image and channels fill panels of `height`; else copied, with zeros behind every row and below the last.
fn gather<'a, T: Real>(
    g: &Geometry,
    grad: &'a [T],
    tile: &Tile,
    [lanes, height]: [usize; 2],
    stride: usize,
) -> Rows<'a, T> {
    let (positions, columns) = (g.positions(), tile.columns.clone());
    let start = |image: usize, channel: usize| (image * g.output + channel) * positions;
    if tile.images.len() == 1 && columns.len().is_multiple_of(lanes) && g.output.is_multiple_of(height) {
        let values = &grad[start(tile.images.start, 0) + columns.start..];
        return Rows { values: Values::There(values), stride: positions };
    }
    let rows = g.output.next_multiple_of(height);
    let mut values = Buffer::scratch(rows * stride);
    values[g.output * stride..].fill(T::zero());
    for (o, row) in values.chunks_exact_mut(stride).take(g.output).enumerate() {
        row[columns.len()..].fill(T::zero());
        let mut column = columns.start;
        while column < columns.end {
            let (image, at) = (tile.images.start + column / positions, column % positions);
            let length = (positions - at).min(columns.end - column);
            row[column - columns.start..][..length].copy_from_slice(&grad[start(image, o) + at..][..length]);
            column += length;
        }
    }
    Rows { values: Values::Made(values), stride }
}

/// How sums are made and laid out: by groups of `width` rows of patches, in these by panels of `height` channels.
#[derive(Clone, Copy)]
struct Form {
    height: usize,
    width: usize,
    /// Distances between channels and between rows of patches in a panel.
    steps: [usize; 2],
    /// Vectors run over patches instead of positions.
    turned: bool,
}

impl Form {
    fn new<T>(kernels: &Kernels<T>, turned: bool) -> Self {
        if turned {
            let width = kernels.width * kernels.lanes;
            return Self { height: kernels.rows, width, steps: [width, 1], turned };
        }
        let [height, width] = kernels.dot_rows;
        Self { height, width, steps: [1, height], turned }
    }

    /// Adds the sums of one channel to `to`.
    fn add_row<T: Real>(&self, row: usize, panels: usize, sums: &[T], to: &mut [T]) {
        let panel = self.width * self.height;
        for (to, sums) in to.chunks_mut(self.width).zip(sums.chunks_exact(panels * panel)) {
            let sums = &sums[row / self.height * panel + row % self.height * self.steps[0]..];
            for (to, sum) in to.iter_mut().zip(sums.iter().step_by(self.steps[1])) {
                *to = *to + *sum;
            }
        }
    }
}

/// What all tasks read.
struct Work<'a, T: Real> {
    kernels: Kernels<T>,
    form: Form,
    shifts: Shifts,
    x: &'a [T],
    planes: Option<Values<'a, T>>,
    tiles: Vec<Tile>,
    grads: Vec<Rows<'a, T>>,
    stride: usize,
}

impl<T: Real> Work<'_, T> {
    /// The sums over some tiles for `channels` of the input and `rows` of the output, laid out as [`Form`] says.
    fn sums(&self, tiles: Range<usize>, channels: Range<usize>, rows: Range<usize>) -> Buffer<T> {
        let Self { kernels, form, shifts, stride, .. } = self;
        let all = shifts.all(channels.len());
        let panel = form.width * form.height;
        let group = rows.len().div_ceil(form.height) * panel;
        let mut sums = Buffer::scratch(all.len().div_ceil(form.width) * group);
        sums.fill(T::zero());
        let mut patches = Buffer::scratch(form.width * stride + kernels.lanes);
        patches.fill(T::zero()); // what lies behind the last row of patches is read, too
        let mut turned = Buffer::scratch(if form.turned { form.width * stride } else { 0 });
        let (mut buffer, mut runs) = (Buffer::default(), Vec::new());
        let mut planes = Planes { data: &[], image: 0 };
        let mut images = 0..0;
        for (tile, grad) in self.tiles[tiles.clone()].iter().zip(&self.grads[tiles]) {
            if tile.images != images {
                images = tile.images.clone();
                planes = match &self.planes {
                    Some(all) => shifts.of(all, &images, &channels),
                    None => shifts.planes(self.x, images.clone(), channels.clone(), &mut buffer),
                };
            }
            runs.clear();
            shifts.runs(tile.columns.clone(), planes.image, kernels.lanes, 0, &mut runs);
            let used = tile.columns.len();
            let length = used.next_multiple_of(kernels.lanes);
            let columns = Columns::new((0..if form.turned { used } else { 0 }).collect(), grad.stride);
            for (all, sums) in all.chunks(form.width).zip(sums.chunks_exact_mut(group)) {
                kernels.copy(&mut patches, *stride, all, &runs, planes.data);
                if form.turned {
                    turn(&patches, *stride, form.width, &mut turned[..used * form.width]);
                } else {
                    patches.chunks_exact_mut(*stride).for_each(|row| row[used..length].fill(T::zero()));
                }
                for (p, sums) in sums.chunks_exact_mut(panel).enumerate() {
                    let grad_rows = &grad.values[(rows.start + p * form.height) * grad.stride..];
                    if form.turned {
                        kernels.tile(sums, form.width, (grad_rows, &columns), &turned, form.width, true);
                    } else {
                        kernels.dot(sums, [grad_rows, &patches], [grad.stride, *stride], length);
                    }
                }
            }
        }
        sums
    }
}

/// `to[i, r] = rows[r, i]`, with `width` rows `stride` apart.
fn turn<T: Real>(rows: &[T], stride: usize, width: usize, to: &mut [T]) {
    for (i, to) in to.chunks_exact_mut(width).enumerate() {
        for (to, row) in to.iter_mut().zip(rows.chunks_exact(stride)) {
            *to = row[i];
        }
    }
}
