//! Atomic writes of files and folders, who may write them, the folder of a run, and progress reporting.

mod abandon;
mod claim;
mod lock;
mod log_lines;
mod new_folder;
mod npy;
mod png;
mod read;
mod run_folder;
mod run_lock;
mod watch;
mod whole;

pub(crate) use abandon::{Begun, Things, partial_of};
pub use abandon::{abandon, is_abandoned};
pub use claim::Claim;
pub(crate) use log_lines::{LogLines, sealed};
pub use new_folder::NewFolder;
pub(crate) use npy::Npy;
pub(crate) use png::png;
pub(crate) use read::{log, read_json, read_text, record, text_of};
pub use run_folder::{Existing, RunFolder};
pub(crate) use run_lock::RunLock;
pub use watch::Watch;
pub(crate) use watch::{Notes, Once, over};
pub use whole::write_whole;
