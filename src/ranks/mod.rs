//! A run on several ranks: processes that `mpirun` or `srun` starts together, one for each device.

mod launch;
mod session;

pub use launch::{Launch, host_threads};
pub use session::Ranks;
