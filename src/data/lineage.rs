//! The images a network was trained on, as far as known: those its run recorded, and those of its initial weights. Such
//! images must not be used for model selection or testing.

use std::{
    collections::HashSet,
    fmt,
    path::{Path, PathBuf},
};

use cxr_data::{Manifest, Role};
use serde::{Deserialize, Serialize};

use crate::{
    data::{
        Origin, Rows,
        leaks::leak_free,
        listings::Listings,
        places::{recall, remember},
    },
    error::{Error, Result},
    files::{Once, Watch, read_json, write_whole},
};

/// The file beside exported weights that holds a [`Lineage`].
pub(crate) const RECORD: &str = "trained_on.json";

/// What `predict` makes of images.
pub(crate) const SCORES: &str = "scores";

/// Images that a network was trained on, and their role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Pretraining, training with labels, or the choice of a checkpoint.
    pub role: Role,
    /// The images.
    #[serde(flatten)]
    pub images: Origin,
}

/// All images that a network was trained on since its random initialization.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lineage {
    /// The images that are known.
    pub seen: Vec<Seen>,
    /// Whether `seen` is complete. False if training started from weights of unknown origin.
    pub complete: bool,
}

/// Whether the pretraining images of a network were compared with the images of an evaluation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Pretraining {
    /// There are none: random or ImageNet weights.
    None,
    /// Checked: none of them, and none of their patients, is in the validation or test part.
    Checked,
    /// Not checked, because it was not possible or not requested.
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
    /// The lineage of weights that saw no radiograph: random or ImageNet weights.
    pub fn none() -> Self {
        Self { seen: Vec::new(), complete: true }
    }

    /// The lineage of a weight file: from `trained_on.json` next to it, else from the run whose folder it lies in;
    /// incomplete for any other file.
    ///
    /// # Errors
    /// A record that cannot be read.
    pub(crate) fn of_file(weights: &Path) -> Result<Self> {
        let beside = weights.with_file_name(RECORD);
        let path = weights.canonicalize().map_err(Error::io(weights))?;
        // export/model.safetensors, checkpoints/best/query.safetensors, ensemble/step-12.safetensors
        let run = path.ancestors().skip(1).take(3).find(|folder| folder.join("run.json").is_file());
        if !beside.is_file() {
            return run.map_or_else(|| Ok(Self::default()), Self::of_run);
        }
        let written: Self = read_json(&beside)?;
        // The run itself knows where its images are. Without it, or if it cannot be read, they are looked for.
        let run = run.and_then(|run| Self::of_run(run).ok()).unwrap_or_default();
        Ok(written.placed_by(&run))
    }

    /// The same images with their places, as far as `run` has them.
    fn placed_by(mut self, run: &Self) -> Self {
        for seen in self.seen.iter_mut().filter(|seen| !seen.images.is_placed()) {
            let same = |other: &&Seen| {
                other.role == seen.role && other.images.is_placed() && other.images.is_same_images(&seen.images)
            };
            if let Some(found) = run.seen.iter().find(same) {
                seen.images = found.images.clone();
            }
        }
        self
    }

    /// The lineage recorded by a run.
    fn of_run(run: &Path) -> Result<Self> {
        let path = run.join("run.json");
        let record: serde_json::Value = read_json(&path)?;
        let Some(lineage) = record.get("trained_on") else { return Ok(Self::default()) };
        serde_json::from_value(lineage.clone())
            .map_err(|e| Error::Config { origin: path.display().to_string(), reason: format!("trained_on: {e}") })
    }

    /// Adds a later training on `images`; `None` if they are unknown.
    #[must_use]
    pub fn then(mut self, role: Role, images: Option<&Origin>) -> Self {
        match images {
            // Validation rows may have been held out of the training part, which may be the pretraining set.
            Some(images)
                if self.seen.iter().any(|seen| seen.images.is_same_images(images) && covers(seen.role, role)) => {}
            Some(images) => self.seen.push(Seen { role, images: images.clone() }),
            None => self.complete = false,
        }
        self
    }

    /// Writes the record into the folder of exported weights: hashes and counts, no path, and in private no name either.
    pub(crate) fn write(&self, export: &Path, private: bool) -> Result<()> {
        self.seen.iter().for_each(|seen| remember(&seen.images));
        let leaving = |seen: &Seen| Seen { role: seen.role, images: seen.images.leaving(private) };
        let leaving = Self { seen: self.seen.iter().map(leaving).collect(), complete: self.complete };
        let text = serde_json::to_string_pretty(&leaving).unwrap_or_default() + "\n";
        write_whole(&export.join(RECORD), text.as_bytes())
    }

    /// Checks that none of these images, and none of their patients, is in the `parts` of an evaluation. If patients are
    /// known on both sides, patients and files are compared; otherwise the images are decoded and their pixels compared. A
    /// part may have been used before in the same role: training rows for training, validation rows for validation. Weights do
    /// not say where their images are; they are looked for in `places`.
    ///
    /// # Errors
    /// A leak, with the patients or images; or training images that are gone or have changed, so that the check is not
    /// possible.
    ///
    /// `lost` is the place of the record, where the weights are of an export that has none any more.
    pub(crate) fn check(
        &self,
        lost: Option<&Path>,
        parts: &[(&str, Role, &Rows)],
        places: &[Origin],
        listed: &Listings,
        watch: &dyn Watch,
    ) -> Result<Pretraining> {
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
            let manifest = images.find(&anywhere(images, places), listed)?;
            let known = manifest.patients_known && evaluated.iter().all(|(.., part)| part.manifest().patients_known);
            let pixels = if known { Vec::new() } else { images.pixels(&manifest, name, watch)? };
            for (part, _, rows) in &evaluated {
                note_other_kind(&manifest, &format!("the {part} part is"), rows.manifest(), watch);
            }
            for (part, role_of_part, evaluated) in evaluated {
                let seen = (name, *role, &manifest, &pixels[..]);
                leak_free(&[seen, (part, *role_of_part, evaluated.manifest(), &evaluated.pixels()[..])], watch)
                    .map_err(|fault| way_out(fault, &manifest, images))?;
            }
        }
        if !self.complete {
            watch.note(&unchecked(lost));
        }
        Ok(match (self.complete, self.seen.is_empty()) {
            (false, _) => Pretraining::Unchecked,
            (true, true) => Pretraining::None,
            (true, false) => Pretraining::Checked,
        })
    }
}

