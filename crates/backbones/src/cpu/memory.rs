//! Memory of results, kept for the next result of the same size.
//!
//! A training step makes the same tensors again and again. Fresh memory for each of them costs more than writing it: the
//! system maps and clears every page at the first touch. Here the memory of a dropped tensor goes to a pool of this
//! process, and the next tensor of that size takes it from there with whatever values are in it.
//!
//! Kernels keep what they need meanwhile here, too: patches, mapped weights, partial sums.
//!
//! The pool is bounded: memory in use and memory that waits are together at most twice what was in use at once of late
//! (with less, a step of ResNet18 asked the system for 2,000 pages that the step before had given back), so a run that needs
//! less gives memory back to the system.

use std::{
    collections::{HashMap, VecDeque},
    marker::PhantomData,
    mem::MaybeUninit,
    ops::{Deref, DerefMut},
    sync::{Mutex, PoisonError},
};

use burn::{
    backend::flex::FlexTensor,
    tensor::{AllocationProperty, Bytes, Shape, TensorData},
};
use burn_std::{AccessError, AccessPolicy, AllocationController};
use memmap2::MmapMut;

use super::Real;

/// Smaller buffers are left to the allocator of the program, which keeps them itself.
const SMALLEST: usize = 1 << 14;
/// Bytes of a cache line, to which buffers are aligned.
const LINE: usize = 64;
/// Bytes of a huge page; memory from this size on is aligned to it.
const HUGE: usize = 1 << 21;
/// Requests after which a past peak of memory in use is forgotten, at most twice as many.
const WINDOW: usize = 1 << 13;

static POOL: Mutex<Option<Pool>> = Mutex::new(None);

/// Elements of a result, which becomes a tensor by [`Buffer::into_tensor`].
pub(crate) struct Buffer<T> {
    block: Block,
    len: usize,
    element: PhantomData<T>,
}

impl<T: Real> Buffer<T> {
    /// Elements with values that nobody may rely on: all must be written before they are read.
    pub(crate) fn stale(len: usize) -> Self {
        let buffer = Self { block: Block::take(len * size_of::<T>()), len, element: PhantomData };
        #[cfg(test)]
        let buffer = {
            let mut buffer = buffer;
            buffer.fill(T::nan()); // so that a test sees what was not written
            buffer
        };
        buffer
    }

    /// Like [`Self::stale`], for a kernel's own use: sizes are rounded up, so that layers of other sizes may have the memory.
    pub(crate) fn scratch(len: usize) -> Self {
        let bytes = len * size_of::<T>();
        // An eighth of the power of two below: at most that share is wasted.
        let step = bytes.max(SMALLEST).next_power_of_two() / 16;
        Self { len, ..Self::stale(bytes.next_multiple_of(step) / size_of::<T>()) }
    }

    /// Makes room for at least `len` elements, with values that nobody may rely on.
    pub(crate) fn grow(&mut self, len: usize) {
        if self.len < len {
            *self = Self::scratch(len);
        }
    }

    pub(crate) fn zeroed(len: usize) -> Self {
        let mut buffer = Self { block: Block::take(len * size_of::<T>()), len, element: PhantomData };
        if !buffer.block.fresh {
            use rayon::prelude::*;
            buffer.par_chunks_mut(1 << 16).for_each(|chunk| chunk.fill(T::zero()));
        }
        buffer
    }

    pub(crate) fn into_tensor(self, shape: impl Into<Shape>) -> FlexTensor {
        let bytes = self.len * size_of::<T>();
        // SAFETY: a block holds at least the bytes it was asked for, all of them initialised.
        #[allow(unsafe_code)]
        let bytes = unsafe { Bytes::from_controller(Box::new(self.block), bytes) };
        FlexTensor::from_data(TensorData::from_bytes(bytes, shape.into(), T::dtype()))
    }
}

impl<T: Real> Default for Buffer<T> {
    /// No elements.
    fn default() -> Self {
        Self::stale(0)
    }
}

impl<T: Real> AsRef<[T]> for Buffer<T> {
    fn as_ref(&self) -> &[T] {
        self
    }
}

impl<T: Real> Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        bytemuck::cast_slice(&self.block.bytes()[..self.len * size_of::<T>()])
    }
}

impl<T: Real> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        let bytes = self.len * size_of::<T>();
        bytemuck::cast_slice_mut(&mut self.block.bytes_mut()[..bytes])
    }
}

/// Values that are there, or that were made.
pub(crate) enum Values<'a, T> {
    There(&'a [T]),
    Made(Buffer<T>),
}

