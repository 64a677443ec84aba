//! DeLong's variance of the AUROC, with patients as clusters, and the paired test of two models.
//!
//! DeLong, DeLong and Clarke-Pearson 1988 (<https://doi.org/10.2307/2531595>) express the variance through the
//! structural component of each row: the share of rows of the other class that it is ranked correctly against. Sun and
//! Xu 2014 (<https://doi.org/10.1109/LSP.2014.2337313>) compute all components from one sort. Obuchowski 1997
//! (<https://doi.org/10.2307/2533958>) sums them within clusters, so that several images of a patient do not count as
//! independent; with one row per patient the result equals DeLong's.

use crate::auroc::auroc;
use crate::checked;
use crate::cohort::Cohort;
use crate::error::{Error, Result};
use crate::interval::{Interval, Method, Unit};
use crate::normal;
use crate::ranking::ascending;
use crate::undefined::Undefined;

/// DeLong's test of two AUROCs on the same rows.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct DeLongTest {
    /// The difference, first minus second, with its normal interval (not cut off at -1 and 1), for other test rows alone.
    pub difference: Interval,
    /// The difference divided by its standard error.
    pub z: f64,
    /// Two-sided p-value of z.
    pub p_value: f64,
}

/// The AUROC (mean over label draws) with DeLong's interval, cut off at 0 and 1, and with the limits that also hold the draws.
///
/// # Shapes
/// `draws`: score vectors `[n]`, one per label draw.
///
/// # Errors
/// [`Error::Undefined`] with fewer than two units of a class; lengths, scores or level out of range.
pub fn delong<S: AsRef<[f64]>>(cohort: &Cohort, draws: &[S], unit: Unit, level: f64) -> Result<Interval> {
    let mut interval = Components::of(cohort, draws)?.interval(cohort, unit, level)?;
    interval.lower = interval.lower.max(0.0);
    interval.upper = interval.upper.min(1.0);
    let per_draw = draws.iter().map(|scores| auroc(cohort.labels(), scores.as_ref(), None));
    Ok(interval.with_draws(&per_draw.collect::<Result<Vec<_>>>()?, (0.0, 1.0)))
}

/// DeLong's paired test of two models; the AUROC of each is the mean over its label draws.
///
/// # Shapes
/// `first`, `second`: score vectors `[n]`, one per label draw.
///
/// # Errors
/// As [`delong`]; [`Undefined::ZeroVariance`] if both models rank the rows in the same way.
pub fn delong_test<S: AsRef<[f64]>>(
    cohort: &Cohort,
    first: &[S],
    second: &[S],
    unit: Unit,
    level: f64,
) -> Result<DeLongTest> {
    let difference = Components::of(cohort, first)?.minus(&Components::of(cohort, second)?);
    let difference = difference.interval(cohort, unit, level)?;
    if difference.standard_error == 0.0 {
        return Err(Error::undefined("DeLong's test", Undefined::ZeroVariance));
    }
    let z = difference.estimate / difference.standard_error;
    let p_value = normal::two_sided_p(z);
    Ok(DeLongTest { difference, z, p_value })
}

/// AUROC and the structural component of each row: for a positive row, the share of negative rows below it; for a
/// negative row, the share of positive rows above it; ties count one half. Means over draws and differences between
/// models are taken of these components, because the variance is computed from them.
struct Components {
    auc: f64,
    rows: Vec<f64>,
}

impl Components {
    fn of<S: AsRef<[f64]>>(cohort: &Cohort, draws: &[S]) -> Result<Self> {
        if draws.is_empty() {
            return Err(Error::Setting { name: "label draws", found: "0".into(), expected: "at least 1" });
        }
        let mut mean = Self { auc: 0.0, rows: vec![0.0; cohort.len()] };
        for scores in draws {
            let one = Self::of_draw(cohort.labels(), scores.as_ref())?;
            mean.auc += one.auc / draws.len() as f64;
            mean.rows.iter_mut().zip(one.rows).for_each(|(sum, row)| *sum += row / draws.len() as f64);
        }
        Ok(mean)
    }

