//! Where the maxima of a map were: a word for each vector of the pooled map, a byte a channel, with its place within the window, 0
//! to 8 in reading order. What is above 8 is no place of any.

use cubecl::prelude::*;

use super::Position;

#[cube]
pub(crate) fn pack<N: Size>(places: Vector<u32, N>) -> u32 {
    let mut word = 0u32;
    #[unroll]
    for lane in 0..places.vector_size() {
        word |= places.extract(lane) << comptime!(8 * lane as u32);
    }
    word
}

#[cube]
pub(crate) fn unpack<N: Size>(word: u32) -> Vector<u32, N> {
    let mut places = Vector::<u32, N>::new(0);
    #[unroll]
    for lane in 0..places.vector_size() {
        places.insert(lane, (word >> comptime!(8 * lane as u32)) & 0xff);
    }
    places
}

/// The sum of the gradients of the windows, of at most four, that a position of the map won. `width` is the number of vectors in
/// a row of winners, `pitch` that from one row of the gradient to the next.
#[cube]
pub(crate) fn slope<F: Float, N: Size>(
    dy: &[Vector<F, N>],
    winners: &[u32],
    at: Position,
    width: usize,
    pitch: usize,
    out_height: usize,
    out_side: usize,
) -> Vector<f32, N> {
    let mut sum = Vector::<f32, N>::new(0.0);
    #[unroll]
    for window in 0..4usize {
        let y = at.y / 2 + comptime!(window / 2);
        let x = at.x / 2 + comptime!(window % 2);
        // Even rows and columns are within one window only.
        let there = (comptime!(window / 2 == 0).runtime() || at.y % 2 == 1)
            && (comptime!(window % 2 == 0).runtime() || at.x % 2 == 1);
        if there && y < out_height && x < out_side {
            let source = (at.image * out_height + y) * out_side + x;
            let places = unpack::<N>(winners[source * width + at.column]);
            let here = (at.y + 1 - 2 * y) * 3 + at.x + 1 - 2 * x;
            let won = places.equal(&Vector::new(u32::cast_from(here)));
            let of_window = Vector::<f32, N>::cast_from(dy[source * pitch + at.column]);
            sum += select_many(won, of_window, Vector::new(0.0));
        }
    }
    sum
}
