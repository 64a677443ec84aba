//! Making what a table lacks: every model that data and weights allow, fit by fit.

use std::{collections::BTreeMap, path::PathBuf};

use backbones::Arch;
use cxr_data::LabelPolicy;
use eval::{Stamp, Trained};

use super::{
    Arm, Fit, Init, PaperTable, Tuning,
    files::{claim, draws_stamp},
};
use crate::{
    data::{Labels, Parts, Sources},
    device::DeviceChoice,
    error::{Error, Result},
    files::Watch,
    study::{Baseline, Conditions, FineTuneSettings, Method, Protocol, Study},
    weights::{LoadedNetwork, Weights},
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
    /// The labelled images, and where checkpoints and penalties are chosen.
    pub sources: Sources,
    /// How to treat uncertain and unmentioned labels.
    pub policy: LabelPolicy,
    /// Rule of the draws, seed, intervals and the like. Fractions and numbers of draws are the table's.
    pub protocol: Protocol,
    /// How linear models are fitted.
    pub linear: LinearProtocol,
    /// Passes over a draw where networks or heads are trained by steps; none for the paper's.
    pub epochs: Option<usize>,
    /// Side of the images in pixels, where weights do not say it.
    pub image_size: Option<usize>,
    /// Where networks compute.
    pub device: DeviceChoice,
}

/// A fit that could not be made.
#[derive(Debug, Clone, PartialEq)]
pub struct NotMade {
    /// Which.
    pub fit: Fit,
    /// Why.
    pub reason: String,
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

    /// Makes all that is missing, see [`Self::make_fits`].
    ///
    /// # Errors
    /// As [`Self::make_fits`].
    pub fn make(&self, watch: &dyn Watch) -> Result<Vec<NotMade>> {
        self.make_fits(&self.missing(), watch)
    }

    /// Makes these fits. Each is written as soon as it is made, so that an interrupted run goes on where it was. A fit that
    /// cannot be made (no weights, a draw of one class) does not keep the others from being made.
    ///
    /// # Errors
    /// Settings out of range, data that cannot be read, a leak, results that were made under other conditions, a device
    /// that fails, what the disk says.
    pub fn make_fits(&self, fits: &[Fit], watch: &dyn Watch) -> Result<Vec<NotMade>> {
        self.training(Tuning::EndToEnd).validate()?;
        if fits.is_empty() {
            return Ok(Vec::new());
        }
        let parts = self.sources.parts(self.protocol.seed, None, watch)?;
        parts.check_draws(self.protocol.draw_rule)?;
        self.check_made(&parts)?;
        let mut not_made = Vec::new();
        for fits in fits.chunk_by(|one, other| one.arm == other.arm) {
            let arm = fits[0].arm;
            let start = self.start(arm, watch).and_then(|start| {
                claim(arm, &self.results, &start.provenance, start.views.size)?;
                Ok(start)
            });
            let made = match start {
                Ok(start) => self.make_model(&start, fits, &parts, watch)?,
                Err(fault) => all_not_made(fits, fault)?,
            };
            made.iter().for_each(|NotMade { fit, reason }| watch.note(&format!("{}: {reason}", name(fit))));
            not_made.extend(made);
        }
        Ok(not_made)
    }

    /// Results that are there were made under the conditions of those to be made.
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
    fn start(&self, arm: Arm, watch: &dyn Watch) -> Result<LoadedNetwork> {
        let source = self.source(arm).ok_or_else(|| Error::Setting {
            key: "weights".into(),
            found: format!("none named {}", arm.start()),
            expected: format!("{}=RUN, the folder of a run or a weight file", arm.start()),
        })?;
        let asked: Arch = arm.arch.parse()?;
        let weights = Weights {
            arch: Some(asked),
            seed: self.protocol.seed,
            image_size: self.image_size,
            device: self.device,
            ..Weights::new(source)
        };
        weights.load(&|text: &str| watch.note(&format!("{}: {text}", arm.start())))
    }

    /// All fits of one model, task by task; features are computed once for all fractions of a task.
    fn make_model(
        &self,
        start: &LoadedNetwork,
        fits: &[Fit],
        parts: &Parts,
        watch: &dyn Watch,
    ) -> Result<Vec<NotMade>> {
        let mut not_made = Vec::new();
        for fits in fits.chunk_by(|one, other| one.task == other.task) {
            for fit in fits {
                let watch = Named { watch, fit };
                match self.make_fit(start, fit, parts, &watch) {
                    Ok(()) => watch.watch.note(&format!("made {}", name(fit))),
                    Err(fault) => not_made.extend(all_not_made(std::slice::from_ref(fit), fault)?),
                }
            }
        }
        Ok(not_made)
    }

    fn make_fit(&self, start: &LoadedNetwork, fit: &Fit, parts: &Parts, watch: &dyn Watch) -> Result<()> {
        let protocol = Protocol { fractions: vec![fit.fraction], draws: fit.draws, ..self.protocol.clone() };
        let labels = self.labels([fit.task]);
        let study = Study::of(parts.clone(), start.clone(), self.sources.reading, &labels, &protocol, watch)?;
        let folder = self.results.join(fit.arm.folder());
        if self.by_features(fit.arm.tuning) {
            study.linear(Baseline::None)?.outcome().write_draws(&folder)
        } else {
            study.fine_tune(&self.training(fit.arm.tuning))?.outcome().write_draws(&folder)
        }
    }

    fn by_features(&self, tuning: Tuning) -> bool {
        tuning == Tuning::Linear && self.linear == LinearProtocol::Standard
    }

    fn labels<const N: usize>(&self, tasks: [&str; N]) -> Labels {
        let mut labels = Labels::new(tasks);
        labels.policy = self.policy;
        labels
    }

    /// How networks or heads are trained by steps.
    fn training(&self, tuning: Tuning) -> FineTuneSettings {
        let trained = match tuning {
            Tuning::Linear => Trained::Head,
            Tuning::EndToEnd => Trained::All,
        };
        FineTuneSettings { epochs: self.epochs, ..FineTuneSettings::new(trained) }
    }

    fn stamp(&self, tuning: Tuning, parts: &Parts) -> Stamp {
        let training = self.training(tuning);
        let method = match self.by_features(tuning) {
            true => Method::Linear { chosen_on_valid: parts.valid().is_some() },
            false => Method::Trained(&training),
        };
        let labels = self.labels([]);
        Conditions { parts, labels: &labels, protocol: &self.protocol }.stamp(method, None)
    }
}

/// Lines about a fit, with its name.
struct Named<'a> {
    watch: &'a dyn Watch,
    fit: &'a Fit,
}

impl Watch for Named<'_> {
    fn note(&self, text: &str) {
        self.watch.note(text);
    }

    fn line(&self, text: &str) {
        self.watch.note(&format!("{}: {text}", name(self.fit)));
    }

    fn progress(&self, done: u64, total: u64) {
        self.watch.progress(done, total);
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
