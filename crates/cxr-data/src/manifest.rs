//! The table that every loader produces: one row per image.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{Dataset, Error, Result};

/// A label as recorded. A [`LabelPolicy`](crate::LabelPolicy) decides how uncertain and unmentioned labels are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Label {
    /// The finding is present (`1.0`).
    Positive,
    /// The finding is explicitly absent (`0.0`).
    Negative,
    /// The report is uncertain (`-1.0`).
    Uncertain,
    /// The report does not mention the finding (a blank cell).
    NotMentioned,
}

/// View of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum View {
    /// AP or PA.
    Frontal,
    /// From the side.
    Lateral,
}

/// Direction of the beam, as in CheXpert's column `AP/PA`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Projection {
    /// Anteroposterior, usually of a patient in bed.
    Ap,
    /// Posteroanterior, of a standing patient.
    Pa,
    /// Left lateral (16 rows of CheXpert).
    Ll,
    /// Right lateral (one row of CheXpert).
    Rl,
}

/// Sex as recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Sex {
    /// Female.
    Female,
    /// Male.
    Male,
}

/// One image and its metadata.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Path of the image relative to [`Manifest::root`], with `/` as separator.
    pub path: String,
    /// Patient, unique within the data set.
    pub patient: String,
    /// Study, unique within the data set (the name contains the patient).
    pub study: String,
    /// Frontal or lateral, where recorded.
    pub view: Option<View>,
    /// AP, PA, ... where recorded.
    pub projection: Option<Projection>,
    /// Sex, where recorded.
    pub sex: Option<Sex>,
    /// Age in years, where recorded.
    pub age: Option<f32>,
    /// One entry per [`Manifest::tasks`]; empty when the set has no labels.
    pub labels: Vec<Label>,
}

/// A data set: one record per image, in file order, and the names of its label columns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Folder that the paths of the records are relative to.
    pub root: PathBuf,
    /// The data set it was loaded as, never [`Dataset::Auto`] after loading. Not part of [`Manifest::hash`].
    #[serde(default)]
    pub dataset: Dataset,
    /// Names of the label columns, in file order.
    pub tasks: Vec<String>,
    /// One row per image.
    pub records: Vec<Record>,
    /// Whether patients are known; if not, each file counts as its own patient.
    pub patients_known: bool,
    /// Notes for the user on what the loader decided or repaired (a rewritten path prefix, a label that contradicts its
    /// source).
    pub notes: Vec<String>,
}

impl Manifest {
    /// Number of images.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Path of a row's image on disk.
    ///
    /// # Panics
    /// When `row` is not below [`Manifest::len`].
    pub fn image_path(&self, row: usize) -> PathBuf {
        self.root.join(&self.records[row].path)
    }

    /// Number of patients.
    pub fn patient_count(&self) -> usize {
        self.records.iter().map(|record| record.patient.as_str()).collect::<HashSet<_>>().len()
    }

    /// The same data set with these rows only, in this order.
    ///
    /// # Panics
    /// When a row is not below [`Manifest::len`].
    pub fn select(&self, rows: &[usize]) -> Manifest {
        Manifest {
            root: self.root.clone(),
            dataset: self.dataset,
            tasks: self.tasks.clone(),
            records: rows.iter().map(|&row| self.records[row].clone()).collect(),
            patients_known: self.patients_known,
            notes: self.notes.clone(),
        }
    }

    /// Groups rows by study, the unit of CheXpert's validation and test (MoCo-CXR's `predict.py` takes the maximum of
    /// the logits over the views of a study). Groups and rows keep their order of first appearance.
    ///
    /// # Panics
    /// When a row is not below [`Manifest::len`].
    pub fn studies(&self, rows: &[usize]) -> Vec<Vec<usize>> {
        group_by(rows, |row| self.records[row].study.as_str())
    }

    /// Groups rows by patient, in the order of first appearance.
    ///
    /// # Panics
    /// When a row is not below [`Manifest::len`].
    pub fn patients(&self, rows: &[usize]) -> Vec<Vec<usize>> {
        group_by(rows, |row| self.records[row].patient.as_str())
    }

