//! Computes the missing results of a table, fit by fit.

use std::{collections::BTreeMap, path::PathBuf};

use backbones::Arch;
use cxr_data::LabelPolicy;
use eval::{Stamp, Trained};

use super::{
    Arm, Fit, Init, PaperTable, Tuning,
    files::{claim, draws_folder, draws_stamp},
};
use crate::{
    data::{Labels, Parts, Pretraining, Sources},
    device::DeviceChoice,
    error::{Error, Result},
    files::{Claim, Watch},
    study::{Baseline, Conditions, FineTuneSettings, Method, Protocol, Study, adapt_statistics, check_pretraining},
    weights::{LoadedNetwork, Weights},
};

/// How linear models are fitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LinearProtocol {
    /// As in the paper: Adam, fixed epochs, batch norm in train mode, checkpoint chosen on validation rows.
    #[default]
    Faithful,
    /// Fitted to convergence on features in eval mode, penalty chosen on validation rows.
    Standard,
}

/// Settings for computing the results of a table.
#[derive(Debug, Clone)]
pub struct Reproduction {
    /// The table.
    pub table: PaperTable,
    /// Folder of results. Existing results are kept and must have been computed under the same conditions.
    pub results: PathBuf,
    /// Sources of the initial weights, as for [`load_weights`](crate::load_weights), by name ([`Arm::start`]). ImageNet
    /// weights default to `imagenet`.
    pub weights: BTreeMap<String, String>,
    /// The labelled images, including the validation rows for choosing checkpoints and penalties.
    pub sources: Sources,
    /// How to treat uncertain and unmentioned labels.
    pub policy: LabelPolicy,
    /// Rule of the draws, seed, intervals and so on. Fractions and numbers of draws are replaced by those of the table.
    pub protocol: Protocol,
    /// How linear models are fitted.
    pub linear: LinearProtocol,
    /// Epochs for models trained by gradient steps. `None`: the paper's number.
    pub epochs: Option<usize>,
    /// Side of the images in pixels, for weights that do not specify it.
    pub image_size: Option<usize>,
    /// Device of the networks.
    pub device: DeviceChoice,
    /// Folder of features kept between fits and commands ([`Study::with_features_kept_in`]).
    pub features: Option<PathBuf>,
}

/// A fit that could not be computed.
#[derive(Debug, Clone, PartialEq)]
pub struct NotMade {
    /// The fit.
    pub fit: Fit,
    /// The reason.
    pub reason: String,
}

impl Reproduction {
    /// Source of a model's initial weights, as for [`load_weights`](crate::load_weights); `None` if not given.
    pub fn source(&self, arm: Arm) -> Option<&str> {
        let named = self.weights.get(&arm.start()).map(String::as_str);
        named.or((arm.init == Init::ImageNet).then_some("imagenet"))
    }

    /// The fits of the table that are missing in the folder of results.
    pub fn missing(&self) -> Vec<Fit> {
        self.table.fits().into_iter().filter(|fit| !fit.is_made(&self.results)).collect()
    }

    /// Computes all missing fits, see [`Self::make_fits`].
    ///
    /// # Errors
    /// As [`Self::make_fits`].
    pub fn make(&self, watch: &dyn Watch) -> Result<Vec<NotMade>> {
        self.make_fits(&self.missing(), watch)
    }

    /// Computes these fits. Each is written as soon as it is finished, so that an interrupted run can be continued. If a fit
    /// fails (no weights, a draw with only one class), the others are still computed.
    ///
    /// # Errors
    /// Settings out of range, data that cannot be read, a leak, existing results with other conditions, a device error, or an
    /// I/O error.
    pub fn make_fits(&self, fits: &[Fit], watch: &dyn Watch) -> Result<Vec<NotMade>> {
        self.training(Tuning::EndToEnd).validate()?;
        if fits.is_empty() {
            return Ok(Vec::new());
        }
        // Only fits of the table that are missing: nothing else may count as one of them later.
        let missing = self.missing();
        let fits: Vec<Fit> = fits.iter().copied().filter(|fit| missing.contains(fit)).collect();
        let parts = self.opened(&fits, watch)?;
        self.make_of(&fits, &parts, watch)
    }

    /// The parts of the data, under whose conditions existing results were made.
    pub(super) fn opened(&self, fits: &[Fit], watch: &dyn Watch) -> Result<Parts> {
        // Images are kept, or taken from a cache, as the first model wants them.
        let views = fits.first().and_then(|fit| self.start(fit.arm, &()).ok()).map(|start| start.views);
        let parts = self.sources.parts(self.protocol.seed, views.as_ref(), watch)?;
        parts.check_draws(self.protocol.draw_rule)?;
        self.check_made(&parts)?;
        Ok(parts)
    }

    /// Computes fits that are missing, model by model.
    pub(super) fn make_of(&self, fits: &[Fit], parts: &Parts, watch: &dyn Watch) -> Result<Vec<NotMade>> {
        let mut not_made = Vec::new();
        for fits in fits.chunk_by(|one, other| one.arm == other.arm) {
            let arm = fits[0].arm;
            let made = match self.checked(arm, parts, watch) {
                Ok((start, pretraining)) => self.make_model((&start, pretraining), fits, parts, watch)?,
                Err(fault) => all_not_made(fits, fault)?,
            };
            made.iter().for_each(|NotMade { fit, reason }| watch.note(&format!("{}: {reason}", name(fit))));
            not_made.extend(made);
        }
        Ok(not_made)
    }

