//! The record of where images were read from.

use std::path::{Path, PathBuf};

use cxr_data::{
    Dataset, Label, Manifest, OnBad, Part, PixelHash, prescan,
    splits::{ShenzhenSplit, shenzhen_split},
};
use serde::{Deserialize, Serialize};

use crate::{
    data::{ReadAs, Sources, listings::Listings, shares::shares},
    error::{Error, Result},
    files::Watch,
};

/// A record of images read from a folder, with which they can be read again and verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Origin {
    /// Folder of the data set: absolute in the record of a run; its last name, or nothing, in what goes with weights.
    pub dir: PathBuf,
    /// Layout of the folder.
    pub dataset: Dataset,
    /// Part of the data set.
    pub part: Part,
    /// Regular expression for the patients in the paths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patient_regex: Option<String>,
    /// What was said of the folder beyond its layout.
    #[serde(default, skip_serializing_if = "ReadAs::is_default")]
    pub read: ReadAs,
    /// How unreadable images were treated.
    pub on_bad: OnBad,
    /// Number of readable rows.
    pub images: usize,
    /// Whether the patients are known.
    pub patients_known: bool,
    /// Whether some of the images were drawn ([`cxr_data::synth`]), not taken of anybody.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub synthetic: bool,
    /// [`Manifest::hash`] of the part.
    pub hash: String,
    /// The seed that divided a folder without published parts. If set, `part` is one of the shares, and `images` and `hash`
    /// are those of the whole folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub divided: Option<u64>,
    /// The rule of that division; of no meaning without one.
    #[serde(default, skip_serializing_if = "Division::is_guessed")]
    pub(crate) division: Division,
}

/// How a set without published parts was divided.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Division {
    /// Version 0.1.0: Shenzhen's rule for every set whose only label is tuberculosis, known of every image.
    #[default]
    Guessed,
    /// Shenzhen's rule for Shenzhen, by patient for other sets.
    Named,
}

impl Division {
    fn is_guessed(&self) -> bool {
        *self == Self::Guessed
    }

    /// Rows to fit, choose and report on.
    fn shares(self, manifest: &Manifest, seed: u64) -> Result<ShenzhenSplit> {
        let alike = manifest.tasks == ["Tuberculosis"]
            && manifest.records.iter().all(|r| matches!(r.labels[..], [Label::Positive | Label::Negative]));
        match (self, alike.then(|| shenzhen_split(manifest, seed))) {
            (Self::Guessed, Some(Ok(split))) => Ok(split),
            _ => shares(manifest, seed),
        }
    }
}

impl Origin {
    /// The record of rows just read from a folder.
    pub(crate) fn of(
        sources: &Sources,
        dir: &Path,
        part: Part,
        (manifest, images): (&Manifest, usize),
    ) -> Result<Self> {
        Ok(Self {
            dir: std::path::absolute(dir).map_err(Error::io(dir))?,
            dataset: sources.dataset,
            part,
            patient_regex: sources.patient_regex.clone(),
            read: sources.read_of(dir)?,
            on_bad: sources.on_bad,
            images,
            patients_known: manifest.patients_known,
            synthetic: sources.are_drawn(dir),
            hash: manifest.hash(),
            divided: None,
            division: Division::default(),
        })
    }

    /// Whether both are the same images, whichever of their columns were read as labels. Where one of them left its house, what
    /// it left behind is not compared: the hash knows the images.
    pub(crate) fn is_same_images(&self, other: &Self) -> bool {
        let private = !(self.is_placed() && other.is_placed());
        let compared = |origin: &Self| {
            let mut origin = if private { origin.leaving(true) } else { origin.clone() };
            origin.read.tasks.clear();
            origin.synthetic = false; // earlier versions did not record it
            origin
        };
        compared(self) == compared(other)
    }

    /// Whether the record says where the images are.
    pub(crate) fn is_placed(&self) -> bool {
        self.dir.is_absolute()
    }

    /// The same images in another folder.
    pub(crate) fn moved(&self, dir: &Path) -> Result<Self> {
        Ok(Self { dir: std::path::absolute(dir).map_err(Error::io(dir))?, ..self.clone() })
    }

    /// What may leave the house with weights: counts, the hash, and the names of folder and table without the folders above;
    /// in private no name at all.
    pub(crate) fn leaving(&self, private: bool) -> Self {
        let dir = if private { PathBuf::new() } else { PathBuf::from(self.dir.file_name().unwrap_or_default()) };
        // A pattern of paths may hold names.
        let patient_regex = self.patient_regex.clone().filter(|_| !private);
        Self { dir, patient_regex, read: self.read.leaving(private), ..self.clone() }
    }

