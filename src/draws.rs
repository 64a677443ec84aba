//! Label draws: which training rows keep their labels.

use std::{collections::BTreeSet, fmt, str::FromStr};

use cxr_data::splits;
use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::{Error, Labelled, ProbeSettings, Result, parts::is_shenzhen};

/// How the labelled rows of a fraction below 1 are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DrawRule {
    /// Whole patients, each draw on its own, from the seed.
    #[default]
    Patients,
    /// Image by image, as the scripts of MoCo-CXR: of CheXpert's whole `train.csv` the paper's own draws bit for bit
    /// ([`splits::paper_draws`]), of Shenzhen draws by its rules from the seed ([`splits::shenzhen_draws`]).
    Paper,
}

impl FromStr for DrawRule {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self> {
        match s {
            "patients" => Ok(Self::Patients),
            "paper" => Ok(Self::Paper),
            _ => Err(Error::Setting {
                key: "label draws".into(),
                found: format!("{s:?}"),
                expected: "patients or paper".into(),
            }),
        }
    }
}

impl fmt::Display for DrawRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Patients => "patients",
            Self::Paper => "paper",
        })
    }
}

/// One draw of labelled rows: places in a [`Labelled`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelDraw {
    /// Places, ascending.
    pub places: Vec<usize>,
    /// Folds that the rarest class of all tasks allows.
    pub folds: usize,
}

/// The label draws of one fraction, by the rule of the settings.
///
/// Draws in which some task has fewer than two patients of a class could not choose a penalty; where whole patients are
/// drawn, they are drawn again, under the next seed, up to a hundred times. That rule looks at training labels only.
///
/// # Errors
/// When no usable draw is found; a fraction or a number of draws that the paper does not have, where its draws are asked for.
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
    if settings.draw_rule == DrawRule::Paper {
        let as_drawn = |rows: Vec<usize>| {
            let places = places_of(train, &rows);
            let folds = folds(&places, &targets, train.patients()).min(settings.folds);
            if folds < min_folds {
                return Err(too_few(fraction, targets.nrows()));
            }
            Ok(LabelDraw { places, folds })
        };
        return paper_rows(train, fraction, wanted, settings.seed)?.into_iter().map(as_drawn).collect();
    }
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
            None => return Err(too_few(fraction, targets.nrows())),
        }
    }
    Ok(draws)
}

fn one_draw(train: &Labelled<'_>, fraction: f64, seed: u64) -> Result<Vec<usize>> {
    let drawn = splits::nested_fractions(train.manifest(), &[fraction], seed)?.swap_remove(0);
    Ok(places_of(train, &drawn))
}

/// The rows of the manifest that the paper's rule draws, draw by draw.
fn paper_rows(train: &Labelled<'_>, fraction: f64, wanted: usize, seed: u64) -> Result<Vec<Vec<usize>>> {
    let manifest = train.manifest();
    let all = || (0..manifest.len()).collect::<Vec<_>>();
    if fraction == 1.0 {
        return Ok(vec![all()]);
    }
    let drawn = if is_shenzhen(manifest) {
        splits::shenzhen_draws(manifest, &all(), fraction, wanted, seed)?
    } else {
        splits::paper_draws(manifest.len()).into_iter().filter(|draw| draw.fraction == fraction).take(wanted).collect()
    };
    if drawn.len() < wanted {
        return Err(Error::Setting {
            key: "fraction, label draws".into(),
            found: format!("{wanted} draws of a fraction of {fraction}"),
            expected: "at most 5 draws of 0.001, 0.01, 0.1 or 0.5, as the paper has them, or --label-draws patients"
                .into(),
        });
    }
    Ok(drawn.into_iter().map(|draw| draw.rows).collect())
}

/// Places of the rows, ascending, that are readable and that the label policy admits.
fn places_of(train: &Labelled<'_>, rows: &[usize]) -> Vec<usize> {
    (0..train.rows().len()).filter(|&i| rows.binary_search(&train.rows()[i]).is_ok()).collect()
}

fn too_few(fraction: f64, images: usize) -> Error {
    Error::Setting {
        key: "fraction".into(),
        found: format!("{fraction} of {images} labelled images"),
        expected: "at least two patients of each class in every task".into(),
    }
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
