//! Where the results of a model lie, and how they are read and written.

use std::path::{Path, PathBuf};

use eval::{
    Bootstrap, Evaluation, Interval, Predictions, Scores, Stamp, read_stamp_beside, write_new, write_predictions,
};
use serde::Deserialize;
use serde_json::json;

use super::{Arm, Cell, Found};
use crate::{
    error::{Error, Result},
    files::NewFolder,
    study::folder_name,
};

/// What the model of a folder began from.
const WEIGHTS: &str = "weights.json";

/// Writes the scores of a model's label draws at one fraction where [`PaperTable::reproduce`](super::PaperTable::reproduce)
/// looks for them: `TASK/fraction-F/predictions-D.csv` in `folder` for every task, with results of all draws beside them.
/// Each of these folders appears whole or not at all.
///
/// # Errors
/// A folder that is there already, or what the disk says; draws that differ in their rows.
pub fn write_draws(folder: &Path, fraction: f64, draws: &[Scores], bootstrap: &Bootstrap, stamp: &Stamp) -> Result<()> {
    let Some(first) = draws.first() else { return Ok(()) };
    let evaluation = Evaluation { bootstrap: bootstrap.clone(), ..Evaluation::default() };
    for task in first.tasks() {
        let folder = NewFolder::begin(&folder.join(folder_name(task)).join(fraction_name(fraction)))?;
        let draws = draws.iter().map(|draw| draw.select_tasks(&[task])).collect::<eval::Result<Vec<_>>>()?;
        for (number, draw) in draws.iter().enumerate() {
            write_predictions(&folder.path().join(format!("predictions-{number}.csv")), draw)?;
        }
        evaluation.run(&draws, stamp.clone())?.write_folder(folder.path(), &draws, false)?;
        folder.finish()?;
    }
    Ok(())
}

fn fraction_name(fraction: f64) -> String {
    format!("fraction-{fraction}")
}

fn task_folder(results: &Path, arm: Arm, task: &str) -> PathBuf {
    results.join(arm.folder()).join(folder_name(task))
}

pub(super) fn draws_folder(results: &Path, arm: Arm, task: &str, fraction: f64) -> PathBuf {
    task_folder(results, arm, task).join(fraction_name(fraction))
}

/// The conditions of the scores of a fraction.
pub(super) fn draws_stamp(results: &Path, arm: Arm, task: &str, fraction: f64) -> Result<Stamp> {
    Ok(read_stamp_beside(&draws_folder(results, arm, task, fraction).join("predictions-0.csv"))?)
}

fn task_stamp(cell: &Cell, arm: Arm, results: &Path) -> Result<Stamp> {
    Ok(read_stamp_beside(&task_folder(results, arm, cell.task).join("predictions.csv"))?)
}

/// Scores of every draw of a fraction, if they were kept.
pub(super) fn predictions(cell: &Cell, arm: Arm, results: &Path) -> Result<Option<Predictions>> {
    let folder = draws_folder(results, arm, cell.task, cell.fraction);
    if !folder.is_dir() {
        return Ok(None);
    }
    let mut found = Predictions::read(&[folder], None, Some(&[cell.task.to_owned()]))?;
    let of_task = task_stamp(cell, arm, results)?;
    if of_task != Stamp::default() {
        found.stamp = found.stamp.merged(&of_task)?;
    }
    Ok(Some(found))
}

/// The AUROC that `linear.json` or `finetune.json` gives.
pub(super) fn summary(cell: &Cell, arm: Arm, results: &Path) -> Result<Found> {
    /// What is read of a fraction.
    #[derive(Deserialize)]
    struct Fraction {
        fraction: f64,
        draws: usize,
        tasks: Vec<Task>,
    }
    #[derive(Deserialize)]
    struct Task {
        task: String,
        auroc: Interval,
    }
    let path = results.join(arm.folder()).join(format!("{}.json", arm.subcommand()));
    let text = match std::fs::read_to_string(&path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let folder = draws_folder(results, arm, cell.task, cell.fraction);
            return Ok(Err(format!("no {}", folder.display())));
        }
        text => text.map_err(Error::io(&path))?,
    };
    let fractions: Vec<Fraction> = serde_json::from_str(&text).map_err(Error::json(&path))?;
    // A fraction is a decimal that was written and read: equal, not near.
    let Some(found) = fractions.into_iter().find(|found| found.fraction == cell.fraction) else {
        return Ok(Err(format!("{} has no fraction {}", path.display(), cell.fraction)));
    };
    let same = |name: &str| name.eq_ignore_ascii_case(cell.task);
    Ok(match found.tasks.into_iter().find(|task| same(&task.task)) {
        Some(task) => Ok((task.auroc, found.draws, task_stamp(cell, arm, results)?)),
        None => Err(format!("{} has no task {:?}", path.display(), cell.task)),
    })
}

/// What the model of a folder began from, where that was written down.
pub(super) fn weights(arm: Arm, results: &Path) -> Result<Option<String>> {
    #[derive(Deserialize)]
    struct Written {
        weights: String,
    }
    // A fine-tuning writes it into its `run.json`.
    for name in [WEIGHTS, "run.json"] {
        let path = results.join(arm.folder()).join(name);
        match std::fs::read(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            text => {
                let written: Option<Written> = serde_json::from_slice(&text.map_err(Error::io(&path))?).ok();
                return Ok(written.map(|written| written.weights));
            }
        }
    }
    Ok(None)
}

/// Takes the folder of a model for these weights: they are written down in a new one, and must be those of one that is
/// there.
///
/// # Errors
/// A folder with results of other weights, or of weights nobody wrote down.
pub(super) fn claim(arm: Arm, results: &Path, weights: &str, image_size: usize) -> Result<()> {
    let folder = results.join(arm.folder());
    let path = folder.join(WEIGHTS);
    let ours = json!({ "weights": weights, "image_size": image_size });
    let differs = |found: String| {
        let expected = format!("{ours}, or another folder of results");
        Err(Error::Setting { key: path.display().to_string(), found, expected })
    };
    if path.is_file() {
        let text = std::fs::read_to_string(&path).map_err(Error::io(&path))?;
        let found: serde_json::Value = serde_json::from_str(&text).map_err(Error::json(&path))?;
        return if found == ours { Ok(()) } else { differs(found.to_string()) };
    }
    if folder.is_dir() && folder.read_dir().map_err(Error::io(&folder))?.next().is_some() {
        return differs("a folder of results without it".to_owned());
    }
    std::fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
    Ok(write_new(&path, format!("{ours:#}\n").as_bytes())?)
}
