//! `moco-cxr finetune`.

use clap::Args;
use moco_cxr::{CheckpointChoice, FineTuneSettings, ValidFrom, eval::Trained, fine_tune};

use crate::{
    Fault,
    bad_argument::OrBadArgument,
    labelled::{LabelledArguments, Prepared},
};

/// Train a network end to end with labels, choose its checkpoint on validation rows, and report AUROC with intervals.
///
/// Without --valid-data the valid part of --data is chosen on, if it has one that is not reported on; otherwise a fifth of
/// the training patients is held out for that.
///
/// Finished draws are kept in OUT.unfinished until all are; the same command after an interruption goes on with them.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  moco-cxr finetune --data CheXpert-v1.0-small --weights runs/first --task \"Pleural Effusion\" --fraction 0.1 --epochs 10 --out runs/first/finetune"
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    labelled: LabelledArguments,
    /// Passes over the labelled images. [default: 220, 95, 41 or 18, as the paper for the fraction of
    /// CheXpert with that many images]
    #[arg(long)]
    epochs: Option<usize>,
    /// Learning rate of Adam.
    #[arg(long, default_value_t = 3e-5)]
    lr: f64,
    /// Images per step.
    #[arg(long, short, default_value_t = 16)]
    batch_size: usize,
    /// best: the best network by validation AUROC; top10: the mean probability of the ten best.
    #[arg(long, default_value_t)]
    checkpoint: CheckpointChoice,
    /// Begin with the head of a linear probe instead of a fresh one.
    #[arg(long)]
    from_linear: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Fault> {
    let shared = &arguments.labelled;
    shared.device.guarded(shared.quiet, || work(arguments))
}

fn work(arguments: &Arguments) -> Result<(), Fault> {
    let &Arguments { epochs, lr, batch_size, checkpoint, from_linear, .. } = arguments;
    let settings =
        FineTuneSettings { epochs, lr, batch_size, checkpoint, from_linear, ..FineTuneSettings::new(Trained::All) };
    train(&arguments.labelled, "finetune", settings)
}

/// Trains with labels and writes `NAME.json` and what belongs to it. Draws that are finished lie beside it until all are.
pub(crate) fn train(labelled: &LabelledArguments, name: &str, mut settings: FineTuneSettings) -> Result<(), Fault> {
    settings.validate().or_bad_argument()?;
    let out = std::path::absolute(&labelled.out)?; // `.` has no name
    let mut unfinished = out.file_name().unwrap_or_default().to_owned();
    unfinished.push(".unfinished");
    let unfinished = out.with_file_name(unfinished);
    settings.unfinished = Some(unfinished.clone());
    let prepared = labelled.prepare(labelled.settings(), ValidFrom::HeldOut(labelled.seed))?;
    let (train, valid, test) = prepared.labelled(labelled)?;
    let valid = valid.ok_or("no validation rows to choose a checkpoint on")?;
    let Prepared { settings: probe, loaded, .. } = &prepared;
    let mut watch = |text: &str| labelled.note(text);
    let tuned = fine_tune(loaded, [&train, &valid, &test], probe, &settings, &mut watch)?;
    let stamp = prepared.stamp(settings.protocol());
    tuned.write(&labelled.out, name, loaded, probe, &settings, &stamp)?;
    std::fs::remove_dir_all(&unfinished).map_err(|e| format!("{}: {e}", unfinished.display()))?;
    tuned.outcome.notes.iter().for_each(|text| labelled.note(text));
    labelled.print(&tuned.outcome.results)
}
