//! Updates of all tensors of a network in a few launches: as many tensors in one as the device binds buffers for, at most 24.
//!
//! Results are new tensors; a weight and its state are read and written once. Everything is f32 and flat.

use burn::{
    backend::Cube,
    tensor::{DType, Tensor},
};
use burn_cubecl::{kernel::into_contiguous, tensor::CubeTensor};
use cubecl::{client::Client, prelude::*};

use super::{UNITS, sums::add_up, tape};

/// Vectors that a cube goes through.
const CHUNK: usize = 2048;
/// Tensors of a launch at most: the kernel has a branch for each.
const TENSORS: usize = 24;

/// A tensor, flat and without gaps, if it is one of a GPU, in f32 and without a tape.
pub(crate) fn take(tensor: &Tensor<1>) -> Option<CubeTensor> {
    let found = tensor.clone().try_into_primitive::<Cube>().ok()?;
    (found.dtype == DType::F32).then(|| into_contiguous(found))
}

/// Back to a tensor of Burn's API.
pub(crate) fn wrap(tensor: CubeTensor) -> Tensor<1> {
    Tensor::from_primitive::<Cube>(tensor)
}

/// An uninitialised tensor of the length of another.
pub(crate) fn new_like(tensor: &CubeTensor) -> CubeTensor {
    tape::new(tensor, [tensor.meta.num_elements()], DType::F32)
}

/// Buffers of one tensor in a launch: what is read and what is written, in the kernel's order.
pub(crate) struct Item {
    pub(crate) buffers: Vec<CubeTensor>,
}

impl Item {
    fn length(&self) -> usize {
        self.buffers[0].meta.num_elements()
    }
}

/// Items that go into one launch, with their place in it.
pub(crate) struct Launch {
    pub(crate) client: Client,
    pub(crate) items: Vec<(Item, Span)>,
    /// Elements in a vector.
    pub(crate) vector: usize,
    cubes: usize,
}

/// The cubes of an item, and its length in vectors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) length: usize,
}

impl Launch {
    pub(crate) fn cube_count(&self) -> CubeCount {
        CubeCount::Static(self.cubes as u32, 1, 1)
    }

    pub(crate) fn cubes(&self) -> usize {
        self.cubes
    }

    pub(crate) fn cube_dim() -> CubeDim {
        CubeDim::new_1d(UNITS)
    }
}

/// Divides items among launches.
pub(crate) fn launches(items: Vec<Item>) -> Vec<Launch> {
    let (by_four, others): (Vec<_>, Vec<_>) = items.into_iter().partition(|item| item.length() % 4 == 0);
    [(by_four, 4), (others, 1)].into_iter().flat_map(|(items, vector)| divide(items, vector)).collect()
}

fn divide(items: Vec<Item>, vector: usize) -> Vec<Launch> {
    let Some(first) = items.first() else { return Vec::new() };
    let client = first.buffers[0].client.clone();
    let properties = &client.properties().hardware;
    // One buffer is the kernel's own, for numbers.
    let bound = (properties.max_bindings as usize).saturating_sub(1) / first.buffers.len();
    let (tensors, most) = (bound.clamp(1, TENSORS), properties.max_cube_count.0 as usize);
    let mut all: Vec<Launch> = Vec::new();
    for item in items {
        let length = item.length() / vector;
        let cubes = length.div_ceil(CHUNK);
        let full = |launch: &Launch| launch.items.len() == tensors || launch.cubes + cubes > most;
        if all.last().is_none_or(full) {
            all.push(Launch { client: client.clone(), items: Vec::new(), vector, cubes: 0 });
        }
        if let Some(launch) = all.last_mut() {
            let span = Span { from: launch.cubes, to: launch.cubes + cubes, length };
            launch.cubes = span.to;
            launch.items.push((item, span));
        }
    }
    all
}

/// First and last vector of this cube within the item, from the first unit's on.
#[cube]
pub(crate) fn vectors(from: usize, length: usize) -> (usize, usize) {
    let start = (CUBE_POS_X as usize - from) * comptime!(CHUNK);
    let end = start + comptime!(CHUNK);
    (start + UNIT_POS as usize, select(end < length, end, length))
}

