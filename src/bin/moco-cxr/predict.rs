//! `moco-cxr predict`.

use std::path::{Path, PathBuf};

use clap::Args;
use moco_cxr::{Scorer, cxr_data::LabelPolicy, eval::write_predictions};
use serde_json::json;

use crate::{Fault, unlabelled::UnlabelledArguments};

/// Score images, labelled or not, with a classifier that was trained and exported.
///
/// Scores are probabilities. Size, mean and deviation of the images come from the weights' preprocessor_config.json.
/// Where patients are unknown there is no patient column. Where the data has label columns of the same names, they are written beside the scores, for `moco-cxr evaluate`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  moco-cxr predict --weights runs/first/finetune --data radiographs --out scores.csv"
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    images: UnlabelledArguments,
    /// New CSV file: path, patient, study, view, label_TASK, score_TASK.
    #[arg(long, value_name = "CSV")]
    out: PathBuf,
    /// One line a study: its highest view's score, instead of one line an image.
    #[arg(long)]
    study_max: bool,
    /// The mean probability of all networks of a fine-tuning with --checkpoint top10.
    #[arg(long)]
    ensemble: bool,
    /// What becomes of labels that the data has, as uncertain=ignore,not-mentioned=negative,views=all.
    #[arg(long, default_value_t)]
    policy: LabelPolicy,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Fault> {
    let shared = &arguments.images;
    shared.device.guarded(shared.quiet, || work(arguments))
}

fn work(arguments: &Arguments) -> Result<(), Fault> {
    let Arguments { images, out, .. } = arguments;
    if out.exists() {
        return Err(format!("{}: found a file or folder of that name, expected a new file", out.display()).into());
    }
    let loaded = images.weights()?;
    let scorer = match arguments.ensemble {
        true => Scorer::ensemble(loaded, Path::new(&images.weights))?,
        false => Scorer::new(loaded)?,
    };
    let mut settings = images.settings(scorer.labels());
    (settings.policy, settings.fold_studies) = (arguments.policy, arguments.study_max);
    let part = images.images(&settings)?;
    let scores = scorer.score(&part, &settings)?;
    write_predictions(out, &scores)?;
    let rows = if arguments.study_max { "studies" } else { "images" };
    let patients = if part.manifest.patients_known { "known" } else { "unknown" };
    if images.json {
        let summary = json!({ "out": out, "rows": scores.len(), "of": rows, "scores": scorer.labels(), "networks": scorer.networks(), "patients": patients });
        println!("{summary:#}");
    } else if !images.quiet {
        println!("{}: {} of {} {rows}", out.display(), scorer.labels().join(", "), scores.len());
    }
    Ok(())
}
