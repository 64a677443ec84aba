//! What a person sees of a pretraining: a bar on a terminal, plain lines otherwise.

use std::{path::Path, time::Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use moco_cxr::{
    Watch,
    moco_core::{EpochReport, Observer, Request, StepMetrics},
};

/// Prints to standard error, so that results on standard output can be piped.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    quiet: bool,
    batch_size: usize,
    start: Instant,
    first: u64,
}

impl Progress {
    pub(crate) fn new(quiet: bool, batch_size: usize) -> Self {
        let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        Self { bar: ProgressBar::with_draw_target(None, target), quiet, batch_size, start: Instant::now(), first: 0 }
    }

    fn line(&self, text: &str) {
        if self.quiet {
            return;
        }
        if self.bar.is_hidden() {
            eprintln!("{text}");
        } else {
            self.bar.println(text);
        }
    }
}

impl Watch for Progress {
    fn note(&mut self, text: &str) {
        self.line(&format!("note: {text}"));
    }

    fn start(&mut self, done: u64, total: u64) {
        self.bar.set_length(total);
        self.bar.set_position(done);
        self.bar.reset_eta();
        (self.start, self.first) = (Instant::now(), done);
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg} {eta} left") {
            self.bar.set_style(style);
        }
    }
}

impl Observer for Progress {
    fn on_step(&mut self, metrics: &StepMetrics) -> Request {
        let steps = metrics.step - self.first;
        let rate = (steps * self.batch_size as u64) as f64 / self.start.elapsed().as_secs_f64();
        self.bar.set_position(metrics.step);
        self.bar.set_message(format!(
            "loss {:.3} top-1 {:.0} % {rate:.0} images/s",
            metrics.measures.loss,
            metrics.measures.top1 * 100.0
        ));
        Request::Continue
    }

    fn on_epoch(&mut self, report: &EpochReport) -> Request {
        self.line(&report.line());
        Request::Continue
    }

    fn on_checkpoint(&mut self, path: &Path) {
        self.bar.set_prefix(path.display().to_string());
    }
}
