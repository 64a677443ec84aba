//! The learning rate as a pure function of the step.

use serde::{Deserialize, Serialize};

use crate::{Result, config::check};

/// Decay of the learning rate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "lowercase", deny_unknown_fields)]
#[non_exhaustive]
pub enum Decay {
    /// No decay.
    Constant,
    /// Multiplies by `factor` at the beginning of each of these epochs (from 0), as PyTorch's `MultiStepLR`. MoCo-CXR:
    /// 12, 18, 24 and 0.1 (`main_moco.py`, `--schedule`).
    Milestones {
        /// Epochs, ascending.
        epochs: Vec<u64>,
        /// Above 0 and at most 1.
        factor: f64,
    },
    /// Half a cosine from the start value to 0 at the end, updated every step. At the beginning of each epoch it equals
    /// MoCo's `--cos`, which is constant within an epoch.
    Cosine,
}

/// Start value, warm-up and decay. Made by [`Self::new`] or [`Self::constant`].
///
/// Checkpoints of earlier versions stay readable: a setting that is added has a serde default that means what this crate
/// did before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Schedule {
    /// Start value, above 0.
    pub lr: f64,
    /// Epochs over which the rate rises linearly from 0, may be a fraction; a cosine then falls over the rest.
    pub warmup_epochs: f64,
    /// The same as a share of all steps of the run, from 0 to below 1, in place of `warmup_epochs`: it fits a run of any
    /// length.
    #[serde(default)]
    pub warmup_share: f64,
    /// Its decay.
    pub decay: Decay,
}

impl Schedule {
    /// Start value and decay, without warm-up.
    pub fn new(lr: f64, decay: Decay) -> Self {
        Self { lr, warmup_epochs: 0.0, warmup_share: 0.0, decay }
    }

    /// A constant rate.
    pub fn constant(lr: f64) -> Self {
        Self::new(lr, Decay::Constant)
    }

    /// Learning rate of an optimizer step (from 0) in a run of `epochs` epochs of `steps_per_epoch` steps.
    pub fn lr_at(&self, step: u64, steps_per_epoch: usize, epochs: u64) -> f64 {
        let per_epoch = steps_per_epoch.max(1) as f64;
        let warmup = self.warmup(epochs) * per_epoch;
        if (step as f64) < warmup {
            return self.lr * (step + 1) as f64 / warmup.max((step + 1) as f64); // above 0 in the first step already
        }
        match &self.decay {
            Decay::Constant => self.lr,
            Decay::Milestones { epochs, factor } => {
                let epoch = step / steps_per_epoch.max(1) as u64;
                epochs.iter().filter(|&&at| epoch >= at).fold(self.lr, |lr, _| lr * factor)
            }
            Decay::Cosine => {
                let total = (epochs as f64 * per_epoch - warmup).max(1.0);
                let done = ((step as f64 - warmup) / total).min(1.0);
                self.lr * 0.5 * (1.0 + (std::f64::consts::PI * done).cos())
            }
        }
    }

    /// Length of the warm-up in a run of `epochs` epochs, in epochs.
    pub fn warmup(&self, epochs: u64) -> f64 {
        if self.warmup_share > 0.0 { self.warmup_share * epochs as f64 } else { self.warmup_epochs }
    }

    /// Checks all settings.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for the first setting that is out of range.
    pub fn validate(&self) -> Result<()> {
        // Beyond these nothing is learned, or weights overflow in the first step.
        check((1e-12..=1e6).contains(&self.lr), "schedule.lr", self.lr, "above 0, from 1e-12 to 1e6")?;
        check(
            (0.0..=1e7).contains(&self.warmup_epochs),
            "schedule.warmup_epochs",
            self.warmup_epochs,
            "0 to 10000000",
        )?;
        let share = self.warmup_share;
        check((0.0..1.0).contains(&share), "schedule.warmup_share", share, "0 to below 1, a share of all steps")?;
        let both = share > 0.0 && self.warmup_epochs > 0.0;
        let found = format!("{share} beside schedule.warmup_epochs = {}", self.warmup_epochs);
        check(!both, "schedule.warmup_share", found, "one of the two: set the other to 0")?;
        if let Decay::Milestones { epochs, factor } = &self.decay {
            check(epochs.is_sorted(), "schedule.decay.epochs", format!("{epochs:?}"), "ascending")?;
            check(*factor > 0.0 && *factor <= 1.0, "schedule.decay.factor", factor, "in (0, 1]")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warm_up_is_linear_and_meets_the_cosine_without_a_jump() {
        let schedule = Schedule { warmup_epochs: 2.0, ..Schedule::new(30.0, Decay::Cosine) };
        let at = |step| schedule.lr_at(step, 10, 6);
        assert_eq!([at(0), at(9), at(19)], [1.5, 15.0, 30.0]);
        assert_eq!(at(20), 30.0);
        assert!((at(40) - 15.0).abs() < 1e-12, "half way down after half of the remaining steps: {}", at(40));
        assert!(at(59) > 0.0 && at(59) < at(58));
        assert!(at(10_000).abs() < 1e-12, "past the end it stays at 0");
    }

    #[test]
    fn a_share_of_the_steps_is_the_same_warm_up_at_any_length() {
        let share = Schedule { warmup_share: 0.1, ..Schedule::new(1.0, Decay::Cosine) };
        for epochs in [10, 40] {
            let number = Schedule { warmup_epochs: epochs as f64 / 10.0, warmup_share: 0.0, ..share.clone() };
            for step in 0..epochs * 7 {
                assert_eq!(
                    share.lr_at(step, 7, epochs),
                    number.lr_at(step, 7, epochs),
                    "step {step} of {epochs} epochs"
                );
            }
        }
        let both = Schedule { warmup_epochs: 2.0, ..share }.validate().expect_err("one of the two").to_string();
        assert!(both.contains("warmup_share is 0.1 beside schedule.warmup_epochs = 2"), "{both}");
    }

    #[test]
    fn bad_settings_are_refused() {
        let bad = |s: Schedule| s.validate().is_err();
        assert!(bad(Schedule::constant(0.0)) && bad(Schedule::constant(f64::NAN)) && bad(Schedule::constant(-1.0)));
        let unsorted = Decay::Milestones { epochs: vec![12, 6], factor: 0.1 };
        assert!(bad(Schedule::new(1.0, unsorted)));
        assert!(bad(Schedule { warmup_epochs: -1.0, ..Schedule::new(1.0, Decay::Cosine) }));
        for share in [-0.1, 1.0, f64::NAN] {
            assert!(bad(Schedule { warmup_share: share, ..Schedule::new(1.0, Decay::Cosine) }), "{share}");
        }
    }
}
