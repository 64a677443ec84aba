//! Batch normalisation, with the residual and the rectifier where there are any: three launches forward, three backward, and
//! two passes over the map each way.

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
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use self::kernels::{Mask, Plane, UNITS};
use super::{
    slab::Slab,
    tape::{self, Rows, Strategy},
};
use crate::cpu_times::{self, Part};

/// Rows that a unit of a cube goes through, if there are that many.
const ROWS_A_UNIT: usize = 16;
/// Chunks into which the rows of a group are divided at most: their sums are added by one cube.
const CHUNKS: usize = 512;
/// Columns of vectors side by side in a cube at most, a power of two.
const LANES: usize = 32;

/// What is asked of a normalisation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Norm {
    pub(crate) groups: usize,
    pub(crate) eps: f64,
    pub(crate) rectify: bool,
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
    fn of(map: &Rows, groups: usize) -> Self {
        let vector = map.vector();
        let (rows, width) = (map.rows / groups, map.columns / vector);
        let lanes = width.next_power_of_two().min(LANES);
        let side_by_side = UNITS as usize / lanes;
        let chunks = rows.div_ceil(side_by_side * ROWS_A_UNIT).clamp(1, CHUNKS);
        let per_chunk = rows.div_ceil(chunks);
        Self { rows, groups, width, lanes, per_chunk, chunks: rows.div_ceil(per_chunk), vector }
    }

    /// Cubes for a pass over the map.
    fn cubes(&self) -> CubeCount {
        CubeCount::Static(self.chunks as u32, self.width.div_ceil(self.lanes) as u32, self.groups as u32)
    }

    /// Cubes for a pass over the statistics.
    fn columns(&self) -> CubeCount {
        CubeCount::Static(self.width.div_ceil(self.lanes) as u32, 1, 1)
    }

    fn channels(&self) -> usize {
        self.width * self.vector
    }
}

/// The normalised input, and the running statistics after the batch, if it was normalised by its own.
///
/// # Shapes
/// - input and residual `[B, C, H, W]`, weight, bias and statistics `[C]`
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
    let residual = r.map(|r| Rows::of(r.tensor.into_primitive()));
    let (weight, bias) = (vector(w)?, vector(b)?);
    let division = Division::of(&rows, norm.groups);

    let constant = matches!(source, Source::Given(_));
    let (statistics, running) = match source {
        Source::Given(running) => (given(norm, &division, &rows, [&weight, &bias], numbers(running)?), None),
        Source::Batch { running, momentum } => {
            // On the device that they were on, with or without a tape.
            let places = [tape::operand(running[0])?, tape::operand(running[1])?];
            let contexts = places.each_ref().map(|place| tape::context(&[place]));
            let (statistics, [mean, variance]) =
                measured(norm, &division, &rows, [&weight, &bias], numbers(running)?, momentum);
            let new = [tape::constant(mean, contexts[0]), tape::constant(variance, contexts[1])];
            (statistics, Some(new))
        }
    };
    let out = applied(norm, &division, &rows, residual.as_ref(), &statistics);
    if !tape::records(context) {
        return Some((tape::constant(out, context), running));
    }
    let mask = match (norm.rectify, &residual) {
        (false, _) => Mask::None,
        (true, None) => Mask::Input,
        (true, Some(_)) => Mask::Output,
    };
    let output = (mask == Mask::Output).then(|| out.clone());
    let state = State { division, rows, statistics, output, mask, constant, slab };
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

fn numbers(of: [&Tensor<1>; 2]) -> Option<[CubeTensor; 2]> {
    let [a, b] = of;
    Some([vector(tape::operand(a)?)?, vector(tape::operand(b)?)?])
}

/// Statistics `[4, G, C]` of the batch, and the running ones after it.
#[allow(unsafe_code)]
fn measured(
    norm: Norm,
    d: &Division,
    x: &Rows,
    [weight, bias]: [&CubeTensor; 2],
    [mean, variance]: [CubeTensor; 2],
    momentum: f64,
) -> (CubeTensor, [CubeTensor; 2]) {
    let client = &x.map.client;
    let sums = tape::new(&x.map, [2, d.groups, d.chunks, d.channels()], DType::F32);
    let statistics = tape::new(&x.map, [Plane::COUNT, d.groups, d.channels()], DType::F32);
    let running = tape::Pair::new(&x.map, d.channels());
    // SAFETY: every index is below the size of its buffer, by the division of the map.
    unsafe {
        kernels::measure::launch_unchecked(
            client,
            d.cubes(),
            CubeDim::new_1d(UNITS),
            d.vector,
            x.argument(),
            tape::argument(&sums),
            d.rows,
            d.per_chunk,
            d.width,
            x.pitch / d.vector,
            d.lanes,
            x.element(),
        );
        kernels::finish::launch_unchecked(
            client,
            d.columns(),
            CubeDim::new_1d(UNITS),
            d.vector,
            x.argument(),
            tape::argument(&sums),
            tape::argument(weight),
            tape::argument(bias),
            tape::argument(&mean),
            tape::argument(&variance),
            tape::argument(&statistics),
            running.argument(),
            d.rows,
            d.chunks,
            d.groups,
            d.width,
            x.pitch / d.vector,
            running.second() / d.vector,
            norm.eps as f32,
            momentum as f32,
            d.lanes,
            x.element(),
        );
    }
    (statistics, running.separate())
}

