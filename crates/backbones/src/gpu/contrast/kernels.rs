//! The kernels of the loss: one pass over the similarities forward, a short one over its results, and one pass backward.
//!
//! Similarities are `[N, n]`, in vectors of negatives; `width` is the number of vectors in a row. A cube covers a chunk of one
//! row: cube x is the chunk, y the row. An exponent is the similarity times the sharpness.

#![allow(clippy::collapsible_if)] // conditions of the compilation around those of the run

use cubecl::prelude::*;

use crate::gpu::{UNITS, sums::add_up};

/// Planes of what is known of each chunk of a row, `[COUNT, chunks, N]`.
pub(super) struct Plane;

impl Plane {
    /// Largest exponent, that of the positive among them.
    const LARGEST: usize = 0;
    /// Sum of `exp(exponent - largest)` over the negatives that count.
    const SUM: usize = 1;
    /// Negatives at least as similar as the positive.
    const BETTER: usize = 2;
    /// Sum of the similarities, of excluded negatives too.
    const TOTAL: usize = 3;
    /// The same over the two spans.
    const YOUNG: usize = 4;
    const OLD: usize = 5;
    pub(super) const COUNT: usize = 6;
}

/// Planes of what the backward pass needs of a row, `[COUNT, N]`.
pub(super) struct Kept;

impl Kept {
    /// Largest exponent.
    const LARGEST: usize = 0;
    /// Sum of `exp(exponent - largest)` over the negatives.
    const SUM: usize = 1;
    /// That of the positive.
    const OWN: usize = 2;
    pub(super) const COUNT: usize = 3;
}

/// Two sums of exponentials as one, each with the largest exponent that was subtracted. Not the maximum of these, which would
/// hide a NaN.
#[cube]
fn joined(largest: f32, sum: f32, other_largest: f32, other_sum: f32) -> (f32, f32) {
    let both = select(other_largest > largest, other_largest, largest);
    (both, sum * (largest - both).exp() + other_sum * (other_largest - both).exp())
}

/// [`joined`] over the units of a cube; the first has the result.
#[cube]
fn join_up(largest: f32, sum: f32) -> (f32, f32) {
    let unit = UNIT_POS as usize;
    let mut all_largest = Shared::new_slice(comptime!(UNITS as usize));
    let mut all_sums = Shared::new_slice(comptime!(UNITS as usize));
    all_largest[unit] = largest;
    all_sums[unit] = sum;
    sync_cube();
    let mut half = comptime!(UNITS as usize / 2).runtime();
    while half > 0 {
        if unit < half {
            let (other_largest, other_sum) = (all_largest[unit + half], all_sums[unit + half]);
            let (largest, sum) = joined(all_largest[unit], all_sums[unit], other_largest, other_sum);
            all_largest[unit] = largest;
            all_sums[unit] = sum;
        }
        sync_cube();
        half /= 2;
    }
    (all_largest[0], all_sums[0])
}

/// Whether a slot lies in a span of a ring that begins at `start`.
#[cube]
fn within(slot: usize, start: usize, length: usize, ring: usize) -> bool {
    let steps = select(slot < start, slot + ring - start, slot - start);
    steps < length
}

