//! The backward pass.

use burn::{
    backend::{
        Cube,
        autodiff::{
            checkpoint::base::Checkpointer,
            grads::Gradients,
            ops::{Backward, Ops},
        },
    },
    tensor::DType,
};
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::{
    Division,
    kernels::{self, Beside, Mask},
    merged,
    pooled::{self, Winners},
    whole,
};
use crate::{
    cpu_times::{self, Part},
    gpu::{
        UNITS,
        packed::Packed,
        slab::Slab,
        tape::{self, Rows},
    },
};

/// What the backward pass needs again.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) division: Division,
    pub(super) rows: Rows,
    pub(super) statistics: CubeTensor,
    /// Where the mask of the rectifier cannot be computed from the input.
    pub(super) output: Option<CubeTensor>,
    /// Of a pooled map.
    pub(super) winners: Option<Winners>,
    pub(super) mask: Mask,
    /// Whether the statistics are constants.
    pub(super) constant: bool,
    pub(super) slab: Option<Slab>,
}

#[derive(Debug)]
pub(super) struct NormBackward;

impl<const N: usize> Backward<Cube, N> for NormBackward {
    type State = State;

    fn backward(self, ops: Ops<State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let _t = cpu_times::time(Part::Norm);
        let dy = Rows::of(tape::gradient(grads, &ops)).in_vectors(ops.state.division.vector);
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
        if let Some(winners) = &self.winners {
            let (dx, parameters) = pooled::backward(self, winners, dy);
            return [Some(dx), Some(parameters.tensor(0)), Some(parameters.tensor(1)), None];
        }
        let (x, d) = (&self.rows, &self.division);
        let client = &x.map.client;
        let parameters = Packed::new(&x.map, vec![d.channels(); 2]);
        // Without a residual the mask is made of x, and this is not read.
        let y = self.output.as_ref().unwrap_or(&self.statistics);
        let (dx, accumulate, last) = match &self.slab {
            Some(slab) => slab.gradient(),
            None => (Rows::of(x.new_like()), false, 0),
        };
        let (wanted, beside) = match &self.slab {
            Some(slab) => (Beside::LastMap, Some(slab.new_last())),
            None if residual => (Beside::Residual, Some(x.new_like())),
            None => (Beside::Nothing, None),
        };
        // Where nothing is wanted beside, a kernel does not write there, and the buffer is any that holds a vector.
        let target = || beside.clone().unwrap_or_else(|| tape::new(&x.map, [4], DType::F32));
        if d.small() {
            // SAFETY: every index is below the size of its buffer, by the division of the map.
            unsafe {
                whole::backward::launch_unchecked(
                    client,
                    d.columns(),
                    CubeDim::new_1d(UNITS),
                    d.vector,
                    x.argument(),
                    dy.argument(),
                    tape::argument(y),
                    tape::argument(&self.statistics),
                    dx.argument(),
                    tape::argument(&target()),
                    parameters.argument(),
                    d.rows,
                    d.groups,
                    d.width,
                    x.pitch / d.vector,
                    dy.pitch / d.vector,
                    dx.pitch / d.vector,
                    parameters.start(1) / d.vector,
                    last / d.vector,
                    d.lanes,
                    self.mask,
                    self.constant,
                    accumulate,
                    wanted,
                    x.element(),
                );
            }
            return self.results(dx, parameters, beside);
        }
        let sums = tape::new(&x.map, [2, d.groups, d.chunks, d.channels()], DType::F32);
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
        }
        if d.few() {
            // SAFETY: the same.
            unsafe {
                merged::propagate::launch_unchecked(
                    client,
                    d.cubes(),
                    CubeDim::new_1d(UNITS),
                    d.vector,
                    x.argument(),
                    dy.argument(),
                    tape::argument(y),
                    tape::argument(&self.statistics),
                    tape::argument(&sums),
                    dx.argument(),
                    tape::argument(&target()),
                    parameters.argument(),
                    d.rows,
                    d.per_chunk,
                    d.chunks,
                    d.width,
                    x.pitch / d.vector,
                    dy.pitch / d.vector,
                    dx.pitch / d.vector,
                    parameters.start(1) / d.vector,
                    last / d.vector,
                    d.lanes,
                    self.mask,
                    self.constant,
                    accumulate,
                    wanted,
                    x.element(),
                );
            }
            return self.results(dx, parameters, beside);
        }
        let means = tape::new(&x.map, [2, d.groups, d.channels()], DType::F32);
        let (lanes_of_sums, cubes_of_sums) = d.sums();
        // SAFETY: the same.
        unsafe {
            kernels::finish_back::launch_unchecked(
                client,
                cubes_of_sums,
                CubeDim::new_1d(UNITS),
                d.vector,
                tape::argument(&sums),
                tape::argument(&means),
                parameters.argument(),
                d.rows,
                d.chunks,
                d.groups,
                d.width,
                parameters.start(1) / d.vector,
                lanes_of_sums,
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
                tape::argument(beside.as_ref().unwrap_or(&sums)),
                d.rows,
                d.per_chunk,
                d.width,
                x.pitch / d.vector,
                dy.pitch / d.vector,
                dx.pitch / d.vector,
                last / d.vector,
                d.lanes,
                self.mask,
                self.constant,
                accumulate,
                wanted,
                x.element(),
            );
        }
        self.results(dx, parameters, beside)
    }

    fn results(&self, dx: Rows, parameters: Packed, beside: Option<CubeTensor>) -> [Option<CubeTensor>; 4] {
        let [weight, bias] = [0, 1].map(|i| Some(parameters.tensor(i)));
        match self.slab {
            Some(_) => [beside, weight, bias, None],
            None => [Some(dx.map), weight, bias, beside],
        }
    }
}
