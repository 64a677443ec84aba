//! Bias-corrected and accelerated limits (Efron 1987): percentile limits, corrected for median bias and for a standard
//! error that depends on the value. The jackknife leaves out one resampling unit at a time, so that with patients as
//! units the acceleration takes the clusters into account.

use rayon::prelude::*;

use super::Estimand;
use super::clustered::quantile;
use crate::normal;
use crate::undefined::Undefined;

/// Lower and upper limit.
pub(super) fn limits(replicates: &[f64], estimand: &Estimand, level: f64) -> Result<(f64, f64), Undefined> {
    let mut sorted = replicates.to_vec();
    sorted.sort_by(f64::total_cmp);

    // Share of replicates below the observed value. Ties count one half, as replicates of a small sample repeat values.
    let observed = estimand.observed();
    let below = sorted.partition_point(|value| *value < observed);
    let up_to = sorted.partition_point(|value| *value <= observed);
    let share = (below + up_to) as f64 / (2 * sorted.len()) as f64;
    if share <= 0.0 || share >= 1.0 || sorted[0] == sorted[sorted.len() - 1] {
        return Err(Undefined::ZeroVariance);
    }
    let bias = normal::quantile(share);
    let acceleration = acceleration(estimand);

    let fraction = |tail: f64| {
        let z = bias + normal::quantile(tail);
        // Beyond the pole of a large acceleration, the limit is the extreme replicate and not one at the other end.
        normal::cdf(bias + z / (1.0 - acceleration * z).max(0.0))
    };
    let tail = (1.0 - level) / 2.0;
    Ok((quantile(&sorted, fraction(tail)), quantile(&sorted, fraction(1.0 - tail))))
}

/// Skewness of the jackknife values divided by six. Units without which the statistic is undefined are skipped.
fn acceleration(estimand: &Estimand) -> f64 {
    let values: Vec<f64> = (0..estimand.units())
        .into_par_iter()
        .map_init(
            || vec![1_u32; estimand.units()],
            |counts, unit| {
                counts[unit] = 0;
                let value = estimand.value(counts);
                counts[unit] = 1;
                value
            },
        )
        .flatten()
        .collect();
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let (mut squares, mut cubes) = (0.0, 0.0);
    for value in &values {
        let deviation = mean - value;
        squares += deviation.powi(2);
        cubes += deviation.powi(3);
    }
    if squares > 0.0 { cubes / (6.0 * squares.powf(1.5)) } else { 0.0 }
}
