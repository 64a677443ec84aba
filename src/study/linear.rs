//! Linear evaluation: heads fitted to convergence on the features of a frozen network.

use std::{panic::resume_unwind, path::Path, sync::mpsc, thread};

use backbones::Classifier;
use cxr_data::Role;
use eval::{LinearProbe, LinearProbeConfig, Scores, Selection};
use ndarray::Axis;

use crate::{
    data::{Draws, LabelDraw, Lineage, fewer_folds, label_draws},
    error::{Error, Result},
    files::{NewFolder, Watch},
    study::{
        Method, Outcome, Protocol, Study,
        arm::{Arm, Features, union},
        export::Exported,
        outcome::scores,
    },
    weights::LoadedNetwork,
};

/// What to compare a model with, on the same label draws and bootstrap resamples, so that the difference is paired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Baseline {
    /// Nothing.
    #[default]
    None,
    /// The same network with random weights. Both have running statistics of the same training images.
    Random,
}

/// Results of a linear evaluation. The score of a row is a logit.
#[derive(Debug)]
pub struct LinearOutcome {
    outcome: Outcome,
    /// The heads of the first draw of the largest fraction, one regression per task.
    probe: LinearProbe,
    start: LoadedNetwork,
    /// Training and validation images of the network and the heads.
    lineage: Lineage,
    exported: Exported,
}

impl Study<'_> {
    /// Fits heads on every draw of every fraction and evaluates them on the test rows. The penalty is chosen on the
    /// validation rows or, without them, by cross-validation over the patients of a draw, and is fixed for tasks with few
    /// labels ([`eval::FewLabels`]).
    ///
    /// # Errors
    /// Test rows with fewer than two patients of a class in some task, an image that cannot be read, a device error, a fit
    /// that does not converge, or a statistic that is undefined.
    pub fn linear(&self, baseline: Baseline) -> Result<LinearOutcome> {
        self.linear_at(&self.protocol.fractions, self.protocol.draws, baseline)
    }

    /// As [`Self::linear`], at other fractions and with another number of draws than those of the protocol. The labels are
    /// drawn first: features are computed of the rows of some draw, once for all draws and calls.
    pub(crate) fn linear_at(&self, fractions: &[f64], count: usize, baseline: Baseline) -> Result<LinearOutcome> {
        let wanted = Draws { count, ..self.protocol.label_draws() };
        let draws = fractions.iter().map(|&fraction| Ok((fraction, label_draws(&self.train, fraction, wanted, 2)?)));
        let draws: Vec<(f64, Vec<LabelDraw>)> = draws.collect::<Result<_>>()?;
        let drawn = union(draws.iter().flat_map(|(_, draws)| draws));
        let model = &*self.arm(&drawn)?;
        let other = match baseline {
            Baseline::None => None,
            Baseline::Random => Some(self.random_arm(&drawn)?),
        };
        let chosen_on_valid = model.valid.is_some();
        let method = Method::Linear { chosen_on_valid, statistics: self.protocol.statistics };
        let mut outcome = self.outcome("linear", method);
        let mut kept: Option<(f64, LinearProbe)> = None;
        for (fraction, draws) in draws {
            if !chosen_on_valid {
                self.note(fewer_folds(fraction, &draws, wanted));
            }
            let fit = |arm: &Arm| -> Result<Vec<LinearProbe>> {
                let fit = |draw| fit_probe(&arm.train, arm.valid.as_ref(), draw, &self.protocol, self.watch);
                draws.iter().map(fit).collect()
            };
            let score = |arm: &Arm, heads: &[LinearProbe]| -> Result<Vec<Scores>> {
                let test = &arm.test;
                heads.iter().map(|head| scores(test.labelled(), &head.logits(test.values().view())?)).collect()
            };
            let heads = fit(model)?;
            let compared = other.as_ref().map(|arm| score(arm, &fit(arm)?)).transpose()?;
            outcome.push(fraction, &draws, score(model, &heads)?, compared)?;
            if kept.as_ref().is_none_or(|(largest, _)| fraction > *largest) {
                kept = heads.into_iter().next().map(|head| (fraction, head));
            }
        }
        let none = || Error::Setting { key: "fraction".into(), found: "none".into(), expected: "at least one".into() };
        let probe = kept.ok_or_else(none)?.1;
        let mut lineage = self.network.lineage.clone().then(Role::Train, Some(self.train.origin()));
        if let Some(valid) = &self.valid {
            lineage = lineage.then(Role::Valid, Some(valid.origin()));
        }
        let exported = Exported {
            how: "linear heads",
            steps: 0,
            labels: self.labels.clone(),
            seed: self.protocol.seed,
            drawn: self.parts.are_drawn(),
            private: self.private,
        };
        Ok(LinearOutcome { outcome, probe, start: self.network.adapted(model.network.clone()), lineage, exported })
    }
}

/// Fits a head on one draw of the training rows. The watcher hears of every regression, because all of them
/// together can take long.
///
/// # Errors
/// Only one class in the draw or in the validation rows, or no convergence.
pub(super) fn fit_probe(
    train: &Features,
    valid: Option<&Features>,
    draw: &LabelDraw,
    protocol: &Protocol,
    watch: &dyn Watch,
) -> Result<LinearProbe> {
    let labelled = train.labelled();
    let patients: Vec<u64> = draw.places.iter().map(|&i| labelled.patients()[i]).collect();
    let config = LinearProbeConfig { folds: draw.folds, seed: protocol.seed, ..LinearProbeConfig::default() };
    let rows = train.at(&draw.places)?;
    let labels = labelled.targets().select(Axis(0), &draw.places);
    let targets = valid.map(|valid| valid.labelled().targets());
    let selection = match (valid, &targets) {
        (Some(valid), Some(targets)) => {
            Selection::Validation { features: valid.values().view(), targets: targets.view() }
        }
        _ => Selection::Nested(&patients),
    };
    // The watcher stays on this thread.
    thread::scope(|scope| {
        let (tell, told) = mpsc::channel();
        let fit = scope.spawn(move || {
            let fitted = || {
                let _ = tell.send(());
            };
            config.fit_telling(rows.view(), labels.view(), selection, &fitted)
        });
        told.iter().for_each(|()| watch.alive());
        Ok(fit.join().unwrap_or_else(|panic| resume_unwind(panic))?)
    })
}

impl LinearOutcome {
    /// Scores, results and conditions.
    pub fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    /// The heads of the first draw of the largest fraction, one regression per task.
    pub fn probe(&self) -> &LinearProbe {
        &self.probe
    }

    /// Writes `linear.json` and the task folders (see [`Outcome::write`]), `run.json`, and to `export/` the network with the
    /// heads as one layer, for [`Study::predict`]. `out` must be new or empty. Either everything is written or nothing.
    ///
    /// # Errors
    /// The folder is not empty, or an I/O error.
    pub fn write(&self, out: impl AsRef<Path>) -> Result<()> {
        let folder = NewFolder::begin(out.as_ref())?;
        let head = self.probe.head(&self.start.device());
        let classifier = Classifier::new(self.start.network.clone(), head, self.start.config.arch.head_name());
        self.exported.write(folder.path(), "linear", &self.start, &classifier, &self.outcome, &self.lineage)?;
        folder.finish()
    }
}
