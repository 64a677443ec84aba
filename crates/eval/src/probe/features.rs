//! Checks of features and targets that all probes share.

use ndarray::{ArrayView1, ArrayView2};

use crate::checked;
use crate::error::{Error, Result};

/// At least one row and one column, every value finite.
pub(super) fn check(what: &'static str, features: ArrayView2<'_, f32>) -> Result<()> {
    if features.is_empty() {
        let found = format!("{} x {}", features.nrows(), features.ncols());
        return Err(Error::Setting { name: what, found, expected: "at least one row and one column" });
    }
    match features.indexed_iter().find(|(_, value)| !value.is_finite()) {
        Some(((row, column), &value)) => Err(Error::NonFiniteFeature { row, column, value }),
        None => Ok(()),
    }
}

/// The number of columns that the probe was fitted on.
pub(super) fn check_columns(features: ArrayView2<'_, f32>, expected: usize) -> Result<()> {
    if features.ncols() == expected {
        Ok(())
    } else {
        Err(Error::Length { what: "columns of features", found: features.ncols(), expected })
    }
}

/// Targets `[N, T]` of N rows, each 0, 1 or NaN (masked), T at least 1.
pub(crate) fn check_targets(targets: ArrayView2<'_, f64>, rows: usize) -> Result<()> {
    checked::length("targets", targets.nrows(), rows)?;
    if targets.ncols() == 0 {
        return Err(Error::Setting { name: "targets", found: "no tasks".to_owned(), expected: "at least one task" });
    }
    match targets.indexed_iter().find(|(_, value)| !(**value == 0.0 || **value == 1.0 || value.is_nan())) {
        Some(((row, _), &value)) => Err(Error::BadLabel { row, value, task: None }),
        None => Ok(()),
    }
}

/// The labelled rows of one task and their labels.
pub(crate) fn labelled(targets: ArrayView1<'_, f64>) -> (Vec<usize>, Vec<bool>) {
    targets.iter().enumerate().filter(|(_, label)| !label.is_nan()).map(|(row, label)| (row, *label == 1.0)).unzip()
}
