//! Scores of images, labelled or not, by an exported classifier.

use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use backbones::{Classifier, Network};
use cxr_data::{LabelPolicy, Part};
use eval::{Checkpoint, Scores, fold_studies, read_checkpoints, write_predictions_of};
use ndarray::{Array2, s};

use crate::{
    data::{Rows, SCORES, Sources, admitted, patient_source, score_row},
    error::{Error, Result},
    files::{Watch, over},
    shards::ShardPlace,
    study::{
        Study,
        features::{loader, one_view, same_rows},
        finetune::ENSEMBLE,
    },
    weights::{LoadedNetwork, Weights},
};

/// How to score images.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Scoring {
    /// How to treat uncertain and unmentioned labels, if the data has label columns with the classifier's names. Default: the
    /// paper's policy.
    pub policy: LabelPolicy,
    /// Whether to merge the images of a study: highest logit of the study, then sigmoid, then mean over networks. Default: no,
    /// one row per image.
    pub fold_studies: bool,
    /// Whether to use all networks chosen by a fine-tuning with `--checkpoint top10`. Default: only the exported classifier.
    pub ensemble: bool,
}

/// Scores of images by a classifier.
#[derive(Debug)]
pub struct Predicted {
    scores: Scores,
    networks: usize,
    patients_known: bool,
    /// Hash of the table of images.
    data: String,
    /// Which of the rows these are, and the rows of all shards.
    share: Range<usize>,
    all: Vec<eval::Row>,
}

impl Study<'_> {
    /// Computes probabilities for all images of a part, one column per label of the classifier. Labels in the data are
    /// optional; columns with the same names are included.
    ///
    /// # Errors
    /// Weights without a classifier or without the requested ensemble; images that cannot be read; a score that is not finite;
    /// or, if studies are merged, a study whose images have different labels.
    pub fn predict(
        sources: &Sources,
        part: Part,
        weights: &Weights,
        scoring: &Scoring,
        watch: &dyn Watch,
    ) -> Result<Predicted> {
        sources.reading.validate()?;
        let network = weights.load(watch)?;
        let ensemble = match scoring.ensemble {
            true => ensemble(Path::new(&weights.source))?,
            false => Vec::new(),
        };
        let classifier = classifier_of(&network)?;
        let rows = Arc::new(with_labels_of(sources, &network).rows(part, &network.views, watch)?);
        network.lineage.note_known(SCORES, &rows, &sources.listed, watch);
        let patients_known = rows.manifest().patients_known;
        let networks = ensemble.len().max(1);
        if scoring.fold_studies && sources.reading.shard.is_some() {
            let found = "together with a shard, which may hold a part of a study".to_owned();
            return Err(Error::Setting { key: "study maximum".into(), found, expected: "one of the two".into() });
        }
        let scorer = Scorer { network, classifier, ensemble };
        let (scores, all) = scorer.score(&rows, sources, scoring, watch)?;
        let all = if scoring.fold_studies { scores.rows().to_vec() } else { all };
        let share = sources.reading.share(all.len());
        Ok(Predicted { scores, networks, patients_known, data: rows.manifest().hash(), share, all })
    }
}

/// The classifier of exported weights.
///
/// # Errors
/// A backbone without labels.
pub(super) fn classifier_of(network: &LoadedNetwork) -> Result<Classifier<Network>> {
    network.classifier().ok_or_else(|| Error::Setting {
        key: "weights".into(),
        found: format!("{}, which has no scores", network.provenance),
        expected: "an exported classifier, as written to export/ by `moco-cxr linear` and `finetune`".into(),
    })
}

/// The sources with the labels of a classifier asked for. Labels are optional, but words and folders are read as labels only
/// where they are asked for.
pub(super) fn with_labels_of(sources: &Sources, network: &LoadedNetwork) -> Sources {
    let mut asked = sources.clone();
    if asked.read.tasks.is_empty() {
        asked.read.tasks.clone_from(&network.labels);
    }
    asked
}

/// The checkpoints of an ensemble.
fn ensemble(run: &Path) -> Result<Vec<Checkpoint>> {
    let folder: PathBuf = run.join(ENSEMBLE);
    if !folder.is_dir() {
        let expected = "the folder of a fine-tuning with --checkpoint top10".to_owned();
        return Err(Error::Setting { key: run.display().to_string(), found: format!("no {ENSEMBLE}/"), expected });
    }
    Ok(read_checkpoints(&folder)?)
}

