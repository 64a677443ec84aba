//! How similar the queries of one batch are to their own keys and to those in the queue, as histograms.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Keys of the queue that a query is compared with, at most: enough for a histogram, and little to keep.
const NEGATIVES: usize = 1024;

/// Histograms of cosine similarities in one batch, in [`Similarities::BINS`] equal bins from -1 to 1 (upper edge of a bin
/// excluded, but for the last).
///
/// Two heaps that part show that query and key of an image are found; two heaps on top of each other, that they are not;
/// both at 1, that all embeddings are the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Similarities {
    /// Query and key of the same image, counts.
    pub positive: Vec<u64>,
    /// Queries and (up to 1024 of) the keys in the queue, counts.
    pub negative: Vec<u64>,
}

impl Similarities {
    /// Number of bins.
    pub const BINS: usize = 50;

    /// Counts values on the device.
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

/// What is kept of a step's similarities, off the tape.
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
        // The cast saturates, so that a product of unit vectors a rounding beyond 1 stays in the last bin.
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
