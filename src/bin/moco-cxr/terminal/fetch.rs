//! Fetches published weights before a command begins, with a progress bar.

use indicatif::{ProgressBar, ProgressStyle};
use moco_cxr::{backbones::Arch, weights::fetch_weights};

use crate::{Fault, terminal::print::errln};

/// Fetches the weights named by `source` if they are published and not on this machine; see [`fetch_weights`].
pub(crate) fn fetch(source: &str, arch: Option<Arch>, quiet: bool) -> Result<(), Fault> {
    let style = ProgressStyle::with_template("{msg} {bar:30} {bytes}/{total_bytes} {eta}")?;
    let mut bar: Option<ProgressBar> = None;
    let fetched = fetch_weights(source, arch, &mut |at| {
        if quiet {
            return;
        }
        let bar = bar.get_or_insert_with(|| {
            errln!("note: fetching {}", at.url);
            ProgressBar::new(at.total.unwrap_or(0)).with_style(style.clone()).with_message("fetching")
        });
        bar.set_position(at.done);
    });
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    Ok(fetched?)
}
