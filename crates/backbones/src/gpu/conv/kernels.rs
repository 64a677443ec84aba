//! Convolution, forward and both gradients, as a product of matrices whose operands are read where they lie.
//!
//! A cube makes a tile of results. It goes through the inner side in steps of 32: both operands' parts of a step are read into
//! registers while the step before is multiplied, and then copied into shared memory. On a device with matrix units eight
//! planes multiply fragments of 16 by 16; elsewhere every unit adds up a grid of results. Sums are f32. On matrix units maps of
//! f32 are rounded to TF32 first, as Burn's convolutions do it.
//!
//! | pass | rows | columns | inner side |
//! |---|---|---|---|
//! | forward | positions of y | channels of y | taps, channels of x |
//! | dX | positions of x (of one phase of the stride) | channels of x | taps that reach them, channels of y |
//! | dW | taps, channels of x | channels of y | positions of y |
//!
//! The tiles of dW are few and its inner side long: several cubes share it, and [`add_planes`] adds their sums.

use cubecl::{
    cmma::{self, Matrix, MatrixIdent, MatrixLayout},
    prelude::*,
};

use super::{
    place::{Pass, Position, Sizes, Window, index_in_x, index_in_y, position_of_x, position_of_y, taps_of},
    tile::{PLANES, SIDE, STEP, Tile, UNITS},
};

/// The sums of a plane, or of a unit on a device without matrix units.
#[derive(CubeType)]
struct Sums {
    fragments: Sequence<Matrix<f32>>,
    of_unit: Array<f32>,
}

#[cube]
fn no_sums(#[comptime] tile: Tile) -> Sums {
    let mut fragments = Sequence::<Matrix<f32>>::new();
    let (down, across) = comptime!(tile.fragments());
    if comptime!(tile.on_matrix_units()) {
        #[unroll]
        for _ in 0..down * across {
            fragments.push(Matrix::<f32>::from_value(
                MatrixIdent::Accumulator,
                comptime!(SIDE),
                comptime!(SIDE),
                comptime!(tile.fragment),
                MatrixLayout::Undefined,
                0.0f32,
            ));
        }
    }
    let length = comptime!(if tile.on_matrix_units() { 1 } else { tile.of_a_unit().0 * tile.of_a_unit().1 });
    let mut of_unit = Array::<f32>::new(length);
    #[unroll]
    for i in 0..length {
        of_unit[i] = 0.0;
    }
    Sums { fragments, of_unit }
}

/// First row and column of a plane's fragments within the tile.
#[cube]
fn place_of_plane(#[comptime] tile: Tile) -> (usize, usize) {
    let plane = UNIT_POS as usize / 32;
    let (down, across) = comptime!(tile.fragments());
    let planes = comptime!(tile.planes_across());
    (plane / planes * comptime!(down * SIDE), plane % planes * comptime!(across * SIDE))
}

