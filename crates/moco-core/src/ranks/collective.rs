//! What ranks do together.

use std::{borrow::Cow, fmt::Debug};

use crate::{Error, Result};

/// Operations that all ranks of a group call in the same order, and that return when all have called them.
///
/// Bytes are those of numbers in the order of the processor, which must be the same on all ranks. `what` names what is
/// exchanged, for the message of an error. An error is final: the group cannot go on.
pub trait Collective: Debug + Send + Sync {
    /// Number of this rank, from 0.
    fn rank(&self) -> usize;

    /// Number of ranks.
    fn size(&self) -> usize;

    /// The bytes of all ranks, one after the other in rank order; all give as many.
    ///
    /// # Errors
    /// [`Error::Ranks`] when a rank gave another number, is gone, or did not come in time.
    fn gather(&self, mine: &[u8], what: &'static str) -> Result<Vec<u8>>;

    /// Cuts `mine` into as many equal pieces as there are ranks and gives each rank its piece; returns the pieces for this
    /// rank, in rank order.
    ///
    /// # Errors
    /// As [`Self::gather`].
    fn exchange(&self, mine: &[u8], what: &'static str) -> Result<Vec<u8>>;

    /// The bytes that rank 0 gave, which others need not know the number of.
    ///
    /// # Errors
    /// As [`Self::gather`].
    fn broadcast(&self, bytes: Vec<u8>, what: &'static str) -> Result<Vec<u8>>;

    /// Waits for all ranks; a `patient` rank however long it takes, as for one that reads all images.
    ///
    /// # Errors
    /// As [`Self::gather`].
    fn barrier(&self, what: &'static str, patient: bool) -> Result<()>;

    /// Ends the group: the other ranks get an error from what they do together next. Over MPI it ends all processes and does
    /// not return.
    fn abort(&self, reason: &str);
}

/// The only rank.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Alone;

impl Collective for Alone {
    fn rank(&self) -> usize {
        0
    }

    fn size(&self) -> usize {
        1
    }

    fn gather(&self, mine: &[u8], _: &'static str) -> Result<Vec<u8>> {
        Ok(mine.to_vec())
    }

    fn exchange(&self, mine: &[u8], _: &'static str) -> Result<Vec<u8>> {
        Ok(mine.to_vec())
    }

    fn broadcast(&self, bytes: Vec<u8>, _: &'static str) -> Result<Vec<u8>> {
        Ok(bytes)
    }

    fn barrier(&self, _: &'static str, _: bool) -> Result<()> {
        Ok(())
    }

    fn abort(&self, _: &str) {}
}

/// A number that ranks add.
pub trait Addend: bytemuck::Pod + Into<f64> {
    /// The nearest number of this type.
    fn nearest(sum: f64) -> Self;
}

impl Addend for f32 {
    fn nearest(sum: f64) -> Self {
        sum as f32
    }
}

impl Addend for f64 {
    fn nearest(sum: f64) -> Self {
        sum
    }
}

/// Adds `values` over all ranks, place by place: every rank gets the same bits.
///
/// A rank adds one piece of the vector for all, in rank order and in double precision, and the sums are gathered: as many
/// bytes as a ring sends, `2 (n - 1) / n` of the vector, and a result that depends on nothing but the values and their ranks
/// (an MPI library may choose another order with another network).
///
/// # Errors
/// As [`Collective::gather`].
pub fn sum<T: Addend>(ranks: &dyn Collective, values: &mut [T], what: &'static str) -> Result<()> {
    let size = ranks.size();
    if size == 1 || values.is_empty() {
        return Ok(());
    }
    let piece = values.len().div_ceil(size);
    let mine = if piece * size == values.len() {
        ranks.exchange(bytemuck::cast_slice(values), what)?
    } else {
        let mut padded = values.to_vec();
        padded.resize(piece * size, T::zeroed());
        ranks.exchange(bytemuck::cast_slice(&padded), what)?
    };
    // Copied only where the bytes do not lie where numbers may.
    let mine = bytemuck::try_cast_slice(&mine).map_or_else(|_| Cow::Owned(numbers::<T>(&mine)), Cow::Borrowed);
    let sums: Vec<T> =
        (0..piece).map(|i| T::nearest((0..size).map(|rank| -> f64 { mine[rank * piece + i].into() }).sum())).collect();
    let all = ranks.gather(bytemuck::cast_slice(&sums), what)?;
    let bytes = bytemuck::cast_slice_mut::<T, u8>(values);
    bytes.copy_from_slice(&all[..bytes.len()]);
    Ok(())
}

/// The bytes of each rank, in rank order, where they differ in number.
///
/// # Errors
/// As [`Collective::gather`].
pub fn gather_any(ranks: &dyn Collective, mine: &[u8], what: &'static str) -> Result<Vec<Vec<u8>>> {
    let lengths = numbers::<u64>(&ranks.gather(&(mine.len() as u64).to_ne_bytes(), what)?);
    let longest = lengths.iter().copied().max().unwrap_or(0) as usize;
    let mut padded = mine.to_vec();
    padded.resize(longest, 0);
    let all = ranks.gather(&padded, what)?;
    Ok(lengths.iter().enumerate().map(|(rank, &n)| all[rank * longest..rank * longest + n as usize].to_vec()).collect())
}

/// Bytes as numbers; a copy, because bytes need not lie where numbers may.
pub(super) fn numbers<T: bytemuck::Pod>(bytes: &[u8]) -> Vec<T> {
    bytemuck::pod_collect_to_vec(bytes)
}

pub(super) fn fault(what: &'static str, reason: impl Into<String>) -> Error {
    Error::Ranks { what, reason: reason.into() }
}
