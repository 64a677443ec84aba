//! The scores of one model with the labels: one row per image or study, one column per task.

use std::collections::HashMap;

use ndarray::{Array2, ArrayView1, ArrayView2};

use crate::checked;
use crate::cohort::Cohort;
use crate::error::{Error, Result, RowMismatch};
use crate::names::{find_task, unique};
use crate::row::{PatientSource, Row, same_patients};

/// Scores and labels of a set of rows, checked on construction.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores {
    tasks: Vec<String>,
    rows: Vec<Row>,
    labels: Array2<f64>,
    scores: Array2<f64>,
    patient_source: PatientSource,
}

impl Scores {
    /// Scores of N rows and T tasks.
    ///
    /// # Shapes
    /// `labels` `[N, T]`: 0, 1, or NaN where the label is masked or unknown. `scores` `[N, T]`: finite; probabilities
    /// for calibration, otherwise any score that increases with the probability, such as a logit.
    ///
    /// # Errors
    /// Different shapes, a task or path that appears twice, a score that is not finite, a label other than 0, 1 and
    /// NaN.
    pub fn new(tasks: Vec<String>, rows: Vec<Row>, labels: Array2<f64>, scores: Array2<f64>) -> Result<Self> {
        for (name, array) in [("labels", &labels), ("scores", &scores)] {
            checked::length(name, array.nrows(), rows.len())?;
            if array.ncols() != tasks.len() {
                let what = if name == "labels" { "columns of labels" } else { "columns of scores" };
                return Err(Error::Length { what, found: array.ncols(), expected: tasks.len() });
            }
        }
        unique("scores", "task", tasks.iter().map(String::as_str))?;
        unique("scores", "path", rows.iter().map(|row| row.path.as_str()))?;
        for ((row, column), &value) in scores.indexed_iter() {
            if !value.is_finite() {
                return Err(Error::NonFiniteScore { row, value, task: Some(tasks[column].clone()) });
            }
        }
        for ((row, column), &value) in labels.indexed_iter() {
            if !(value == 0.0 || value == 1.0 || value.is_nan()) {
                return Err(Error::BadLabel { row, value, task: Some(tasks[column].clone()) });
            }
        }
        Ok(Self { tasks, rows, labels, scores, patient_source: PatientSource::Column })
    }

    /// The same scores with another source of the patient ids; [`Self::new`] sets [`PatientSource::Column`].
    #[must_use]
    pub fn with_patient_source(self, patient_source: PatientSource) -> Self {
        Self { patient_source, ..self }
    }

    /// Where the patient ids come from.
    pub fn patient_source(&self) -> PatientSource {
        self.patient_source
    }

    /// Names of the T tasks.
    pub fn tasks(&self) -> &[String] {
        &self.tasks
    }

