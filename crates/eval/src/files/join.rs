//! Labels in one file and scores in another, matched by a key column, as for CheXpert's test set.

use std::collections::HashMap;
use std::path::Path;

use ndarray::Array2;

use super::sheet::Sheet;
use crate::error::{Error, Result, RowMismatch};
use crate::names::{find_task, unique};
use crate::row::{PatientSource, Row};
use crate::scores::Scores;

/// Joins `ground_truth` and `predictions` on the column `key` (`Path`, `Study`, ...), which both must have.
///
/// Label columns are named `label_<task>` or, if there are none, by the task alone; score columns `score_<task>` or by
/// the task alone. Without `tasks`, all tasks of the predictions are used and must be in the ground truth. The rows are
/// in the order of the predictions; what the predictions lack about a row (patient, sex, age, ...) is taken from the
/// ground truth.
///
/// # Errors
/// A key that is missing, appears twice or is in one file only; [`Error::UnknownTask`] with the nearest names; cells
/// that are not labels or scores.
pub fn join_ground_truth(
    ground_truth: &Path,
    predictions: &Path,
    key: &str,
    tasks: Option<&[String]>,
) -> Result<Scores> {
    let truth = Keyed::read(ground_truth, key, "label_")?;
    let scored = Keyed::read(predictions, key, "score_")?;
    let order = scored.order_in(&truth, key)?;

    let wanted: Vec<String> = match tasks {
        Some(tasks) => tasks.to_vec(),
        None => scored.tasks.iter().map(|(task, _)| task.clone()).collect(),
    };
    if wanted.is_empty() {
        return Err(Error::EmptyFile { path: predictions.to_owned(), what: "no task column" });
    }
    let columns = |keyed: &Keyed| wanted.iter().map(|task| keyed.task(task)).collect::<Result<Vec<usize>>>();
    let (label_columns, score_columns) = (columns(&truth)?, columns(&scored)?);

    let shape = (order.len(), wanted.len());
    let (mut labels, mut scores) = (Array2::zeros(shape), Array2::zeros(shape));
    for (row, &truth_row) in order.iter().enumerate() {
        let (line, record) = &scored.sheet.records[row];
        let (truth_line, truth_record) = &truth.sheet.records[truth_row];
        for task in 0..wanted.len() {
            scores[[row, task]] = scored.sheet.score(*line, record, score_columns[task])?;
            labels[[row, task]] = truth.sheet.label(*truth_line, truth_record, label_columns[task])?;
        }
    }

    let (mut rows, mut source) = scored.rows()?;
    let (truth_rows, truth_source) = truth.rows()?;
    for (row, &truth_row) in rows.iter_mut().zip(&order) {
        let known = &truth_rows[truth_row];
        if source == PatientSource::Row && truth_source != PatientSource::Row {
            row.patient.clone_from(&known.patient);
        }
        row.view = row.view.take().or_else(|| known.view.clone());
        row.sex = row.sex.take().or_else(|| known.sex.clone());
        row.age = row.age.or(known.age);
        row.projection = row.projection.take().or_else(|| known.projection.clone());
    }
    if source == PatientSource::Row {
        source = truth_source;
    }
    Ok(Scores::new(wanted, rows, labels, scores)?.with_patient_source(source))
}

/// A file with a key column.
struct Keyed {
    sheet: Sheet,
    key: usize,
    /// Task names with their columns.
    tasks: Vec<(String, usize)>,
}

impl Keyed {
    fn read(path: &Path, key: &str, prefix: &str) -> Result<Self> {
        let sheet = Sheet::read(path)?;
        let key_column = sheet.column(key)?;
        let prefixed = sheet.prefixed(prefix);
        let tasks = if prefixed.is_empty() { sheet.unprefixed(key_column) } else { prefixed };
        let keyed = Self { sheet, key: key_column, tasks };
        unique(&path.display().to_string(), key, keyed.keys())?;
        Ok(keyed)
    }

    fn keys(&self) -> impl Iterator<Item = &str> {
        self.sheet.records.iter().map(|(_, record)| &record[self.key])
    }

    fn task(&self, name: &str) -> Result<usize> {
        let names: Vec<&str> = self.tasks.iter().map(|(task, _)| task.as_str()).collect();
        find_task(&names, name, &self.sheet.path.display().to_string()).map(|task| self.tasks[task].1)
    }

    /// The row in `truth` for each row of `self`; both must have the same keys.
    fn order_in(&self, truth: &Self, key: &str) -> Result<Vec<usize>> {
        let places: HashMap<&str, usize> = truth.keys().enumerate().map(|(place, id)| (id, place)).collect();
        let mine: std::collections::HashSet<&str> = self.keys().collect();
        let only_mine: Vec<&str> = self.keys().filter(|id| !places.contains_key(id)).collect();
        let only_truth: Vec<&str> = truth.keys().filter(|id| !mine.contains(id)).collect();
        if only_mine.is_empty() && only_truth.is_empty() {
            return Ok(self.keys().map(|id| places[id]).collect());
        }
        let name = |keyed: &Self| keyed.sheet.path.display().to_string();
        Err(RowMismatch::error(key, (name(truth), &only_truth), (name(self), &only_mine)))
    }

    /// The rows as described by their columns; a file without path or study column uses the key.
    fn rows(&self) -> Result<(Vec<Row>, PatientSource)> {
        self.sheet.rows_keyed(self.key)
    }
}
