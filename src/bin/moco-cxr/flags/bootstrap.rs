//! How confidence intervals are computed: `--interval`, `--by-row`, `--replicates` and `--seed`.

use clap::{Args, ValueEnum};
use moco_cxr::eval::{Bootstrap, Rule, Unit};

use super::seed::SeedArguments;

/// The bootstrap of `evaluate` and `compare`.
#[derive(Debug, Args)]
pub(crate) struct BootstrapArguments {
    /// Kind of confidence interval.
    #[arg(long, value_enum, default_value = "percentile")]
    pub(crate) interval: IntervalKind,
    /// Resample rows instead of patients (always done for the paper's interval).
    #[arg(long)]
    by_row: bool,
    /// Number of bootstrap replicates. [default: 2000; 500 for the paper's interval]
    #[arg(long)]
    replicates: Option<usize>,
    #[command(flatten)]
    seed: SeedArguments,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum IntervalKind {
    /// As in the paper: 500 replicates over rows, order statistics, centred on the mean of the replicates.
    Paper,
    /// Percentiles of the patient-clustered bootstrap.
    Percentile,
    /// Bias-corrected and accelerated, patient-clustered; best with few positives.
    Bca,
    /// DeLong's for AUROC, patient-clustered; percentiles for the other metrics.
    Delong,
}

impl BootstrapArguments {
    pub(crate) fn settings(&self) -> Bootstrap {
        let seed = self.seed.seed();
        let mut bootstrap = match self.interval {
            IntervalKind::Paper => Bootstrap::paper(seed),
            IntervalKind::Bca => Bootstrap { rule: Rule::Bca, seed, ..Bootstrap::default() },
            IntervalKind::Percentile | IntervalKind::Delong => Bootstrap { seed, ..Bootstrap::default() },
        };
        if self.by_row {
            bootstrap.unit = Unit::Row;
        }
        bootstrap.replicates = self.replicates.unwrap_or(bootstrap.replicates);
        bootstrap
    }
}
