//! How prediction files are read by `evaluate` and `compare`: `--ground-truth`, `--key`, `--task`, `--policy`,
//! `--scored-only` and `--study-max`.

use std::path::PathBuf;

use clap::Args;
use moco_cxr::{
    cxr_data::{Label, LabelPolicy, Views},
    eval::{PatientSource, Predictions, ReadOptions, RecordedLabels},
};

use super::{bad_argument::BadArgument, output::OutputArguments};
use crate::Fault;

/// Which labels and rows of prediction files are used.
#[derive(Debug, Args)]
pub(crate) struct PredictionArguments {
    /// File with the labels, if they are not in the files with the scores.
    #[arg(long, value_name = "CSV")]
    ground_truth: Option<PathBuf>,
    /// Column that identifies the same row in several files.
    #[arg(long, value_name = "COLUMN", default_value = "Path")]
    pub(crate) key: String,
    /// Use only this task; may be repeated.
    #[arg(long = "task", value_name = "NAME")]
    tasks: Vec<String>,
    /// What becomes of labels that are recorded as uncertain (-1) or not at all, as for linear: in a table of labels such as
    /// CheXpert's train.csv [default: uncertain=ignore,not-mentioned=negative], and of -1 in label_TASK columns, where a blank
    /// cell is masked.
    #[arg(long)]
    policy: Option<LabelPolicy>,
    /// Evaluate the rows of --ground-truth that have scores alone; the results say so.
    #[arg(long, requires = "ground_truth")]
    scored_only: bool,
    /// Merge the images of a study into one row with their highest score.
    #[arg(long)]
    study_max: bool,
}

impl PredictionArguments {
    /// Reads files that are the label draws of one model.
    pub(crate) fn read(&self, files: &[PathBuf]) -> Result<Predictions, Fault> {
        if self.policy.is_some_and(|policy| policy.views != Views::All) {
            let expected = "views=all: which rows are evaluated is up to the files";
            return Err(BadArgument::found("--policy", self.policy.map_or(String::new(), |p| p.to_string()), expected));
        }
        let recorded = self.policy.map(|policy| RecordedLabels {
            uncertain: policy.target(Label::Uncertain).into(),
            not_mentioned: policy.target(Label::NotMentioned).into(),
            policy: policy.to_string(),
        });
        let options = ReadOptions {
            ground_truth: self.ground_truth.as_deref().map(|file| (file, self.key.as_str())),
            tasks: (!self.tasks.is_empty()).then_some(&self.tasks[..]),
            recorded,
            scored_only: self.scored_only,
        };
        Ok(Predictions::read_with(files, &options)?)
    }

    /// Says by which policy recorded labels became targets.
    pub(crate) fn note_policy(&self, predictions: &Predictions, output: &OutputArguments) {
        if let (Some(_), Some(policy)) = (&self.ground_truth, &predictions.stamp.label_policy) {
            output.note(&format!("labels under the policy {policy} (--policy changes it)"));
        }
    }

    /// Merges images to studies, if asked for.
    pub(crate) fn fold(&self, predictions: Predictions) -> Result<Predictions, Fault> {
        Ok(if self.study_max { predictions.folded()? } else { predictions })
    }
}

/// Says which scores are taken as logits where probabilities are needed, as in the report of a run.
pub(crate) fn note_logits(predictions: &Predictions, output: &OutputArguments) {
    let Some(first) = predictions.draws.first() else { return };
    let of_task = |task: &String| {
        let column = first.task(task).ok()?;
        let mut scores = predictions.draws.iter().flat_map(|draw| draw.scores().column(column).to_vec());
        let found = scores.find(|score| !(0.0..=1.0).contains(score))?;
        Some(format!("{task} (such as {found})"))
    };
    let logits: Vec<String> = first.tasks().iter().filter_map(of_task).collect();
    if !logits.is_empty() {
        output.note(&format!(
            "scores outside 0 to 1, so they are taken as logits, as `moco-cxr linear` writes them, and go through the logistic \
             function for the Brier score and calibration: {}",
            logits.join(", ")
        ));
    }
}

/// Says where patients were taken from; a patient-clustered interval is only as good as that.
pub(crate) fn note_patients(predictions: &Predictions, output: &OutputArguments) {
    match predictions.draws.first().map(|draw| draw.patient_source()) {
        Some(PatientSource::Row) => output.note(
            "no patient column and no patients in the paths: every row counts as a patient of its own, so intervals are too narrow if patients have several rows",
        ),
        Some(PatientSource::Path) => output.note("patients were read from the paths"),
        _ => {}
    }
}
