//! `moco-cxr evaluate`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use moco_cxr::{
    Existing, RunFolder,
    eval::{Bootstrap, Evaluation, Metric, PatientSource, Predictions, Results, Rule, Subgroup, Unit, subgroups},
};

use crate::{Fault, bad_argument::OrBadArgument};

/// Statistics with intervals of prediction files, from this tool or any other.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  moco-cxr evaluate run/eval/pleural-effusion/predictions.csv\n  moco-cxr evaluate --ground-truth groundtruth.csv --predictions scores.csv --key Study --interval bca --plots --out results\n  moco-cxr evaluate scores.csv --metadata test.csv --key Path --subgroup sex --subgroup age"
)]
pub(crate) struct Arguments {
    /// Files with label_TASK and score_TASK columns in any order; several are label draws of one model. A folder stands for
    /// the predictions*.csv in it.
    #[arg(value_name = "CSV", required_unless_present = "predictions", conflicts_with = "predictions")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    input: Input,
    /// Scores in files of their own, with TASK or score_TASK columns; several are label draws of one model.
    #[arg(long, value_name = "CSV", requires = "ground_truth", num_args = 1..)]
    predictions: Vec<PathBuf>,
    #[command(flatten)]
    bootstrap: BootstrapArguments,
    /// AUROC, AUPRC and the others within each group too; may be repeated.
    #[arg(long = "subgroup", value_name = "DIVISION", value_enum)]
    subgroups: Vec<Division>,
    /// A file that says sex, age, AP/PA and view of the rows, such as CheXpert's test.csv; --key names its rows.
    #[arg(long, value_name = "CSV")]
    metadata: Option<PathBuf>,
    /// Specificity at which the sensitivity is reported, from 0 to 1.
    #[arg(long, value_name = "S", default_value_t = 0.9)]
    specificity: f64,
    /// Brier score and calibration in this many bins; the scores must be probabilities.
    #[arg(long, value_name = "BINS", num_args = 0..=1, default_missing_value = "10")]
    calibration: Option<usize>,
    /// New or empty folder for results.json and results.csv.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Also write ROC, precision-recall and reliability curves of each task.
    #[arg(long, requires = "out")]
    plots: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// No notes.
    #[arg(long, short)]
    quiet: bool,
}

/// What `evaluate` and `compare` read alike.
#[derive(Debug, Args)]
pub(crate) struct Input {
    /// Labels in a file of their own.
    #[arg(long, value_name = "CSV")]
    pub(crate) ground_truth: Option<PathBuf>,
    /// Column that joins two files.
    #[arg(long, value_name = "COLUMN", default_value = "Path")]
    pub(crate) key: String,
    /// Only these tasks; may be repeated.
    #[arg(long = "task", value_name = "NAME")]
    pub(crate) tasks: Vec<String>,
    /// Fold images to studies by the highest score.
    #[arg(long)]
    pub(crate) study_max: bool,
}

impl Input {
    pub(crate) fn read(&self, files: &[PathBuf]) -> Result<Predictions, Fault> {
        let truth = self.ground_truth.as_deref().map(|file| (file, self.key.as_str()));
        Ok(Predictions::read(files, truth, (!self.tasks.is_empty()).then_some(&self.tasks))?)
    }

    pub(crate) fn fold(&self, predictions: Predictions) -> Result<Predictions, Fault> {
        Ok(if self.study_max { predictions.folded()? } else { predictions })
    }
}

/// How intervals are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum IntervalKind {
    /// The paper's: 500 replicates over rows, order statistics, the mean of the distribution as centre.
    Paper,
    /// Quantiles of the patient-clustered bootstrap.
    Percentile,
    /// Bias-corrected and accelerated, patient-clustered; best where positives are few.
    Bca,
    /// DeLong's for AUROC, patient-clustered; quantiles for the rest.
    Delong,
}

/// Settings of the bootstrap.
#[derive(Debug, Args)]
pub(crate) struct BootstrapArguments {
    /// How intervals are made.
    #[arg(long, value_enum, default_value = "percentile")]
    pub(crate) interval: IntervalKind,
    /// Resample rows instead of patients (the paper's interval always does).
    #[arg(long)]
    pub(crate) by_row: bool,
    /// Bootstrap replicates. [default: 2000; 500 for the paper's interval]
    #[arg(long)]
    pub(crate) replicates: Option<usize>,
    /// Seed of the bootstrap.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
}