    fn of_draw(labels: &[bool], scores: &[f64]) -> Result<Self> {
        checked::rows(labels, scores, None)?;
        checked::both_classes(labels, None).map_err(|reason| Error::undefined("DeLong's variance", reason))?;
        let positives = labels.iter().filter(|label| **label).count() as f64;
        let negatives = labels.len() as f64 - positives;
        let (mut positives_below, mut negatives_below) = (0.0, 0.0);
        let mut rows = vec![0.0; labels.len()];
        let mut sum = 0.0;
        let order = ascending(scores);
        for tie in order.chunk_by(|&a, &b| scores[a] == scores[b]) {
            let tied_positives = tie.iter().filter(|row| labels[**row]).count() as f64;
            let tied_negatives = tie.len() as f64 - tied_positives;
            let beaten = negatives_below + tied_negatives / 2.0;
            let beating = positives - positives_below - tied_positives / 2.0;
            for &row in tie {
                rows[row] = if labels[row] { beaten / negatives } else { beating / positives };
            }
            sum += tied_positives * beaten;
            positives_below += tied_positives;
            negatives_below += tied_negatives;
        }
        Ok(Self { auc: sum / (positives * negatives), rows })
    }

    fn minus(mut self, other: &Self) -> Self {
        self.auc -= other.auc;
        self.rows.iter_mut().zip(&other.rows).for_each(|(mine, theirs)| *mine -= theirs);
        self
    }

    /// Variance of the AUROC or of a difference, by Obuchowski's equations with `unit` as the cluster.
    fn variance(&self, cohort: &Cohort, unit: Unit) -> Result<f64, Undefined> {
        let labels = cohort.labels();
        let clusters = match unit {
            Unit::Patient => cohort.patient_count(),
            Unit::Row => cohort.len(),
        };
        // Per cluster: rows of each class, and the sum of their components' deviations from the AUROC.
        let mut positive = vec![(0_u32, 0.0); clusters];
        let mut negative = vec![(0_u32, 0.0); clusters];
        for (row, component) in self.rows.iter().enumerate() {
            let cluster = match unit {
                Unit::Patient => cohort.patients()[row] as usize,
                Unit::Row => row,
            };
            let class = if labels[row] { &mut positive[cluster] } else { &mut negative[cluster] };
            class.0 += 1;
            class.1 += component - self.auc;
        }
        let with = |class: &[(u32, f64)]| class.iter().filter(|(rows, _)| *rows > 0).count();
        let (with_positive, with_negative) = (with(&positive), with(&negative));
        if with_positive < 2 || with_negative < 2 {
            return Err(Undefined::TooFewOfAClass { positives: with_positive, negatives: with_negative, unit });
        }
        let squares = |class: &[(u32, f64)]| class.iter().map(|(_, sum)| sum * sum).sum::<f64>();
        let unbiased = |count: usize| count as f64 / (count as f64 - 1.0);
        let cross: f64 = positive.iter().zip(&negative).map(|(p, n)| p.1 * n.1).sum();
        let positives = cohort.positives() as f64;
        let negatives = cohort.len() as f64 - positives;
        Ok(unbiased(with_positive) * squares(&positive) / positives.powi(2)
            + unbiased(with_negative) * squares(&negative) / negatives.powi(2)
            + 2.0 * unbiased(clusters) * cross / (positives * negatives))
    }

    fn interval(&self, cohort: &Cohort, unit: Unit, level: f64) -> Result<Interval> {
        checked::level(level)?;
        let variance =
            self.variance(cohort, unit).map_err(|reason| Error::undefined("DeLong's variance", reason))?.max(0.0);
        let standard_error = variance.sqrt();
        let reach = normal::quantile((1.0 + level) / 2.0) * standard_error;
        Ok(Interval {
            estimate: self.auc,
            lower: self.auc - reach,
            upper: self.auc + reach,
            level,
            method: Method::DeLong,
            unit,
            observed: self.auc,
            standard_error,
            replicates: 0,
            redrawn: 0,
            n: cohort.len(),
            positives: cohort.positives(),
            patients: cohort.patient_count(),
            seed: None,
            with_draws: None,
        })
    }
}
