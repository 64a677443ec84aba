//! Student's t distribution with a whole number of degrees of freedom.

use std::f64::consts::{FRAC_2_PI, FRAC_PI_2};

/// The t with P(|T| <= t) = `level`, for `level` in (0, 1) and at least one degree of freedom.
pub(crate) fn two_sided_quantile(level: f64, freedom: usize) -> f64 {
    // With t = sqrt(freedom) tan(angle), bisection has a bounded interval for every t.
    let (mut below, mut above) = (0.0, FRAC_PI_2);
    for _ in 0..100 {
        let middle = 0.5 * (below + above);
        if within(middle, freedom) < level { below = middle } else { above = middle }
    }
    (freedom as f64).sqrt() * (0.5 * (below + above)).tan()
}

/// P(|T| <= sqrt(freedom) tan(angle)): the finite series of Abramowitz and Stegun, 26.7.3 for odd and 26.7.4 for even
/// degrees of freedom.
fn within(angle: f64, freedom: usize) -> f64 {
    let (sine, cosine) = angle.sin_cos();
    let odd = freedom % 2 == 1;
    // The powers of the cosine go up to freedom - 2; term k has a factor of (k - 1) / k more than the one two before.
    let (mut term, mut sum) = if odd { (cosine, cosine) } else { (1.0, 1.0) };
    let first = if odd { 3 } else { 2 };
    for k in (first..freedom.saturating_sub(1)).step_by(2) {
        term *= (k - 1) as f64 / k as f64 * cosine * cosine;
        sum += term;
    }
    match (odd, freedom) {
        (true, 1) => FRAC_2_PI * angle,
        (true, _) => FRAC_2_PI * (angle + sine * sum),
        (false, _) => sine * sum,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `scipy.stats.t.ppf((1 + level) / 2, freedom)`, SciPy 1.18; one and two degrees of freedom have a closed form.
    #[test]
    fn quantiles_equal_scipys() {
        let one = (0.95 * FRAC_PI_2).tan();
        let two = 0.95 * (2.0 / (1.0 - 0.95_f64.powi(2))).sqrt();
        for (freedom, expected) in [(1, one), (2, two)] {
            // Bisection ends at the last digits of the angle, which the tangent magnifies by about t.
            let found = two_sided_quantile(0.95, freedom);
            assert!((found / expected - 1.0).abs() < 1e-13, "{freedom}: {found}");
        }
        let cases = [
            (0.95, 3, 3.182_446_305_283_707_8),
            (0.95, 4, 2.776_445_105_197_793_4),
            (0.95, 5, 2.570_581_835_636_314_6),
            (0.95, 9, 2.262_157_162_798_205),
            (0.99, 4, 4.604_094_871_349_992),
            (0.9, 30, 1.697_260_886_593_957),
        ];
        for (level, freedom, expected) in cases {
            // SciPy solves for t to about ten digits.
            let found = two_sided_quantile(level, freedom);
            assert!((found / expected - 1.0).abs() < 1e-10, "{level} {freedom}: {found}");
        }
    }
}