    /// The N rows.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Labels `[N, T]`: 0, 1, or NaN where masked.
    pub fn labels(&self) -> ArrayView2<'_, f64> {
        self.labels.view()
    }

    /// Scores `[N, T]`.
    pub fn scores(&self) -> ArrayView2<'_, f64> {
        self.scores.view()
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Column of a task. Case and punctuation of the name are ignored.
    ///
    /// # Errors
    /// [`Error::UnknownTask`] with the nearest names.
    pub fn task(&self, name: &str) -> Result<usize> {
        find_task(&self.tasks, name, "the scores")
    }

    /// These tasks only, in this order.
    ///
    /// # Errors
    /// [`Error::UnknownTask`] with the nearest names; a task named twice.
    pub fn select_tasks<S: AsRef<str>>(&self, names: &[S]) -> Result<Self> {
        self.select_tasks_of(names, "the scores")
    }

    /// [`Self::select_tasks`] with the name of the file for the error message.
    pub(crate) fn select_tasks_of<S: AsRef<str>>(&self, names: &[S], place: &str) -> Result<Self> {
        let find = |name: &S| find_task(&self.tasks, name.as_ref(), place);
        let columns = names.iter().map(find).collect::<Result<Vec<_>>>()?;
        let tasks = columns.iter().map(|&column| self.tasks[column].clone()).collect();
        let axis = ndarray::Axis(1);
        let (labels, scores) = (self.labels.select(axis, &columns), self.scores.select(axis, &columns));
        Ok(Self::new(tasks, self.rows.clone(), labels, scores)?.with_patient_source(self.patient_source))
    }

    /// These rows only, in this order.
    ///
    /// # Errors
    /// A row number out of range or named twice.
    pub fn select_rows(&self, rows: &[usize]) -> Result<Self> {
        if let Some(row) = rows.iter().find(|row| **row >= self.len()) {
            let found = format!("{row} of {}", self.len());
            return Err(Error::Setting { name: "row", found, expected: "a row number below the number of rows" });
        }
        let axis = ndarray::Axis(0);
        let kept = rows.iter().map(|&row| self.rows[row].clone()).collect();
        let (labels, scores) = (self.labels.select(axis, rows), self.scores.select(axis, rows));
        Ok(Self::new(self.tasks.clone(), kept, labels, scores)?.with_patient_source(self.patient_source))
    }

    /// `other` with its rows and tasks in the order of `self`. Both must have the same rows and labels.
    ///
    /// # Errors
    /// [`Error::MismatchedRows`], [`Error::MismatchedLabels`], [`Error::MismatchedPatients`], [`Error::UnknownTask`].
    pub fn align(&self, other: &Self) -> Result<Self> {
        let places: HashMap<&str, usize> =
            other.rows.iter().enumerate().map(|(place, row)| (row.path.as_str(), place)).collect();
        let mine: std::collections::HashSet<&str> = self.rows.iter().map(|row| row.path.as_str()).collect();
        let only_left: Vec<&str> =
            self.rows.iter().map(|row| row.path.as_str()).filter(|path| !places.contains_key(path)).collect();
        let only_right: Vec<&str> =
            other.rows.iter().map(|row| row.path.as_str()).filter(|path| !mine.contains(path)).collect();
        if !only_left.is_empty() || !only_right.is_empty() {
            let (left, right) = (("the first".into(), &only_left[..]), ("the second".into(), &only_right[..]));
            return Err(RowMismatch::error("path", left, right));
        }
        let order: Vec<usize> = self.rows.iter().map(|row| places[row.path.as_str()]).collect();
        let aligned = other.select_tasks(&self.tasks)?.select_rows(&order)?;
        if self.patient_source != PatientSource::Row && aligned.patient_source != PatientSource::Row {
            let pairs = self.rows.iter().zip(&aligned.rows);
            let pairs = pairs.map(|(row, other)| (row.path.as_str(), row.patient.as_str(), other.patient.as_str()));
            same_patients(pairs, ("the first", "the second"))?;
        }
        for ((row, column), &label) in self.labels.indexed_iter() {
            let theirs = aligned.labels[[row, column]];
            if label != theirs && !(label.is_nan() && theirs.is_nan()) {
                return Err(Error::MismatchedLabels {
                    id: self.rows[row].path.clone(),
                    task: self.tasks[column].clone(),
                    left: label_text(label),
                    right: label_text(theirs),
                });
            }
        }
        Ok(aligned)
    }

    /// Labels and scores of one task, without its masked rows.
    ///
    /// # Shapes
    /// The scores are those of the cohort's rows: `[n]`, n <= N.
    ///
    /// # Errors
    /// [`Error::Setting`] for a column out of range.
    pub fn cohort(&self, column: usize) -> Result<(Cohort, Vec<f64>)> {
        let rows = self.labelled(column)?;
        Ok((self.cohort_of(column, &rows)?, pick(self.scores.column(column), &rows)))
    }

    /// Labels of one task and its scores from the models of several label draws.
    ///
    /// # Shapes
    /// One score vector `[n]` per draw.
    ///
    /// # Errors
    /// No draws, or draws that differ in rows, labels or tasks.
    pub fn cohort_of_draws(draws: &[Self], task: &str) -> Result<(Cohort, Vec<Vec<f64>>)> {
        let Some(first) = draws.first() else {
            return Err(Error::Setting { name: "label draws", found: "0".into(), expected: "at least 1" });
        };
        let column = first.task(task)?;
        let rows = first.labelled(column)?;
        let mut scores = vec![pick(first.scores.column(column), &rows)];
        for draw in &draws[1..] {
            scores.push(pick(first.align(draw)?.scores.column(column), &rows));
        }
        Ok((first.cohort_of(column, &rows)?, scores))
    }

    fn cohort_of(&self, column: usize, rows: &[usize]) -> Result<Cohort> {
        let labels = rows.iter().map(|&row| self.labels[[row, column]] == 1.0).collect();
        let patients: Vec<&str> = rows.iter().map(|&row| self.rows[row].patient.as_str()).collect();
        Cohort::new(labels, &patients)
    }

    /// Rows with a label for this task.
    fn labelled(&self, column: usize) -> Result<Vec<usize>> {
        if column >= self.tasks.len() {
            let found = format!("{column} of {}", self.tasks.len());
            return Err(Error::Setting { name: "task", found, expected: "a column below the number of tasks" });
        }
        Ok((0..self.len()).filter(|&row| !self.labels[[row, column]].is_nan()).collect())
    }
}

