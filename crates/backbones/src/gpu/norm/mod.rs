//! Batch normalisation, with the residual and the rectifier where there are any: two passes over the map each way, in three
//! launches, in two where the map is not large, and in one where it is small. That of a stem is pooled in the same passes.

mod backward;
mod forward;
mod kernels;
mod merged;
mod pooled;
mod whole;

use burn::{
    backend::autodiff::ops::{Backward, OpsKind},
    tensor::{DType, Tensor},
};
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use self::{
    backward::{NormBackward, State},
    forward::{Map, Normalised},
    kernels::Mask,
};
use super::{
    UNITS,
    pool::half,
    slab::Slab,
    tape::{self, Rows, Strategy},
};
use crate::cpu_times::{self, Part};

/// Rows that a unit of a cube goes through, if there are that many.
const ROWS_A_UNIT: usize = 16;
/// The same in a map that is normalised in one launch.
const ROWS_OF_SMALL: usize = 64;
/// Chunks into which the rows of a group are divided at most.
const CHUNKS: usize = 512;
/// Bytes of the sums of chunks that all cubes of a pass may read together to add them up themselves: some microseconds of a card,
/// about as long as the launch that is spared, whose cost to the host is spared besides.
const READ_AGAIN: usize = 10 << 20;
/// Columns of vectors side by side in a cube at most, a power of two.
const LANES: usize = 32;
/// The same where the sums of chunks are added up: the fewer there are, the fewer chunks each unit goes through.
const LANES_OF_SUMS: usize = 4;

/// Buffers that a kernel binds at most, with its own for numbers, but for those that spare a launch (`forward.rs`).
const BINDINGS: u32 = 9;

/// What is asked of a normalisation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Norm {
    pub(crate) groups: usize,
    pub(crate) eps: f64,
    pub(crate) rectify: bool,
    /// Whether the maximum over 3x3 windows with stride 2 and one pixel of padding follows; only of a rectified map.
    pub(crate) pool: bool,
}

