//! The passes of a stem: a map is normalised, rectified and pooled, and never written in between.
//!
//! Places and cubes are those of [`super::super::kernels`], over the pooled map where a pass goes through its positions. Winners are
//! those of [`crate::gpu::pool::winners`], or [`NOBODY`] where the rectifier let nothing through (or NaN), so that no gradient goes
//! back.

use cubecl::prelude::*;

use crate::gpu::{
    norm::kernels::{Plane, add_up, factors, place},
    pool::{
        position,
        winners::{pack, slope, unpack},
    },
};

/// The place of a maximum that is 0 or NaN.
const NOBODY: u32 = 9;

/// Sides of a map and of what is left of it.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub(crate) struct Sides {
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) pooled_height: usize,
    pub(super) pooled_width: usize,
}

/// The maximum over a window of `relu(x·scale + offset)`, and its place, if that is asked for. Of equal values the first wins, and
/// NaN over any, as in PyTorch.
#[cube(launch_unchecked)]
pub(super) fn apply<F: Float, N: Size>(
    x: &[Vector<F, N>],
    statistics: &[Vector<f32, N>],
    y: &mut [Vector<F, N>],
    winners: &mut [u32],
    rows: usize,
    per_chunk: usize,
    width: usize,
    pitch: usize,
    sides: Sides,
    #[comptime] lanes: usize,
    #[comptime] record: bool,
    #[define(F)] _element: ElemType,
) {
    let at = place(rows, per_chunk, width, lanes);
    if at.there {
        let (item, planes) = (CUBE_POS_Z as usize * width + at.column, CUBE_COUNT_Z as usize * width);
        let scale = statistics[item + comptime!(Plane::SCALE) * planes];
        let offset = statistics[item + comptime!(Plane::OFFSET) * planes];
        let zero = Vector::<f32, N>::new(0.0);
        let mut row = at.from;
        while row < at.to {
            let to = position((at.first + row) * width + at.column, width, sides.pooled_height, sides.pooled_width);
            // What is below every rectified value, so that the first place that there is wins.
            let mut best = Vector::<f32, N>::new(-1.0);
            let mut from = Vector::<u32, N>::new(NOBODY.runtime());
            #[unroll]
            for tap in 0..9usize {
                // Counted from the padding, whose number is 0.
                let in_row = 2 * to.y + comptime!(tap / 3);
                let in_column = 2 * to.x + comptime!(tap % 3);
                if in_row > 0 && in_row <= sides.height && in_column > 0 && in_column <= sides.width {
                    let source = (to.image * sides.height + in_row - 1) * sides.width + in_column - 1;
                    let value = Vector::<f32, N>::cast_from(x[source * pitch + at.column]) * scale + offset;
                    let value = select_many(zero.greater_than(&value), zero, value);
                    // Rounded as a map would be, since which of two is larger may depend on it.
                    let value = Vector::<f32, N>::cast_from(Vector::<F, N>::cast_from(value));
                    let wins = value.greater_than(&best).or(value.is_nan());
                    best = select_many(wins, value, best);
                    from = select_many(wins, Vector::new(comptime!(tap as u32).runtime()), from);
                }
            }
            let target = (at.first + row) * width + at.column;
            y[target] = Vector::cast_from(best);
            if comptime!(record) {
                from = select_many(best.greater_than(&zero), from, Vector::new(NOBODY.runtime()));
                winners[target] = pack::<N>(from);
            }
            row += at.step;
        }
    }
}

