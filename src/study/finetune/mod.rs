//! Training with labels: the paper's fine-tuning, and its linear evaluation, which trains only the head.
//!
//! A network and a new head (or one fitted first by the linear probe) are trained on every draw of every fraction. After each
//! epoch the validation rows are scored; the checkpoints with the best mean AUROC score the test rows.

mod among;
mod finished;
mod images;
mod write;

use std::path::PathBuf;

use backbones::{Classifier, Linear, Network};
use cxr_data::Role;
use eval::{Checkpoint, FineTune, FineTuned, Measured, Scores, SupervisedConfig, mean_auroc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tempfile::TempDir;

use self::{finished::FinishedDraws, images::Images};
use crate::{
    data::{Draws, LabelDraw, Labelled, Lineage, fewer_folds, label_draws},
    error::{Error, Result},
    study::{
        CheckpointChoice, Choosing, FineTuneSettings, Method, Outcome, Study,
        arm::{Features, union},
        export::Exported,
        features::same_rows,
        linear::fit_probe,
        outcome::{check_reported, scores},
    },
    weights::LoadedNetwork,
};

/// Folder of the chosen checkpoints (`eval::read_checkpoints`).
pub(crate) const ENSEMBLE: &str = "ensemble";

/// One training: its data and its measurements on the validation rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainingRun {
    /// Fraction of the training patients.
    pub fraction: f64,
    /// Number of the draw, from 0.
    pub draw: usize,
    /// Labelled images.
    pub images: usize,
    /// Validation images that were scored after each epoch; 0 in files of earlier versions.
    #[serde(default)]
    pub valid_images: usize,
    /// Steps of the checkpoints that score the test rows, best first.
    pub chosen: Vec<u64>,
    /// All measurements in order.
    pub history: Vec<Measurement>,
}

/// A measurement on the validation rows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// Optimizer steps so far.
    pub step: u64,
    /// Epochs done, including the current one.
    pub epoch: usize,
    /// Mean training loss of the epoch.
    pub loss: f64,
    /// Mean AUROC over the tasks on the validation rows.
    pub valid_auroc: f64,
}

/// Results of a fine-tuning. The score of a row is a probability.
#[derive(Debug)]
pub struct FineTuneOutcome {
    outcome: Outcome,
    runs: Vec<TrainingRun>,
    /// The best network of the first draw of the largest fraction.
    model: Classifier<Network>,
    /// The folder of the checkpoints, unless they are in memory.
    folder: Option<Meanwhile>,
    start: LoadedNetwork,
    settings: FineTuneSettings,
    /// Training and validation images, and the images of the initial weights.
    lineage: Lineage,
    exported: Exported,
}

/// The folder of a draw's checkpoints during training.
#[derive(Debug)]
enum Meanwhile {
    /// A temporary folder.
    Temporary(TempDir),
    /// In the folder of finished draws.
    Kept(PathBuf),
}

impl Meanwhile {
    fn path(&self) -> PathBuf {
        match self {
            Self::Temporary(folder) => folder.path().join(ENSEMBLE),
            Self::Kept(folder) => folder.join(ENSEMBLE),
        }
    }
}