impl<T: Real> Deref for Values<'_, T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match self {
            Self::There(values) => values,
            Self::Made(buffer) => buffer,
        }
    }
}

/// Memory that returns to the pool when it is dropped.
struct Block {
    memory: Memory,
    /// Bytes before the first aligned one.
    skip: usize,
    /// Not used before, so all zero.
    fresh: bool,
}

impl Block {
    fn take(bytes: usize) -> Self {
        let size = bytes.next_multiple_of(LINE);
        let kept = if size < SMALLEST { None } else { with_pool(|pool| pool.take(size)) };
        let fresh = kept.is_none();
        let memory = kept.unwrap_or_else(|| Memory::new(size));
        let skip = memory.bytes().as_ptr().align_offset(memory.alignment());
        Self { memory, skip, fresh }
    }

    fn bytes(&self) -> &[u8] {
        &self.memory.bytes()[self.skip..][..self.memory.size]
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        let size = self.memory.size;
        &mut self.memory.bytes_mut()[self.skip..][..size]
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let memory = std::mem::take(&mut self.memory);
        if memory.size >= SMALLEST {
            let surplus = with_pool(|pool| pool.give(memory));
            drop(surplus); // without the lock
        }
    }
}

/// Memory of a size, and some more for its alignment.
#[derive(Default)]
struct Memory {
    size: usize,
    place: Place,
}

enum Place {
    Heap(Vec<u8>),
    Map(MmapMut),
}

impl Default for Place {
    fn default() -> Self {
        Self::Heap(Vec::new())
    }
}

impl Memory {
    /// Zeros.
    fn new(size: usize) -> Self {
        let place = Self::map(size).unwrap_or_else(|| Place::Heap(vec![0; size + LINE]));
        Self { size, place }
    }

    /// Large memory from the system itself, in huge pages where it has them: fewer of them are mapped, and looked up.
    fn map(size: usize) -> Option<Place> {
        if size < HUGE {
            return None;
        }
        let map = MmapMut::map_anon(size + HUGE).ok()?;
        #[cfg(target_os = "linux")]
        {
            let start = map.as_ptr().align_offset(HUGE);
            // Whole pages only, lest a part of one costs all of it; a refusal costs speed alone.
            let _ = map.advise_range(memmap2::Advice::HugePage, start, size / HUGE * HUGE);
        }
        Some(Place::Map(map))
    }

    fn alignment(&self) -> usize {
        match self.place {
            Place::Heap(_) => LINE,
            Place::Map(_) => HUGE,
        }
    }

    fn bytes(&self) -> &[u8] {
        match &self.place {
            Place::Heap(bytes) => bytes,
            Place::Map(map) => map,
        }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        match &mut self.place {
            Place::Heap(bytes) => bytes,
            Place::Map(map) => map,
        }
    }
}

#[allow(unsafe_code)]
impl AllocationController for Block {
    /// What `Bytes` supports at most; the memory is aligned to [`LINE`].
    fn alloc_align(&self) -> usize {
        align_of::<u128>()
    }

    fn property(&self) -> AllocationProperty {
        AllocationProperty::Other
    }

    unsafe fn memory_mut(&mut self, _: AccessPolicy) -> Result<&mut [MaybeUninit<u8>], AccessError> {
        let bytes = self.bytes_mut();
        // SAFETY: `MaybeUninit<u8>` has the layout of `u8`; the caller writes initialised data only.
        Ok(unsafe { std::slice::from_raw_parts_mut(bytes.as_mut_ptr().cast(), bytes.len()) })
    }

    fn memory(&self, _: AccessPolicy) -> Result<&[MaybeUninit<u8>], AccessError> {
        let bytes = self.bytes();
        // SAFETY: `MaybeUninit<u8>` has the layout of `u8`.
        Ok(unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len()) })
    }

    fn duplicate(&self) -> Option<Box<dyn AllocationController>> {
        let mut copy = Self::take(self.memory.size);
        copy.bytes_mut().copy_from_slice(self.bytes());
        Some(Box::new(copy))
    }
}

fn with_pool<R>(f: impl FnOnce(&mut Pool) -> R) -> R {
    let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
    f(pool.get_or_insert_default())
}

/// Memory that waits, by its size; all sizes are in bytes.
#[derive(Default)]
struct Pool {
    /// With the time of its return; the oldest first.
    waiting: HashMap<usize, VecDeque<(u64, Memory)>>,
    idle: usize,
    in_use: usize,
    /// Largest `in_use` of this window and of the one before.
    peaks: [usize; 2],
    requests: usize,
    clock: u64,
}

