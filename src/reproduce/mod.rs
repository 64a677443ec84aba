//! The paper's tables compared with our results, cell by cell.
//!
//! Our results are in a folder with one folder per model, named by [`Arm::folder`]:
//!
//! ```text
//! RESULTS/resnet18-moco-linear/
//!   weights.json                                           initial weights of the model
//!   pleural-effusion/fraction-0.01/predictions-0.csv ...   scores of every label draw
//!   pleural-effusion/fraction-0.01/results.json            conditions
//! ```
//!
//! [`Reproduction`] computes missing results, as far as data and weights allow. The folders written by `moco-cxr linear` and
//! `finetune` can be used too. AUROC and improvements are computed from the scores with the paper's bootstrap. Without
//! scores, the AUROC and its interval are taken from `linear.json` or `finetune.json`; improvements are paired and then not
//! available.

mod among;
mod cell;
mod files;
mod fits;
mod make;
mod paper;
mod table;

use std::path::Path;

use eval::{Bootstrap, Conditions, Interval, Metric, Predictions, Scores, Stamp, compare_under};
use serde::Serialize;

pub use cell::{Arm, Cell, Init, Quantity, Tuning};
pub use fits::{Cost, Fit};
pub use make::{LinearProtocol, NotMade, Reproduction};
pub use paper::PaperTable;
pub use table::{reproduction_conditions, reproduction_table};

use crate::error::Result;

/// One cell: the paper's number and ours.
#[derive(Debug, Clone, Serialize)]
pub struct Reproduced {
    /// What is measured.
    pub what: String,
    /// The label column.
    pub task: String,
    /// Fraction of the training labels.
    pub fraction: f64,
    /// The paper's number, lower and upper limit.
    pub paper: [f64; 3],
    /// Our number; `null` if not available.
    pub ours: Option<Interval>,
    /// Label draws of our number.
    pub draws: Option<usize>,
    /// Label draws of the paper's number.
    pub paper_draws: usize,
    /// Whether our estimate lies in the paper's interval.
    pub inside: Option<bool>,
    /// Conditions of our number.
    pub stamp: Stamp,
    /// The models it needs.
    pub models: Vec<Model>,
    /// Why our number is missing.
    pub missing: Option<String>,
}

/// A model that a cell needs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Model {
    /// Name of its folder.
    pub folder: String,
    /// Initial weights, if recorded.
    pub weights: Option<String>,
}

impl PaperTable {
    /// Every cell with our number from the folder `results`, computed with `bootstrap` if there are scores
    /// ([`Bootstrap::paper`] is the paper's). A missing number is not an error.
    ///
    /// # Errors
    /// Results that exist but cannot be read.
    pub fn reproduce(self, results: &Path, bootstrap: &Bootstrap) -> Result<Vec<Reproduced>> {
        self.cells().iter().map(|cell| reproduced(cell, results, bootstrap)).collect()
    }
}

fn reproduced(cell: &Cell, results: &Path, bootstrap: &Bootstrap) -> Result<Reproduced> {
    let arms = cell.quantity.arms();
    let model = |&arm: &Arm| Ok(Model { folder: arm.folder(), weights: files::weights(arm, results)? });
    let mut out = Reproduced {
        what: cell.quantity.to_string(),
        task: cell.task.to_owned(),
        fraction: cell.fraction,
        paper: [cell.value, cell.lower, cell.upper],
        ours: None,
        draws: None,
        paper_draws: cell.draws(),
        inside: None,
        stamp: Stamp::default(),
        models: arms.iter().map(model).collect::<Result<_>>()?,
        missing: None,
    };
    let absent: Vec<String> =
        arms.iter().map(|arm| arm.folder()).filter(|folder| !results.join(folder).is_dir()).collect();
    if !absent.is_empty() {
        out.missing = Some(format!("no {}", absent.join(" and no ")));
        return Ok(out);
    }
    let found = match cell.quantity {
        Quantity::Auroc(arm) => auroc(cell, arm, results, bootstrap)?,
        Quantity::Improvement(first, second) => improvement(cell, (first, second), results, bootstrap)?,
    };
    match found {
        Ok((interval, draws, stamp)) => {
            out.inside = Some(cell.contains(interval.estimate));
            (out.ours, out.draws, out.stamp) = (Some(interval), Some(draws), stamp);
        }
        Err(reason) => out.missing = Some(reason),
    }
    Ok(out)
}

/// A number with its label draws and conditions, or why it is missing.
type Found = std::result::Result<(Interval, usize, Stamp), String>;

fn auroc(cell: &Cell, arm: Arm, results: &Path, bootstrap: &Bootstrap) -> Result<Found> {
    let Some(Predictions { draws, stamp }) = files::predictions(cell, arm, results)? else {
        return files::summary(cell, arm, results);
    };
    let (cohort, scores) = Scores::cohort_of_draws(&draws, cell.task)?;
    Ok(match bootstrap.interval(&cohort, &scores, Metric::Auroc) {
        Ok(interval) => Ok((interval, draws.len(), stamp)),
        Err(e) if e.undefined_reason().is_some() => Err(e.to_string()),
        Err(e) => return Err(e.into()),
    })
}

fn improvement(cell: &Cell, (first, second): (Arm, Arm), results: &Path, bootstrap: &Bootstrap) -> Result<Found> {
    let mut both = Vec::new();
    for arm in [first, second] {
        let Some(mut found) = files::predictions(cell, arm, results)? else {
            return Ok(Err(format!(
                "an improvement is paired and needs the scores of all draws: no {}",
                files::draws_folder(results, arm, cell.task, cell.fraction).display()
            )));
        };
        if first.tuning != second.tuning {
            found.stamp.protocol = None; // the paper deliberately compares linear with end-to-end models
        }
        both.push(found);
    }
    let (one, other) = (&both[0], &both[1]);
    let (one, other) = ((&one.draws[..], &one.stamp), (&other.draws[..], &other.stamp));
    let draws = one.0.len();
    Ok(match compare_under(one, other, Metric::Auroc, bootstrap, Conditions::Equal) {
        Ok(mut compared) => {
            let task = compared.tasks.swap_remove(0);
            match (task.comparison, task.undefined) {
                (Some(comparison), _) => Ok((comparison.difference, draws, compared.stamp)),
                (None, reason) => Err(reason.map(|reason| reason.to_string()).unwrap_or_default()),
            }
        }
        // Two models that cannot be compared leave only this cell empty.
        Err(fault) => Err(fault.to_string()),
    })
}