impl Study<'_> {
    /// Trains on every draw of every fraction, chooses checkpoints on the validation rows, and evaluates them on the test
    /// rows. Of a large validation part, a draw uses 500 images or two for each of its labelled images, as whole patients. The
    /// score of a row is a probability. If images are merged to studies, a study's score is its highest logit, then the sigmoid,
    /// then the mean over checkpoints, as in the reference.
    ///
    /// Several chosen checkpoints are kept as files in the system's temporary folder, not in memory. Finished draws are kept
    /// in [`FineTuneSettings::unfinished`] and not trained again. The watcher receives a line per epoch.
    ///
    /// # Errors
    /// Settings out of range, no validation rows ([`crate::data::ValidFrom`]) or no task with both classes in them, images
    /// that cannot be read, a loss that is not finite, or a backbone that changed although only the head was to be trained.
    pub fn fine_tune(&self, settings: &FineTuneSettings) -> Result<FineTuneOutcome> {
        self.fine_tune_at(&self.protocol.fractions, self.protocol.draws, settings)
    }

    /// As [`Self::fine_tune`], at other fractions and with another number of draws than those of the protocol.
    pub(crate) fn fine_tune_at(
        &self,
        fractions: &[f64],
        count: usize,
        settings: &FineTuneSettings,
    ) -> Result<FineTuneOutcome> {
        let plan = self.plan(fractions, count, settings)?;
        let Plan { valid, ref draws, .. } = plan;
        let store = settings.unfinished.as_deref();
        let store = store.map(|folder| FinishedDraws::open(folder, &self.identity(valid, settings))).transpose()?;
        let lineage = self.network.lineage.clone().then(Role::Train, Some(self.train.origin()));
        let lineage = lineage.then(Role::Valid, Some(valid.origin()));
        let mut outcome = self.outcome(settings.command(), self.trained(settings));
        let (mut runs, mut model) = (Vec::new(), None);
        let left = plan.places().filter(|place| !store.as_ref().is_some_and(|store| place.is_in(store)));
        let all = All::new(self, settings, &union(left.map(|place| place.draw)))?;
        for (of, (fraction, draws)) in draws.iter().enumerate() {
            if settings.from_linear {
                self.note(fewer_folds(*fraction, draws, plan.wanted));
            }
            self.note(fewer_chosen_on(*fraction, draws, valid));
            let mut model_scores = Vec::new();
            for place in plan.places().filter(|place| place.of == of) {
                let Place { fraction, number, exported, ref name, .. } = place;
                if let Some(found) =
                    store.as_ref().map(|store| store.find(fraction, number, exported)).transpose()?.flatten()
                {
                    self.watch.line(&format!("{name}: finished before"));
                    model_scores.push(found.scores);
                    runs.push(found.run);
                    if let (Some(best), Some(store)) = (found.members.first(), &store) {
                        let folder = Meanwhile::Kept(store.begin(fraction, number)?);
                        model = Some((best.load(all.untrained(number as u64))?, found.members, Some(folder)));
                    }
                    continue;
                }
                let Done { run, scores, tuned, folder } = all.train_and_keep(&place, valid, store.as_ref())?;
                if let (Some(kept), true) = (&settings.unfinished, runs.is_empty()) {
                    self.watch.line(&format!(
                        "finished draws are kept in {}; if interrupted, the same command continues from them",
                        kept.display()
                    ));
                }
                model_scores.push(scores);
                runs.push(run);
                if exported {
                    model = Some((tuned.best()?, tuned.top, folder));
                }
            }
            outcome.push(*fraction, draws, model_scores, None)?;
        }
        let none = || Error::Setting { key: "fraction".into(), found: "none".into(), expected: "at least one".into() };
        let (model, members, folder) = model.ok_or_else(none)?;
        let steps = members.first().map_or(0, |best: &Checkpoint| best.step);
        let (labels, seed) = (self.labels.clone(), self.protocol.seed);
        let (drawn, private) = (self.parts.are_drawn(), self.private);
        let exported = Exported { how: settings.short_name(), steps, labels, seed, drawn, private };
        let (start, settings) = (self.network.clone(), settings.clone());
        Ok(FineTuneOutcome { outcome, runs, model, folder, start, settings, lineage, exported })
    }

    /// Checks what can be checked before the first epoch, and draws the labels.
    fn plan(&self, fractions: &[f64], count: usize, settings: &FineTuneSettings) -> Result<Plan<'_>> {
        settings.validate()?;
        let valid = self.valid.as_deref().ok_or_else(|| Error::Setting {
            key: "validation rows".into(),
            found: "none".into(),
            expected: "validation rows to choose a checkpoint (--valid-data)".into(),
        })?;
        check_valid(valid)?;
        check_reported(&self.test)?;
        let wanted = Draws { count, ..self.protocol.label_draws() };
        let min_folds = if settings.from_linear { 2 } else { 0 };
        let draws = fractions.iter();
        let draws = draws.map(|&fraction| Ok((fraction, label_draws(&self.train, fraction, wanted, min_folds)?)));
        Ok(Plan { valid, wanted, draws: draws.collect::<Result<_>>()? })
    }

    fn trained<'s>(&self, settings: &'s FineTuneSettings) -> Method<'s> {
        Method::Trained { settings, valid: self.parts.valid().map_or(0, |valid| valid.readable().len()) }
    }

    /// Everything that must be equal for a finished draw to be reused.
    fn identity(&self, valid: &Labelled, settings: &FineTuneSettings) -> Value {
        let data = [&*self.train, valid, &*self.test]
            .map(|part| format!("{} images of {}", part.rows().len(), part.manifest().hash()));
        let mut identity = json!({
            "weights": self.network.provenance,
            "image_size": self.network.views.size,
            "tasks": self.labels.tasks,
            "label_policy": self.labels.policy.to_string(),
            "label_draws": self.protocol.draw_rule.to_string(),
            "studies": self.labels.fold_studies,
            "seed": self.protocol.seed,
            "training": self.trained(settings).to_string(),
            "data": data,
        });
        if settings.from_linear {
            identity["folds"] = self.protocol.folds.into();
        }
        identity
    }
}

