//! `moco-cxr linear`.

use clap::{Args, ValueEnum};
use moco_cxr::{Arm, FineTuneSettings, ValidFrom, adapt_statistics, eval::Trained, linear};

use crate::{
    Fault,
    bad_argument::BadArgument,
    labelled::{LabelledArguments, Prepared},
};

/// Fit linear heads on the frozen features of a network, and report AUROC with intervals.
///
/// The network with its heads is left in export/ of --out, for predict.
#[derive(Debug, Args)]
#[command(
    visible_alias = "lincls",
    after_help = "Example:\n  moco-cxr linear --data CheXpert-v1.0-small --weights runs/first --task \"Pleural Effusion\" --fraction 0.1 --fraction 1 --out runs/first/eval"
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    labelled: LabelledArguments,
    /// standard: features in eval mode, logistic regression to convergence, L2 chosen on --valid-data, or by folds within
    /// train without it. faithful: the paper's, a head by Adam for fixed epochs with batch norm in train mode, chosen on
    /// validation rows.
    #[arg(long, value_enum, default_value_t = Protocol::Standard)]
    protocol: Protocol,
    /// Also probe the same network with random weights, and report the paired difference (standard).
    #[arg(long)]
    baseline_random: bool,
    /// Images per batch. [default: 64, faithful 16]
    #[arg(long, short)]
    batch_size: Option<usize>,
    /// Passes over the labelled images (faithful). [default: 220, 95, 41 or 18, as the paper for the fraction of CheXpert with that many images]
    #[arg(long)]
    epochs: Option<usize>,
    /// Learning rate of Adam (faithful). [default: 3e-5]
    #[arg(long)]
    lr: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Protocol {
    Standard,
    Faithful,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Fault> {
    let shared = &arguments.labelled;
    shared.device.guarded(shared.quiet, || work(arguments))
}

fn work(arguments: &Arguments) -> Result<(), Fault> {
    match arguments.protocol {
        Protocol::Standard => standard(arguments),
        Protocol::Faithful => faithful(arguments),
    }
}

fn standard(arguments: &Arguments) -> Result<(), Fault> {
    let Arguments { labelled, .. } = arguments;
    if arguments.epochs.is_some() || arguments.lr.is_some() {
        return Err(BadArgument::fault(
            "--epochs and --lr: found with --protocol standard, expected with faithful only",
        ));
    }
    let mut settings = labelled.settings();
    settings.batch_size = arguments.batch_size.unwrap_or(settings.batch_size);
    let mut prepared = labelled.prepare(settings, ValidFrom::Nowhere)?;
    labelled.adapt_random(&mut prepared)?;
    let (train, valid, test) = prepared.labelled(labelled)?;
    let Prepared { settings, loaded, parts, .. } = &prepared;
    let mut arm = Arm::of(&loaded.network, loaded.views, &train, &test, settings)?;
    if let Some(valid) = &valid {
        arm = arm.choosing_on(valid, &loaded.network, loaded.views, settings)?;
    }
    let baseline = if arguments.baseline_random {
        let device = labelled.device.select()?;
        let mut network = loaded.config.init(labelled.seed, &device);
        adapt_statistics(&mut network, &parts.train.manifest, &parts.train.rows, loaded.views, settings)?;
        let arm = Arm::of(&network, loaded.views, &train, &test, settings)?;
        Some(match &valid {
            Some(valid) => arm.choosing_on(valid, &network, loaded.views, settings)?,
            None => arm,
        })
    } else {
        None
    };
    let outcome = linear(&train, &test, &arm, baseline.as_ref(), settings)?;
    let choice = if valid.is_some() { "L2 chosen on valid" } else { "nested choice of L2" };
    let stamp = prepared.stamp(format!("linear, standard: eval mode, {choice}"));
    outcome.write(&labelled.out, loaded, settings, &stamp)?;
    outcome.outcome.notes.iter().for_each(|text| labelled.note(text));
    labelled.print(&outcome.outcome.results)
}

fn faithful(arguments: &Arguments) -> Result<(), Fault> {
    let Arguments { labelled, .. } = arguments;
    if arguments.baseline_random {
        let fault = "--baseline-random: found with --protocol faithful, expected with standard only";
        return Err(BadArgument::fault(fault));
    }
    let mut settings = FineTuneSettings::new(Trained::Head);
    settings.epochs = arguments.epochs;
    settings.lr = arguments.lr.unwrap_or(settings.lr);
    settings.batch_size = arguments.batch_size.unwrap_or(settings.batch_size);
    crate::finetune::train(labelled, "linear", settings)
}
