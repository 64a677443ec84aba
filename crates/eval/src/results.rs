//! The results of a model: one row a task, statistic and group, with the conditions they were made under.

use serde::{Deserialize, Serialize};

use crate::bootstrap::Bootstrap;
use crate::calibration::ReliabilityBin;
use crate::draws::DrawVariance;
use crate::interval::Interval;
use crate::metric::Metric;
use crate::row::PatientSource;
use crate::stamp::Stamp;
use crate::subgroups::Group;
use crate::tables::Table;
use crate::undefined::Undefined;

/// The statistics of a model with the conditions they were made under.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Results {
    /// Under which conditions.
    pub stamp: Stamp,
    /// Settings of the bootstrap.
    pub bootstrap: Bootstrap,
    /// How the patients are known.
    pub patient_source: PatientSource,
    /// One entry a task, statistic and group.
    pub rows: Vec<ResultRow>,
    /// One entry a task, if calibration was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calibration: Vec<Calibration>,
}

/// One statistic of one task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ResultRow {
    /// The task.
    pub task: String,
    /// The subgroup; `None` for all rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Group>,
    /// The statistic.
    pub metric: Metric,
    /// Labelled rows, with or without an interval.
    pub n: usize,
    /// Positive rows.
    pub positives: usize,
    /// Patients.
    pub patients: usize,
    /// Its value with interval, `null` if it does not exist.
    pub interval: Option<Interval>,
    /// Why it does not exist.
    pub undefined: Option<Undefined>,
    /// Spread over label draws, if there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draws: Option<DrawVariance>,
}

/// Calibration of one task (of the first label draw).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Calibration {
    /// The task.
    pub task: String,
    /// Expected calibration error, `null` if it does not exist.
    pub expected_calibration_error: Option<f64>,
    /// Why it does not exist.
    pub undefined: Option<Undefined>,
    /// The bins that have rows.
    pub bins: Vec<ReliabilityBin>,
}

impl Results {
    /// The rows and the calibration of one task, with the same stamp and settings: equal to the results of the scores of this
    /// task alone. Empty if there is no such task.
    #[must_use]
    pub fn of_task(&self, task: &str) -> Self {
        Self {
            stamp: self.stamp.clone(),
            bootstrap: self.bootstrap.clone(),
            patient_source: self.patient_source,
            rows: self.rows.iter().filter(|row| row.task == task).cloned().collect(),
            calibration: self.calibration.iter().filter(|entry| entry.task == task).cloned().collect(),
        }
    }

    /// For reading: task, statistic, value with interval (three decimals), rows, positives, patients; a value that does not
    /// exist is a dash with the reason. A subgroup column if there are subgroups.
    pub fn table(&self) -> Table {
        let grouped = self.rows.iter().any(|row| row.group.is_some());
        let columns = ["task", "group", "statistic", "value", "n", "positives", "patients"];
        let mut table = Table::new(columns.into_iter().filter(|name| grouped || *name != "group"));
        for row in &self.rows {
            let value = match (&row.interval, &row.undefined) {
                (Some(interval), _) => interval.to_string(),
                (None, Some(reason)) => format!("- ({reason})"),
                (None, None) => "-".to_owned(),
            };
            let group = row.group.as_ref().map_or("all".to_owned(), |group| group.value.clone());
            let mut cells = vec![row.task.clone()];
            cells.extend(grouped.then_some(group));
            cells.extend([row.metric.to_string(), value]);
            cells.extend([row.n, row.positives, row.patients].map(|count| count.to_string()));
            table.push(cells);
        }
        table
    }
}
