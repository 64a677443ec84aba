//! Label fractions as the paper drew them: each image independently, with the probability of the fraction.

use super::mt19937::Mt19937;

/// Fractions and numbers of draws in the paper's script (`reorganize_files.py`); the paper reports all but 50 %.
const PAPER: [(f64, usize); 5] = [(0.001, 5), (0.01, 5), (0.1, 5), (0.5, 5), (1.0, 1)];

/// One draw of labelled training rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Draw {
    /// Probability of a row, 0 to 1.
    pub fraction: f64,
    /// Index of the draw within its fraction, from 0.
    pub draw: usize,
    /// Rows drawn, ascending.
    pub rows: Vec<usize>,
}

/// The label-fraction draws of the MoCo-CXR paper for CheXpert's `train.csv`: five each of 0.1 %, 1 %, 10 % and 50 %,
/// one of 100 %. With CheXpert's 223,414 rows they equal the published files bit for bit.
///
/// Images are drawn, not patients, so a patient may have images in several draws; and the draws are not nested.
/// [`nested_fractions`](super::nested_fractions) is the stricter alternative.
pub fn paper_draws(rows: usize) -> Vec<Draw> {
    bernoulli_draws(rows, 0, &PAPER)
}

/// Draws each row with the probability of each fraction: Python's `random.seed(seed)`, then for every row, fraction and
/// draw, in this order, `random.random() < fraction` (MoCo-CXR's `reorganize_files.py`, mode `chexpert_random`).
///
/// `plan` holds fractions (0 to 1) and their numbers of draws.
pub fn bernoulli_draws(rows: usize, seed: u64, plan: &[(f64, usize)]) -> Vec<Draw> {
    let mut draws: Vec<Draw> = plan
        .iter()
        .flat_map(|&(fraction, count)| (0..count).map(move |draw| Draw { fraction, draw, rows: Vec::new() }))
        .collect();
    let mut random = Mt19937::new(seed);
    for row in 0..rows {
        for draw in &mut draws {
            if random.next_f64() < draw.fraction {
                draw.rows.push(row);
            }
        }
    }
    draws
}
