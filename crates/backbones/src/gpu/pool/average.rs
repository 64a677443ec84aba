//! Averages over 2x2 windows and over whole planes.

use burn::{
    backend::{
        Cube,
        autodiff::{
            checkpoint::base::Checkpointer,
            grads::Gradients,
            ops::{Backward, Ops, OpsKind},
        },
    },
    tensor::Tensor,
};
use burn_cubecl::{kernel::into_contiguous, tensor::CubeTensor};
use cubecl::prelude::*;

use super::position;
use crate::{
    cpu_times::{self, Part},
    gpu::{
        tape::{self, Rows, Strategy},
        unit_an_item,
    },
};

/// Mean of each 2x2 window; a last odd row or column is left out.
///
/// # Shapes
/// - `[B, C, H, W]` to `[B, C, H / 2, W / 2]`
pub(crate) fn avg_pool_2x2(x: &Tensor<4>) -> Option<Tensor<4>> {
    average(x, Windows::Quads)
}

/// Mean of each plane.
///
/// # Shapes
/// - `[B, C, H, W]` to `[B, C]`
pub(crate) fn plane_means(x: &Tensor<4>) -> Option<Tensor<2>> {
    average(x, Windows::Planes)
}

fn average<const D: usize>(x: &Tensor<4>, windows: Windows) -> Option<Tensor<D>> {
    let _t = cpu_times::time(Part::Pooling);
    let a = tape::operand(x)?;
    let context = tape::context(&[&a]);
    let node = a.tensor.node();
    let x = Rows::of(a.tensor.into_primitive());
    let shape = tape::dims(&x.map);
    let out = forward(&x, windows);
    if !tape::records(context) {
        return Some(tape::constant(out, context));
    }
    let out = match AverageBackward.prepare::<Strategy>([node]).compute_bound().stateful() {
        OpsKind::Tracked(prepared) => prepared.finish((windows, shape), out),
        OpsKind::UnTracked(prepared) => prepared.finish(out),
    };
    Some(tape::wrap(out, context))
}

#[derive(Debug, Clone, Copy)]
enum Windows {
    Quads,
    Planes,
}

impl Windows {
    /// Height and width of a window, and of the map of windows.
    fn sizes(self, h: usize, w: usize) -> [usize; 4] {
        match self {
            Self::Quads => [2, 2, h / 2, w / 2],
            Self::Planes => [h, w, 1, 1],
        }
    }
}

#[allow(unsafe_code)]
fn forward(x: &Rows, windows: Windows) -> CubeTensor {
    let [b, c, h, w] = tape::dims(&x.map);
    let (vector, client) = (x.vector(), &x.map.client);
    let [window_height, window_side, out_height, out_side] = windows.sizes(h, w);
    let y = match windows {
        Windows::Quads => tape::new_map(&x.map, [b, c, out_height, out_side], x.map.dtype),
        Windows::Planes => tape::new(&x.map, [b, c], x.map.dtype),
    };
    let items = b * out_height * out_side * c / vector;
    let (cubes, cube) = unit_an_item(client, items);
    // SAFETY: every mean is of a unit of its own, and windows lie within the map.
    unsafe {
        means::launch_unchecked(
            client,
            cubes,
            cube,
            vector,
            x.argument(),
            tape::argument(&y),
            items,
            c / vector,
            x.pitch / vector,
            h,
            w,
            out_height,
            out_side,
            window_height,
            window_side,
            x.element(),
        );
    }
    y
}

/// Means over windows that lie side by side, summed in f32.
#[cube(launch_unchecked)]
fn means<F: Float, N: Size>(
    x: &[Vector<F, N>],
    y: &mut [Vector<F, N>],
    items: usize,
    width: usize,
    pitch: usize,
    height: usize,
    side: usize,
    out_height: usize,
    out_side: usize,
    window_height: usize,
    window_side: usize,
    #[define(F)] _element: ElemType,
) {
    if ABSOLUTE_POS < items {
        let at = position(ABSOLUTE_POS, width, out_height, out_side);
        let mut sum = Vector::<f32, N>::new(0.0);
        for row in 0..window_height {
            let start = (at.image * height + at.y * window_height + row) * side + at.x * window_side;
            for column in 0..window_side {
                sum += Vector::<f32, N>::cast_from(x[(start + column) * pitch + at.column]);
            }
        }
        let pixels = Vector::<f32, N>::new(f32::cast_from(window_height * window_side));
        y[ABSOLUTE_POS] = Vector::cast_from(sum / pixels);
    }
}

#[derive(Debug)]
struct AverageBackward;

impl Backward<Cube, 1> for AverageBackward {
    type State = (Windows, [usize; 4]);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let _t = cpu_times::time(Part::Pooling);
        let dy = tape::gradient(grads, &ops);
        let [x] = ops.parents.map(|p| p.map(|p| p.id));
        let (windows, shape) = ops.state;
        if let Some(x) = x {
            grads.register::<Cube>(x, backward(dy, shape, windows));
        }
    }
}

#[allow(unsafe_code)]
fn backward(dy: CubeTensor, shape: [usize; 4], windows: Windows) -> CubeTensor {
    let [b, c, h, w] = shape;
    let [window_height, window_side, out_height, out_side] = windows.sizes(h, w);
    let (dy, vector, pitch) = match windows {
        Windows::Quads => {
            let dy = Rows::of(dy);
            let (vector, pitch) = (dy.vector(), dy.pitch);
            (dy.map, vector, pitch)
        }
        Windows::Planes => (into_contiguous(dy), tape::vector(&[c]), c),
    };
    let dx = tape::new_map(&dy, shape, dy.dtype);
    let items = b * h * w * c / vector;
    let (cubes, cube) = unit_an_item(&dy.client, items);
    // SAFETY: every pixel is of a unit of its own, and its window is checked to lie within the output.
    unsafe {
        spread::launch_unchecked(
            &dy.client,
            cubes,
            cube,
            vector,
            tape::argument(&dy),
            tape::argument(&dx),
            items,
            c / vector,
            pitch / vector,
            h,
            w,
            out_height,
            out_side,
            window_height,
            window_side,
            tape::element(&dy),
        );
    }
    dx
}

/// To each pixel its share of the gradient of its window, and nothing where it is in none.
#[cube(launch_unchecked)]
fn spread<F: Float, N: Size>(
    dy: &[Vector<F, N>],
    dx: &mut [Vector<F, N>],
    items: usize,
    width: usize,
    pitch: usize,
    height: usize,
    side: usize,
    out_height: usize,
    out_side: usize,
    window_height: usize,
    window_side: usize,
    #[define(F)] _element: ElemType,
) {
    if ABSOLUTE_POS < items {
        let at = position(ABSOLUTE_POS, width, height, side);
        let (y, x) = (at.y / window_height, at.x / window_side);
        let mut share = Vector::<f32, N>::new(0.0);
        if y < out_height && x < out_side {
            let source = (at.image * out_height + y) * out_side + x;
            let pixels = Vector::<f32, N>::new(f32::cast_from(window_height * window_side));
            share = Vector::<f32, N>::cast_from(dy[source * pitch + at.column]) / pixels;
        }
        dx[ABSOLUTE_POS] = Vector::cast_from(share);
    }
}
