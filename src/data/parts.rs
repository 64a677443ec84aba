//! Labelled data in parts: fitted on, chosen on, reported on. No patient and no image is in two of them.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use cxr_data::{
    Dataset, LoadOptions, Manifest, OnBad, Part, PixelHash, Role, Subset, check_scanned, load_with,
    splits::{ShenzhenSplit, patient_split, shenzhen_split},
};
use eval::Stamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    data::{DrawRule, Labelled, Origin, Pretraining},
    error::{Error, Result},
    study::ProbeSettings,
    weights::LoadedNetwork,
};

/// Share of the training patients that is held out to choose on, where no part was published for that.
const HELD_OUT: f64 = 0.2;
/// Shares of train, valid and test in a set without published parts: the paper's for Shenzhen.
const SHARES: [f64; 3] = [0.65, 0.15, 0.2];

/// Where the labelled images are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinearData {
    /// Folder with the training part.
    pub train: PathBuf,
    /// Folder whose test part (or, where it has none, valid part) is reported on; the training folder without.
    pub test: Option<PathBuf>,
    /// Layout of both.
    pub dataset: Dataset,
    /// What becomes of an image that cannot be read.
    pub on_bad: OnBad,
    /// For a set without patients: a pattern whose first group, in an image's path, is the patient.
    pub patient_regex: Option<String>,
}

/// Where the rows come from on which a penalty or a checkpoint is chosen. Nothing is ever reported on them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValidFrom {
    /// Nothing is chosen outside the training rows.
    Nowhere,
    /// The valid part of this folder.
    Folder(PathBuf),
    /// The valid part of the training folder if it has one that is not reported on; otherwise a fifth of the training
    /// patients, drawn by this seed.
    HeldOut(u64),
}

/// One part of the data: a manifest and its readable rows.
#[derive(Debug)]
pub struct LoadedPart {
    /// The table.
    pub manifest: Manifest,
    /// Readable rows, ascending.
    pub rows: Vec<usize>,
    /// Which part it is.
    pub part: Part,
    /// A hash of the pixels of each row of the manifest; `None` for images that cannot be read.
    pub pixels: Vec<Option<PixelHash>>,
    /// Where it was read from; for the record of weights that are trained on it.
    pub origin: Origin,
}

/// The parts of an evaluation; they share no patient and no image.
#[derive(Debug)]
pub struct Parts {
    /// Fitted on.
    pub train: LoadedPart,
    /// Chosen on, never reported on.
    pub valid: Option<LoadedPart>,
    /// Reported on.
    pub test: LoadedPart,
    /// Whether the valid part was taken out of the training part.
    pub held_out: bool,
}

impl LoadedPart {
    /// Its readable rows with their labels, as `settings` name tasks and label policy.
    ///
    /// # Errors
    /// As [`Labelled::new`].
    pub fn labelled(&self, settings: &ProbeSettings) -> Result<Labelled<'_>> {
        let labelled = Labelled::new(&self.manifest, &self.rows, &settings.tasks, settings.policy)?;
        Ok(labelled.from(&self.origin))
    }

    /// These rows of the manifest (the readable of them) as a part of their own.
    fn select(&self, rows: &[usize], part: Part) -> Self {
        let rows: Vec<usize> = rows.iter().copied().filter(|row| self.rows.binary_search(row).is_ok()).collect();
        let pixels = rows.iter().map(|&row| self.pixels[row]).collect();
        Self {
            manifest: self.manifest.select(&rows),
            rows: (0..rows.len()).collect(),
            part,
            pixels,
            origin: self.origin.clone(),
        }
    }
}

impl Parts {
    /// The conditions of results: label policy, rows and label draws, protocol, what a row is.
    pub fn stamp(&self, probe: &ProbeSettings, protocol: impl Into<String>) -> Stamp {
        let draws = match probe.draw_rule {
            DrawRule::Patients => "",
            DrawRule::Paper => ", the paper's label draws",
        };
        let mut stamp = Stamp::new(probe.policy.to_string(), format!("{}{draws}", self.split()), protocol);
        stamp.rows = Some(if probe.fold_studies { "studies" } else { "images" }.to_owned());
        stamp.patients = Some(self.patients());
        stamp
    }

