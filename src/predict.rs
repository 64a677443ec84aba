//! Scores of images, labelled or not, by a classifier that was trained and exported.

use std::path::Path;

use backbones::{Classifier, ImportOptions, Network, WeightFile, import};
use cxr_data::{Dataset, LabelPolicy, Manifest, OnBad, Part};
use eval::{Scores, fold_studies};
use ndarray::{Array2, Axis};

use crate::{
    Error, LoadedNetwork, LoadedPart, ProbeSettings, Result,
    finetune::ENSEMBLE,
    images,
    labelled::{loader, one_view, score_row},
};

/// One or several networks that score images together.
#[derive(Debug)]
pub struct Scorer {
    networks: Vec<Classifier<Network>>,
    loaded: LoadedNetwork,
}

impl Scorer {
    /// The exported classifier itself.
    ///
    /// # Errors
    /// Weights without a classifier.
    pub fn new(loaded: LoadedNetwork) -> Result<Self> {
        let Some(network) = loaded.classifier() else {
            return Err(Error::Setting {
                key: "weights".into(),
                found: format!("{}, which has no scores", loaded.provenance),
                expected: "an exported classifier, as `moco-cxr finetune` leaves it in export/".into(),
            });
        };
        Ok(Self { networks: vec![network], loaded })
    }

    /// All networks that were chosen in a fine-tuning with several (`--checkpoint top10`), whose folder is `run`.
    ///
    /// # Errors
    /// As [`Self::new`]; no such networks there.
    pub fn ensemble(loaded: LoadedNetwork, run: &Path) -> Result<Self> {
        let Self { networks, loaded } = Self::new(loaded)?;
        let folder = run.join(ENSEMBLE);
        let files = files_of(&folder).map_err(Error::io(&folder))?;
        if files.is_empty() {
            let (found, expected) =
                ("no weights".to_owned(), "those of a fine-tuning with --checkpoint top10".to_owned());
            return Err(Error::Setting { key: folder.display().to_string(), found, expected });
        }
        let load = |file: &std::path::PathBuf| {
            Ok(import(&WeightFile::open(file)?, networks[0].clone(), &ImportOptions::strict())?.0)
        };
        let networks = files.iter().map(load).collect::<Result<_>>()?;
        Ok(Self { networks, loaded })
    }

    /// How many networks score.
    pub fn len(&self) -> usize {
        self.networks.len()
    }

    /// Never: there is one at least.
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty()
    }

    /// What its scores mean, in order.
    pub fn labels(&self) -> &[String] {
        &self.loaded.labels
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
        let loader = loader(&part.manifest, &rows, self.loaded.views, settings)?;
        let mut sum: Option<Scores> = None;
        for network in &self.networks {
            let (logits, _) = eval::predict(network, loader.in_order::<u8>().map(one_view))?;
            let mut scores = Scores::new(self.labels().to_vec(), names.clone(), labels.clone(), logits)?;
            if settings.fold_studies {
                scores = fold_studies(&scores)?;
            }
            let share = scores.scores().mapv(|logit| 1.0 / (1.0 + (-logit).exp()) / self.len() as f64);
            let total = match &sum {
                None => share,
                Some(sum) => &sum.scores() + &share,
            };
            let (rows, labels) = (scores.rows().to_vec(), scores.labels().to_owned());
            sum = Some(Scores::new(self.labels().to_vec(), rows, labels, total)?);
        }
        sum.ok_or_else(|| Error::Setting { key: "weights".into(), found: "none".into(), expected: "one".into() })
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
    on_bad: OnBad,
    workers: usize,
    note: &mut dyn FnMut(&str),
) -> Result<LoadedPart> {
    let (manifest, rows) = images::load(dir, dataset, part, on_bad, workers, note)?;
    Ok(LoadedPart { manifest, rows, part })
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

/// Weight files of a folder by name; none where there is no folder.
fn files_of(folder: &Path) -> std::io::Result<Vec<std::path::PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "safetensors") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
