//! The kernels of batch normalisation: each is one pass over a map, or a short one over its statistics.
//!
//! A map is a matrix in memory: a row a position (of all images), a column a channel, in vectors of N channels. `pitch` is the
//! number of vectors from one row to the next, `width` that of a row which counts, `rows` the rows of a group; groups follow
//! each other. A cube covers `lanes` columns of vectors side by side and a chunk of the rows of one group: cube x is the chunk,
//! y the columns, z the group. Everything is summed in f32, and relative to a value of the batch where numbers are far from 0.
//!
//! Statistics are planes `[G, C]` in one buffer, see [`Plane`].

use cubecl::prelude::*;

use crate::gpu::UNITS;

/// Planes of the buffer of statistics.
pub(super) struct Plane;

impl Plane {
    /// `weight / sqrt(variance + eps)`.
    pub(super) const SCALE: usize = 0;
    /// `bias - mean·scale`.
    pub(super) const OFFSET: usize = 1;
    pub(super) const MEAN: usize = 2;
    /// `1 / sqrt(variance + eps)`.
    pub(super) const INVERSE: usize = 3;
    pub(super) const COUNT: usize = 4;
}

/// Place of a unit in a map.
#[derive(CubeType, Clone, Copy)]
pub(super) struct Place {
    /// Column of vectors.
    pub(super) column: usize,
    /// Whether there is such a column.
    pub(super) there: bool,
    /// First row of the group.
    pub(super) first: usize,
    /// Rows of this unit, from, to and step, within the group.
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) step: usize,
}

#[cube]
pub(super) fn place(rows: usize, per_chunk: usize, width: usize, #[comptime] lanes: usize) -> Place {
    let lane = UNIT_POS as usize % lanes;
    let column = CUBE_POS_Y as usize * lanes + lane;
    let start = CUBE_POS_X as usize * per_chunk;
    let end = start + per_chunk;
    Place {
        column,
        there: column < width,
        first: CUBE_POS_Z as usize * rows,
        from: start + UNIT_POS as usize / lanes,
        to: select(end < rows, end, rows),
        step: comptime!(UNITS as usize / lanes).runtime(),
    }
}

/// Sums over the units of a column; all of them get the result.
#[cube]
pub(super) fn add_up<N: Size>(
    a: Vector<f32, N>,
    b: Vector<f32, N>,
    #[comptime] lanes: usize,
) -> (Vector<f32, N>, Vector<f32, N>) {
    let unit = UNIT_POS as usize;
    let mut all_a = Shared::new_slice(comptime!(UNITS as usize));
    let mut all_b = Shared::new_slice(comptime!(UNITS as usize));
    all_a[unit] = a;
    all_b[unit] = b;
    sync_cube();
    let mut half = comptime!(UNITS as usize / 2).runtime();
    while half >= lanes {
        if unit < half {
            let (other_a, other_b) = (all_a[unit + half], all_b[unit + half]);
            all_a[unit] += other_a;
            all_b[unit] += other_b;
        }
        sync_cube();
        half /= 2;
    }
    let lane = unit % lanes;
    let sums = (all_a[lane], all_b[lane]);
    sync_cube();
    sums
}

/// Sums of `x - k` and of its square over a chunk of rows; k is the first value of the group's column, so that a large mean
/// costs no digits.
///
/// # Shapes
/// - sums `[2, G, chunks, width]`
#[cube(launch_unchecked)]
pub(super) fn measure<F: Float, N: Size>(
    x: &[Vector<F, N>],
    sums: &mut [Vector<f32, N>],
    rows: usize,
    per_chunk: usize,
    width: usize,
    pitch: usize,
    #[comptime] lanes: usize,
    #[define(F)] _element: ElemType,
) {
    let at = place(rows, per_chunk, width, lanes);
    let mut sum = Vector::<f32, N>::new(0.0);
    let mut squares = Vector::<f32, N>::new(0.0);
    if at.there {
        let k = Vector::<f32, N>::cast_from(x[at.first * pitch + at.column]);
        let mut row = at.from;
        while row < at.to {
            let value = Vector::<f32, N>::cast_from(x[(at.first + row) * pitch + at.column]) - k;
            sum += value;
            squares += value * value;
            row += at.step;
        }
    }
    let (sum, squares) = add_up::<N>(sum, squares, lanes);
    if at.there && (UNIT_POS as usize) < lanes {
        let item = (CUBE_POS_Z as usize * CUBE_COUNT_X as usize + CUBE_POS_X as usize) * width + at.column;
        sums[item] = sum;
        sums[item + CUBE_COUNT_Z as usize * CUBE_COUNT_X as usize * width] = squares;
    }
}