/// The draws of a fine-tuning.
struct Plan<'a> {
    /// The rows that choose checkpoints.
    valid: &'a Labelled,
    wanted: Draws,
    /// Of every fraction.
    draws: Vec<(f64, Vec<LabelDraw>)>,
}

/// One draw of a fine-tuning.
struct Place<'p> {
    /// Number of the fraction.
    of: usize,
    fraction: f64,
    number: usize,
    draw: &'p LabelDraw,
    /// Whether its network is the one that is exported: that of the first draw of the largest fraction.
    exported: bool,
    /// In words.
    name: String,
}

impl Plan<'_> {
    /// All draws, in order.
    fn places(&self) -> impl Iterator<Item = Place<'_>> {
        let largest = self.draws.iter().map(|(fraction, _)| *fraction).fold(0.0, f64::max);
        self.draws.iter().enumerate().flat_map(move |(of, (fraction, draws))| {
            draws.iter().enumerate().map(move |(number, draw)| Place {
                of,
                fraction: *fraction,
                number,
                draw,
                exported: *fraction == largest && number == 0,
                name: format!("fraction {fraction}, draw {} of {}", number + 1, draws.len()),
            })
        })
    }
}

impl Place<'_> {
    fn is_in(&self, store: &FinishedDraws) -> bool {
        store.has(self.fraction, self.number, self.exported)
    }
}

/// A draw that has been trained on.
struct Done {
    run: TrainingRun,
    scores: Scores,
    tuned: FineTuned<Network>,
    /// Of its checkpoints, unless they are in memory.
    folder: Option<Meanwhile>,
}

impl Measurement {
    fn of(measured: &Measured) -> Self {
        let &Measured { step, epoch, loss, auroc } = measured;
        Self { step, epoch: epoch + 1, loss, valid_auroc: auroc }
    }
}

/// A note if a draw chooses its checkpoint on fewer validation rows than there are.
fn fewer_chosen_on(fraction: f64, draws: &[LabelDraw], valid: &Labelled) -> Option<String> {
    let labelled = draws.iter().map(|draw| draw.places.len()).max()?;
    let all = valid.rows().len();
    (Choosing::most(labelled) < all).then(|| {
        let most = Choosing::most(labelled);
        format!("fraction {fraction}: checkpoints are chosen on about {most} of {all} validation images, as {labelled} are labelled")
    })
}

