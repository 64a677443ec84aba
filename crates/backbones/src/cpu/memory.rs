//! Memory of results, kept for the next result of the same size.
//!
//! A training step makes the same tensors again and again. Fresh memory for each of them costs more than writing it: the
//! system maps and clears every page at the first touch. Here the memory of a dropped tensor goes to a pool of this
//! process, and the next tensor of that size takes it from there with whatever values are in it.
//!
//! The pool is bounded: memory in use and memory that waits are together at most 1.25 times what was in use at once of
//! late, so a run that needs less gives memory back to the system.

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

use super::Real;

/// Smaller buffers are left to the allocator of the program, which keeps them itself.
const SMALLEST: usize = 1 << 14;
/// Bytes of a cache line, to which buffers are aligned.
const LINE: usize = 64;
const WORD: usize = size_of::<u64>();
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

impl<T: Real> Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        let elements: &[T] = bytemuck::cast_slice(self.block.words());
        &elements[..self.len]
    }
}

impl<T: Real> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        let elements: &mut [T] = bytemuck::cast_slice_mut(self.block.words_mut());
        &mut elements[..self.len]
    }
}

/// Memory that returns to the pool when it is dropped.
struct Block {
    memory: Vec<u64>,
    /// Words before the first cache line.
    skip: usize,
    /// Not used before, so all zero.
    fresh: bool,
}

impl Block {
    fn take(bytes: usize) -> Self {
        let words = match bytes {
            ..SMALLEST => bytes.div_ceil(WORD),
            _ => bytes.next_multiple_of(LINE) / WORD,
        };
        let capacity = words + LINE / WORD - 1;
        let kept = if words * WORD < SMALLEST { None } else { with_pool(|pool| pool.take(capacity)) };
        let fresh = kept.is_none();
        let memory = kept.unwrap_or_else(|| vec![0; capacity]);
        let skip = memory.as_ptr().align_offset(LINE).min(LINE / WORD - 1);
        Self { memory, skip, fresh }
    }

    fn words(&self) -> &[u64] {
        &self.memory[self.skip..]
    }

    fn words_mut(&mut self) -> &mut [u64] {
        &mut self.memory[self.skip..]
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let memory = std::mem::take(&mut self.memory);
        if memory.len() * WORD >= SMALLEST + LINE - WORD {
            let surplus = with_pool(|pool| pool.give(memory));
            drop(surplus); // without the lock
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
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(self.words_mut());
        // SAFETY: `MaybeUninit<u8>` has the layout of `u8`; the caller writes initialised data only.
        Ok(unsafe { std::slice::from_raw_parts_mut(bytes.as_mut_ptr().cast(), bytes.len()) })
    }

    fn memory(&self, _: AccessPolicy) -> Result<&[MaybeUninit<u8>], AccessError> {
        let bytes: &[u8] = bytemuck::cast_slice(self.words());
        // SAFETY: `MaybeUninit<u8>` has the layout of `u8`.
        Ok(unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len()) })
    }

    fn duplicate(&self) -> Option<Box<dyn AllocationController>> {
        let mut copy = Self::take(size_of_val(self.words()));
        copy.words_mut()[..self.words().len()].copy_from_slice(self.words());
        Some(Box::new(copy))
    }
}

fn with_pool<R>(f: impl FnOnce(&mut Pool) -> R) -> R {
    let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
    f(pool.get_or_insert_default())
}

/// Memory that waits, by its size; all sizes are in words.
#[derive(Default)]
struct Pool {
    /// With the time of its return; the oldest first.
    waiting: HashMap<usize, VecDeque<(u64, Vec<u64>)>>,
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
    fn take(&mut self, size: usize) -> Option<Vec<u64>> {
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
    fn give(&mut self, memory: Vec<u64>) -> Vec<Vec<u64>> {
        let size = memory.len();
        self.clock += 1;
        self.in_use = self.in_use.saturating_sub(size);
        self.idle += size;
        self.waiting.entry(size).or_default().push_back((self.clock, memory));
        self.surplus()
    }

    /// What has waited longest, as far as the bound is exceeded.
    fn surplus(&mut self) -> Vec<Vec<u64>> {
        let peak = self.peaks[0].max(self.peaks[1]);
        let bound = peak + peak / 4;
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
        let len = 123_457;
        let mut buffer = Buffer::<f32>::stale(len);
        buffer.fill(1.0);
        assert!(buffer.as_ptr().addr().is_multiple_of(LINE) && buffer.len() == len);
        drop(buffer.into_tensor([len]));
        assert!(Buffer::<f32>::zeroed(len).iter().all(|&v| v == 0.0));
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
        let get = |pool: &mut Pool, size: usize| pool.take(size).unwrap_or_else(|| vec![0; size]);
        let big: Vec<_> = (0..4).map(|_| get(&mut pool, 1_000)).collect();
        let places: Vec<_> = big.iter().map(|memory| memory.as_ptr()).collect();
        for memory in big {
            assert!(pool.give(memory).is_empty());
        }
        assert_eq!(pool.take(1_000).map(|memory| (memory.as_ptr() == places[3], pool.give(memory).len())), Some((true, 0)));
        assert_eq!((pool.in_use, pool.idle), (0, 4_000));
        // Other sizes: the old ones leave as the new ones come.
        let other: Vec<_> = (0..20).map(|_| get(&mut pool, 100)).collect();
        assert!(pool.in_use == 2_000 && pool.idle <= 3_000, "{} {}", pool.in_use, pool.idle);
        drop(other.into_iter().map(|memory| pool.give(memory)).collect::<Vec<_>>());
        // A long time with little in use: the peak is forgotten.
        for _ in 0..3 * WINDOW {
            let memory = get(&mut pool, 100);
            pool.give(memory);
        }
        assert!(pool.in_use == 0 && pool.idle <= 125, "{}", pool.idle);
    }
}
