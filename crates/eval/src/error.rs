//! Errors of this crate.

use std::fmt;
use std::path::PathBuf;

pub(crate) use crate::undefined::Undefined;

/// Result of a function of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error, with what was found, what was expected and where.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The statistic is undefined on these rows.
    #[error("{metric} is undefined: {reason}")]
    Undefined {
        /// The statistic.
        metric: String,
        /// Why it is undefined.
        reason: Undefined,
    },
    /// Two arrays that describe the same rows have different lengths.
    #[error("{what}: found {found} values, expected {expected} (one per row)")]
    Length {
        /// Name of the array.
        what: &'static str,
        /// Its length.
        found: usize,
        /// The number of rows.
        expected: usize,
    },
    /// A score that is NaN or infinite.
    #[error("row {row}{}: score {value} cannot be ranked; scores must be finite", in_task(.task))]
    NonFiniteScore {
        /// 0-based row.
        row: usize,
        /// The score.
        value: f64,
        /// The task, where it is known.
        task: Option<String>,
    },
    /// A label that is neither 0, 1 nor masked.
    #[error("row {row}{}: label {value}, expected 0, 1 or an empty (masked) cell", in_task(.task))]
    BadLabel {
        /// 0-based row.
        row: usize,
        /// The label.
        value: f64,
        /// The task, where it is known.
        task: Option<String>,
    },
    /// A sample weight that is negative, NaN or infinite.
    #[error("row {row}: weight {value}, expected a finite number of at least 0")]
    BadWeight {
        /// 0-based row.
        row: usize,
        /// The weight.
        value: f64,
    },
    /// A setting outside its range.
    #[error("{name} is {found}, expected {expected}")]
    Setting {
        /// Name of the setting.
        name: &'static str,
        /// The value found.
        found: String,
        /// The values allowed.
        expected: &'static str,
    },
    /// A row or task that appears twice.
    #[error("{place}: {what} {id:?} appears twice (rows {first} and {second})")]
    Duplicate {
        /// The file or input.
        place: String,
        /// Kind of the id: "path", "study", "task", ...
        what: String,
        /// The id.
        id: String,
        /// 1-based data row (or column) of the first appearance.
        first: usize,
        /// 1-based data row (or column) of the second appearance.
        second: usize,
    },
    /// Two inputs that should have the same rows do not.
    #[error("{0}")]
    MismatchedRows(Box<RowMismatch>),
    /// Two inputs that should have the same labels do not.
    #[error("{id:?}, task {task:?}: label {left} in one input and {right} in the other")]
    MismatchedLabels {
        /// The row.
        id: String,
        /// The task.
        task: String,
        /// Label in the first input; `masked` without one.
        left: String,
        /// Label in the second input.
        right: String,
    },
    /// A table that cannot be read, or has an invalid cell.
    #[error(transparent)]
    Table(#[from] ::tables::Error),
    /// Two inputs that should have the same patients do not.
    #[error("the patients contradict: row {id:?} is of {first} and of {second}, where row {other:?} says otherwise")]
    MismatchedPatients {
        /// A row.
        id: String,
        /// A row that one of the two patients also has, or should have.
        other: String,
        /// Patient in the first input, with the name of that input.
        first: String,
        /// Patient in the second input, with the name of that input.
        second: String,
    },
    /// Images of one study have different labels.
    #[error(
        "study {study:?}, task {task:?}: its images have different labels ({first:?} has {first_label}, {second:?} has {second_label})"
    )]
    StudyLabels {
        /// The study.
        study: String,
        /// The task.
        task: String,
        /// Path of one image.
        first: String,
        /// Its label.
        first_label: f64,
        /// Path of the other image.
        second: String,
        /// Its label.
        second_label: f64,
    },
    /// A task that the input lacks.
    #[error("task {task:?} is not in {place}{}", names_text(.nearest, .known))]
    UnknownTask {
        /// The requested task.
        task: String,
        /// The file.
        place: String,
        /// The names with the closest spelling, best first.
        nearest: Vec<String>,
        /// All names in the file.
        known: Vec<String>,
    },
    /// A column that the file lacks.
    #[error("{}: no column {column:?}{}", path.display(), names_text(.nearest, .known))]
    MissingColumn {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// The names with the closest spelling, best first.
        nearest: Vec<String>,
        /// All names in the file.
        known: Vec<String>,
    },
    /// A cell that cannot be read.
    #[error("{} line {line}, column {column:?}: found {found:?}, expected {expected}", path.display())]
    Cell {
        /// The file.
        path: PathBuf,
        /// 1-based line.
        line: u64,
        /// The column.
        column: String,
        /// The text found.
        found: String,
        /// The text expected.
        expected: &'static str,
    },
    /// A file with nothing to evaluate.
    #[error("{}: {what}", path.display())]
    EmptyFile {
        /// The file.
        path: PathBuf,
        /// The missing part.
        what: &'static str,
    },
    /// Results obtained under different conditions.
    #[error("these results were obtained under different conditions and cannot be compared: {}", differences.join("; "))]
    StampMismatch {
        /// Each difference as `field: "a" and "b"`.
        differences: Vec<String>,
    },
    /// A feature that is NaN or infinite.
    #[error("row {row}, feature {column}: value {value} is not finite")]
    NonFiniteFeature {
        /// 0-based row.
        row: usize,
        /// 0-based feature.
        column: usize,
        /// The value.
        value: f32,
    },
    /// A feature vector of zeros, for which the cosine similarity is undefined.
    #[error("{what}, row {row}: all features are 0, so the cosine similarity is undefined")]
    ZeroFeature {
        /// Name of the features.
        what: &'static str,
        /// 0-based row.
        row: usize,
    },
    /// Too few patients of a class for the number of folds.
    #[error(
        "only {patients} patients with {class} rows can be distributed over {folds} folds; lower the number of folds or fix the penalty"
    )]
    FewerThanFolds {
        /// `positive` or `negative`.
        class: &'static str,
        /// Number of patients with such rows; of folds with such rows if some patients have rows of both classes.
        patients: usize,
        /// Number of folds.
        folds: usize,
    },
    /// A fit that did not converge within its evaluations.
    #[error(
        "logistic regression with l2 {l2} has not converged: gradient {gradient:.1e} after {evaluations} evaluations, expected at most {tolerance:.1e}"
    )]
    NotConverged {
        /// The penalty.
        l2: f64,
        /// Largest entry of the gradient of the mean loss.
        gradient: f64,
        /// Largest entry allowed.
        tolerance: f64,
        /// Number of evaluations.
        evaluations: usize,
    },
    /// An error in one of several tasks.
    #[error("task {task} (counted from 0): {source}")]
    InTask {
        /// 0-based number of the task.
        task: usize,
        /// The error.
        source: Box<Error>,
    },
    /// Rows used for selection are among those reported.
    #[error("{count} rows were used for selection and are reported too (first: {first:?}); select on other rows")]
    SelectedAndReported {
        /// Id of the first such row.
        first: String,
        /// Number of such rows.
        count: usize,
    },
    /// An error of the network or its weights.
    #[cfg(feature = "train")]
    #[error(transparent)]
    Network(#[from] backbones::Error),
    /// An error of the caller's batches.
    #[cfg(feature = "train")]
    #[error("reading a batch: {0}")]
    Batches(Box<dyn std::error::Error + Send + Sync>),
    /// The device failed.
    #[cfg(feature = "train")]
    #[error("{what}: the device failed: {reason}")]
    Device {
        /// The operation.
        what: &'static str,
        /// Message of the device.
        reason: String,
    },
    /// The loss is not finite.
    #[cfg(feature = "train")]
    #[error("the loss is {loss} at step {step}; lower the step size, or look for broken images in this batch")]
    NonFiniteLoss {
        /// Number of steps taken before.
        step: u64,
        /// The loss.
        loss: f64,
    },
    /// A frozen network has changed.
    #[cfg(feature = "train")]
    #[error("the network should be frozen, but {} of its tensors changed (first: {})", tensors.len(), tensors[0])]
    Moved {
        /// Names of the tensors, at least one.
        tensors: Vec<String>,
    },
    /// The output exists already.
    #[error("{} exists already and is not overwritten", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Reading or writing failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The file is not valid CSV.
    #[error("{}: {source}", path.display())]
    Csv {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: csv::Error,
    },
    /// The file is not the expected JSON.
    #[error("{}: {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: serde_json::Error,
    },
}