struct Scorer {
    network: LoadedNetwork,
    classifier: Classifier<Network>,
    /// Empty if the classifier scores alone.
    ensemble: Vec<Checkpoint>,
}

impl Scorer {
    /// The scores, and the rows of all shards.
    fn score(
        &self,
        rows: &Rows,
        sources: &Sources,
        scoring: &Scoring,
        watch: &dyn Watch,
    ) -> Result<(Scores, Vec<eval::Row>)> {
        let names = &self.network.labels;
        let (admitted, labels) = self.labels(rows, scoring.policy)?;
        let manifest = rows.manifest();
        let all: Vec<_> = admitted.iter().map(|&row| score_row(&manifest.records[row])).collect();
        let share = sources.reading.share(all.len());
        let (admitted, named) = (admitted[share.clone()].to_vec(), all[share.clone()].to_vec());
        let labels = labels.slice(s![share, ..]).to_owned();
        if admitted.is_empty() && sources.reading.shard.is_some() {
            let none = Array2::zeros((0, names.len()));
            return Ok((
                Scores::new(names.clone(), named, labels, none)?.with_patient_source(patient_source(manifest)),
                all,
            ));
        }
        let loader = loader(rows, &admitted, self.network.views, sources.reading, 0)?;
        // The logits of one network, for the rows of the result.
        let logits = |network: &Classifier<Network>| -> eval::Result<Scores> {
            let batches = over(watch, admitted.len(), loader.in_order::<u8>().map(one_view));
            let (logits, came) = eval::predict(network, batches)?;
            same_rows(&came, &admitted).map_err(|fault| eval::Error::Batches(Box::new(fault)))?;
            let scores = Scores::new(names.clone(), named.clone(), labels.clone(), logits)?
                .with_patient_source(patient_source(manifest));
            if scoring.fold_studies { fold_studies(&scores) } else { Ok(scores) }
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
        let none = || Error::Setting { key: "weights".into(), found: "none".into(), expected: "at least one".into() };
        let folded = folded.ok_or_else(none)?;
        let (rows, labels) = (folded.rows().to_vec(), folded.labels().to_owned());
        let scores = Scores::new(names.clone(), rows, labels, probabilities)?;
        Ok((scores.with_patient_source(folded.patient_source()), all))
    }

    /// The rows admitted by the policy, and their targets `[N, T]`; NaN if the data has no such label.
    fn labels(&self, rows: &Rows, policy: LabelPolicy) -> Result<(Vec<usize>, Array2<f64>)> {
        let manifest = rows.manifest();
        let columns: Vec<Option<usize>> =
            self.network.labels.iter().map(|name| manifest.task_indices(&[name]).ok().map(|found| found[0])).collect();
        let known: Vec<usize> = columns.iter().copied().flatten().collect();
        let applied = admitted(rows, &known, policy)?;
        let mut targets = Array2::from_elem((applied.rows.len(), columns.len()), f64::NAN);
        let places = (0..columns.len()).filter(|&task| columns[task].is_some());
        for (task, column) in places.zip(applied.targets.mapv(f64::from).columns()) {
            targets.column_mut(task).assign(&column);
        }
        Ok((applied.rows, targets))
    }
}

impl Predicted {
    /// Probabilities, one row per image or study.
    pub fn scores(&self) -> &Scores {
        &self.scores
    }

    /// Number of networks.
    pub fn networks(&self) -> usize {
        self.networks
    }

    /// Whether the patients of the images are known.
    pub fn patients_known(&self) -> bool {
        self.patients_known
    }

    /// Which part of all rows these are.
    pub fn place(&self) -> ShardPlace {
        ShardPlace { data: self.data.clone(), rows: self.share.clone(), of: self.all.len() }
    }

    /// Writes a new CSV file: path, patient (if known), study, view, `label_TASK`, `score_TASK`.
    ///
    /// # Errors
    /// The file exists, or an I/O error.
    pub fn write(&self, csv: impl AsRef<Path>) -> Result<()> {
        Ok(write_predictions_of(csv.as_ref(), &self.scores, &self.all)?)
    }
}
