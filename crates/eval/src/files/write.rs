//! Files that are written completely or not at all, and never overwrite another.

use std::io::Write;
use std::path::Path;

use crate::error::{Error, Result};
use crate::row::{PatientSource, Row};
use crate::scores::Scores;

/// Writes a prediction file that [`read_predictions`](crate::read_predictions) reads back to the same [`Scores`].
///
/// The columns are `path, patient, study, view` (without `patient` for [`PatientSource::Row`]), then those of `sex,
/// age, projection` that are known, then `label_<task>` and `score_<task>`. Scores are written with all digits of an
/// f64.
///
/// # Errors
/// [`Error::Exists`] if the file exists; failures to write.
pub fn write_predictions(path: &Path, scores: &Scores) -> Result<()> {
    write_predictions_of(path, scores, scores.rows())
}

/// As [`write_predictions`], for scores of some of the rows `all`: the columns that are written only where they hold something
/// are those of all, so that parts of a file have the columns of the whole.
///
/// # Errors
/// As [`write_predictions`].
pub fn write_predictions_of(path: &Path, scores: &Scores, all: &[Row]) -> Result<()> {
    type Column = (&'static str, fn(&Row) -> String);
    let optional: [Column; 3] = [
        ("sex", |row| row.sex.clone().unwrap_or_default()),
        ("age", |row| row.age.map(|age| age.to_string()).unwrap_or_default()),
        ("projection", |row| row.projection.clone().unwrap_or_default()),
    ];
    let mut columns: Vec<Column> = vec![
        ("path", |row| row.path.clone()),
        ("patient", |row| row.patient.clone()),
        ("study", |row| row.study.clone()),
        ("view", |row| row.view.clone().unwrap_or_default()),
    ];
    if scores.patient_source() == PatientSource::Row {
        columns.retain(|(name, _)| *name != "patient");
    }
    columns.extend(optional.into_iter().filter(|(_, cell)| all.iter().any(|row| !cell(row).is_empty())));

    let mut writer = csv::Writer::from_writer(Vec::new());
    let fault = |source: csv::Error| Error::Csv { path: path.to_owned(), source };
    let header = columns.iter().map(|(name, _)| (*name).to_owned());
    let header = header.chain(scores.tasks().iter().map(|task| format!("label_{task}")));
    let header = header.chain(scores.tasks().iter().map(|task| format!("score_{task}")));
    writer.write_record(header).map_err(fault)?;
    for (index, row) in scores.rows().iter().enumerate() {
        let labels = scores.labels();
        let label =
            labels.row(index).to_vec().into_iter().map(|l| if l.is_nan() { String::new() } else { l.to_string() });
        let score = scores.scores().row(index).to_vec().into_iter().map(|score| score.to_string());
        writer.write_record(columns.iter().map(|(_, cell)| cell(row)).chain(label).chain(score)).map_err(fault)?;
    }
    let bytes =
        writer.into_inner().map_err(|source| Error::Io { path: path.to_owned(), source: source.into_error() })?;
    write_new(path, &bytes)
}

/// Writes a file completely or not at all: first a temporary file beside it, which is flushed to disk and renamed.
///
/// # Errors
/// [`Error::Exists`] if the file exists; failures to write.
pub fn write_new(path: &Path, bytes: &[u8]) -> Result<()> {
    if path.exists() {
        return Err(Error::Exists { path: path.to_owned() });
    }
    let fault = |source| Error::Io { path: path.to_owned(), source };
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(name);
    let written = std::fs::File::create(&temporary)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| std::fs::rename(&temporary, path));
    written.map_err(|source| {
        // The temporary file may not exist; failing to remove it is no further error.
        let _ = std::fs::remove_file(&temporary);
        fault(source)
    })
}