/// Adds the product of a step. The left operand lies in rows of the inner side or, for dW, of the tile; the right one in rows
/// of the inner side in the forward pass, else of the tile.
#[cube]
fn multiply<E: Float, NA: Size, NB: Size>(
    left: &Shared<[Vector<E, NA>]>,
    right: &Shared<[Vector<E, NB>]>,
    sums: &mut Sums,
    #[comptime] pass: Pass,
    #[comptime] tile: Tile,
) {
    let (na, nb) = (NA::value().comptime(), NB::value().comptime());
    let left_row = comptime!(tile.left(pass).1 + tile.gap);
    let right_row = comptime!(tile.right(pass).1 + tile.gap);
    if comptime!(tile.on_matrix_units()) {
        let (row, column) = place_of_plane(tile);
        let (down, across) = comptime!(tile.fragments());
        let inner = comptime!(tile.fragment);
        let left_layout =
            comptime!(if pass == Pass::WeightGrad { MatrixLayout::ColMajor } else { MatrixLayout::RowMajor });
        let right_layout =
            comptime!(if pass == Pass::Forward { MatrixLayout::ColMajor } else { MatrixLayout::RowMajor });
        #[unroll]
        for k in 0..comptime!(STEP / inner) {
            let mut rights = Sequence::<Matrix<E>>::new();
            #[unroll]
            for j in 0..across {
                let (at, column) = (k * inner, column + j * SIDE);
                let from =
                    if comptime!(pass == Pass::Forward) { column * right_row + at } else { at * right_row + column };
                // SAFETY: it is loaded in the next line.
                #[allow(unsafe_code)]
                let mut matrix = unsafe { Matrix::<E>::uninitialized(MatrixIdent::B, SIDE, SIDE, inner, right_layout) };
                let length = comptime!(tile.right(pass).0 * right_row).runtime();
                cmma::load(&mut matrix, &right[from / nb..length / nb], right_row as u32);
                rights.push(matrix);
            }
            #[unroll]
            for i in 0..down {
                let (at, row) = (k * inner, row + i * SIDE);
                let from = if comptime!(pass == Pass::WeightGrad) { at * left_row + row } else { row * left_row + at };
                // SAFETY: it is loaded in the next line.
                #[allow(unsafe_code)]
                let mut matrix = unsafe { Matrix::<E>::uninitialized(MatrixIdent::A, SIDE, SIDE, inner, left_layout) };
                let length = comptime!(tile.left(pass).0 * left_row).runtime();
                cmma::load(&mut matrix, &left[from / na..length / na], left_row as u32);
                #[unroll]
                for j in 0..across {
                    let sum = &sums.fragments[i * across + j];
                    cmma::execute(&matrix, &rights[j], sum, sum);
                }
            }
        }
    } else {
        let (row, column) = (UNIT_POS as usize / SIDE, UNIT_POS as usize % SIDE);
        let (down, across) = comptime!(tile.of_a_unit());
        let mut lefts = Array::<f32>::new(down);
        for k in 0..STEP {
            #[unroll]
            for i in 0..down {
                let row = row + i * SIDE;
                let at = if comptime!(pass == Pass::WeightGrad) { k * left_row + row } else { row * left_row + k };
                lefts[i] = f32::cast_from(left[at].extract(0usize));
            }
            #[unroll]
            for j in 0..across {
                let column = column + j * SIDE;
                let at = if comptime!(pass == Pass::Forward) { column * right_row + k } else { k * right_row + column };
                let value = f32::cast_from(right[at].extract(0usize));
                #[unroll]
                for i in 0..down {
                    sums.of_unit[i * across + j] += lefts[i] * value;
                }
            }
        }
    }
}

/// Copies what the units have read of an operand into shared memory: vectors row after row, of which a unit has every 256th.
#[cube]
fn stage<F: Float, E: Float, N: Size>(
    read: &Array<Vector<F, N>>,
    shared: &mut Shared<[Vector<E, N>]>,
    #[comptime] sides: (usize, usize),
    #[comptime] gap: usize,
) {
    let vector = N::value().comptime();
    let (rows, length) = sides;
    let (of_row, pitch) = comptime!((length / vector, (length + gap) / vector));
    let count = comptime!(rows * of_row);
    #[unroll]
    for i in 0..comptime!(count.div_ceil(UNITS)) {
        let at = UNIT_POS as usize + i * UNITS;
        if at < count {
            shared[at / of_row * pitch + at % of_row] = Vector::cast_from(read[i]);
        }
    }
}

