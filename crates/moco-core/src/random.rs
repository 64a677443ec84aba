//! Random numbers of the method, drawn on the host: ChaCha8 keyed by (seed, purpose, step, part), so that a resumed run
//! draws the same numbers as an uninterrupted one.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Last part of every key; large, so that no key equals one of the data path's (seed, epoch, sample, view).
const DOMAIN: u64 = 0x6d6f_636f_0000_0000;

/// The use of the random numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose {
    Queue = 1,
    Shuffle = 2,
    Head = 3,
}

pub(crate) fn rng(seed: u64, purpose: Purpose, step: u64, part: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    for (bytes, value) in key.as_chunks_mut::<8>().0.iter_mut().zip([seed, step, part, DOMAIN + purpose as u64]) {
        *bytes = value.to_le_bytes();
    }
    ChaCha8Rng::from_seed(key)
}

/// `n` rows of `dim` normal numbers, scaled to unit length.
pub(crate) fn unit_rows(seed: u64, n: usize, dim: usize) -> Vec<f32> {
    let mut rng = rng(seed, Purpose::Queue, 0, 0);
    let mut rows = Vec::with_capacity(n * dim);
    for _ in 0..n {
        let row: Vec<f64> = (0..dim).map(|_| normal(&mut rng)).collect();
        let norm = row.iter().map(|x| x * x).sum::<f64>().sqrt().max(1e-12);
        rows.extend(row.iter().map(|x| (x / norm) as f32));
    }
    rows
}

/// Box-Muller, one value per pair of uniforms: simple and the same everywhere.
fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let u = 1.0 - rng.random::<f64>(); // (0, 1], so that the logarithm is finite
    let v = rng.random::<f64>();
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

/// A permutation of `0..n` and its inverse (Fisher-Yates).
pub(crate) fn permutation(seed: u64, step: u64, part: u64, n: usize) -> (Vec<usize>, Vec<usize>) {
    let mut rng = rng(seed, Purpose::Shuffle, step, part);
    let mut forward: Vec<usize> = (0..n).collect();
    for last in (1..n).rev() {
        // The bias of a 53-bit uniform over a batch is below 1e-12.
        let other = (rng.random::<f64>() * (last + 1) as f64) as usize;
        forward.swap(last, other.min(last));
    }
    let mut inverse = vec![0; n];
    for (i, &p) in forward.iter().enumerate() {
        inverse[p] = i;
    }
    (forward, inverse)
}
