//! Rows divided by their length, one launch each way: a cube a row.

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
use burn_cubecl::{kernel::into_contiguous, tensor::CubeTensor};
use cubecl::prelude::*;

use super::{
    UNITS,
    sums::add_up,
    tape::{self, Strategy},
};

/// Rows divided by their length, or by `smallest` where they are shorter, which then is a constant. `None` on a device or in a
/// precision without this kernel.
///
/// # Shapes
/// - `[N, D]` to the same
pub fn unit_length(x: &Tensor<2>, smallest: f64) -> Option<Tensor<2>> {
    let a = tape::operand(x).filter(|_| x.dtype() == DType::F32)?;
    let context = tape::context(&[&a]);
    let node = a.tensor.node();
    let x = into_contiguous(a.tensor.into_primitive());
    let (y, lengths) = forward(&x, smallest as f32);
    if !tape::records(context) {
        return Some(tape::constant(y, context));
    }
    let y = match LengthBackward.prepare::<Strategy>([node]).compute_bound().stateful() {
        OpsKind::Tracked(prepared) => {
            let state = State { y: y.clone(), lengths, smallest: smallest as f32 };
            prepared.finish(state, y)
        }
        OpsKind::UnTracked(prepared) => prepared.finish(y),
    };
    Some(tape::wrap(y, context))
}

#[allow(unsafe_code)]
fn forward(x: &CubeTensor, smallest: f32) -> (CubeTensor, CubeTensor) {
    let [rows, columns] = tape::dims(x);
    let (y, lengths) = (tape::new(x, [rows, columns], DType::F32), tape::new(x, [rows], DType::F32));
    // SAFETY: a cube stays within its row.
    unsafe {
        divide::launch_unchecked(
            &x.client,
            CubeCount::Static(rows as u32, 1, 1),
            CubeDim::new_1d(UNITS),
            tape::argument(x),
            tape::argument(&y),
            tape::argument(&lengths),
            columns,
            smallest,
        );
    }
    (y, lengths)
}

#[derive(Debug, Clone)]
struct State {
    y: CubeTensor,
    lengths: CubeTensor,
    smallest: f32,
}

#[derive(Debug)]
struct LengthBackward;

impl Backward<Cube, 1> for LengthBackward {
    type State = State;

    fn backward(self, ops: Ops<State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = into_contiguous(tape::gradient(grads, &ops));
        let [x] = ops.parents.map(|p| p.map(|p| p.id));
        if let Some(x) = x {
            grads.register::<Cube>(x, backward(&dy, &ops.state));
        }
    }
}

#[allow(unsafe_code)]
fn backward(dy: &CubeTensor, state: &State) -> CubeTensor {
    let [rows, columns] = tape::dims(dy);
    let dx = tape::new(dy, [rows, columns], DType::F32);
    // SAFETY: a cube stays within its row.
    unsafe {
        divide_back::launch_unchecked(
            &dy.client,
            CubeCount::Static(rows as u32, 1, 1),
            CubeDim::new_1d(UNITS),
            tape::argument(dy),
            tape::argument(&state.y),
            tape::argument(&state.lengths),
            tape::argument(&dx),
            columns,
            state.smallest,
        );
    }
    dx
}

#[cube(launch_unchecked)]
fn divide(x: &[f32], y: &mut [f32], lengths: &mut [f32], columns: usize, smallest: f32) {
    let start = CUBE_POS_X as usize * columns;
    let mut squares = 0.0f32;
    let mut i = UNIT_POS as usize;
    while i < columns {
        squares += x[start + i] * x[start + i];
        i += comptime!(UNITS as usize);
    }
    let length = add_up(squares).sqrt();
    // Not the maximum, which would hide a NaN.
    let length = select(length < smallest, smallest, length);
    let mut i = UNIT_POS as usize;
    while i < columns {
        y[start + i] = x[start + i] / length;
        i += comptime!(UNITS as usize);
    }
    if UNIT_POS == 0 {
        lengths[CUBE_POS_X as usize] = length;
    }
}

/// `dx = (dy - y·(y·dy)) / length`, without the second term where the length was a constant.
#[cube(launch_unchecked)]
fn divide_back(dy: &[f32], y: &[f32], lengths: &[f32], dx: &mut [f32], columns: usize, smallest: f32) {
    let start = CUBE_POS_X as usize * columns;
    let length = lengths[CUBE_POS_X as usize];
    let mut product = 0.0f32;
    let mut i = UNIT_POS as usize;
    while i < columns {
        product += dy[start + i] * y[start + i];
        i += comptime!(UNITS as usize);
    }
    let product = select(length <= smallest, 0.0, add_up(product));
    let mut i = UNIT_POS as usize;
    while i < columns {
        dx[start + i] = (dy[start + i] - y[start + i] * product) / length;
        i += comptime!(UNITS as usize);
    }
}
