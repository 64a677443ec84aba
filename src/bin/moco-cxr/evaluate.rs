//! `moco-cxr evaluate`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use moco_cxr::{
    eval::{Evaluation, Metric, Predictions, ResultRow, Results, Subgroup, subgroups},
    files::{Claim, NewFolder},
};

use crate::{
    Fault,
    flags::{
        bad_argument::OrBadArgument,
        bootstrap::{BootstrapArguments, IntervalKind},
        new_name::new_name,
        output::{OutputArguments, print_json},
        predictions::{PredictionArguments, note_logits, note_patients},
    },
    terminal::print::out,
};

/// Below this many positive rows, negative rows or patients, the user is warned about the intervals.
const FEW: usize = 10;

/// Compute metrics with confidence intervals from prediction files of this tool or any other.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  moco-cxr evaluate run/eval/pleural-effusion/predictions.csv\n  moco-cxr evaluate --ground-truth groundtruth.csv --predictions scores.csv --key Study --interval bca --plots --out results\n  moco-cxr evaluate scores.csv --metadata test.csv --key Path --subgroup sex --subgroup age"
)]
pub(crate) struct Arguments {
    /// Files with label_TASK and score_TASK columns in any order; several files are label draws of one model. A folder
    /// stands for the predictions*.csv in it.
    #[arg(value_name = "CSV", required_unless_present = "predictions", conflicts_with = "predictions")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    input: PredictionArguments,
    /// Files with scores only (TASK or score_TASK columns); several files are label draws of one model.
    #[arg(long, value_name = "CSV", requires = "ground_truth", num_args = 1..)]
    predictions: Vec<PathBuf>,
    #[command(flatten)]
    bootstrap: BootstrapArguments,
    /// Also report the metrics within each group of this kind; may be repeated.
    #[arg(long = "subgroup", value_name = "DIVISION", value_enum)]
    subgroups: Vec<Division>,
    /// Table with sex, age, AP/PA and view, such as CheXpert's test.csv; --key identifies its rows.
    #[arg(long, value_name = "CSV")]
    metadata: Option<PathBuf>,
    /// Specificity at which the sensitivity is reported, from 0 to 1.
    #[arg(long, value_name = "S", default_value_t = 0.9)]
    specificity: f64,
    /// Also report the Brier score, and calibration in this many bins. Scores of a task are probabilities if all lie within 0 to 1,
    /// and otherwise logits, as linear writes them.
    #[arg(long, value_name = "BINS", num_args = 0..=1, default_missing_value = "10")]
    calibration: Option<usize>,
    /// New or empty folder for results.json and results.csv.
    #[arg(long, value_name = "DIR", value_parser = new_name())]
    out: Option<PathBuf>,
    /// Also write ROC, precision-recall and reliability curves of each task.
    #[arg(long, requires = "out")]
    plots: bool,
    #[command(flatten)]
    output: OutputArguments,
}

/// How rows are divided into groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Division {
    Sex,
    Age,
    Projection,
    View,
}

impl From<Division> for Subgroup {
    fn from(division: Division) -> Self {
        match division {
            Division::Sex => Self::Sex,
            Division::Age => Self::AgeBand,
            Division::Projection => Self::Projection,
            Division::View => Self::View,
        }
    }
}

pub(crate) fn run(arguments: Arguments) -> Result<(), Fault> {
    let Arguments { input, output, .. } = &arguments;
    let evaluation = arguments.evaluation();
    evaluation.validate().or_bad_argument()?;
    let _claim = arguments.out.as_deref().map(Claim::folder).transpose()?;
    let files = if arguments.predictions.is_empty() { &arguments.files } else { &arguments.predictions };
    let mut predictions = input.read(files)?;
    if let Some(metadata) = &arguments.metadata {
        predictions = predictions.described_by(metadata, &input.key)?;
    }
    let predictions = input.fold(predictions)?;
    note_patients(&predictions, output);
    input.note_policy(&predictions, output);
    if arguments.calibration.is_some() {
        note_logits(&predictions, output);
    }
    let Predictions { draws, stamp } = predictions;

    let mut results = evaluation.run(&draws, stamp)?;
    for &division in &arguments.subgroups {
        results.rows.extend(subgroups(&evaluation, &draws, division.into())?);
    }
    check_any_metric(&results)?;
    note_few(&results, output);
    if let Some(out) = &arguments.out {
        let folder = NewFolder::begin(out)?;
        results.write_folder(folder.path(), &draws, arguments.plots)?;
        folder.finish()?;
    }
    if output.json() {
        print_json(&results)?;
    } else {
        out!("{}", results.table().to_markdown())?;
    }
    Ok(())
}

impl Arguments {
    fn evaluation(&self) -> Evaluation {
        let sensitivity = Metric::SensitivityAt { specificity: self.specificity };
        let mut evaluation = Evaluation {
            metrics: vec![Metric::Auroc, Metric::Auprc, sensitivity],
            bootstrap: self.bootstrap.settings(),
            ..Evaluation::default()
        };
        evaluation.delong = self.bootstrap.interval == IntervalKind::Delong;
        evaluation.calibration_bins = self.calibration;
        if self.calibration.is_some() {
            evaluation.metrics.push(Metric::Brier);
        }
        evaluation
    }
}

/// Says which intervals rest on few rows or patients, which is easily missed in a table.
fn note_few(results: &Results, output: &OutputArguments) {
    let mut tasks = Vec::new();
    for row in results.rows.iter().filter(|row| row.group.is_none() && row.interval.is_some()) {
        let negatives = row.n - row.positives;
        if row.positives.min(negatives).min(row.patients) < FEW && !tasks.contains(&&row.task) {
            output.note(&format!(
                "{}: {} positive and {negatives} negative rows of {} patients; intervals based on fewer than {FEW} are rough",
                row.task, row.positives, row.patients
            ));
            tasks.push(&row.task);
        }
    }
}

/// A metric that cannot be computed is a row with the reason; it is an error only if none can.
fn check_any_metric(results: &Results) -> Result<(), Fault> {
    if results.rows.iter().any(|row| row.interval.is_some()) {
        return Ok(());
    }
    let reason = |row: &ResultRow| {
        format!("{}: {}", row.task, row.undefined.as_ref().map_or("-".to_owned(), ToString::to_string))
    };
    let mut reasons: Vec<String> = results.rows.iter().map(reason).collect();
    reasons.dedup();
    Err(format!("no metric can be computed: {}", reasons.join("; ")).into())
}
