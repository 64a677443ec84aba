//! The rows that scores belong to, and where their patient ids come from.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

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

/// Checks that two inputs divide the same rows into the same patients, whatever these are called in each.
///
/// # Errors
/// [`Error::MismatchedPatients`] with a row.
pub(crate) fn same_patients<'r>(
    rows: impl Iterator<Item = (&'r str, &'r str, &'r str)>,
    (left, right): (&str, &str),
) -> Result<()> {
    let mut forth: HashMap<&str, (&str, &str)> = HashMap::new();
    let mut back: HashMap<&str, (&str, &str)> = HashMap::new();
    for (id, first, second) in rows {
        let one = *forth.entry(first).or_insert((second, id));
        let other = *back.entry(second).or_insert((first, id));
        if one.0 != second || other.0 != first {
            let elsewhere = if one.0 != second { one.1 } else { other.1 };
            return Err(Error::MismatchedPatients {
                id: id.to_owned(),
                other: elsewhere.to_owned(),
                first: format!("{first:?} in {left}"),
                second: format!("{second:?} in {right}"),
            });
        }
    }
    Ok(())
}
