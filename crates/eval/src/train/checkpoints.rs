//! The best networks of a training run by their AUROC on validation rows, kept on the host or in a folder.
//!
//! A folder of checkpoints is written under a temporary name and renamed when the run is done, so that a killed run
//! leaves none:
//!
//! ```text
//! checkpoints/
//!   checkpoints.json             [{"step": 24, "auroc": 0.91, "file": "step-00000024.safetensors"}, ...], best first
//!   step-00000024.safetensors    backbone and head under torchvision's names
//! ```

use std::path::{Path, PathBuf};

use backbones::{
    Backbone, Classifier, ImportOptions, StateDict, WeightFile, import, load_state_dict, safetensors_bytes,
};
use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::files::write_new;

const INDEX: &str = "checkpoints.json";

/// One network of a run.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    /// Steps taken when it was measured.
    pub step: u64,
    /// Mean AUROC on the validation rows.
    pub auroc: f64,
    weights: Weights,
}

#[derive(Debug, Clone)]
enum Weights {
    Host(StateDict),
    File(PathBuf),
}

impl Checkpoint {
    /// Replaces the tensors of `model`, which must have the same names and shapes.
    ///
    /// # Errors
    /// A missing or damaged file; tensors that are missing, left over or of another shape.
    pub fn load<B: Backbone>(&self, model: Classifier<B>) -> Result<Classifier<B>> {
        match &self.weights {
            Weights::Host(dict) => Ok(load_state_dict(model, dict)?),
            Weights::File(path) => Ok(import(&WeightFile::open(path)?, model, &ImportOptions::strict())?.0),
        }
    }

    /// Its weight file, if it is kept in a folder.
    pub fn file(&self) -> Option<&Path> {
        match &self.weights {
            Weights::Host(_) => None,
            Weights::File(path) => Some(path),
        }
    }
}

/// A line of `checkpoints.json`.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    step: u64,
    auroc: f64,
    file: String,
}

/// The checkpoints of a folder that [`FineTune::run_in`](crate::FineTune::run_in) wrote, best first. Tensors are read when
/// a checkpoint is loaded.
///
/// # Errors
/// No such folder (the run was not finished), no checkpoints in it, or an index that names missing files.
pub fn read_checkpoints(folder: &Path) -> Result<Vec<Checkpoint>> {
    let path = folder.join(INDEX);
    // A line a checkpoint.
    let text = ::tables::read_within(&path, 16_000_000, "a list of checkpoints").map_err(io(&path))?;
    let fault = |source| Error::Json { path: path.clone(), source };
    let entries: Vec<Entry> = serde_json::from_slice(&text).map_err(fault)?;
    if entries.is_empty() {
        return Err(Error::EmptyFile { path, what: "no checkpoint in it" });
    }
    let checkpoint = |entry: Entry| {
        // Only the file name, so that no entry leads out of the folder.
        let file = folder.join(Path::new(&entry.file).file_name().unwrap_or_default());
        std::fs::metadata(&file).map_err(io(&file))?;
        Ok(Checkpoint { step: entry.step, auroc: entry.auroc, weights: Weights::File(file) })
    };
    entries.into_iter().map(checkpoint).collect()
}

/// The mean of the probabilities of several networks, as the reference averages them
/// (`chexpert-model/predict/ensemble_predict.py`). `model` gives the architecture; its own tensors are not used.
///
/// `logits` scores the rows with one network. If studies are reported, it must fold rows to studies: for each network
/// the reference takes the maximum over views, then the sigmoid, and then the mean over networks.
///
/// # Shapes
/// - `logits` gives `[N, T]` each time; returns probabilities `[N, T]`
///
/// # Errors
/// No checkpoints; one that does not fit; any error of `logits`; shapes that differ between networks.
pub fn ensemble<B: Backbone>(
    model: &Classifier<B>,
    checkpoints: &[Checkpoint],
    mut logits: impl FnMut(&Classifier<B>) -> Result<Array2<f64>>,
) -> Result<Array2<f64>> {
    let mut sum: Option<Array2<f64>> = None;
    for checkpoint in checkpoints {
        let probabilities = logits(&checkpoint.load(model.clone())?)?.mapv(sigmoid);
        sum = Some(match sum {
            None => probabilities,
            Some(sum) if sum.dim() == probabilities.dim() => sum + probabilities,
            Some(sum) => {
                let (found, expected) = (probabilities.len(), sum.len());
                return Err(Error::Length { what: "scores of a network of the ensemble", found, expected });
            }
        });
    }
    let none = || Error::Setting { name: "ensemble", found: "no networks".to_owned(), expected: "at least one" };
    Ok(sum.ok_or_else(none)? / checkpoints.len() as f64)
}

fn sigmoid(z: f64) -> f64 {
    1.0 / (1.0 + (-z).exp())
}

/// The best few checkpoints while a run goes on, best first.
#[derive(Debug)]
pub(super) struct TopCheckpoints {
    keep: usize,
    kept: Vec<Checkpoint>,
    folder: Option<Unfinished>,
}

impl TopCheckpoints {
    /// On the host.
    pub(super) fn new(keep: usize) -> Self {
        Self { keep, kept: Vec::new(), folder: None }
    }

