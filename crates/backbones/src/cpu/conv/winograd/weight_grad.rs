//! The gradient of the weight: sums over tiles of mapped pixels times the mapped gradient of the output.

use std::ops::Range;

use rayon::prelude::*;

use super::{CHANNELS, FEWEST, POINTS, TASKS, TILES, Tiles, WHOLE, blocks, squares, tiles::Pixels};
use crate::cpu::{
    Real,
    conv::geometry::Geometry,
    kernel::{Columns, Kernels, Transform},
    memory::Buffer,
};

const TAPS: usize = 9;

/// `dw[Co, Ci, 3, 3]` of `x[B, Ci, H, W]` and the gradient `[B, Co, H, W]` of the output.
///
/// Divided by channels of output and input, and by groups of tiles where that leaves few tasks; parts are added in their order.
pub(in crate::cpu::conv) fn weight_grad<T: Real>(g: &Geometry, x: &[T], grad: &[T], kernels: &Kernels<T>) -> Buffer<T> {
    let tiles = Tiles::new(g, TASKS, [FEWEST, TILES]);
    let outputs = ranges(g.output);
    let inputs: Vec<Vec<Range<usize>>> = ranges(g.input).into_iter().map(|r| blocks(r, kernels)).collect();
    let parts = TASKS.div_ceil(outputs.len() * inputs.len()).min(tiles.groups());
    let results: Vec<Buffer<T>> = (0..outputs.len() * inputs.len() * parts)
        .into_par_iter()
        .map(|task| {
            let (output, blocks) = (&outputs[task / parts / inputs.len()], &inputs[task / parts % inputs.len()]);
            let part = task % parts;
            let groups = part * tiles.groups() / parts..(part + 1) * tiles.groups() / parts;
            let sums = sums(g, [x, grad], (&tiles, groups), output.clone(), blocks, kernels);
            if parts > 1 {
                return sums;
            }
            // Nobody adds to these sums: mapped here, they need not go through memory.
            let mut weights = Buffer::scratch(output.len() * length(blocks));
            let mut buffer = Buffer::default();
            for (row, weights) in weights.chunks_exact_mut(length(blocks)).enumerate() {
                add_and_map(&[sums.as_ref()], rows(output, kernels), row, blocks, weights, (kernels, &mut buffer));
            }
            weights
        })
        .collect();
    let mut dw = Buffer::stale(g.output * g.depth());
    dw.par_chunks_exact_mut(g.depth()).enumerate().for_each_init(Buffer::default, |buffer, (row, dw)| {
        let output = outputs.iter().position(|r| r.contains(&row)).expect("the ranges cover all channels");
        let row = row - outputs[output].start;
        for (input, blocks) in inputs.iter().enumerate() {
            let results = &results[(output * inputs.len() + input) * parts..][..parts];
            let dw = &mut dw[blocks[0].start * TAPS..][..length(blocks)];
            if parts == 1 {
                dw.copy_from_slice(&results[0][row * length(blocks)..][..length(blocks)]);
            } else {
                let parts: Vec<&[T]> = results.iter().map(AsRef::as_ref).collect();
                add_and_map(&parts, rows(&outputs[output], kernels), row, blocks, dw, (kernels, &mut *buffer));
            }
        }
    });
    dw
}