/// Checks before the first epoch that some task has both classes, without which no checkpoint can be chosen.
fn check_valid(valid: &Labelled) -> Result<()> {
    let counts = &valid.counts().counts;
    if (0..counts.len()).any(|task| has_both(valid, task)) {
        return Ok(());
    }
    let images = valid.rows().len();
    let found =
        format!("no task with positive and negative labels in {images} images ({})", valid.labels().tasks.join(", "));
    let expected = "both classes in at least one task, to choose a checkpoint by AUROC".to_owned();
    Err(Error::Setting { key: "validation labels".into(), found, expected })
}

fn has_both(labelled: &Labelled, task: usize) -> bool {
    let targets = labelled.targets();
    [0.0, 1.0].iter().all(|class| targets.column(task).iter().any(|target| target == class))
}

/// Data and settings shared by all trainings of a fine-tuning.
struct All<'a> {
    study: &'a Study<'a>,
    settings: &'a FineTuneSettings,
    train: Images<'a>,
    test: Images<'a>,
    /// Features of the rows of all draws, for the initial head.
    features: Option<Features>,
}

impl<'a> All<'a> {
    fn new(study: &'a Study<'a>, settings: &'a FineTuneSettings, drawn: &[usize]) -> Result<Self> {
        let Study { network, train, test, reading, watch, .. } = study;
        let images = |part: &'a Labelled| Images::new(part, network.views, *reading, *watch);
        // Of draws that are finished no head has to be fitted again.
        let features = match settings.from_linear && !drawn.is_empty() {
            true => Some(study.own_features(drawn)?),
            false => None,
        };
        Ok(Self { study, settings, train: images(train)?, test: images(test)?, features })
    }

    fn images<'b>(&'b self, part: &'b Labelled) -> Result<Images<'b>> {
        Images::new(part, self.study.network.views, self.study.reading, self.study.watch)
    }

    /// Trains on a draw and scores the test rows. The result is kept in the folder of finished draws, if there is one.
    fn train_and_keep(&self, place: &Place<'_>, valid: &Labelled, store: Option<&FinishedDraws>) -> Result<Done> {
        let &Place { fraction, number, draw, exported, ref name, .. } = place;
        let folder = match store {
            Some(store) => Some(Meanwhile::Kept(store.begin(fraction, number)?)),
            None if self.settings.checkpoint == CheckpointChoice::Top10 => Some(Meanwhile::Temporary(temporary()?)),
            None => None,
        };
        let chosen_on = valid.at(&Choosing::places(valid, draw.places.len(), self.study.protocol.seed));
        let tuned = self.train(draw, number, name, folder.as_ref(), &self.images(&chosen_on)?)?;
        let scores = self.test_scores(&tuned)?;
        let history = tuned.history.iter().map(Measurement::of).collect();
        let chosen = tuned.top.iter().map(|checkpoint| checkpoint.step).collect();
        let (images, valid_images) = (draw.places.len(), chosen_on.rows().len());
        let run = TrainingRun { fraction, draw: number, images, valid_images, chosen, history };
        if let Some(store) = store {
            store.keep(&run, &scores, exported)?;
        }
        Ok(Done { run, scores, tuned, folder })
    }