/// The rows that only one of two inputs has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowMismatch {
    /// The column that matches the rows.
    pub key: String,
    /// Name of the first input.
    pub left: String,
    /// Name of the second input.
    pub right: String,
    /// Number of rows that only the first has.
    pub only_left: usize,
    /// One of them.
    pub left_example: Option<String>,
    /// Number of rows that only the second has.
    pub only_right: usize,
    /// One of them.
    pub right_example: Option<String>,
    /// Whether the first is a ground truth of which only some rows have scores.
    pub scored_only_helps: bool,
}

impl RowMismatch {
    /// The error for ids that only one input has.
    pub(crate) fn error(key: &str, left: (String, &[&str]), right: (String, &[&str])) -> Error {
        let first = |ids: &[&str]| ids.first().map(|id| (*id).to_owned());
        Error::MismatchedRows(Box::new(Self {
            key: key.to_owned(),
            only_left: left.1.len(),
            left_example: first(left.1),
            left: left.0,
            only_right: right.1.len(),
            right_example: first(right.1),
            right: right.0,
            scored_only_helps: false,
        }))
    }
}

impl fmt::Display for RowMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, left, right, only_left, left_example, only_right, right_example, .. } = self;
        let (left_example, right_example) = (example(left_example), example(right_example));
        write!(
            f,
            "rows differ by {key}: {only_left} only in {left}{left_example}, {only_right} only in {right}{right_example}"
        )?;
        if self.scored_only_helps { write!(f, " (--scored-only evaluates the rows with scores alone)") } else { Ok(()) }
    }
}

