//! How uncertain and unmentioned labels are treated in training and evaluation.

use std::fmt;
use std::str::FromStr;

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::loaders::named;
use crate::{Error, Label, Manifest, Projection, Record, Result, View};

/// How an uncertain label (`-1`) is treated; the names are those of the CheXpert paper (U-Ignore, U-Ones, U-Zeros).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Uncertain {
    /// Masked: left out of losses and metrics (MoCo-CXR's evaluation code, `eval/loss.py`).
    #[default]
    Ignore,
    /// Positive.
    Ones,
    /// Negative.
    Zeros,
}

/// How a label that the report does not mention is treated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NotMentioned {
    /// Negative, as in MoCo-CXR (`custom_dataset.py`) and as CheXpert's authors read it.
    #[default]
    Negative,
    /// Masked.
    Ignore,
}

/// Which images are used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Views {
    /// Every image, as in the paper.
    #[default]
    All,
    /// Frontal ones.
    Frontal,
    /// Lateral ones.
    Lateral,
    /// Frontal ones, AP.
    Ap,
    /// Frontal ones, PA.
    Pa,
}

/// Turns recorded labels into targets. The default is the paper's: uncertain ignored, not mentioned negative, all
/// views.
///
/// Its text form, `uncertain=ignore,not-mentioned=negative,views=all`, is the stamp on results: results with different
/// stamps are not comparable.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct LabelPolicy {
    /// Treatment of uncertain labels.
    pub uncertain: Uncertain,
    /// Treatment of labels not mentioned.
    pub not_mentioned: NotMentioned,
    /// Which images are used.
    pub views: Views,
}

/// Number of rows with each label, in one task.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelCounts {
    /// Rows with the finding.
    pub positive: usize,
    /// Rows without it.
    pub negative: usize,
    /// Rows whose report is uncertain.
    pub uncertain: usize,
    /// Rows whose report does not mention it.
    pub not_mentioned: usize,
}

/// Number of rows with each target, in one task.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetCounts {
    /// Targets 1.
    pub positive: usize,
    /// Targets 0.
    pub negative: usize,
    /// Targets NaN.
    pub masked: usize,
}

/// Counts of one task, as recorded (over all rows) and after the policy (over the rows kept).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskCounts {
    /// Name of the task.
    pub task: String,
    /// As recorded.
    pub before: LabelCounts,
    /// After the policy.
    pub after: TargetCounts,
}

/// A policy applied to a manifest.
#[derive(Debug, Clone)]
pub struct PolicyResult {
    /// The policy, for the stamp.
    pub policy: LabelPolicy,
    /// Rows of the manifest that are used, ascending.
    pub rows: Vec<usize>,
    /// Targets: 1, 0, or NaN where masked.
    ///
    /// # Shapes
    /// `[rows, tasks]`, in the order of `rows` and of the requested tasks.
    pub targets: Array2<f32>,
    /// Rows left out because of their view.
    pub other_view: usize,
    /// Rows left out because their view is not recorded.
    pub unknown_view: usize,
    /// Counts, one entry per requested task.
    pub counts: Vec<TaskCounts>,
}

impl LabelPolicy {
    /// The target of one label: 1, 0, or NaN for masked.
    pub fn target(self, label: Label) -> f32 {
        match (label, self.uncertain, self.not_mentioned) {
            (Label::Positive, _, _) | (Label::Uncertain, Uncertain::Ones, _) => 1.0,
            (Label::Negative, _, _)
            | (Label::Uncertain, Uncertain::Zeros, _)
            | (Label::NotMentioned, _, NotMentioned::Negative) => 0.0,
            (Label::Uncertain, Uncertain::Ignore, _) | (Label::NotMentioned, _, NotMentioned::Ignore) => f32::NAN,
        }
    }

    /// Selects rows by view and turns their labels into targets; counts both.
    ///
    /// # Shapes
    /// `tasks` holds columns of [`Manifest::tasks`] (see [`Manifest::task_indices`]); targets are `[rows, tasks]`.
    ///
    /// # Errors
    /// [`Error::UnknownName`] when a task is not a column of the manifest.
    pub fn apply(self, manifest: &Manifest, tasks: &[usize]) -> Result<PolicyResult> {
        if let Some(task) = tasks.iter().find(|&&task| task >= manifest.tasks.len()) {
            return Err(Error::UnknownName {
                what: "label column",
                value: task.to_string(),
                expected: (0..manifest.tasks.len()).map(|column| column.to_string()).collect(),
            });
        }
        let (mut rows, mut other_view, mut unknown_view) = (Vec::new(), 0, 0);
        for (row, record) in manifest.records.iter().enumerate() {
            match self.views.admits(record) {
                Some(true) => rows.push(row),
                Some(false) => other_view += 1,
                None => unknown_view += 1,
            }
        }
        let targets = Array2::from_shape_fn((rows.len(), tasks.len()), |(row, task)| {
            manifest.records[rows[row]].labels.get(tasks[task]).map_or(f32::NAN, |&label| self.target(label))
        });
        let counts = tasks.iter().zip(targets.columns()).map(|(&task, column)| TaskCounts {
            task: manifest.tasks[task].clone(),
            before: LabelCounts::of(manifest, task),
            after: TargetCounts::of(column.iter().copied()),
        });
        let counts = counts.collect();
        Ok(PolicyResult { policy: self, rows, targets, other_view, unknown_view, counts })
    }
}

