//! Notes, lines and passes over images on a terminal.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};
use moco_cxr::Watch;

use crate::terminal::print::errln;

/// Time before the bar appears, so that it does not flash up in short passes.
const PATIENCE: Duration = Duration::from_secs(1);

/// Prints to standard error, so that results on standard output can be piped; a pass over images that takes more than a
/// moment has a bar.
pub(crate) struct Terminal {
    quiet: bool,
    pass: Mutex<(Instant, Option<ProgressBar>)>,
}

impl Terminal {
    pub(crate) fn new(quiet: bool) -> Self {
        Self { quiet, pass: Mutex::new((Instant::now(), None)) }
    }

    fn print(&self, text: &str) {
        if self.quiet {
            return;
        }
        let pass = self.pass.lock().unwrap_or_else(PoisonError::into_inner);
        match &pass.1 {
            Some(bar) => bar.suspend(|| errln!("{text}")),
            None => errln!("{text}"),
        }
    }
}

impl Watch for Terminal {
    fn note(&self, text: &str) {
        self.print(&format!("note: {text}"));
    }

    fn line(&self, text: &str) {
        self.print(text);
    }

    /// The bar disappears when the pass ends, also with an error.
    fn progress(&self, done: u64, total: u64) {
        if self.quiet || ProgressDrawTarget::stderr().is_hidden() {
            return;
        }
        let mut pass = self.pass.lock().unwrap_or_else(PoisonError::into_inner);
        let (begun, bar) = &mut *pass;
        if done == 0 || done == total {
            (*begun, *bar) = (Instant::now(), None);
        } else if begun.elapsed() >= PATIENCE {
            let bar = bar.get_or_insert_with(|| begin(total));
            // Measured over the whole pass: the bar's own estimate would start only when the bar appears.
            let rate = done as f64 / begun.elapsed().as_secs_f64();
            let left = Duration::try_from_secs_f64(total.saturating_sub(done) as f64 / rate).unwrap_or(Duration::MAX);
            bar.set_message(format!("{rate:.0} images/s, {:#} left", HumanDuration(left)));
            bar.set_position(done);
        }
    }
}

fn begin(total: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
    let bar = bar.with_finish(ProgressFinish::AndClear);
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len}, {msg}") {
        bar.set_style(style);
    }
    bar
}
