//! The choice of the penalty, on rows that are not reported.

use ndarray::{Array2, ArrayView1, ArrayView2};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::folds::grouped_folds;
use super::logistic::{Convergence, LogisticProbe, Problem};
use super::precondition::{Gram, Preconditioner};
use crate::auroc::auroc;
use crate::checked;
use crate::cohort::Cohort;
use crate::error::{Error, Result};

/// How a penalty was chosen. Report it with the result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PenaltyChoice {
    /// The penalty.
    pub l2: f64,
    /// The penalties that were tried, strongest first, each with its AUROC, for nested selection the mean over folds.
    /// Empty if the penalty was given, or fixed because there are few labels.
    pub tried: Vec<(f64, f64)>,
}

impl PenaltyChoice {
    fn given(l2: f64) -> Self {
        Self { l2, tried: Vec::new() }
    }

    /// The penalty with the highest AUROC; among equals the strongest, which gives the simplest model.
    fn best(tried: Vec<(f64, f64)>) -> Self {
        let mut best = tried[0];
        for &candidate in &tried[1..] {
            if candidate.1 > best.1 {
                best = candidate;
            }
        }
        Self { l2: best.0, tried }
    }
}

/// How the penalty is chosen.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Selection<'a> {
    /// This penalty.
    Fixed(f64),
    /// By cross-validation within the training rows, with all rows of a patient in one fold, unless a task has too few
    /// labelled rows for that ([`FewLabels`](crate::FewLabels)). Holds the patient number of every training row: any numbers,
    /// equal for the same patient.
    Nested(&'a [u64]),
    /// On validation rows; report results on yet other rows.
    Validation {
        /// Features `[V, D]`, not standardised, like the training features.
        features: ArrayView2<'a, f32>,
        /// Targets `[V, T]`: 0, 1, or NaN where masked.
        targets: ArrayView2<'a, f64>,
    },
}

/// Everything that tasks, folds and penalties share.
#[derive(Debug)]
pub(super) struct Path<'a> {
    features: ArrayView2<'a, f32>,
    /// Strongest penalty first, each with its preconditioner.
    penalties: Vec<(f64, Preconditioner<'a>)>,
    convergence: Convergence,
}

/// What is called after each regression.
type Fitted<'f> = &'f (dyn Fn() + Sync);

impl<'a> Path<'a> {
    /// `features` standardised, in standard layout; `penalties` not empty, all above zero.
    pub(super) fn new(features: ArrayView2<'a, f32>, penalties: &[f64], convergence: Convergence) -> Result<Self> {
        let mut sorted = penalties.to_vec();
        sorted.sort_by(|a, b| b.total_cmp(a));
        sorted.dedup();
        let gram = Gram::new(features);
        let penalties = sorted.par_iter().map(|&l2| Ok((l2, gram.preconditioner(l2)?))).collect::<Result<_>>()?;
        Ok(Self { features, penalties, convergence })
    }

    /// Fits `rows` with every penalty down to `weakest`, each starting from the solution for the stronger one before.
    fn fits(&self, rows: &[usize], labels: &[bool], weakest: f64, fitted: Fitted<'_>) -> Result<Vec<LogisticProbe>> {
        let problem = Problem::new(self.features, rows, labels)?;
        let mut fits: Vec<LogisticProbe> = Vec::new();
        for (l2, preconditioner) in self.penalties.iter().filter(|(l2, _)| *l2 >= weakest) {
            fits.push(problem.fit(*l2, preconditioner, fits.last(), &self.convergence)?);
            fitted();
        }
        Ok(fits)
    }

    /// The probe fitted on all `rows` with the chosen penalty, which must be one of `penalties`.
    fn fit(&self, rows: &[usize], labels: &[bool], l2: f64, fitted: Fitted<'_>) -> Result<LogisticProbe> {
        let mut fits = self.fits(rows, labels, l2, fitted)?;
        fits.pop().ok_or(Error::Setting { name: "l2", found: l2.to_string(), expected: "one of the penalties" })
    }

