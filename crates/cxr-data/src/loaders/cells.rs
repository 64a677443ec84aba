//! The cells and file names of CheXpert's tables.

use std::path::Path;

use tables::{Age, Row};

use crate::{Label, Projection, Result, Sex, View};

/// Counts of odd cells, for the notes.
#[derive(Default)]
pub(crate) struct Quirks {
    sex_unknown: usize,
    age_zero: usize,
    view_differs: usize,
}

impl Quirks {
    pub(crate) fn notes(&self, table: &Path) -> Vec<String> {
        [
            (self.sex_unknown, "with Sex \"Unknown\", read as not recorded"),
            (self.age_zero, "with Age 0 (CheXpert's patients are adults), read as not recorded"),
            (self.view_differs, "whose column Frontal/Lateral contradicts the file name; the column was used"),
        ]
        .into_iter()
        .filter(|(rows, _)| *rows > 0)
        .map(|(rows, what)| format!("{}: {rows} rows {what}", table.display()))
        .collect()
    }
}

/// `patient00001` and `patient00001/study1`, from a path.
pub(crate) fn patient_and_study(path: &str) -> Option<(String, String)> {
    let numbered = |part: &str, word: &str| {
        part.strip_prefix(word).is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()))
    };
    let parts: Vec<&str> = path.split(['/', '\\']).collect();
    parts
        .windows(2)
        .find(|pair| numbered(pair[0], "patient") && numbered(pair[1], "study"))
        .map(|pair| (pair[0].to_string(), format!("{}/{}", pair[0], pair[1])))
}

pub(crate) fn label(row: Row<'_>, column: usize) -> Result<Label> {
    tables::label(row.cell(column)).ok_or_else(|| row.fault(column, "1.0, 0.0, -1.0 or blank").into())
}

pub(crate) fn view_of_name(path: &str) -> Option<View> {
    let name = path.rsplit(['/', '\\']).next()?;
    let stem = name.split('.').next()?;
    [("_frontal", View::Frontal), ("_lateral", View::Lateral)]
        .into_iter()
        .find(|(ending, _)| stem.ends_with(ending))
        .map(|(_, view)| view)
}

pub(crate) fn view_of_cell(
    row: Row<'_>,
    column: usize,
    named: Option<View>,
    quirks: &mut Quirks,
) -> Result<Option<View>> {
    let view = match row.cell(column) {
        "" => return Ok(named),
        "Frontal" => View::Frontal,
        "Lateral" => View::Lateral,
        _ => return Err(row.fault(column, "Frontal, Lateral or blank").into()),
    };
    quirks.view_differs += usize::from(named.is_some_and(|named| named != view));
    Ok(Some(view))
}

pub(crate) fn projection_of_cell(row: Row<'_>, column: usize) -> Result<Option<Projection>> {
    Ok(Some(match row.cell(column) {
        "" => return Ok(None),
        "AP" => Projection::Ap,
        "PA" => Projection::Pa,
        "LL" => Projection::Ll,
        "RL" => Projection::Rl,
        _ => return Err(row.fault(column, "AP, PA, LL, RL or blank").into()),
    }))
}

pub(crate) fn sex_of_cell(row: Row<'_>, column: usize, quirks: &mut Quirks) -> Result<Option<Sex>> {
    Ok(match row.cell(column) {
        "Female" => Some(Sex::Female),
        "Male" => Some(Sex::Male),
        "" => None,
        "Unknown" => {
            quirks.sex_unknown += 1;
            None
        }
        _ => return Err(row.fault(column, "Female, Male, Unknown or blank").into()),
    })
}

pub(crate) fn age_of_cell(row: Row<'_>, column: usize, quirks: &mut Quirks) -> Result<Option<f32>> {
    match tables::age(row.cell(column)) {
        Some(Age::Years(0.0)) => {
            quirks.age_zero += 1;
            Ok(None)
        }
        Some(Age::Years(years)) => Ok(Some(years)),
        Some(Age::Missing | Age::Group) => Ok(None),
        None => Err(row.fault(column, "years, 0 to 120, or blank").into()),
    }
}
