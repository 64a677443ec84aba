//! Checks of the input that the statistics share.

use crate::error::{Error, Result};
use crate::undefined::Undefined;

/// Equal lengths, finite scores, finite weights of at least zero.
pub(crate) fn rows(labels: &[bool], scores: &[f64], weights: Option<&[f64]>) -> Result<()> {
    length("scores", scores.len(), labels.len())?;
    if let Some((row, &value)) = scores.iter().enumerate().find(|(_, score)| !score.is_finite()) {
        return Err(Error::NonFiniteScore { row, value, task: None });
    }
    let Some(weights) = weights else { return Ok(()) };
    length("weights", weights.len(), labels.len())?;
    match weights.iter().enumerate().find(|(_, weight)| !(weight.is_finite() && **weight >= 0.0)) {
        Some((row, &value)) => Err(Error::BadWeight { row, value }),
        None => Ok(()),
    }
}

/// `found` values for `expected` rows.
pub(crate) fn length(what: &'static str, found: usize, expected: usize) -> Result<()> {
    if found == expected { Ok(()) } else { Err(Error::Length { what, found, expected }) }
}

/// At least one positive and one negative row with a weight above zero.
pub(crate) fn both_classes(labels: &[bool], weights: Option<&[f64]>) -> Result<(), Undefined> {
    let counted = |row: usize| weights.is_none_or(|weights| weights[row] > 0.0);
    let positives = (0..labels.len()).filter(|&row| counted(row) && labels[row]).count();
    let negatives = (0..labels.len()).filter(|&row| counted(row) && !labels[row]).count();
    match (positives, negatives) {
        (0, 0) => Err(Undefined::NoLabelledRows),
        (0, negatives) => Err(Undefined::NoPositives { negatives }),
        (positives, 0) => Err(Undefined::NoNegatives { positives }),
        _ => Ok(()),
    }
}

/// Every score in [0, 1].
pub(crate) fn probabilities(scores: &[f64]) -> Result<(), Undefined> {
    match scores.iter().find(|score| !(0.0..=1.0).contains(*score)) {
        Some(&score) => Err(Undefined::NotProbabilities { score }),
        None => Ok(()),
    }
}

/// A confidence level strictly between 0 and 1.
pub(crate) fn level(level: f64) -> Result<()> {
    if level > 0.0 && level < 1.0 {
        Ok(())
    } else {
        Err(Error::Setting { name: "confidence level", found: level.to_string(), expected: "a number between 0 and 1" })
    }
}

/// A specificity in [0, 1].
pub(crate) fn specificity(value: f64) -> Result<()> {
    if (0.0..=1.0).contains(&value) {
        Ok(())
    } else {
        Err(Error::Setting { name: "specificity", found: value.to_string(), expected: "a number from 0 to 1" })
    }
}

/// 1 to 10,000 reliability bins.
pub(crate) fn bins(bins: usize) -> Result<()> {
    if (1..=10_000).contains(&bins) {
        Ok(())
    } else {
        Err(Error::Setting { name: "reliability bins", found: bins.to_string(), expected: "1 to 10,000" })
    }
}
