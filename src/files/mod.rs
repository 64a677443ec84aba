//! Files that appear whole or not at all, folders of results and of runs, and who is told of progress.

mod image_watch;
mod new_folder;
mod run_folder;

pub use image_watch::ImageWatch;
pub(crate) use new_folder::NewFolder;
pub use run_folder::{Existing, MetricsLog, RunFolder};
