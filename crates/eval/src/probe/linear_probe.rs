//! The linear probe: one logistic regression per task on frozen features, with a penalty chosen on rows that are not
//! reported.

use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

use super::features::{check, check_columns, check_targets, labelled};
use super::logistic::{Convergence, LogisticProbe, check_l2};
use super::select::{Chosen, Path, PenaltyChoice, Selection};
use super::standardize::Standardizer;
use crate::checked;
use crate::error::{Error, Result};

/// Settings for fitting a [`LinearProbe`].
#[derive(Debug, Clone, PartialEq)]
pub struct LinearProbeConfig {
    /// Penalties to choose from, in any order: scikit-learn's `1 / C`, on standardised features.
    pub penalties: Vec<f64>,
    /// Folds of [`Selection::Nested`].
    pub folds: usize,
    /// Tasks with too few labelled rows for [`Selection::Nested`], and the penalty that they get instead. `None`: folds
    /// for every task.
    pub few: Option<FewLabels>,
    /// Seed of the folds.
    pub seed: u64,
    /// Criterion of convergence.
    pub convergence: Convergence,
}

/// The penalty of a task with few labelled rows, whose folds would choose by chance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FewLabels {
    /// The folds choose from this number of labelled rows on.
    pub below: usize,
    /// The penalty with fewer.
    pub l2: f64,
}

impl Default for FewLabels {
    /// 10 below 50 labelled rows (`docs/results/penalty.md` has the experiment).
    fn default() -> Self {
        Self { below: 50, l2: 10.0 }
    }
}

impl Default for LinearProbeConfig {
    /// Penalties from 10^5 to 10^-2 in steps of ten, 5 folds, [`FewLabels::default`], seed 0.
    fn default() -> Self {
        let penalties = (-2..=5).rev().map(|exponent| 10f64.powi(exponent)).collect();
        let few = Some(FewLabels::default());
        Self { penalties, folds: 5, few, seed: 0, convergence: Convergence::default() }
    }
}

impl LinearProbeConfig {
    /// Standardises the features, chooses a penalty for each task, and fits all labelled rows of the task with it.
    ///
    /// Mean and deviation are computed on all rows of `features`, labelled or not. In nested selection they include the
    /// held-out fold, but not its labels. The result does not depend on the number of threads.
    ///
    /// # Shapes
    /// - features `[N, D]`, as they come from the backbone
    /// - targets `[N, T]`: 0, 1, or NaN where masked
    ///
    /// # Errors
    /// Wrong shapes, features that are not finite, no penalties or invalid ones; [`Error::InTask`] for an error in a
    /// task: a single class, fewer patients of a class than folds, no convergence.
    pub fn fit(
        &self,
        features: ArrayView2<'_, f32>,
        targets: ArrayView2<'_, f64>,
        selection: Selection<'_>,
    ) -> Result<LinearProbe> {
        self.fit_telling(features, targets, selection, &|| {})
    }

    /// As [`Self::fit`], which calls `fitted` after each of its many regressions, from any thread.
    ///
    /// # Errors
    /// As [`Self::fit`].
    pub fn fit_telling(
        &self,
        features: ArrayView2<'_, f32>,
        targets: ArrayView2<'_, f64>,
        selection: Selection<'_>,
        fitted: &(dyn Fn() + Sync),
    ) -> Result<LinearProbe> {
        check("features", features)?;
        check_targets(targets, features.nrows())?;
        let standardizer = Standardizer::fit(features)?;
        let chosen = self.chosen(selection, &standardizer, features.nrows(), targets.ncols())?;
        let penalties = match chosen {
            Chosen::Fixed(l2) => vec![l2],
            _ => self.penalties.clone(),
        };
        if penalties.is_empty() {
            return Err(Error::Setting { name: "penalties", found: "none".to_owned(), expected: "at least one" });
        }
        penalties.iter().copied().chain(self.few.map(|few| few.l2)).try_for_each(check_l2)?;
        let nested = matches!(chosen, Chosen::Nested { .. });

        let features = standardizer.transform(features)?.as_standard_layout().into_owned();
        let path = Path::new(features.view(), &penalties, self.convergence)?;
        // In nested selection, tasks with few rows have a path of one penalty.
        let is_few = |rows: usize| self.few.filter(|few| nested && rows < few.below);
        let few = (0..targets.ncols()).find_map(|task| is_few(labelled(targets.column(task)).0.len()));
        let fixed = match few {
            Some(few) => Some((Path::new(features.view(), &[few.l2], self.convergence)?, Chosen::Fixed(few.l2))),
            None => None,
        };
        let how = |rows: &[usize]| match &fixed {
            Some((path, chosen)) if is_few(rows.len()).is_some() => (path, chosen),
            _ => (&path, &chosen),
        };
        let probes: Vec<(LogisticProbe, PenaltyChoice)> = (0..targets.ncols())
            .into_par_iter()
            .map(|task| {
                let (rows, labels) = labelled(targets.column(task));
                checked::both_classes(&labels, None)
                    .map_err(|reason| Error::undefined("a linear probe", reason))
                    .and_then(|()| {
                        let (path, chosen) = how(&rows);
                        path.choose_and_fit(task, &rows, &labels, chosen, fitted)
                    })
                    .map_err(|source| Error::InTask { task, source: Box::new(source) })
            })
            .collect::<Result<_>>()?;
        let (tasks, choices) = probes.into_iter().unzip();
        Ok(LinearProbe { standardizer, tasks, choices })
    }

