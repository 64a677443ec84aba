//! Convolution on GPUs. Burn's gradients are made of unrolled copies of the input, dozens of launches each; on an H200 they
//! took over half of a step, and without matrix units all of Burn's products do.

mod kernels;
mod place;
mod tile;

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
use burn_cubecl::{kernel::into_contiguous, ops::permute, tensor::CubeTensor};
use cubecl::{client::Client, prelude::*};

pub(super) use self::place::Pass;
use self::{
    place::{SizesLaunch, Window},
    tile::{STEP, UNITS, Units},
};
#[cfg(feature = "cudnn")]
use super::cudnn::{self, Problem};
use super::{
    slab::{Slab, copy_rows},
    tape::{self, Rows, Strategy},
    unit_an_item,
};
use crate::cpu_times::{self, Part};

/// Cubes that keep a card busy, for each of its multiprocessors, and how many of those there are where the device does not say.
const CUBES: usize = 2;
const MULTIPROCESSORS: u32 = 32;
/// The least of the inner side of dW that a cube takes.
const SHARE: usize = 16 * STEP;
/// The most of it: longer sums in f32 lose digits.
const LONGEST: usize = 1 << 15;

/// As the convolution of Burn; the result is also written behind the maps of a dense block, if there is one. `None` for a
/// precision that the device's matrix units do not take.
///
/// # Shapes
/// - x `[B, in, H, W]`, weight `[out, in, kH, kW]` to `[B, out, H', W']`
///
/// # Panics
/// When the channels differ, the kernel is larger than the padded map, or the block has no room.
pub(crate) fn conv2d(
    x: &Tensor<4>,
    weight: &Tensor<4>,
    stride: usize,
    padding: usize,
    block: Option<&Slab>,
) -> Option<Tensor<4>> {
    let (x, w) = (tape::operand(x)?, tape::operand(weight)?);
    let context = tape::context(&[&x, &w]);
    let nodes = [x.tensor.node(), w.tensor.node()];
    let (x, w) = (x.tensor.into_primitive(), w.tensor.into_primitive());
    let units = Units::of(&x.client, x.dtype).filter(|_| x.dtype == w.dtype)?;
    let ([_, c, h, wide], [_, ci, kh, kw]) = (tape::dims::<4>(&x), tape::dims::<4>(&w));
    assert!(
        c == ci && h + 2 * padding >= kh && wide + 2 * padding >= kw,
        "convolution of {c} channels of {h} x {wide} with a weight for {ci} of {kh} x {kw}"
    );
    let _t = cpu_times::time(Part::ConvForward);
    // No copy after the first update.
    let weight = into_contiguous(permute(w, &[0, 2, 3, 1]));
    let layer = Layer::new(Rows::of(x), weight, stride, padding, units);
    let out = layer.forward(block);
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
    /// `[out, kH, kW, in]`.
    weight: CubeTensor,
    stride: usize,
    padding: usize,
    /// `[B, out, H', W']`.
    out: [usize; 4],
    units: Units,
}

impl Layer {
    fn new(x: Rows, weight: CubeTensor, stride: usize, padding: usize, units: Units) -> Self {
        let ([b, _, h, w], [co, kh, kw, _]) = (tape::dims::<4>(&x.map), tape::dims::<4>(&weight));
        let side = |length: usize, kernel: usize| (length + 2 * padding - kernel) / stride + 1;
        let out = [b, co, side(h, kh), side(w, kw)];
        Self { x, weight, stride, padding, out, units }
    }

    fn forward(&self, block: Option<&Slab>) -> CubeTensor {
        let ([b, co, oh, ow], [_, kh, kw, ci]) = (self.out, tape::dims::<4>(&self.weight));
        let y = tape::new_map(&self.x.map, self.out, self.x.map.dtype);
        let also = block.map(|block| block.place(self.out));
        if self.through_library(Pass::Forward, &[&self.x], [&self.x.map, &self.weight, &y]) {
            if let Some((block, start)) = &also {
                copy_rows(&Rows::of(y.clone()), block, *start);
            }
            return y;
        }
        let lengths = [&[ci][..], &[kh * kw * ci], &[co]];
        self.gather(Pass::Forward, &self.x, co, [b * oh * ow, co], 1, lengths, &y, also);
        y
    }

