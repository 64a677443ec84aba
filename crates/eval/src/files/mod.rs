//! Prediction files with the columns `path, patient, study, view, label_*, score_*`, from this or another tool, and
//! files of results.
//!
//! Columns are matched by name and may be in any order; case and punctuation are ignored. An empty cell of a `label_*`
//! column is masked; what becomes of one in a table of labels is up to the policy ([`RecordedLabels`]).

mod evaluation;
mod join;
mod model;
mod read;
mod recorded;
mod results;
mod sheet;
mod write;

pub use join::join_ground_truth;
pub use model::{Predictions, ReadOptions};
pub use read::read_predictions;
pub use recorded::RecordedLabels;
pub use results::read_stamp_beside;
pub use write::{write_new, write_predictions, write_predictions_of};
