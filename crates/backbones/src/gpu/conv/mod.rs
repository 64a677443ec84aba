//! Convolution for GPUs without matrix units, on which Burn has no implicit product: its gradients there are made of unrolled
//! copies of the input, dozens of launches each.

mod kernels;

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
use cubecl::{ir::ElemType, prelude::*};

use self::kernels::{Pass, SizesLaunch, TILE, UNITS, Window};
use super::{
    tape::{self, Rows, Strategy},
    unit_an_item,
};
use crate::cpu_times::{self, Part};

/// Cubes that keep a card busy; with fewer tiles several share the inner side.
const CUBES: usize = 64;
/// The least of the inner side that a cube takes.
const SHARE: usize = 512;

/// As the convolution of Burn; `None` where that has matrix units to use.
///
/// # Shapes
/// - x `[B, in, H, W]`, weight `[out, in, kH, kW]` to `[B, out, H', W']`
///
/// # Panics
/// When the channels differ, or the kernel is larger than the padded map.
pub(crate) fn conv2d(x: &Tensor<4>, weight: &Tensor<4>, stride: usize, padding: usize) -> Option<Tensor<4>> {
    let (x, w) = (tape::operand(x)?, tape::operand(weight)?);
    let context = tape::context(&[&x, &w]);
    let nodes = [x.tensor.node(), w.tensor.node()];
    let (x, w) = (x.tensor.into_primitive(), w.tensor.into_primitive());
    let matmul = &x.client.properties().features.matmul;
    if x.dtype != DType::F32 || w.dtype != DType::F32 || !(matmul.cmma.is_empty() && matmul.mma.is_empty()) {
        return None;
    }
    let ([_, c, h, wide], [_, ci, kh, kw]) = (tape::dims::<4>(&x), tape::dims::<4>(&w));
    assert!(
        c == ci && h + 2 * padding >= kh && wide + 2 * padding >= kw,
        "convolution of {c} channels of {h} x {wide} with a weight for {ci} of {kh} x {kw}"
    );
    let _t = cpu_times::time(Part::ConvForward);
    let (x, weight) = (Rows::of(x), into_contiguous(w));
    let layer = Layer::new(x, weight, stride, padding);
    let out = layer.forward();
    if !tape::records(context) {
        return Some(tape::constant(out, context));
    }
    let out = match ConvBackward.prepare::<Strategy>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(prepared) => prepared.finish(layer, out),
        OpsKind::UnTracked(prepared) => prepared.finish(out),
    };
    Some(tape::wrap(out, context))
}

/// A convolution with its inputs, which the backward pass needs again.
#[derive(Debug, Clone)]
struct Layer {
    x: Rows,
    weight: CubeTensor,
    stride: usize,
    padding: usize,
    /// `[B, out, H', W']`.
    out: [usize; 4],
}

impl Layer {
    fn new(x: Rows, weight: CubeTensor, stride: usize, padding: usize) -> Self {
        let ([b, _, h, w], [co, _, kh, kw]) = (tape::dims::<4>(&x.map), tape::dims::<4>(&weight));
        let side = |length: usize, kernel: usize| (length + 2 * padding - kernel) / stride + 1;
        let out = [b, co, side(h, kh), side(w, kw)];
        Self { x, weight, stride, padding, out }
    }

    fn forward(&self) -> CubeTensor {
        let ([b, co, oh, ow], [_, ci, kh, kw]) = (self.out, tape::dims::<4>(&self.weight));
        let y = tape::new_map(&self.x.map, self.out, self.x.map.dtype);
        let tiles = Tiles { rows: b * oh * ow, columns: co, inner: kh * kw * ci, phases: 1 };
        self.product(Pass::Forward, &tiles, [self.x.argument(), tape::argument(&self.weight)], co, &y);
        y
    }

    fn input_grad(&self, dy: &Rows) -> CubeTensor {
        let ([b, ci, h, w], [co, _, kh, kw]) = (tape::dims::<4>(&self.x.map), tape::dims::<4>(&self.weight));
        let dx = self.x.new_like();
        let s = self.stride;
        // Of the largest phase.
        let rows = b * h.div_ceil(s) * w.div_ceil(s);
        let tiles = Tiles { rows, columns: ci, inner: kh.div_ceil(s) * kw.div_ceil(s) * co, phases: s * s };
        self.product(Pass::InputGrad, &tiles, [dy.argument(), tape::argument(&self.weight)], dy.pitch, &dx);
        dx
    }

