//! Who watches a pretraining.

use moco_core::Observer;

use crate::files::Watch;

/// Is told of notes, lines and progress as by every command; sees every step and epoch, and may ask to stop.
pub trait TrainingWatch: Watch + Observer {
    /// Called before the first step, with the steps done already and the steps in all.
    fn start(&mut self, done: u64, total: u64) {
        let _ = (done, total);
    }
}

impl TrainingWatch for () {}
