//! Scores of images, labelled or not, by a classifier that was trained and exported.

use std::path::Path;

use backbones::{Classifier, Network};
use cxr_data::{Dataset, LabelPolicy, LoadOptions, Manifest, Part, ViewConfig};
use eval::{Checkpoint, Scores, fold_studies};
use ndarray::{Array2, Axis};

use crate::{
    data::{LoadedPart, loader, one_view, patient_source, same_rows, score_row},
    error::{Error, Result},
    study::{ENSEMBLE, ProbeSettings},
    weights::LoadedNetwork,
};

/// One or several networks that score images together.
#[derive(Debug)]
pub struct Scorer {
    classifier: Classifier<Network>,
    /// The networks of an ensemble, read one after the other; none for the classifier alone.
    ensemble: Vec<Checkpoint>,
    labels: Vec<String>,
    views: ViewConfig,
}

impl Scorer {
    /// The exported classifier itself.
    ///
    /// # Errors
    /// Weights without a classifier.
    pub fn new(loaded: LoadedNetwork) -> Result<Self> {
        let Some(classifier) = loaded.classifier() else {
            return Err(Error::Setting {
                key: "weights".into(),
                found: format!("{}, which has no scores", loaded.provenance),
                expected: "an exported classifier, as `moco-cxr linear` and `finetune` leave it in export/".into(),
            });
        };
        Ok(Self { classifier, ensemble: Vec::new(), labels: loaded.labels, views: loaded.views })
    }

    /// All networks that were chosen in a fine-tuning with several (`--checkpoint top10`), whose folder is `run`.
    ///
    /// # Errors
    /// As [`Self::new`]; no such networks there.
    pub fn ensemble(loaded: LoadedNetwork, run: &Path) -> Result<Self> {
        let alone = Self::new(loaded)?;
        let folder = run.join(ENSEMBLE);
        if !folder.is_dir() {
            let expected = "the folder of a fine-tuning with --checkpoint top10".to_owned();
            return Err(Error::Setting { key: run.display().to_string(), found: format!("no {ENSEMBLE}/"), expected });
        }
        Ok(Self { ensemble: eval::read_checkpoints(&folder)?, ..alone })
    }

    /// How many networks score.
    pub fn networks(&self) -> usize {
        self.ensemble.len().max(1)
    }

    /// What its scores mean, in order.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// Probabilities of the images of a part, one column a label. The data's own labels stand beside them where it has a
    /// column of that name; they are not needed. `settings` say batch size, workers, label policy, and whether images are
    /// folded to studies: the highest logit of a study before the sigmoid, the sigmoid before the mean over networks.
    ///
    /// # Errors
    /// Images that cannot be read, a score that is not finite; with folding, views of a study that are labelled differently.
    pub fn score(&self, part: &LoadedPart, settings: &ProbeSettings) -> Result<Scores> {
        let (rows, labels) = labels_of(&part.manifest, &part.rows, self.labels(), settings.policy)?;
        if rows.is_empty() {
            let found = format!("no image of {} that the label policy admits", part.manifest.root.display());
            return Err(Error::Setting { key: "data".into(), found, expected: "at least one".into() });
        }
        let names: Vec<_> = rows.iter().map(|&row| score_row(&part.manifest.records[row])).collect();
        let loader = loader(&part.manifest, &rows, self.views, settings)?;
        // Rows as they are reported, with one network's logits.
        let logits = |network: &Classifier<Network>| -> eval::Result<Scores> {
            let batches = settings.watch.over(loader.in_order::<u8>().map(one_view), rows.len());
            let (logits, came) = eval::predict(network, batches)?;
            same_rows(&came, &rows).map_err(|fault| eval::Error::Batches(Box::new(fault)))?;
            let scores = Scores::new(self.labels.clone(), names.clone(), labels.clone(), logits)?
                .with_patient_source(patient_source(&part.manifest));
            if settings.fold_studies { fold_studies(&scores) } else { Ok(scores) }
        };
        let mut folded = None;
        let probabilities = if self.ensemble.is_empty() {
            let scores = folded.insert(logits(&self.classifier)?);
            scores.scores().mapv(|logit| 1.0 / (1.0 + (-logit).exp()))
        } else {
            eval::ensemble(&self.classifier, &self.ensemble, |network| {
                Ok(folded.insert(logits(network)?).scores().to_owned())
            })?
        };
        let none = || Error::Setting { key: "weights".into(), found: "none".into(), expected: "one at least".into() };
        let folded = folded.ok_or_else(none)?;
        let (rows, labels) = (folded.rows().to_vec(), folded.labels().to_owned());
        Ok(Scores::new(self.labels.clone(), rows, labels, probabilities)?.with_patient_source(folded.patient_source()))
    }
}

/// A part of a data set, with labels or without, every image of it readable.
///
/// # Errors
/// Data that cannot be read.
pub fn load_images(
    dir: &Path,
    dataset: Dataset,
    part: Part,
    options: &LoadOptions,
    workers: usize,
    note: &mut dyn FnMut(&str),
) -> Result<LoadedPart> {
    crate::data::load(dir, dataset, part, options, workers, note)
}

/// The rows that the policy admits, and their targets `[N, T]`; NaN where the data has no such label.
fn labels_of(
    manifest: &Manifest,
    readable: &[usize],
    names: &[String],
    policy: LabelPolicy,
) -> Result<(Vec<usize>, Array2<f64>)> {
    let columns: Vec<Option<usize>> =
        names.iter().map(|name| manifest.task_indices(&[name]).ok().map(|found| found[0])).collect();
    let known: Vec<usize> = columns.iter().copied().flatten().collect();
    let applied = policy.apply(manifest, &known)?;
    let keep: Vec<usize> =
        (0..applied.rows.len()).filter(|&i| readable.binary_search(&applied.rows[i]).is_ok()).collect();
    let mut targets = Array2::from_elem((keep.len(), names.len()), f64::NAN);
    let found = applied.targets.select(Axis(0), &keep).mapv(f64::from);
    let places = (0..names.len()).filter(|&task| columns[task].is_some());
    for (task, column) in places.zip(found.columns()) {
        targets.column_mut(task).assign(&column);
    }
    Ok((keep.iter().map(|&i| applied.rows[i]).collect(), targets))
}
