//! `moco-cxr evaluate`.

use std::path::PathBuf;

use clap::Args;
use moco_cxr::eval::{Bootstrap, Evaluation, fold_studies, join_ground_truth, read_predictions, read_stamp_beside};

use crate::Fault;

/// Statistics with intervals of prediction files, from this tool or any other.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  moco-cxr evaluate run/eval/pleural-effusion/predictions.csv\n  moco-cxr evaluate --ground-truth groundtruth.csv --predictions scores.csv --key Study"
)]
pub(crate) struct Arguments {
    /// Files with label_TASK and score_TASK columns; several are label draws of one model.
    #[arg(value_name = "CSV", required_unless_present = "predictions", conflicts_with = "predictions")]
    files: Vec<PathBuf>,
    /// Labels in a file of their own.
    #[arg(long, value_name = "CSV", requires = "predictions")]
    ground_truth: Option<PathBuf>,
    /// Scores in a file of their own.
    #[arg(long, value_name = "CSV", requires = "ground_truth")]
    predictions: Option<PathBuf>,
    /// Column that joins the two.
    #[arg(long, value_name = "COLUMN", default_value = "Path")]
    key: String,
    /// Only these tasks; may be repeated.
    #[arg(long = "task", value_name = "NAME")]
    tasks: Vec<String>,
    /// Fold images to studies by the highest score.
    #[arg(long)]
    study_max: bool,
    /// Bootstrap replicates.
    #[arg(long, default_value_t = Bootstrap::default().replicates)]
    replicates: usize,
    /// The paper's bootstrap (500 replicates over rows, order statistics) instead of the patient-clustered one.
    #[arg(long, conflicts_with = "replicates")]
    paper: bool,
    /// Seed of the bootstrap.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: Arguments) -> Result<(), Fault> {
    let tasks = (!arguments.tasks.is_empty()).then_some(arguments.tasks.as_slice());
    let mut draws = match (&arguments.ground_truth, &arguments.predictions) {
        (Some(truth), Some(predictions)) => vec![join_ground_truth(truth, predictions, &arguments.key, tasks)?],
        _ => arguments.files.iter().map(|file| read_predictions(file)).collect::<Result<_, _>>()?,
    };
    for draw in &mut draws {
        if let Some(tasks) = tasks {
            *draw = draw.select_tasks(tasks)?;
        }
        if arguments.study_max {
            *draw = fold_studies(draw)?;
        }
    }
    let stamp = match arguments.files.first() {
        Some(file) => read_stamp_beside(file)?,
        None => Default::default(),
    };
    let bootstrap = if arguments.paper {
        Bootstrap::paper(arguments.seed)
    } else {
        Bootstrap { replicates: arguments.replicates, seed: arguments.seed, ..Bootstrap::default() }
    };
    let results = Evaluation { bootstrap, ..Evaluation::default() }.run(&draws, stamp)?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&results)?);
    } else {
        print!("{}", results.table().to_markdown());
    }
    Ok(())
}
