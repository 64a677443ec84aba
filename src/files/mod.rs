//! Atomic writes of files and folders, the folder of a run, and progress reporting.

mod json;
mod new_folder;
mod run_folder;
mod run_lock;
mod watch;
mod whole;

pub(crate) use json::read_json;
pub use new_folder::NewFolder;
pub use run_folder::{Existing, RunFolder};
pub(crate) use run_lock::RunLock;
pub use watch::Watch;
pub(crate) use watch::{Notes, Once, over};
pub use whole::write_whole;
