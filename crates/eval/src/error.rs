//! Everything that can go wrong in the statistics, said so that a person can act on it.

use std::fmt;
use std::path::PathBuf;

pub(crate) use crate::undefined::Undefined;

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A statistic that does not exist for these rows.
    #[error("{metric} is undefined: {reason}")]
    Undefined {
        /// The statistic.
        metric: String,
        /// Why it does not exist.
        reason: Undefined,
    },
    /// Two arrays that describe the same rows have different lengths.
    #[error("{what}: found {found} values, expected {expected} (one a row)")]
    Length {
        /// Which array.
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
        /// What was given.
        found: String,
        /// What is allowed.
        expected: &'static str,
    },
    /// The same row or task twice.
    #[error("{place}: {what} {id:?} appears twice (rows {first} and {second})")]
    Duplicate {
        /// File, or which of two inputs.
        place: String,
        /// Kind of id: "path", "study", "task", ...
        what: String,
        /// The id.
        id: String,
        /// 1-based data row (or column) of the first appearance.
        first: usize,
        /// 1-based data row (or column) of the second.
        second: usize,
    },
    /// Two inputs that should hold the same rows do not.
    #[error("{0}")]
    MismatchedRows(Box<RowMismatch>),
    /// Two inputs that should hold the same labels do not.
    #[error("{id:?}, task {task:?}: label {left} in one input and {right} in the other")]
    MismatchedLabels {
        /// The row.
        id: String,
        /// The task.
        task: String,
        /// Label in the first input (`masked` if there is none).
        left: String,
        /// Label in the second.
        right: String,
    },
    /// The views of one study carry different labels.
    #[error(
        "study {study:?}, task {task:?}: its images carry different labels ({first:?} has {first_label}, {second:?} has {second_label})"
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
    /// A task that the input does not have.
    #[error("task {task:?} is not in {place}{}", names_text(.nearest, .known))]
    UnknownTask {
        /// The task that was asked for.
        task: String,
        /// The file.
        place: String,
        /// The nearest names it has, best first.
        nearest: Vec<String>,
        /// All names it has.
        known: Vec<String>,
    },
    /// A column that the file lacks.
    #[error("{}: no column {column:?}{}", path.display(), names_text(.nearest, .known))]
    MissingColumn {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// The nearest names the file has, best first.
        nearest: Vec<String>,
        /// All names it has.
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
        /// What is there.
        found: String,
        /// What should be there.
        expected: &'static str,
    },
    /// A file that holds nothing to evaluate.
    #[error("{}: {what}", path.display())]
    EmptyFile {
        /// The file.
        path: PathBuf,
        /// What is missing.
        what: &'static str,
    },
    /// Results that were made under different conditions.
    #[error("these results cannot be compared: {}", differences.join("; "))]
    StampMismatch {
        /// One `field: "a" and "b"` per difference.
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
    /// A feature vector of length zero, which has no cosine similarity to anything.
    #[error("{what}, row {row}: every feature is 0, so it has no direction to compare")]
    ZeroFeature {
        /// Which features.
        what: &'static str,
        /// 0-based row.
        row: usize,
    },
    /// Too few patients of a class to spread over the folds.
    #[error(
        "{patients} patients with {class} rows can be spread over the {folds} folds; lower the number of folds or fix the penalty"
    )]
    FewerThanFolds {
        /// `positive` or `negative`.
        class: &'static str,
        /// Patients (or, where some have rows of both classes, folds) that have one.
        patients: usize,
        /// Folds asked for.
        folds: usize,
    },
    /// A fit that ran out of evaluations.
    #[error(
        "logistic regression with l2 {l2} has not converged: gradient {gradient:.1e} after {evaluations} evaluations, expected at most {tolerance:.1e}"
    )]
    NotConverged {
        /// The penalty.
        l2: f64,
        /// Largest entry of the gradient of the mean loss.
        gradient: f64,
        /// What was asked for.
        tolerance: f64,
        /// Evaluations spent.
        evaluations: usize,
    },
    /// Something went wrong in one of several tasks.
    #[error("task {task} (counted from 0): {source}")]
    InTask {
        /// 0-based task.
        task: usize,
        /// What went wrong.
        source: Box<Error>,
    },
    /// Rows that a choice was made on are among those reported.
    #[error("{count} rows were chosen on and are reported too (first: {first:?}); a choice needs rows of its own")]
    SelectedAndReported {
        /// Id of the first.
        first: String,
        /// How many.
        count: usize,
    },
    /// The network or its weights.
    #[cfg(feature = "train")]
    #[error(transparent)]
    Network(#[from] backbones::Error),
    /// The caller's batches failed.
    #[cfg(feature = "train")]
    #[error("reading a batch: {0}")]
    Batches(Box<dyn std::error::Error + Send + Sync>),
    /// The device failed while work was done on it.
    #[cfg(feature = "train")]
    #[error("{what}: the device failed: {reason}")]
    Device {
        /// What was being done.
        what: &'static str,
        /// What the device said.
        reason: String,
    },
    /// Training left the range of numbers.
    #[cfg(feature = "train")]
    #[error("the loss is {loss} at step {step}; lower the step size, or look for broken images in this batch")]
    NonFiniteLoss {
        /// Steps taken before.
        step: u64,
        /// The loss.
        loss: f64,
    },
    /// A frozen network changed.
    #[cfg(feature = "train")]
    #[error("the network should be frozen, but {} of its tensors changed (first: {})", tensors.len(), tensors[0])]
    Moved {
        /// Names of the tensors, at least one.
        tensors: Vec<String>,
    },
    /// The output is there already.
    #[error("{} exists and is not overwritten", path.display())]
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
    /// The file is not CSV.
    #[error("{}: {source}", path.display())]
    Csv {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: csv::Error,
    },
    /// The file is not the JSON that was expected.
    #[error("{}: {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: serde_json::Error,
    },
}

/// Rows that only one of two inputs has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowMismatch {
    /// The column the rows are matched on.
    pub key: String,
    /// Name of one input.
    pub left: String,
    /// Name of the other.
    pub right: String,
    /// Rows that only the first has.
    pub only_left: usize,
    /// One of them.
    pub left_example: Option<String>,
    /// Rows that only the second has.
    pub only_right: usize,
    /// One of them.
    pub right_example: Option<String>,
}

impl RowMismatch {
    /// From the ids that only one input has.
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
        }))
    }
}

impl fmt::Display for RowMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, left, right, only_left, left_example, only_right, right_example } = self;
        let (left_example, right_example) = (example(left_example), example(right_example));
        write!(
            f,
            "rows differ by {key}: {only_left} only in {left}{left_example}, {only_right} only in {right}{right_example}"
        )
    }
}

impl Error {
    pub(crate) fn undefined(metric: impl fmt::Display, reason: Undefined) -> Self {
        Self::Undefined { metric: metric.to_string(), reason }
    }

    /// The reason, if this error says that a number does not exist (rather than that the input is faulty).
    pub fn undefined_reason(&self) -> Option<&Undefined> {
        match self {
            Self::Undefined { reason, .. } => Some(reason),
            _ => None,
        }
    }

    /// Splits "does not exist" from real faults: `Ok(Err(reason))` for the first, `Err` for the second.
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

/// The names that may have been meant, then what there is.
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
