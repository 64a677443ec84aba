//! Label draws: which training rows keep their labels.

use std::{collections::BTreeSet, fmt, str::FromStr};

use cxr_data::{Dataset, splits};
use eval::FewLabels;
use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::{
    data::Labelled,
    error::{Error, Result},
};

/// How the labelled rows of a fraction below 1 are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DrawRule {
    /// Whole patients, each draw independently, from the seed.
    #[default]
    Patients,
    /// Single images, as in MoCo-CXR's scripts. On CheXpert's complete `train.csv`: exactly the paper's draws
    /// ([`splits::paper_draws`]). On Shenzhen: draws by the paper's rules from the seed ([`splits::shenzhen_draws`]).
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

/// One draw of labelled rows, as positions in a [`Labelled`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelDraw {
    /// Positions, ascending.
    pub places: Vec<usize>,
    /// Number of cross-validation folds that the rarest class of all tasks allows.
    pub folds: usize,
}

/// Settings of label draws, and the number of folds for choosing the penalty within a draw.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Draws {
    pub(crate) rule: DrawRule,
    /// Draws of a fraction below 1.
    pub(crate) count: usize,
    /// Requested folds.
    pub(crate) folds: usize,
    pub(crate) seed: u64,
}

/// The label draws of one fraction.
///
/// With `min_folds` 2, a draw in which some task has fewer than two patients of a class cannot choose a penalty and is
/// rejected: draws of whole patients are repeated with the next seed, up to a hundred times. This looks at training labels
/// only. With 0, draws are used as they are, for methods that choose nothing within a draw (fine-tuning, nearest
/// neighbours). Both give the same draws unless one had to be repeated.
///
/// # Errors
/// No usable draw was found; a fraction is out of range; or, for the paper's draws, the paper does not have this fraction or
/// this many draws.
pub(crate) fn label_draws(
    train: &Labelled,
    fraction: f64,
    settings: Draws,
    min_folds: usize,
) -> Result<Vec<LabelDraw>> {
    const TRIES: u64 = 100;
    let wanted = if fraction < 1.0 { settings.count } else { 1 };
    let targets = train.targets();
    if settings.rule == DrawRule::Paper {
        let as_drawn = |rows: Vec<usize>| {
            let places = places_of(train, &rows);
            let rarest = Rarest::of(&places, &targets, train.patients());
            if rarest.patients < min_folds {
                return Err(rarest.too_few(fraction, places.len(), train));
            }
            Ok(LabelDraw { folds: rarest.patients.min(settings.folds), places })
        };
        return paper_rows(train, fraction, wanted, settings.seed)?.into_iter().map(as_drawn).collect();
    }
    let mut draws = Vec::new();
    for draw in 0..wanted as u64 {
        let mut too_few = None;
        let usable = (0..TRIES).find_map(|attempt| {
            let seed = settings.seed.wrapping_mul(1_000_003).wrapping_add(draw * TRIES + attempt);
            let places = match one_draw(train, fraction, seed) {
                Ok(places) => places,
                Err(e) => return Some(Err(e)),
            };
            let rarest = Rarest::of(&places, &targets, train.patients());
            if rarest.patients < min_folds {
                too_few = Some(rarest.too_few(fraction, places.len(), train));
                return None;
            }
            Some(Ok(LabelDraw { folds: rarest.patients.min(settings.folds), places }))
        });
        match (usable, too_few) {
            (Some(found), _) => draws.push(found?),
            (None, Some(fault)) => return Err(fault),
            (None, None) => {} // cannot happen: there is at least one attempt
        }
    }
    Ok(draws)
}

fn one_draw(train: &Labelled, fraction: f64, seed: u64) -> Result<Vec<usize>> {
    let drawn = splits::nested_fractions(train.manifest(), &[fraction], seed)?.swap_remove(0);
    Ok(places_of(train, &drawn))
}

