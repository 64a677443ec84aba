//! Pooling, one launch each way: the maximum over 3x3 windows with stride 2 and one pixel of padding, and averages over 2x2
//! windows and over whole planes.
//!
//! A unit of a kernel computes a vector of channels of one position of its result, and gathers what belongs to it, in the
//! backward pass too, so that nothing is added by several units at once.

mod average;
mod maximum;
pub(crate) mod winners;

pub(crate) use average::{avg_pool_2x2, plane_means};
pub(crate) use maximum::max_pool_3x3_s2;

use cubecl::prelude::*;

/// Side of a map that the maximum over windows leaves.
pub(crate) fn half(side: usize) -> usize {
    side.div_ceil(2)
}

/// A position in a map, of which a unit computes one vector of channels.
#[derive(CubeType, Clone, Copy)]
pub(crate) struct Position {
    pub(crate) column: usize,
    pub(crate) x: usize,
    pub(crate) y: usize,
    pub(crate) image: usize,
}

/// Vectors of channels lie side by side, then positions of a row, rows, and images.
#[cube]
pub(crate) fn position(item: usize, width: usize, height_of_map: usize, width_of_map: usize) -> Position {
    let rest = item / width;
    let row = rest / width_of_map;
    Position { column: item % width, x: rest % width_of_map, y: row % height_of_map, image: row / height_of_map }
}
