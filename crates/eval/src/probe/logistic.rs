//! Logistic regression with an L2 penalty, fitted to convergence.
//!
//! Minimises `Σ_i log(1 + exp(-y_i (w·x_i + b))) + l2/2 |w|²` with y in {-1, 1}, which is scikit-learn's
//! `LogisticRegression` with `C = 1 / l2`; the intercept b is not penalised. The problem is strictly convex in w, so it
//! has one solution, and a fit to convergence needs no learning rate or number of epochs.

use ndarray::{Array1, ArrayView2};
use rayon::prelude::*;

use super::lbfgs;
use super::precondition::Preconditioner;
use crate::checked;
use crate::error::{Error, Result};

/// Number of rows processed together; fixed, so that sums do not depend on the number of threads.
const CHUNK: usize = 256;

/// Criterion of convergence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Convergence {
    /// Largest absolute entry allowed in the gradient of the *mean* loss (the objective divided by the number of rows).
    pub tolerance: f64,
    /// Number of evaluations of the objective after which the fit fails.
    pub max_evaluations: usize,
}

impl Default for Convergence {
    /// A gradient of at most 1e-8 and at most 5,000 evaluations; a fit usually takes 20 to 60.
    fn default() -> Self {
        Self { tolerance: 1e-8, max_evaluations: 5000 }
    }
}

/// A fitted linear classifier of one task.
#[derive(Debug, Clone, PartialEq)]
pub struct LogisticProbe {
    /// w, one weight per feature.
    pub weights: Array1<f64>,
    /// b.
    pub intercept: f64,
    /// The penalty it was fitted with.
    pub l2: f64,
}

impl LogisticProbe {
    /// Fits all rows of `features` from zero weights.
    ///
    /// # Shapes
    /// - features `[N, D]`, D larger or smaller than N; standardise them first ([`crate::Standardizer`])
    /// - labels `[N]`
    ///
    /// # Errors
    /// A single class; different lengths; features that are not finite; a penalty that is not above zero; no
    /// convergence.
    ///
    /// ```
    /// use ndarray::array;
    /// let x = array![[-1.0_f32], [0.0], [0.5], [2.0]];
    /// let probe = eval::LogisticProbe::fit(x.view(), &[false, true, false, true], 1.0, &Default::default())?;
    /// assert!(probe.weights[0] > 0.0);
    /// # Ok::<(), eval::Error>(())
    /// ```
    pub fn fit(features: ArrayView2<'_, f32>, labels: &[bool], l2: f64, convergence: &Convergence) -> Result<Self> {
        super::features::check("features", features)?;
        checked::length("labels", labels.len(), features.nrows())?;
        check_l2(l2)?;
        let features = features.as_standard_layout();
        let preconditioner = Preconditioner::new(features.view(), l2)?;
        let rows: Vec<usize> = (0..labels.len()).collect();
        Problem::new(features.view(), &rows, labels)?.fit(l2, &preconditioner, None, convergence)
    }

    /// Logits `w·x + b`.
    ///
    /// # Shapes
    /// - features `[N, D]` to `[N]`
    ///
    /// # Errors
    /// A number of columns other than the probe was fitted on.
    pub fn logits(&self, features: ArrayView2<'_, f32>) -> Result<Array1<f64>> {
        super::features::check_columns(features, self.weights.len())?;
        let features = features.as_standard_layout();
        let weights = self.weights.to_vec();
        Ok(features
            .rows()
            .into_iter()
            .map(|x| dot_f32(x.as_slice().unwrap_or(&[]), &weights) + self.intercept)
            .collect())
    }
}

/// Penalties must be above zero: without a penalty, separable classes have no finite solution.
pub(super) fn check_l2(l2: f64) -> Result<()> {
    if l2.is_finite() && l2 > 0.0 {
        Ok(())
    } else {
        Err(Error::Setting { name: "l2", found: l2.to_string(), expected: "a finite number above 0" })
    }
}

/// The rows of a fit. Fits of other folds and tasks share the features.
#[derive(Debug, Clone, Copy)]
pub(super) struct Problem<'a> {
    features: ArrayView2<'a, f32>,
    rows: &'a [usize],
    labels: &'a [bool],
}

