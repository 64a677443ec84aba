//! What a person sees of a pretraining: a bar on a terminal, plain lines otherwise.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use moco_cxr::{
    Speed, Watch,
    moco_core::{EpochReport, Observer, Request, StepMetrics},
};

use crate::interrupt::Interrupt;

/// Prints to standard error, so that results on standard output can be piped.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    quiet: bool,
    speed: Speed,
    interrupt: Interrupt,
    told: bool,
    /// The last epoch.
    pub(crate) last: Option<EpochReport>,
}

impl Progress {
    pub(crate) fn new(quiet: bool, images_per_step: usize, interrupt: Interrupt) -> Self {
        let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(None, target);
        Self { bar, quiet, speed: Speed::new(images_per_step), interrupt, told: false, last: None }
    }

    fn print(&self, text: &str) {
        if self.quiet {
            return;
        }
        if self.bar.is_hidden() {
            eprintln!("{text}");
        } else {
            self.bar.println(text);
        }
    }

    /// Finishes the step that somebody wants to be the last.
    fn request(&mut self) -> Request {
        if !self.interrupt.is_asked() {
            return Request::Continue;
        }
        if !std::mem::replace(&mut self.told, true) {
            self.print("interrupted: writing a checkpoint; once more stops at once, without it");
        }
        Request::Stop
    }
}

impl Watch for Progress {
    fn note(&mut self, text: &str) {
        self.print(&format!("note: {text}"));
    }

    fn start(&mut self, done: u64, total: u64) {
        self.interrupt.begin();
        self.bar.set_length(total);
        self.bar.set_position(done);
        self.bar.reset_eta();
        if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len}, {eta} left\n{msg}") {
            self.bar.set_style(style);
        }
    }

    fn line(&mut self, text: &str) {
        // The bar says of steps what these lines say.
        if self.bar.is_hidden() || !text.starts_with("step ") {
            self.print(text);
        }
    }
}

impl Observer for Progress {
    fn on_step(&mut self, metrics: &StepMetrics) -> Request {
        self.speed.add(metrics);
        self.bar.set_position(metrics.step);
        self.bar.set_message(format!(
            "epoch {}: loss {:.3} (chance {:.3}), top-1 {:.0} %, {}",
            metrics.epoch,
            metrics.measures.loss,
            metrics.chance,
            metrics.measures.top1 * 100.0,
            self.speed
        ));
        self.request()
    }

    fn on_epoch(&mut self, report: &EpochReport) -> Request {
        self.last = Some(report.clone());
        self.request()
    }
}
