//! Normalisation of a small map in one launch each way: a cube sees all rows of its columns, so that nothing has to be handed
//! from one launch to the next. Rows, columns and planes are as in the kernels for maps of any size.

use cubecl::prelude::*;

use super::kernels::{Beside, Mask, Place, Plane, add_up, apply_rows, factors, masked, moments, propagate_rows};
use crate::gpu::UNITS;

/// Statistics, running statistics and the normalised map. Cube x covers `lanes` columns.
#[cube(launch_unchecked)]
pub(super) fn forward<F: Float, N: Size>(
    x: &[Vector<F, N>],
    residual: &[Vector<F, N>],
    weight: &[Vector<f32, N>],
    bias: &[Vector<f32, N>],
    running_mean: &[Vector<f32, N>],
    running_variance: &[Vector<f32, N>],
    statistics: &mut [Vector<f32, N>],
    running: &mut [Vector<f32, N>],
    y: &mut [Vector<F, N>],
    rows: usize,
    groups: usize,
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
    let unit = UNIT_POS as usize;
    let lane = unit % lanes;
    let column = CUBE_POS_X as usize * lanes + lane;
    let there = column < width;
    let one = unit < lanes && there;
    let step = comptime!(UNITS as usize / lanes);
    let planes = groups * width;
    let n = f32::cast_from(rows);
    let unbiased = n / max(n - 1.0, 1.0);
    let mut mean_so_far = Vector::<f32, N>::new(0.0);
    let mut variance_so_far = Vector::<f32, N>::new(0.0);
    if one {
        mean_so_far = running_mean[column];
        variance_so_far = running_variance[column];
    }
    for group in 0..groups {
        let first = group * rows;
        let mut k = Vector::<f32, N>::new(0.0);
        let mut sum = Vector::<f32, N>::new(0.0);
        let mut squares = Vector::<f32, N>::new(0.0);
        if there {
            k = Vector::cast_from(x[first * pitch + column]);
            let mut row = unit / lanes;
            while row < rows {
                let value = Vector::<f32, N>::cast_from(x[(first + row) * pitch + column]) - k;
                sum += value;
                squares += value * value;
                row += step;
            }
        }
        let (sum, squares) = add_up::<N>(sum, squares, lanes);
        if there {
            let (mean, variance) = moments::<N>(k, sum, squares, n);
            let inverse = Vector::<f32, N>::new(1.0) / (variance + Vector::new(eps)).sqrt();
            let scale = weight[column] * inverse;
            let offset = bias[column] - mean * scale;
            if one {
                let item = group * width + column;
                statistics[item + comptime!(Plane::SCALE) * planes] = scale;
                statistics[item + comptime!(Plane::OFFSET) * planes] = offset;
                statistics[item + comptime!(Plane::MEAN) * planes] = mean;
                statistics[item + comptime!(Plane::INVERSE) * planes] = inverse;
                let (keep, take) = (Vector::<f32, N>::new(1.0 - momentum), Vector::<f32, N>::new(momentum));
                mean_so_far = mean_so_far * keep + mean * take;
                variance_so_far = variance_so_far * keep + variance * Vector::new(unbiased) * take;
            }
            let at = Place { column, there, first, from: unit / lanes, to: rows, step };
            apply_rows::<F, N>(x, residual, y, at, scale, offset, width, pitch, residual_pitch, add, rectify);
        }
    }
    if one {
        running[column] = mean_so_far;
        running[column + second] = variance_so_far;
    }
}

/// Gradients of the map, weight and bias, and what else is wanted, as [`super::kernels::propagate`] gives it.
#[cube(launch_unchecked)]
pub(super) fn backward<F: Float, N: Size>(
    x: &[Vector<F, N>],
    dy: &[Vector<F, N>],
    y: &[Vector<F, N>],
    statistics: &[Vector<f32, N>],
    dx: &mut [Vector<F, N>],
    beside: &mut [Vector<F, N>],
    parameters: &mut [Vector<f32, N>],
    rows: usize,
    groups: usize,
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
    let unit = UNIT_POS as usize;
    let lane = unit % lanes;
    let column = CUBE_POS_X as usize * lanes + lane;
    let there = column < width;
    let one = unit < lanes && there;
    let step = comptime!(UNITS as usize / lanes);
    let planes = groups * width;
    let n = Vector::<f32, N>::new(f32::cast_from(rows));
    let mut bias = Vector::<f32, N>::new(0.0);
    let mut weight = Vector::<f32, N>::new(0.0);
    for group in 0..groups {
        let first = group * rows;
        let mut sum = Vector::<f32, N>::new(0.0);
        let mut products = Vector::<f32, N>::new(0.0);
        if there {
            let item = group * width + column;
            let scale = statistics[item + comptime!(Plane::SCALE) * planes];
            let offset = statistics[item + comptime!(Plane::OFFSET) * planes];
            let mean = statistics[item + comptime!(Plane::MEAN) * planes];
            let inverse = statistics[item + comptime!(Plane::INVERSE) * planes];
            let mut row = unit / lanes;
            while row < rows {
                let position = first + row;
                let value = Vector::<f32, N>::cast_from(x[position * pitch + column]);
                let slope = Vector::<f32, N>::cast_from(dy[position * dy_pitch + column]);
                let slope = masked::<F, N>(slope, value, y, position * width + column, scale, offset, mask);
                sum += slope;
                products += slope * (value - mean) * inverse;
                row += step;
            }
        }
        let (sum, products) = add_up::<N>(sum, products, lanes);
        bias += sum;
        weight += products;
        if there {
            let at = Place { column, there, first, from: unit / lanes, to: rows, step };
            let by = factors::<N>(statistics, group * width + column, planes, sum / n, products / n);
            propagate_rows::<F, N>(
                x, dy, y, dx, beside, at, by, width, pitch, dy_pitch, dx_pitch, last, mask, constant, accumulate,
                wanted,
            );
        }
    }
    if one {
        parameters[column] = weight;
        parameters[column + second] = bias;
    }
}