/// Where mean and variance come from.
pub(crate) enum Source<'a> {
    /// The batch; the running ones follow with this momentum.
    Batch { running: [&'a Tensor<1>; 2], momentum: f64 },
    /// The running ones.
    Given([&'a Tensor<1>; 2]),
}

/// What is normalised.
pub(crate) enum Input<'a> {
    /// A map `[B, C, H, W]`.
    Map(&'a Tensor<4>),
    /// All channels of a dense block so far, of which the last were these.
    Slab(&'a Slab, &'a Tensor<4>),
}

impl Input<'_> {
    /// Images.
    pub(crate) fn batch(&self) -> usize {
        let (Self::Map(x) | Self::Slab(_, x)) = self;
        x.dims()[0]
    }
}

/// How a map is divided among cubes.
#[derive(Debug, Clone, Copy)]
struct Division {
    /// Rows of a group.
    rows: usize,
    groups: usize,
    /// Vectors of a row.
    width: usize,
    lanes: usize,
    per_chunk: usize,
    chunks: usize,
    vector: usize,
}

impl Division {
    /// `last` is where the last map of a dense block begins, which is a part by itself.
    fn of(map: &Rows, groups: usize, last: usize) -> Self {
        let vector = tape::vector(&[map.columns, map.pitch, last]);
        Self::over(map.rows / groups, groups, map.columns / vector, vector)
    }

    fn over(rows: usize, groups: usize, width: usize, vector: usize) -> Self {
        let lanes = width.next_power_of_two().min(LANES);
        let side_by_side = UNITS as usize / lanes;
        let chunks = rows.div_ceil(side_by_side * ROWS_A_UNIT).clamp(1, CHUNKS);
        let per_chunk = rows.div_ceil(chunks);
        Self { rows, groups, width, lanes, per_chunk, chunks: rows.div_ceil(per_chunk), vector }
    }

    /// Of what pooling leaves of a map `[B, C, H, W]`.
    fn pooled(&self, [b, _, h, w]: [usize; 4]) -> Self {
        Self::over(b / self.groups * half(h) * half(w), self.groups, self.width, self.vector)
    }

    /// Whether one cube sees all rows of its columns in good time.
    fn small(&self) -> bool {
        self.rows <= ROWS_OF_SMALL * UNITS as usize / self.lanes
    }

    /// Whether every cube of a pass adds up the sums of all chunks of its columns, two planes of them, itself.
    fn few(&self) -> bool {
        2 * size_of::<f32>() * self.chunks.pow(2) * self.channels() * self.groups <= READ_AGAIN
    }

    /// Cubes for a pass over the map.
    fn cubes(&self) -> CubeCount {
        CubeCount::Static(self.chunks as u32, self.width.div_ceil(self.lanes) as u32, self.groups as u32)
    }

    /// Cubes that see all rows of their columns.
    fn columns(&self) -> CubeCount {
        CubeCount::Static(self.width.div_ceil(self.lanes) as u32, 1, 1)
    }

    /// Columns side by side in a pass over the sums of chunks, and its cubes.
    fn sums(&self) -> (usize, CubeCount) {
        let lanes = self.lanes.min(LANES_OF_SUMS);
        (lanes, CubeCount::Static(self.width.div_ceil(lanes) as u32, 1, 1))
    }

    fn channels(&self) -> usize {
        self.width * self.vector
    }
}

/// The normalised input, and the running statistics after the batch, if it was normalised by its own.
///
/// # Shapes
/// - input and residual `[B, C, H, W]`, weight, bias and statistics `[C]`
/// - returns `[B, C, H, W]`, or `[B, C, ⌈H/2⌉, ⌈W/2⌉]` if pooled
///
/// # Panics
/// When a shape is another.
pub(crate) fn batch_norm(
    norm: Norm,
    input: Input<'_>,
    [weight, bias]: [&Tensor<1>; 2],
    residual: Option<&Tensor<4>>,
    source: Source<'_>,
) -> Option<(Tensor<4>, Option<[Tensor<1>; 2]>)> {
    let _t = cpu_times::time(Part::Norm);
    let x = match input {
        Input::Map(x) | Input::Slab(_, x) => tape::operand(x)?,
    };
    let (w, b) = (tape::operand(weight)?, tape::operand(bias)?);
    let r = match residual {
        Some(residual) => Some(tape::operand(residual)?),
        None => None,
    };
    let mut operands = vec![&x, &w, &b];
    operands.extend(&r);
    let context = tape::context(&operands);
    let nodes = [x.tensor.node(), w.tensor.node(), b.tensor.node()];
    let node_of_residual = r.as_ref().map(|r| r.tensor.node());

    let (rows, slab) = match input {
        Input::Map(_) => (Rows::of(x.tensor.into_primitive()), None),
        Input::Slab(slab, _) => (slab.rows(), Some(slab.clone())),
    };
    let (weight, bias) = (vector(w)?, vector(b)?);
    let division = Division::of(&rows, norm.groups, slab.as_ref().map_or(0, Slab::last));
    let residual = r.map(|r| Rows::of(r.tensor.into_primitive()).in_vectors(division.vector));
    if residual.as_ref().is_some_and(|r| r.map.dtype != rows.map.dtype)
        || rows.map.client.properties().hardware.max_bindings < BINDINGS
    {
        return None;
    }
    let shape = tape::dims::<4>(&rows.map);
    for (what, length) in [("weight", &weight), ("bias", &bias)].map(|(what, t)| (what, t.meta.num_elements())) {
        assert_eq!(length, rows.columns, "elements of the {what} of {} channels", rows.columns);
    }
    if let Some(residual) = &residual {
        assert_eq!(tape::dims::<4>(&residual.map), shape, "shapes of a residual and of the map that it is added to");
    }

    let constant = matches!(source, Source::Given(_));
    let recorded = tape::records(context);
    let map = Map { norm, division, x: &rows, residual: residual.as_ref(), weight: &weight, bias: &bias, recorded };
    let (normalised, running) = match source {
        Source::Given(running) => (map.by_given(numbers(running, rows.columns)?), None),
        Source::Batch { running, momentum } => {
            // On the device that they were on, with or without a tape.
            let places = [tape::operand(running[0])?, tape::operand(running[1])?];
            let contexts = places.each_ref().map(|place| tape::context(&[place]));
            let (normalised, [mean, variance]) = map.by_batch(numbers(running, rows.columns)?, momentum);
            (normalised, Some([tape::constant(mean, contexts[0]), tape::constant(variance, contexts[1])]))
        }
    };
    let Normalised { out, statistics, winners } = normalised;
    if !recorded {
        return Some((tape::constant(out, context), running));
    }
    let mask = match (norm.rectify, &residual) {
        (false, _) => Mask::None,
        (true, None) => Mask::Input,
        (true, Some(_)) => Mask::Output,
    };
    let output = (mask == Mask::Output).then(|| out.clone());
    let state = State { division, rows, statistics, output, winners, mask, constant, slab };
    let out = match node_of_residual {
        None => match NormBackward.prepare::<Strategy>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish(state, out),
            OpsKind::UnTracked(prepared) => prepared.finish(out),
        },
        Some(residual) => {
            let [x, w, b] = nodes;
            match NormBackward.prepare::<Strategy>([x, w, b, residual]).compute_bound().stateful() {
                OpsKind::Tracked(prepared) => prepared.finish(state, out),
                OpsKind::UnTracked(prepared) => prepared.finish(out),
            }
        }
    };
    Some((tape::wrap(out, context), running))
}

/// Weight or bias, in f32 and without gaps.
fn vector(operand: tape::Operand) -> Option<CubeTensor> {
    let tensor = operand.tensor.into_primitive();
    (tensor.dtype == DType::F32).then(|| burn_cubecl::kernel::into_contiguous(tensor))
}

/// Running mean and variance.
fn numbers(of: [&Tensor<1>; 2], channels: usize) -> Option<[CubeTensor; 2]> {
    let [a, b] = of;
    assert!(a.dims() == [channels] && b.dims() == [channels], "running statistics of {channels} channels");
    Some([vector(tape::operand(a)?)?, vector(tape::operand(b)?)?])
}
