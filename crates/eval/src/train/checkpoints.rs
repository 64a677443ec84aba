//! The best networks of a training run, by a number measured on validation rows.

use backbones::StateDict;

use crate::error::Result;

/// One network of a run.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    /// Steps taken when it was measured.
    pub step: u64,
    /// Mean AUROC on the validation rows.
    pub auroc: f64,
    /// Its tensors, on the host.
    pub weights: StateDict,
}

/// The best few checkpoints, best first.
#[derive(Debug)]
pub(super) struct TopCheckpoints {
    keep: usize,
    kept: Vec<Checkpoint>,
}

impl TopCheckpoints {
    pub(super) fn new(keep: usize) -> Self {
        Self { keep, kept: Vec::new() }
    }

    /// Keeps a network if it is among the best; of equals the earlier. `weights` is only called for one that is kept.
    pub(super) fn offer(&mut self, step: u64, auroc: f64, weights: impl FnOnce() -> Result<StateDict>) -> Result<()> {
        let place = self.kept.partition_point(|kept| kept.auroc >= auroc);
        if place < self.keep {
            self.kept.insert(place, Checkpoint { step, auroc, weights: weights()? });
            self.kept.truncate(self.keep);
        }
        Ok(())
    }

    pub(super) fn into_vec(self) -> Vec<Checkpoint> {
        self.kept
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_best_stay_in_order_and_equals_yield_to_the_earlier() {
        let mut top = TopCheckpoints::new(3);
        let mut read = 0;
        for (step, auroc) in [0.7, 0.8, 0.6, 0.8, 0.5, 0.9].into_iter().enumerate() {
            top.offer(step as u64, auroc, || {
                read += 1;
                Ok(StateDict::new())
            })
            .unwrap();
        }
        let kept: Vec<(u64, f64)> = top.into_vec().iter().map(|c| (c.step, c.auroc)).collect();
        assert_eq!(kept, [(5, 0.9), (1, 0.8), (3, 0.8)]);
        assert_eq!(read, 5); // not for 0.5
    }
}
