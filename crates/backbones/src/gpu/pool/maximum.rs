//! Maximum over 3x3 windows with stride 2 and one pixel of padding.

use burn::{
    backend::{
        Cube,
        autodiff::{
            checkpoint::base::Checkpointer,
            grads::Gradients,
            ops::{Backward, Ops, OpsKind},
        },
    },
    tensor::{DType, Tensor},
};
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::{
    half, position,
    winners::{pack, slope},
};
use crate::{
    cpu_times::{self, Part},
    gpu::{
        tape::{self, Rows, Strategy},
        unit_an_item,
    },
};

/// # Shapes
/// - `[B, C, H, W]` to `[B, C, (H - 1) / 2 + 1, (W - 1) / 2 + 1]`
pub(crate) fn max_pool_3x3_s2(x: &Tensor<4>) -> Option<Tensor<4>> {
    let _t = cpu_times::time(Part::Pooling);
    let a = tape::operand(x)?;
    let context = tape::context(&[&a]);
    let node = a.tensor.node();
    let x = Rows::of(a.tensor.into_primitive());
    if !tape::records(context) {
        return Some(tape::constant(forward(&x, None), context));
    }
    let out = match PoolBackward.prepare::<Strategy>([node]).compute_bound().stateful() {
        OpsKind::Tracked(prepared) => {
            let winners = Winners::new(&x);
            let out = forward(&x, Some(&winners));
            prepared.finish(winners, out)
        }
        OpsKind::UnTracked(prepared) => prepared.finish(forward(&x, None)),
    };
    Some(tape::wrap(out, context))
}

/// Where the maxima were.
#[derive(Debug, Clone)]
struct Winners {
    /// For each vector of an output its places within their windows, 0 to 8 in reading order: a byte a channel.
    places: CubeTensor,
    /// Shape of the input.
    shape: [usize; 4],
    /// Channels of a vector.
    vector: usize,
}

impl Winners {
    fn new(x: &Rows) -> Self {
        let (shape, vector) = (tape::dims(&x.map), x.vector());
        let [b, c, h, w] = shape;
        Self { places: tape::new(&x.map, [b * half(h) * half(w) * c / vector], DType::U32), shape, vector }
    }
}

/// The maxima; their places are written if asked for.
#[allow(unsafe_code)]
fn forward(x: &Rows, winners: Option<&Winners>) -> CubeTensor {
    let [b, c, h, w] = tape::dims(&x.map);
    let (vector, client) = (x.vector(), &x.map.client);
    let y = tape::new_map(&x.map, [b, c, half(h), half(w)], x.map.dtype);
    let items = b * half(h) * half(w) * c / vector;
    let (cubes, cube) = unit_an_item(client, items);
    // One element that nothing is written to, where places are not asked for.
    let places = winners.map_or_else(|| tape::new(&x.map, [1], DType::U32), |winners| winners.places.clone());
    // SAFETY: every output is of a unit of its own, and every tap is checked to lie within the map.
    unsafe {
        maxima::launch_unchecked(
            client,
            cubes,
            cube,
            vector,
            x.argument(),
            tape::argument(&y),
            tape::argument(&places),
            items,
            c / vector,
            x.pitch / vector,
            h,
            w,
            half(h),
            half(w),
            winners.is_some(),
            x.element(),
        );
    }
    y
}

/// A maximum over NaN is NaN, so that it is not hidden. Of equal values the first wins, as in PyTorch.
#[cube(launch_unchecked)]
fn maxima<F: Float, N: Size>(
    x: &[Vector<F, N>],
    y: &mut [Vector<F, N>],
    winners: &mut [u32],
    items: usize,
    width: usize,
    pitch: usize,
    height: usize,
    side: usize,
    out_height: usize,
    out_side: usize,
    #[comptime] record: bool,
    #[define(F)] _element: ElemType,
) {
    if ABSOLUTE_POS < items {
        let at = position(ABSOLUTE_POS, width, out_height, out_side);
        // Rows and columns are counted from the padding, whose number is 0.
        let (top, left) = (2 * at.y, 2 * at.x);
        let first_row = select(top == 0, 1usize, top);
        let first_column = select(left == 0, 1usize, left);
        let place = (first_row - top) * 3 + first_column - left;
        let mut place = Vector::<u32, N>::new(u32::cast_from(place));
        let start = (at.image * height + first_row - 1) * side + first_column - 1;
        let mut best = Vector::<f32, N>::cast_from(x[start * pitch + at.column]);
        #[unroll]
        for tap in 0..9usize {
            let row = top + comptime!(tap / 3);
            let column = left + comptime!(tap % 3);
            if row > 0 && row <= height && column > 0 && column <= side {
                let source = (at.image * height + row - 1) * side + column - 1;
                let value = Vector::<f32, N>::cast_from(x[source * pitch + at.column]);
                let wins = value.greater_than(&best).or(value.is_nan());
                best = select_many(wins, value, best);
                place = select_many(wins, Vector::new(comptime!(tap as u32).runtime()), place);
            }
        }
        y[ABSOLUTE_POS] = Vector::cast_from(best);
        if comptime!(record) {
            winners[ABSOLUTE_POS] = pack::<N>(place);
        }
    }
}

#[derive(Debug)]
struct PoolBackward;

impl Backward<Cube, 1> for PoolBackward {
    type State = Winners;

    fn backward(self, ops: Ops<Winners, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let _t = cpu_times::time(Part::Pooling);
        let dy = tape::gradient(grads, &ops);
        let [x] = ops.parents.map(|p| p.map(|p| p.id));
        if let Some(x) = x {
            grads.register::<Cube>(x, backward(dy, &ops.state));
        }
    }
}

#[allow(unsafe_code)]
fn backward(dy: CubeTensor, winners: &Winners) -> CubeTensor {
    let Winners { places, shape: [b, c, h, w], vector } = winners;
    let (&vector, dy) = (vector, Rows::of(dy).in_vectors(*vector));
    let dx = tape::new_map(&dy.map, winners.shape, dy.map.dtype);
    let items = b * h * w * c / vector;
    let (cubes, cube) = unit_an_item(&dy.map.client, items);
    // SAFETY: every pixel is of a unit of its own, and every window is checked to lie within the output.
    unsafe {
        gather::launch_unchecked(
            &dy.map.client,
            cubes,
            cube,
            vector,
            dy.argument(),
            tape::argument(places),
            tape::argument(&dx),
            items,
            c / vector,
            dy.pitch / vector,
            *h,
            *w,
            half(*h),
            half(*w),
            dy.element(),
        );
    }
    dx
}

/// To each pixel the gradients of the windows, of at most four, that it won.
#[cube(launch_unchecked)]
fn gather<F: Float, N: Size>(
    dy: &[Vector<F, N>],
    winners: &[u32],
    dx: &mut [Vector<F, N>],
    items: usize,
    width: usize,
    pitch: usize,
    height: usize,
    side: usize,
    out_height: usize,
    out_side: usize,
    #[define(F)] _element: ElemType,
) {
    if ABSOLUTE_POS < items {
        let at = position(ABSOLUTE_POS, width, height, side);
        let sum = slope::<F, N>(dy, winners, at, width, pitch, out_height, out_side);
        dx[ABSOLUTE_POS] = Vector::cast_from(sum);
    }
}
