//! The fits that a table needs, and their cost.

use std::path::Path;

use eval::paper_epochs;
use serde::Serialize;

use super::{Arm, PaperTable, files::draws_folder};
use crate::study::Choosing;

/// A model at one label fraction of one task: the unit of work for a table. Each task has its own model, so that a result
/// does not depend on the table it was computed for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fit {
    /// The model.
    pub arm: Arm,
    /// The label column.
    pub task: &'static str,
    /// Fraction of the training labels.
    pub fraction: f64,
    /// Number of label draws.
    pub draws: usize,
}

impl Fit {
    /// Whether its scores are in the folder of results.
    pub fn is_made(&self, results: &Path) -> bool {
        draws_folder(results, self.arm, self.task, self.fraction).is_dir()
    }
}

/// Estimated cost of training the models of a table.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Cost {
    /// Number of heads or networks to train: one per model, task, fraction and label draw.
    pub fits: usize,
    /// Images passed through a network with the faithful protocol, including validation.
    pub images: f64,
}

impl PaperTable {
    /// All fits that the cells need, grouped by model.
    pub fn fits(self) -> Vec<Fit> {
        let mut fits: Vec<Fit> = Vec::new();
        for cell in self.cells() {
            for arm in cell.quantity.arms() {
                let fit = Fit { arm, task: cell.task, fraction: cell.fraction, draws: cell.draws() };
                if !fits.contains(&fit) {
                    fits.push(fit);
                }
            }
        }
        // A stable sort: by model and task, otherwise in the order of the table.
        fits.sort_by_key(|fit| (fit.arm.folder(), fit.task));
        fits
    }
}

impl Cost {
    /// Cost of these fits on `images` training images and `valid` validation images.
    pub fn of(fits: &[Fit], images: f64, valid: f64) -> Self {
        let passes = |fraction: f64| {
            let labelled = fraction * images;
            let scored = valid.min(Choosing::most(labelled as usize) as f64);
            paper_epochs(labelled) as f64 * (labelled + scored)
        };
        Self {
            fits: fits.iter().map(|fit| fit.draws).sum(),
            images: fits.iter().map(|fit| fit.draws as f64 * passes(fit.fraction)).sum(),
        }
    }
}