    fn train(
        &self,
        draw: &LabelDraw,
        number: usize,
        name: &str,
        folder: Option<&Meanwhile>,
        valid: &Images<'_>,
    ) -> Result<FineTuned<Network>> {
        if draw.places.len() < 2 {
            let found = format!("{} labelled images ({name})", draw.places.len());
            let expected = "at least 2, for a batch variance".to_owned();
            return Err(Error::Setting { key: "fraction".into(), found, expected });
        }
        // Every draw has its own head, order and crops.
        let seed = self.study.protocol.seed.wrapping_mul(1_000_003).wrapping_add(number as u64);
        let model = Classifier::new(
            self.study.network.network.clone(),
            self.head(draw, seed)?,
            self.study.network.config.arch.head_name(),
        );
        let Self { study, settings, train, .. } = self;
        let training = SupervisedConfig { trained: settings.trained, lr: settings.lr }.init(&model)?;
        let epochs = settings.epochs_for(draw.places.len());
        let config = FineTune { keep: settings.checkpoint.keep(), ..FineTune::new(epochs) };
        let mut done = 0;
        let batches = |epoch| match train.epoch(&draw.places, epoch, seed, settings.batch_size) {
            Ok(batches) => Box::new(batches.map(|batch| batch.map_err(Error::from))) as Box<dyn Iterator<Item = _>>,
            Err(fault) => Box::new(std::iter::once(Err(fault))),
        };
        let validate = |model: &Classifier<Network>| {
            let auroc = mean_auroc(&logits(model, valid).map_err(inner)?)?;
            done += 1;
            study.watch.line(&format!("{name}, epoch {done} of {epochs}: AUROC {auroc:.3} on validation rows"));
            Ok(auroc)
        };
        Ok(match folder {
            Some(folder) => config.run_in(&folder.path(), training, batches, validate)?,
            None => config.run(training, batches, validate)?,
        })
    }

    /// A classifier with the shapes of a trained one, to load a checkpoint into.
    fn untrained(&self, seed: u64) -> Classifier<Network> {
        let (config, network) = (&self.study.network.config, &self.study.network.network);
        let head = config.init_classifier(self.study.labels.tasks.len(), seed, &self.study.network.device()).head;
        Classifier::new(network.clone(), head, config.arch.head_name())
    }

    /// The initial head: torchvision's initialization, or a linear probe on this draw.
    fn head(&self, draw: &LabelDraw, seed: u64) -> Result<Linear> {
        let tasks = self.study.labels.tasks.len();
        let device = self.study.network.device();
        match &self.features {
            None => Ok(self.study.network.config.init_classifier(tasks, seed, &device).head),
            Some(features) => {
                let probe = fit_probe(features, None, draw, &self.study.protocol, self.study.watch)?;
                Ok(probe.head(&device))
            }
        }
    }

    /// Probabilities of the test rows (or studies), by the chosen checkpoints of a training.
    fn test_scores(&self, tuned: &FineTuned<Network>) -> Result<Scores> {
        let mut rows = None;
        let probabilities = tuned.ensemble(|model| {
            let folded = logits(model, &self.test).map_err(inner)?;
            let scores = folded.scores().to_owned();
            rows = Some(folded);
            Ok(scores)
        })?;
        let none =
            || Error::Setting { key: "epochs".into(), found: "no network".into(), expected: "at least 1".into() };
        let rows = rows.ok_or_else(none)?;
        let scores = Scores::new(rows.tasks().to_vec(), rows.rows().to_vec(), rows.labels().to_owned(), probabilities)?;
        Ok(scores.with_patient_source(rows.patient_source()))
    }
}

fn temporary() -> Result<TempDir> {
    TempDir::with_prefix("moco-cxr-").map_err(Error::io(std::env::temp_dir()))
}

/// Logits of the rows (or studies) of a part, in eval mode.
fn logits(model: &Classifier<Network>, images: &Images<'_>) -> Result<Scores> {
    let (logits, came) = eval::predict(model, images.in_order()?)?;
    same_rows(&came, images.labelled().rows())?;
    scores(images.labelled(), &logits)
}

/// Wraps an error of this crate to pass it through a function of `eval`.
fn inner(fault: Error) -> eval::Error {
    match fault {
        Error::Eval(fault) => fault,
        other => eval::Error::Batches(Box::new(other)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn finished_draws_of_earlier_versions_are_read() {
        let text = "fraction = 0.1\ndraw = 0\nimages = 20\nchosen = [4]\nhistory = []\n";
        let run: TrainingRun = toml::from_str(text).unwrap();
        assert_eq!((run.images, run.valid_images), (20, 0));
    }
}
