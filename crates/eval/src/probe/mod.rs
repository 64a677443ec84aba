//! Scores from frozen features, computed on the CPU in f64 without Burn: the linear probe and nearest neighbours.

mod cholesky;
mod features;
mod folds;
mod knn;
mod lbfgs;
mod linear_probe;
mod logistic;
mod neighbours;
mod precondition;
mod select;
mod standardize;

#[cfg(feature = "train")]
pub(crate) use features::{check_targets, labelled};
pub use knn::Knn;
pub use linear_probe::{FewLabels, LinearProbe, LinearProbeConfig};
pub use logistic::{Convergence, LogisticProbe};
pub use neighbours::nearest_neighbours;
pub use select::{PenaltyChoice, Selection, check_disjoint};
pub use standardize::Standardizer;
