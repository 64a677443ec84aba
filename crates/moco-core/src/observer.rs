//! Observers of a run: logs, progress bars, the handler of Ctrl-C. The loop itself prints nothing.

use std::path::Path;

use crate::{EpochReport, StepMetrics};

/// An observer's request to the loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Request {
    /// Go on.
    Continue,
    /// Write a checkpoint now.
    Checkpoint,
    /// Write a checkpoint now and end the run.
    Stop,
}

/// Receives the events of a run; by default every method does nothing.
///
/// A request made after the last step of an epoch is carried out after that epoch's report, so that the log up to a
/// checkpoint is always complete.
pub trait Observer {
    /// Called after every optimizer step.
    fn on_step(&mut self, metrics: &StepMetrics) -> Request {
        let _ = metrics;
        Request::Continue
    }

    /// Called after every epoch, before its checkpoint is written.
    fn on_epoch(&mut self, report: &EpochReport) -> Request {
        let _ = report;
        Request::Continue
    }

    /// Called after a checkpoint was written.
    fn on_checkpoint(&mut self, path: &Path) {
        let _ = path;
    }
}

/// Observes nothing.
impl Observer for () {}
