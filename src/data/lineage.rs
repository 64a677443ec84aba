//! Which images a network was trained on, as far as that is known: what its run recorded, and what the weights that it
//! began with brought along. Nothing may be chosen or reported on them.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use cxr_data::{Dataset, LoadOptions, Manifest, OnBad, Part, Role, load_with, prescan};
use serde::{Deserialize, Serialize};

use crate::{
    data::{LoadedPart, leak_free, shares},
    error::{Error, Result},
    pretrain::PretrainSettings,
};

/// The file beside exported weights that holds a [`Lineage`].
pub(crate) const FILE: &str = "trained_on.json";

/// Images that were read from a folder, described so that they can be found again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Folder of the data set, absolute.
    pub dir: PathBuf,
    /// Its layout.
    pub dataset: Dataset,
    /// Which part of it.
    pub part: Part,
    /// The pattern that found patients in the paths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patient_regex: Option<String>,
    /// What became of images that could not be read.
    pub on_bad: OnBad,
    /// Rows that could be read.
    pub images: usize,
    /// Whether the patients are known.
    pub patients_known: bool,
    /// [`Manifest::hash`] of the part.
    pub hash: String,
    /// The seed by which a folder without published parts was divided; then `part` is one of the shares, and `images` and
    /// `hash` are those of the whole folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub divided: Option<u64>,
}

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
            return json(&beside);
        }
        let path = weights.canonicalize().map_err(Error::io(weights))?;
        // export/model.safetensors, checkpoints/best/query.safetensors, ensemble/step-12.safetensors
        let run = path.ancestors().skip(1).take(3).find(|folder| folder.join("run.json").is_file());
        run.map_or_else(|| Ok(Self::default()), Self::of_run)
    }

    /// What a run recorded; of a pretraining that recorded nothing, what its settings say.
    fn of_run(run: &Path) -> Result<Self> {
        let record: serde_json::Value = json(&run.join("run.json"))?;
        if let Some(lineage) = record.get("trained_on") {
            let origin = run.join("run.json").display().to_string();
            return serde_json::from_value(lineage.clone())
                .map_err(|e| Error::Config { origin, reason: format!("trained_on: {e}") });
        }
        if !run.join("config.toml").is_file() {
            return Ok(Self::default());
        }
        let PretrainSettings { data, init, .. } = PretrainSettings::read(&run.join("config.toml"))?;
        let images = Origin {
            dir: absolute(&data.dir)?,
            dataset: data.dataset,
            part: Part::Train,
            patient_regex: data.load_options().patient_regex,
            on_bad: data.on_bad,
            images: record["data"]["images"].as_u64().unwrap_or(0) as usize,
            patients_known: record["data"]["patients_known"].as_bool().unwrap_or(false),
            hash: record["data"]["hash"].as_str().unwrap_or_default().to_owned(),
            divided: None,
        };
        let complete = ["random", "imagenet"].contains(&init.as_str());
        Ok(Self { seen: vec![Seen { role: Role::Pretrain, images }], complete })
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
        let path = export.join(FILE);
        let text = serde_json::to_string_pretty(self).unwrap_or_default();
        std::fs::write(&path, text + "\n").map_err(Error::io(&path))
    }

    /// Checks that none of these images, and none of their patients, is among those of an evaluation. Where patients are
    /// known on both sides they are compared, and files; where they are not, the images are decoded and their pixels
    /// compared. Rows that a network was trained on may be trained on again, and rows it was chosen on chosen on.
    ///
    /// # Errors
    /// Names the patients or images; or the images that are no longer there, or no longer what they were, so that nobody
    /// can say.
    pub(crate) fn check(&self, parts: &[(&str, Role, &LoadedPart)], note: &mut dyn FnMut(&str)) -> Result<Pretraining> {
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
            let known = manifest.patients_known && evaluated.iter().all(|(.., part)| part.manifest.patients_known);
            let pixels = if known { Vec::new() } else { images.pixels(&manifest, name, note)? };
            for (part, role_of_part, evaluated) in evaluated {
                let seen = (name, *role, &manifest, &pixels[..]);
                leak_free(&[seen, (part, *role_of_part, &evaluated.manifest, &evaluated.pixels)], note)?;
            }
        }
        if !self.complete {
            note(UNCHECKED);
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

impl Origin {
    /// Of what was read from a folder just now.
    pub(crate) fn of(
        dir: &Path,
        dataset: Dataset,
        part: Part,
        options: &LoadOptions,
        (manifest, images): (&Manifest, usize),
    ) -> Result<Self> {
        Ok(Self {
            dir: absolute(dir)?,
            dataset,
            part,
            patient_regex: options.patient_regex.clone(),
            on_bad: options.on_bad,
            images,
            patients_known: manifest.patients_known,
            hash: manifest.hash(),
            divided: None,
        })
    }

    /// The rows, which must be what they were.
    fn load(&self) -> Result<Manifest> {
        let options =
            LoadOptions { on_bad: self.on_bad, patient_regex: self.patient_regex.clone(), ..LoadOptions::default() };
        let part = if self.divided.is_some() { Part::Train } else { self.part };
        let manifest = load_with(&self.dir, self.dataset, part, &options).map_err(|e| self.gone(e.to_string()))?;
        let hash = manifest.hash();
        if hash != self.hash {
            return Err(self.gone(format!("other rows than then (hash {hash}, was {})", self.hash)));
        }
        let Some(seed) = self.divided else { return Ok(manifest) };
        let split = shares(&manifest, seed)?;
        Ok(manifest.select(match self.part {
            Part::Valid => &split.valid,
            Part::Test => &split.test,
            _ => &split.train,
        }))
    }

    /// The pixels of all its images.
    fn pixels(
        &self,
        manifest: &Manifest,
        name: &str,
        note: &mut dyn FnMut(&str),
    ) -> Result<Vec<Option<cxr_data::PixelHash>>> {
        note(&format!("{name}: patients cannot be compared, so {} images are decoded to compare them", manifest.len()));
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        let scan = prescan(manifest, workers);
        let readable = manifest.len() - scan.faults.len();
        match scan.faults.first() {
            // Of a share only the rows of the whole are counted.
            Some((_, fault)) if self.on_bad == OnBad::Fail || self.divided.is_none() && readable < self.images => {
                Err(self.gone(format!("{} images that cannot be read; the first: {fault}", scan.faults.len())))
            }
            _ => Ok(scan.pixels),
        }
    }

    fn gone(&self, found: String) -> Error {
        Error::Setting {
            key: format!("images that the weights were trained on, {}", self.dir.display()),
            found,
            expected:
                "to read them as they were, to be sure that none is in the test part (or --unchecked-pretraining)"
                    .into(),
        }
    }
}

fn absolute(dir: &Path) -> Result<PathBuf> {
    std::path::absolute(dir).map_err(Error::io(dir))
}

fn json<T: for<'a> Deserialize<'a>>(path: &Path) -> Result<T> {
    let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
    serde_json::from_str(&text).map_err(|e| Error::Config { origin: path.display().to_string(), reason: e.to_string() })
}
