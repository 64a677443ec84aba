//! Which images of a batch a rank encodes.

use crate::{TrainConfig, random::permutation};

/// The images of one batch that a rank encodes, by their places in it, from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// Images whose query views it needs, in this order.
    pub query: Vec<usize>,
    /// Images whose key views it needs, in this order.
    pub key: Vec<usize>,
}

/// The shares of one rank in the batches of an epoch.
///
/// A rank encodes the queries of its part of the batch, and the keys of the part that the shuffle deals to it: with the
/// permutation known on all ranks (it follows from the seed and the step), no image has to travel. With a symmetric loss it
/// also encodes the views the other way round, one set behind the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shares {
    pub(crate) rank: usize,
    pub(crate) size: usize,
    pub(crate) seed: u64,
    pub(crate) batch_size: usize,
    pub(crate) accumulate: usize,
    pub(crate) shuffled: bool,
    pub(crate) symmetric: bool,
    /// Optimizer step of batch `first`.
    pub(crate) step: u64,
    pub(crate) first: usize,
}

impl Shares {
    /// Of a rank, for the batches of an epoch from number `first` on, which belongs to optimizer step `step`.
    pub(crate) fn new((rank, size): (usize, usize), config: &TrainConfig, (first, step): (usize, u64)) -> Self {
        let TrainConfig { seed, batch_size, accumulate, ref moco, .. } = *config;
        let shuffled = moco.shuffle_keys && moco.groups > 1;
        Self { rank, size, seed, batch_size, accumulate, shuffled, symmetric: moco.symmetric, step, first }
    }

    /// The share in batch `number` of the epoch.
    #[must_use]
    pub fn of(&self, number: usize) -> Share {
        let done = number - self.first;
        let (step, part) = (self.step + (done / self.accumulate) as u64, done % self.accumulate);
        let own: Vec<usize> = self.own().collect();
        let dealt = |part: usize| match self.shuffled {
            true => self.own().map(|i| permutation(self.seed, step, part as u64, self.batch_size).0[i]).collect(),
            false => own.clone(),
        };
        match self.symmetric {
            false => Share { query: own.clone(), key: dealt(part) },
            true => Share {
                query: [own.clone(), dealt(2 * part + 1)].concat(),
                key: [dealt(2 * part), own.clone()].concat(),
            },
        }
    }

    /// Views of either kind in a share.
    pub(crate) fn len(&self) -> usize {
        self.batch_size / self.size * if self.symmetric { 2 } else { 1 }
    }

    fn own(&self) -> std::ops::Range<usize> {
        let n = self.batch_size / self.size;
        self.rank * n..(self.rank + 1) * n
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_of_all_ranks_are_the_batch_and_its_permutation() {
        let mut config = TrainConfig { batch_size: 12, accumulate: 2, ..TrainConfig::default() };
        config.moco.groups = 3;
        for symmetric in [false, true] {
            config.moco.symmetric = symmetric;
            // Batch 5 is the second of the step after that of batch 2.
            let shares = [0, 1, 2].map(|rank| Shares::new((rank, 3), &config, (2, 9)).of(5));
            let parts = if symmetric { 2 } else { 1 };
            for half in 0..parts {
                let joined = |of: fn(&Share) -> &Vec<usize>| -> Vec<usize> {
                    shares.iter().flat_map(|share| of(share)[half * 4..half * 4 + 4].to_vec()).collect()
                };
                let (own, dealt) = match half {
                    0 => (joined(|share| &share.query), joined(|share| &share.key)),
                    _ => (joined(|share| &share.key), joined(|share| &share.query)),
                };
                assert_eq!(own, (0..12).collect::<Vec<_>>());
                assert_eq!(dealt, permutation(config.seed, 10, (parts + half) as u64, 12).0);
            }
        }
    }
}
