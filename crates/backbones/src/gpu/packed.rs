//! Many vectors in one buffer.
//!
//! A device's allocator goes through all buffers of a page for every new one, so that a buffer for each tensor of a network
//! costs the host far more than the device. A buffer for all is one allocation; the tensors are parts of it, which Burn never
//! writes in place while there is another part.

use std::ops::Range;

use burn::tensor::DType;
use burn_cubecl::tensor::CubeTensor;
use cubecl::{client::Client, prelude::*};

use super::{
    flat::{Launch, Part, PartLaunch, launches, vectors},
    tape,
};

/// Bytes of a place where any device lets a buffer begin, and the elements that they hold.
const PLACE: usize = 256;
const ALIGNED: usize = PLACE / 4;

/// Vectors of f32 in one buffer, one after the other, each at a place where a buffer may begin.
#[derive(Debug, Clone)]
pub(crate) struct Packed {
    buffer: CubeTensor,
    lengths: Vec<usize>,
    starts: Vec<usize>,
}

impl Packed {
    /// Uninitialised, on the device of a tensor.
    pub(crate) fn new(like: &CubeTensor, lengths: Vec<usize>) -> Self {
        let (starts, whole) = starts(&lengths);
        Self { buffer: tape::new(like, [whole], DType::F32), lengths, starts }
    }

    /// Flat tensors, copied unless they follow each other in one buffer already; `None` if there are none.
    pub(crate) fn of(tensors: &[CubeTensor]) -> Option<Self> {
        let first = tensors.first()?;
        let lengths: Vec<usize> = tensors.iter().map(|tensor| tensor.meta.num_elements()).collect();
        let (starts, whole) = starts(&lengths);
        let (memory, start) = place(first);
        let end = start + 4 * whole as u64;
        let follow =
            |(tensor, place_in): (&CubeTensor, &usize)| place(tensor) == (memory, start + 4 * *place_in as u64);
        if tensors.iter().zip(&starts).all(follow) && end <= first.handle.size() {
            return Some(Self { buffer: view(first, start..end, whole), lengths, starts });
        }
        let packed = Self::new(first, lengths);
        packed.fill(tensors);
        Some(packed)
    }

    /// Uninitialised, with the same places.
    pub(crate) fn new_like(&self) -> Self {
        Self { buffer: tape::new(&self.buffer, [self.len()], DType::F32), ..self.clone() }
    }

    /// Elements of the buffer, with those between the vectors.
    pub(crate) fn len(&self) -> usize {
        self.buffer.meta.num_elements()
    }

    /// Where a vector begins.
    pub(crate) fn start(&self, of: usize) -> usize {
        self.starts[of]
    }

    /// From the first element of a launch's vectors to the last one.
    pub(crate) fn range(&self, launch: &Launch) -> Range<usize> {
        let ends = |of: &usize| self.starts[*of] + self.lengths[*of].next_multiple_of(ALIGNED);
        let (first, last) = (launch.items.first(), launch.items.last());
        first.map_or(0, |(first, _)| self.starts[*first])..last.map_or(0, |(last, _)| ends(last))
    }

    /// A part of the buffer as a kernel's argument.
    pub(crate) fn part(&self, range: Range<usize>) -> BufferArg {
        tape::argument(&view(&self.buffer, self.bytes(range.clone()), range.len()))
    }

    pub(crate) fn client(&self) -> &Client {
        &self.buffer.client
    }

    pub(crate) fn argument(&self) -> BufferArg {
        tape::argument(&self.buffer)
    }

    /// A vector as a tensor of its own.
    pub(crate) fn tensor(&self, of: usize) -> CubeTensor {
        let (start, length) = (self.starts[of], self.lengths[of]);
        view(&self.buffer, self.bytes(start..start + length), length)
    }

    /// All vectors as tensors of their own.
    pub(crate) fn separate(&self) -> impl Iterator<Item = CubeTensor> {
        (0..self.starts.len()).map(|i| self.tensor(i))
    }

    /// The bytes of the memory that hold these elements.
    fn bytes(&self, elements: Range<usize>) -> Range<u64> {
        let offset = self.buffer.handle.offset_start.unwrap_or(0);
        offset + 4 * elements.start as u64..offset + 4 * elements.end as u64
    }

    #[allow(unsafe_code)]
    fn fill(&self, tensors: &[CubeTensor]) {
        for launch in launches(tensors, 1) {
            let range = self.range(&launch);
            let mut sequence = SequenceArg::new();
            for (i, span) in &launch.items {
                let start = (self.start(*i) - range.start) / launch.vector;
                sequence.push(PartLaunch::new(tape::argument(&tensors[*i]), span.from, span.to, span.length, start));
            }
            // SAFETY: a tensor's vectors lie within it, and the buffer has room for each of them.
            unsafe {
                copy_all::launch_unchecked(
                    &launch.client,
                    launch.cube_count(),
                    Launch::cube_dim(),
                    launch.vector,
                    sequence,
                    self.part(range),
                );
            }
        }
    }
}

#[cube(launch_unchecked)]
fn copy_all<N: Size>(parts: Sequence<Part<N>>, to: &mut [Vector<f32, N>]) {
    for part in parts {
        if CUBE_POS_X as usize >= part.from && (CUBE_POS_X as usize) < part.to {
            let (mut at, end) = vectors(part.from, part.length);
            while at < end {
                to[part.start + at] = part.values[at];
                at += CUBE_DIM as usize;
            }
        }
    }
}

/// Where vectors of these lengths begin, and the length of all.
fn starts(lengths: &[usize]) -> (Vec<usize>, usize) {
    let mut whole = 0;
    let starts = lengths.iter().map(|length| {
        let start = whole;
        whole += length.next_multiple_of(ALIGNED);
        start
    });
    let starts = starts.collect();
    (starts, whole)
}

/// A tensor's memory, and the byte of it where the tensor begins.
pub(crate) fn place(tensor: &CubeTensor) -> (impl Ord + Copy + use<>, u64) {
    (tensor.handle.memory.clone().binding().id(), tensor.handle.offset_start.unwrap_or(0))
}

/// Bytes of a tensor's memory, of which the first are that many elements.
fn view(of: &CubeTensor, bytes: Range<u64>, elements: usize) -> CubeTensor {
    let mut handle = of.handle.clone();
    (handle.offset_start, handle.offset_end) = (Some(bytes.start), Some(handle.size() - bytes.end));
    CubeTensor::new_contiguous(of.client.clone(), of.device.clone(), [elements].into(), handle, of.dtype)
}
