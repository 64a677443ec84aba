//! What a table takes: its models, each at its fractions and tasks, and what they cost.

use std::path::Path;

use eval::paper_epochs;
use serde::Serialize;

use super::{Arm, PaperTable, files::draws_folder};

/// A model at one fraction of the labels of one task: the unit in which a table is made. Each task has a model of its own,
/// so that a number does not depend on the table it was made for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fit {
    /// The model.
    pub arm: Arm,
    /// The label column.
    pub task: &'static str,
    /// Fraction of the training labels.
    pub fraction: f64,
    /// Label draws.
    pub draws: usize,
}

impl Fit {
    /// Whether its scores lie in the folder of results.
    pub fn is_made(&self, results: &Path) -> bool {
        draws_folder(results, self.arm, self.task, self.fraction).is_dir()
    }
}

/// What a table's models cost before any is trained.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Cost {
    /// Heads or networks that are fitted: one a model, task, fraction and label draw.
    pub fits: usize,
    /// Images that go through a network, by the faithful protocol; validation included.
    pub images: f64,
}

impl PaperTable {
    /// Everything that its cells need, model by model.
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
        // Stable: one model after the other, otherwise in the order of the table.
        fits.sort_by_key(|fit| (fit.arm.folder(), fit.task));
        fits
    }
}

impl Cost {
    /// Of these fits, for a set of `images` training images and `valid` validation images.
    pub fn of(fits: &[Fit], images: f64, valid: f64) -> Self {
        let passes = |fraction: f64| paper_epochs(fraction * images) as f64 * (fraction * images + valid);
        Self {
            fits: fits.iter().map(|fit| fit.draws).sum(),
            images: fits.iter().map(|fit| fit.draws as f64 * passes(fit.fraction)).sum(),
        }
    }
}
