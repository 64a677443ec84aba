//! The paper's interval, as its code computes it (MoCo-CXR `confidence_interval.py`; `docs/deviations.md`).

/// The reference code accepts another confidence level but ignores it.
pub(super) const LEVEL: f64 = 0.95;

/// Mean, lower and upper limit of at least 40 replicates.
///
/// With c = 1 - 0.95 and n replicates sorted ascending, the limits are the 0-based order statistics int(c/2 * n) - 1
/// and int((1 - c/2) * n) - 1, without interpolation: 11 and 486 for n = 500. The centre is the mean of the replicates.
pub(super) fn centre_and_limits(replicates: &[f64]) -> (f64, f64, f64) {
    let mut sorted = replicates.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len() as f64;
    let tail = (1.0 - LEVEL) / 2.0;
    // Truncates as Python's int() does. The products are at most n, and at least 1 for n >= 40.
    let index = |fraction: f64| (fraction * n) as usize - 1;
    (sorted.iter().sum::<f64>() / n, sorted[index(tail)], sorted[index(1.0 - tail)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_hundred_replicates_use_order_statistics_11_and_486() {
        let replicates: Vec<f64> = (0..500).rev().map(f64::from).collect();
        assert_eq!(centre_and_limits(&replicates), (249.5, 11.0, 486.0));
    }

    #[test]
    fn the_fewest_replicates_use_the_smallest_one() {
        let replicates: Vec<f64> = (0..40).map(f64::from).collect();
        assert_eq!(centre_and_limits(&replicates), (19.5, 0.0, 38.0)); // int(0.975 * 40) - 1 = 38
    }
}
