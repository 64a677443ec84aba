//! `moco-cxr compare`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use moco_cxr::{
    Existing, RunFolder,
    eval::{Conditions, Metric, compare_under, write_new},
};

use crate::Fault;
use crate::bad_argument::{BadArgument, OrBadArgument};
use crate::evaluate::{BootstrapArguments, Input, IntervalKind, note_patients};

/// Two models on the same rows: differences with paired intervals, and tests corrected over tasks.
///
/// Both are evaluated on the same resamples. p-values come from the bootstrap and, for AUROC, from DeLong's paired test,
/// each also after Holm's correction over the tasks. Results made under different label policies, splits or protocols
/// (results.json beside the predictions says so) are refused.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  moco-cxr compare ours/predictions.csv theirs/predictions.csv\n  moco-cxr compare a.csv b.csv --ground-truth groundtruth.csv --key Study --interval paper --out comparison"
)]
pub(crate) struct Arguments {
    /// Predictions of one model: a CSV file, or a folder whose predictions*.csv are its label draws.
    #[arg(value_name = "A")]
    first: PathBuf,
    /// Predictions of the other, on the same rows.
    #[arg(value_name = "B")]
    second: PathBuf,
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    bootstrap: BootstrapArguments,
    /// What is compared.
    #[arg(long, value_enum, default_value = "auroc")]
    metric: Statistic,
    /// Specificity at which sensitivities are compared, from 0 to 1. [default: 0.9]
    #[arg(long, value_name = "S")]
    specificity: Option<f64>,
    /// Compare results although label policy, split or protocol differ; the differences are printed and written.
    #[arg(long)]
    compare_despite_differences: bool,
    /// New or empty folder for comparison.json and comparison.csv.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// No notes.
    #[arg(long, short)]
    quiet: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Statistic {
    Auroc,
    Auprc,
    /// Sensitivity at --specificity.
    Sensitivity,
    Brier,
}

impl Arguments {
    fn metric(&self) -> Result<Metric, Fault> {
        let metric = match self.metric {
            Statistic::Sensitivity => Metric::SensitivityAt { specificity: self.specificity.unwrap_or(0.9) },
            _ if self.specificity.is_some() => {
                return Err(BadArgument::fault("--specificity: expected with --metric sensitivity only"));
            }
            Statistic::Auroc => Metric::Auroc,
            Statistic::Auprc => Metric::Auprc,
            Statistic::Brier => Metric::Brier,
        };
        metric.validate().or_bad_argument()?;
        Ok(metric)
    }
}

pub(crate) fn run(arguments: Arguments) -> Result<(), Fault> {
    if arguments.bootstrap.interval == IntervalKind::Delong {
        return Err(BadArgument::fault(
            "--interval delong: DeLong's test is always beside the difference; choose how its interval is made: paper, percentile or bca",
        ));
    }
    let (metric, bootstrap) = (arguments.metric()?, arguments.bootstrap.settings());
    bootstrap.validate().or_bad_argument()?;
    if let Some(out) = &arguments.out {
        RunFolder::check(out, Existing::Refuse)?;
    }
    let read = |path: &PathBuf| arguments.input.fold(arguments.input.read(std::slice::from_ref(path))?);
    let (first, second) = (read(&arguments.first)?, read(&arguments.second)?);
    let conditions = if arguments.compare_despite_differences { Conditions::MayDiffer } else { Conditions::Equal };
    let comparisons =
        compare_under((&first.draws, &first.stamp), (&second.draws, &second.stamp), metric, &bootstrap, conditions)
            .map_err(|error| match error {
                moco_cxr::eval::Error::StampMismatch { .. } => {
                    Fault::from(format!("{error} (--compare-despite-differences compares them all the same)"))
                }
                other => other.into(),
            })?;
    if !arguments.quiet {
        note_patients(first.draws.first().map(|draw| draw.patient_source()));
        let unchecked = first.stamp.unchecked(&second.stamp);
        if !unchecked.is_empty() {
            eprintln!("note: not known of both, so not checked: {}", unchecked.join(", "));
        }
        for difference in &comparisons.differences {
            eprintln!("note: compared although they differ in {difference}");
        }
    }
    if let Some(out) = &arguments.out {
        RunFolder::open(out, Existing::Refuse)?;
        comparisons.write_json(&out.join("comparison.json"))?;
        write_new(&out.join("comparison.csv"), comparisons.table().to_csv().as_bytes())?;
    }
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&comparisons)?);
    } else {
        print!("{}", comparisons.table().to_markdown());
    }
    Ok(())
}
