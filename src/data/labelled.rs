//! Labelled rows: rows of a data set with their targets under a label policy.

use std::{collections::HashMap, sync::Arc};

use cxr_data::{Label, LabelPolicy, Manifest, PolicyResult, Record};
use eval::{PatientSource, Row};
use ndarray::{Array2, Axis};

use crate::{
    data::{Labels, Origin, Rows},
    error::{Error, Result},
};

/// Rows of a data set admitted by the label policy, with their targets.
#[derive(Debug, Clone)]
pub struct Labelled {
    rows: Arc<Rows>,
    labels: Labels,
    policy: PolicyResult,
    patients: Vec<u64>,
}

impl Labelled {
    /// Applies a label policy to the readable rows.
    ///
    /// # Errors
    /// A task that the data set does not have (the message suggests similar names), or no rows are left.
    pub fn new(rows: &Arc<Rows>, labels: &Labels) -> Result<Self> {
        labels.validate()?;
        let manifest = rows.manifest();
        let columns = labels.columns(manifest)?;
        let policy = admitted(rows, &columns, labels.policy)?;
        let mut numbers = HashMap::new();
        let number = |&row: &usize| {
            let next = numbers.len() as u64;
            *numbers.entry(manifest.records[row].patient.as_str()).or_insert(next)
        };
        let patients = policy.rows.iter().map(number).collect();
        Ok(Self { rows: rows.clone(), labels: labels.clone(), policy, patients })
    }

    /// These places alone, ascending. The counts stay those of all rows.
    pub(crate) fn at(&self, places: &[usize]) -> Self {
        let mut policy = self.policy.clone();
        policy.targets = policy.targets.select(Axis(0), places);
        policy.rows = places.iter().map(|&place| policy.rows[place]).collect();
        let patients = places.iter().map(|&place| self.patients[place]).collect();
        Self { rows: self.rows.clone(), labels: self.labels.clone(), policy, patients }
    }

    /// The set that these rows are taken from.
    pub(crate) fn set(&self) -> &Arc<Rows> {
        &self.rows
    }

    /// The folder they were read from.
    pub(crate) fn origin(&self) -> &Origin {
        self.rows.origin()
    }

    /// Rows of the manifest, ascending.
    pub fn rows(&self) -> &[usize] {
        &self.policy.rows
    }

    /// The result of the policy, with label counts before and after.
    pub fn counts(&self) -> &PolicyResult {
        &self.policy
    }

    /// The label columns and their policy.
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// Targets `[N, T]`: 0, 1, or NaN if masked.
    pub fn targets(&self) -> Array2<f64> {
        self.policy.targets.mapv(f64::from)
    }

    pub(crate) fn manifest(&self) -> &Manifest {
        self.rows.manifest()
    }

    /// The patient of every row, as a number.
    pub(crate) fn patients(&self) -> &[u64] {
        &self.patients
    }

    /// The rows as they stand in a prediction file.
    pub(crate) fn score_rows(&self) -> Vec<Row> {
        self.rows().iter().map(|&row| score_row(&self.manifest().records[row])).collect()
    }
}

/// The readable rows admitted by the policy, with their targets in these label columns.
pub(crate) fn admitted(rows: &Rows, columns: &[usize], policy: LabelPolicy) -> Result<PolicyResult> {
    let mut applied = policy.apply(rows.manifest(), columns)?;
    let keep: Vec<usize> =
        (0..applied.rows.len()).filter(|&i| rows.readable().binary_search(&applied.rows[i]).is_ok()).collect();
    if keep.is_empty() {
        let found = format!("no image in {} admitted by the label policy", rows.manifest().root.display());
        return Err(Error::Setting { key: "data".into(), found, expected: "at least one".into() });
    }
    applied.targets = applied.targets.select(Axis(0), &keep);
    applied.rows = keep.iter().map(|&i| applied.rows[i]).collect();
    Ok(applied)
}

/// Where the patients in a prediction file come from: the manifest, or one patient per row.
pub(crate) fn patient_source(manifest: &Manifest) -> PatientSource {
    if manifest.patients_known { PatientSource::Column } else { PatientSource::Row }
}

/// A label as a table of results has it: 1, 0, -1 for uncertain, empty if it is not mentioned or there is none.
pub(crate) fn recorded(record: &Record, column: usize) -> &'static str {
    match record.labels.get(column) {
        Some(Label::Positive) => "1",
        Some(Label::Negative) => "0",
        Some(Label::Uncertain) => "-1",
        Some(Label::NotMentioned) | None => "",
    }
}

/// A row of a prediction file.
pub(crate) fn score_row(record: &Record) -> Row {
    Row {
        path: record.path.clone(),
        patient: record.patient.clone(),
        study: record.study.clone(),
        view: record.view.map(|v| format!("{v:?}").to_lowercase()),
        sex: record.sex.map(|s| format!("{s:?}")),
        age: record.age.map(f64::from),
        projection: record.projection.map(|p| format!("{p:?}").to_uppercase()),
    }
}
