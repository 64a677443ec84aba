//! Passes over a map of middling size: each cube adds the sums of all chunks up for its own columns, instead of after another
//! launch that does. All cubes do so in the same order, and get the same numbers. Rows, columns and planes are as in the
//! kernels for maps of any size.

use cubecl::prelude::*;

use super::kernels::{Beside, Mask, Plane, add_up, apply_rows, factors, moments, place, propagate_rows};
use crate::gpu::UNITS;

/// The sums of all chunks of a group, `[2, G, chunks, width]`, in every unit of a column.
#[cube]
fn of_chunks<N: Size>(
    sums: &[Vector<f32, N>],
    group: usize,
    chunks: usize,
    width: usize,
    column: usize,
    #[comptime] lanes: usize,
) -> (Vector<f32, N>, Vector<f32, N>) {
    let mut a = Vector::<f32, N>::new(0.0);
    let mut b = Vector::<f32, N>::new(0.0);
    if column < width {
        let second = CUBE_COUNT_Z as usize * chunks * width;
        let mut chunk = UNIT_POS as usize / lanes;
        while chunk < chunks {
            let item = (group * chunks + chunk) * width + column;
            a += sums[item];
            b += sums[item + second];
            chunk += comptime!(UNITS as usize / lanes);
        }
    }
    add_up::<N>(a, b, lanes)
}

/// Statistics and running statistics from the sums of [`super::kernels::measure`], and the map as [`super::kernels::apply`]
/// gives it. The first cube of a column and group writes the statistics, that of the first group the running ones.
#[cube(launch_unchecked)]
pub(super) fn apply<F: Float, N: Size>(
    x: &[Vector<F, N>],
    residual: &[Vector<F, N>],
    sums: &[Vector<f32, N>],
    weight: &[Vector<f32, N>],
    bias: &[Vector<f32, N>],
    running_mean: &[Vector<f32, N>],
    running_variance: &[Vector<f32, N>],
    statistics: &mut [Vector<f32, N>],
    running: &mut [Vector<f32, N>],
    y: &mut [Vector<F, N>],
    rows: usize,
    per_chunk: usize,
    chunks: usize,
    width: usize,
    pitch: usize,
    residual_pitch: usize,
    second: usize,
    eps: f32,
    momentum: f32,
    #[comptime] lanes: usize,
    #[comptime] add: bool,
    #[comptime] rectify: bool,
    #[define(F)] _element: ElemType,
) {
    let at = place(rows, per_chunk, width, lanes);
    let (column, there) = (at.column, at.there);
    let one = (UNIT_POS as usize) < lanes && there;
    let groups = CUBE_COUNT_Z as usize;
    let n = f32::cast_from(rows);
    let (sum, squares) = of_chunks::<N>(sums, CUBE_POS_Z as usize, chunks, width, column, lanes);
    let mut mean = Vector::<f32, N>::new(0.0);
    let mut variance = Vector::<f32, N>::new(0.0);
    if there {
        let k = Vector::<f32, N>::cast_from(x[at.first * pitch + column]);
        let (m, v) = moments::<N>(k, sum, squares, n);
        mean = m;
        variance = v;
        let inverse = Vector::<f32, N>::new(1.0) / (variance + Vector::new(eps)).sqrt();
        let scale = weight[column] * inverse;
        let offset = bias[column] - mean * scale;
        if one && CUBE_POS_X == 0 {
            let (item, planes) = (CUBE_POS_Z as usize * width + column, groups * width);
            statistics[item + comptime!(Plane::SCALE) * planes] = scale;
            statistics[item + comptime!(Plane::OFFSET) * planes] = offset;
            statistics[item + comptime!(Plane::MEAN) * planes] = mean;
            statistics[item + comptime!(Plane::INVERSE) * planes] = inverse;
        }
        apply_rows::<F, N>(x, residual, y, at, scale, offset, width, pitch, residual_pitch, add, rectify);
    }
    if CUBE_POS_X == 0 && CUBE_POS_Z == 0 {
        let unbiased = Vector::<f32, N>::new(n / max(n - 1.0, 1.0));
        let (keep, take) = (Vector::<f32, N>::new(1.0 - momentum), Vector::<f32, N>::new(momentum));
        let mut mean_so_far = Vector::<f32, N>::new(0.0);
        let mut variance_so_far = Vector::<f32, N>::new(0.0);
        if one {
            mean_so_far = running_mean[column] * keep + mean * take;
            variance_so_far = running_variance[column] * keep + variance * unbiased * take;
        }
        for group in 1..groups {
            let (sum, squares) = of_chunks::<N>(sums, group, chunks, width, column, lanes);
            if one {
                let k = Vector::<f32, N>::cast_from(x[group * rows * pitch + column]);
                let (mean, variance) = moments::<N>(k, sum, squares, n);
                mean_so_far = mean_so_far * keep + mean * take;
                variance_so_far = variance_so_far * keep + variance * unbiased * take;
            }
        }
        if one {
            running[column] = mean_so_far;
            running[column + second] = variance_so_far;
        }
    }
}

/// Gradients of weight and bias from the sums of [`super::kernels::measure_back`], and that of the map, as
/// [`super::kernels::propagate`] gives it. The first cube of a column writes those of the parameters.
#[cube(launch_unchecked)]
pub(super) fn propagate<F: Float, N: Size>(
    x: &[Vector<F, N>],
    dy: &[Vector<F, N>],
    y: &[Vector<F, N>],
    statistics: &[Vector<f32, N>],
    sums: &[Vector<f32, N>],
    dx: &mut [Vector<F, N>],
    beside: &mut [Vector<F, N>],
    parameters: &mut [Vector<f32, N>],
    rows: usize,
    per_chunk: usize,
    chunks: usize,
    width: usize,
    pitch: usize,
    dy_pitch: usize,
    dx_pitch: usize,
    second: usize,
    last: usize,
    #[comptime] lanes: usize,
    #[comptime] mask: Mask,
    #[comptime] constant: bool,
    #[comptime] accumulate: bool,
    #[comptime] wanted: Beside,
    #[define(F)] _element: ElemType,
) {
    let at = place(rows, per_chunk, width, lanes);
    let (column, there) = (at.column, at.there);
    let (sum, products) = of_chunks::<N>(sums, CUBE_POS_Z as usize, chunks, width, column, lanes);
    if there {
        let n = Vector::<f32, N>::new(f32::cast_from(rows));
        let (item, planes) = (CUBE_POS_Z as usize * width + column, CUBE_COUNT_Z as usize * width);
        let factors = factors::<N>(statistics, item, planes, sum / n, products / n);
        propagate_rows::<F, N>(
            x, dy, y, dx, beside, at, factors, width, pitch, dy_pitch, dx_pitch, last, mask, constant, accumulate,
            wanted,
        );
    }
    if CUBE_POS_X == 0 && CUBE_POS_Z == 0 {
        let mut bias = sum;
        let mut weight = products;
        for group in 1..CUBE_COUNT_Z as usize {
            let (sum, products) = of_chunks::<N>(sums, group, chunks, width, column, lanes);
            bias += sum;
            weight += products;
        }
        if there && (UNIT_POS as usize) < lanes {
            parameters[column] = weight;
            parameters[column + second] = bias;
        }
    }
}
