//! Evaluation of a model's scores: AUROC and AUPRC with intervals, paired comparisons, tables and plots.
//!
//! The scores of a model are in [`Scores`], made by the caller or read from a prediction file ([`read_predictions`],
//! [`join_ground_truth`]). [`fold_studies`] combines the images of a study. Each task is then a [`Cohort`] with one
//! score vector per label draw, that is, per model trained on another subset of the labels. A [`Bootstrap`] or
//! [`delong`] gives the [`Interval`]; [`Evaluation`] does all this for every task and statistic.
//!
//! ```
//! use eval::{Bootstrap, Cohort, Metric};
//!
//! let labels = vec![true, false, true, false, true, false];
//! let scores = [vec![0.9, 0.2, 0.6, 0.7, 0.8, 0.1]];
//! let cohort = Cohort::new(labels, &["p1", "p1", "p2", "p3", "p3", "p4"])?;
//! let auc = Bootstrap::default().interval(&cohort, &scores, Metric::Auroc)?;
//! assert_eq!((auc.estimate, auc.patients), (8.0 / 9.0, 4));
//! # Ok::<(), eval::Error>(())
//! ```
//!
//! [`LinearProbeConfig`] and [`Knn`] compute scores from features. With the Cargo feature `train`, the crate also
//! extracts features with a network and trains networks with labels, from any iterator over batches of images.
//!
//! An undefined number, such as the AUROC of a single class, is an error with the reason, and `null` in files; no value
//! is put in its place. All statistics are computed in f64 on the CPU from a given seed, and do not depend on the
//! number of threads.

mod auprc;
mod auroc;
mod bootstrap;
mod calibration;
pub mod chart;
mod checked;
mod cohort;
mod compare;
mod delong;
mod draws;
mod epochs;
mod error;
mod evaluate;
mod files;
mod fold;
mod fractions;
mod holm;
mod interval;
mod markup;
mod metric;
mod names;
mod normal;
mod operating_point;
mod plots;
mod probe;
mod ranking;
mod results;
mod row;
mod scores;
mod stamp;
mod student;
mod subgroups;
mod tables;
#[cfg(feature = "train")]
mod train;
mod undefined;

pub use self::tables::Table;
pub use auprc::auprc;
pub use auroc::auroc;
pub use bootstrap::{Bootstrap, Resamples, Rule, TaskScores};
pub use calibration::{as_probabilities, brier, expected_calibration_error, reliability};
pub use cohort::Cohort;
pub use compare::{Comparison, Comparisons, Conditions, compare, compare_models, compare_under};
pub use delong::{delong, delong_test};
pub use epochs::{PAPER_EPOCHS, paper_epochs};
pub use error::{Error, Result};
pub use evaluate::{Evaluation, subgroups};
pub use files::{
    Predictions, ReadOptions, RecordedLabels, join_ground_truth, read_predictions, read_stamp_beside, write_new,
    write_predictions, write_predictions_of,
};
pub use fold::fold_studies;
pub use fractions::{FractionResult, TaskResult};
pub use interval::{Interval, Method, Unit, WithDraws};
pub use metric::Metric;
pub use operating_point::sensitivity_at_specificity;
pub use plots::{Curve, pr_svg, reliability_svg, roc_curve, roc_svg};
pub use probe::{
    Convergence, FewLabels, Knn, LinearProbe, LinearProbeConfig, LogisticProbe, PenaltyChoice, Selection, Standardizer,
    check_disjoint, nearest_neighbours,
};
pub use results::{ResultRow, Results};
pub use row::{PatientSource, Row};
pub use scores::Scores;
pub use stamp::Stamp;
pub use subgroups::Subgroup;
#[cfg(feature = "train")]
pub use train::{
    Checkpoint, Features, FineTune, FineTuned, Frozen, MayMove, Measured, Supervised, SupervisedConfig, Trained,
    ensemble, estimate_running_statistics, extract_feature_maps, extract_features, feature_map_shape, masked_bce,
    mean_auroc, predict, read_checkpoints, running_statistics, set_running_statistics,
};
#[cfg(feature = "train")]
pub use train::{GradCam, grad_cam};
pub use undefined::Undefined;
