//! A prediction file or a table of labels, with access by column name and line numbers for errors.

use std::path::{Path, PathBuf};

use ::tables::{Age, Label, Row as TableRow, Table, age, is_missing, label, number};

use super::recorded::RecordedLabels;
use crate::error::{Error, Result};
use crate::names::{canonical, nearest_names};
use crate::row::{PatientSource, Row};

/// Accepted names of the columns that are neither labels nor scores, without case and punctuation.
const PATH: &[&str] = &["path", "image", "file", "filename", "imagepath", "imageindex", "imageid"];
const PATIENT: &[&str] = &["patient", "patientid", "subject", "subjectid"];
const STUDY: &[&str] = &["study", "studyid"];
const VIEW: &[&str] = &["view", "frontallateral"];
const SEX: &[&str] = &["sex", "gender"];
const AGE: &[&str] = &["age", "ageyears"];
const PROJECTION: &[&str] = &["projection", "appa"];

pub(super) struct Sheet {
    pub(super) path: PathBuf,
    table: Table,
}

impl Sheet {
    pub(super) fn read(path: &Path) -> Result<Self> {
        Ok(Self { path: path.to_owned(), table: Table::read(path)? })
    }

    /// Number of rows.
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    pub(super) fn rows_of_table(&self) -> impl ExactSizeIterator<Item = TableRow<'_>> {
        self.table.rows()
    }

    pub(super) fn row(&self, at: usize) -> TableRow<'_> {
        self.table.row(at)
    }

    /// Column with exactly this name, otherwise one with this name without case and punctuation.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        let wanted = canonical(name);
        let exact = self.table.header().iter().position(|header| header == name);
        exact.or_else(|| self.table.header().iter().position(|header| canonical(header) == wanted))
    }

    pub(super) fn column(&self, name: &str) -> Result<usize> {
        self.find(name).ok_or_else(|| Error::MissingColumn {
            path: self.path.clone(),
            column: name.to_owned(),
            nearest: nearest_names(name, self.table.header().iter().map(String::as_str)),
            known: self.table.header().to_vec(),
        })
    }

    /// Column names that begin with a prefix (`label_`, `score_`), without it, and their columns, in the order of the
    /// file.
    pub(super) fn prefixed(&self, prefix: &str) -> Vec<(String, usize)> {
        let strip = |header: &String| {
            let head = header.get(..prefix.len())?;
            head.eq_ignore_ascii_case(prefix).then(|| header[prefix.len()..].to_owned())
        };
        self.table.header().iter().enumerate().filter_map(|(column, header)| Some((strip(header)?, column))).collect()
    }

    /// Columns that neither are the key nor describe the row: the tasks of a file without prefixes.
    pub(super) fn unprefixed(&self, key: usize) -> Vec<(String, usize)> {
        let describes = |header: &str| {
            let name = canonical(header);
            name.is_empty() || [PATH, PATIENT, STUDY, VIEW, SEX, AGE, PROJECTION].concat().contains(&name.as_str())
        };
        let columns = self.table.header().iter().enumerate();
        columns.filter(|(column, name)| *column != key && !describes(name)).map(|(c, name)| (name.clone(), c)).collect()
    }

    /// The rows and where their patient ids come from. Without a patient column, the patient is read from the paths
    /// (`.../patient00001/...`); unless every path has one, each row counts as a patient of its own.
    pub(super) fn rows(&self) -> Result<(Vec<Row>, PatientSource)> {
        self.rows_or(None)
    }

    /// [`Self::rows`], with `key` in place of the path if there is neither a path nor a study column.
    pub(super) fn rows_keyed(&self, key: usize) -> Result<(Vec<Row>, PatientSource)> {
        self.rows_or(Some(key))
    }

    fn rows_or(&self, key: Option<usize>) -> Result<(Vec<Row>, PatientSource)> {
        let any =
            |names: &[&str]| self.table.header().iter().position(|header| names.contains(&canonical(header).as_str()));
        let (study, patient) = (any(STUDY), any(PATIENT));
        // Labels and scores alone: a row is its number.
        let path = any(PATH).or(study).or(key);
        let (view, sex, years, projection) = (any(VIEW), any(SEX), any(AGE), any(PROJECTION));
        let id = |number: usize, row: TableRow<'_>| {
            path.map_or_else(|| format!("row {}", number + 1), |path| row.cell(path).to_owned())
        };

        let paths = self.table.rows().enumerate().map(|(number, row)| patient_in_path(&id(number, row)));
        let from_paths: Option<Vec<String>> = paths.collect();
        let source = match (patient, &from_paths) {
            (Some(_), _) => PatientSource::Column,
            (None, Some(_)) => PatientSource::Path,
            (None, None) => PatientSource::Row,
        };
        let text = |row: TableRow<'_>, column: Option<usize>| {
            column.map(|column| row.cell(column)).filter(|text| !is_missing(text)).map(str::to_owned)
        };
        let mut rows = Vec::with_capacity(self.table.len());
        for (number, row) in self.table.rows().enumerate() {
            let id = id(number, row);
            let patient = match (patient, &from_paths) {
                (Some(column), _) if is_missing(row.cell(column)) => {
                    return Err(row.fault(column, "a patient id").into());
                }
                (Some(column), _) => row.cell(column).to_owned(),
                (None, Some(patients)) => patients[number].clone(),
                (None, None) => id.clone(),
            };
            let age = match years.map(|column| (column, age(row.cell(column)))) {
                Some((_, Some(Age::Years(years)))) => Some(f64::from(years)),
                // A group of ages is no age.
                None | Some((_, Some(Age::Group | Age::Missing))) => None,
                Some((column, None)) => return Err(row.fault(column, "an age in years or an empty cell").into()),
            };
            let study = text(row, study).unwrap_or_else(|| id.clone());
            let (view, sex, projection) = (text(row, view), text(row, sex), text(row, projection));
            rows.push(Row { path: id, patient, study, view, sex, age, projection });
        }
        Ok((rows, source))
    }

    /// A finite score.
    pub(super) fn score(&self, row: TableRow<'_>, column: usize) -> Result<f64> {
        number(row.cell(column)).ok_or_else(|| row.fault(column, "a finite score").into())
    }

    /// A target: 0, 1 or NaN (masked). An uncertain label needs a policy.
    pub(super) fn target(&self, row: TableRow<'_>, column: usize, policy: Option<&RecordedLabels>) -> Result<f64> {
        match (label(row.cell(column)), policy) {
            (Some(Label::Positive), _) => Ok(1.0),
            (Some(Label::Negative), _) => Ok(0.0),
            (Some(Label::NotMentioned), _) => Ok(f64::NAN),
            (Some(Label::Uncertain), Some(policy)) => Ok(policy.uncertain),
            _ => Err(row.fault(column, "0, 1 or an empty cell (--policy says what becomes of -1)").into()),
        }
    }

    /// A label as recorded.
    pub(super) fn recorded(&self, row: TableRow<'_>, column: usize) -> Result<Label> {
        label(row.cell(column)).ok_or_else(|| row.fault(column, "1, 0, -1 or an empty cell").into())
    }
}

/// `patient00001` of `CheXpert-v1.0-small/valid/patient00001/study1/view1_frontal.jpg`.
fn patient_in_path(path: &str) -> Option<String> {
    path.split(['/', '\\'])
        .find(|part| {
            let digits = part.strip_prefix("patient").unwrap_or_default();
            !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
        })
        .map(str::to_owned)
}
