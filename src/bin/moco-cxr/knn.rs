//! `moco-cxr knn`.

use clap::Args;
use moco_cxr::{Arm, ValidFrom, eval::Knn, knn};

use crate::{
    Fault,
    bad_argument::{BadArgument, OrBadArgument},
    labelled::{LabelledArguments, Prepared},
};

/// Score images by their nearest labelled neighbours in the features of a network; nothing is trained or chosen.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  moco-cxr knn --data CheXpert-v1.0-small --weights runs/first --task \"Pleural Effusion\" --k 200 --out runs/first/knn"
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    labelled: LabelledArguments,
    /// Neighbours that vote; all where there are fewer.
    #[arg(long, default_value_t = Knn::default().k)]
    k: usize,
    /// A neighbour of cosine similarity c votes with weight exp(c / T).
    #[arg(long, value_name = "T", default_value_t = Knn::default().temperature)]
    temperature: f64,
    /// Images per batch while features are computed.
    #[arg(long, short, default_value_t = 64)]
    batch_size: usize,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Fault> {
    let shared = &arguments.labelled;
    shared.device.guarded(shared.quiet, || work(arguments))
}

fn work(arguments: &Arguments) -> Result<(), Fault> {
    let &Arguments { ref labelled, k, temperature, batch_size } = arguments;
    if labelled.valid_data.is_some() {
        let fault = "--valid-data: found with knn, which chooses nothing; expected with linear and finetune only";
        return Err(BadArgument::fault(fault));
    }
    let neighbours = Knn { k, temperature };
    neighbours.validate().or_bad_argument()?;
    let mut settings = labelled.settings();
    settings.batch_size = batch_size;
    let mut prepared = labelled.prepare(settings, ValidFrom::Nowhere)?;
    labelled.adapt_random(&mut prepared)?;
    let (train, _, test) = prepared.labelled(labelled)?;
    let Prepared { settings, loaded, .. } = &prepared;
    let arm = Arm::of(&loaded.network, loaded.views, &train, &test, settings)?;
    let outcome = knn(&train, &test, &arm, neighbours, settings)?;
    let stamp = prepared.stamp(format!("nearest neighbours: k {k}, temperature {temperature}"));
    outcome.write(&labelled.out, "knn", settings, &stamp)?;
    labelled.print(&outcome.results)
}