/// The manifest rows of each draw by the paper's rule.
fn paper_rows(train: &Labelled, fraction: f64, wanted: usize, seed: u64) -> Result<Vec<Vec<usize>>> {
    let manifest = train.manifest();
    let all = || (0..manifest.len()).collect::<Vec<_>>();
    if fraction == 1.0 {
        return Ok(vec![all()]);
    }
    let drawn = if manifest.dataset == Dataset::Shenzhen {
        splits::shenzhen_draws(manifest, &all(), fraction, wanted, seed)?
    } else {
        splits::paper_draws(manifest.len()).into_iter().filter(|draw| draw.fraction == fraction).take(wanted).collect()
    };
    if drawn.len() < wanted {
        return Err(Error::Setting {
            key: "fraction, label draws".into(),
            found: format!("{wanted} draws of a fraction of {fraction}"),
            expected: "at most 5 draws of 0.001, 0.01, 0.1 or 0.5, as in the paper, or --label-draws patients".into(),
        });
    }
    Ok(drawn.into_iter().map(|draw| draw.rows).collect())
}

/// Positions of those `rows` that are readable and admitted by the label policy, ascending.
fn places_of(train: &Labelled, rows: &[usize]) -> Vec<usize> {
    (0..train.rows().len()).filter(|&i| rows.binary_search(&train.rows()[i]).is_ok()).collect()
}

/// The class with the fewest patients over all tasks. A patient with any positive image counts as positive, as in the folds.
struct Rarest {
    patients: usize,
    task: usize,
    class: &'static str,
}

impl Rarest {
    fn of(places: &[usize], targets: &Array2<f64>, patients: &[u64]) -> Self {
        let of = |task: usize, class: f64| -> BTreeSet<u64> {
            places.iter().filter(|&&i| targets[[i, task]] == class).map(|&i| patients[i]).collect()
        };
        let classes = (0..targets.ncols()).flat_map(|task| {
            let (positive, negative) = (of(task, 1.0), of(task, 0.0));
            let others = negative.difference(&positive).count();
            [(positive.len(), "positive"), (others, "negative")].map(|(patients, class)| Self { patients, task, class })
        });
        classes.min_by_key(|class| class.patients).unwrap_or(Self { patients: 0, task: 0, class: "positive" })
    }

    fn too_few(&self, fraction: f64, images: usize, train: &Labelled) -> Error {
        let &Self { patients, task, class } = self;
        Error::Setting {
            key: train.labels().tasks.get(task).map_or("task".into(), |task| format!("task {task:?}")),
            found: format!("{patients} {class} patient(s) in {images} labelled images (fraction {fraction})"),
            expected: "at least two patients of each class in every task, to choose the penalty".into(),
        }
    }
}

