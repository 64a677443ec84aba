//! The two tuberculosis sets of the US National Library of Medicine (Jaeger et al. 2014), laid out alike: Shenzhen
//! (`ChinaSet_AllFiles/CXR_png/CHNCXR_0001_0.png`) and Montgomery (`MontgomerySet/CXR_png/MCUCXR_0001_0.png`), with
//! `ClinicalReadings/*.txt` beside them. The label is the suffix of the file name, 0 normal, 1 tuberculosis: it gives
//! the counts of the MoCo-CXR paper (326 and 336); the readings do not.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::reading::{self, Reading};
use super::source::{NO_PARTS, Source};
use super::{Dataset, Part};
use crate::inventory::to_text;
use crate::{Error, Label, Manifest, Record, Result, View, limits};

const IMAGES: &str = "CXR_png";
const READINGS: &str = "ClinicalReadings";
/// A table of the readings with the columns `study_id` (the file name), `sex`, `age`, `findings`, as some mirrors of
/// the Shenzhen set carry instead of the text files.
const METADATA: &str = "shenzhen_metadata.csv";

/// One of the two sets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FilmSet {
    dataset: Dataset,
    prefix: &'static str,
    read: fn(&str) -> Reading,
}

pub(crate) const SHENZHEN: FilmSet = FilmSet { dataset: Dataset::Shenzhen, prefix: "CHNCXR_", read: Reading::shenzhen };
pub(crate) const MONTGOMERY: FilmSet =
    FilmSet { dataset: Dataset::Montgomery, prefix: "MCUCXR_", read: Reading::montgomery };

impl FilmSet {
    /// Folder with the images: `dir`, or `CXR_png` in it or in a folder in it.
    pub(crate) fn find(&self, dir: &Path) -> Result<Option<PathBuf>> {
        let io = |source| Error::Io { path: dir.into(), source };
        let mut candidates = vec![dir.to_path_buf(), dir.join(IMAGES)];
        for entry in std::fs::read_dir(dir).map_err(io)? {
            candidates.push(entry.map_err(io)?.path().join(IMAGES));
        }
        candidates[2..].sort();
        for folder in candidates {
            let Ok(mut entries) = std::fs::read_dir(&folder) else { continue };
            if entries.any(|entry| entry.is_ok_and(|e| self.label(&e.file_name().to_string_lossy()).is_some())) {
                return Ok(Some(folder));
            }
        }
        Ok(None)
    }

