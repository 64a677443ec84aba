//! Prediction files with the columns `path, patient, study, view, label_*, score_*`, from this or another tool, and
//! files of results.
//!
//! Columns are matched by name and may be in any order; case and punctuation are ignored. An empty label cell is
//! masked.

mod evaluation;
mod join;
mod model;
mod read;
mod results;
mod sheet;
mod write;

pub use join::join_ground_truth;
pub use model::Predictions;
pub use read::read_predictions;
pub use results::read_stamp_beside;
pub use write::{write_new, write_predictions};
