//! The same statistics by sex, age band, projection and view, from the columns the data sets come with.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::evaluate::{Evaluation, ResultRow};
use crate::scores::{Row, Scores};

/// What rows are divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Subgroup {
    /// As the data set writes it.
    Sex,
    /// 0-17, 18-39, 40-59, 60-79, 80 and older, in years.
    AgeBand,
    /// AP or PA.
    Projection,
    /// `frontal`, `lateral`; for studies the views they have.
    View,
}

/// One group of a division.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Group {
    /// What the rows are divided by.
    pub by: Subgroup,
    /// The group: `Female`, `40-59`, ...; `unknown` where the column is empty.
    pub value: String,
}

const UNKNOWN: &str = "unknown";

impl Subgroup {
    /// Every division.
    pub const ALL: [Self; 4] = [Self::Sex, Self::AgeBand, Self::Projection, Self::View];

    /// Its name on the command line: `sex`, `age`, `projection`, `view`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sex => "sex",
            Self::AgeBand => "age",
            Self::Projection => "projection",
            Self::View => "view",
        }
    }

    fn of(self, row: &Row) -> String {
        let value = match self {
            Self::Sex => row.sex.clone(),
            Self::AgeBand => row.age.and_then(age_band).map(str::to_owned),
            Self::Projection => row.projection.clone(),
            Self::View => row.view.clone(),
        };
        value.unwrap_or_else(|| UNKNOWN.to_owned())
    }
}

fn age_band(years: f64) -> Option<&'static str> {
    match years {
        years if years < 0.0 => None,
        years if years < 18.0 => Some("0-17"),
        years if years < 40.0 => Some("18-39"),
        years if years < 60.0 => Some("40-59"),
        years if years < 80.0 => Some("60-79"),
        years if years >= 80.0 => Some("80+"),
        _ => None, // NaN
    }
}

/// The statistics of `evaluation` within each group, groups in ascending order with `unknown` last.
///
/// Many groups mean many comparisons, and small ones have wide intervals: the intervals are there to be read.
///
/// # Errors
/// As [`Evaluation::run`]; [`Error::Setting`] if no row says which group it is in.
pub fn subgroups(evaluation: &Evaluation, draws: &[Scores], by: Subgroup) -> Result<Vec<ResultRow>> {
    let Some(first) = draws.first() else {
        return Err(Error::Setting { name: "label draws", found: "0".into(), expected: "at least 1" });
    };
    let draws = draws.iter().map(|draw| first.align(draw)).collect::<Result<Vec<_>>>()?;
    if !first.rows().iter().any(|row| by.of(row) != UNKNOWN) {
        let found = format!("no row that says its {}", by.name());
        return Err(Error::Setting { name: "subgroup", found, expected: "a column for it, here or in another file" });
    }
    let of_row: Vec<String> = first.rows().iter().map(|row| by.of(row)).collect();
    let mut values = of_row.clone();
    values.sort_by(|a, b| (a == UNKNOWN).cmp(&(b == UNKNOWN)).then_with(|| a.cmp(b)));
    values.dedup();

    let mut rows = Vec::new();
    for value in values {
        let members: Vec<usize> = (0..of_row.len()).filter(|&row| of_row[row] == value).collect();
        let within = draws.iter().map(|draw| draw.select_rows(&members)).collect::<Result<Vec<_>>>()?;
        let (within, _) = evaluation.rows(&within)?;
        let group = Group { by, value };
        rows.extend(within.into_iter().map(|row| ResultRow { group: Some(group.clone()), ..row }));
    }
    Ok(rows)
}
