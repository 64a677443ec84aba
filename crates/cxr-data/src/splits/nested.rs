//! Label fractions by patient, each inside the next: the stricter alternative to the paper's draws.

use super::patients::shuffled_patients;
use crate::{Error, Manifest, Result};

/// Rows of each fraction of the *patients*: all images of a patient or none, and a smaller fraction is part of every
/// larger one. A fraction holds its share of the patients, rounded, and one at least.
///
/// # Errors
/// [`Error::Split`] when a fraction is not above 0 and at most 1, or there is no patient.
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

/// Checks what [`nested_fractions`] needs of its fractions.
///
/// # Errors
/// [`Error::Split`] when a fraction is not above 0 and at most 1.
pub fn check_fractions(fractions: &[f64]) -> Result<()> {
    match fractions.iter().find(|&&fraction| !(fraction > 0.0 && fraction <= 1.0)) {
        Some(fraction) => Err(Error::Split(format!("fractions must be above 0 and at most 1, found {fraction}"))),
        None => Ok(()),
    }
}
