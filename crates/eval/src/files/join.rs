//! Labels in one file and scores in another, matched by a key column, as for CheXpert's test set.

use std::collections::HashMap;
use std::path::Path;

use ndarray::Array2;

use super::recorded::RecordedLabels;
use super::sheet::Sheet;
use crate::error::{Error, Result, RowMismatch};
use crate::names::{find_task, unique};
use crate::row::{PatientSource, Row, same_patients};
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
    Ok(join(ground_truth, predictions, key, tasks, &JoinOptions::default())?.scores)
}

/// How [`join`] treats labels as recorded, and rows without scores.
#[derive(Debug, Clone, Default)]
pub(super) struct JoinOptions {
    /// The policy that was asked for.
    pub(super) recorded: Option<RecordedLabels>,
    /// Whether rows of the ground truth without scores are left out.
    pub(super) scored_only: bool,
}

/// Labels and scores joined.
pub(super) struct Joined {
    pub(super) scores: Scores,
    /// The policy by which recorded labels became targets; `None` where the labels were targets already.
    pub(super) policy: Option<String>,
    /// Rows of the ground truth, if only some of them have scores.
    pub(super) of_rows: Option<usize>,
}

/// [`join_ground_truth`], with a policy for recorded labels.
pub(super) fn join(
    ground_truth: &Path,
    predictions: &Path,
    key: &str,
    tasks: Option<&[String]>,
    options: &JoinOptions,
) -> Result<Joined> {
    let truth = Keyed::read(ground_truth, key, "label_")?;
    let scored = Keyed::read(predictions, key, "score_")?;
    let order = scored.order_in(&truth, key, options.scored_only)?;

    let wanted: Vec<String> = match tasks {
        Some(tasks) => tasks.to_vec(),
        None => scored.tasks.iter().map(|(task, _)| task.clone()).collect(),
    };
    if wanted.is_empty() {
        return Err(Error::EmptyFile { path: predictions.to_owned(), what: "no task column" });
    }
    let columns = |keyed: &Keyed| wanted.iter().map(|task| keyed.task(task)).collect::<Result<Vec<usize>>>();
    let (label_columns, score_columns) = (columns(&truth)?, columns(&scored)?);

    let recorded = options.recorded.clone().unwrap_or_default();
    let shape = (order.len(), wanted.len());
    let (mut labels, mut scores) = (Array2::zeros(shape), Array2::zeros(shape));
    for (row, &truth_row) in order.iter().enumerate() {
        let (scored_row, truth_row) = (scored.sheet.row(row), truth.sheet.row(truth_row));
        for task in 0..wanted.len() {
            scores[[row, task]] = scored.sheet.score(scored_row, score_columns[task])?;
            labels[[row, task]] = match truth.prefixed {
                true => truth.sheet.target(truth_row, label_columns[task], options.recorded.as_ref())?,
                false => recorded.target(truth.sheet.recorded(truth_row, label_columns[task])?),
            };
        }
    }

    let (mut rows, mut source) = scored.rows()?;
    let (truth_rows, truth_source) = truth.rows()?;
    if source != PatientSource::Row && truth_source != PatientSource::Row {
        let pairs = rows
            .iter()
            .zip(&order)
            .map(|(row, &at)| (row.path.as_str(), row.patient.as_str(), truth_rows[at].patient.as_str()));
        same_patients(pairs, (&scored.place(), &truth.place()))?;
    }
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
    let of_rows = Some(truth.sheet.len()).filter(|all| *all != order.len());
    let scores = Scores::new(wanted, rows, labels, scores)?.with_patient_source(source);
    Ok(Joined { scores, policy: (!truth.prefixed).then_some(recorded.policy), of_rows })
}

/// A file with a key column.
struct Keyed {
    sheet: Sheet,
    key: usize,
    /// Task names with their columns.
    tasks: Vec<(String, usize)>,
    /// Whether the columns are named with the prefix.
    prefixed: bool,
}

impl Keyed {
    fn read(path: &Path, key: &str, prefix: &str) -> Result<Self> {
        let sheet = Sheet::read(path)?;
        let key_column = sheet.column(key)?;
        let named = sheet.prefixed(prefix);
        let prefixed = !named.is_empty();
        let tasks = if prefixed { named } else { sheet.unprefixed(key_column) };
        let keyed = Self { sheet, key: key_column, tasks, prefixed };
        unique(&path.display().to_string(), key, keyed.keys())?;
        Ok(keyed)
    }

    fn keys(&self) -> impl Iterator<Item = &str> {
        self.sheet.rows_of_table().map(|row| row.cell(self.key))
    }

    fn task(&self, name: &str) -> Result<usize> {
        let names: Vec<&str> = self.tasks.iter().map(|(task, _)| task.as_str()).collect();
        find_task(&names, name, &self.sheet.path.display().to_string()).map(|task| self.tasks[task].1)
    }

    fn place(&self) -> String {
        self.sheet.path.display().to_string()
    }

    /// The row in `truth` for each row of `self`; both must have the same keys, unless rows without scores are left out.
    fn order_in(&self, truth: &Self, key: &str, scored_only: bool) -> Result<Vec<usize>> {
        let places: HashMap<&str, usize> = truth.keys().enumerate().map(|(place, id)| (id, place)).collect();
        let mine: std::collections::HashSet<&str> = self.keys().collect();
        let only_mine: Vec<&str> = self.keys().filter(|id| !places.contains_key(id)).collect();
        let only_truth: Vec<&str> = truth.keys().filter(|id| !mine.contains(id)).collect();
        if only_mine.is_empty() && (only_truth.is_empty() || scored_only) {
            return Ok(self.keys().map(|id| places[id]).collect());
        }
        let mut fault = RowMismatch::error(key, (truth.place(), &only_truth), (self.place(), &only_mine));
        if let Error::MismatchedRows(rows) = &mut fault {
            rows.scored_only_helps = only_mine.is_empty();
        }
        Err(fault)
    }

    /// The rows as described by their columns; a file without path or study column uses the key.
    fn rows(&self) -> Result<(Vec<Row>, PatientSource)> {
        self.sheet.rows_keyed(self.key)
    }
}
