//! Prediction files with labels and scores.

use std::path::Path;

use ndarray::Array2;

use super::recorded::RecordedLabels;
use super::sheet::Sheet;
use crate::error::{Error, Result};
use crate::names::canonical;
use crate::scores::Scores;

/// Reads a prediction file: `path` (or `study`; without either, rows are known by their numbers), optional `patient`, `study`, `view`, `sex`, `age`, `projection`, then
/// `score_<task>` and `label_<task>` columns. A task without a label column is masked throughout.
///
/// # Errors
/// No such file, no score column, a cell that cannot be read (with line and column), an id that appears twice.
pub fn read_predictions(path: &Path) -> Result<Scores> {
    read_under(path, None)
}

/// [`read_predictions`], with a policy for labels of -1.
pub(super) fn read_under(path: &Path, policy: Option<&RecordedLabels>) -> Result<Scores> {
    let sheet = Sheet::read(path)?;
    let scored = sheet.prefixed("score_");
    if scored.is_empty() {
        return Err(Error::EmptyFile { path: path.to_owned(), what: "no column named score_<task>" });
    }
    let labelled = sheet.prefixed("label_");
    let label_of = |task: &str| labelled.iter().find(|(name, _)| canonical(name) == canonical(task)).map(|(_, c)| *c);
    let label_columns: Vec<Option<usize>> = scored.iter().map(|(task, _)| label_of(task)).collect();

    let shape = (sheet.len(), scored.len());
    let (mut labels, mut scores) = (Array2::from_elem(shape, f64::NAN), Array2::zeros(shape));
    for (row, record) in sheet.rows_of_table().enumerate() {
        for (task, (_, column)) in scored.iter().enumerate() {
            scores[[row, task]] = sheet.score(record, *column)?;
            if let Some(column) = label_columns[task] {
                labels[[row, task]] = sheet.target(record, column, policy)?;
            }
        }
    }
    let (rows, source) = sheet.rows()?;
    let tasks = scored.into_iter().map(|(task, _)| task).collect();
    Ok(Scores::new(tasks, rows, labels, scores)?.with_patient_source(source))
}
