//! A CSV file in memory, with access by column name and line numbers for errors.

use std::path::{Path, PathBuf};

use csv::StringRecord;

use crate::error::{Error, Result};
use crate::names::{canonical, nearest_names, unique};
use crate::row::{PatientSource, Row};

/// Accepted names of the columns that are neither labels nor scores, without case and punctuation.
const PATH: &[&str] = &["path", "image", "file", "filename"];
const PATIENT: &[&str] = &["patient", "patientid", "subject", "subjectid"];
const STUDY: &[&str] = &["study", "studyid"];
const VIEW: &[&str] = &["view", "frontallateral"];
const SEX: &[&str] = &["sex", "gender"];
const AGE: &[&str] = &["age", "ageyears"];
const PROJECTION: &[&str] = &["projection", "appa"];

pub(super) struct Sheet {
    pub(super) path: PathBuf,
    headers: Vec<String>,
    /// Records with their 1-based line.
    pub(super) records: Vec<(u64, StringRecord)>,
}

impl Sheet {
    pub(super) fn read(path: &Path) -> Result<Self> {
        let fault = |source: csv::Error| Error::Csv { path: path.to_owned(), source };
        let file = std::fs::File::open(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(std::io::BufReader::new(file));
        let headers: Vec<String> = reader.headers().map_err(fault)?.iter().map(str::to_owned).collect();
        unique(&path.display().to_string(), "column", headers.iter().map(String::as_str).filter(|h| !h.is_empty()))?;
        let mut records = Vec::new();
        for record in reader.records() {
            let record = record.map_err(fault)?;
            records.push((record.position().map_or(0, csv::Position::line), record));
        }
        if records.is_empty() {
            return Err(Error::EmptyFile { path: path.to_owned(), what: "no rows" });
        }
        Ok(Self { path: path.to_owned(), headers, records })
    }

    /// Column with exactly this name, otherwise one with this name without case and punctuation.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        let wanted = canonical(name);
        let exact = self.headers.iter().position(|header| header == name);
        exact.or_else(|| self.headers.iter().position(|header| canonical(header) == wanted))
    }

    pub(super) fn column(&self, name: &str) -> Result<usize> {
        self.find(name).ok_or_else(|| Error::MissingColumn {
            path: self.path.clone(),
            column: name.to_owned(),
            nearest: nearest_names(name, self.headers.iter().map(String::as_str)),
            known: self.headers.clone(),
        })
    }

    /// Column names that begin with a prefix (`label_`, `score_`), without it, and their columns, in the order of the
    /// file.
    pub(super) fn prefixed(&self, prefix: &str) -> Vec<(String, usize)> {
        let strip = |header: &String| {
            let head = header.get(..prefix.len())?;
            head.eq_ignore_ascii_case(prefix).then(|| header[prefix.len()..].to_owned())
        };
        self.headers.iter().enumerate().filter_map(|(column, header)| Some((strip(header)?, column))).collect()
    }

    /// Columns that neither are the key nor describe the row: the tasks of a file without prefixes.
    pub(super) fn unprefixed(&self, key: usize) -> Vec<(String, usize)> {
        let describes = |header: &str| {
            let name = canonical(header);
            name.is_empty() || [PATH, PATIENT, STUDY, VIEW, SEX, AGE, PROJECTION].concat().contains(&name.as_str())
        };
        let columns = self.headers.iter().enumerate();
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
        let any = |names: &[&str]| self.headers.iter().position(|header| names.contains(&canonical(header).as_str()));
        let (study, patient) = (any(STUDY), any(PATIENT));
        let path = any(PATH).or(study).or(key).map_or_else(|| self.column("path"), Ok)?;
        let (view, sex, age, projection) = (any(VIEW), any(SEX), any(AGE), any(PROJECTION));

        let from_paths: Option<Vec<String>> =
            self.records.iter().map(|(_, record)| patient_in_path(&record[path])).collect();
        let source = match (patient, &from_paths) {
            (Some(_), _) => PatientSource::Column,
            (None, Some(_)) => PatientSource::Path,
            (None, None) => PatientSource::Row,
        };
        let text = |record: &StringRecord, column: Option<usize>| {
            column.map(|column| record[column].to_owned()).filter(|text| !text.is_empty())
        };
        let mut rows = Vec::with_capacity(self.records.len());
        for (number, (line, record)) in self.records.iter().enumerate() {
            let id = record[path].to_owned();
            let patient = match (patient, &from_paths) {
                (Some(column), _) if record[column].is_empty() => {
                    return Err(self.bad_cell(*line, column, "", "a patient id"));
                }
                (Some(column), _) => record[column].to_owned(),
                (None, Some(patients)) => patients[number].clone(),
                (None, None) => id.clone(),
            };
            let age = match text(record, age).zip(age) {
                Some((text, column)) => Some(
                    text.parse()
                        .map_err(|_| self.bad_cell(*line, column, &text, "an age in years or an empty cell"))?,
                ),
                None => None,
            };
            let study = text(record, study).unwrap_or_else(|| id.clone());
            let (view, sex, projection) = (text(record, view), text(record, sex), text(record, projection));
            rows.push(Row { path: id, patient, study, view, sex, age, projection });
        }
        Ok((rows, source))
    }

    /// A finite score.
    pub(super) fn score(&self, line: u64, record: &StringRecord, column: usize) -> Result<f64> {
        let cell = &record[column];
        let score = cell.parse::<f64>().ok().filter(|score| score.is_finite());
        score.ok_or_else(|| self.bad_cell(line, column, cell, "a finite score"))
    }

    /// 0, 1 or NaN (masked).
    pub(super) fn label(&self, line: u64, record: &StringRecord, column: usize) -> Result<f64> {
        let cell = &record[column];
        if cell.is_empty() || cell.eq_ignore_ascii_case("nan") {
            return Ok(f64::NAN);
        }
        let label = cell.parse::<f64>().ok().filter(|label| *label == 0.0 || *label == 1.0);
        label.ok_or_else(|| {
            self.bad_cell(line, column, cell, "0, 1 or an empty cell (apply a label policy to -1 beforehand)")
        })
    }

    fn bad_cell(&self, line: u64, column: usize, found: &str, expected: &'static str) -> Error {
        let (path, column) = (self.path.clone(), self.headers[column].clone());
        Error::Cell { path, line, column, found: found.to_owned(), expected }
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
