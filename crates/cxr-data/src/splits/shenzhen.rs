//! Shenzhen 65 / 15 / 20 by the rules of MoCo-CXR's `shenzhen_mutiple_split.py`. The script's own draws cannot be
//! repeated (no seed, files in the order of the file system); these follow its rules with a seed.

use rand_chacha::ChaCha8Rng;

use super::{Draw, generator, uniform};
use crate::{Error, Label, Manifest, Result};

const VALID: f64 = 0.15;
const TEST: f64 = 0.20;
/// Normal films per film with tuberculosis, exclusive.
const BALANCE: (f64, f64) = (0.9, 1.2);
/// Intended number of images over the number drawn, exclusive: with 662 images, 95 to 104 for validation and 127 to 139
/// for the test.
const SIZE: (f64, f64) = (0.95, 1.05);
/// Limit on attempts, for sets that no draw fits (one class, a handful of images).
const ATTEMPTS: usize = 100_000;

/// Rows of each part, ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShenzhenSplit {
    /// About 65 %.
    pub train: Vec<usize>,
    /// About 15 %.
    pub valid: Vec<usize>,
    /// About 20 %.
    pub test: Vec<usize>,
}

/// Splits the Shenzhen set 65 / 15 / 20, by patient (there is one image of each). Draws are repeated until validation
/// and test are within 5 % of their sizes and balanced: more than 0.9 and less than 1.2 normal films per film with
/// tuberculosis.
///
/// # Errors
/// [`Error::Split`] when the set has no tuberculosis label or no draw satisfies the rules.
pub fn shenzhen_split(manifest: &Manifest, seed: u64) -> Result<ShenzhenSplit> {
    let task = tuberculosis(manifest)?;
    let all: Vec<usize> = (0..manifest.len()).collect();
    let patients = manifest.patients(&all);
    let mut random = generator(seed, b"shenzhen 65/15/20 split.");
    for _ in 0..ATTEMPTS {
        let mut split = ShenzhenSplit { train: Vec::new(), valid: Vec::new(), test: Vec::new() };
        for patient in &patients {
            let place = uniform(&mut random);
            let part = if place < VALID {
                &mut split.valid
            } else if place < VALID + TEST {
                &mut split.test
            } else {
                &mut split.train
            };
            part.extend(patient);
        }
        let fits = |part: &[usize], share: f64| {
            within(share * manifest.len() as f64 / part.len() as f64, SIZE) && is_balanced(manifest, task, part)
        };
        if fits(&split.valid, VALID) && fits(&split.test, TEST) {
            for part in [&mut split.train, &mut split.valid, &mut split.test] {
                part.sort_unstable();
            }
            return Ok(split);
        }
    }
    Err(hopeless("a validation and a test part", manifest.len()))
}

/// Label fractions of the training part: `count` draws, each row with the probability `fraction`, repeated until they
/// are balanced like the split. The paper reports 6.25 % (8 draws), 25 % (4) and 100 % (1).
///
/// # Errors
/// [`Error::Split`] when the set has no tuberculosis label, the fraction is not above 0 and at most 1, or no balanced
/// draw is found.
pub fn shenzhen_draws(
    manifest: &Manifest,
    train: &[usize],
    fraction: f64,
    count: usize,
    seed: u64,
) -> Result<Vec<Draw>> {
    let task = tuberculosis(manifest)?;
    if !(fraction > 0.0 && fraction <= 1.0) {
        return Err(Error::Split(format!("fractions must be above 0 and at most 1, found {fraction}")));
    }
    let mut random = generator(seed, b"shenzhen label fractions");
    let attempt = |random: &mut ChaCha8Rng| -> Vec<usize> {
        train.iter().copied().filter(|_| uniform(random) < fraction).collect()
    };
    (0..count)
        .map(|draw| {
            // With a fraction of 1 every attempt is the same.
            let attempts = if fraction < 1.0 { ATTEMPTS } else { 1 };
            let fitting = (0..attempts).map(|_| attempt(&mut random)).find(|rows| is_balanced(manifest, task, rows));
            let rows = fitting.ok_or_else(|| hopeless(&format!("a fraction of {fraction}"), train.len()))?;
            Ok(Draw { fraction, draw, rows })
        })
        .collect()
}

fn tuberculosis(manifest: &Manifest) -> Result<usize> {
    Ok(manifest.task_indices(&["Tuberculosis"])?[0])
}

fn is_balanced(manifest: &Manifest, task: usize, rows: &[usize]) -> bool {
    let ill = rows.iter().filter(|&&row| manifest.records[row].labels.get(task) == Some(&Label::Positive)).count();
    within((rows.len() - ill) as f64 / ill as f64, BALANCE)
}

/// False for NaN and infinity, which empty parts give.
fn within(value: f64, (low, high): (f64, f64)) -> bool {
    low < value && value < high
}

fn hopeless(what: &str, images: usize) -> Error {
    Error::Split(format!(
        "none of {ATTEMPTS} draws from {images} images gave {what} with {} to {} normal films per film with tuberculosis",
        BALANCE.0, BALANCE.1
    ))
}
