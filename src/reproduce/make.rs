//! Making what a table lacks: every model that data and weights allow, fit by fit.

use std::{collections::BTreeMap, path::PathBuf};

use backbones::Arch;
use burn::tensor::Device;
use eval::{Scores, Stamp, Trained};

use super::{
    Arm, Fit, Init, PaperTable, Tuning,
    files::{claim, draws_stamp, write_draws},
};
use crate::{
    data::{Lineage, LinearData, Parts, Pretraining, ValidFrom, adapt_statistics},
    error::{Error, Result},
    study::{Arm as Features, FineTuneSettings, ProbeSettings, fine_tune, linear},
    weights::{AskedPreprocessing, LoadedNetwork, load_weights},
};

/// How linear models are fitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LinearProtocol {
    /// As the paper: Adam, fixed epochs, batch norm in train mode, the checkpoint chosen on validation rows.
    #[default]
    Faithful,
    /// On features in eval mode to convergence, the penalty chosen on validation rows.
    Standard,
}

/// What is needed to make the models of a table.
#[derive(Debug, Clone)]
pub struct Reproduction {
    /// Which table.
    pub table: PaperTable,
    /// Folder of results. What is there already is kept, and must have been made under the same conditions.
    pub results: PathBuf,
    /// What the models begin from, by the name of their start ([`Arm::start`]), as [`load_weights`] takes it. Where
    /// ImageNet's are not named, `imagenet` is meant.
    pub weights: BTreeMap<String, String>,
    /// The labelled images.
    pub data: LinearData,
    /// Where checkpoints and penalties are chosen.
    pub valid: ValidFrom,
    /// Label policy, rule of the draws, seed and the like. Tasks, fractions and numbers of draws are the table's.
    pub probe: ProbeSettings,
    /// How linear models are fitted.
    pub linear: LinearProtocol,
    /// Passes over a draw where networks or heads are trained by steps; none for the paper's.
    pub epochs: Option<usize>,
    /// Side of the images in pixels, where weights do not say it.
    pub image_size: Option<usize>,
    /// Goes on where it cannot be checked whether patients reported on were among the pretraining images.
    pub unchecked_pretraining: bool,
}

/// A fit that could not be made.
#[derive(Debug, Clone, PartialEq)]
pub struct NotMade {
    /// Which.
    pub fit: Fit,
    /// Why.
    pub reason: String,
}

/// What a model begins from.
struct Start {
    network: LoadedNetwork,
    pretraining: Pretraining,
}

impl Reproduction {
    /// What a model begins from, as [`load_weights`] takes it; none where nobody named it.
    pub fn source(&self, arm: Arm) -> Option<&str> {
        let named = self.weights.get(&arm.start()).map(String::as_str);
        named.or((arm.init == Init::ImageNet).then_some("imagenet"))
    }

    /// The fits of the table that the folder of results lacks.
    pub fn missing(&self) -> Vec<Fit> {
        self.table.fits().into_iter().filter(|fit| !fit.is_made(&self.results)).collect()
    }

    /// Makes what is missing. Each fit is written as soon as it is made, so that an interrupted run goes on where it was.
    /// A fit that cannot be made (no weights, a draw of one class) does not keep the others from being made.
    ///
    /// # Errors
    /// Settings out of range, data that cannot be read, a leak, results that were made under other conditions, a device
    /// that fails, what the disk says.
    pub fn make(&self, device: &Device, note: &mut dyn FnMut(&str)) -> Result<Vec<NotMade>> {
        self.settings(Tuning::EndToEnd).validate()?;
        let missing = self.missing();
        if missing.is_empty() {
            return Ok(Vec::new());
        }
        let parts = self.data.load_parts(&self.valid, self.probe.seed, self.probe.workers, note)?;
        self.data.check_draws(&parts, self.probe.draw_rule)?;
        self.check_made(&parts)?;
        let mut not_made = Vec::new();
        for fits in missing.chunk_by(|one, other| one.arm == other.arm) {
            let arm = fits[0].arm;
            let start = self.start(arm, &parts, device, note).and_then(|start| {
                claim(arm, &self.results, &start.network.provenance, start.network.views.size)?;
                Ok(start)
            });
            let made = match start {
                Ok(start) => self.make_model(&start, fits, &parts, note)?,
                Err(fault) => all_not_made(fits, fault)?,
            };
            made.iter().for_each(|NotMade { fit, reason }| note(&format!("{}: {reason}", name(fit))));
            not_made.extend(made);
        }
        Ok(not_made)
    }

    /// What is there was made under the conditions of what is to be made.
    fn check_made(&self, parts: &Parts) -> Result<()> {
        for fit in self.table.fits().into_iter().filter(|fit| fit.is_made(&self.results)) {
            let found = draws_stamp(&self.results, fit.arm, fit.task, fit.fraction)?;
            let differences = found.differences(&self.stamp(fit.arm.tuning, parts));
            if !differences.is_empty() {
                return Err(Error::Setting {
                    key: self.results.join(fit.arm.folder()).display().to_string(),
                    found: format!("results under other conditions ({})", differences.join("; ")),
                    expected: "the same, or another folder of results".into(),
                });
            }
        }
        Ok(())
    }

