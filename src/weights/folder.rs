//! The folder of a run or an export: its weight file, and the file beside it that says what the outputs mean.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use backbones::Arch;
use serde::Deserialize;

use crate::{
    error::{Error, Result},
    files::read_json,
};

pub(crate) const EXPORT: &str = "export";
pub(super) const MODEL: &str = "model.safetensors";
pub(super) const CONFIG: &str = "config.json";

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
    /// Reads the file next to an exported `model.safetensors`. A `config.json` next to any other file, or that names no
    /// architecture of this crate, is another tool's.
    pub(super) fn beside(weights: &Path) -> Result<Option<Self>> {
        let path = weights.with_file_name(CONFIG);
        if !(weights.file_name().is_some_and(|name| name == MODEL) && path.is_file()) {
            return Ok(None);
        }
        let value: serde_json::Value = read_json(&path)?;
        let arch = value["model_type"].as_str().map(str::parse::<Arch>);
        if !matches!(arch, Some(Ok(_))) {
            return Ok(None);
        }
        serde_json::from_value(value).map(Some).map_err(Error::json(&path))
    }

    /// Names of the classifier's outputs, in order; a number where the file has no name.
    pub(super) fn labels(&self) -> Vec<String> {
        let label = |i: usize| self.id2label.get(&i.to_string()).cloned().unwrap_or_else(|| i.to_string());
        (0..self.num_classes).map(label).collect()
    }
}