    fn chosen<'a>(
        &self,
        selection: Selection<'a>,
        standardizer: &Standardizer,
        rows: usize,
        tasks: usize,
    ) -> Result<Chosen<'a>> {
        match selection {
            Selection::Fixed(l2) => Ok(Chosen::Fixed(l2)),
            Selection::Nested(patients) => {
                checked::length("patients", patients.len(), rows)?;
                Ok(Chosen::Nested { patients, folds: self.folds, seed: self.seed })
            }
            Selection::Validation { features, targets } => {
                check("validation features", features)?;
                check_targets(targets, features.nrows())?;
                if targets.ncols() != tasks {
                    let what = "columns of validation targets";
                    return Err(Error::Length { what, found: targets.ncols(), expected: tasks });
                }
                Ok(Chosen::Validation { features: standardizer.transform(features)?, targets })
            }
        }
    }
}

/// Standardisation and one logistic regression per task.
#[derive(Debug, Clone, PartialEq)]
pub struct LinearProbe {
    standardizer: Standardizer,
    tasks: Vec<LogisticProbe>,
    choices: Vec<PenaltyChoice>,
}

impl LinearProbe {
    /// Logits of features as they come from the backbone. The sigmoid of a logit is the probability; to fold images to
    /// studies ([`crate::fold_studies`]), use the logits.
    ///
    /// # Shapes
    /// - features `[N, D]`, returns `[N, T]`
    ///
    /// # Errors
    /// A number of columns other than the probe was fitted on, or a feature that is not finite.
    pub fn logits(&self, features: ArrayView2<'_, f32>) -> Result<Array2<f64>> {
        check_columns(features, self.standardizer.mean().len())?;
        check("features", features)?;
        let features = self.standardizer.transform(features)?;
        let mut out = Array2::zeros((features.nrows(), self.tasks.len()));
        for (task, probe) in self.tasks.iter().enumerate() {
            out.column_mut(task).assign(&probe.logits(features.view())?);
        }
        Ok(out)
    }

    /// How the penalty of each task was chosen.
    pub fn choices(&self) -> &[PenaltyChoice] {
        &self.choices
    }

    /// The regressions on standardised features, one per task.
    pub fn tasks(&self) -> &[LogisticProbe] {
        &self.tasks
    }

    /// Mean and deviation that standardise the features.
    pub fn standardizer(&self) -> &Standardizer {
        &self.standardizer
    }

    /// The same classifier for features that are not standardised: weight `[T, D]` and bias `[T]` in PyTorch's layout,
    /// which fine-tuning can start from.
    pub fn layer(&self) -> (Array2<f64>, Vec<f64>) {
        let (mean, deviation) = (self.standardizer.mean(), self.standardizer.deviation());
        let mut weight = Array2::zeros((self.tasks.len(), mean.len()));
        let bias = self.tasks.iter().enumerate().map(|(task, probe)| {
            let scaled = &probe.weights / deviation;
            let bias = probe.intercept - scaled.dot(mean);
            weight.row_mut(task).assign(&scaled);
            bias
        });
        let bias = bias.collect();
        (weight, bias)
    }
}
