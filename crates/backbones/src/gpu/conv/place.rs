//! What a convolution multiplies, and where an element of a product lies in the maps.

use cubecl::prelude::*;

/// Which of the three products.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::gpu) enum Pass {
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
    /// How much of the inner side of dW a cube takes.
    pub(super) share: usize,
    /// Lines of cubes in which the tiles of rows lie: a device takes a limited number in one.
    pub(super) lines: usize,
}

/// A position of a map, in the map that the pass gathers from; what lies outside is padding.
#[derive(CubeType, Clone, Copy)]
pub(super) struct Position {
    there: bool,
    image: usize,
    /// Of the window's first tap, shifted by a large number so that it is not negative.
    y: usize,
    x: usize,
}

/// Added to coordinates that may be negative.
const SHIFT: usize = 1 << 16;

/// Taps from `first` on, `stride` apart.
#[cube]
pub(super) fn taps_of(first: usize, #[comptime] length: usize, #[comptime] stride: usize) -> usize {
    select(first < length, (length + comptime!(stride - 1) - first) / stride, 0)
}

/// Where in x the window of a position of y begins.
#[cube]
pub(super) fn position_of_y(row: usize, rows: usize, of: &Sizes, #[comptime] window: Window) -> Position {
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
pub(super) fn position_of_x(
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
pub(super) fn index_in_x(place: &Position, down: usize, across: usize, channel: usize, of: &Sizes) -> (bool, usize) {
    let (y, x) = (place.y + down, place.x + across);
    let inside = y >= SHIFT && y < of.x_height + SHIFT && x >= SHIFT && x < of.x_width + SHIFT;
    let index = ((place.image * of.x_height + y - SHIFT) * of.x_width + x - SHIFT) * of.x_pitch + channel;
    (place.there && inside, index)
}

/// Whether a position of x is reached by this tap of a window of y, and that window's place in y.
#[cube]
pub(super) fn index_in_y(
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