    /// `known`, or `unknown` and in which parts.
    fn patients(&self) -> String {
        let unknown: Vec<&str> =
            self.named().filter(|(.., part)| !part.manifest.patients_known).map(|(name, ..)| name).collect();
        if unknown.is_empty() { "known".to_owned() } else { format!("unknown in {}", unknown.join(", ")) }
    }

    /// The parts by name and role.
    fn named(&self) -> impl Iterator<Item = (&'static str, Role, &LoadedPart)> {
        let valid = self.valid.iter().map(|valid| ("valid", Role::Valid, valid));
        [("train", Role::Train, &self.train), ("test", Role::Test, &self.test)].into_iter().chain(valid)
    }

    /// Checks that the patients and images chosen on and reported on were not among those that a network was trained on
    /// (patients held out of the training part may have been seen, as the training part itself). Where nobody knows what
    /// it was trained on, a note says that nothing was checked; what is returned belongs into the stamp of results.
    ///
    /// # Errors
    /// Names the patients or images; or the images that are no longer there, or no longer what they were.
    pub fn check_pretraining(&self, loaded: &LoadedNetwork, note: &mut dyn FnMut(&str)) -> Result<Pretraining> {
        let mut parts = vec![("test", Role::Test, &self.test)];
        parts.extend(self.valid.iter().filter(|_| !self.held_out).map(|valid| ("valid", Role::Valid, valid)));
        loaded.lineage.check(&parts, note)
    }

    /// No patient, no file and no image is in two of the parts.
    fn leak_free(&self, note: &mut dyn FnMut(&str)) -> Result<()> {
        let parts: Vec<_> =
            self.named().map(|(name, role, part)| (name, role, &part.manifest, &part.pixels[..])).collect();
        leak_free(&parts, note)
    }

    /// What was done on which rows, for the stamp of results: two are equal where all parts hold the same rows with the
    /// same labels, wherever their folders lie and however the parts came about.
    pub fn split(&self) -> String {
        let chosen = match (&self.valid, self.held_out) {
            (None, _) => "",
            (Some(_), false) => ", chosen on valid",
            (Some(_), true) => ", chosen on patients held out of train",
        };
        let part = if self.test.part == Part::Test { "test" } else { "valid" };
        format!("fit on train{chosen}, reported on {part}, data {}", self.hash())
    }

    /// Identity of all parts together: 128 bits of the SHA-256 of their hashes, in hex.
    fn hash(&self) -> String {
        let mut hasher = Sha256::new();
        for (name, _, part) in self.named() {
            hasher.update(format!("{name} {}\n", part.manifest.hash()));
        }
        hasher.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}

impl LinearData {
    /// Checks that the draws asked for can be had of these parts: the paper's are of `train.csv` as it is, row by row.
    ///
    /// # Errors
    /// The paper's draws, where patients were held out of the training part or rows without image are skipped.
    pub fn check_draws(&self, parts: &Parts, rule: DrawRule) -> Result<()> {
        let fault = |found: &str, expected: &str| {
            Err(Error::Setting { key: "label draws: paper".into(), found: found.into(), expected: expected.into() })
        };
        match rule {
            DrawRule::Paper if parts.held_out => fault(
                "patients held out of the training part to choose on",
                "all of train.csv: a folder to choose on (--valid-data), or one to report on (--test-data), which leaves the valid part to choose on",
            ),
            DrawRule::Paper if self.on_bad == OnBad::Skip => {
                fault("rows without image to be skipped", "every row of train.csv (--on-bad-image fail)")
            }
            _ => Ok(()),
        }
    }

    fn options(&self) -> LoadOptions {
        LoadOptions { on_bad: self.on_bad, patient_regex: self.patient_regex.clone(), ..LoadOptions::default() }
    }