impl Lineage {
    /// Says how many of these images the weights were trained on or chosen by, since `what` a command makes of them
    /// ([`SCORES`] or another word) is no result, and whether they are of another kind than those. Images are known by their
    /// files; sets that are gone are not compared.
    pub(crate) fn note_known(&self, what: &str, rows: &Rows, listed: &Listings, watch: &dyn Watch) {
        let watch = &Once::new(watch);
        let asked = files(rows.manifest());
        let (mut trained, mut chosen) = (HashSet::new(), HashSet::new());
        for Seen { role, images } in &self.seen {
            let Ok(manifest) = images.find(&anywhere(images, &[]), listed) else { continue };
            note_other_kind(&manifest, "these images are", rows.manifest(), watch);
            let known = if matches!(role, Role::Pretrain | Role::Train) { &mut trained } else { &mut chosen };
            known.extend(files(&manifest).into_iter().filter(|file| asked.contains(file)));
        }
        let chosen = chosen.difference(&trained).count();
        if trained.len() + chosen > 0 {
            let results = match what {
                SCORES => " (predictions.csv of linear and finetune has the scores of the test images alone)",
                _ => "",
            };
            watch.note(&format!(
                "of these {} images the weights were trained on {} and chosen by {chosen}, whose {what} say nothing about new \
                 images{results}",
                asked.len(),
                trained.len()
            ));
        }
    }
}

/// Where images may lie: where they were last seen here, and `places`.
fn anywhere(images: &Origin, places: &[Origin]) -> Vec<Origin> {
    recall(&images.hash).into_iter().chain(places.iter().cloned()).collect()
}

/// The files of a set, below the true path of its folder.
fn files(manifest: &Manifest) -> HashSet<PathBuf> {
    let root = manifest.root.canonicalize().unwrap_or_else(|_| manifest.root.clone());
    let below = |row: usize| {
        let path = manifest.image_path(row);
        path.strip_prefix(&manifest.root).map_or_else(|_| path.clone(), |below| root.join(below))
    };
    (0..manifest.len()).map(below).collect()
}

/// A leak with what can be done about it: a set without published parts was pretrained on as a whole.
fn way_out(fault: Error, manifest: &Manifest, images: &Origin) -> Error {
    match fault {
        Error::Data(cxr_data::Error::Leak(text)) if !manifest.has_parts && images.divided.is_none() => {
            Error::Data(cxr_data::Error::Leak(format!(
                "{text} (the weights were trained on all of {}, which has no published parts: pretrain with --part train and \
                 the same --seed to leave out what is chosen and reported on, or name other data with --test-data)",
                manifest.root.display()
            )))
        }
        other => other,
    }
}

/// Says that weights of one kind of files are given the other.
fn note_other_kind(trained: &Manifest, these: &str, given: &Manifest, watch: &dyn Watch) {
    let kind = |dicom: bool| if dicom { "DICOM" } else { "JPEG or PNG" };
    if mostly_dicom(trained) != mostly_dicom(given) {
        watch.note(&format!(
            "the weights were trained on {}, and {these} {}: grey values differ by the window, so features may too",
            kind(mostly_dicom(trained)),
            kind(mostly_dicom(given))
        ));
    }
}

/// Whether most images are DICOM files, by their names: an image without the ending of another kind is one.
fn mostly_dicom(manifest: &Manifest) -> bool {
    const OTHERS: [&str; 8] = ["jpg", "jpeg", "jfif", "png", "webp", "tif", "tiff", "bmp"];
    let dicom = |path: &str| {
        let name = path.rsplit('/').next().unwrap_or(path);
        let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_lowercase());
        !ending.is_some_and(|ending| OTHERS.contains(&ending.as_str()))
    };
    2 * manifest.records.iter().filter(|record| dicom(&record.path)).count() > manifest.len()
}

/// Whether the checks for images seen in the first role include those for the second.
fn covers(role: Role, other: Role) -> bool {
    role == other || matches!(role, Role::Pretrain | Role::Train)
}

/// The note if the lineage is incomplete.
fn unchecked(lost: Option<&Path>) -> String {
    const WHAT: &str = "not checked: whether test patients were among the pretraining images";
    match lost {
        None => {
            format!("{WHAT}, because no run recorded which images these were; the results are marked as not checked")
        }
        Some(record) => format!("{WHAT}, because {}; the results are marked as not checked", lost_record(record)),
    }
}

/// What a record would have held that is not beside its weights any more, and how to go on.
pub(crate) fn lost_record(record: &Path) -> String {
    format!(
        "{} is missing: every export has it beside its weights, and it says which images they were trained on (number, hash, \
         and whether for pretraining, with labels, or to choose); copy it from where the weights were exported, or give the \
         folder of the run as the weights",
        record.display()
    )
}
