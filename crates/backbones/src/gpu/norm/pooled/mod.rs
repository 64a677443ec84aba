//! A normalisation whose result is rectified and pooled at once, as in the stems of ResNet and DenseNet.
//!
//! Nothing needs the map between, which is as large as any of the network: the forward pass reads x once more than the statistics
//! do and writes a quarter, the backward pass begins at that quarter.

mod kernels;

use burn::tensor::DType;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use self::kernels::SidesLaunch;
use super::{Division, backward::State, forward::Map, kernels::finish_back};
use crate::gpu::{
    UNITS,
    packed::Packed,
    pool::half,
    tape::{self, Rows},
};

/// Where the maxima were.
#[derive(Debug, Clone)]
pub(super) struct Winners {
    /// A word a vector of the pooled map.
    places: CubeTensor,
    division: Division,
}

impl Winners {
    /// Not written yet.
    fn new(x: &Rows, of: &Division) -> Self {
        let division = of.pooled(tape::dims(&x.map));
        Self { places: tape::new(&x.map, [division.groups * division.rows * division.width], DType::U32), division }
    }
}

fn sides(of: &CubeTensor) -> SidesLaunch {
    let [_, _, height, width] = tape::dims(of);
    SidesLaunch::new(height, width, half(height), half(width))
}

/// The maxima, `[B, C, ⌈H/2⌉, ⌈W/2⌉]`, and where they were, if that is asked for.
#[allow(unsafe_code)]
pub(super) fn forward(map: &Map<'_>, statistics: &CubeTensor, record: bool) -> (CubeTensor, Option<Winners>) {
    let x = map.x;
    let [b, c, h, w] = tape::dims(&x.map);
    let y = tape::new_map(&x.map, [b, c, half(h), half(w)], x.map.dtype);
    let d = map.division.pooled([b, c, h, w]);
    let winners = record.then(|| Winners::new(x, &map.division));
    // One element that nothing is written to, where places are not asked for.
    let places = winners.as_ref().map_or_else(|| tape::new(&x.map, [1], DType::U32), |winners| winners.places.clone());
    // SAFETY: every position of the pooled map is of one unit, by its division, and every tap is checked to lie within the map.
    unsafe {
        kernels::apply::launch_unchecked(
            &x.map.client,
            d.cubes(),
            CubeDim::new_1d(UNITS),
            d.vector,
            x.argument(),
            tape::argument(statistics),
            tape::argument(&y),
            tape::argument(&places),
            d.rows,
            d.per_chunk,
            d.width,
            x.pitch / d.vector,
            sides(&x.map),
            d.lanes,
            record,
            x.element(),
        );
    }
    (y, winners)
}

/// Gradients of input, weight and bias.
#[allow(unsafe_code)]
pub(super) fn backward(state: &State, winners: &Winners, dy: &Rows) -> (CubeTensor, Packed) {
    let (x, d, pooled) = (&state.rows, &state.division, &winners.division);
    let client = &x.map.client;
    let dx = x.new_like();
    let sums = tape::new(&x.map, [2, pooled.groups, pooled.chunks, pooled.channels()], DType::F32);
    let means = tape::new(&x.map, [2, d.groups, d.channels()], DType::F32);
    let parameters = Packed::new(&x.map, vec![d.channels(); 2]);
    let (lanes_of_sums, cubes_of_sums) = pooled.sums();
    // SAFETY: as in the forward pass; winners are places that it wrote, and every window is checked to lie within the pooled map.
    unsafe {
        kernels::measure_back::launch_unchecked(
            client,
            pooled.cubes(),
            CubeDim::new_1d(UNITS),
            d.vector,
            x.argument(),
            dy.argument(),
            tape::argument(&winners.places),
            tape::argument(&state.statistics),
            tape::argument(&sums),
            pooled.rows,
            pooled.per_chunk,
            d.width,
            x.pitch / d.vector,
            dy.pitch / d.vector,
            sides(&x.map),
            d.lanes,
            x.element(),
        );
        finish_back::launch_unchecked(
            client,
            cubes_of_sums,
            CubeDim::new_1d(UNITS),
            d.vector,
            tape::argument(&sums),
            tape::argument(&means),
            parameters.argument(),
            // The means are over all positions of x, of which most got nothing.
            d.rows,
            pooled.chunks,
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
            tape::argument(&winners.places),
            tape::argument(&state.statistics),
            tape::argument(&means),
            tape::argument(&dx),
            d.rows,
            d.per_chunk,
            d.width,
            x.pitch / d.vector,
            dy.pitch / d.vector,
            sides(&x.map),
            d.lanes,
            state.constant,
            x.element(),
        );
    }
    (dx, parameters)
}