/// Similarity of each query to its own key, and the planes of each chunk of its negatives; the first similarities of a row are
/// copied where they are to be kept.
///
/// # Shapes
/// - q and k `[N, dimension]`, similarities and excluded `[N, width]`, positives `[N]`, planes `[6, all, N]`, of which the
///   chunks of this part begin at `first`
#[cube(launch_unchecked)]
pub(super) fn measure<B: Int, N: Size>(
    q: &[f32],
    k: &[f32],
    similarities: &[Vector<f32, N>],
    excluded: &[Vector<B, N>],
    positives: &mut [f32],
    planes: &mut [f32],
    kept: &mut [Vector<f32, N>],
    dimension: usize,
    width: usize,
    per_chunk: usize,
    first: usize,
    all: usize,
    sharpness: f32,
    keep: usize,
    young: usize,
    old: usize,
    span: usize,
    ring: usize,
    #[comptime] masked: bool,
    #[comptime] keeps: bool,
    #[comptime] spans: bool,
    #[define(B)] _element: ElemType,
) {
    let (unit, row, rows) = (UNIT_POS as usize, CUBE_POS_Y as usize, CUBE_COUNT_Y as usize);
    let mut product = 0.0f32;
    let mut i = unit;
    while i < dimension {
        product += q[row * dimension + i] * k[row * dimension + i];
        i += comptime!(UNITS as usize);
    }
    let positive = add_up(product);
    let own = positive * sharpness;

    let (zero, one) = (Vector::<f32, N>::new(0.0), Vector::<f32, N>::new(1.0));
    let mut largest = Vector::<f32, N>::new(own);
    let mut sum = Vector::<f32, N>::new(0.0);
    let mut better = Vector::<f32, N>::new(0.0);
    let mut total = Vector::<f32, N>::new(0.0);
    let mut of_young = 0.0f32;
    let mut of_old = 0.0f32;
    let start = CUBE_POS_X as usize * per_chunk;
    let end = select(start + per_chunk < width, start + per_chunk, width);
    let mut column = start + unit;
    while column < end {
        let value = similarities[row * width + column];
        let exponent = value * Vector::new(sharpness);
        let mut candidate = exponent;
        let mut counts = one;
        if comptime!(masked) {
            let out = excluded[row * width + column].not_equal(&Vector::new(B::from_int(0)));
            candidate = select_many(out, largest, exponent);
            counts = select_many(out, zero, one);
        }
        let higher = select_many(candidate.greater_than(&largest), candidate, largest);
        let mut weight = (exponent - higher).exp();
        let mut is_better = select_many(exponent.greater_equal(&Vector::new(own)), one, zero);
        if comptime!(masked) {
            // Not a product, as what is excluded may be infinite.
            weight = select_many(counts.equal(&one), weight, zero);
            is_better *= counts;
        }
        sum = sum * (largest - higher).exp() + weight;
        largest = higher;
        better += is_better;
        total += value;
        if comptime!(spans) {
            #[unroll]
            for lane in 0..value.vector_size() {
                let slot = column * value.vector_size() + lane;
                let one = value.extract(lane);
                of_young += select(within(slot, young, span, ring), one, 0.0);
                of_old += select(within(slot, old, span, ring), one, 0.0);
            }
        }
        if comptime!(keeps) {
            if column < keep {
                kept[row * keep + column] = value;
            }
        }
        column += comptime!(UNITS as usize);
    }

    let mut one_largest = own;
    let mut one_sum = 0.0f32;
    let mut one_better = 0.0f32;
    let mut one_total = 0.0f32;
    #[unroll]
    for lane in 0..sum.vector_size() {
        let (both, joint) = joined(one_largest, one_sum, largest.extract(lane), sum.extract(lane));
        one_largest = both;
        one_sum = joint;
        one_better += better.extract(lane);
        one_total += total.extract(lane);
    }
    let (all_largest, all_sum) = join_up(one_largest, one_sum);
    let (all_better, all_total) = (add_up(one_better), add_up(one_total));
    let item = (first + CUBE_POS_X as usize) * rows + row;
    if unit == 0 {
        planes[item + comptime!(Plane::LARGEST) * all * rows] = all_largest;
        planes[item + comptime!(Plane::SUM) * all * rows] = all_sum;
        planes[item + comptime!(Plane::BETTER) * all * rows] = all_better;
        planes[item + comptime!(Plane::TOTAL) * all * rows] = all_total;
        if CUBE_POS_X == 0 {
            positives[row] = positive;
        }
    }
    if comptime!(spans) {
        let (all_young, all_old) = (add_up(of_young), add_up(of_old));
        if unit == 0 {
            planes[item + comptime!(Plane::YOUNG) * all * rows] = all_young;
            planes[item + comptime!(Plane::OLD) * all * rows] = all_old;
        }
    }
}

