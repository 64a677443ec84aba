//! Patient-disjoint splits.

use super::{generator, shuffle};
use crate::{Error, Manifest, Result};

/// Splits a manifest into parts that share no patient.
///
/// `shares` are proportions of *patients*, relative to their sum. The split depends on the seed and the set of
/// patients, not on the order of the rows. Rows of each part are ascending.
///
/// # Errors
/// [`Error::Split`] when a share is not a positive number or there are fewer patients than parts.
pub fn patient_split(manifest: &Manifest, shares: &[f64], seed: u64) -> Result<Vec<Vec<usize>>> {
    check_shares(shares)?;
    let total: f64 = shares.iter().sum();
    let patients = shuffled_patients(manifest, seed, b"patient-disjoint split..");
    if patients.len() < shares.len() {
        return Err(Error::Split(format!(
            "{} parts requested, but found only {} patients",
            shares.len(),
            patients.len()
        )));
    }
    let count = patients.len();
    let mut parts = Vec::with_capacity(shares.len());
    let (mut start, mut passed) = (0, 0.0);
    for (part, share) in shares.iter().enumerate() {
        passed += share;
        let parts_after = shares.len() - part - 1;
        let ideal = (passed / total * count as f64).round() as usize;
        // Every part gets at least one patient.
        let end = if parts_after == 0 { count } else { ideal.clamp(start + 1, count - parts_after) };
        let mut rows: Vec<usize> = patients[start..end].iter().flatten().copied().collect();
        rows.sort_unstable();
        parts.push(rows);
        start = end;
    }
    Ok(parts)
}

/// Checks the shares for [`patient_split`].
///
/// # Errors
/// [`Error::Split`] when there are none, or one is not a number from 0.000001 to 1,000,000: beyond that a part of some patients
/// would be lost in rounding.
pub fn check_shares(shares: &[f64]) -> Result<()> {
    if shares.is_empty() || shares.iter().any(|share| !(1e-6..=1e6).contains(share)) {
        return Err(Error::Split(format!(
            "shares must be positive numbers, from 0.000001 to 1000000, in proportion to one another, found {shares:?}"
        )));
    }
    Ok(())
}

/// The rows of each patient, with the patients in an order that depends only on the seed and their ids.
pub(super) fn shuffled_patients(manifest: &Manifest, seed: u64, purpose: &[u8; 24]) -> Vec<Vec<usize>> {
    let rows: Vec<usize> = (0..manifest.len()).collect();
    let mut patients = manifest.patients(&rows);
    patients.sort_by(|a, b| manifest.records[a[0]].patient.cmp(&manifest.records[b[0]].patient));
    shuffle(&mut patients, &mut generator(seed, purpose));
    patients
}
