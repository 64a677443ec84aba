//! Evaluation of weights on labelled images, with intervals.
//!
//! All results come from [`Study`]: it opens images, weights, labels and protocol together, checks that test images were not
//! used for training, model selection or pretraining, and records the conditions in the results.

mod arm;
mod arms;
mod choosing;
mod conditions;
mod embed;
mod examples;
mod explain;
mod export;
mod feature_cache;
mod feature_source;
mod features;
mod finetune;
mod knn;
mod lettering;
mod linear;
mod method;
mod named;
mod neighbours;
mod open;
mod outcome;
mod overlay;
mod predict;
mod protocol;
mod sheet;
mod training;

pub(crate) use choosing::Choosing;
pub(crate) use conditions::Conditions;
pub use embed::Embedding;
pub(crate) use examples::examples_of;
pub use explain::{Explaining, Explanation};
pub use feature_cache::feature_folder;
pub(crate) use features::{adapt_statistics, one_view};
pub use finetune::{FineTuneOutcome, Measurement, TrainingRun};
pub use linear::{Baseline, LinearOutcome};
pub(crate) use method::Method;
pub use neighbours::{NeighbourSearch, Neighbours};
pub use open::Study;
pub(crate) use open::check_pretraining;
pub use outcome::Outcome;
pub(crate) use outcome::fraction_name;
pub(crate) use overlay::{in_grey, overlay};
pub use predict::{Predicted, Scoring};
pub use protocol::{Protocol, Statistics};
pub use training::{CheckpointChoice, FineTuneSettings};
