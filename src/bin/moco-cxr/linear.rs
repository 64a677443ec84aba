//! `moco-cxr linear`.

use clap::{Args, ValueEnum};
use moco_cxr::{Baseline, FineTuneSettings, ValidFrom, eval::Trained, study::Statistics};

use crate::{
    Fault,
    flags::{
        bad_argument::BadArgument, features::StatisticsArguments, private::PrivateArguments, ranks::SignArguments,
        study::StudyArguments,
    },
    terminal::watch::Terminal,
};

/// Fit linear heads on the frozen features of a network, and report AUROC with intervals.
///
/// The network with its heads is written to export/ of --out, for predict.
#[derive(Debug, Args)]
#[command(
    visible_alias = "lincls",
    after_help = "Example:\n  moco-cxr linear --data CheXpert-v1.0-small --weights runs/first --task \"Pleural Effusion\" --fraction 0.1 --fraction 1 --out runs/first/eval"
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    study: StudyArguments,
    /// standard: logistic regression to convergence on features in eval mode, with the L2 penalty chosen on --valid-data or,
    /// without it, by cross-validation within the labelled part (fixed below 50 labels). faithful: the paper's protocol, a head trained by Adam for
    /// a fixed number of epochs with batch norm in train mode, chosen on validation rows.
    #[arg(long, value_enum, default_value_t = Kind::Standard)]
    protocol: Kind,
    #[command(flatten)]
    private: PrivateArguments,
    #[command(flatten)]
    statistics: StatisticsArguments,
    /// Also probe the same network with random weights, and report the paired difference (standard only).
    #[arg(long)]
    baseline_random: bool,
    /// Number of epochs (faithful only). [default: 220, 95, 41 or 18, as the paper for the fraction of CheXpert with that
    /// many images]
    #[arg(long)]
    epochs: Option<usize>,
    /// Learning rate of Adam (faithful only). [default: 3e-5]
    #[arg(long)]
    lr: Option<f64>,
    #[command(flatten)]
    signs: SignArguments,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    Standard,
    Faithful,
}

impl Arguments {
    /// Whether several processes share the work: where heads are trained by gradient steps.
    pub(crate) fn is_shared(&self) -> bool {
        self.protocol == Kind::Faithful
    }
}

pub(crate) fn run(arguments: Arguments) -> Result<(), Fault> {
    match arguments.protocol {
        Kind::Standard => arguments.study.guarded(|| standard(&arguments)),
        Kind::Faithful => faithful(arguments),
    }
}

fn standard(arguments: &Arguments) -> Result<(), Fault> {
    let Arguments { study, baseline_random, epochs, lr, .. } = arguments;
    if epochs.is_some() || lr.is_some() {
        return Err(BadArgument::found("--epochs and --lr", "with --protocol standard", "with faithful only"));
    }
    let watch = Terminal::new(study.output.quiet());
    let statistics = arguments.statistics.statistics.unwrap_or_default();
    if *baseline_random && statistics == Statistics::Own {
        let expected = "--statistics training, which treats both networks alike";
        return Err(BadArgument::found("--baseline-random", "with --statistics own", expected));
    }
    let (_claim, opened) = study.open(ValidFrom::Nowhere, study.reading.batch_size, statistics, &watch)?;
    let found = opened.in_private(arguments.private.private).linear(if *baseline_random {
        Baseline::Random
    } else {
        Baseline::None
    })?;
    found.write(&study.out)?;
    study.print(found.outcome())
}

fn faithful(arguments: Arguments) -> Result<(), Fault> {
    if arguments.baseline_random {
        return Err(BadArgument::found("--baseline-random", "with --protocol faithful", "with standard only"));
    }
    if arguments.statistics.statistics.is_some() {
        let found = "with --protocol faithful, which starts from the weights' own and moves them";
        return Err(BadArgument::found("--statistics", found, "with standard only"));
    }
    let mut settings = FineTuneSettings::new(Trained::Head);
    settings.epochs = arguments.epochs;
    settings.lr = arguments.lr.unwrap_or(settings.lr);
    crate::finetune::train(arguments.study, arguments.private.private, settings, arguments.signs)
}
