//! Protocol of a study: label fractions and draws, folds, seed, intervals.

use std::{fmt, path::PathBuf, str::FromStr};

use eval::Bootstrap;

use crate::{
    data::{DrawRule, Draws},
    error::{Error, Result},
};

/// Most draws of a fraction, and folds: what they fit is held in memory.
const MOST_DRAWS: usize = 10_000;
const MOST_FOLDS: usize = 1000;

/// Label fractions and their draws, folds, seed and intervals.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Protocol {
    /// Fractions of the training patients whose labels are used, each in `(0, 1]` and distinct. Default: 1.
    pub fractions: Vec<f64>,
    /// Draws of each fraction below 1 (a fraction of 1 has one). Default: 5.
    pub draws: usize,
    /// Rule of the draws. Default: whole patients.
    pub draw_rule: DrawRule,
    /// Cross-validation folds for choosing the penalty, at least 2. If a class has fewer patients, fewer folds are used and a
    /// note says so. Tasks with few labels have a fixed penalty instead ([`eval::FewLabels`]). Default: 5.
    pub folds: usize,
    /// Running statistics of the networks whose features are taken. Default: those of the training images.
    pub statistics: Statistics,
    /// Random seed of divisions, draws, folds, heads, order of images and random networks. Default: 0.
    pub seed: u64,
    /// Bootstrap for the intervals.
    pub bootstrap: Bootstrap,
    /// Whether to skip the check that no test image was pretrained on; the results are then marked as not checked. Default:
    /// no.
    pub unchecked_pretraining: bool,
    /// Folder of the images that the weights were trained on, which is not one of those evaluated. Weights do not say where it
    /// is, only what is in it; a run on this machine does. Default: none.
    pub pretraining_data: Option<PathBuf>,
}

/// The running statistics with which a frozen network computes features (`linear` on features, and `knn`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Statistics {
    /// Estimated anew, for every network from the same training images of the set, not augmented and in the same batches: the
    /// networks of a comparison then differ in their weights alone. A pretraining leaves statistics of augmented views, often in
    /// groups of a batch, and random weights have none.
    #[default]
    Training,
    /// Those that came with the weights.
    Own,
}

impl FromStr for Statistics {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self> {
        match s {
            "training" => Ok(Self::Training),
            "own" => Ok(Self::Own),
            _ => Err(Error::Setting {
                key: "statistics".into(),
                found: format!("{s:?}"),
                expected: "training or own".into(),
            }),
        }
    }
}

impl fmt::Display for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Training => "training",
            Self::Own => "own",
        })
    }
}

impl Default for Protocol {
    fn default() -> Self {
        Self {
            fractions: vec![1.0],
            draws: 5,
            draw_rule: DrawRule::Patients,
            folds: 5,
            statistics: Statistics::Training,
            seed: 0,
            bootstrap: Bootstrap::default(),
            unchecked_pretraining: false,
            pretraining_data: None,
        }
    }
}

impl Protocol {
    /// The defaults with this seed, also for the bootstrap.
    pub fn seeded(seed: u64) -> Self {
        Self { seed, bootstrap: Bootstrap { seed, ..Bootstrap::default() }, ..Self::default() }
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// The first setting that is out of range.
    pub fn validate(&self) -> Result<()> {
        let fault = |key: &str, found: String, expected: &str| {
            Err(Error::Setting { key: key.into(), found, expected: expected.into() })
        };
        if let Some(bad) = self.fractions.iter().find(|f| !(**f > 0.0 && **f <= 1.0)) {
            return fault("fraction", bad.to_string(), "above 0 and at most 1");
        }
        if self.fractions.is_empty() {
            return fault("fraction", "none".into(), "at least one");
        }
        // Each fraction has its own folder in the results.
        if let Some(twice) = (1..self.fractions.len()).find(|&at| self.fractions[..at].contains(&self.fractions[at])) {
            return fault("fraction", format!("{} twice", self.fractions[twice]), "each fraction once");
        }
        if !(1..=MOST_DRAWS).contains(&self.draws) {
            return fault("draws", self.draws.to_string(), "at least 1 and at most 10000");
        }
        if !(2..=MOST_FOLDS).contains(&self.folds) {
            return fault("folds", self.folds.to_string(), "at least 2 and at most 1000");
        }
        Ok(self.bootstrap.validate()?)
    }

    /// Settings of the label draws.
    pub(crate) fn label_draws(&self) -> Draws {
        Draws { rule: self.draw_rule, count: self.draws, folds: self.folds, seed: self.seed }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::data::{Labels, Reading};

    #[test]
    fn the_invalid_setting_is_named() {
        type Case = (&'static str, fn(&mut Protocol));
        let cases: [Case; 7] = [
            ("fraction: found none", |s| s.fractions.clear()),
            ("fraction: found 0, expected above 0", |s| s.fractions = vec![0.0]),
            ("fraction: found 0.5 twice", |s| s.fractions = vec![0.5, 1.0, 0.5]),
            ("draws: found 0, expected at least 1", |s| s.draws = 0),
            ("draws: found 4294967296, expected at least 1 and at most 10000", |s| s.draws = 1 << 32),
            ("folds: found 1", |s| s.folds = 1),
            ("folds: found 1001, expected at least 2 and at most 1000", |s| s.folds = 1001),
        ];
        Protocol::default().validate().unwrap();
        for (words, spoil) in cases {
            let mut spoilt = Protocol::default();
            spoil(&mut spoilt);
            let fault = spoilt.validate().unwrap_err().to_string();
            assert!(fault.starts_with(words), "{fault}");
        }
        let none: [&str; 0] = [];
        let fault = |labels: Labels| labels.validate().unwrap_err().to_string();
        assert!(fault(Labels::new(none)).starts_with("task: found none"));
        let twice = fault(Labels::new(["Edema", "Lung Lesion", "lung-lesion"]));
        assert!(twice.starts_with("task: found \"lung-lesion\" twice"), "{twice}");
        let reading = Reading { batch_size: 0, ..Reading::default() };
        assert!(reading.validate().unwrap_err().to_string().starts_with("--batch-size: found 0, expected at least 1"));
    }
}
