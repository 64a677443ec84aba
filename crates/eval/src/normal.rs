//! The standard normal distribution.

/// P(Z <= z).
pub(crate) fn cdf(z: f64) -> f64 {
    0.5 * libm::erfc(-z * std::f64::consts::FRAC_1_SQRT_2)
}

/// P(|Z| >= |z|).
pub(crate) fn two_sided_p(z: f64) -> f64 {
    libm::erfc(z.abs() * std::f64::consts::FRAC_1_SQRT_2)
}

/// The z with P(Z <= z) = p, for p in (0, 1).
///
/// By bisection: it is called only a few times per interval, and the result is as exact as `erfc` (below 1 ulp in
/// libm).
pub(crate) fn quantile(p: f64) -> f64 {
    if p > 0.5 {
        return -quantile(1.0 - p); // p is most precise in the lower tail
    }
    let (mut below, mut above) = (-40.0, 0.0);
    loop {
        let middle = f64::midpoint(below, above);
        if middle <= below || middle >= above {
            return middle;
        }
        if cdf(middle) < p { below = middle } else { above = middle }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_tables() {
        // scipy.stats.norm.ppf and 2 * norm.sf; a few ulps.
        assert!((quantile(0.975) - 1.959_963_984_540_054).abs() < 1e-15);
        assert!((quantile(1e-10) + 6.361_340_902_404_056).abs() < 1e-14);
        assert!((two_sided_p(-2.209) - 0.027_174_640_904_762_213).abs() < 1e-15);
        assert!(quantile(0.5).abs() < 1e-15);
    }
}
