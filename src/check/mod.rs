//! Checks before a run: that a device computes what the CPU computes, the time of a step, the memory of a run.

mod available;
mod bench;
mod bench_operations;
mod bench_process;
mod estimate;
mod launches;
mod parity;
mod phase;
mod start_values;
mod step;

pub use available::available_memory;
pub use bench::{Phases, StepBench, StepReport, Turn, WarmBench};
pub use bench_operations::{ConvRate, Operations, PartTime};
pub use estimate::{MemoryEstimate, StepEstimate};
pub use launches::KernelUse;
pub use parity::{Difference, ParityReport, parity, self_test};
pub use phase::Phase;
pub use start_values::{Proposal, StartValues};
pub use step::synthetic_batch;