impl Error {
    pub(crate) fn undefined(metric: impl fmt::Display, reason: Undefined) -> Self {
        Self::Undefined { metric: metric.to_string(), reason }
    }

    /// The reason, if this error is an undefined number rather than a fault of the input.
    pub fn undefined_reason(&self) -> Option<&Undefined> {
        match self {
            Self::Undefined { reason, .. } => Some(reason),
            _ => None,
        }
    }

    /// Separates undefined numbers, `Ok(Err(reason))`, from faults, `Err`.
    pub(crate) fn or_reason<T>(result: Result<T>) -> Result<std::result::Result<T, Undefined>> {
        match result {
            Ok(value) => Ok(Ok(value)),
            Err(Self::Undefined { reason, .. }) => Ok(Err(reason)),
            Err(fault) => Err(fault),
        }
    }
}

fn in_task(task: &Option<String>) -> String {
    task.as_ref().map(|task| format!(", task {task:?}")).unwrap_or_default()
}

fn example(id: &Option<String>) -> String {
    id.as_ref().map(|id| format!(" (first: {id:?})")).unwrap_or_default()
}

/// The names with the closest spelling, then all names.
fn names_text(nearest: &[String], known: &[String]) -> String {
    const SHOWN: usize = 20;
    let nearest = if nearest.is_empty() { String::new() } else { format!("; nearest: {}", nearest.join(", ")) };
    let more = known.len().saturating_sub(SHOWN);
    let known = match known {
        [] => "no names".to_owned(),
        known => known.iter().take(SHOWN).map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", "),
    };
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("{nearest}; it has {known}{more}")
}
