//! Splits and label draws: those of the paper, bit for bit, and stricter ones by patient.
//!
//! A split is a list of rows of a manifest, and depends only on the manifest and a seed.

mod fractions;
mod medaug;
mod mt19937;
mod nested;
mod patients;
mod shenzhen;
mod table;
mod whole;

pub use fractions::{Draw, bernoulli_draws, paper_draws};
pub use medaug::{read_draw, write_draw};
pub use mt19937::Mt19937;
pub use nested::{check_fractions, nested_fractions};
pub use patients::{check_shares, patient_split};
pub use shenzhen::{ShenzhenSplit, shenzhen_draws, shenzhen_split};
pub use table::RowTable;
pub use whole::{unlabelled, write_parts};

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// A generator for one purpose. The key layout (seed, purpose) is fixed here, so that saved splits do not depend on how
/// a library seeds.
fn generator(seed: u64, purpose: &[u8; 24]) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..].copy_from_slice(purpose);
    ChaCha8Rng::from_seed(key)
}

/// Uniform in [0, 1), with 53 bits.
fn uniform(generator: &mut ChaCha8Rng) -> f64 {
    (generator.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

/// Fisher-Yates, implemented here for the same reason as [`generator`].
fn shuffle<T>(items: &mut [T], generator: &mut ChaCha8Rng) {
    for last in (1..items.len()).rev() {
        // The bias of the scaled product is below 2^-40 for any realistic number of patients.
        let other = (u128::from(generator.next_u64()) * (last as u128 + 1)) >> 64;
        items.swap(last, other as usize);
    }
}
