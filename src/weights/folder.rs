//! The files next to weights: how to preprocess images, and what the outputs mean.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use backbones::{Arch, Normalization};
use serde::Deserialize;

use crate::{
    error::{Error, Result},
    files::read_json,
};

pub(crate) const EXPORT: &str = "export";
pub(super) const MODEL: &str = "model.safetensors";
const CONFIG: &str = "config.json";
const PREPROCESSOR: &str = "preprocessor_config.json";

/// The weight file of a run or export folder: `export/model.safetensors` or `model.safetensors`.
pub(super) fn weight_file(folder: &Path) -> Option<PathBuf> {
    [folder.join(EXPORT).join(MODEL), folder.join(MODEL)].into_iter().find(|path| path.is_file())
}

/// The run that exported a weight file.
pub(super) fn run_of(weights: &Path) -> Option<PathBuf> {
    let path = weights.canonicalize().ok()?;
    let export = path.parent().filter(|folder| folder.file_name().is_some_and(|name| name == EXPORT))?;
    let run = export.parent()?;
    ["run.json", "config.toml"].iter().any(|file| run.join(file).is_file()).then(|| run.to_owned())
}

/// The part of `config.json` that is read back.
#[derive(Debug, Deserialize)]
pub(super) struct NetworkFile {
    pub(super) model_type: Arch,
    #[serde(default)]
    num_classes: usize,
    #[serde(default)]
    id2label: BTreeMap<String, String>,
}

impl NetworkFile {
    /// Reads the file next to an exported `model.safetensors`. A `config.json` next to any other file is another tool's.
    pub(super) fn beside(weights: &Path) -> Result<Option<Self>> {
        let path = weights.with_file_name(CONFIG);
        let exported = weights.file_name().is_some_and(|name| name == MODEL) && path.is_file();
        exported.then(|| read_json(&path)).transpose()
    }

    /// Names of the classifier's outputs, in order; a number where the file has no name.
    pub(super) fn labels(&self) -> Vec<String> {
        let label = |i: usize| self.id2label.get(&i.to_string()).cloned().unwrap_or_else(|| i.to_string());
        (0..self.num_classes).map(label).collect()
    }
}

/// The part of `preprocessor_config.json` that is read back.
#[derive(Debug)]
pub(super) struct Preprocessing {
    pub(super) size: usize,
    pub(super) normalization: Normalization,
}

/// The layout of the file.
#[derive(Debug, Deserialize)]
struct PreprocessorFile {
    size: Size,
    image_mean: Vec<f64>,
    image_std: Vec<f64>,
}

/// Hugging Face's tools have written all three.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Size {
    Square(usize),
    Sides { height: usize, width: usize },
    Shortest { shortest_edge: usize },
}

impl Preprocessing {
    /// Reads the file next to the weights, if there is one.
    pub(super) fn beside(weights: &Path) -> Result<Option<Self>> {
        let path = weights.with_file_name(PREPROCESSOR);
        if !path.is_file() {
            return Ok(None);
        }
        let file: PreprocessorFile = read_json(&path)?;
        let fault = |reason: String| Error::Config { origin: path.display().to_string(), reason };
        let size = match file.size {
            Size::Square(side) | Size::Shortest { shortest_edge: side } => side,
            Size::Sides { height, width } if height == width => height,
            Size::Sides { height, width } => {
                return Err(fault(format!("found images of {height} x {width}, expected square ones")));
            }
        };
        // One channel has one mean; a network stores three and then uses the first.
        let three = |name: &str, values: &[f64]| match *values {
            [one] => Ok([one; 3]),
            [a, b, c] => Ok([a, b, c]),
            _ => Err(fault(format!("found {} numbers for {name}, expected 1 or 3", values.len()))),
        };
        let (mean, std) = (three("image_mean", &file.image_mean)?, three("image_std", &file.image_std)?);
        if size < Arch::MIN_SIDE || std.iter().any(|s| !(s.is_finite() && *s > 0.0)) {
            let expected = format!("expected at least {} px and standard deviations above 0", Arch::MIN_SIDE);
            return Err(fault(format!("found size {size} and image_std {std:?}, {expected}")));
        }
        Ok(Some(Self { size, normalization: Normalization { mean, std } }))
    }
}
