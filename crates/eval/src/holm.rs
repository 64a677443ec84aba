//! Holm's correction for testing several tasks.

/// Holm's step-down adjusted p-values (Holm 1979, <https://www.jstor.org/stable/4615733>), in the order given.
///
/// `None` stays `None` and does not count as a test. Rejecting every adjusted value that is at most alpha keeps the
/// family-wise error rate at alpha, whatever the dependence between the tasks.
pub(crate) fn holm(p_values: &[Option<f64>]) -> Vec<Option<f64>> {
    let mut order: Vec<(usize, f64)> = p_values.iter().enumerate().filter_map(|(i, p)| Some((i, (*p)?))).collect();
    order.sort_by(|a, b| a.1.total_cmp(&b.1));
    let tests = order.len();
    let mut adjusted = vec![None; p_values.len()];
    let mut largest: f64 = 0.0;
    for (rank, (index, p)) in order.into_iter().enumerate() {
        largest = largest.max((tests - rank) as f64 * p).min(1.0);
        adjusted[index] = Some(largest);
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_r() {
        // R: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm") is 0.03 0.06 0.06 0.02
        let adjusted = holm(&[Some(0.01), Some(0.04), None, Some(0.03), Some(0.005)]);
        let expected = [Some(0.03), Some(0.06), None, Some(0.06), Some(0.02)];
        for (ours, expected) in adjusted.iter().zip(expected) {
            match (ours, expected) {
                (Some(ours), Some(expected)) => assert!((ours - expected).abs() < 1e-15),
                (ours, expected) => assert_eq!(*ours, expected),
            }
        }
    }
}