impl Pool {
    /// Memory of exactly this size, if some waits; the caller allocates otherwise, and [`Pool::give`]s it back in either
    /// case.
    fn take(&mut self, size: usize) -> Option<Memory> {
        self.requests += 1;
        if self.requests.is_multiple_of(WINDOW) {
            self.peaks = [self.in_use, self.peaks[0]];
        }
        self.in_use += size;
        self.peaks[0] = self.peaks[0].max(self.in_use);
        let found = self.waiting.get_mut(&size).and_then(VecDeque::pop_back); // the one most likely in a cache
        match found {
            Some((_, memory)) => {
                self.idle -= size;
                Some(memory)
            }
            None => {
                // Here and not in `give`, so that memory goes only when other memory is needed.
                drop(self.surplus());
                None
            }
        }
    }

    /// Keeps memory; returns what is too much.
    fn give(&mut self, memory: Memory) -> Vec<Memory> {
        let size = memory.size;
        self.clock += 1;
        self.in_use = self.in_use.saturating_sub(size);
        self.idle += size;
        self.waiting.entry(size).or_default().push_back((self.clock, memory));
        self.surplus()
    }

    /// What has waited longest, as far as the bound is exceeded.
    fn surplus(&mut self) -> Vec<Memory> {
        let peak = self.peaks[0].max(self.peaks[1]);
        let bound = 2 * peak;
        let mut surplus = Vec::new();
        while self.in_use + self.idle > bound && self.idle > 0 {
            let ages = self.waiting.iter().filter_map(|(&size, kept)| Some((kept.front()?.0, size)));
            let Some((_, size)) = ages.min() else { break };
            let oldest = self.waiting.get_mut(&size).and_then(VecDeque::pop_front);
            surplus.extend(oldest.map(|(_, memory)| memory));
            self.idle -= size;
        }
        surplus
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_aligned_and_zero_where_asked_though_used_before() {
        for len in [3, 12_345, 1_234_567] {
            let mut buffer = Buffer::<f32>::stale(len);
            buffer.fill(1.0);
            assert!(buffer.as_ptr().addr().is_multiple_of(LINE) && buffer.len() == len);
            drop(buffer.into_tensor([len]));
            assert!(Buffer::<f32>::zeroed(len).iter().all(|&v| v == 0.0));
        }
    }

    #[test]
    fn a_shared_tensor_is_copied_before_it_is_written() {
        let mut buffer = Buffer::<f64>::zeroed(5_000);
        buffer[7] = 1.0;
        let mut tensor = buffer.into_tensor([5, 1_000]);
        let kept = tensor.clone();
        tensor.storage_mut::<f64>()[7] = 2.0;
        assert_eq!((kept.storage::<f64>()[7], tensor.storage::<f64>()[7]), (1.0, 2.0));
    }

    #[test]
    fn memory_that_waits_is_bounded_by_the_recent_peak() {
        let mut pool = Pool::default();
        let get = |pool: &mut Pool, size: usize| pool.take(size).unwrap_or_else(|| Memory::new(size));
        let big: Vec<_> = (0..4).map(|_| get(&mut pool, 1_000)).collect();
        let places: Vec<_> = big.iter().map(|memory| memory.bytes().as_ptr()).collect();
        for memory in big {
            assert!(pool.give(memory).is_empty());
        }
        let again = pool.take(1_000).unwrap();
        assert_eq!(again.bytes().as_ptr(), places[3]);
        assert!(pool.give(again).is_empty());
        assert_eq!((pool.in_use, pool.idle), (0, 4_000));
        // Of another size as much may wait beside it; what has waited longest leaves for a third.
        let other: Vec<_> = (0..8).map(|_| get(&mut pool, 500)).collect();
        drop(other.into_iter().map(|memory| pool.give(memory)).collect::<Vec<_>>());
        assert_eq!((pool.in_use, pool.idle), (0, 8_000));
        let third: Vec<_> = (0..20).map(|_| get(&mut pool, 100)).collect();
        assert!(pool.in_use == 2_000 && pool.idle <= 6_000, "{} {}", pool.in_use, pool.idle);
        assert!(pool.waiting[&500].len() == 8 && pool.waiting[&1_000].len() == 2);
        drop(third.into_iter().map(|memory| pool.give(memory)).collect::<Vec<_>>());
        // A long time with little in use: the peak is forgotten.
        for _ in 0..3 * WINDOW {
            let memory = get(&mut pool, 100);
            pool.give(memory);
        }
        assert!(pool.in_use == 0 && pool.idle <= 200, "{}", pool.idle);
    }
}
