//! Whether a device computes what the CPU computes, what a step costs on it, and what a run will need.

mod bench;
mod estimate;
mod parity;

pub use bench::{Phases, StepBench, StepReport};
pub use estimate::{MemoryEstimate, StepEstimate};
pub use parity::{Difference, ParityBatch, ParityReport, parity, self_test};
