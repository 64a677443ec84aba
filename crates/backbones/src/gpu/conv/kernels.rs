//! Convolution, forward and both gradients, as a product of matrices whose operands are read where they lie.
//!
//! A cube makes a tile of 64 by 64 results: it goes through the inner side in steps of 16, for each of which both operands'
//! parts are copied into shared memory; every unit adds up 4 rows by 4 columns. Where the inner side is long and the tiles are
//! few, several cubes share it, and their sums are added by [`add_planes`].
//!
//! | pass | rows | columns | inner side |
//! |---|---|---|---|
//! | forward | positions of y | channels of y | taps, channels of x |
//! | dX | positions of x (of one phase of the stride) | channels of x | taps that reach them, channels of y |
//! | dW | taps, channels of x | channels of y | positions of y |

use cubecl::prelude::*;

/// Side of a tile.
pub(super) const TILE: usize = 64;
/// Inner side of a step.
const STEP: usize = 16;
/// Units of a cube: each has a square of `SQUARE` by `SQUARE` results.
pub(super) const UNITS: u32 = 256;
const SQUARE: usize = 4;
/// Units along a side of the tile.
const SIDE: usize = TILE / SQUARE;
/// A row of shared memory: one more than the tile, so that a column lies in different banks.
const ROW: usize = TILE + 1;

/// Which of the three products.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Pass {
    Forward,
    InputGrad,
    WeightGrad,
}

/// What a kernel is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Window {
    pub(super) pass: Pass,
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) stride: usize,
    pub(super) padding: usize,
}

/// Sizes of the maps x and y, and how the inner side is shared.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub(super) struct Sizes {
    pub(super) images: usize,
    pub(super) x_height: usize,
    pub(super) x_width: usize,
    pub(super) x_channels: usize,
    pub(super) x_pitch: usize,
    pub(super) y_height: usize,
    pub(super) y_width: usize,
    pub(super) y_channels: usize,
    pub(super) y_pitch: usize,
    /// Cubes that share the inner side, and how much of it each takes.
    pub(super) shares: usize,
    pub(super) share: usize,
    /// Lines of cubes in which the tiles of rows lie: a device takes a limited number in one.
    pub(super) lines: usize,
}

/// A position of a map, in the map that the pass gathers from; what lies outside is padding.
#[derive(CubeType, Clone, Copy)]
struct Position {
    there: bool,
    image: usize,
    /// Of the window's first tap, shifted by a large number so that it is not negative.
    y: usize,
    x: usize,
}

/// Added to coordinates that may be negative.
const SHIFT: usize = 1 << 16;

