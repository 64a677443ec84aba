//! `moco-cxr knn`.

use clap::Args;
use moco_cxr::{ValidFrom, eval::Knn};

use crate::{
    Fault,
    flags::{
        bad_argument::{BadArgument, OrBadArgument},
        features::StatisticsArguments,
        study::StudyArguments,
    },
    terminal::watch::Terminal,
};

/// Score images by their nearest labelled neighbours in the features of a network; nothing is trained or chosen.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  moco-cxr knn --data CheXpert-v1.0-small --weights runs/first --task \"Pleural Effusion\" --k 200 --out runs/first/knn"
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    study: StudyArguments,
    #[command(flatten)]
    statistics: StatisticsArguments,
    /// Number of neighbours that vote; all if there are fewer.
    #[arg(long, default_value_t = Knn::default().k)]
    k: usize,
    /// Temperature: a neighbour of cosine similarity c votes with weight exp(c / T).
    #[arg(long, value_name = "T", default_value_t = Knn::default().temperature)]
    temperature: f64,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Fault> {
    let &Arguments { ref study, ref statistics, k, temperature } = arguments;
    study.guarded(|| {
        if study.valid_data.is_some() {
            let found = "with knn, which chooses nothing";
            return Err(BadArgument::found("--valid-data", found, "with linear and finetune only"));
        }
        let neighbours = Knn { k, temperature };
        neighbours.validate().or_bad_argument()?;
        let watch = Terminal::new(study.output.quiet());
        let (_claim, opened) = study.open(
            ValidFrom::Nowhere,
            study.reading.batch_size,
            statistics.statistics.unwrap_or_default(),
            &watch,
        )?;
        let outcome = opened.knn(neighbours)?;
        outcome.write(&study.out)?;
        study.print(&outcome)
    })
}