impl Views {
    /// Whether an image is used; `None` where its view or projection is not recorded.
    fn admits(self, record: &Record) -> Option<bool> {
        let projection = |wanted| match record.view {
            // The projection of a lateral image is blank in CheXpert; it is neither AP nor PA.
            Some(View::Lateral) => Some(false),
            _ => record.projection.map(|found| found == wanted),
        };
        match self {
            Views::All => Some(true),
            Views::Frontal => record.view.map(|view| view == View::Frontal),
            Views::Lateral => record.view.map(|view| view == View::Lateral),
            Views::Ap => projection(Projection::Ap),
            Views::Pa => projection(Projection::Pa),
        }
    }
}

impl LabelCounts {
    /// Counts the states of one task over all rows of a manifest; rows without labels are not counted.
    pub fn of(manifest: &Manifest, task: usize) -> Self {
        let mut counts = Self::default();
        for label in manifest.records.iter().filter_map(|record| record.labels.get(task)) {
            *match label {
                Label::Positive => &mut counts.positive,
                Label::Negative => &mut counts.negative,
                Label::Uncertain => &mut counts.uncertain,
                Label::NotMentioned => &mut counts.not_mentioned,
            } += 1;
        }
        counts
    }
}

impl TargetCounts {
    fn of(targets: impl Iterator<Item = f32>) -> Self {
        let mut counts = Self::default();
        for target in targets {
            if target.is_nan() {
                counts.masked += 1;
            } else if target > 0.5 {
                counts.positive += 1;
            } else {
                counts.negative += 1;
            }
        }
        counts
    }
}

impl fmt::Display for LabelPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "uncertain={},not-mentioned={},views={}", self.uncertain, self.not_mentioned, self.views)
    }
}

impl FromStr for LabelPolicy {
    type Err = Error;

    /// Reads a stamp; choices left out take their defaults.
    fn from_str(stamp: &str) -> Result<Self> {
        let mut policy = Self::default();
        for choice in stamp.split(',').map(str::trim).filter(|choice| !choice.is_empty()) {
            match choice.split_once('=') {
                Some(("uncertain", value)) => policy.uncertain = value.parse()?,
                Some(("not-mentioned", value)) => policy.not_mentioned = value.parse()?,
                Some(("views", value)) => policy.views = value.parse()?,
                _ => {
                    return Err(Error::UnknownName {
                        what: "part of a label policy",
                        value: choice.into(),
                        expected: ["uncertain=...", "not-mentioned=...", "views=..."].map(String::from).into(),
                    });
                }
            }
        }
        Ok(policy)
    }
}

/// A table of the recorded labels and the targets.
impl fmt::Display for PolicyResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "labels under {}: {} images", self.policy, self.rows.len())?;
        if self.other_view + self.unknown_view > 0 {
            writeln!(f, "left out: {} of another view, {} of unknown view", self.other_view, self.unknown_view)?;
        }
        let width = self.counts.iter().map(|counts| counts.task.len()).max().unwrap_or(0).max("recorded".len());
        writeln!(
            f,
            "{:width$} {:>9} {:>9} {:>9} {:>13}    {:>9} {:>9} {:>9}",
            "", "positive", "negative", "uncertain", "not mentioned", "-> 1", "-> 0", "-> masked"
        )?;
        for TaskCounts { task, before, after } in &self.counts {
            writeln!(
                f,
                "{task:width$} {:>9} {:>9} {:>9} {:>13}    {:>9} {:>9} {:>9}",
                before.positive,
                before.negative,
                before.uncertain,
                before.not_mentioned,
                after.positive,
                after.negative,
                after.masked
            )?;
        }
        Ok(())
    }
}

impl Uncertain {
    const NAMES: [(&'static str, Uncertain); 3] =
        [("ignore", Uncertain::Ignore), ("ones", Uncertain::Ones), ("zeros", Uncertain::Zeros)];
}

impl NotMentioned {
    const NAMES: [(&'static str, NotMentioned); 2] =
        [("negative", NotMentioned::Negative), ("ignore", NotMentioned::Ignore)];
}

impl Views {
    const NAMES: [(&'static str, Views); 5] = [
        ("all", Views::All),
        ("frontal", Views::Frontal),
        ("lateral", Views::Lateral),
        ("ap", Views::Ap),
        ("pa", Views::Pa),
    ];
}

named! {
    Uncertain, "choice for uncertain labels";
    NotMentioned, "choice for labels not mentioned";
    Views, "choice of views";
}