/// The forward pass, of x and w, or dX, of dy and w. A result that is wanted twice is also written into a map of `pitch` columns,
/// from `first_column` on.
///
/// # Shapes
/// - maps channels last with a pitch, w `[C of y, height, width, C of x]`
#[cube(launch_unchecked)]
pub(super) fn gathered<F: Float, E: Float, NA: Size, NB: Size, NO: Size>(
    map: &[Vector<F, NA>],
    weight: &[Vector<F, NB>],
    out: &mut [Vector<F, NO>],
    also: &mut [Vector<F, NO>],
    of: Sizes,
    pitch: usize,
    first_column: usize,
    #[comptime] twice: bool,
    #[comptime] window: Window,
    #[comptime] tile: Tile,
    #[define(F)] _element: ElemType,
    #[define(E)] _stage: ElemType,
) {
    let (na, nb, no) = (NA::value().comptime(), NB::value().comptime(), NO::value().comptime());
    let (taps, stride) = comptime!((window.height * window.width, window.stride));
    let forward = comptime!(window.pass == Pass::Forward);
    let unit = UNIT_POS as usize;
    let (line, phase) = (CUBE_POS_Z as usize % of.lines, CUBE_POS_Z as usize / of.lines);
    let tile_row = (line * CUBE_COUNT_X as usize + CUBE_POS_X as usize) * comptime!(tile.rows);
    let tile_column = CUBE_POS_Y as usize * comptime!(tile.columns);
    // Of dX: the first row and column of x of this phase, and the first tap that reaches them.
    let (phase_y, phase_x) = (phase / stride, phase % stride);
    let (tap_y, tap_x) = ((phase_y + window.padding) % stride, (phase_x + window.padding) % stride);
    let across = taps_of(tap_x, comptime!(window.width), stride);
    let grid_height = (of.x_height - phase_y).div_ceil(stride);
    let grid_width = (of.x_width - phase_x).div_ceil(stride);
    let (rows, channels, columns) = if forward {
        (of.images * of.y_height * of.y_width, of.x_channels, of.y_channels)
    } else {
        (of.images * grid_height * grid_width, of.y_channels, of.x_channels)
    };
    let inner =
        if forward { taps * channels } else { taps_of(tap_y, comptime!(window.height), stride) * across * channels };

    // A unit copies the same column of vectors in every row, of rows that do not change.
    let of_row = comptime!(STEP / na);
    let down = comptime!(UNITS / (STEP / na));
    let copies = comptime!(tile.rows * (STEP / na) / UNITS);
    let (copy_inner, copy_row) = (unit % of_row * na, unit / of_row);
    let mut positions = Sequence::<Position>::new();
    #[unroll]
    for i in 0..copies {
        let row = tile_row + copy_row + i * down;
        positions.push(if forward {
            position_of_y(row, rows, &of, window)
        } else {
            position_of_x(row, rows, grid_height, grid_width, phase_y, phase_x, window)
        });
    }
    let right_rows = comptime!(tile.right(window.pass).0);
    let right_of_row = comptime!(tile.right(window.pass).1 / nb);
    let right_copies = comptime!((right_rows * right_of_row).div_ceil(UNITS));

    let mut shared_left = Shared::<[Vector<E, NA>]>::new_aligned_slice(
        comptime!(tile.left(window.pass).0 * (tile.left(window.pass).1 + tile.gap) / na),
        32usize,
    );
    let mut shared_right = Shared::<[Vector<E, NB>]>::new_aligned_slice(
        comptime!(tile.right(window.pass).0 * (tile.right(window.pass).1 + tile.gap) / nb),
        32usize,
    );
    let mut sums = no_sums(tile);
    let mut lefts = Array::<Vector<F, NA>>::new(copies);
    let mut rights = Array::<Vector<F, NB>>::new(right_copies);

    let mut start = 0usize;
    let steps = inner.div_ceil(STEP);
    // One turn more than steps: what a turn reads, the next one multiplies.
    for turn in 0..steps + 1 {
        if turn > 0 {
            sync_cube();
            stage(&lefts, &mut shared_left, comptime!(tile.left(window.pass)), comptime!(tile.gap));
            stage(&rights, &mut shared_right, comptime!(tile.right(window.pass)), comptime!(tile.gap));
            sync_cube();
        }
        if turn < steps {
            let at = start + copy_inner;
            let (tap, channel) = (at / channels, at % channels);
            let (below, right_of) = if forward {
                (tap / comptime!(window.width), tap % comptime!(window.width))
            } else {
                (tap_y + tap / across * stride, tap_x + tap % across * stride)
            };
            #[unroll]
            for i in 0..copies {
                let place = &positions[i];
                let (there, index) = if forward {
                    index_in_x(place, below, right_of, channel, &of)
                } else {
                    index_in_y(place, below, right_of, channel, &of, stride)
                };
                let mut value = Vector::<F, NA>::new(F::new(0.0));
                if at < inner && there {
                    value = map[index / na];
                }
                lefts[i] = value;
            }
            #[unroll]
            for i in 0..right_copies {
                let copy = unit + i * UNITS;
                let (row, vector) = (copy / right_of_row, copy % right_of_row * nb);
                let mut value = Vector::<F, NB>::new(F::new(0.0));
                if forward {
                    let (column, at) = (tile_column + row, start + vector);
                    if row < right_rows && column < columns && at < inner {
                        value = weight[(column * inner + at) / nb];
                    }
                } else {
                    let (column, at) = (tile_column + vector, start + row);
                    if row < right_rows && column < columns && at < inner {
                        let (tap, channel) = (at / channels, at % channels);
                        let tap =
                            (tap_y + tap / across * stride) * comptime!(window.width) + tap_x + tap % across * stride;
                        value = weight[((channel * taps + tap) * columns + column) / nb];
                    }
                }
                rights[i] = value;
            }
        }
        if turn > 0 {
            multiply(&shared_left, &shared_right, &mut sums, comptime!(window.pass), tile);
        }
        start += STEP;
    }

    if comptime!(tile.on_matrix_units()) {
        let mut bounce = Shared::<[f32]>::new_aligned_slice(comptime!(PLANES * SIDE * SIDE), 32usize);
        let first = unit / 32 * comptime!(SIDE * SIDE);
        let (plane_row, plane_column) = place_of_plane(tile);
        let (down, across_plane) = comptime!(tile.fragments());
        let (lane_row, lane_column) = (unit % 32 / 2, unit % 2 * 8);
        #[unroll]
        for i in 0..down {
            #[unroll]
            for j in 0..across_plane {
                cmma::store(
                    &mut bounce[first..first + comptime!(SIDE * SIDE)],
                    &sums.fragments[i * across_plane + j],
                    comptime!(SIDE as u32),
                    MatrixLayout::RowMajor,
                );
                sync_cube();
                let row = tile_row + plane_row + i * SIDE + lane_row;
                let column = tile_column + plane_column + j * SIDE + lane_column;
                let place =
                    if forward { row } else { row_of_x(row, grid_height, grid_width, phase_y, phase_x, stride, &of) };
                #[unroll]
                for v in 0..comptime!(8 / no) {
                    if row < rows && column + v * no < columns {
                        let mut results = Vector::<F, NO>::new(F::new(0.0));
                        #[unroll]
                        for e in 0..no {
                            results.insert(e, F::cast_from(bounce[first + lane_row * SIDE + lane_column + v * no + e]));
                        }
                        out[(place * columns + column) / no + v] = results;
                        if comptime!(twice) {
                            also[(place * pitch + first_column + column) / no + v] = results;
                        }
                    }
                }
                sync_cube();
            }
        }
    } else {
        let (down, across) = comptime!(tile.of_a_unit());
        #[unroll]
        for i in 0..down {
            let row = tile_row + unit / SIDE + i * SIDE;
            let place =
                if forward { row } else { row_of_x(row, grid_height, grid_width, phase_y, phase_x, stride, &of) };
            #[unroll]
            for j in 0..across {
                let column = tile_column + unit % SIDE + j * SIDE;
                if row < rows && column < columns {
                    let result = Vector::new(F::cast_from(sums.of_unit[i * across + j]));
                    out[place * columns + column] = result;
                    if comptime!(twice) {
                        also[place * pitch + first_column + column] = result;
                    }
                }
            }
        }
    }
}

