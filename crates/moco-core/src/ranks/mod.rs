//! One run on several ranks: processes or threads that each encode a part of every batch.
//!
//! `n` ranks compute what one process with `groups = n` computes: the same negatives, the mean loss and gradient of the whole
//! batch, statistics of batch normalisation of each part, and keys that are shuffled between the parts. Only keys, gradients,
//! measurements and running statistics travel, never images.

mod agreement;
mod collective;
mod local;
#[cfg(feature = "mpi")]
mod mpi;
mod running;
mod share;
mod trainer;

pub use collective::{Alone, Collective, gather_any, sum};
pub use local::LocalGroup;
#[cfg(feature = "mpi")]
pub use mpi::{Joined, Mpi};
pub use share::{Share, Shares};

pub(crate) use agreement::{Exchanged, Keys};
pub(crate) use running::RunningBefore;
