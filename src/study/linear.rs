//! A linear evaluation: heads fitted to convergence on the features of a network that does not move.

use std::path::Path;

use backbones::{Classifier, Network, NetworkConfig, export};
use cxr_data::{Role, ViewConfig};
use eval::{LinearProbe, Scores, Stamp};
use ndarray::Array2;
use serde_json::json;

use crate::{
    data::{Labelled, LoadedPart, Origin, adapt_statistics, fewer_folds, label_draws},
    error::{Error, Result},
    files::{Existing, NewFolder, RunFolder},
    study::{Outcome, ProbeSettings, check_reported, device_of, fit_probe, scores},
    weights::{EXPORT, LoadedNetwork, classifier_info},
};

/// Features of the labelled images by one network.
#[derive(Debug, Clone)]
pub struct Arm {
    /// Of the training rows `[N, D]`.
    pub(crate) train: Array2<f32>,
    /// Of the rows the penalty is chosen on `[V, D]`, with their targets `[V, T]`.
    valid: Option<(Array2<f32>, Array2<f64>)>,
    /// Where those come from.
    chosen_on: Option<Origin>,
    /// Of the rows reported on `[M, D]`.
    pub(crate) test: Array2<f32>,
}

impl Arm {
    /// Features by a trained network, as it is: eval mode, and a check afterwards that no weight and no running statistic
    /// moved.
    ///
    /// # Errors
    /// Test rows with fewer than two patients of a class in some task, an image that cannot be read, a device that fails.
    pub fn of(
        network: &Network,
        views: ViewConfig,
        train: &Labelled<'_>,
        test: &Labelled<'_>,
        settings: &ProbeSettings,
    ) -> Result<Self> {
        check_reported(test, &settings.tasks)?;
        let train = train.features(network, views, settings)?;
        Ok(Self { train, valid: None, chosen_on: None, test: test.features(network, views, settings)? })
    }

    /// With rows to choose the penalty on, instead of folds within the training rows.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub fn choosing_on(
        self,
        valid: &Labelled<'_>,
        network: &Network,
        views: ViewConfig,
        settings: &ProbeSettings,
    ) -> Result<Self> {
        let features = valid.features(network, views, settings)?;
        Ok(Self { valid: Some((features, valid.targets())), chosen_on: valid.origin().cloned(), ..self })
    }

    /// Features by a network of random weights whose running statistics were estimated on `images`.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub fn random(
        config: &NetworkConfig,
        seed: u64,
        device: &burn::tensor::Device,
        images: &LoadedPart,
        views: ViewConfig,
        (train, test): (&Labelled<'_>, &Labelled<'_>),
        settings: &ProbeSettings,
    ) -> Result<Self> {
        let mut network = config.init(seed, device);
        adapt_statistics(&mut network, &images.manifest, &images.rows, views, settings)?;
        Self::of(&network, views, train, test, settings)
    }
}

/// What a linear evaluation found.
#[derive(Debug)]
pub struct LinearOutcome {
    /// Scores (logits) and results on the test rows.
    pub outcome: Outcome,
    /// The heads of the first draw of the largest fraction, one regression a task.
    pub probe: LinearProbe,
    /// Where the rows come from that they were fitted and chosen on; an outer none where nothing was chosen outside train.
    trained_on: Option<Origin>,
    chosen_on: Option<Option<Origin>>,
}

/// Fits heads on every draw of every fraction, and evaluates them. The score of a row is a logit.
///
/// # Errors
/// What the fits and the statistics say.
pub fn linear(
    train: &Labelled<'_>,
    test: &Labelled<'_>,
    arm: &Arm,
    baseline: Option<&Arm>,
    settings: &ProbeSettings,
) -> Result<LinearOutcome> {
    settings.validate()?;
    let mut outcome = Outcome::default();
    let mut kept: Option<(f64, LinearProbe)> = None;
    for &fraction in &settings.fractions {
        let draws = label_draws(train, fraction, settings)?;
        if arm.valid.is_none() {
            outcome.notes.extend(fewer_folds(fraction, &draws, settings));
        }
        let fit = |arm: &Arm| -> Result<Vec<LinearProbe>> {
            let valid = arm.valid.as_ref().map(|(features, targets)| (features, targets));
            draws.iter().map(|draw| fit_probe(train, &arm.train, valid, draw, settings)).collect()
        };
        let score = |arm: &Arm, heads: &[LinearProbe]| -> Result<Vec<Scores>> {
            heads.iter().map(|head| scores(test, settings, &head.logits(arm.test.view())?)).collect()
        };
        let heads = fit(arm)?;
        let other = baseline.map(|arm| score(arm, &fit(arm)?)).transpose()?;
        outcome.push(fraction, &draws, score(arm, &heads)?, other, settings)?;
        if kept.as_ref().is_none_or(|(largest, _)| fraction > *largest) {
            kept = heads.into_iter().next().map(|head| (fraction, head));
        }
    }
    let none = || Error::Setting { key: "fraction".into(), found: "none".into(), expected: "at least one".into() };
    let probe = kept.ok_or_else(none)?.1;
    let chosen_on = arm.valid.is_some().then(|| arm.chosen_on.clone());
    Ok(LinearOutcome { outcome, probe, trained_on: train.origin().cloned(), chosen_on })
}

impl LinearOutcome {
    /// Writes `linear.json` and the folders of the tasks (as [`Outcome::write`]), `run.json`, and into `export/` the network
    /// `start` with the heads as one layer, which [`Scorer`](crate::Scorer) takes. `out` must be new or empty; it appears
    /// whole or not at all.
    ///
    /// # Errors
    /// A folder that is not empty, or what the disk says.
    pub fn write(&self, out: &Path, start: &LoadedNetwork, settings: &ProbeSettings, stamp: &Stamp) -> Result<()> {
        let folder = NewFolder::begin(out)?;
        let run = RunFolder::open(folder.path(), Existing::Refuse)?;
        let mut lineage = start.lineage.clone().then(Role::Train, self.trained_on.as_ref());
        if let Some(chosen_on) = &self.chosen_on {
            lineage = lineage.then(Role::Valid, chosen_on.as_ref());
        }
        run.write_run_json(
            "linear",
            json!({
                "weights": start.provenance,
                "trained_on": lineage,
                "tasks": settings.tasks,
                "seed": settings.seed,
                "stamp": stamp,
                "draw_exported": 0,
            }),
        )?;
        self.outcome.write_into(run.path(), "linear", settings, stamp)?;
        let protocol = stamp.protocol.as_deref().unwrap_or("linear");
        let info = classifier_info(("linear heads", protocol, 0), start, &self.outcome, settings, stamp);
        let head = self.probe.head(&device_of(&start.network));
        let classifier = Classifier::new(start.network.clone(), head, start.config.arch.head_name());
        export(&run.join(EXPORT), &classifier, &info)?;
        lineage.write(&run.join(EXPORT))?;
        folder.finish()
    }
}
