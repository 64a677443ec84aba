//! Readers of weights and of the state of a training.

mod checkpoints;
mod weights;

use crate::Target;

pub(crate) const TARGETS: [(&str, Target); 2] = [("checkpoints", checkpoints::run), ("weights", weights::run)];