/// Statistics `[4, 1, C]` from the running ones.
#[allow(unsafe_code)]
fn given(
    norm: Norm,
    d: &Division,
    x: &Rows,
    [weight, bias]: [&CubeTensor; 2],
    [mean, variance]: [CubeTensor; 2],
) -> CubeTensor {
    let statistics = tape::new(&x.map, [Plane::COUNT, 1, d.channels()], DType::F32);
    let cubes = CubeCount::Static(d.width.div_ceil(UNITS as usize) as u32, 1, 1);
    // SAFETY: every index is below the number of columns.
    unsafe {
        kernels::given::launch_unchecked(
            &x.map.client,
            cubes,
            CubeDim::new_1d(UNITS),
            d.vector,
            tape::argument(weight),
            tape::argument(bias),
            tape::argument(&mean),
            tape::argument(&variance),
            tape::argument(&statistics),
            d.width,
            norm.eps as f32,
        );
    }
    statistics
}

#[allow(unsafe_code)]
fn applied(norm: Norm, d: &Division, x: &Rows, residual: Option<&Rows>, statistics: &CubeTensor) -> CubeTensor {
    let out = x.new_like();
    let other = residual.unwrap_or(x);
    // SAFETY: every index is below the size of its buffer, by the division of the map.
    unsafe {
        kernels::apply::launch_unchecked(
            &x.map.client,
            d.cubes(),
            CubeDim::new_1d(UNITS),
            d.vector,
            x.argument(),
            other.argument(),
            tape::argument(statistics),
            tape::argument(&out),
            d.rows,
            d.per_chunk,
            d.width,
            x.pitch / d.vector,
            other.pitch / d.vector,
            d.lanes,
            residual.is_some(),
            norm.rectify,
            x.element(),
        );
    }
    out
}

/// What the backward pass needs again.
#[derive(Debug, Clone)]
struct State {
    division: Division,
    rows: Rows,
    statistics: CubeTensor,
    /// Where the mask of the rectifier cannot be computed from the input.
    output: Option<CubeTensor>,
    mask: Mask,
    /// Whether the statistics are constants.
    constant: bool,
    slab: Option<Slab>,
}

#[derive(Debug)]
struct NormBackward;

impl<const N: usize> Backward<Cube, N> for NormBackward {
    type State = State;

    fn backward(self, ops: Ops<State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let _t = cpu_times::time(Part::Norm);
        let dy = Rows::of(tape::gradient(grads, &ops));
        let parents = ops.parents.map(|p| p.map(|p| p.id));
        let results = ops.state.backward(&dy, N == 4);
        for (parent, result) in parents.into_iter().zip(results) {
            if let (Some(parent), Some(result)) = (parent, result) {
                grads.register::<Cube>(parent, result);
            }
        }
    }
}

impl State {
    /// Gradients of the (last piece of the) input, weight, bias and residual.
    #[allow(unsafe_code)]
    fn backward(&self, dy: &Rows, residual: bool) -> [Option<CubeTensor>; 4] {
        let (x, d) = (&self.rows, &self.division);
        let client = &x.map.client;
        let sums = tape::new(&x.map, [2, d.groups, d.chunks, d.channels()], DType::F32);
        let means = tape::new(&x.map, [2, d.groups, d.channels()], DType::F32);
        let parameters = tape::Pair::new(&x.map, d.channels());
        let y = self.output.as_ref().unwrap_or(&x.map);
        let (dx, accumulate) = match &self.slab {
            Some(slab) => slab.gradient(),
            None => (Rows::of(x.new_like()), false),
        };
        let of_residual = residual.then(|| x.new_like());
        // SAFETY: every index is below the size of its buffer, by the division of the map.
        unsafe {
            kernels::measure_back::launch_unchecked(
                client,
                d.cubes(),
                CubeDim::new_1d(UNITS),
                d.vector,
                x.argument(),
                dy.argument(),
                tape::argument(y),
                tape::argument(&self.statistics),
                tape::argument(&sums),
                d.rows,
                d.per_chunk,
                d.width,
                x.pitch / d.vector,
                dy.pitch / d.vector,
                d.lanes,
                self.mask,
                x.element(),
            );
            kernels::finish_back::launch_unchecked(
                client,
                d.columns(),
                CubeDim::new_1d(UNITS),
                d.vector,
                tape::argument(&sums),
                tape::argument(&means),
                parameters.argument(),
                d.rows,
                d.chunks,
                d.groups,
                d.width,
                parameters.second() / d.vector,
                d.lanes,
            );
            kernels::propagate::launch_unchecked(
                client,
                d.cubes(),
                CubeDim::new_1d(UNITS),
                d.vector,
                x.argument(),
                dy.argument(),
                tape::argument(y),
                tape::argument(&self.statistics),
                tape::argument(&means),
                dx.argument(),
                // Without a residual the kernel does not write there, and the buffer is any.
                tape::argument(of_residual.as_ref().unwrap_or(&sums)),
                d.rows,
                d.per_chunk,
                d.width,
                x.pitch / d.vector,
                dy.pitch / d.vector,
                dx.pitch / d.vector,
                d.lanes,
                self.mask,
                self.constant,
                accumulate,
                residual,
                x.element(),
            );
        }
        let dx = match &self.slab {
            Some(slab) => slab.last_of(&dx),
            None => dx.map,
        };
        let [weight, bias] = parameters.separate();
        [Some(dx), Some(weight), Some(bias), of_residual]
    }
}