    /// In a folder that must not exist yet.
    pub(super) fn in_folder(keep: usize, folder: &Path) -> Result<Self> {
        Ok(Self { folder: Some(Unfinished::create(folder)?), ..Self::new(keep) })
    }

    /// Keeps a network if it is among the best; of equals the earlier. `weights` is only called for one that is kept.
    pub(super) fn offer(&mut self, step: u64, auroc: f64, weights: impl FnOnce() -> Result<StateDict>) -> Result<()> {
        let place = self.kept.partition_point(|kept| kept.auroc >= auroc);
        if place >= self.keep {
            return Ok(());
        }
        let weights = match &self.folder {
            None => Weights::Host(weights()?),
            Some(folder) => {
                let path = folder.temporary.join(file_name(step));
                write_new(&path, &safetensors_bytes(&weights()?, step)?)?;
                Weights::File(path)
            }
        };
        self.kept.insert(place, Checkpoint { step, auroc, weights });
        for dropped in self.kept.drain(self.keep.min(self.kept.len())..) {
            if let Some(file) = dropped.file() {
                std::fs::remove_file(file).map_err(io(file))?;
            }
        }
        Ok(())
    }

    /// The best ones; renames the folder.
    pub(super) fn finish(self) -> Result<Vec<Checkpoint>> {
        let Some(folder) = self.folder else { return Ok(self.kept) };
        let entry = |kept: &Checkpoint| Entry { step: kept.step, auroc: kept.auroc, file: file_name(kept.step) };
        let entries: Vec<Entry> = self.kept.iter().map(entry).collect();
        let index = folder.temporary.join(INDEX);
        let fault = |source| Error::Json { path: index.clone(), source };
        write_new(&index, serde_json::to_string_pretty(&entries).map_err(fault)?.as_bytes())?;
        read_checkpoints(&folder.rename()?)
    }
}

fn file_name(step: u64) -> String {
    format!("step-{step:08}.safetensors")
}

/// A folder under a temporary name, removed unless it is finished.
#[derive(Debug)]
struct Unfinished {
    folder: PathBuf,
    temporary: PathBuf,
}

impl Unfinished {
    fn create(folder: &Path) -> Result<Self> {
        if folder.exists() {
            return Err(Error::Exists { path: folder.to_owned() });
        }
        let mut name = folder.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.tmp", std::process::id()));
        let temporary = folder.with_file_name(name);
        std::fs::create_dir(&temporary).map_err(io(&temporary))?;
        Ok(Self { folder: folder.to_owned(), temporary })
    }

    fn rename(self) -> Result<PathBuf> {
        std::fs::rename(&self.temporary, &self.folder).map_err(io(&self.folder))?;
        Ok(self.folder.clone())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // After a rename it no longer exists under this name.
        let _ = std::fs::remove_dir_all(&self.temporary);
    }
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { path, source }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const MEASURED: [f64; 6] = [0.7, 0.8, 0.6, 0.8, 0.5, 0.9];
    const BEST: [(u64, f64); 3] = [(5, 0.9), (1, 0.8), (3, 0.8)];

    fn offer_all(top: &mut TopCheckpoints) -> usize {
        let mut read = 0;
        for (step, auroc) in MEASURED.into_iter().enumerate() {
            top.offer(step as u64, auroc, || {
                read += 1;
                Ok(StateDict::from([("fc.bias".to_owned(), burn::tensor::TensorData::from([step as f32]))]))
            })
            .unwrap();
        }
        read
    }

    fn order(checkpoints: &[Checkpoint]) -> Vec<(u64, f64)> {
        checkpoints.iter().map(|c| (c.step, c.auroc)).collect()
    }

    #[test]
    fn the_best_stay_in_order_and_equals_yield_to_the_earlier() {
        let mut top = TopCheckpoints::new(3);
        assert_eq!(offer_all(&mut top), 5); // not for 0.5
        assert_eq!(order(&top.finish().unwrap()), BEST);
    }

    #[test]
    fn a_folder_holds_the_best_alone_and_takes_its_name_when_the_run_is_done() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("checkpoints");
        let mut top = TopCheckpoints::in_folder(3, &folder).unwrap();
        offer_all(&mut top);
        assert!(!folder.exists());
        let kept = top.finish().unwrap();
        assert_eq!(order(&kept), BEST);
        assert_eq!(order(&read_checkpoints(&folder).unwrap()), BEST);
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 4); // three networks and the index
        assert!(matches!(TopCheckpoints::in_folder(3, &folder), Err(Error::Exists { .. })));

        std::fs::remove_file(kept[1].file().unwrap()).unwrap();
        let error = read_checkpoints(&folder).unwrap_err().to_string();
        assert!(error.contains("step-00000001.safetensors"), "{error}");
    }

    #[test]
    fn a_run_that_stops_leaves_no_folder() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("checkpoints");
        offer_all(&mut TopCheckpoints::in_folder(3, &folder).unwrap());
        assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 0);
        let error = read_checkpoints(&folder).unwrap_err();
        assert!(matches!(error, Error::Io { .. }), "{error}");
    }
}