/// The gradient of the weights of one output channel: adds the parts of [`sums`], which has so many `rows`, and maps them.
fn add_and_map<T: Real>(
    parts: &[&[T]],
    rows: usize,
    row: usize,
    blocks: &[Range<usize>],
    dw: &mut [T],
    (kernels, buffer): (&Kernels<T>, &mut Buffer<T>),
) {
    for block in blocks {
        let width = block.len();
        let start = block.start - blocks[0].start;
        buffer.grow((POINTS + TAPS) * width);
        let (line, turned) = buffer.split_at_mut(POINTS * width);
        for (f, line) in line.chunks_exact_mut(width).enumerate() {
            let at = start * POINTS * rows + (f * rows + row) * width;
            line.copy_from_slice(&parts[0][at..][..width]);
            for part in &parts[1..] {
                line.iter_mut().zip(&part[at..]).for_each(|(line, sum)| *line = *line + *sum);
            }
        }
        let starts: [usize; POINTS] = std::array::from_fn(|f| f * width);
        let ends: [usize; TAPS] = std::array::from_fn(|tap| tap * width);
        kernels.transform(Transform::WeightGrad, (line, &starts), (turned, &ends), width);
        let dw = &mut dw[start * TAPS..][..width * TAPS];
        kernels.transpose(&turned[..TAPS * width], width, dw, TAPS, [TAPS, width]);
    }
}

/// Weights of a row of the blocks of a range of input channels.
fn length(blocks: &[Range<usize>]) -> usize {
    TAPS * blocks.iter().map(Range::len).sum::<usize>()
}

/// Channels in ranges of nearly equal length.
fn ranges(channels: usize) -> Vec<Range<usize>> {
    let count = channels.div_ceil(CHANNELS);
    let length = channels.div_ceil(count).next_multiple_of(WHOLE);
    (0..channels).step_by(length).map(|first| first..channels.min(first + length)).collect()
}

/// Rows of the sums of a range of output channels.
fn rows<T>(outputs: &Range<usize>, kernels: &Kernels<T>) -> usize {
    outputs.len().next_multiple_of(kernels.rows)
}

/// `[block of input channels, 16, output channel, input channel]` over some groups.
fn sums<T: Real>(
    g: &Geometry,
    [x, grad]: [&[T]; 2],
    (tiles, groups): (&Tiles, Range<usize>),
    outputs: Range<usize>,
    inputs: &[Range<usize>],
    kernels: &Kernels<T>,
) -> Buffer<T> {
    let rows = rows(&outputs, kernels);
    let channels = inputs[0].start..inputs[inputs.len() - 1].end;
    let mut sums = Buffer::scratch(POINTS * rows * channels.len());
    let [mut pixels, mut mapped, mut mapped_grad] = std::array::from_fn(|_| Buffer::default());
    for (i, group) in groups.map(|i| tiles.group(i)).enumerate() {
        let count = group.tiles();
        // A few elements more, lest the 16 parts begin at one place of the cache; and rows of the last panel that nobody asks for.
        let part = count * outputs.len() + WHOLE;
        mapped_grad.grow(POINTS * part + kernels.rows);
        let ends = squares(count, part, outputs.len());
        let to = (&mut *mapped_grad, ends.as_slice());
        let layout = group.grad(outputs.len());
        group.map(kernels, &layout, grad, (outputs.clone(), g.output), to, &mut pixels);
        let columns = Columns::new((0..count).map(|t| t * outputs.len()).collect(), 1);
        let mut tables: Option<(usize, Pixels, Vec<usize>)> = None;
        for block in inputs {
            let width = block.len();
            let of_point = count * width + WHOLE;
            mapped.grow(POINTS * of_point);
            let (_, layout, ends) = match tables.take() {
                Some(last @ (of, ..)) if of == width => tables.insert(last),
                _ => tables.insert((width, group.input(width), squares(count, of_point, width))),
            };
            group.map(kernels, layout, x, (block.clone(), g.input), (&mut mapped, ends), &mut pixels);
            let sums = &mut sums[(block.start - channels.start) * POINTS * rows..][..POINTS * rows * width];
            for (f, sums) in sums.chunks_exact_mut(rows * width).enumerate() {
                let pixels = &mapped[f * of_point..];
                for (panel, sums) in sums.chunks_exact_mut(kernels.rows * width).enumerate() {
                    let grads = &mapped_grad[f * part + panel * kernels.rows..];
                    kernels.tile(sums, width, (grads, &columns), pixels, width, i > 0);
                }
            }
        }
    }
    sums
}
