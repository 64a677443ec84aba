//! Who watches a run: logs, progress bars, people who press Ctrl-C. The loop itself prints nothing.

use std::path::Path;

use crate::{EpochReport, StepMetrics};

/// What an observer asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Request {
    /// Nothing.
    Continue,
    /// A checkpoint now.
    Checkpoint,
    /// A checkpoint now, and the end of the run.
    Stop,
}

/// Is told what happens; every method has a default that does nothing.
///
/// What is asked for after the last step of an epoch is done after that epoch's report, so that the log up to a
/// checkpoint is always whole.
pub trait Observer {
    /// After every optimizer step.
    fn on_step(&mut self, metrics: &StepMetrics) -> Request {
        let _ = metrics;
        Request::Continue
    }

    /// After every epoch, before its checkpoint is written.
    fn on_epoch(&mut self, report: &EpochReport) -> Request {
        let _ = report;
        Request::Continue
    }

    /// After a checkpoint was written.
    fn on_checkpoint(&mut self, path: &Path) {
        let _ = path;
    }
}

/// Watches nothing.
impl Observer for () {}