/// Mean and biased variance of n values from the sums of their distances from k.
#[cube]
pub(super) fn moments<N: Size>(
    k: Vector<f32, N>,
    sum: Vector<f32, N>,
    squares: Vector<f32, N>,
    n: f32,
) -> (Vector<f32, N>, Vector<f32, N>) {
    let shift = sum / Vector::new(n);
    (k + shift, max(squares / Vector::new(n) - shift * shift, Vector::new(0.0)))
}

/// Statistics from the sums of [`measure`], and the running ones after the batch, one group after the other; a cube covers
/// `lanes` columns.
///
/// # Shapes
/// - statistics `[4, G, width]`, weight, bias and running `[width]`
/// - new running: mean at 0, variance at `second`
#[cube(launch_unchecked)]
pub(super) fn finish<F: Float, N: Size>(
    x: &[Vector<F, N>],
    sums: &[Vector<f32, N>],
    weight: &[Vector<f32, N>],
    bias: &[Vector<f32, N>],
    running_mean: &[Vector<f32, N>],
    running_variance: &[Vector<f32, N>],
    statistics: &mut [Vector<f32, N>],
    running: &mut [Vector<f32, N>],
    rows: usize,
    chunks: usize,
    groups: usize,
    width: usize,
    pitch: usize,
    second: usize,
    eps: f32,
    momentum: f32,
    #[comptime] lanes: usize,
    #[define(F)] _element: ElemType,
) {
    let lane = UNIT_POS as usize % lanes;
    let column = CUBE_POS_X as usize * lanes + lane;
    let there = column < width;
    let one = (UNIT_POS as usize) < lanes && there;
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
        let mut sum = Vector::<f32, N>::new(0.0);
        let mut squares = Vector::<f32, N>::new(0.0);
        if there {
            let mut chunk = UNIT_POS as usize / lanes;
            while chunk < chunks {
                let item = (group * chunks + chunk) * width + column;
                sum += sums[item];
                squares += sums[item + planes * chunks];
                chunk += comptime!(UNITS as usize / lanes);
            }
        }
        let (sum, squares) = add_up::<N>(sum, squares, lanes);
        if one {
            let k = Vector::<f32, N>::cast_from(x[group * rows * pitch + column]);
            let (mean, variance) = moments::<N>(k, sum, squares, n);
            let inverse = Vector::<f32, N>::new(1.0) / (variance + Vector::new(eps)).sqrt();
            let scale = weight[column] * inverse;
            let item = group * width + column;
            statistics[item + comptime!(Plane::SCALE) * planes] = scale;
            statistics[item + comptime!(Plane::OFFSET) * planes] = bias[column] - mean * scale;
            statistics[item + comptime!(Plane::MEAN) * planes] = mean;
            statistics[item + comptime!(Plane::INVERSE) * planes] = inverse;
            let (keep, take) = (Vector::<f32, N>::new(1.0 - momentum), Vector::<f32, N>::new(momentum));
            mean_so_far = mean_so_far * keep + mean * take;
            variance_so_far = variance_so_far * keep + variance * Vector::new(unbiased) * take;
        }
    }
    if one {
        running[column] = mean_so_far;
        running[column + second] = variance_so_far;
    }
}