/// `m·average + (1 - m)·value` of each pair.
#[allow(unsafe_code)]
pub(crate) fn blend(pairs: Vec<[CubeTensor; 2]>, momentum: f64) -> Vec<CubeTensor> {
    let results: Vec<CubeTensor> = pairs.iter().map(|[average, _]| new_like(average)).collect();
    let items = pairs.into_iter().zip(&results);
    let items = items.map(|([average, value], new)| Item { buffers: vec![average, value, new.clone()] });
    for launch in launches(items.collect()) {
        let mut sequence = SequenceArg::new();
        for (item, span) in &launch.items {
            let [average, value, new] = [0, 1, 2].map(|i| tape::argument(&item.buffers[i]));
            sequence.push(PairLaunch::new(average, value, new, span.from, span.to, span.length));
        }
        // SAFETY: an item's vectors lie within its buffers, which have its length.
        unsafe {
            blend_all::launch_unchecked(
                &launch.client,
                launch.cube_count(),
                Launch::cube_dim(),
                launch.vector,
                sequence,
                momentum as f32,
                (1.0 - momentum) as f32,
            );
        }
    }
    results
}

#[derive(CubeType, CubeLaunch)]
struct Pair<N: Size> {
    average: Box<[Vector<f32, N>]>,
    value: Box<[Vector<f32, N>]>,
    new: Box<[Vector<f32, N>]>,
    from: usize,
    to: usize,
    length: usize,
}

#[cube(launch_unchecked)]
fn blend_all<N: Size>(items: Sequence<Pair<N>>, keep: f32, take: f32) {
    for mut item in items {
        if CUBE_POS_X as usize >= item.from && (CUBE_POS_X as usize) < item.to {
            let (mut at, end) = vectors(item.from, item.length);
            while at < end {
                item.new[at] = item.average[at] * Vector::new(keep) + item.value[at] * Vector::new(take);
                at += CUBE_DIM as usize;
            }
        }
    }
}

/// Euclidean norm of all tensors as one vector, `[1]`.
#[allow(unsafe_code)]
pub(crate) fn norm(tensors: Vec<CubeTensor>) -> Option<CubeTensor> {
    let like = tensors.first()?.clone();
    let launches = launches(tensors.into_iter().map(|tensor| Item { buffers: vec![tensor] }).collect());
    let cubes: usize = launches.iter().map(Launch::cubes).sum();
    let sums = tape::new(&like, [cubes], DType::F32);
    let mut first = 0;
    for launch in &launches {
        let mut sequence = SequenceArg::new();
        for (item, span) in &launch.items {
            sequence.push(OneLaunch::new(tape::argument(&item.buffers[0]), span.from, span.to, span.length));
        }
        // SAFETY: an item's vectors lie within its buffer, and there is a sum for each cube of all launches.
        unsafe {
            squares::launch_unchecked(
                &launch.client,
                launch.cube_count(),
                Launch::cube_dim(),
                launch.vector,
                sequence,
                tape::argument(&sums),
                first,
            );
        }
        first += launch.cubes();
    }
    let norm = tape::new(&like, [1], DType::F32);
    // SAFETY: it reads as many sums as there are.
    unsafe {
        root::launch_unchecked(
            &like.client,
            CubeCount::Static(1, 1, 1),
            Launch::cube_dim(),
            tape::argument(&sums),
            tape::argument(&norm),
            cubes,
        );
    }
    Some(norm)
}

#[derive(CubeType, CubeLaunch)]
struct One<N: Size> {
    values: Box<[Vector<f32, N>]>,
    from: usize,
    to: usize,
    length: usize,
}

#[cube(launch_unchecked)]
fn squares<N: Size>(items: Sequence<One<N>>, sums: &mut [f32], first: usize) {
    let mut sum = Vector::<f32, N>::new(0.0);
    for item in items {
        if CUBE_POS_X as usize >= item.from && (CUBE_POS_X as usize) < item.to {
            let (mut at, end) = vectors(item.from, item.length);
            while at < end {
                sum += item.values[at] * item.values[at];
                at += CUBE_DIM as usize;
            }
        }
    }
    let mut of_unit = 0.0;
    #[unroll]
    for i in 0..N::value() {
        of_unit += sum.extract(i);
    }
    let total = add_up(of_unit);
    if UNIT_POS == 0 {
        sums[first + CUBE_POS_X as usize] = total;
    }
}

#[cube(launch_unchecked)]
fn root(sums: &[f32], norm: &mut [f32], count: usize) {
    let mut sum = 0.0;
    let mut at = UNIT_POS as usize;
    while at < count {
        sum += sums[at];
        at += CUBE_DIM as usize;
    }
    let total = add_up(sum);
    if UNIT_POS == 0 {
        norm[0] = total.sqrt();
    }
}
