//! `moco-cxr compare`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use moco_cxr::{
    eval::{self, Conditions, Metric, compare_under, write_new},
    files::{Claim, NewFolder},
};

use crate::{
    Fault,
    flags::{
        bad_argument::{BadArgument, OrBadArgument},
        bootstrap::{BootstrapArguments, IntervalKind},
        new_name::new_name,
        output::{OutputArguments, print_json},
        predictions::{PredictionArguments, note_logits, note_patients},
    },
    terminal::print::out,
};

/// Compare two models on the same rows: differences with paired confidence intervals, and tests corrected over tasks.
///
/// Both models are evaluated on the same resamples. p-values come from the bootstrap and, for AUROC, from DeLong's paired
/// test; each is also given with Holm's correction over the tasks. Results obtained under different label policies, splits
/// or protocols (according to the results.json beside the predictions) are refused.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  moco-cxr compare ours/predictions.csv theirs/predictions.csv\n  moco-cxr compare a.csv b.csv --ground-truth groundtruth.csv --key Study --interval paper --out comparison"
)]
pub(crate) struct Arguments {
    /// Predictions of the first model: a CSV file, or a folder whose predictions*.csv are its label draws.
    #[arg(value_name = "A")]
    first: PathBuf,
    /// Predictions of the second model on the same rows.
    #[arg(value_name = "B")]
    second: PathBuf,
    #[command(flatten)]
    predictions: PredictionArguments,
    #[command(flatten)]
    bootstrap: BootstrapArguments,
    /// Metric to compare.
    #[arg(long, value_enum, default_value = "auroc")]
    metric: Statistic,
    /// Specificity at which sensitivities are compared, from 0 to 1. [default: 0.9]
    #[arg(long, value_name = "S")]
    specificity: Option<f64>,
    /// Compare results even if label policy, split or protocol differ; the differences are printed and written.
    #[arg(long)]
    compare_despite_differences: bool,
    /// New or empty folder for comparison.json and comparison.csv.
    #[arg(long, value_name = "DIR", value_parser = new_name())]
    out: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArguments,
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
                return Err(BadArgument::found("--specificity", "another metric", "--metric sensitivity"));
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
    let Arguments { predictions, output, .. } = &arguments;
    if arguments.bootstrap.interval == IntervalKind::Delong {
        let expected = "paper, percentile or bca for the difference (DeLong's test is reported with each)";
        return Err(BadArgument::found("--interval", "delong", expected));
    }
    let (metric, bootstrap) = (arguments.metric()?, arguments.bootstrap.settings());
    bootstrap.validate().or_bad_argument()?;
    let _claim = arguments.out.as_deref().map(Claim::folder).transpose()?;
    let read = |path: &PathBuf| predictions.fold(predictions.read(std::slice::from_ref(path))?);
    let (first, second) = (read(&arguments.first)?, read(&arguments.second)?);
    let conditions = if arguments.compare_despite_differences { Conditions::MayDiffer } else { Conditions::Equal };
    let comparisons =
        compare_under((&first.draws, &first.stamp), (&second.draws, &second.stamp), metric, &bootstrap, conditions)
            .map_err(|error| match error {
                eval::Error::StampMismatch { .. } => {
                    Fault::from(format!("{error} (--compare-despite-differences compares them anyway)"))
                }
                other => other.into(),
            })?;
    note_patients(&first, output);
    predictions.note_policy(&first, output);
    if metric == Metric::Brier {
        note_logits(&first, output);
        note_logits(&second, output);
    }
    let unchecked = first.stamp.unchecked(&second.stamp);
    if !unchecked.is_empty() {
        output.note(&format!("unknown for at least one model, so not checked: {}", unchecked.join(", ")));
    }
    for difference in &comparisons.differences {
        output.note(&format!("compared although they differ in {difference}"));
    }
    if let Some(out) = &arguments.out {
        let folder = NewFolder::begin(out)?;
        comparisons.write_json(&folder.path().join("comparison.json"))?;
        write_new(&folder.path().join("comparison.csv"), comparisons.table().to_csv().as_bytes())?;
        folder.finish()?;
    }
    if output.json() {
        print_json(&comparisons)?;
    } else {
        out!("{}", comparisons.table().to_markdown())?;
    }
    Ok(())
}
