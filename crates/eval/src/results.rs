//! The results of a model: one row per task, statistic and group, with the conditions they were obtained under.

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

/// The statistics of a model with the conditions they were obtained under.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Results {
    /// The conditions.
    pub stamp: Stamp,
    /// Settings of the bootstrap.
    pub bootstrap: Bootstrap,
    /// Where the patient ids come from.
    pub patient_source: PatientSource,
    /// One entry per task, statistic and group.
    pub rows: Vec<ResultRow>,
    /// One entry per task, if calibration was computed.
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
    /// Number of labelled rows, counted even without an interval.
    pub n: usize,
    /// Number of positive rows.
    pub positives: usize,
    /// Number of patients.
    pub patients: usize,
    /// The value with its interval, `null` if it is undefined.
    pub interval: Option<Interval>,
    /// Why it is undefined.
    pub undefined: Option<Undefined>,
    /// Variation over label draws, if there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draws: Option<DrawVariance>,
}

/// Calibration of the first label draw on one task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Calibration {
    /// The task.
    pub task: String,
    /// Expected calibration error, `null` if it is undefined.
    pub expected_calibration_error: Option<f64>,
    /// Why it is undefined.
    pub undefined: Option<Undefined>,
    /// The bins that contain rows.
    pub bins: Vec<ReliabilityBin>,
}

impl Results {
    /// The rows and the calibration of one task, with the same stamp and settings: equal to the results of the scores
    /// of this task alone. Empty if there is no such task.
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

    /// A table to read: task, statistic, value with interval (three decimals), numbers of rows, positive rows and
    /// patients, with a group column if there are subgroups. With several label draws a last column says what the interval
    /// holds. An undefined value is a dash with the reason.
    pub fn table(&self) -> Table {
        let grouped = self.rows.iter().any(|row| row.group.is_some());
        let drawn = self.rows.iter().filter_map(|row| row.interval.as_ref()).any(|i| i.with_draws.is_some());
        let columns = ["task", "group", "statistic", "value", "n", "positives", "patients", "interval holds"];
        let shown = |name: &&str| (grouped || *name != "group") && (drawn || *name != "interval holds");
        let mut table = Table::new(columns.into_iter().filter(shown));
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
            cells.extend(drawn.then(|| row.interval.as_ref().map(Interval::holds).unwrap_or_default()));
            table.push(cells);
        }
        table
    }
}
