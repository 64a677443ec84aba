//! Updates of all tensors of a network in a few launches. Weights and what is kept of each lie in one buffer (`packed.rs`);
//! gradients come one by one, and a launch takes as many of them as the device binds buffers for, at most 24.
//!
//! Results are new tensors; a weight and its state are read and written once. Everything is f32 and flat.

use std::collections::BTreeMap;

use burn::{
    backend::Cube,
    tensor::{DType, Tensor},
};
use burn_cubecl::{kernel::into_contiguous, tensor::CubeTensor};
use cubecl::{client::Client, prelude::*};

use super::{
    UNITS,
    packed::{Packed, place},
    sums::add_up,
    tape, unit_an_item,
};

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

/// Tensors that go into one launch, in ascending order, with their place in it.
pub(crate) struct Launch {
    pub(crate) client: Client,
    pub(crate) items: Vec<(usize, Span)>,
    /// Elements in a vector.
    pub(crate) vector: usize,
    cubes: usize,
}

/// The cubes of a tensor, and its length in vectors.
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

/// Whether a tensor goes through a kernel by single elements.
pub(crate) fn odd(tensor: &CubeTensor) -> bool {
    !tensor.meta.num_elements().is_multiple_of(4)
}

/// Divides tensors among launches, which bind so many buffers more.
pub(crate) fn launches(tensors: &[CubeTensor], more: usize) -> Vec<Launch> {
    let (odd, by_four): (Vec<_>, Vec<_>) = (0..tensors.len()).partition(|&i| odd(&tensors[i]));
    [(by_four, 4), (odd, 1)].into_iter().flat_map(|(items, vector)| divide(tensors, items, vector, more)).collect()
}

fn divide(tensors: &[CubeTensor], items: Vec<usize>, vector: usize, more: usize) -> Vec<Launch> {
    let Some(first) = items.first() else { return Vec::new() };
    let client = tensors[*first].client.clone();
    let properties = &client.properties().hardware;
    // One buffer is the kernel's own, for numbers.
    let bound = (properties.max_bindings as usize).saturating_sub(1 + more);
    let (count, most) = (bound.clamp(1, TENSORS), properties.max_cube_count.0 as usize);
    let mut all: Vec<Launch> = Vec::new();
    for item in items {
        let length = tensors[item].meta.num_elements() / vector;
        let cubes = length.div_ceil(CHUNK);
        let full = |launch: &Launch| launch.items.len() == count || launch.cubes + cubes > most;
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

/// A tensor in a launch.
#[derive(CubeType, CubeLaunch)]
pub(crate) struct Part<N: Size> {
    pub(crate) values: Box<[Vector<f32, N>]>,
    /// Its cubes.
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) length: usize,
    /// Where its place begins in a buffer for all, if there is one.
    pub(crate) start: usize,
}

/// First and last vector of this cube within the tensor, from the first unit's on.
#[cube]
pub(crate) fn vectors(from: usize, length: usize) -> (usize, usize) {
    let start = (CUBE_POS_X as usize - from) * comptime!(CHUNK);
    let end = start + comptime!(CHUNK);
    (start + UNIT_POS as usize, select(end < length, end, length))
}

/// `m·average + (1 - m)·value` of each pair.
pub(crate) fn blend(pairs: &[[CubeTensor; 2]], momentum: f64) -> Vec<CubeTensor> {
    let mut results: Vec<Option<CubeTensor>> = vec![None; pairs.len()];
    for group in by_buffer(pairs) {
        let [averages, values] = [0, 1].map(|side| group.iter().map(|&i| pairs[i][side].clone()).collect::<Vec<_>>());
        let (Some(averages), Some(values)) = (Packed::of(&averages), Packed::of(&values)) else { continue };
        for (i, new) in group.into_iter().zip(blend_packed(&averages, &values, momentum).separate()) {
            results[i] = Some(new);
        }
    }
    results.into_iter().flatten().collect()
}

/// The pairs whose values are in one buffer, in the order of their places there; then those whose value is in a buffer of its
/// own.
fn by_buffer(pairs: &[[CubeTensor; 2]]) -> Vec<Vec<usize>> {
    let mut buffers: BTreeMap<_, Vec<(u64, usize)>> = BTreeMap::new();
    for (i, [_, value]) in pairs.iter().enumerate() {
        let (memory, start) = place(value);
        buffers.entry(memory).or_default().push((start, i));
    }
    let (alone, mut together): (Vec<_>, Vec<_>) = buffers.into_values().partition(|found| found.len() == 1);
    together.push(alone.into_iter().flatten().map(|(_, i)| (0, i)).collect());
    let order = |mut found: Vec<(u64, usize)>| {
        found.sort_unstable();
        found.into_iter().map(|(_, i)| i).collect()
    };
    together.into_iter().map(order).collect()
}

#[allow(unsafe_code)]
fn blend_packed(averages: &Packed, values: &Packed, momentum: f64) -> Packed {
    let new = averages.new_like();
    let [average, value, result] = [averages, values, &new].map(Packed::argument);
    let (client, count) = (new.client(), new.len() / 4);
    let (cubes, cube) = unit_an_item(client, count);
    // SAFETY: the three buffers have one length, which the places of vectors make a multiple of four.
    unsafe {
        blend_all::launch_unchecked(
            client,
            cubes,
            cube,
            4,
            average,
            value,
            result,
            count,
            momentum as f32,
            (1.0 - momentum) as f32,
        );
    }
    new
}

#[cube(launch_unchecked)]
fn blend_all<N: Size>(
    average: &[Vector<f32, N>],
    value: &[Vector<f32, N>],
    new: &mut [Vector<f32, N>],
    count: usize,
    keep: f32,
    take: f32,
) {
    let at = ABSOLUTE_POS;
    if at < count {
        new[at] = average[at] * Vector::new(keep) + value[at] * Vector::new(take);
    }
}

/// Euclidean norm of all tensors as one vector, `[1]`.
#[allow(unsafe_code)]
pub(crate) fn norm(tensors: &[CubeTensor]) -> Option<CubeTensor> {
    let like = tensors.first()?.clone();
    let launches = launches(tensors, 1);
    let cubes: usize = launches.iter().map(Launch::cubes).sum();
    let sums = tape::new(&like, [cubes], DType::F32);
    let mut first = 0;
    for launch in &launches {
        let mut sequence = SequenceArg::new();
        for (i, span) in &launch.items {
            sequence.push(PartLaunch::new(tape::argument(&tensors[*i]), span.from, span.to, span.length, 0));
        }
        // SAFETY: a tensor's vectors lie within it, and there is a sum for each cube of all launches.
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

#[cube(launch_unchecked)]
fn squares<N: Size>(parts: Sequence<Part<N>>, sums: &mut [f32], first: usize) {
    let mut sum = Vector::<f32, N>::new(0.0);
    for part in parts {
        if CUBE_POS_X as usize >= part.from && (CUBE_POS_X as usize) < part.to {
            let (mut at, end) = vectors(part.from, part.length);
            while at < end {
                sum += part.values[at] * part.values[at];
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
