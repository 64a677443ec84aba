//! Groups of rows by sex, age band, projection and view, from the columns the data sets come with.

use serde::{Deserialize, Serialize};

use crate::row::Row;

/// Attribute that divides the rows into groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Subgroup {
    /// As in the data set.
    Sex,
    /// 0-17, 18-39, 40-59, 60-79, 80 and older, in years.
    AgeBand,
    /// AP or PA.
    Projection,
    /// `frontal` or `lateral`; for studies, the views they contain.
    View,
}

/// A subgroup of the rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Group {
    /// The attribute.
    pub by: Subgroup,
    /// Its value: `Female`, `40-59`, ...; `unknown` where the column is empty.
    pub value: String,
}

/// Value of rows without the attribute.
pub(crate) const UNKNOWN: &str = "unknown";

impl Subgroup {
    /// All attributes.
    pub const ALL: [Self; 4] = [Self::Sex, Self::AgeBand, Self::Projection, Self::View];

    /// Name on the command line: `sex`, `age`, `projection`, `view`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sex => "sex",
            Self::AgeBand => "age",
            Self::Projection => "projection",
            Self::View => "view",
        }
    }

    /// The value of a row.
    pub(crate) fn of(self, row: &Row) -> String {
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
