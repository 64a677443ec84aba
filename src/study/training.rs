//! Settings for training with labels.

use std::{fmt, path::PathBuf, str::FromStr};

use eval::Trained;

use crate::error::{Error, Result};

/// Which checkpoints of a training score the test rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CheckpointChoice {
    /// The best on the validation rows (the paper's text).
    #[default]
    Best,
    /// The ten best, averaging their probabilities (the reference's `select_ensemble.py`).
    Top10,
}

impl CheckpointChoice {
    /// Number of checkpoints to keep.
    pub(crate) fn keep(self) -> usize {
        match self {
            Self::Best => 1,
            Self::Top10 => 10,
        }
    }
}

impl FromStr for CheckpointChoice {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self> {
        match s {
            "best" => Ok(Self::Best),
            "top10" => Ok(Self::Top10),
            _ => Err(Error::Setting {
                key: "checkpoint".into(),
                found: format!("{s:?}"),
                expected: "best or top10".into(),
            }),
        }
    }
}

impl fmt::Display for CheckpointChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Best => "best",
            Self::Top10 => "top10",
        })
    }
}

/// How to train a network with labels. The defaults are the paper's (MoCo-CXR section 3.4).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct FineTuneSettings {
    /// The whole network, or only the head (the paper's linear evaluation).
    pub trained: Trained,
    /// Epochs over a draw. `None`: the paper's number at the nearest of its fractions.
    pub epochs: Option<usize>,
    /// Learning rate of Adam, constant. Default 3e-5.
    pub lr: f64,
    /// Images per step, at least 2. Default 16.
    pub batch_size: usize,
    /// Which checkpoints score the test rows.
    pub checkpoint: CheckpointChoice,
    /// Whether to start from a head fitted to convergence on the frozen features, so that the first steps do not distort them
    /// (Kumar et al., arXiv:2202.10054).
    pub from_linear: bool,
    /// Folder for finished draws. A later fine-tuning with the same settings, weights and data reuses them, even with other
    /// fractions or another number of draws; [`FineTuneOutcome::write`](crate::study::FineTuneOutcome::write) deletes the
    /// folder. Default: none.
    pub unfinished: Option<PathBuf>,
}

impl FineTuneSettings {
    /// The paper's settings.
    pub fn new(trained: Trained) -> Self {
        let checkpoint = CheckpointChoice::Best;
        Self { trained, epochs: None, lr: 3e-5, batch_size: 16, checkpoint, from_linear: false, unfinished: None }
    }

    /// Epochs over a draw of this many labelled images: the setting, or the paper's number ([`eval::paper_epochs`]).
    pub fn epochs_for(&self, labelled: usize) -> usize {
        self.epochs.unwrap_or_else(|| eval::paper_epochs(labelled as f64))
    }

    /// Checks what can be checked without the data.
    ///
    /// # Errors
    /// The first setting that is out of range.
    pub fn validate(&self) -> Result<()> {
        let fault = |key: &str, found: String, expected: &str| {
            Err(Error::Setting { key: key.into(), found, expected: expected.into() })
        };
        if let Some(epochs) = self.epochs.filter(|epochs| !(1..=10_000_000).contains(epochs)) {
            return fault("epochs", epochs.to_string(), "at least 1 and at most 10000000");
        }
        if self.from_linear && self.trained == Trained::Head {
            return fault("from_linear", "with a head that is trained alone".into(), "with a whole network only");
        }
        if !(2..=65_536).contains(&self.batch_size) {
            return fault(
                "--batch-size",
                self.batch_size.to_string(),
                "at least 2, for a batch variance, and at most 65536",
            );
        }
        // As for a pretraining: beyond these nothing is learned, or weights overflow in the first step.
        if !(1e-12..=1e6).contains(&self.lr) {
            return fault("--lr", self.lr.to_string(), "above 0, from 1e-12 to 1e6");
        }
        Ok(())
    }

    /// Method, for the title of a model card.
    pub(crate) fn short_name(&self) -> &'static str {
        match self.trained {
            Trained::Head => "a trained head",
            Trained::All => "fine-tuned",
        }
    }

    /// Name of the command, and of its summary.
    pub(crate) fn command(&self) -> &'static str {
        match self.trained {
            Trained::Head => "linear",
            Trained::All => "finetune",
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn epochs_follow_the_number_of_labelled_images_unless_they_are_set() {
        let settings = FineTuneSettings::new(Trained::All);
        assert_eq!([222, 2_234, 22_341, 223_414, 430].map(|n| settings.epochs_for(n)), [220, 95, 41, 18, 220]);
        assert_eq!(FineTuneSettings { epochs: Some(3), ..settings }.epochs_for(222), 3);
    }
}