/// The loss and the measures of a batch, by one cube.
///
/// # Shapes
/// - planes `[6, all, N]`, positives `[N]` to loss `[1]`, measures `[5 or 7]`, state `[3, N]`
#[cube(launch_unchecked)]
pub(super) fn finish(
    planes: &[f32],
    positives: &[f32],
    loss: &mut [f32],
    measures: &mut [f32],
    state: &mut [f32],
    rows: usize,
    all: usize,
    of_first: usize,
    sharpness: f32,
    pairs: f32,
    of_span: f32,
    #[comptime] own_among_them: bool,
    #[comptime] spans: bool,
) {
    let mut sums = Array::<f32>::new(7usize);
    #[unroll]
    for i in 0..7usize {
        sums[i] = 0.0;
    }
    let mut row = UNIT_POS as usize;
    while row < rows {
        let positive = positives[row];
        let own = positive * sharpness;
        let mut largest = own;
        let mut sum = 0.0f32;
        let mut better = 0.0f32;
        for chunk in 0..all {
            let item = chunk * rows + row;
            let (its_largest, its_sum) = (planes[item], planes[item + comptime!(Plane::SUM) * all * rows]);
            let (both, joint) = joined(largest, sum, its_largest, its_sum);
            largest = both;
            sum = joint;
            better += planes[item + comptime!(Plane::BETTER) * all * rows];
            if chunk < of_first {
                sums[4] += planes[item + comptime!(Plane::TOTAL) * all * rows];
                if comptime!(spans) {
                    sums[5] += planes[item + comptime!(Plane::YOUNG) * all * rows];
                    sums[6] += planes[item + comptime!(Plane::OLD) * all * rows];
                }
            }
        }
        let of_positive = (own - largest).exp();
        state[row + comptime!(Kept::LARGEST) * rows] = largest;
        state[row + comptime!(Kept::SUM) * rows] = sum;
        state[row + comptime!(Kept::OWN) * rows] = of_positive;
        sums[0] += (sum + of_positive).ln() + largest - own;
        sums[1] += select(better < 1.0, 1.0f32, 0.0f32);
        sums[2] += select(better < 5.0, 1.0f32, 0.0f32);
        sums[3] += positive;
        if comptime!(own_among_them) {
            sums[4] -= positive;
        }
        row += comptime!(UNITS as usize);
    }
    #[unroll]
    for i in 0..7usize {
        if comptime!(i < 5 || spans) {
            let sum = add_up(sums[i]);
            if UNIT_POS == 0 {
                if comptime!(i == 4) {
                    measures[i] = sum / pairs;
                } else if comptime!(i > 4) {
                    measures[i] = sum / of_span;
                } else {
                    measures[i] = sum / f32::cast_from(rows);
                }
                if comptime!(i == 0) {
                    loss[0] = sum / f32::cast_from(rows);
                }
            }
        }
    }
}

/// With the probability `pᵢ` of each candidate, the gradients `pᵢ·s/N` of the similarities, and with the first part
/// `(p - 1)·s/N·k` of the query.
///
/// # Shapes
/// - source, excluded and target `[N, width]`, state `[3, N]`, gradient `[1]`, k and of_query `[N, dimension]`
#[cube(launch_unchecked)]
pub(super) fn propagate<B: Int, N: Size>(
    source: &[Vector<f32, N>],
    excluded: &[Vector<B, N>],
    state: &[f32],
    gradient: &[f32],
    k: &[f32],
    target: &mut [Vector<f32, N>],
    of_query: &mut [f32],
    dimension: usize,
    width: usize,
    per_chunk: usize,
    sharpness: f32,
    #[comptime] in_place: bool,
    #[comptime] masked: bool,
    #[comptime] query: bool,
    #[define(B)] _element: ElemType,
) {
    let (unit, row, rows) = (UNIT_POS as usize, CUBE_POS_Y as usize, CUBE_COUNT_Y as usize);
    let largest = state[row + comptime!(Kept::LARGEST) * rows];
    let sum = state[row + comptime!(Kept::SUM) * rows];
    let all = sum + state[row + comptime!(Kept::OWN) * rows];
    let scale = gradient[0] * sharpness / f32::cast_from(rows);
    let factor = scale / all;
    let start = CUBE_POS_X as usize * per_chunk;
    let end = select(start + per_chunk < width, start + per_chunk, width);
    let mut column = start + unit;
    while column < end {
        let item = row * width + column;
        let value = if comptime!(in_place) { target[item] } else { source[item] };
        let mut slope = (value * Vector::new(sharpness) - Vector::new(largest)).exp() * Vector::new(factor);
        if comptime!(masked) {
            let out = excluded[item].not_equal(&Vector::new(B::from_int(0)));
            slope = select_many(out, Vector::new(0.0), slope);
        }
        target[item] = slope;
        column += comptime!(UNITS as usize);
    }
    if comptime!(query) {
        if CUBE_POS_X == 0 {
            let mut i = unit;
            while i < dimension {
                of_query[row * dimension + i] = -(sum / all) * scale * k[row * dimension + i];
                i += comptime!(UNITS as usize);
            }
        }
    }
}