fn pick(column: ArrayView1<'_, f64>, rows: &[usize]) -> Vec<f64> {
    rows.iter().map(|&row| column[row]).collect()
}

fn label_text(label: f64) -> String {
    if label.is_nan() { "masked".into() } else { label.to_string() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use ndarray::array;

    use super::*;

    fn row(path: &str, patient: &str) -> Row {
        Row { path: path.into(), patient: patient.into(), study: "study1".into(), ..Row::default() }
    }

    fn two_tasks(paths: [&str; 3]) -> Scores {
        let rows = paths.iter().map(|path| row(path, &path[..1])).collect();
        let labels = array![[1.0, 0.0], [0.0, f64::NAN], [f64::NAN, 1.0]];
        let scores = array![[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]];
        Scores::new(vec!["Edema".into(), "Pleural Effusion".into()], rows, labels, scores).unwrap()
    }

    #[test]
    fn a_cohort_leaves_masked_rows_out() {
        let (cohort, scores) = two_tasks(["a1", "a2", "b1"]).cohort(1).unwrap();
        assert_eq!((cohort.labels(), scores.as_slice()), (&[false, true][..], &[0.2, 0.6][..]));
        assert_eq!(cohort.patient_count(), 2);
    }

    #[test]
    fn tasks_are_found_whatever_their_spelling_and_the_nearest_is_named() {
        let scores = two_tasks(["a1", "a2", "b1"]);
        assert_eq!(scores.task("pleural_effusion").unwrap(), 1);
        let Error::UnknownTask { nearest, .. } = scores.task("Pleural Efusion").unwrap_err() else { panic!() };
        assert_eq!(nearest, ["Pleural Effusion"]);
    }

    #[test]
    fn nan_scores_bad_labels_and_duplicate_paths_are_refused() {
        let make = |path: &str, label: f64, score: f64| {
            Scores::new(
                vec!["t".into()],
                vec![row("a", "a"), row(path, "b")],
                array![[0.0], [label]],
                array![[0.5], [score]],
            )
        };
        assert!(matches!(make("b", 1.0, f64::NAN), Err(Error::NonFiniteScore { row: 1, .. })));
        assert!(matches!(make("b", -1.0, 0.1), Err(Error::BadLabel { row: 1, .. })));
        assert!(matches!(make("a", 1.0, 0.1), Err(Error::Duplicate { first: 1, second: 2, .. })));
        make("b", f64::NAN, 0.1).unwrap();
    }

    #[test]
    fn align_reorders_rows_and_refuses_other_rows() {
        let first = two_tasks(["a1", "a2", "b1"]);
        let reordered = first.select_rows(&[2, 0, 1]).unwrap();
        assert_eq!(first.align(&reordered).unwrap().scores(), first.scores());
        let Error::MismatchedRows(rows) = first.align(&two_tasks(["a1", "a2", "c1"])).unwrap_err() else { panic!() };
        assert_eq!((rows.only_left, rows.only_right), (1, 1));
        assert_eq!(rows.right_example.as_deref(), Some("c1"));
    }
}
