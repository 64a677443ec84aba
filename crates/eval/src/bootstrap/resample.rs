//! Reproducible resamples, and statistics evaluated on them in parallel.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::undefined::Undefined;

/// Attempts to draw one replicate with both classes before the statistic counts as undefined. With two positive rows, a
/// resample lacks both with a probability of about 0.14, so 1000 failures in a row do not happen by chance.
const MAX_ATTEMPTS: usize = 1000;

/// Source of the resamples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resamples {
    /// Drawn with ChaCha8: replicate r uses stream r of the generator with the seed as key.
    Seeded {
        /// The seed.
        seed: u64,
        /// Number of replicates.
        replicates: usize,
    },
    /// Given as indices: replicate r contains unit i as often as `indices[r]` contains i. Units are rows, or patients
    /// numbered in order of first appearance.
    Given(
        /// One vector of 0-based unit numbers per replicate.
        Vec<Vec<usize>>,
    ),
}

/// The values of a statistic on all replicates, in their order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Distribution {
    pub(crate) values: Vec<f64>,
    /// Number of resamples discarded because they lacked a class.
    pub(crate) redrawn: usize,
}

impl Resamples {
    pub(crate) fn seed(&self) -> Option<u64> {
        match self {
            Self::Seeded { seed, .. } => Some(*seed),
            Self::Given(_) => None,
        }
    }

    fn replicates(&self) -> usize {
        match self {
            Self::Seeded { replicates, .. } => *replicates,
            Self::Given(indices) => indices.len(),
        }
    }

    /// Refuses too few or too many replicates, and indices out of range.
    pub(crate) fn validate(&self, units: usize) -> Result<()> {
        super::Bootstrap::check_replicates(self.replicates())?;
        let Self::Given(indices) = self else { return Ok(()) };
        match indices.iter().flatten().find(|index| **index >= units) {
            Some(index) => Err(Error::Setting {
                name: "resample index",
                found: format!("{index} with {units} units"),
                expected: "below the number of units",
            }),
            None => Ok(()),
        }
    }
}

/// Values of each statistic on every replicate of `units` units.
///
/// A statistic receives the count of every unit and returns `None` if it is undefined there. It is then evaluated on
/// further resamples of the same replicate, which does not affect the other statistics.
pub(crate) fn replicate<S>(
    units: usize,
    resamples: &Resamples,
    statistics: &[S],
) -> Vec<Result<Distribution, Undefined>>
where
    S: Fn(&[u32]) -> Option<f64> + Sync,
{
    let rows: Vec<Vec<Result<(f64, usize), Undefined>>> = (0..resamples.replicates())
        .into_par_iter()
        .map_init(|| vec![0_u32; units], |counts, replicate| one_replicate(replicate, counts, resamples, statistics))
        .collect();
    (0..statistics.len())
        .map(|statistic| {
            let mut distribution = Distribution { values: Vec::with_capacity(rows.len()), redrawn: 0 };
            for row in &rows {
                let (value, redrawn) = row[statistic].clone()?;
                distribution.values.push(value);
                distribution.redrawn += redrawn;
            }
            Ok(distribution)
        })
        .collect()
}

/// `of` the counts of every replicate, which are drawn again if it returns `None`.
pub(crate) fn resampled<T: Clone + Send>(
    units: usize,
    resamples: &Resamples,
    of: impl Fn(&[u32]) -> Option<T> + Sync,
) -> Result<Vec<T>, Undefined> {
    let of = std::slice::from_ref(&of);
    let one = |counts: &mut Vec<u32>, replicate| one_replicate(replicate, counts, resamples, of).swap_remove(0);
    let replicates = (0..resamples.replicates()).into_par_iter();
    replicates.map_init(|| vec![0_u32; units], one).map(|found| found.map(|(value, _)| value)).collect()
}

/// Value and number of discarded resamples of each statistic.
fn one_replicate<T: Clone, S: Fn(&[u32]) -> Option<T>>(
    replicate: usize,
    counts: &mut [u32],
    resamples: &Resamples,
    statistics: &[S],
) -> Vec<Result<(T, usize), Undefined>> {
    let (mut rng, attempts) = match resamples {
        Resamples::Seeded { seed, .. } => (stream(*seed, replicate), MAX_ATTEMPTS),
        Resamples::Given(_) => (stream(0, replicate), 1),
    };
    let mut results: Vec<Option<(T, usize)>> = vec![None; statistics.len()];
    for attempt in 0..attempts {
        counts.fill(0);
        match resamples {
            Resamples::Seeded { .. } => draw(&mut rng, counts),
            Resamples::Given(indices) => indices[replicate].iter().for_each(|&unit| counts[unit] += 1),
        }
        for (result, statistic) in results.iter_mut().zip(statistics) {
            if result.is_none() {
                *result = statistic(counts).map(|value| (value, attempt));
            }
        }
        if results.iter().all(Option::is_some) {
            break;
        }
    }
    let lacking = Undefined::ResamplesLackAClass { replicate, attempts };
    results.into_iter().map(|result| result.ok_or_else(|| lacking.clone())).collect()
}

/// The generator of one replicate.
fn stream(seed: u64, replicate: usize) -> ChaCha8Rng {
    let mut key = [0_u8; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..24].copy_from_slice(b"moco-cxr resamp.");
    let mut rng = ChaCha8Rng::from_seed(key);
    rng.set_stream(replicate as u64);
    rng
}

/// Draws as many units as there are, with replacement, and counts them.
///
/// By Lemire's unbiased multiplication method (<https://arxiv.org/abs/1805.10941>), implemented here so that published
/// intervals do not change when a library changes how it draws from a range.
fn draw(rng: &mut ChaCha8Rng, counts: &mut [u32]) {
    let units = counts.len() as u32; // at most 2^30 (Cohort::new)
    let rejected_below = units.wrapping_neg() % units.max(1);
    for _ in 0..units {
        let product = loop {
            let product = u64::from(rng.next_u32()) * u64::from(units);
            if product as u32 >= rejected_below {
                break product;
            }
        };
        counts[(product >> 32) as usize] += 1;
    }
}