    fn weight_grad(&self, dy: &Rows) -> CubeTensor {
        let ([b, co, oh, ow], [_, ci, kh, kw]) = (self.out, tape::dims::<4>(&self.weight));
        let dw = tape::new(&self.x.map, [co, ci, kh, kw], self.x.map.dtype);
        let tiles = Tiles { rows: kh * kw * ci, columns: co, inner: b * oh * ow, phases: 1 };
        self.product(Pass::WeightGrad, &tiles, [self.x.argument(), dy.argument()], dy.pitch, &dw);
        dw
    }

    /// One pass into `out`, through planes of shares where the inner side is shared.
    #[allow(unsafe_code)]
    fn product(&self, pass: Pass, tiles: &Tiles, [left, right]: [BufferArg; 2], y_pitch: usize, out: &CubeTensor) {
        let ([images, x_channels, x_height, x_width], [_, _, height, width]) =
            (tape::dims::<4>(&self.x.map), tape::dims::<4>(&self.weight));
        let [_, y_channels, y_height, y_width] = self.out;
        let (shares, share) = tiles.shares();
        let length = out.meta.num_elements();
        let planes = (shares > 1).then(|| tape::new(out, [shares, length], DType::F32));
        let (row_tiles, most) = (tiles.rows.div_ceil(TILE), out.client.properties().hardware.max_cube_count.0 as usize);
        let lines = row_tiles.div_ceil(most);
        let cubes = [row_tiles.div_ceil(lines), tiles.columns.div_ceil(TILE), tiles.phases * shares * lines];
        let cubes = cubes.map(|n| n as u32);
        let sizes = SizesLaunch::new(
            images,
            x_height,
            x_width,
            x_channels,
            self.x.pitch,
            y_height,
            y_width,
            y_channels,
            y_pitch,
            shares,
            share,
            lines,
        );
        let (client, element) = (&out.client, tape::element(out));
        // SAFETY: rows, columns and the inner side are those of the buffers, and every index is checked against them.
        unsafe {
            kernels::convolve::launch_unchecked(
                client,
                CubeCount::Static(cubes[0], cubes[1], cubes[2]),
                CubeDim::new_1d(UNITS),
                left,
                right,
                tape::argument(planes.as_ref().unwrap_or(out)),
                sizes,
                Window { pass, height, width, stride: self.stride, padding: self.padding },
                element,
            );
        }
        if let Some(planes) = planes {
            add(&planes, out, length, shares, element);
        }
    }
}

#[allow(unsafe_code)]
fn add(planes: &CubeTensor, out: &CubeTensor, length: usize, shares: usize, element: ElemType) {
    let (cubes, cube) = unit_an_item(&out.client, length);
    // SAFETY: each plane has the length of the result.
    unsafe {
        kernels::add_planes::launch_unchecked(
            &out.client,
            cubes,
            cube,
            tape::argument(planes),
            tape::argument(out),
            length,
            shares,
            element,
        );
    }
}

/// Sides of a product.
struct Tiles {
    rows: usize,
    columns: usize,
    inner: usize,
    phases: usize,
}

impl Tiles {
    /// Cubes that share the inner side, and how much each takes.
    fn shares(&self) -> (usize, usize) {
        let tiles = self.rows.div_ceil(TILE) * self.columns.div_ceil(TILE) * self.phases;
        let shares = (CUBES / tiles.max(1)).min(self.inner / SHARE).max(1);
        let share = self.inner.div_ceil(shares);
        (self.inner.div_ceil(share), share)
    }
}

#[derive(Debug)]
struct ConvBackward;

impl Backward<Cube, 2> for ConvBackward {
    type State = Layer;

    fn backward(self, ops: Ops<Layer, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = Rows::of(tape::gradient(grads, &ops));
        let [x, weight] = ops.parents.map(|p| p.map(|p| p.id));
        if let Some(x) = x {
            let _t = cpu_times::time(Part::ConvInputGrad);
            grads.register::<Cube>(x, ops.state.input_grad(&dy));
        }
        if let Some(weight) = weight {
            let _t = cpu_times::time(Part::ConvWeightGrad);
            grads.register::<Cube>(weight, ops.state.weight_grad(&dy));
        }
    }
}