/// Statistics from the running ones, `[4, width]`; a unit a column.
#[cube(launch_unchecked)]
pub(super) fn given<N: Size>(
    weight: &[Vector<f32, N>],
    bias: &[Vector<f32, N>],
    mean: &[Vector<f32, N>],
    variance: &[Vector<f32, N>],
    statistics: &mut [Vector<f32, N>],
    width: usize,
    eps: f32,
) {
    let column = ABSOLUTE_POS;
    if column < width {
        let inverse = Vector::<f32, N>::new(1.0) / (variance[column] + Vector::new(eps)).sqrt();
        let scale = weight[column] * inverse;
        statistics[column + comptime!(Plane::SCALE) * width] = scale;
        statistics[column + comptime!(Plane::OFFSET) * width] = bias[column] - mean[column] * scale;
        statistics[column + comptime!(Plane::MEAN) * width] = mean[column];
        statistics[column + comptime!(Plane::INVERSE) * width] = inverse;
    }
}

/// `y = x·scale + offset`, plus the residual, rectified: what is asked for.
#[cube(launch_unchecked)]
pub(super) fn apply<F: Float, N: Size>(
    x: &[Vector<F, N>],
    residual: &[Vector<F, N>],
    statistics: &[Vector<f32, N>],
    y: &mut [Vector<F, N>],
    rows: usize,
    per_chunk: usize,
    width: usize,
    pitch: usize,
    residual_pitch: usize,
    #[comptime] lanes: usize,
    #[comptime] add: bool,
    #[comptime] rectify: bool,
    #[define(F)] _element: ElemType,
) {
    let at = place(rows, per_chunk, width, lanes);
    if at.there {
        let (item, planes) = (CUBE_POS_Z as usize * width + at.column, CUBE_COUNT_Z as usize * width);
        let scale = statistics[item + comptime!(Plane::SCALE) * planes];
        let offset = statistics[item + comptime!(Plane::OFFSET) * planes];
        apply_rows::<F, N>(x, residual, y, at, scale, offset, width, pitch, residual_pitch, add, rectify);
    }
}

/// The rows of a unit, normalised.
#[cube]
pub(super) fn apply_rows<F: Float, N: Size>(
    x: &[Vector<F, N>],
    residual: &[Vector<F, N>],
    y: &mut [Vector<F, N>],
    at: Place,
    scale: Vector<f32, N>,
    offset: Vector<f32, N>,
    width: usize,
    pitch: usize,
    residual_pitch: usize,
    #[comptime] add: bool,
    #[comptime] rectify: bool,
) {
    let mut row = at.from;
    while row < at.to {
        let position = at.first + row;
        let mut value = Vector::<f32, N>::cast_from(x[position * pitch + at.column]) * scale + offset;
        if comptime!(add) {
            value += Vector::cast_from(residual[position * residual_pitch + at.column]);
        }
        if comptime!(rectify) {
            // Not the maximum, which would hide a NaN.
            let zero = Vector::<f32, N>::new(0.0);
            value = select_many(zero.greater_than(&value), zero, value);
        }
        y[position * width + at.column] = Vector::cast_from(value);
        row += at.step;
    }
}

/// How the backward pass knows where the rectifier let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Mask {
    /// There was none.
    None,
    /// From x, as the forward pass.
    Input,
    /// From y: there was a residual.
    Output,
}

/// `dy` where the rectifier let through, else 0.
#[cube]
pub(super) fn masked<F: Float, N: Size>(
    dy: Vector<f32, N>,
    x: Vector<f32, N>,
    y: &[Vector<F, N>],
    at: usize,
    scale: Vector<f32, N>,
    offset: Vector<f32, N>,
    #[comptime] mask: Mask,
) -> Vector<f32, N> {
    let zero = Vector::<f32, N>::new(0.0);
    if comptime!(mask == Mask::Input) {
        select_many((x * scale + offset).greater_than(&zero), dy, zero)
    } else if comptime!(mask == Mask::Output) {
        select_many(Vector::<f32, N>::cast_from(y[at]).greater_than(&zero), dy, zero)
    } else {
        dy
    }
}