impl BootstrapArguments {
    pub(crate) fn settings(&self) -> Bootstrap {
        let mut bootstrap = match self.interval {
            IntervalKind::Paper => Bootstrap::paper(self.seed),
            IntervalKind::Bca => Bootstrap { rule: Rule::Bca, seed: self.seed, ..Bootstrap::default() },
            _ => Bootstrap { seed: self.seed, ..Bootstrap::default() },
        };
        if self.by_row {
            bootstrap.unit = Unit::Row;
        }
        bootstrap.replicates = self.replicates.unwrap_or(bootstrap.replicates);
        bootstrap
    }
}

/// What rows are divided by.
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
    let sensitivity = Metric::SensitivityAt { specificity: arguments.specificity };
    let mut evaluation = Evaluation {
        metrics: vec![Metric::Auroc, Metric::Auprc, sensitivity],
        bootstrap: arguments.bootstrap.settings(),
        ..Evaluation::default()
    };
    evaluation.delong = arguments.bootstrap.interval == IntervalKind::Delong;
    evaluation.calibration_bins = arguments.calibration;
    if arguments.calibration.is_some() {
        evaluation.metrics.push(Metric::Brier);
    }
    evaluation.validate().or_bad_argument()?;
    if let Some(out) = &arguments.out {
        RunFolder::check(out, Existing::Refuse)?;
    }
    let files = if arguments.predictions.is_empty() { &arguments.files } else { &arguments.predictions };
    let mut predictions = arguments.input.read(files)?;
    if let Some(metadata) = &arguments.metadata {
        predictions = predictions.described_by(metadata, &arguments.input.key)?;
    }
    let Predictions { draws, stamp } = arguments.input.fold(predictions)?;
    if !arguments.quiet {
        note_patients(draws.first().map(|draw| draw.patient_source()));
    }

    let mut results = evaluation.run(&draws, stamp)?;
    for &division in &arguments.subgroups {
        results.rows.extend(subgroups(&evaluation, &draws, division.into())?);
    }
    something_exists(&results)?;
    if !arguments.quiet {
        note_few(&results);
    }
    if let Some(out) = &arguments.out {
        results.write_folder(out, &draws, arguments.plots)?;
    }
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&results)?);
    } else {
        print!("{}", results.table().to_markdown());
    }
    Ok(())
}

/// An interval by patient is only as good as what is known of patients.
pub(crate) fn note_patients(source: Option<PatientSource>) {
    match source {
        Some(PatientSource::Row) => {
            eprintln!(
                "note: no patient column and no patient in the paths: every row counts as a patient of its own, which makes intervals too narrow where patients have several"
            );
        }
        Some(PatientSource::Path) => eprintln!("note: patients were read from the paths"),
        _ => {}
    }
}

/// Says which intervals rest on few rows or patients; tables alone do not make one look.
fn note_few(results: &Results) {
    let (mut told, few) = (Vec::new(), 10);
    for row in results.rows.iter().filter(|row| row.group.is_none() && row.interval.is_some()) {
        let negatives = row.n - row.positives;
        if row.positives.min(negatives).min(row.patients) < few && !told.contains(&&row.task) {
            eprintln!(
                "note: {}: {} positive and {negatives} negative rows of {} patients; intervals of fewer than {few} are rough",
                row.task, row.positives, row.patients
            );
            told.push(&row.task);
        }
    }
}

/// A single task without a number is a row with its reason; nothing but such rows is a failure.
fn something_exists(results: &Results) -> Result<(), Fault> {
    if results.rows.iter().any(|row| row.interval.is_some()) {
        return Ok(());
    }
    let reason = |row: &moco_cxr::eval::ResultRow| {
        format!("{}: {}", row.task, row.undefined.as_ref().map_or("-".to_owned(), ToString::to_string))
    };
    let mut reasons: Vec<String> = results.rows.iter().map(reason).collect();
    reasons.dedup();
    Err(format!("no statistic exists: {}", reasons.join("; ")).into())
}