/// The position of x that a row of a phase is.
#[cube]
fn row_of_x(
    row: usize,
    grid_height: usize,
    grid_width: usize,
    phase_y: usize,
    phase_x: usize,
    #[comptime] stride: usize,
    of: &Sizes,
) -> usize {
    let (column, rest) = (row % grid_width, row / grid_width);
    let (line, image) = (rest % grid_height, rest / grid_height);
    (image * of.x_height + phase_y + line * stride) * of.x_width + phase_x + column * stride
}

/// Planes of dW, one a share: `[shares, rows of all tiles, columns of all tiles]`, a row a tap and channel of x. Where there is
/// one share, and units multiply, dW itself, as [`add_planes`] leaves it.
#[cube(launch_unchecked)]
pub(super) fn weight_grad<F: Float, E: Float, NA: Size, NB: Size>(
    x: &[Vector<F, NA>],
    dy: &[Vector<F, NB>],
    planes: &mut [f32],
    of: Sizes,
    #[comptime] alone: bool,
    #[comptime] window: Window,
    #[comptime] tile: Tile,
    #[define(F)] _element: ElemType,
    #[define(E)] _stage: ElemType,
) {
    let (na, nb) = (NA::value().comptime(), NB::value().comptime());
    let unit = UNIT_POS as usize;
    let tile_row = CUBE_POS_X as usize * comptime!(tile.rows);
    let tile_column = CUBE_POS_Y as usize * comptime!(tile.columns);
    let rows = comptime!(window.height * window.width) * of.x_channels;
    let inner = of.images * of.y_height * of.y_width;
    let from = CUBE_POS_Z as usize * of.share;
    let to = select(from + of.share < inner, from + of.share, inner);

    // A unit copies the same column of vectors, here a tap and channels, from every position.
    let of_row = comptime!(tile.rows / na);
    let down = comptime!(UNITS / (tile.rows / na));
    let copies = comptime!(STEP * (tile.rows / na) / UNITS);
    let row = tile_row + unit % of_row * na;
    let (tap, channel) = (row / of.x_channels, row % of.x_channels);
    let (below, right_of) = (tap / comptime!(window.width), tap % comptime!(window.width));
    let right_of_row = comptime!(tile.columns / nb);
    let right_copies = comptime!((STEP * (tile.columns / nb)).div_ceil(UNITS));

    let mut shared_left = Shared::<[Vector<E, NA>]>::new_aligned_slice(
        comptime!(tile.left(window.pass).0 * (tile.left(window.pass).1 + tile.gap) / na),
        32usize,
    );
    let mut shared_right = Shared::<[Vector<E, NB>]>::new_aligned_slice(
        comptime!(tile.right(window.pass).0 * (tile.right(window.pass).1 + tile.gap) / nb),
        32usize,
    );
    let mut sums = no_sums(tile);
    let mut lefts = Array::<Vector<F, NA>>::new(copies);
    let mut rights = Array::<Vector<F, NB>>::new(right_copies);

    let mut start = from;
    let steps = (to - from).div_ceil(STEP);
    // One turn more than steps: what a turn reads, the next one multiplies.
    for turn in 0..steps + 1 {
        if turn > 0 {
            sync_cube();
            stage(&lefts, &mut shared_left, comptime!(tile.left(window.pass)), comptime!(tile.gap));
            stage(&rights, &mut shared_right, comptime!(tile.right(window.pass)), comptime!(tile.gap));
            sync_cube();
        }
        if turn < steps {
            #[unroll]
            for i in 0..copies {
                let place = position_of_y(start + unit / of_row + i * down, to, &of, window);
                let (there, index) = index_in_x(&place, below, right_of, channel, &of);
                let mut value = Vector::<F, NA>::new(F::new(0.0));
                if there && row < rows {
                    value = x[index / na];
                }
                lefts[i] = value;
            }
            #[unroll]
            for i in 0..right_copies {
                let copy = unit + i * UNITS;
                let (at, column) = (start + copy / right_of_row, tile_column + copy % right_of_row * nb);
                let mut value = Vector::<F, NB>::new(F::new(0.0));
                if copy < STEP * right_of_row && at < to && column < of.y_channels {
                    value = dy[(at * of.y_pitch + column) / nb];
                }
                rights[i] = value;
            }
        }
        if turn > 0 {
            multiply(&shared_left, &shared_right, &mut sums, comptime!(window.pass), tile);
        }
        start += STEP;
    }

    let (width, height) =
        (CUBE_COUNT_Y as usize * comptime!(tile.columns), CUBE_COUNT_X as usize * comptime!(tile.rows));
    let plane = CUBE_POS_Z as usize * height * width;
    if comptime!(tile.on_matrix_units()) {
        let (row, column) = place_of_plane(tile);
        let (down, across) = comptime!(tile.fragments());
        #[unroll]
        for i in 0..down {
            #[unroll]
            for j in 0..across {
                let first = plane + (tile_row + row + i * SIDE) * width + tile_column + column + j * SIDE;
                let end = first + comptime!(SIDE - 1) * width + SIDE;
                cmma::store(
                    &mut planes[first..end],
                    &sums.fragments[i * across + j],
                    width as u32,
                    MatrixLayout::RowMajor,
                );
            }
        }
    } else {
        let (down, across) = comptime!(tile.of_a_unit());
        #[unroll]
        for i in 0..down {
            #[unroll]
            for j in 0..across {
                let (row, column) = (tile_row + unit / SIDE + i * SIDE, tile_column + unit % SIDE + j * SIDE);
                let sum = sums.of_unit[i * across + j];
                if comptime!(alone) {
                    if row < rows && column < of.y_channels {
                        planes[column * rows + row] = sum;
                    }
                } else {
                    planes[plane + row * width + column] = sum;
                }
            }
        }
    }
}

/// dW from the planes of its shares.
///
/// # Shapes
/// - planes as [`weight_grad`] leaves them, `height` rows of `width`; dW `[C of y, rows]`, a row a tap and channel of x
#[cube(launch_unchecked)]
pub(super) fn add_planes<F: Float>(
    planes: &[f32],
    out: &mut [F],
    height: usize,
    width: usize,
    shares: usize,
    rows: usize,
    y_channels: usize,
    #[define(F)] _element: ElemType,
) {
    // Neighbouring units read neighbouring columns.
    let (column, row) = (ABSOLUTE_POS % y_channels, ABSOLUTE_POS / y_channels);
    if row < rows {
        let mut sum = 0.0;
        for share in 0..shares {
            sum += planes[(share * height + row) * width + column];
        }
        out[column * rows + row] = F::cast_from(sum);
    }
}
