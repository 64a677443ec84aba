//! Scores sorted once, so that a bootstrap replicate is one pass without sorting.
//!
//! A bootstrap replicate changes how often a row counts, but not its rank. The rows are therefore sorted only once, and
//! a replicate is one pass over them with integer counts: O(n) instead of O(n log n), and exact, because twice the
//! mid-rank statistic of integer counts is an integer.

/// A row: its resampling unit in the upper 30 bits, then one bit for its label and one for "last of its tie group".
#[derive(Debug, Clone, Copy)]
struct Entry(u32);

impl Entry {
    const MAX_UNIT: usize = (1 << 30) - 1;

    fn new(unit: u32, positive: bool, ends_tie: bool) -> Self {
        Self(unit << 2 | u32::from(positive) << 1 | u32::from(ends_tie))
    }

    #[inline]
    fn unit(self) -> usize {
        (self.0 >> 2) as usize
    }

    /// All ones for a positive row, zero for a negative one.
    #[inline]
    fn positive_mask(self) -> u64 {
        u64::from(self.0 >> 1 & 1).wrapping_neg()
    }

    #[inline]
    fn ends_tie(self) -> bool {
        self.0 & 1 == 1
    }
}

/// Rows in ascending order of score, each with the resampling unit (row or patient) whose count it has.
#[derive(Debug, Clone)]
pub(crate) struct Ranking {
    entries: Vec<Entry>,
    /// Squared error of each entry's score as a probability, for the Brier score.
    squared_errors: Vec<f64>,
}

/// Counted rows of each class in a resample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Classes {
    pub(crate) positives: u64,
    pub(crate) negatives: u64,
}

impl Ranking {
    /// Sorts finite `scores`; `units[i]` is the resampling unit of row i.
    pub(crate) fn new(labels: &[bool], scores: &[f64], units: &[u32]) -> Self {
        debug_assert!(labels.len() == scores.len() && labels.len() == units.len());
        debug_assert!(labels.len() <= Entry::MAX_UNIT);
        let order = ascending(scores);
        let entries = order
            .iter()
            .enumerate()
            .map(|(place, &row)| {
                let ends_tie = order.get(place + 1).is_none_or(|&next| scores[next] != scores[row]);
                Entry::new(units[row], labels[row], ends_tie)
            })
            .collect();
        let squared_errors =
            order.iter().map(|&row| (scores[row] - f64::from(u8::from(labels[row]))).powi(2)).collect();
        Self { entries, squared_errors }
    }

    /// The number of rows of each class in a resample.
    pub(crate) fn classes(&self, counts: &[u32]) -> Classes {
        let (mut positives, mut total) = (0, 0);
        for entry in &self.entries {
            let count = u64::from(counts[entry.unit()]);
            positives += count & entry.positive_mask();
            total += count;
        }
        Classes { positives, negatives: total - positives }
    }

    /// AUROC with mid-ranks: P(score of a positive > score of a negative) + P(equal) / 2. `None` if a class is absent.
    ///
    /// Twice the Mann-Whitney statistic is summed in integers (below 2^63 for any n up to 2 billion), so the result is
    /// the correctly rounded quotient and does not depend on the order of ties. A positive row adds twice the negatives
    /// below its tie group and once those of the group so far; a negative row adds the group's positives so far. Each
    /// tied pair is therefore counted once. Masks replace branches, which ties would make unpredictable.
    pub(crate) fn auroc(&self, counts: &[u32]) -> Option<f64> {
        let (mut positives, mut total, mut twice_u) = (0_u64, 0_u64, 0_u64);
        let (mut negatives_below, mut tied_negatives, mut tied_positives) = (0_u64, 0_u64, 0_u64);
        for &entry in &self.entries {
            let count = u64::from(counts[entry.unit()]);
            let positive = entry.positive_mask();
            let goes_on = u64::from(entry.ends_tie()).wrapping_sub(1);
            let beaten = (2 * negatives_below + tied_negatives) & positive | tied_positives & !positive;
            twice_u += count * beaten;
            positives += count & positive;
            total += count;
            tied_positives = (tied_positives + (count & positive)) & goes_on;
            tied_negatives += count & !positive;
            negatives_below += tied_negatives & !goes_on;
            tied_negatives &= goes_on;
        }
        let pairs = positives * (total - positives);
        (pairs > 0).then(|| twice_u as f64 / (2 * pairs) as f64)
    }

    /// Average precision, sum over thresholds of (R_k - R_{k-1}) P_k. `None` if a class is absent.
    pub(crate) fn auprc(&self, counts: &[u32]) -> Option<f64> {
        let Classes { positives, negatives } = self.classes(counts).both()?;
        let (mut positives_below, mut below, mut tied_positives, mut tied) = (0_u64, 0_u64, 0_u64, 0_u64);
        let mut sum = 0.0;
        for &entry in &self.entries {
            let count = u64::from(counts[entry.unit()]);
            tied_positives += count & entry.positive_mask();
            tied += count;
            if entry.ends_tie() {
                if tied_positives > 0 {
                    // At this threshold all rows that are not below it are predicted positive.
                    let precision = (positives - positives_below) as f64 / (positives + negatives - below) as f64;
                    sum += tied_positives as f64 * precision;
                }
                positives_below += tied_positives;
                below += tied;
                (tied_positives, tied) = (0, 0);
            }
        }
        Some(sum / positives as f64)
    }

    /// The highest sensitivity of any threshold with at least this specificity. `None` if a class is absent.
    pub(crate) fn sensitivity_at(&self, specificity: f64, counts: &[u32]) -> Option<f64> {
        let Classes { positives, negatives } = self.classes(counts).both()?;
        let (mut positives_below, mut negatives_below) = (0_u64, 0_u64);
        let mut tie_begins = true;
        for &entry in &self.entries {
            // Threshold at the first score that leaves enough negatives below it.
            if tie_begins && negatives_below as f64 >= specificity * negatives as f64 {
                return Some((positives - positives_below) as f64 / positives as f64);
            }
            let count = u64::from(counts[entry.unit()]);
            let mask = entry.positive_mask();
            positives_below += count & mask;
            negatives_below += count & !mask;
            tie_begins = entry.ends_tie();
        }
        Some(0.0)
    }

    /// Mean squared error of the scores as probabilities. `None` if no row counts.
    pub(crate) fn brier(&self, counts: &[u32]) -> Option<f64> {
        let (mut sum, mut total) = (0.0, 0_u64);
        for (entry, error) in self.entries.iter().zip(&self.squared_errors) {
            let count = counts[entry.unit()];
            sum += f64::from(count) * error;
            total += u64::from(count);
        }
        (total > 0).then(|| sum / total as f64)
    }
}

impl Classes {
    /// `self` if both classes are present.
    fn both(self) -> Option<Self> {
        (self.positives > 0 && self.negatives > 0).then_some(self)
    }
}

/// Row numbers in ascending order of finite scores; equal scores keep their order.
pub(crate) fn ascending(scores: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[a].partial_cmp(&scores[b]).unwrap_or(std::cmp::Ordering::Equal));
    order
}