    /// Checks that existing results have the conditions of this reproduction.
    fn check_made(&self, parts: &Parts) -> Result<()> {
        for fit in self.table.fits().into_iter().filter(|fit| fit.is_made(&self.results)) {
            let found = draws_stamp(&self.results, fit.arm, fit.task, fit.fraction)?;
            let differences = found.differences(&self.stamp(fit.arm.tuning, parts));
            if !differences.is_empty() {
                return Err(Error::Setting {
                    key: self.results.join(fit.arm.folder()).display().to_string(),
                    found: format!("results under other conditions ({})", differences.join("; ")),
                    expected: "the same conditions, or another folder of results".into(),
                });
            }
        }
        Ok(())
    }

    /// Loads the initial weights of a model.
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

    /// The initial weights of a model, checked against the parts, once for all its tasks. Random ones that are trained on get
    /// running statistics of the training images, without which their features in eval mode say nothing; for features every
    /// network gets them later. Then the folder of the model is taken.
    pub(super) fn checked(&self, arm: Arm, parts: &Parts, watch: &dyn Watch) -> Result<(LoadedNetwork, Pretraining)> {
        let mut start = self.start(arm, watch)?;
        if start.is_raw() && !self.by_features(arm.tuning) {
            let mut network = start.network().clone();
            let (reading, seed) = (self.sources.reading, self.protocol.seed);
            adapt_statistics(&mut network, parts.train(), start.views, reading, seed, watch)?;
            start = start.adapted(network);
        }
        let pretraining = check_pretraining(parts, &start, &self.protocol, &self.sources.listed, watch)?;
        claim(arm, &self.results, &start.provenance, start.views.size)?;
        Ok((start, pretraining))
    }

    /// All fits of one model, task by task; the features of a task are computed once for all its fractions.
    fn make_model(
        &self,
        (start, pretraining): (&LoadedNetwork, Pretraining),
        fits: &[Fit],
        parts: &Parts,
        watch: &dyn Watch,
    ) -> Result<Vec<NotMade>> {
        let mut not_made = Vec::new();
        for fits in fits.chunk_by(|one, other| one.task == other.task) {
            let watch = Named { watch, fit: &fits[0] };
            let labels = self.labels([fits[0].task]);
            let opened = (parts.clone(), start.clone(), pretraining);
            let study = match Study::of(opened, self.sources.reading, &labels, &self.protocol, &watch) {
                Ok(study) => match &self.features {
                    Some(folder) => study.with_features_kept_in(folder),
                    None => study,
                },
                Err(fault) => {
                    not_made.extend(all_not_made(fits, fault)?);
                    continue;
                }
            };
            for fit in fits {
                match self.make_fit(&study, fit) {
                    Ok(()) => watch.note(&format!("made {}", name(fit))),
                    Err(fault) => not_made.extend(all_not_made(std::slice::from_ref(fit), fault)?),
                }
            }
        }
        Ok(not_made)
    }

    fn make_fit(&self, study: &Study<'_>, fit: &Fit) -> Result<()> {
        let folder = self.results.join(fit.arm.folder());
        // Another table, or another process, may be making it; then it is not made twice.
        let _claim = Claim::folder(&draws_folder(&self.results, fit.arm, fit.task, fit.fraction))?;
        let (fractions, draws) = ([fit.fraction], fit.draws);
        if self.by_features(fit.arm.tuning) {
            study.linear_at(&fractions, draws, Baseline::None)?.outcome().write_draws(&folder)
        } else {
            let training = self.training(fit.arm.tuning);
            study.fine_tune_at(&fractions, draws, &training)?.outcome().write_draws(&folder)
        }
    }

    pub(super) fn by_features(&self, tuning: Tuning) -> bool {
        tuning == Tuning::Linear && self.linear == LinearProtocol::Standard
    }

    fn labels<const N: usize>(&self, tasks: [&str; N]) -> Labels {
        let mut labels = Labels::new(tasks);
        labels.policy = self.policy;
        labels
    }

    /// Settings of models trained by gradient steps.
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
            true => Method::Linear { chosen_on_valid: parts.valid().is_some(), statistics: self.protocol.statistics },
            false => {
                Method::Trained { settings: &training, valid: parts.valid().map_or(0, |valid| valid.readable().len()) }
            }
        };
        let labels = self.labels([]);
        Conditions { parts, labels: &labels, protocol: &self.protocol }.stamp(method, None)
    }
}

/// Passes lines on with model and task; they name the fraction themselves.
struct Named<'a> {
    watch: &'a dyn Watch,
    fit: &'a Fit,
}

impl Watch for Named<'_> {
    fn note(&self, text: &str) {
        self.watch.note(text);
    }

    fn line(&self, text: &str) {
        self.watch.note(&format!("{}, {}: {text}", self.fit.arm, self.fit.task));
    }

    fn progress(&self, done: u64, total: u64) {
        self.watch.progress(done, total);
    }

    fn alive(&self) {
        self.watch.alive();
    }
}

/// Records the error as the reason for these fits, or returns it if it would affect all other fits too.
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
