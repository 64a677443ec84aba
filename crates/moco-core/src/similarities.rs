//! Histograms of the similarities of a batch's queries to their own keys and to those in the queue.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::{Collective, Error, Result, sum};

/// Number of queue keys compared with a query, at most: enough for a histogram, and little memory.
pub(crate) const NEGATIVES: usize = 1024;

/// Histograms of cosine similarities in one batch, in [`Similarities::BINS`] equal bins from -1 to 1 (a bin excludes
/// its upper edge, except for the last).
///
/// Two separate peaks mean that queries find their keys; two overlapping peaks mean that they do not; both peaks at 1
/// mean that all embeddings are the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Similarities {
    /// Counts for query and key of the same image.
    pub positive: Vec<u64>,
    /// Counts for queries and (up to 1024 of) the keys in the queue.
    pub negative: Vec<u64>,
}

impl Similarities {
    /// Number of bins.
    pub const BINS: usize = 50;

    /// Adds the counts of all ranks.
    ///
    /// # Errors
    /// [`Error::Ranks`].
    pub(crate) fn of_all(self, ranks: &dyn Collective) -> Result<Self> {
        if ranks.size() == 1 {
            return Ok(self);
        }
        let mut counts: Vec<f64> = self.positive.iter().chain(&self.negative).map(|&count| count as f64).collect();
        sum(ranks, &mut counts, "similarities")?;
        let (positive, negative) = counts.split_at(Self::BINS);
        let whole = |counts: &[f64]| counts.iter().map(|&count| count as u64).collect();
        Ok(Self { positive: whole(positive), negative: whole(negative) })
    }

    /// Reads similarities from the device and counts them.
    ///
    /// # Shapes
    /// - pair of `[N, 1]` and `[N, n]`
    pub(crate) fn read((positive, negative): (Tensor<2>, Tensor<2>)) -> Result<Self> {
        let counts = |values: Tensor<2>| {
            let data = values.try_into_data().map_err(|e| e.to_string());
            let values = data.and_then(|d| d.convert::<f64>().try_to_vec::<f64>().map_err(|e| e.to_string()));
            values.map(|v| histogram(&v)).map_err(|reason| Error::Device { what: "reading similarities", reason })
        };
        Ok(Self { positive: counts(positive)?, negative: counts(negative)? }) // sync point, once an epoch
    }
}

/// The part of a step's similarities that is kept.
///
/// # Shapes
/// - pos `[N, 1]`, neg `[N, n]` to `[N, 1]`, `[N, min(n, 1024)]`
pub(crate) fn keep(pos: Tensor<2>, neg: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
    let [rows, keys] = neg.dims();
    (pos, neg.slice([0..rows, 0..keys.min(NEGATIVES)]))
}

fn histogram(values: &[f64]) -> Vec<u64> {
    let mut counts = vec![0; Similarities::BINS];
    for value in values {
        // The cast saturates: a product of unit vectors that rounding puts below -1 goes into the first bin.
        let bin = ((value + 1.0) / 2.0 * Similarities::BINS as f64) as usize;
        counts[bin.min(Similarities::BINS - 1)] += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_and_rounding_stay_in_the_histogram() {
        let counts = histogram(&[-1.0, -1.0 - 1e-9, 0.0, 1.0, 1.0 + 1e-7]);
        assert_eq!((counts[0], counts[25], counts[49]), (2, 1, 2));
        assert_eq!(counts.iter().sum::<u64>(), 5);
    }
}