    /// Training part and the part reported on, after the check that they share no patient.
    ///
    /// # Errors
    /// Data that cannot be read, or a leak.
    pub fn load(&self, workers: usize, note: &mut dyn FnMut(&str)) -> Result<(LoadedPart, LoadedPart)> {
        let Parts { train, test, .. } = self.load_parts(&ValidFrom::Nowhere, 0, workers, note)?;
        Ok((train, test))
    }

    /// As [`Self::load`], with the rows that choices are made on. A set without published parts (Shenzhen, Montgomery, a
    /// folder without `train.csv`) and without a test folder is divided by patient, 65 / 15 / 20 from `seed`: Shenzhen by
    /// the rules of the paper's script.
    ///
    /// # Errors
    /// As [`Self::load`]; no valid part where one was asked for.
    pub fn load_parts(
        &self,
        valid: &ValidFrom,
        seed: u64,
        workers: usize,
        note: &mut dyn FnMut(&str),
    ) -> Result<Parts> {
        // One folder may be read for several parts; what is said of it is said once.
        let mut said = HashSet::new();
        let note: &mut dyn FnMut(&str) = &mut |text| {
            if said.insert(text.to_owned()) {
                note(text);
            }
        };
        let train = self.read(&self.train, Part::Train, workers, note)?;
        let parts = if self.test.is_none() && self.has_no_parts(&train) {
            self.divide(&train, valid, seed, workers, note)?
        } else {
            self.published(train, valid, workers, note)?
        };
        parts.leak_free(note)?;
        Ok(parts)
    }

    fn read(&self, dir: &Path, part: Part, workers: usize, note: &mut dyn FnMut(&str)) -> Result<LoadedPart> {
        crate::data::load(dir, self.dataset, part, &self.options(), workers, note)
    }

    /// The rows of a part, no image opened.
    fn table(&self, dir: &Path, part: Part) -> cxr_data::Result<Manifest> {
        load_with(dir, self.dataset, part, &self.options())
    }

    /// Whether the folder gives the same rows for every part.
    fn has_no_parts(&self, train: &LoadedPart) -> bool {
        self.table(&self.train, Part::Test).is_ok_and(|test| test.records == train.manifest.records)
    }

    fn published(
        &self,
        mut train: LoadedPart,
        valid: &ValidFrom,
        workers: usize,
        note: &mut dyn FnMut(&str),
    ) -> Result<Parts> {
        let dir = self.test.as_ref().unwrap_or(&self.train);
        let part = match self.table(dir, Part::Test) {
            // Only a set that has no test part at all; a fault within one is a fault.
            Err(cxr_data::Error::Layout { .. }) => {
                note("no test part: results are those of the valid part, which nothing is chosen on");
                Part::Valid
            }
            _ => Part::Test,
        };
        let test = self.read(dir, part, workers, note)?;
        let reported = |records: &[cxr_data::Record]| records == test.manifest.records;
        let (valid, held_out) = match valid {
            ValidFrom::Nowhere => (None, false),
            ValidFrom::Folder(dir) => (Some(self.read(dir, Part::Valid, workers, note)?), false),
            ValidFrom::HeldOut(seed) => {
                let published = match self.table(&self.train, Part::Valid) {
                    Ok(rows) => !reported(&rows.records) && rows.records != train.manifest.records,
                    Err(cxr_data::Error::Layout { .. }) => false,
                    Err(fault) => return Err(fault.into()),
                };
                if published {
                    (Some(self.read(&self.train, Part::Valid, workers, note)?), false)
                } else {
                    let parts = patient_split(&train.manifest, &[1.0 - HELD_OUT, HELD_OUT], *seed)?;
                    let held_out = train.select(&parts[1], Part::Valid);
                    train = train.select(&parts[0], Part::Train);
                    note(&format!(
                        "no valid part to choose on: {} of {} training patients are held out for that",
                        held_out.manifest.patient_count(),
                        held_out.manifest.patient_count() + train.manifest.patient_count(),
                    ));
                    (Some(held_out), true)
                }
            }
        };
        Ok(Parts { train, valid, test, held_out })
    }