/// One pass: `left` and `right` are x and w (forward), dy and w (dX), x and dy (dW); `out` has a plane for each share.
///
/// # Shapes
/// - maps channels last with a pitch, w and dW `[C of y, C of x, height, width]`
#[cube(launch_unchecked)]
pub(super) fn convolve<F: Float>(
    left: &[F],
    right: &[F],
    out: &mut [F],
    of: Sizes,
    #[comptime] window: Window,
    #[define(F)] _element: ElemType,
) {
    let taps = comptime!(window.height * window.width);
    let stride = comptime!(window.stride);
    let unit = UNIT_POS as usize;
    let (line, rest) = (CUBE_POS_Z as usize % of.lines, CUBE_POS_Z as usize / of.lines);
    let tile_row = (line * CUBE_COUNT_X as usize + CUBE_POS_X as usize) * TILE;
    let tile_column = CUBE_POS_Y as usize * TILE;
    let (phase, part) = (rest / of.shares, rest % of.shares);
    // Of dX: the first row and column of x of this phase, and the first tap that reaches them.
    let (phase_y, phase_x) = (phase / stride, phase % stride);
    let (tap_y, tap_x) = ((phase_y + window.padding) % stride, (phase_x + window.padding) % stride);
    let across = taps_of(tap_x, comptime!(window.width), stride);
    let grid_height = (of.x_height - phase_y).div_ceil(stride);
    let grid_width = (of.x_width - phase_x).div_ceil(stride);

    let (rows, inner, columns) = match comptime!(window.pass) {
        Pass::Forward => (of.images * of.y_height * of.y_width, taps * of.x_channels, of.y_channels),
        Pass::InputGrad => (
            of.images * grid_height * grid_width,
            taps_of(tap_y, comptime!(window.height), stride) * across * of.y_channels,
            of.x_channels,
        ),
        Pass::WeightGrad => (taps * of.x_channels, of.images * of.y_height * of.y_width, of.y_channels),
    };
    let from = part * of.share;
    let to = select(from + of.share < inner, from + of.share, inner);

    // Which element of a step a unit copies: along the side on which neighbours lie beside each other in memory.
    let gathers = comptime!(window.pass != Pass::WeightGrad);
    let (copy_inner, copy_side) =
        if comptime!(gathers) { (unit % STEP, unit / STEP) } else { (unit / STEP, unit % STEP) };

    // The positions of the rows that this unit copies do not change.
    let mut positions = Sequence::<Position>::new();
    if comptime!(gathers) {
        #[unroll]
        for i in 0..SQUARE {
            let row = tile_row + copy_side + i * SIDE;
            positions.push(match comptime!(window.pass) {
                Pass::Forward => position_of_y(row, rows, &of, window),
                _ => position_of_x(row, rows, grid_height, grid_width, phase_y, phase_x, window),
            });
        }
    }

    let mut shared_left = Shared::<[f32]>::new_slice(STEP * ROW);
    let mut shared_right = Shared::<[f32]>::new_slice(STEP * ROW);
    let mut sums = Array::<f32>::new(SQUARE * SQUARE);
    #[unroll]
    for i in 0..SQUARE * SQUARE {
        sums[i] = 0.0;
    }
    // Rows beside each other, columns apart: neighbouring units read and write neighbouring columns.
    let (my_row, my_column) = (unit / SIDE * SQUARE, unit % SIDE);

    let mut start = from;
    while start < to {
        let at = start + copy_inner;
        let within = at < to;
        if comptime!(gathers) {
            let channels = if comptime!(window.pass == Pass::Forward) { of.x_channels } else { of.y_channels };
            let (tap, channel) = (at / channels, at % channels);
            let (down, right_of) = match comptime!(window.pass) {
                Pass::Forward => (tap / comptime!(window.width), tap % comptime!(window.width)),
                _ => (tap_y + tap / across * stride, tap_x + tap % across * stride),
            };
            #[unroll]
            for i in 0..SQUARE {
                let place = &positions[i];
                let mut value = 0.0;
                let (there, index) = match comptime!(window.pass) {
                    Pass::Forward => index_in_x(place, down, right_of, channel, &of),
                    _ => index_in_y(place, down, right_of, channel, &of, stride),
                };
                if within && there {
                    value = f32::cast_from(left[index]);
                }
                shared_left[copy_inner * ROW + copy_side + i * SIDE] = value;
            }
            let tap = down * comptime!(window.width) + right_of;
            #[unroll]
            for i in 0..SQUARE {
                let column = tile_column + copy_side + i * SIDE;
                let mut value = 0.0;
                if within && column < columns {
                    let index = match comptime!(window.pass) {
                        Pass::Forward => (column * of.x_channels + channel) * taps + tap,
                        _ => (channel * of.x_channels + column) * taps + tap,
                    };
                    value = f32::cast_from(right[index]);
                }
                shared_right[copy_inner * ROW + copy_side + i * SIDE] = value;
            }
        } else {
            let place = position_of_y(at, to, &of, window);
            #[unroll]
            for i in 0..SQUARE {
                let row = tile_row + copy_side + i * SIDE;
                let (tap, channel) = (row / of.x_channels, row % of.x_channels);
                let (there, index) =
                    index_in_x(&place, tap / comptime!(window.width), tap % comptime!(window.width), channel, &of);
                let mut value = 0.0;
                if there && row < rows {
                    value = f32::cast_from(left[index]);
                }
                shared_left[copy_inner * ROW + copy_side + i * SIDE] = value;
                let column = tile_column + copy_side + i * SIDE;
                let mut value = 0.0;
                if within && column < columns {
                    value = f32::cast_from(right[at * of.y_pitch + column]);
                }
                shared_right[copy_inner * ROW + copy_side + i * SIDE] = value;
            }
        }
        sync_cube();
        #[unroll]
        for step in 0..STEP {
            let mut lefts = Array::<f32>::new(SQUARE);
            let mut rights = Array::<f32>::new(SQUARE);
            #[unroll]
            for i in 0..SQUARE {
                lefts[i] = shared_left[step * ROW + my_row + i];
                rights[i] = shared_right[step * ROW + my_column + i * SIDE];
            }
            #[unroll]
            for i in 0..SQUARE {
                #[unroll]
                for j in 0..SQUARE {
                    sums[i * SQUARE + j] += lefts[i] * rights[j];
                }
            }
        }
        sync_cube();
        start += STEP;
    }

    let plane = part
        * match comptime!(window.pass) {
            Pass::Forward => rows * columns,
            Pass::InputGrad => of.images * of.x_height * of.x_width * columns,
            Pass::WeightGrad => rows * columns,
        };
    #[unroll]
    for i in 0..SQUARE {
        let row = tile_row + my_row + i;
        if row < rows {
            #[unroll]
            for j in 0..SQUARE {
                let column = tile_column + my_column + j * SIDE;
                if column < columns {
                    let index = match comptime!(window.pass) {
                        Pass::Forward => row * columns + column,
                        Pass::InputGrad => {
                            let (across_grid, rest) = (row % grid_width, row / grid_width);
                            let (down_grid, image) = (rest % grid_height, rest / grid_height);
                            let (y, x) = (phase_y + down_grid * stride, phase_x + across_grid * stride);
                            ((image * of.x_height + y) * of.x_width + x) * columns + column
                        }
                        Pass::WeightGrad => {
                            let (tap, channel) = (row / of.x_channels, row % of.x_channels);
                            (column * of.x_channels + channel) * taps + tap
                        }
                    };
                    out[plane + index] = F::cast_from(sums[i * SQUARE + j]);
                }
            }
        }
    }
}

