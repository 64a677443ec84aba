//! Readers of the tool: settings, and the folder of a run.

mod configs;
mod runs;

use crate::Target;

pub(crate) const TARGETS: [(&str, Target); 2] = [("configs", configs::run), ("runs", runs::run)];
