//! The rows that scores belong to, and where their patient ids come from.

use serde::{Deserialize, Serialize};

/// Description of a row of scores: an image or a study.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Row {
    /// Path of the image or id of the study, unique within [`Scores`](crate::Scores).
    pub path: String,
    /// Patient id; rows of a patient are resampled together.
    pub patient: String,
    /// Study id, unique within the patient.
    pub study: String,
    /// `frontal`, `lateral` or another name, as in the data set.
    pub view: Option<String>,
    /// Sex, as in the data set.
    pub sex: Option<String>,
    /// Age in years.
    pub age: Option<f64>,
    /// Projection of a frontal view: `AP` or `PA`.
    pub projection: Option<String>,
}

/// Where the patient ids of the rows come from. Intervals that resample patients rely on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PatientSource {
    /// A patient column, or the program that made the scores.
    #[default]
    Column,
    /// A path component such as `patient00001`.
    Path,
    /// Unknown: every row counts as a patient of its own.
    Row,
}