    /// The network that a model begins from.
    fn start(&self, arm: Arm, parts: &Parts, device: &Device, note: &mut dyn FnMut(&str)) -> Result<Start> {
        let source = self.source(arm).ok_or_else(|| Error::Setting {
            key: "weights".into(),
            found: format!("none named {}", arm.start()),
            expected: format!("{}=RUN, the folder of a run or a weight file", arm.start()),
        })?;
        let asked: Arch = arm.arch.parse()?;
        let loaded = load_weights(source, Some(asked), self.probe.seed, device)?;
        let asked = AskedPreprocessing { size: self.image_size, ..AskedPreprocessing::default() };
        let mut loaded = asked.apply(loaded, source)?;
        note(&format!("{}: {}", arm.start(), loaded.provenance));
        if source == "random" {
            // Without running statistics its features in eval mode say nothing.
            let (manifest, rows) = (&parts.train.manifest, &parts.train.rows);
            adapt_statistics(&mut loaded.network, manifest, rows, loaded.views, &self.probe)?;
        }
        let pretraining = if self.unchecked_pretraining && loaded.lineage != Lineage::none() {
            note("not checked: whether test patients were among the pretraining images; the results say so");
            Pretraining::Unchecked
        } else {
            parts.check_pretraining(&loaded, note)?
        };
        Ok(Start { network: loaded, pretraining })
    }

    /// All fits of one model, task by task.
    fn make_model(
        &self,
        start: &Start,
        fits: &[Fit],
        parts: &Parts,
        note: &mut dyn FnMut(&str),
    ) -> Result<Vec<NotMade>> {
        let mut not_made = Vec::new();
        for fits in fits.chunk_by(|one, other| one.task == other.task) {
            let features = match self.by_features(fits[0].arm.tuning) {
                false => Ok(None),
                true => self.features(start, &fits[0], parts).map(Some),
            };
            let features = match features {
                Ok(features) => features,
                Err(fault) => {
                    not_made.extend(all_not_made(fits, fault)?);
                    continue;
                }
            };
            for fit in fits {
                match self.make_fit(start, fit, parts, features.as_ref(), note) {
                    Ok(()) => note(&format!("made {}", name(fit))),
                    Err(fault) => not_made.extend(all_not_made(std::slice::from_ref(fit), fault)?),
                }
            }
        }
        Ok(not_made)
    }

    /// Features of a model's rows, once for all fractions.
    fn features(&self, start: &Start, fit: &Fit, parts: &Parts) -> Result<Features> {
        let probe = self.probe_of(fit);
        let (train, test) = (parts.train.labelled(&probe)?, parts.test.labelled(&probe)?);
        let (network, views) = (&start.network.network, start.network.views);
        let features = Features::of(network, views, &train, &test, &probe)?;
        match &parts.valid {
            Some(valid) => features.choosing_on(&valid.labelled(&probe)?, network, views, &probe),
            None => Ok(features),
        }
    }

    fn make_fit(
        &self,
        start: &Start,
        fit: &Fit,
        parts: &Parts,
        features: Option<&Features>,
        note: &mut dyn FnMut(&str),
    ) -> Result<()> {
        let probe = self.probe_of(fit);
        let (train, test) = (parts.train.labelled(&probe)?, parts.test.labelled(&probe)?);
        let draws: Vec<Scores> = match (features, &parts.valid) {
            (Some(features), _) => linear(&train, &test, features, None, &probe)?.outcome.scores,
            (None, Some(valid)) => {
                let valid = valid.labelled(&probe)?;
                let mut watch = |text: &str| note(&format!("{}: {text}", name(fit)));
                let settings = self.settings(fit.arm.tuning);
                fine_tune(&start.network, [&train, &valid, &test], &probe, &settings, &mut watch)?.outcome.scores
            }
            (None, None) => {
                let (found, expected) = ("none".into(), "rows to choose a checkpoint on".into());
                return Err(Error::Setting { key: "validation rows".into(), found, expected });
            }
        }
        .swap_remove(0); // one fraction
        let mut stamp = self.stamp(fit.arm.tuning, parts);
        stamp.pretraining = Some(start.pretraining.to_string());
        write_draws(&self.results.join(fit.arm.folder()), fit.fraction, &draws, &probe.bootstrap, &stamp)
    }

    fn by_features(&self, tuning: Tuning) -> bool {
        tuning == Tuning::Linear && self.linear == LinearProtocol::Standard
    }

    fn probe_of(&self, fit: &Fit) -> ProbeSettings {
        let (tasks, fractions) = (vec![fit.task.to_owned()], vec![fit.fraction]);
        ProbeSettings { tasks, fractions, draws: fit.draws, ..self.probe.clone() }
    }

    fn settings(&self, tuning: Tuning) -> FineTuneSettings {
        let trained = match tuning {
            Tuning::Linear => Trained::Head,
            Tuning::EndToEnd => Trained::All,
        };
        FineTuneSettings { epochs: self.epochs, ..FineTuneSettings::new(trained) }
    }

    fn stamp(&self, tuning: Tuning, parts: &Parts) -> Stamp {
        let protocol = match self.by_features(tuning) {
            true => "linear, standard: eval mode, L2 chosen on valid".to_owned(),
            false => self.settings(tuning).protocol(),
        };
        parts.stamp(&self.probe, protocol)
    }
}

/// The fault as the reason of these fits, unless it would be that of every other, too.
fn all_not_made(fits: &[Fit], fault: Error) -> Result<Vec<NotMade>> {
    if matches!(fault, Error::Device { .. } | Error::Io { .. }) {
        return Err(fault);
    }
    let reason = fault.to_string();
    Ok(fits.iter().map(|&fit| NotMade { fit, reason: reason.clone() }).collect())
}

fn name(fit: &Fit) -> String {
    format!("{}, {}, {} % of the labels", fit.arm, fit.task, (fit.fraction * 1e4).round() / 1e2)
}
