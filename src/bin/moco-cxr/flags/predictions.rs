//! How prediction files are read by `evaluate` and `compare`: `--ground-truth`, `--key`, `--task` and `--study-max`.

use std::path::PathBuf;

use clap::Args;
use moco_cxr::eval::{PatientSource, Predictions};

use super::output::OutputArguments;
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
    /// Merge the images of a study into one row with their highest score.
    #[arg(long)]
    study_max: bool,
}

impl PredictionArguments {
    /// Reads files that are the label draws of one model.
    pub(crate) fn read(&self, files: &[PathBuf]) -> Result<Predictions, Fault> {
        let truth = self.ground_truth.as_deref().map(|file| (file, self.key.as_str()));
        Ok(Predictions::read(files, truth, (!self.tasks.is_empty()).then_some(&self.tasks))?)
    }

    /// Merges images to studies, if asked for.
    pub(crate) fn fold(&self, predictions: Predictions) -> Result<Predictions, Fault> {
        Ok(if self.study_max { predictions.folded()? } else { predictions })
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