    fn input_grad(&self, dy: &Rows) -> CubeTensor {
        let ([b, ci, h, w], co) = (tape::dims::<4>(&self.x.map), self.out[1]);
        let dx = self.x.new_like();
        if self.through_library(Pass::InputGrad, &[dy], [&self.weight, &dy.map, &dx]) {
            return dx;
        }
        let s = self.stride;
        // Of the largest phase.
        let rows = b * h.div_ceil(s) * w.div_ceil(s);
        self.gather(Pass::InputGrad, dy, dy.pitch, [rows, ci], s * s, [&[co], &[ci], &[ci]], &dx, None);
        dx
    }

    /// A pass over all positions of `out`, a product of `[rows, columns]` in each of the phases. `lengths` are what the vectors
    /// of map, weight and result divide. The result is also written into another map, from a column on.
    #[allow(unsafe_code, clippy::too_many_arguments)]
    fn gather(
        &self,
        pass: Pass,
        map: &Rows,
        y_pitch: usize,
        [rows, columns]: [usize; 2],
        phases: usize,
        lengths: [&[usize]; 3],
        out: &CubeTensor,
        also: Option<(Rows, usize)>,
    ) {
        let (units, dtype, client) = (self.units, out.dtype, &out.client);
        let tile = units.tile(dtype, rows, columns);
        let [of_map, of_weight, of_out] = lengths.map(|lengths| units.vector(dtype, lengths));
        let of_map = units.vector(dtype, &[of_map, map.pitch]);
        let (pitch, start) = also.as_ref().map_or((0, 0), |(rows, start)| (rows.pitch, *start));
        let of_out = units.vector(dtype, &[of_out, pitch, start]);
        // A device takes a limited number of cubes in one line.
        let (tiles, most) = (rows.div_ceil(tile.rows), client.properties().hardware.max_cube_count.0 as usize);
        let lines = tiles.div_ceil(most);
        let cubes = [tiles.div_ceil(lines), columns.div_ceil(tile.columns), phases * lines].map(|n| n as u32);
        // SAFETY: rows, columns and the inner side are those of the buffers, and every index is checked against them.
        unsafe {
            kernels::gathered::launch_unchecked(
                client,
                CubeCount::Static(cubes[0], cubes[1], cubes[2]),
                CubeDim::new_1d(UNITS as u32),
                of_map,
                of_weight,
                of_out,
                map.argument(),
                tape::argument(&self.weight),
                tape::argument(out),
                // Where there is no other map, the kernel does not write there.
                also.as_ref().map_or_else(|| tape::argument(out), |(rows, _)| rows.argument()),
                self.sizes(y_pitch, 0, lines),
                pitch,
                start,
                also.is_some(),
                self.window(pass),
                tile,
                tape::element(out),
                units.stage,
            );
        }
    }