/// Taps from `first` on, `stride` apart.
#[cube]
fn taps_of(first: usize, #[comptime] length: usize, #[comptime] stride: usize) -> usize {
    select(first < length, (length + comptime!(stride - 1) - first) / stride, 0)
}

/// Where in x the window of a position of y begins.
#[cube]
fn position_of_y(row: usize, rows: usize, of: &Sizes, #[comptime] window: Window) -> Position {
    let (column, rest) = (row % of.y_width, row / of.y_width);
    let (line, image) = (rest % of.y_height, rest / of.y_height);
    Position {
        there: row < rows,
        image,
        y: line * comptime!(window.stride) + comptime!(SHIFT - window.padding),
        x: column * comptime!(window.stride) + comptime!(SHIFT - window.padding),
    }
}

/// A position of x in a phase, with the padding added: less the tap it is a multiple of the stride.
#[cube]
fn position_of_x(
    row: usize,
    rows: usize,
    grid_height: usize,
    grid_width: usize,
    phase_y: usize,
    phase_x: usize,
    #[comptime] window: Window,
) -> Position {
    let (column, rest) = (row % grid_width, row / grid_width);
    let (line, image) = (rest % grid_height, rest / grid_height);
    Position {
        there: row < rows,
        image,
        y: phase_y + line * comptime!(window.stride) + comptime!(window.padding),
        x: phase_x + column * comptime!(window.stride) + comptime!(window.padding),
    }
}

/// Whether a tap of a window lies in x, and where.
#[cube]
fn index_in_x(place: &Position, down: usize, across: usize, channel: usize, of: &Sizes) -> (bool, usize) {
    let (y, x) = (place.y + down, place.x + across);
    let inside = y >= SHIFT && y < of.x_height + SHIFT && x >= SHIFT && x < of.x_width + SHIFT;
    let index = ((place.image * of.x_height + y - SHIFT) * of.x_width + x - SHIFT) * of.x_pitch + channel;
    (place.there && inside, index)
}

/// Whether a position of x is reached by this tap of a window of y, and that window's place in y.
#[cube]
fn index_in_y(
    place: &Position,
    down: usize,
    across: usize,
    channel: usize,
    of: &Sizes,
    #[comptime] stride: usize,
) -> (bool, usize) {
    let (y, x) = ((place.y - down) / stride, (place.x - across) / stride);
    let inside = place.y >= down && place.x >= across && y < of.y_height && x < of.y_width;
    (place.there && inside, ((place.image * of.y_height + y) * of.y_width + x) * of.y_pitch + channel)
}

/// Sum over the planes of shares.
#[cube(launch_unchecked)]
pub(super) fn add_planes<F: Float>(
    planes: &[f32],
    out: &mut [F],
    length: usize,
    shares: usize,
    #[define(F)] _element: ElemType,
) {
    let at = ABSOLUTE_POS;
    if at < length {
        let mut sum = 0.0;
        for share in 0..shares {
            sum += planes[share * length + at];
        }
        out[at] = F::cast_from(sum);
    }
}
