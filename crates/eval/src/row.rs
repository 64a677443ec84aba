//! The rows that scores belong to, and how their patients are known.

use serde::{Deserialize, Serialize};

/// Where a row of scores comes from.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Row {
    /// Path of the image, or id of the study: unique in its [`Scores`].
    pub path: String,
    /// Patient id; rows of a patient are resampled together.
    pub patient: String,
    /// Study id, unique within the patient.
    pub study: String,
    /// `frontal`, `lateral`, ...; what the data set says.
    pub view: Option<String>,
    /// Sex, as the data set writes it.
    pub sex: Option<String>,
    /// Age in years.
    pub age: Option<f64>,
    /// Projection of a frontal view: `AP` or `PA`.
    pub projection: Option<String>,
}

/// How the patients of a file are known. Intervals by patient are only as good as this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PatientSource {
    /// A patient column, or the program itself.
    #[default]
    Column,
    /// A path component such as `patient00001`.
    Path,
    /// Not at all: every row counts as a patient of its own.
    Row,
}
