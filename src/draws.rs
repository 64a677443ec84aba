//! Label draws: which training rows keep their labels.

use std::collections::BTreeSet;

use cxr_data::splits;
use ndarray::Array2;

use crate::{Error, Labelled, ProbeSettings, Result};

/// One draw of labelled rows: places in a [`Labelled`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelDraw {
    /// Places, ascending.
    pub places: Vec<usize>,
    /// Folds that the rarest class of all tasks allows.
    pub folds: usize,
}

/// The label draws of one fraction, by patient, each draw on its own.
///
/// Draws in which some task has fewer than two patients of a class could not choose a penalty; they are drawn again,
/// under the next seed, up to a hundred times. That rule looks at training labels only.
///
/// # Errors
/// When no usable draw is found.
pub fn label_draws(train: &Labelled<'_>, fraction: f64, settings: &ProbeSettings) -> Result<Vec<LabelDraw>> {
    draws(train, fraction, settings, 2)
}

/// The label draws of one fraction as they fall, for what chooses nothing within them: fine-tuning, nearest neighbours.
/// They are those of [`label_draws`] wherever that need not draw again.
///
/// # Errors
/// A fraction out of range.
pub fn plain_draws(train: &Labelled<'_>, fraction: f64, settings: &ProbeSettings) -> Result<Vec<LabelDraw>> {
    draws(train, fraction, settings, 0)
}

fn draws(train: &Labelled<'_>, fraction: f64, settings: &ProbeSettings, min_folds: usize) -> Result<Vec<LabelDraw>> {
    const TRIES: u64 = 100;
    let wanted = if fraction < 1.0 { settings.draws } else { 1 };
    let targets = train.targets();
    let mut draws = Vec::new();
    for draw in 0..wanted as u64 {
        let usable = (0..TRIES).find_map(|attempt| {
            let seed = settings.seed.wrapping_mul(1_000_003).wrapping_add(draw * TRIES + attempt);
            let places = match one_draw(train, fraction, seed) {
                Ok(places) => places,
                Err(e) => return Some(Err(e)),
            };
            let folds = folds(&places, &targets, train.patients()).min(settings.folds);
            (folds >= min_folds).then_some(Ok(LabelDraw { places, folds }))
        });
        match usable {
            Some(found) => draws.push(found?),
            None => {
                let found = format!("{} of {} labelled images", fraction, targets.nrows());
                let expected = "at least two patients of each class in every task";
                return Err(Error::Setting { key: "fraction".into(), found, expected: expected.into() });
            }
        }
    }
    Ok(draws)
}

fn one_draw(train: &Labelled<'_>, fraction: f64, seed: u64) -> Result<Vec<usize>> {
    let drawn = splits::nested_fractions(train.manifest(), &[fraction], seed)?.swap_remove(0);
    let places = (0..train.rows().len()).filter(|&i| drawn.binary_search(&train.rows()[i]).is_ok());
    Ok(places.collect())
}

/// Patients of the rarer class in the task that has fewest. A patient with any positive image is a positive one, as in
/// the folds themselves.
fn folds(places: &[usize], targets: &Array2<f64>, patients: &[u64]) -> usize {
    let of = |task: usize, class: f64| -> BTreeSet<u64> {
        places.iter().filter(|&&i| targets[[i, task]] == class).map(|&i| patients[i]).collect()
    };
    let rarer = |task: usize| {
        let (positive, negative) = (of(task, 1.0), of(task, 0.0));
        positive.len().min(negative.difference(&positive).count())
    };
    (0..targets.ncols()).map(rarer).min().unwrap_or(0)
}
