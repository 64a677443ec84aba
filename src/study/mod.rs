//! From weights and labelled images to numbers with intervals.

mod embed;
mod finetune;
mod knn;
mod linear;
mod outcome;
mod predict;
mod probe;

pub use embed::embed;
pub use finetune::{CheckpointChoice, FineTuneOutcome, FineTuneSettings, Measurement, TrainingRun, fine_tune};
pub(crate) use finetune::{ENSEMBLE, device_of};
pub use knn::knn;
pub use linear::{Arm, LinearOutcome, linear};
pub use outcome::Outcome;
pub(crate) use outcome::folder_name;
pub use predict::{Scorer, load_images};
pub(crate) use probe::check_reported;
pub use probe::{
    ArmLogits, FractionResult, ProbeSettings, TaskResult, evaluate_fraction, evaluate_scores, fit_draws, fit_probe,
    scores,
};
