//! `moco-cxr finetune`.

use clap::Args;
use moco_cxr::{
    Error, FineTuneSettings, Ranks, ValidFrom, Watch,
    eval::Trained,
    study::{CheckpointChoice, Statistics},
};

use crate::{
    Fault,
    flags::{
        bad_argument::OrBadArgument,
        private::PrivateArguments,
        ranks::{SignArguments, together},
        study::StudyArguments,
    },
    terminal::watch::Terminal,
};

/// Train a network end to end with labels, choose its checkpoint on validation rows, and report AUROC with intervals.
///
/// Without --valid-data the checkpoint is chosen on the valid part of --data, if it has one that is not reported on;
/// otherwise a fifth of the training patients is held out for that. Of many such images, 500 or twice the labelled ones are used.
///
/// Finished draws are kept in OUT.unfinished until all are finished; after an interruption the same command continues.
///
/// Started by mpirun or srun as several processes, they share the draws, one device each (a build with the feature mpi;
/// docs/scale.md).
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
    #[command(flatten)]
    signs: SignArguments,
}

pub(crate) fn run(arguments: Arguments) -> Result<(), Fault> {
    let mut settings = FineTuneSettings::new(Trained::All);
    (settings.epochs, settings.lr) = (arguments.epochs, arguments.lr);
    (settings.checkpoint, settings.from_linear) = (arguments.checkpoint, arguments.from_linear);
    train(arguments.study, arguments.private.private, settings, arguments.signs)
}

/// Trains with labels and writes the results, alone or with other ranks, to which the draws are dealt. Finished draws are kept
/// beside the results until all are finished.
pub(crate) fn train(
    mut study: StudyArguments,
    private: bool,
    settings: FineTuneSettings,
    signs: SignArguments,
) -> Result<(), Fault> {
    together(signs.deadline(), |ranks| {
        study.as_rank(ranks);
        study.guarded(|| train_among(&study, private, settings, ranks))
    })
}

fn train_among(
    study: &StudyArguments,
    private: bool,
    mut settings: FineTuneSettings,
    ranks: &Ranks,
) -> Result<(), Fault> {
    settings.batch_size = study.reading.batch_size.unwrap_or(settings.batch_size);
    settings.validate().or_bad_argument()?;
    let out = std::path::absolute(&study.out)?; // `.` has no name
    let mut unfinished = out.file_name().unwrap_or_default().to_owned();
    unfinished.push(".unfinished");
    settings.unfinished = Some(out.with_file_name(unfinished));
    let watch = Terminal::new(study.output.quiet());
    let open = || Ok(study.open(ValidFrom::HeldOut, None, Statistics::Own, &watch));
    let (_claim, opened) = ranks.in_turn("images and weights are read", open)??;
    if let Some(tuned) = opened.in_private(private).fine_tune_among(&settings, ranks)? {
        tuned.write(&study.out)?;
        if let Some(unfinished) = settings.unfinished.as_deref().filter(|folder| folder.exists()) {
            let unfinished = unfinished.display();
            watch.note(&format!(
                "{unfinished} could not be deleted; it is not needed any more, since the results are complete"
            ));
        }
        study.print(tuned.outcome())?;
    }
    // Who ends earlier is taken for one that was lost. The first is the last to come.
    Ok(ranks.together().barrier("rank 0 writes the results", !ranks.is_first()).map_err(Error::from)?)
}
