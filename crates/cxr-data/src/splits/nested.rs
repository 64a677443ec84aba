//! Nested label fractions by patient: the stricter alternative to the paper's draws.

use super::patients::shuffled_patients;
use crate::{Error, Manifest, Result};

/// Rows of each fraction of the *patients*: all images of a patient or none, and each fraction contains all smaller
/// ones. The number of patients is rounded, and at least one.
///
/// # Errors
/// [`Error::Split`] when a fraction is not above 0 and at most 1, or the manifest is empty.
pub fn nested_fractions(manifest: &Manifest, fractions: &[f64], seed: u64) -> Result<Vec<Vec<usize>>> {
    check_fractions(fractions)?;
    if manifest.is_empty() {
        return Err(Error::Split("there are no images".into()));
    }
    let patients = shuffled_patients(manifest, seed, b"nested label fractions..");
    let rows_of = |&fraction: &f64| {
        let count = ((fraction * patients.len() as f64).round() as usize).max(1);
        let mut rows: Vec<usize> = patients[..count].iter().flatten().copied().collect();
        rows.sort_unstable();
        rows
    };
    Ok(fractions.iter().map(rows_of).collect())
}

/// Checks the fractions for [`nested_fractions`].
///
/// # Errors
/// [`Error::Split`] when a fraction is not above 0 and at most 1.
pub fn check_fractions(fractions: &[f64]) -> Result<()> {
    match fractions.iter().find(|&&fraction| !(fraction > 0.0 && fraction <= 1.0)) {
        Some(fraction) => Err(Error::Split(format!("fractions must be above 0 and at most 1, found {fraction}"))),
        None => Ok(()),
    }
}
