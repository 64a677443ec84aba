//! What ranks do together.

use std::{fmt::Debug, time::Duration};

use crate::{Error, Result};

/// Numbers that are exchanged at a time, for one rank and for all: two and sixteen megabytes of f32. So many that what a message
/// costs beside its bytes does not count, and so few that they stay in memory that is used again: memory that is new costs more
/// than the exchange.
const PIECE: usize = 1 << 19;
const BUCKET: usize = 1 << 22;

/// Operations that all ranks of a group call in the same order, and that return when all have called them.
///
/// Bytes are those of numbers in the order of the processor, which must be the same on all ranks. `what` names what is
/// exchanged, for the message of an error. An error is final: the group cannot go on.
pub trait Collective: Debug + Send + Sync {
    /// Number of this rank, from 0.
    fn rank(&self) -> usize;

    /// Number of ranks.
    fn size(&self) -> usize;

    /// Puts the bytes of all ranks into `all`, one after the other in rank order; all give as many, and `all` has room for just
    /// these.
    ///
    /// # Errors
    /// [`Error::Ranks`] when a rank gave another number, is gone, or did not come in time.
    fn gather_into(&self, mine: &[u8], all: &mut [u8], what: &'static str) -> Result<()>;

    /// Cuts `mine` into as many equal pieces as there are ranks and gives each rank its piece; puts the pieces for this rank into
    /// `pieces`, which is as long, in rank order.
    ///
    /// # Errors
    /// As [`Self::gather_into`].
    fn exchange_into(&self, mine: &[u8], pieces: &mut [u8], what: &'static str) -> Result<()>;

    /// As [`Self::gather_into`], into new memory.
    ///
    /// # Errors
    /// As [`Self::gather_into`].
    fn gather(&self, mine: &[u8], what: &'static str) -> Result<Vec<u8>> {
        let mut all = vec![0; mine.len() * self.size()];
        self.gather_into(mine, &mut all, what)?;
        Ok(all)
    }

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

    /// Waits for all ranks, however long it takes, and calls `meanwhile` again and again, ten times a second at least.
    ///
    /// # Errors
    /// As [`Self::gather`].
    fn meet(&self, what: &'static str, meanwhile: &mut dyn FnMut()) -> Result<()>;

    /// How long a rank waits for the others where it is not patient.
    fn deadline(&self) -> Duration;

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

    fn gather_into(&self, mine: &[u8], all: &mut [u8], what: &'static str) -> Result<()> {
        room(mine.len(), all, what)?;
        all.copy_from_slice(mine);
        Ok(())
    }

    fn exchange_into(&self, mine: &[u8], pieces: &mut [u8], what: &'static str) -> Result<()> {
        self.gather_into(mine, pieces, what)
    }

    fn broadcast(&self, bytes: Vec<u8>, _: &'static str) -> Result<Vec<u8>> {
        Ok(bytes)
    }

    fn barrier(&self, _: &'static str, _: bool) -> Result<()> {
        Ok(())
    }

    fn meet(&self, _: &'static str, _: &mut dyn FnMut()) -> Result<()> {
        Ok(())
    }

    fn deadline(&self) -> Duration {
        Duration::MAX
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
/// The vector is cut in buckets, and a bucket in a piece for each rank, which adds it for all, in rank order and in double
/// precision; the sums are gathered: as many bytes as a ring sends, `2 (n - 1) / n` of the vector, and a result that depends on
/// nothing but the values and their ranks (an MPI library may choose another order with another network).
///
/// # Errors
/// As [`Collective::gather`].
pub fn sum<T: Addend>(ranks: &dyn Collective, values: &mut [T], what: &'static str) -> Result<()> {
    let size = ranks.size();
    if size == 1 || values.is_empty() {
        return Ok(());
    }
    let piece = values.len().div_ceil(size).min(PIECE).min((BUCKET / size).max(1));
    let (mut pieces, mut sums) = (vec![T::zeroed(); piece * size], vec![T::zeroed(); piece]);
    for values in values.chunks_mut(piece * size) {
        let piece = values.len().div_ceil(size);
        let (pieces, sums) = (&mut pieces[..piece * size], &mut sums[..piece]);
        if piece * size == values.len() {
            ranks.exchange_into(bytemuck::cast_slice(values), bytemuck::cast_slice_mut(pieces), what)?;
            add(pieces, sums);
            ranks.gather_into(bytemuck::cast_slice(sums), bytemuck::cast_slice_mut(values), what)?;
        } else {
            let mut padded = values.to_vec();
            padded.resize(piece * size, T::zeroed());
            ranks.exchange_into(bytemuck::cast_slice(&padded), bytemuck::cast_slice_mut(pieces), what)?;
            add(pieces, sums);
            ranks.gather_into(bytemuck::cast_slice(sums), bytemuck::cast_slice_mut(&mut padded), what)?;
            values.copy_from_slice(&padded[..values.len()]);
        }
    }
    Ok(())
}

/// Adds pieces of the length of `sums`, one after the other, in double precision.
fn add<T: Addend>(pieces: &[T], sums: &mut [T]) {
    /// Sums that stay in the processor's nearest memory.
    const BLOCK: usize = 1024;
    let length = sums.len();
    let mut block = [0.0_f64; BLOCK];
    for (number, sums) in sums.chunks_mut(BLOCK).enumerate() {
        let block = &mut block[..sums.len()];
        block.fill(0.0);
        for piece in pieces.chunks_exact(length) {
            let piece = &piece[number * BLOCK..][..block.len()];
            block.iter_mut().zip(piece).for_each(|(sum, &value)| *sum += value.into());
        }
        sums.iter_mut().zip(block).for_each(|(sum, &mut value)| *sum = T::nearest(value));
    }
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

/// Refuses memory of another size than what is to be put into it.
pub(super) fn room(bytes: usize, into: &[u8], what: &'static str) -> Result<()> {
    if into.len() == bytes {
        return Ok(());
    }
    Err(fault(what, format!("there is room for {} bytes, expected {bytes}", into.len())))
}

pub(super) fn fault(what: &'static str, reason: impl Into<String>) -> Error {
    Error::Ranks { what, reason: reason.into() }
}