    /// Reads the rows again and checks that they are unchanged. Where the record does not say where they are, or they are no
    /// longer there, they are looked for in the places of `others`, and known by their hash.
    pub(crate) fn find(&self, others: &[Self], listed: &Listings) -> Result<Manifest> {
        let found = match self.is_placed() {
            true => self.load(listed),
            false => Err(self
                .gone(format!("no folder with these rows (hash {}), and weights do not say where it is", self.hash))),
        };
        // Columns that are labels are part of the hash, and patients too: as they were read then, or as they are now.
        let mut tried: Vec<Self> = Vec::new();
        let mut elsewhere = |other: &Self| {
            let plain = ReadAs { tasks: self.read.tasks.clone(), ..other.read.clone() };
            for read in [&plain, &other.read, &self.read] {
                for patient_regex in [&other.patient_regex, &self.patient_regex] {
                    let (dir, read, patient_regex) = (other.dir.clone(), read.clone(), patient_regex.clone());
                    let here = Self { dir, read, patient_regex, ..self.clone() };
                    if !here.is_placed() || tried.contains(&here) {
                        continue;
                    }
                    if let Ok(manifest) = here.load(listed) {
                        return Some(manifest);
                    }
                    tried.push(here);
                }
            }
            None
        };
        found.or_else(|fault| others.iter().find_map(&mut elsewhere).ok_or(fault))
    }

    /// Reads the rows again and checks that they are unchanged.
    fn load(&self, listed: &Listings) -> Result<Manifest> {
        let mut sources = Sources::new(&self.dir);
        sources.listed = listed.clone();
        (sources.dataset, sources.on_bad) = (self.dataset, self.on_bad);
        (sources.patient_regex, sources.read) = (self.patient_regex.clone(), self.read.clone());
        let part = if self.divided.is_some() { Part::Train } else { self.part };
        let (manifest, _) = sources.table_for(&self.dir, part).map_err(|e| self.gone(e.to_string()))?;
        let hash = manifest.hash();
        if hash != self.hash {
            return Err(self.gone(format!("changed rows (hash {hash}, was {})", self.hash)));
        }
        let Some(seed) = self.divided else { return Ok(manifest) };
        let split = self.division.shares(&manifest, seed)?;
        Ok(manifest.select(match self.part {
            Part::Valid => &split.valid,
            Part::Test => &split.test,
            _ => &split.train,
        }))
    }

    /// Hashes of the pixels of all images.
    pub(crate) fn pixels(&self, manifest: &Manifest, name: &str, watch: &dyn Watch) -> Result<Vec<Option<PixelHash>>> {
        watch.note(&format!("{name}: patients are unknown, so {} images are decoded to compare them", manifest.len()));
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        let scan = prescan(manifest, workers);
        let readable = manifest.len() - scan.faults.len();
        match scan.faults.first() {
            // For a share, `images` counts the rows of the whole folder.
            Some((_, fault)) if self.on_bad == OnBad::Fail || self.divided.is_none() && readable < self.images => {
                Err(self.gone(format!("{} images that cannot be read; the first: {fault}", scan.faults.len())))
            }
            _ => Ok(scan.pixels()),
        }
    }

    fn gone(&self, found: String) -> Error {
        Error::Setting {
            key: match self.dir.as_os_str().is_empty() {
                true => "images that the weights were trained on".to_owned(),
                false => format!("images that the weights were trained on, {}", self.dir.display()),
            },
            found,
            expected:
                "the same images, to check that none is in the test part; --pretraining-data DIR says where they are, \
                       --unchecked-pretraining skips the check"
                    .into(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::data::shares::tests::films;

    /// Version 0.1.0 recorded no rule; what it divided is found again as it was.
    #[test]
    fn a_division_keeps_its_rule() {
        let montgomery = films(Dataset::Montgomery);
        let recorded = serde_json::json!({
            "dir": "/data", "dataset": "montgomery", "part": "train", "on_bad": "fail", "images": 200,
            "patients_known": true, "hash": "", "divided": 3,
        });
        let old: Origin = serde_json::from_value(recorded).unwrap();
        assert_eq!(old.division.shares(&montgomery, 3).unwrap(), shenzhen_split(&montgomery, 3).unwrap());
        assert_eq!(Division::Named.shares(&montgomery, 3).unwrap(), shares(&montgomery, 3).unwrap());
        assert_ne!(shares(&montgomery, 3).unwrap(), shenzhen_split(&montgomery, 3).unwrap());
    }
}
