//! Memory that one call fills and the next may have: zeroing fresh pages costs as much as a map of the weights.

use std::{
    marker::PhantomData,
    ops::{Deref, DerefMut},
    sync::{Mutex, PoisonError},
};

use crate::cpu::Real;

/// Buffers that nobody uses, at most [`KEPT`].
static UNUSED: Mutex<Vec<Vec<f64>>> = Mutex::new(Vec::new());
const KEPT: usize = 16;

/// Bytes of a cache line, at which a buffer begins.
const LINE: usize = 64;

/// Elements of any value, to be written before they are read.
pub(super) struct Scratch<T> {
    memory: Vec<f64>,
    start: usize,
    length: usize,
    element: PhantomData<T>,
}

impl<T: Real> Scratch<T> {
    pub(super) fn new(length: usize) -> Self {
        let needed = (length * size_of::<T>() + LINE).div_ceil(size_of::<f64>());
        let mut unused = UNUSED.lock().unwrap_or_else(PoisonError::into_inner);
        let fitting = unused.iter().enumerate().filter(|(_, memory)| memory.len() >= needed);
        let least = fitting.min_by_key(|(_, memory)| memory.len()).map(|(i, _)| i);
        let memory = least.map(|i| unused.swap_remove(i));
        drop(unused);
        let memory = memory.unwrap_or_else(|| vec![0.0; needed]);
        let start = memory.as_ptr().align_offset(LINE).min(LINE / size_of::<f64>());
        Self { memory, start, length, element: PhantomData }
    }

    /// At least `length` elements of any value.
    pub(super) fn grow(&mut self, length: usize) {
        if self.length < length {
            *self = Self::new(length);
        }
    }
}

impl<T> Drop for Scratch<T> {
    fn drop(&mut self) {
        if self.memory.is_empty() {
            return;
        }
        let mut unused = UNUSED.lock().unwrap_or_else(PoisonError::into_inner);
        unused.push(std::mem::take(&mut self.memory));
        if unused.len() > KEPT {
            // The smallest is the cheapest to make again.
            let least = unused.iter().enumerate().min_by_key(|(_, memory)| memory.len()).map(|(i, _)| i);
            least.map(|i| unused.swap_remove(i));
        }
    }
}

impl<T: Real> Deref for Scratch<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &bytemuck::cast_slice(&self.memory[self.start..])[..self.length]
    }
}

impl<T: Real> AsRef<[T]> for Scratch<T> {
    fn as_ref(&self) -> &[T] {
        self
    }
}

impl<T: Real> DerefMut for Scratch<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut bytemuck::cast_slice_mut(&mut self.memory[self.start..])[..self.length]
    }
}
