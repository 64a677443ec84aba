//! How a set without published parts is divided.

use cxr_data::{
    Manifest,
    splits::{ShenzhenSplit, patient_split, shenzhen_split},
};

use crate::{data::labelled::is_shenzhen, error::Result};

/// Shares of train, valid and test: the paper's for Shenzhen.
const SHARES: [f64; 3] = [0.65, 0.15, 0.2];

/// Rows to fit, choose and report on: Shenzhen by the rules of the paper's script, other sets by patient.
pub(crate) fn shares(manifest: &Manifest, seed: u64) -> Result<ShenzhenSplit> {
    if let Some(Ok(split)) = is_shenzhen(manifest).then(|| shenzhen_split(manifest, seed)) {
        return Ok(split);
    }
    let mut parts = patient_split(manifest, &SHARES, seed)?.into_iter();
    let mut next = || parts.next().unwrap_or_default();
    Ok(ShenzhenSplit { train: next(), valid: next(), test: next() })
}