    #[allow(unsafe_code)]
    fn weight_grad(&self, dy: &Rows) -> CubeTensor {
        let ([b, co, oh, ow], [_, kh, kw, ci]) = (self.out, tape::dims::<4>(&self.weight));
        // As the forward pass wants the weight, so that an update leaves it like that.
        let dw = tape::new(&self.x.map, [co, kh, kw, ci], self.x.map.dtype);
        if self.through_library(Pass::WeightGrad, &[&self.x, dy], [&self.x.map, &dy.map, &dw]) {
            return permute(dw, &[0, 3, 1, 2]);
        }
        let (units, dtype, client) = (self.units, dw.dtype, &dw.client);
        let (rows, inner) = (kh * kw * ci, b * oh * ow);
        let tile = units.tile(dtype, rows, co);
        let (down, across) = (rows.div_ceil(tile.rows), co.div_ceil(tile.columns));
        let (shares, share) = shares(client, down * across, inner);
        // Units write single numbers, and so can write them where they belong.
        let alone = shares == 1 && !tile.on_matrix_units();
        let planes = if alone {
            dw.clone()
        } else {
            tape::new(&dw, [shares, down * tile.rows, across * tile.columns], DType::F32)
        };
        let (of_x, of_dy) = (units.vector(dtype, &[ci, self.x.pitch]), units.vector(dtype, &[co, dy.pitch]));
        // SAFETY: every index is checked against the sizes of the maps; the planes hold whole tiles, or places within dW are checked.
        unsafe {
            kernels::weight_grad::launch_unchecked(
                client,
                CubeCount::Static(down as u32, across as u32, shares as u32),
                CubeDim::new_1d(UNITS as u32),
                of_x,
                of_dy,
                self.x.argument(),
                dy.argument(),
                tape::argument(&planes),
                self.sizes(dy.pitch, share, 1),
                alone,
                self.window(Pass::WeightGrad),
                tile,
                tape::element(&dw),
                units.stage,
            );
        }
        if alone {
            return permute(dw, &[0, 3, 1, 2]);
        }
        let (cubes, cube) = unit_an_item(client, rows * co);
        // SAFETY: a unit reads one element of each plane.
        unsafe {
            kernels::add_planes::launch_unchecked(
                client,
                cubes,
                cube,
                tape::argument(&planes),
                tape::argument(&dw),
                down * tile.rows,
                across * tile.columns,
                shares,
                rows,
                co,
                tape::element(&dw),
            );
        }
        permute(dw, &[0, 3, 1, 2])
    }

    /// Whether cuDNN was asked for a pass; `maps` are the operands that may have gaps, which cuDNN does not take.
    #[cfg_attr(not(feature = "cudnn"), allow(unused_variables, clippy::unused_self))]
    fn through_library(&self, pass: Pass, maps: &[&Rows], tensors: [&CubeTensor; 3]) -> bool {
        #[cfg(feature = "cudnn")]
        {
            let [out, height, width, inner] = tape::dims::<4>(&self.weight);
            let (x, filter) = (tape::dims::<4>(&self.x.map), [out, inner, height, width]);
            let problem = || Problem::new(pass, self.x.map.dtype, x, filter, self.out, [self.stride, self.padding]);
            let whole = maps.iter().all(|map| map.pitch == map.columns);
            cudnn::convolve(if whole { problem() } else { None }, tensors)
        }
        #[cfg(not(feature = "cudnn"))]
        false
    }

    fn window(&self, pass: Pass) -> Window {
        let [_, height, width, _] = tape::dims::<4>(&self.weight);
        Window { pass, height, width, stride: self.stride, padding: self.padding }
    }

    fn sizes(&self, y_pitch: usize, share: usize, lines: usize) -> SizesLaunch {
        let [images, x_channels, x_height, x_width] = tape::dims::<4>(&self.x.map);
        let [_, y_channels, y_height, y_width] = self.out;
        SizesLaunch::new(
            images,
            x_height,
            x_width,
            x_channels,
            self.x.pitch,
            y_height,
            y_width,
            y_channels,
            y_pitch,
            share,
            lines,
        )
    }
}

/// Cubes that share the inner side of so many tiles, and how much each takes.
fn shares(client: &Client, tiles: usize, inner: usize) -> (usize, usize) {
    let multiprocessors = client.properties().hardware.num_streaming_multiprocessors.unwrap_or(MULTIPROCESSORS);
    let wanted = (CUBES * multiprocessors as usize).div_ceil(tiles.max(1));
    let shares = wanted.min(inner / SHARE).max(inner.div_ceil(LONGEST)).max(1);
    let share = inner.div_ceil(shares).next_multiple_of(STEP);
    (inner.div_ceil(share), share)
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
