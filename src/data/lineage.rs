//! Which images a network was trained on, as far as that is known: what its run recorded, and what the weights that it
//! began with brought along. Nothing may be chosen or reported on them.

use std::{fmt, path::Path};

use cxr_data::Role;
use serde::{Deserialize, Serialize};

use crate::{
    data::{Origin, Rows, leaks::leak_free},
    error::{Error, Result},
    files::{Watch, read_json, write_whole},
};

/// The file beside exported weights that holds a [`Lineage`].
pub(crate) const FILE: &str = "trained_on.json";

/// Images that a network was trained on, and what for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// What for: pretraining, training with labels, or the choice of a checkpoint.
    pub role: Role,
    /// Which images.
    #[serde(flatten)]
    pub images: Origin,
}

/// All images that a network was trained on, from its first random weights to now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lineage {
    /// What is known of them.
    pub seen: Vec<Seen>,
    /// Whether that is all: not where it began from weights of unknown origin.
    pub complete: bool,
}

/// What is known of the images that a network was pretrained on, beside those of an evaluation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Pretraining {
    /// There were none: random weights, or ImageNet's.
    None,
    /// None of them, and none of their patients, is chosen or reported on.
    Checked,
    /// Nobody can say, or nobody asked.
    #[default]
    Unchecked,
}

impl fmt::Display for Pretraining {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Checked => "checked",
            Self::Unchecked => "not checked",
        })
    }
}

impl Lineage {
    /// Of weights that saw no radiograph: random ones, ImageNet's.
    pub fn none() -> Self {
        Self { seen: Vec::new(), complete: true }
    }

    /// Of the weights in a file: of `trained_on.json` beside it, or else of the run whose folder it lies in; incomplete
    /// for any other file.
    ///
    /// # Errors
    /// Records that cannot be read.
    pub(crate) fn of_file(weights: &Path) -> Result<Self> {
        let beside = weights.with_file_name(FILE);
        if beside.is_file() {
            return read_json(&beside);
        }
        let path = weights.canonicalize().map_err(Error::io(weights))?;
        // export/model.safetensors, checkpoints/best/query.safetensors, ensemble/step-12.safetensors
        let run = path.ancestors().skip(1).take(3).find(|folder| folder.join("run.json").is_file());
        run.map_or_else(|| Ok(Self::default()), Self::of_run)
    }

    /// What a run recorded.
    fn of_run(run: &Path) -> Result<Self> {
        let path = run.join("run.json");
        let record: serde_json::Value = read_json(&path)?;
        let Some(lineage) = record.get("trained_on") else { return Ok(Self::default()) };
        serde_json::from_value(lineage.clone())
            .map_err(|e| Error::Config { origin: path.display().to_string(), reason: format!("trained_on: {e}") })
    }

    /// This and what came after.
    #[must_use]
    pub fn then(mut self, role: Role, images: Option<&Origin>) -> Self {
        match images {
            // Rows to choose on may have been held out of the training part, and that may be the pretraining set.
            Some(images) if self.seen.iter().any(|seen| seen.images == *images && covers(seen.role, role)) => {}
            Some(images) => self.seen.push(Seen { role, images: images.clone() }),
            None => self.complete = false,
        }
        self
    }

    /// Writes it beside exported weights.
    pub(crate) fn write(&self, export: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self).unwrap_or_default()
            + "
";
        write_whole(&export.join(FILE), text.as_bytes())
    }

    /// Checks that none of these images, and none of their patients, is among those of an evaluation. Where patients are
    /// known on both sides they are compared, and files; where they are not, the images are decoded and their pixels
    /// compared. Rows that a network was trained on may be trained on again, and rows it was chosen on chosen on.
    ///
    /// # Errors
    /// Names the patients or images; or the images that are no longer there, or no longer what they were, so that nobody
    /// can say.
    pub(crate) fn check(&self, parts: &[(&str, Role, &Rows)], watch: &dyn Watch) -> Result<Pretraining> {
        for Seen { role, images } in &self.seen {
            let evaluated: Vec<_> = parts.iter().filter(|(_, evaluated, _)| evaluated != role).collect();
            if evaluated.is_empty() {
                continue;
            }
            let name = match role {
                Role::Pretrain => "pretraining",
                Role::Train => "the training of the weights",
                Role::Valid => "the choice of the weights",
                Role::Test => "the test of the weights",
            };
            let manifest = images.load()?;
            let known = manifest.patients_known && evaluated.iter().all(|(.., part)| part.manifest().patients_known);
            let pixels = if known { Vec::new() } else { images.pixels(&manifest, name, watch)? };
            for (part, role_of_part, evaluated) in evaluated {
                let seen = (name, *role, &manifest, &pixels[..]);
                leak_free(&[seen, (part, *role_of_part, evaluated.manifest(), evaluated.pixels())], watch)?;
            }
        }
        if !self.complete {
            watch.note(UNCHECKED);
        }
        Ok(match (self.complete, self.seen.is_empty()) {
            (false, _) => Pretraining::Unchecked,
            (true, true) => Pretraining::None,
            (true, false) => Pretraining::Checked,
        })
    }
}

/// Whether what must not meet images seen in the second role must not meet those of the first either.
fn covers(role: Role, other: Role) -> bool {
    role == other || matches!(role, Role::Pretrain | Role::Train)
}

/// What is said where nothing can be.
const UNCHECKED: &str = "not checked: whether test patients were among the pretraining images; no run says which these were. The results say so";