    fn divide(
        &self,
        all: &LoadedPart,
        valid: &ValidFrom,
        seed: u64,
        workers: usize,
        note: &mut dyn FnMut(&str),
    ) -> Result<Parts> {
        let split = shares(&all.manifest, seed)?;
        let [train, held_out, test] =
            [(&split.train, Part::Train), (&split.valid, Part::Valid), (&split.test, Part::Test)].map(
                |(rows, part)| {
                    let selected = all.select(rows, part);
                    let origin = Origin { part, divided: Some(seed), ..selected.origin };
                    LoadedPart { origin, ..selected }
                },
            );
        note(&format!(
            "the set has no published parts: divided by patient (seed {seed}) into {} images to fit on, {} to choose on, {} to report on",
            train.rows.len(),
            held_out.rows.len(),
            test.rows.len(),
        ));
        let valid = match valid {
            ValidFrom::Nowhere => None,
            ValidFrom::Folder(dir) if !same_folder(dir, &self.train) => {
                Some(self.read(dir, Part::Valid, workers, note)?)
            }
            _ => Some(held_out),
        };
        Ok(Parts { train, valid, test, held_out: false })
    }
}

/// The shares of a set without published parts: Shenzhen by the rules of the paper's script, others by patient.
pub(crate) fn shares(manifest: &Manifest, seed: u64) -> Result<ShenzhenSplit> {
    if manifest.dataset == Dataset::Shenzhen
        && let Ok(split) = shenzhen_split(manifest, seed)
    {
        return Ok(split);
    }
    let mut parts = patient_split(manifest, &SHARES, seed)?.into_iter();
    let mut next = || parts.next().unwrap_or_default();
    Ok(ShenzhenSplit { train: next(), valid: next(), test: next() })
}

/// By whatever path.
fn same_folder(one: &Path, other: &Path) -> bool {
    one == other || one.canonicalize().ok().zip(other.canonicalize().ok()).is_some_and(|(one, other)| one == other)
}

/// Fails when parts that must be disjoint share a patient, a file, or an image pixel for pixel. Parts whose images were
/// not decoded are compared by patients and files.
///
/// # Errors
/// Names the patients or the images.
pub(crate) fn leak_free(
    parts: &[(&str, Role, &Manifest, &[Option<PixelHash>])],
    note: &mut dyn FnMut(&str),
) -> Result<()> {
    let subsets: Vec<Subset<'_>> =
        parts.iter().map(|&(name, role, manifest, _)| Subset { name, role, manifest }).collect();
    let pixels: Vec<&[Option<PixelHash>]> = parts.iter().map(|&(.., pixels)| pixels).collect();
    let report = check_scanned(&subsets, &pixels).require_clean()?;
    for part in &report.patients_unknown {
        note(&format!(
            "patients of {part} are unknown: only equal images can be found in two parts, not shared patients"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use cxr_data::{Label, Record};

    use super::*;

    #[test]
    fn only_shenzhen_is_split_by_its_rules() {
        let record = |i: usize| Record {
            path: format!("CXR_png/{i}.png"),
            patient: format!("{i:04}"),
            study: format!("{i:04}/study1"),
            view: None,
            projection: None,
            sex: None,
            age: None,
            labels: vec![if i.is_multiple_of(2) { Label::Positive } else { Label::Negative }],
        };
        let set = |dataset| Manifest {
            root: "nowhere".into(),
            dataset,
            tasks: vec!["Tuberculosis".into()],
            records: (0..200).map(record).collect(),
            patients_known: true,
            notes: Vec::new(),
        };
        let (shenzhen, montgomery) = (set(Dataset::Shenzhen), set(Dataset::Montgomery));
        let by_rule = shenzhen_split(&shenzhen, 0).unwrap();
        assert_eq!(shares(&shenzhen, 0).unwrap(), by_rule);
        let split = shares(&montgomery, 0).unwrap();
        assert_ne!(split, by_rule);
        assert_eq!([&split.train, &split.valid, &split.test].map(Vec::len), [130, 30, 40]);
    }
}