    /// Patient and label of a file name such as `CHNCXR_0001_0.png`.
    fn label<'n>(&self, name: &'n str) -> Option<(&'n str, bool)> {
        let (stem, extension) = name.rsplit_once('.')?;
        let (patient, suffix) = stem.rsplit_once('_')?;
        let number = patient.strip_prefix(self.prefix)?;
        let image = extension.eq_ignore_ascii_case("png") || extension.eq_ignore_ascii_case("jpg");
        if !image || number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        match suffix {
            "0" => Some((patient, false)),
            "1" => Some((patient, true)),
            _ => None,
        }
    }

    pub(crate) fn load(&self, source: &Source<'_>) -> Result<Manifest> {
        let (dir, part) = (source.dir(), source.part);
        let Some(folder) = self.find(dir)? else {
            return Err(source.layout(format!("{IMAGES}/{0}0001_0.png, {0}0002_1.png, ...", self.prefix)));
        };
        if matches!(part, Part::Valid | Part::Test) {
            return Err(source.no_such_part(self.dataset, NO_PARTS));
        }
        let inside = folder.file_name().is_some_and(|name| name == IMAGES);
        let root = if inside { folder.parent().unwrap_or(&folder).to_path_buf() } else { folder.clone() };
        let below = to_text(folder.strip_prefix(dir).unwrap_or(&folder));
        let below = if below.is_empty() { below } else { format!("{below}/") };
        let names = source.inventory.images().filter_map(|path| path.strip_prefix(&below));
        let names: Vec<&str> = names.filter(|name| !name.contains('/')).collect();

        let mut readings = self.readings(source, &root)?;
        let mut notes = Notes::default();
        let mut records = Vec::new();
        for name in names {
            let Some((patient, tuberculosis)) = self.label(name) else { continue };
            let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
            let reading = readings.remove(stem);
            notes.see(name, tuberculosis, reading.as_ref());
            let reading = reading.unwrap_or_default();
            records.push(Record {
                path: if inside { format!("{IMAGES}/{name}") } else { name.into() },
                patient: patient.into(),
                study: format!("{patient}/study1"),
                view: Some(View::Frontal),
                projection: None,
                sex: reading.sex,
                age: reading.age,
                labels: vec![if tuberculosis { Label::Positive } else { Label::Negative }],
            });
        }
        let mut notes = notes.lines(&folder);
        notes.extend(super::no_parts(self.dataset, part, records.len()));
        let tasks = vec!["Tuberculosis".into()];
        Ok(Manifest { root, dataset: self.dataset, tasks, records, patients_known: true, notes, ..Manifest::default() })
    }

    /// Readings by image file name without extension: from the text files, or else from a table beside or above the
    /// images.
    fn readings(&self, source: &Source<'_>, root: &Path) -> Result<HashMap<String, Reading>> {
        let folder = root.join(READINGS);
        let mut readings = HashMap::new();
        if folder.is_dir() {
            source.note_read(&format!("{}/", to_text(folder.strip_prefix(source.dir()).unwrap_or(&folder))));
            let io = |source| Error::Io { path: folder.clone(), source };
            for entry in std::fs::read_dir(&folder).map_err(io)? {
                let path = entry.map_err(io)?.path();
                let Some(stem) = path.file_stem().filter(|_| path.extension().is_some_and(|e| e == "txt")) else {
                    continue;
                };
                // Typed on several systems, so not always UTF-8.
                let text = limits::note(&path).map_err(|source| Error::Io { path: path.clone(), source })?;
                readings.insert(stem.to_string_lossy().into_owned(), (self.read)(&String::from_utf8_lossy(&text)));
            }
            return Ok(readings);
        }
        let places = [Some(root), root.parent()];
        let Some(path) = places.into_iter().flatten().map(|place| place.join(METADATA)).find(|path| path.is_file())
        else {
            return Ok(readings);
        };
        let table = source.read_at(&path)?;
        let [name, sex, age, findings] = table.columns(["study_id", "sex", "age", "findings"])?;
        for row in table.rows() {
            let stem = row.cell(name).rsplit_once('.').map_or(row.cell(name), |(stem, _)| stem);
            let reading = Reading {
                sex: reading::sex(row.cell(sex)),
                age: reading::age(row.cell(age)),
                findings: row.cell(findings).into(),
                contaminated: false,
            };
            readings.insert(stem.into(), reading);
        }
        Ok(readings)
    }
}

/// Names of images for the notes.
#[derive(Default)]
struct Notes {
    without_reading: Vec<String>,
    without_age: Vec<String>,
    contaminated: Vec<String>,
    contradicting: Vec<String>,
}

impl Notes {
    fn see(&mut self, name: &str, tuberculosis: bool, reading: Option<&Reading>) {
        let Some(reading) = reading else {
            self.without_reading.push(name.into());
            return;
        };
        if reading.sex.is_none() || reading.age.is_none() {
            self.without_age.push(name.into());
        }
        if reading.contaminated {
            self.contaminated.push(name.into());
        }
        if reading.contradicts(tuberculosis) == Some(true) {
            self.contradicting.push(format!("{name} (\"{}\")", reading.findings));
        }
    }

    fn lines(self, folder: &Path) -> Vec<String> {
        [
            (self.without_reading, "images without a clinical reading"),
            (self.without_age, "clinical readings without a legible sex or age"),
            (self.contaminated, "clinical readings that mention more than one patient; the first was used"),
            (self.contradicting, "clinical readings that contradict the suffix of the file name; the suffix was used"),
        ]
        .into_iter()
        .filter(|(names, _)| !names.is_empty())
        .map(|(names, what)| {
            let shown = names[..names.len().min(5)].join(", ");
            format!(
                "{}: {} {what}: {shown}{}",
                folder.display(),
                names.len(),
                if names.len() > 5 { ", ..." } else { "" }
            )
        })
        .collect()
    }
}
