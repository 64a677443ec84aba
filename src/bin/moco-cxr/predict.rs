//! `moco-cxr predict`.

use std::path::PathBuf;

use clap::Args;
use moco_cxr::{Scoring, Study, files::Claim};
use serde_json::json;

use crate::{
    Fault,
    flags::{
        images::{ImageArguments, PartArguments},
        labels::PolicyArguments,
        new_name::new_name,
        output::print_json,
        shard::{ShardArguments, write_shard},
    },
    terminal::print::outln,
    terminal::watch::Terminal,
};

/// Score images, labelled or not, with a trained and exported classifier.
///
/// Scores are probabilities. Size, mean and standard deviation of the images come from the preprocessor_config.json of the
/// weights. If patients are unknown there is no patient column. If the data has label columns of the same names, they are
/// written beside the scores, for `moco-cxr evaluate`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  moco-cxr predict --weights runs/first/finetune --data radiographs --out scores.csv"
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    images: ImageArguments,
    #[command(flatten)]
    part: PartArguments,
    /// New CSV file: path, patient, study, view, label_TASK, score_TASK. With --shard a new folder with it.
    #[arg(long, value_name = "CSV", value_parser = new_name())]
    out: PathBuf,
    /// Write one line per study, with the highest score of its images, instead of one line per image.
    #[arg(long)]
    study_max: bool,
    /// Use the mean probability of all networks of a fine-tuning with --checkpoint top10.
    #[arg(long)]
    ensemble: bool,
    #[command(flatten)]
    policy: PolicyArguments,
    #[command(flatten)]
    shard: ShardArguments,
}

impl Arguments {
    /// Whether only a part of the images is meant.
    pub(crate) fn is_shard(&self) -> bool {
        self.shard.shard.is_some()
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Fault> {
    arguments.images.guarded(|| work(arguments))
}

fn work(arguments: &Arguments) -> Result<(), Fault> {
    let Arguments { images, out, .. } = arguments;
    let mut sources = images.sources()?;
    let _claim = if arguments.is_shard() { Claim::folder(out) } else { Claim::file(out) }?;
    sources.reading.shard = arguments.shard.shard;
    let mut scoring = Scoring::default();
    scoring.policy = arguments.policy.policy;
    (scoring.fold_studies, scoring.ensemble) = (arguments.study_max, arguments.ensemble);
    let watch = Terminal::new(images.output.quiet());
    let predicted = Study::predict(&sources, arguments.part.part, &images.weights()?, &scoring, &watch)?;
    match arguments.shard.shard {
        None => predicted.write(out)?,
        Some(shard) => write_shard("predict", shard, predicted.place(), out, |folder| {
            Ok(predicted.write(folder.join("scores.csv"))?)
        })?,
    }
    let scores = predicted.scores();
    let rows = if arguments.study_max { "studies" } else { "images" };
    if images.output.json() {
        let patients = if predicted.patients_known() { "known" } else { "unknown" };
        let networks = predicted.networks();
        print_json(
            &json!({ "out": out, "rows": scores.len(), "of": rows, "scores": scores.tasks(), "networks": networks, "patients": patients }),
        )?;
    } else if !images.output.quiet() {
        outln!("{}: {} of {} {rows}", out.display(), scores.tasks().join(", "), scores.len())?;
    }
    Ok(())
}
