//! Prediction files: `path, patient, study, view, label_*, score_*`, from this tool or any other.
//!
//! Columns are matched by name, in any order; case and punctuation do not matter. An empty label cell is masked.

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