/// Sums of `dy` and of `dy·x̂` over a chunk of rows, `dy` masked.
///
/// # Shapes
/// - sums `[2, G, chunks, width]`
#[cube(launch_unchecked)]
pub(super) fn measure_back<F: Float, N: Size>(
    x: &[Vector<F, N>],
    dy: &[Vector<F, N>],
    y: &[Vector<F, N>],
    statistics: &[Vector<f32, N>],
    sums: &mut [Vector<f32, N>],
    rows: usize,
    per_chunk: usize,
    width: usize,
    pitch: usize,
    dy_pitch: usize,
    #[comptime] lanes: usize,
    #[comptime] mask: Mask,
    #[define(F)] _element: ElemType,
) {
    let at = place(rows, per_chunk, width, lanes);
    let mut sum = Vector::<f32, N>::new(0.0);
    let mut products = Vector::<f32, N>::new(0.0);
    if at.there {
        let (item, planes) = (CUBE_POS_Z as usize * width + at.column, CUBE_COUNT_Z as usize * width);
        let scale = statistics[item + comptime!(Plane::SCALE) * planes];
        let offset = statistics[item + comptime!(Plane::OFFSET) * planes];
        let mean = statistics[item + comptime!(Plane::MEAN) * planes];
        let inverse = statistics[item + comptime!(Plane::INVERSE) * planes];
        let mut row = at.from;
        while row < at.to {
            let position = at.first + row;
            let value = Vector::<f32, N>::cast_from(x[position * pitch + at.column]);
            let slope = Vector::<f32, N>::cast_from(dy[position * dy_pitch + at.column]);
            let slope = masked::<F, N>(slope, value, y, position * width + at.column, scale, offset, mask);
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

/// Gradients of weight and bias, and the means over a group that the gradient of x needs, from the sums of [`measure_back`].
///
/// # Shapes
/// - means `[2, G, width]`: of `dy` and of `dy·x̂`
/// - of parameters: weight at 0, bias at `second`
#[cube(launch_unchecked)]
pub(super) fn finish_back<N: Size>(
    sums: &[Vector<f32, N>],
    means: &mut [Vector<f32, N>],
    parameters: &mut [Vector<f32, N>],
    rows: usize,
    chunks: usize,
    groups: usize,
    width: usize,
    second: usize,
    #[comptime] lanes: usize,
) {
    let lane = UNIT_POS as usize % lanes;
    let column = CUBE_POS_X as usize * lanes + lane;
    let there = column < width;
    let one = (UNIT_POS as usize) < lanes && there;
    let planes = groups * width;
    let n = Vector::<f32, N>::new(f32::cast_from(rows));
    let mut bias = Vector::<f32, N>::new(0.0);
    let mut weight = Vector::<f32, N>::new(0.0);
    for group in 0..groups {
        let mut sum = Vector::<f32, N>::new(0.0);
        let mut products = Vector::<f32, N>::new(0.0);
        if there {
            let mut chunk = UNIT_POS as usize / lanes;
            while chunk < chunks {
                let item = (group * chunks + chunk) * width + column;
                sum += sums[item];
                products += sums[item + planes * chunks];
                chunk += comptime!(UNITS as usize / lanes);
            }
        }
        let (sum, products) = add_up::<N>(sum, products, lanes);
        if one {
            means[group * width + column] = sum / n;
            means[group * width + column + planes] = products / n;
            bias += sum;
            weight += products;
        }
    }
    if one {
        parameters[column] = weight;
        parameters[column + second] = bias;
    }
}

/// What is written beside the gradient of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Beside {
    Nothing,
    /// The gradient of the residual.
    Residual,
    /// The gradient of the last map of a dense block, which is that part of the input's.
    LastMap,
}

/// `dx = scale·(dy - mean of dy - x̂·mean of dy·x̂)`, `dy` masked; without the means where the statistics are constants. The
/// masked `dy` is the gradient of the residual. Of a dense block, columns from `last` on are the last map's, whose gradient this
/// completes.
#[cube(launch_unchecked)]
pub(super) fn propagate<F: Float, N: Size>(
    x: &[Vector<F, N>],
    dy: &[Vector<F, N>],
    y: &[Vector<F, N>],
    statistics: &[Vector<f32, N>],
    means: &[Vector<f32, N>],
    dx: &mut [Vector<F, N>],
    beside: &mut [Vector<F, N>],
    rows: usize,
    per_chunk: usize,
    width: usize,
    pitch: usize,
    dy_pitch: usize,
    dx_pitch: usize,
    last: usize,
    #[comptime] lanes: usize,
    #[comptime] mask: Mask,
    #[comptime] constant: bool,
    #[comptime] accumulate: bool,
    #[comptime] wanted: Beside,
    #[define(F)] _element: ElemType,
) {
    let at = place(rows, per_chunk, width, lanes);
    if at.there {
        let (item, planes) = (CUBE_POS_Z as usize * width + at.column, CUBE_COUNT_Z as usize * width);
        let mut of_dy = Vector::<f32, N>::new(0.0);
        let mut of_product = Vector::<f32, N>::new(0.0);
        if comptime!(!constant) {
            of_dy = means[item];
            of_product = means[item + planes];
        }
        let factors = factors::<N>(statistics, item, planes, of_dy, of_product);
        propagate_rows::<F, N>(
            x, dy, y, dx, beside, at, factors, width, pitch, dy_pitch, dx_pitch, last, mask, constant, accumulate,
            wanted,
        );
    }
}

/// What the gradient of a column is made with.
#[derive(CubeType, Clone, Copy)]
pub(super) struct Factors<N: Size> {
    pub(super) scale: Vector<f32, N>,
    pub(super) offset: Vector<f32, N>,
    pub(super) mean: Vector<f32, N>,
    pub(super) inverse: Vector<f32, N>,
    /// Mean of `dy` over the group.
    pub(super) of_dy: Vector<f32, N>,
    /// Mean of `dy·x̂` over the group.
    pub(super) of_product: Vector<f32, N>,
}

/// The factors of a column of a group, which is `item` in every plane.
#[cube]
pub(super) fn factors<N: Size>(
    statistics: &[Vector<f32, N>],
    item: usize,
    planes: usize,
    of_dy: Vector<f32, N>,
    of_product: Vector<f32, N>,
) -> Factors<N> {
    Factors::<N> {
        scale: statistics[item + comptime!(Plane::SCALE) * planes],
        offset: statistics[item + comptime!(Plane::OFFSET) * planes],
        mean: statistics[item + comptime!(Plane::MEAN) * planes],
        inverse: statistics[item + comptime!(Plane::INVERSE) * planes],
        of_dy,
        of_product,
    }
}

/// The rows of a unit in the backward pass.
#[cube]
pub(super) fn propagate_rows<F: Float, N: Size>(
    x: &[Vector<F, N>],
    dy: &[Vector<F, N>],
    y: &[Vector<F, N>],
    dx: &mut [Vector<F, N>],
    beside: &mut [Vector<F, N>],
    at: Place,
    by: Factors<N>,
    width: usize,
    pitch: usize,
    dy_pitch: usize,
    dx_pitch: usize,
    last: usize,
    #[comptime] mask: Mask,
    #[comptime] constant: bool,
    #[comptime] accumulate: bool,
    #[comptime] wanted: Beside,
) {
    let mut row = at.from;
    while row < at.to {
        let position = at.first + row;
        let value = Vector::<f32, N>::cast_from(x[position * pitch + at.column]);
        let slope = Vector::<f32, N>::cast_from(dy[position * dy_pitch + at.column]);
        let slope = masked::<F, N>(slope, value, y, position * width + at.column, by.scale, by.offset, mask);
        if comptime!(wanted == Beside::Residual) {
            beside[position * width + at.column] = Vector::cast_from(slope);
        }
        let mut result = by.scale * slope;
        if comptime!(!constant) {
            result = by.scale * (slope - by.of_dy - (value - by.mean) * by.inverse * by.of_product);
        }
        let target = position * dx_pitch + at.column;
        if comptime!(accumulate) {
            result += Vector::cast_from(dx[target]);
        }
        if comptime!(wanted == Beside::LastMap) && at.column >= last {
            beside[position * (width - last) + at.column - last] = Vector::cast_from(result);
        } else {
            dx[target] = Vector::cast_from(result);
        }
        row += at.step;
    }
}
