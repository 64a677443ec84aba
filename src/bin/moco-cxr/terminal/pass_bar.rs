//! A progress bar for a pass over images, shown on a terminal if the pass takes more than a moment.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};
use moco_cxr::ImageWatch;

/// Time before the bar appears, so that it does not flash up in short passes.
const PATIENCE: Duration = Duration::from_secs(1);

/// Draws on standard error. The bar disappears when the pass ends, also with an error.
pub(crate) fn watch(quiet: bool) -> ImageWatch {
    if quiet || ProgressDrawTarget::stderr().is_hidden() {
        return ImageWatch::default();
    }
    let state: Mutex<(Instant, Option<ProgressBar>)> = Mutex::new((Instant::now(), None));
    ImageWatch::new(move |done, total| {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        let (begun, bar) = &mut *state;
        if done == 0 || done == total {
            (*begun, *bar) = (Instant::now(), None);
        } else if begun.elapsed() >= PATIENCE {
            let bar = bar.get_or_insert_with(|| begin(total));
            // Measured over the whole pass: the bar's own estimate would start only when the bar appears.
            let rate = done as f64 / begun.elapsed().as_secs_f64();
            let left = Duration::try_from_secs_f64((total - done) as f64 / rate).unwrap_or(Duration::MAX);
            bar.set_message(format!("{rate:.0} images/s, {:#} left", HumanDuration(left)));
            bar.set_position(done as u64);
        }
    })
}

fn begin(total: usize) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(total as u64), ProgressDrawTarget::stderr());
    let bar = bar.with_finish(ProgressFinish::AndClear);
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len}, {msg}") {
        bar.set_style(style);
    }
    bar
}