    /// Cross-validation within `rows`.
    fn nested(
        &self,
        rows: &[usize],
        labels: &[bool],
        patients: &[u64],
        folds: usize,
        seed: u64,
        fitted: Fitted<'_>,
    ) -> Result<PenaltyChoice> {
        let patients: Vec<u64> = rows.iter().map(|&row| patients[row]).collect();
        let cohort = Cohort::new(labels.to_vec(), &patients)?;
        let fold_of = grouped_folds(&cohort, folds, seed)?;
        let by_fold: Vec<Vec<f64>> = (0..folds)
            .into_par_iter()
            .map(|fold| {
                let part = |held_out: bool| -> (Vec<usize>, Vec<bool>) {
                    (0..rows.len()).filter(|&i| (fold_of[i] == fold) == held_out).map(|i| (rows[i], labels[i])).unzip()
                };
                let ((train, train_labels), (held, held_labels)) = (part(false), part(true));
                let problem = Problem::new(self.features, &train, &train_labels)?;
                let fits = self.fits(&train, &train_labels, 0.0, fitted)?;
                fits.iter().map(|probe| auroc(&held_labels, &problem.logits(probe, &held), None)).collect()
            })
            .collect::<Result<_>>()?;
        let mean = |place: usize| by_fold.iter().map(|aurocs| aurocs[place]).sum::<f64>() / folds as f64;
        Ok(PenaltyChoice::best(self.penalties.iter().enumerate().map(|(place, (l2, _))| (*l2, mean(place))).collect()))
    }

    /// Chooses by AUROC on validation rows, standardised like the training rows; returns the fit of `rows` that won
    /// too.
    fn validated(
        &self,
        rows: &[usize],
        labels: &[bool],
        validation: &Array2<f32>,
        targets: ArrayView1<'_, f64>,
        fitted: Fitted<'_>,
    ) -> Result<(PenaltyChoice, LogisticProbe)> {
        let (valid_rows, valid_labels) = super::features::labelled(targets);
        checked::both_classes(&valid_labels, None)
            .map_err(|reason| Error::undefined("AUROC on the validation rows", reason))?;
        let mut fits = self.fits(rows, labels, 0.0, fitted)?;
        let tried = fits.iter().map(|probe| {
            let logits = probe.logits(validation.view())?;
            let scores: Vec<f64> = valid_rows.iter().map(|&row| logits[row]).collect();
            Ok((probe.l2, auroc(&valid_labels, &scores, None)?))
        });
        let choice = PenaltyChoice::best(tried.collect::<Result<_>>()?);
        let place = fits.iter().position(|probe| probe.l2 == choice.l2).unwrap_or_default();
        Ok((choice, fits.swap_remove(place)))
    }

    /// Chooses the penalty of one task and fits all its `rows` with it.
    pub(super) fn choose_and_fit(
        &self,
        task: usize,
        rows: &[usize],
        labels: &[bool],
        how: &Chosen<'_>,
        fitted: Fitted<'_>,
    ) -> Result<(LogisticProbe, PenaltyChoice)> {
        let choice = match how {
            Chosen::Fixed(l2) => PenaltyChoice::given(*l2),
            Chosen::Nested { patients, folds, seed } => self.nested(rows, labels, patients, *folds, *seed, fitted)?,
            Chosen::Validation { features, targets } => {
                let (choice, probe) = self.validated(rows, labels, features, targets.column(task), fitted)?;
                return Ok((probe, choice));
            }
        };
        Ok((self.fit(rows, labels, choice.l2, fitted)?, choice))
    }
}

/// [`Selection`], checked and prepared for all tasks.
#[derive(Debug)]
pub(super) enum Chosen<'a> {
    Fixed(f64),
    Nested { patients: &'a [u64], folds: usize, seed: u64 },
    Validation { features: Array2<f32>, targets: ArrayView2<'a, f64> },
}

/// Checks that no row was both used for selection and is reported. The ids may be those of patients, studies or images.
///
/// # Errors
/// [`Error::SelectedAndReported`] with the first such id.
pub fn check_disjoint<'a>(
    selected_on: impl IntoIterator<Item = &'a str>,
    reported_on: impl IntoIterator<Item = &'a str>,
) -> Result<()> {
    let selected: std::collections::HashSet<&str> = selected_on.into_iter().collect();
    let mut both = reported_on.into_iter().filter(|id| selected.contains(id)).peekable();
    match both.peek().map(|id| (*id).to_owned()) {
        Some(first) => Err(Error::SelectedAndReported { first, count: both.count() }),
        None => Ok(()),
    }
}