/// A note if the penalty is chosen in fewer folds than requested, or is fixed because a draw has few labels.
pub(crate) fn fewer_folds(fraction: f64, draws: &[LabelDraw], settings: Draws) -> Option<String> {
    let FewLabels { below, l2 } = FewLabels::default();
    let (few, many): (Vec<_>, Vec<_>) = draws.iter().partition(|draw| draw.places.len() < below);
    if many.is_empty() && !few.is_empty() {
        return Some(format!(
            "fraction {fraction}: the penalty is {l2}, because below {below} labels folds choose by chance"
        ));
    }
    let fewest = many.iter().map(|draw| draw.folds).min().filter(|&folds| folds < settings.folds)?;
    let affected = many.iter().filter(|draw| draw.folds < settings.folds).count();
    Some(format!(
        "fraction {fraction}: {affected} of {} label draws choose the penalty in fewer than {} folds (minimum {fewest}), because \
         a class has too few patients",
        draws.len(),
        settings.folds
    ))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use cxr_data::{Label, Manifest, Record};

    use super::*;
    use crate::data::{Labels, Rows};

    /// One image per patient, every second positive; no files exist.
    fn manifest(dataset: Dataset, task: &str, images: usize) -> Manifest {
        let record = |i: usize| Record {
            path: format!("patient{i:05}/study1/view1_frontal.jpg"),
            patient: format!("patient{i:05}"),
            study: format!("patient{i:05}/study1"),
            view: None,
            projection: None,
            sex: None,
            age: None,
            labels: vec![if i.is_multiple_of(2) { Label::Positive } else { Label::Negative }],
        };
        Manifest {
            root: "nowhere".into(),
            dataset,
            tasks: vec![task.to_owned()],
            records: (0..images).map(record).collect(),
            patients_known: true,
            ..Manifest::default()
        }
    }

    fn settings(count: usize) -> Draws {
        Draws { rule: DrawRule::Paper, count, folds: 5, seed: 0 }
    }

    fn labelled(manifest: &Manifest, readable: &[usize], task: &str) -> Labelled {
        let rows = Arc::new(Rows::of_table(manifest.clone(), readable.to_vec()));
        Labelled::new(&rows, &Labels::new([task])).unwrap()
    }

    #[test]
    fn a_penalty_that_is_fixed_or_chosen_in_fewer_folds_is_said() {
        let draw = |images: usize, folds| LabelDraw { places: (0..images).collect(), folds };
        let said = |draws: &[LabelDraw]| fewer_folds(0.1, draws, settings(5));
        assert_eq!(said(&[draw(60, 5), draw(20, 2)]), None);
        let fixed = said(&[draw(49, 2), draw(20, 5)]).unwrap();
        assert!(fixed.contains("the penalty is 10, because below 50 labels"), "{fixed}");
        let fewer = said(&[draw(60, 5), draw(50, 3), draw(20, 2)]).unwrap();
        assert!(fewer.contains("1 of 3 label draws choose the penalty in fewer than 5 folds (minimum 3)"), "{fewer}");
    }

    #[test]
    fn on_chexpert_draws_equal_the_paper_without_unreadable_rows() {
        let manifest = manifest(Dataset::Chexpert, "Edema", 3000);
        let settings = settings(5);
        let readable: Vec<usize> = (0..3000).filter(|row| row % 7 != 0).collect();
        let train = labelled(&manifest, &readable, "Edema");
        for fraction in [0.01, 0.1, 0.5] {
            let draws = label_draws(&train, fraction, settings, 2).unwrap();
            let paper: Vec<_> =
                splits::paper_draws(3000).into_iter().filter(|draw| draw.fraction == fraction).collect();
            assert_eq!(draws.len(), 5);
            for (draw, paper) in draws.iter().zip(paper) {
                let rows: Vec<usize> = draw.places.iter().map(|&place| train.rows()[place]).collect();
                let expected: Vec<usize> = paper.rows.into_iter().filter(|row| row % 7 != 0).collect();
                assert_eq!(rows, expected);
            }
        }
        assert_eq!(label_draws(&train, 1.0, settings, 2).unwrap()[0].places.len(), readable.len());
        // The paper has neither a sixth draw nor a fraction of 20 %. At 0.1 %, three images are too few to choose a penalty,
        // but a network can be trained on them.
        let six = Draws { count: 6, ..settings };
        for (fraction, settings) in [(0.1, six), (0.2, settings)] {
            let fault = label_draws(&train, fraction, settings, 0).unwrap_err().to_string();
            assert!(fault.contains("as in the paper"), "{fault}");
        }
        assert!(
            label_draws(&train, 0.001, settings, 2).unwrap_err().to_string().contains("two patients of each class")
        );
        assert_eq!(label_draws(&train, 0.001, settings, 0).unwrap().len(), 5);
    }

    #[test]
    fn on_shenzhen_they_are_balanced_and_follow_from_the_seed() {
        let manifest = manifest(Dataset::Shenzhen, "Tuberculosis", 430);
        let settings = settings(8);
        let rows: Vec<usize> = (0..430).collect();
        let train = labelled(&manifest, &rows, "Tuberculosis");
        let draws = label_draws(&train, 0.0625, settings, 0).unwrap();
        assert_eq!(draws.len(), 8);
        for draw in &draws {
            let positive = draw.places.iter().filter(|&&place| place % 2 == 0).count();
            let balance = (draw.places.len() - positive) as f64 / positive as f64;
            assert!(0.9 < balance && balance < 1.2, "{balance}"); // `shenzhen_mutiple_split.py`
        }
        assert_eq!(draws, label_draws(&train, 0.0625, settings, 0).unwrap());
        let other = Draws { seed: 1, ..settings };
        assert_ne!(draws, label_draws(&train, 0.0625, other, 0).unwrap());
    }
}
