//! `moco-cxr finetune`.

use clap::Args;
use moco_cxr::{
    FineTuneSettings, ValidFrom,
    eval::Trained,
    study::{CheckpointChoice, Statistics},
};

use crate::{
    Fault,
    flags::{bad_argument::OrBadArgument, private::PrivateArguments, study::StudyArguments},
    terminal::watch::Terminal,
};

/// Train a network end to end with labels, choose its checkpoint on validation rows, and report AUROC with intervals.
///
/// Without --valid-data the checkpoint is chosen on the valid part of --data, if it has one that is not reported on;
/// otherwise a fifth of the training patients is held out for that. Of many such images, 500 or twice the labelled ones are used.
///
/// Finished draws are kept in OUT.unfinished until all are finished; after an interruption the same command continues.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  moco-cxr finetune --data CheXpert-v1.0-small --weights runs/first --task \"Pleural Effusion\" --fraction 0.1 --epochs 10 --out runs/first/finetune"
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    study: StudyArguments,
    #[command(flatten)]
    private: PrivateArguments,
    /// Number of epochs. [default: 220, 95, 41 or 18, as the paper for the fraction of CheXpert with that many images]
    #[arg(long)]
    epochs: Option<usize>,
    /// Learning rate of Adam.
    #[arg(long, default_value_t = 3e-5)]
    lr: f64,
    /// best: the network with the best validation AUROC; top10: the mean probability of the ten best.
    #[arg(long, default_value_t)]
    checkpoint: CheckpointChoice,
    /// Start with the head of a linear probe instead of a random one.
    #[arg(long)]
    from_linear: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Fault> {
    arguments.study.guarded(|| {
        let mut settings = FineTuneSettings::new(Trained::All);
        (settings.epochs, settings.lr) = (arguments.epochs, arguments.lr);
        (settings.checkpoint, settings.from_linear) = (arguments.checkpoint, arguments.from_linear);
        train(&arguments.study, arguments.private.private, settings)
    })
}

/// Trains with labels and writes the results. Finished draws are kept beside them until all are finished.
pub(crate) fn train(study: &StudyArguments, private: bool, mut settings: FineTuneSettings) -> Result<(), Fault> {
    settings.batch_size = study.reading.batch_size.unwrap_or(settings.batch_size);
    settings.validate().or_bad_argument()?;
    let out = std::path::absolute(&study.out)?; // `.` has no name
    let mut unfinished = out.file_name().unwrap_or_default().to_owned();
    unfinished.push(".unfinished");
    settings.unfinished = Some(out.with_file_name(unfinished));
    let watch = Terminal::new(study.output.quiet());
    let opened = study.open(ValidFrom::HeldOut, None, Statistics::Own, &watch)?.in_private(private);
    let tuned = opened.fine_tune(&settings)?;
    tuned.write(&study.out)?;
    study.print(tuned.outcome())
}
