//! A run on several ranks: processes that `mpirun` or `srun` starts together, one for each device.

mod deal;
mod launch;
mod session;
mod signs;

pub(crate) use deal::dealt;
pub use launch::{Launch, host_threads};
pub use session::Ranks;
pub(crate) use signs::Signs;
