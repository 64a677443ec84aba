//! `--seed`.

use clap::Args;

/// The seed of everything a command draws at random.
#[derive(Debug, Clone, Args)]
pub(crate) struct SeedArguments {
    /// Random seed. [default: 0]
    #[arg(long)]
    pub(crate) seed: Option<u64>,
}

impl SeedArguments {
    /// The seed, or the default.
    pub(crate) fn seed(&self) -> u64 {
        self.seed.unwrap_or(0)
    }
}