impl<'a> Problem<'a> {
    /// `labels[i]` belongs to row `rows[i]` of `features`, which are in standard layout.
    pub(super) fn new(features: ArrayView2<'a, f32>, rows: &'a [usize], labels: &'a [bool]) -> Result<Self> {
        checked::both_classes(labels, None).map_err(|reason| Error::undefined("a linear probe", reason))?;
        Ok(Self { features, rows, labels })
    }

    /// Fits from `start`; without it, from zero weights and the intercept that gives the prevalence.
    pub(super) fn fit(
        &self,
        l2: f64,
        preconditioner: &Preconditioner<'_>,
        start: Option<&LogisticProbe>,
        convergence: &Convergence,
    ) -> Result<LogisticProbe> {
        let n = self.rows.len() as f64;
        let start = match start {
            Some(probe) => probe.weights.iter().copied().chain([probe.intercept]).collect(),
            None => {
                let positives = self.labels.iter().filter(|label| **label).count() as f64;
                let mut start = vec![0.0; self.features.ncols() + 1];
                start[self.features.ncols()] = (positives / (n - positives)).ln();
                start
            }
        };
        let minimum = lbfgs::minimize(
            |at| self.objective(at, l2),
            |gradient| preconditioner.apply(gradient, n),
            start,
            convergence.tolerance * n,
            convergence.max_evaluations,
        );
        let gradient = minimum.gradient / n;
        if gradient.is_nan() || gradient > convergence.tolerance {
            let Convergence { tolerance, .. } = *convergence;
            return Err(Error::NotConverged { l2, gradient, tolerance, evaluations: minimum.evaluations });
        }
        let mut weights = minimum.at;
        let intercept = weights.pop().unwrap_or_default();
        Ok(LogisticProbe { weights: weights.into(), intercept, l2 })
    }

    /// Logits of other rows of the same features.
    pub(super) fn logits(&self, probe: &LogisticProbe, rows: &[usize]) -> Vec<f64> {
        let weights = probe.weights.to_vec();
        rows.iter().map(|&row| dot_f32(self.row(row), &weights) + probe.intercept).collect()
    }

    /// Value and gradient at (w, b).
    fn objective(&self, at: &[f64], l2: f64) -> (f64, Vec<f64>) {
        let (weights, intercept) = (&at[..at.len() - 1], at[at.len() - 1]);
        let parts: Vec<(f64, Vec<f64>)> = self
            .rows
            .par_chunks(CHUNK)
            .zip(self.labels.par_chunks(CHUNK))
            .map(|(rows, labels)| {
                let (mut loss, mut gradient) = (0.0, vec![0.0; at.len()]);
                for (&row, &label) in rows.iter().zip(labels) {
                    let x = self.row(row);
                    let logit = dot_f32(x, weights) + intercept;
                    let towards = if label { logit } else { -logit };
                    // log(1 + exp(-t)) and its slope, without overflow on either side.
                    let decay = (-towards.abs()).exp();
                    loss += (-towards).max(0.0) + decay.ln_1p();
                    let miss = if towards > 0.0 { decay / (1.0 + decay) } else { 1.0 / (1.0 + decay) };
                    let residual = if label { -miss } else { miss };
                    gradient.iter_mut().zip(x).for_each(|(g, &x)| *g += residual * f64::from(x));
                    gradient[weights.len()] += residual;
                }
                (loss, gradient)
            })
            .collect();
        let mut value = 0.5 * l2 * weights.iter().map(|w| w * w).sum::<f64>();
        let mut gradient: Vec<f64> = weights.iter().map(|w| l2 * w).chain([0.0]).collect();
        for (loss, part) in parts {
            value += loss;
            gradient.iter_mut().zip(part).for_each(|(g, p)| *g += p);
        }
        (value, gradient)
    }

    fn row(&self, row: usize) -> &'a [f32] {
        let columns = self.features.ncols();
        let cells: &'a [f32] = self.features.to_slice().unwrap_or(&[]);
        &cells[row * columns..(row + 1) * columns]
    }
}

/// Inner product in f64, in independent partial sums that the compiler can keep in vector registers.
pub(super) fn dot_f32(x: &[f32], w: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    let (x8, w8) = (x.chunks_exact(8), w.chunks_exact(8));
    let rest: f64 = x8.remainder().iter().zip(w8.remainder()).map(|(x, w)| f64::from(*x) * w).sum();
    for (x, w) in x8.zip(w8) {
        for lane in 0..8 {
            sums[lane] += f64::from(x[lane]) * w[lane];
        }
    }
    sums.iter().sum::<f64>() + rest
}