    /// Columns of the tasks with these names. Case, spaces, hyphens and underscores do not matter
    /// (`pleural-effusion` is `Pleural Effusion`), and `Airspace Opacity`, the name in the MoCo-CXR code, is
    /// CheXpert's `Lung Opacity`.
    ///
    /// # Errors
    /// [`Error::UnknownName`] with the known names.
    pub fn task_indices<S: AsRef<str>>(&self, names: &[S]) -> Result<Vec<usize>> {
        let find = |name: &str| {
            let wanted = match plain(name).as_str() {
                "airspaceopacity" => "lungopacity".into(),
                other => other.to_string(),
            };
            self.tasks.iter().position(|task| plain(task) == wanted).ok_or_else(|| Error::UnknownName {
                what: "label",
                value: name.into(),
                expected: self.tasks.clone(),
            })
        };
        names.iter().map(|name| find(name.as_ref())).collect()
    }

    /// Identity of the data set: a 128-bit BLAKE3 hash, in hex, over tasks, paths, patients, studies, views,
    /// projections and labels, in row order. Root, data set and notes are left out. It is stamped into runs and
    /// results.
    pub fn hash(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        // A length before every field keeps "ab" + "c" apart from "a" + "bc".
        let mut field = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        field(&[u8::from(self.patients_known)]);
        field(&(self.tasks.len() as u64).to_le_bytes());
        self.tasks.iter().for_each(|task| field(task.as_bytes()));
        for record in &self.records {
            field(record.path.as_bytes());
            field(record.patient.as_bytes());
            field(record.study.as_bytes());
            field(match record.view {
                None => b"",
                Some(View::Frontal) => b"f",
                Some(View::Lateral) => b"l",
            });
            field(match record.projection {
                None => b"",
                Some(Projection::Ap) => b"ap",
                Some(Projection::Pa) => b"pa",
                Some(Projection::Ll) => b"ll",
                Some(Projection::Rl) => b"rl",
            });
            field(&record.labels.iter().map(|label| label.code()).collect::<Vec<u8>>());
        }
        hasher.finalize().to_hex()[..32].to_string()
    }
}

impl Label {
    /// One letter for files and hashes; part of [`Manifest::hash`], so it never changes.
    fn code(self) -> u8 {
        match self {
            Label::Positive => b'1',
            Label::Negative => b'0',
            Label::Uncertain => b'u',
            Label::NotMentioned => b'-',
        }
    }
}

/// Lower case, letters and digits only.
fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

fn group_by<'a>(rows: &[usize], key: impl Fn(usize) -> &'a str) -> Vec<Vec<usize>> {
    let mut place = HashMap::new();
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for &row in rows {
        let group = *place.entry(key(row)).or_insert_with(|| {
            groups.push(Vec::new());
            groups.len() - 1
        });
        groups[group].push(row);
    }
    groups
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Manifests were once written without the field.
    #[test]
    fn a_manifest_without_a_data_set_still_reads() {
        let text = r#"{"root": "/data", "tasks": [], "records": [], "patients_known": true, "notes": []}"#;
        assert_eq!(serde_json::from_str::<Manifest>(text).unwrap().dataset, Dataset::Auto);
    }

    #[test]
    fn the_hash_sees_what_changes_a_result_and_nothing_else() {
        let record = Record {
            path: "a.png".into(),
            patient: "p".into(),
            study: "p/s".into(),
            view: None,
            projection: None,
            sex: None,
            age: None,
            labels: vec![Label::Positive],
        };
        let set = Manifest {
            root: "/one".into(),
            dataset: Dataset::Folder,
            tasks: vec!["T".into()],
            records: vec![record],
            patients_known: true,
            notes: Vec::new(),
        };
        let changed = |change: fn(&mut Manifest)| {
            let mut other = set.clone();
            change(&mut other);
            other.hash() != set.hash()
        };
        assert!(changed(|set| set.records[0].labels[0] = Label::Uncertain));
        assert!(changed(|set| set.records[0].projection = Some(Projection::Ap)));
        assert!(changed(|set| set.records[0].patient = "q".into()));
        assert!(changed(|set| (set.records[0].path, set.records[0].patient) = ("a.pngp".into(), String::new())));
        assert!(changed(|set| set.patients_known = false));
        assert!(!changed(|set| set.dataset = Dataset::Shenzhen));
        assert!(!changed(|set| (set.root, set.notes) = ("/two".into(), vec!["moved".into()])));
    }
}
