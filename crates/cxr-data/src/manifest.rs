//! The table that every loader produces: one row per image.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::inventory::{Account, to_path};
use crate::loaders::plain;
use crate::{Dataset, Error, Label, Projection, Result, Sex, View, vocabulary};

/// One image and its metadata.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Path of the image relative to [`Manifest::root`], with `/` as separator. Bytes that are not UTF-8 are written as
    /// `\\xNN`; [`Manifest::image_path`] has the path on disk.
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
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
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
    /// Whether parts are published (tables, lists, folders or a column of them). If not, a load of the training part has
    /// every image. Not part of [`Manifest::hash`].
    #[serde(default)]
    pub has_parts: bool,
    /// What became of every file below the folder. Not part of [`Manifest::hash`].
    #[serde(default)]
    pub account: Account,
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
        self.root.join(to_path(&self.records[row].path))
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
            has_parts: self.has_parts,
            account: self.account.clone(),
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
    /// (`pleural-effusion` is `Pleural Effusion`), and a name by which another set calls the same finding is understood
    /// (`Pleural Effusion` is NIH's `Effusion`, and the MoCo-CXR code's `Airspace Opacity` is `Lung Opacity`); see
    /// [`Self::named_otherwise`].
    ///
    /// # Errors
    /// [`Error::UnknownName`] with the known names.
    pub fn task_indices<S: AsRef<str>>(&self, names: &[S]) -> Result<Vec<usize>> {
        names.iter().map(|name| self.task(name.as_ref(), false)).collect()
    }

    /// As [`Self::task_indices`], by the set's own names only.
    ///
    /// # Errors
    /// [`Error::UnknownName`] with the known names.
    pub fn exact_task_indices<S: AsRef<str>>(&self, names: &[S]) -> Result<Vec<usize>> {
        names.iter().map(|name| self.task(name.as_ref(), true)).collect()
    }

    /// Of these names those that the set calls otherwise, each with the set's own name.
    pub fn named_otherwise<'n, S: AsRef<str>>(&self, names: &'n [S]) -> Vec<(&'n str, &str)> {
        let pairs = names.iter().filter_map(|name| {
            let own = self.tasks.get(self.task(name.as_ref(), false).ok()?)?;
            (plain(own) != plain(name.as_ref())).then_some((name.as_ref(), own.as_str()))
        });
        pairs.collect()
    }

    fn task(&self, name: &str, exact: bool) -> Result<usize> {
        let wanted = plain(name);
        let own = || self.tasks.iter().position(|task| plain(task) == wanted);
        let other = || self.tasks.iter().position(|task| vocabulary::same(&plain(task), &wanted));
        own().or_else(|| if exact { None } else { other() }).ok_or_else(|| match self.tasks.is_empty() {
            true => Error::NoLabels { name: name.into(), root: self.root.clone() },
            false => Error::UnknownName { what: "label", value: name.into(), expected: self.tasks.clone() },
        })
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
            field(&record.labels.iter().map(|&label| code(label)).collect::<Vec<u8>>());
        }
        hasher.finalize().to_hex()[..32].to_string()
    }
}

/// One letter for files and hashes; part of [`Manifest::hash`], so it never changes.
fn code(label: Label) -> u8 {
    match label {
        Label::Positive => b'1',
        Label::Negative => b'0',
        Label::Uncertain => b'u',
        Label::NotMentioned => b'-',
    }
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
            ..Manifest::default()
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