/// Sums of the gradient and of its product with x̂ over a chunk of the pooled map's rows: each of its values reached one position
/// of x, or none.
///
/// # Shapes
/// - sums `[2, G, chunks, width]`
#[cube(launch_unchecked)]
pub(super) fn measure_back<F: Float, N: Size>(
    x: &[Vector<F, N>],
    dy: &[Vector<F, N>],
    winners: &[u32],
    statistics: &[Vector<f32, N>],
    sums: &mut [Vector<f32, N>],
    rows: usize,
    per_chunk: usize,
    width: usize,
    pitch: usize,
    dy_pitch: usize,
    sides: Sides,
    #[comptime] lanes: usize,
    #[define(F)] _element: ElemType,
) {
    let at = place(rows, per_chunk, width, lanes);
    let mut sum = Vector::<f32, N>::new(0.0);
    let mut products = Vector::<f32, N>::new(0.0);
    if at.there {
        let (item, planes) = (CUBE_POS_Z as usize * width + at.column, CUBE_COUNT_Z as usize * width);
        let mean = statistics[item + comptime!(Plane::MEAN) * planes];
        let inverse = statistics[item + comptime!(Plane::INVERSE) * planes];
        let zero = Vector::<f32, N>::new(0.0);
        let mut row = at.from;
        while row < at.to {
            let pooled = at.first + row;
            let to = position(pooled * width + at.column, width, sides.pooled_height, sides.pooled_width);
            let places = unpack::<N>(winners[pooled * width + at.column]);
            let mut value = Vector::<f32, N>::new(0.0);
            #[unroll]
            for channel in 0..places.vector_size() {
                // Where nobody won the middle is read, which is there for every window.
                let won = places.extract(channel);
                let tap = select(won == NOBODY, 4u32, won) as usize;
                let (in_row, in_column) = (2 * to.y + tap / 3 - 1, 2 * to.x + tap % 3 - 1);
                let source = (to.image * sides.height + in_row) * sides.width + in_column;
                let there = Vector::<f32, N>::cast_from(x[source * pitch + at.column]);
                value.insert(channel, there.extract(channel));
            }
            let nobody = places.equal(&Vector::new(NOBODY.runtime()));
            let slope = Vector::<f32, N>::cast_from(dy[pooled * dy_pitch + at.column]);
            let slope = select_many(nobody, zero, slope);
            sum += slope;
            products += slope * (value - mean) * inverse;
            row += at.step;
        }
    }
    let (sum, products) = add_up::<N>(sum, products, lanes);
    if at.there && (UNIT_POS as usize) < lanes {
        let item = (CUBE_POS_Z as usize * CUBE_COUNT_X as usize + CUBE_POS_X as usize) * width + at.column;
        sums[item] = sum;
        sums[item + CUBE_COUNT_Z as usize * CUBE_COUNT_X as usize * width] = products;
    }
}

/// `dx = scale·(s - mean of s - x̂·mean of s·x̂)`, where s is the sum of the gradients of the windows, of at most four, that a
/// position won; without the means where the statistics are constants.
#[cube(launch_unchecked)]
pub(super) fn propagate<F: Float, N: Size>(
    x: &[Vector<F, N>],
    dy: &[Vector<F, N>],
    winners: &[u32],
    statistics: &[Vector<f32, N>],
    means: &[Vector<f32, N>],
    dx: &mut [Vector<F, N>],
    rows: usize,
    per_chunk: usize,
    width: usize,
    pitch: usize,
    dy_pitch: usize,
    sides: Sides,
    #[comptime] lanes: usize,
    #[comptime] constant: bool,
    #[define(F)] _element: ElemType,
) {
    let at = place(rows, per_chunk, width, lanes);
    if at.there {
        let (item, planes) = (CUBE_POS_Z as usize * width + at.column, CUBE_COUNT_Z as usize * width);
        let mut of_slope = Vector::<f32, N>::new(0.0);
        let mut of_product = Vector::<f32, N>::new(0.0);
        if comptime!(!constant) {
            of_slope = means[item];
            of_product = means[item + planes];
        }
        let by = factors::<N>(statistics, item, planes, of_slope, of_product);
        let mut row = at.from;
        while row < at.to {
            let place = at.first + row;
            let here = position(place * width + at.column, width, sides.height, sides.width);
            let slope = slope::<F, N>(dy, winners, here, width, dy_pitch, sides.pooled_height, sides.pooled_width);
            let mut result = by.scale * slope;
            if comptime!(!constant) {
                let value = Vector::<f32, N>::cast_from(x[place * pitch + at.column]);
                result = by.scale * (slope - by.of_dy - (value - by.mean) * by.inverse * by.of_product);
            }
            dx[place * width + at.column] = Vector::cast_from(result);
            row += at.step;
        }
    }
}
