//! The files of a model's results.

use std::path::{Path, PathBuf};

use eval::{Interval, Predictions, Stamp, read_stamp_beside, write_new};
use serde::Deserialize;
use serde_json::json;

use super::{Arm, Cell, Found};
use crate::{
    data::folder_name,
    error::{Error, Result},
    files::{read_json, record},
    study::fraction_name,
};

/// File with the initial weights of the folder's model.
const WEIGHTS: &str = "weights.json";

fn task_folder(results: &Path, arm: Arm, task: &str) -> PathBuf {
    results.join(arm.folder()).join(folder_name(task))
}

pub(super) fn draws_folder(results: &Path, arm: Arm, task: &str, fraction: f64) -> PathBuf {
    task_folder(results, arm, task).join(fraction_name(fraction))
}

/// The stamp of the scores of a fraction.
pub(super) fn draws_stamp(results: &Path, arm: Arm, task: &str, fraction: f64) -> Result<Stamp> {
    Ok(read_stamp_beside(&draws_folder(results, arm, task, fraction).join("predictions-0.csv"))?)
}

fn task_stamp(cell: &Cell, arm: Arm, results: &Path) -> Result<Stamp> {
    Ok(read_stamp_beside(&task_folder(results, arm, cell.task).join("predictions.csv"))?)
}

/// Scores of all draws of a fraction, if they exist.
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

/// The AUROC in `linear.json` or `finetune.json`.
pub(super) fn summary(cell: &Cell, arm: Arm, results: &Path) -> Result<Found> {
    /// The fields that are read.
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
    let text = match record(&path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let folder = draws_folder(results, arm, cell.task, cell.fraction);
            return Ok(Err(format!("no {}", folder.display())));
        }
        text => text.map_err(Error::io(&path))?,
    };
    let fractions: Vec<Fraction> = serde_json::from_slice(&text).map_err(Error::json(&path))?;
    // Compared exactly: the fraction was written as a decimal and read back.
    let Some(found) = fractions.into_iter().find(|found| found.fraction == cell.fraction) else {
        return Ok(Err(format!("{} has no fraction {}", path.display(), cell.fraction)));
    };
    let same = |name: &str| name.eq_ignore_ascii_case(cell.task);
    Ok(match found.tasks.into_iter().find(|task| same(&task.task)) {
        Some(task) => Ok((task.auroc, found.draws, task_stamp(cell, arm, results)?)),
        None => Err(format!("{} has no task {:?}", path.display(), cell.task)),
    })
}

/// The initial weights of a model, if recorded.
pub(super) fn weights(arm: Arm, results: &Path) -> Result<Option<String>> {
    #[derive(Deserialize)]
    struct Written {
        weights: String,
    }
    // A fine-tuning records them in its `run.json`.
    for name in [WEIGHTS, "run.json"] {
        let path = results.join(arm.folder()).join(name);
        match record(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            text => {
                let written: Option<Written> = serde_json::from_slice(&text.map_err(Error::io(&path))?).ok();
                return Ok(written.map(|written| written.weights));
            }
        }
    }
    Ok(None)
}

/// Records the initial weights of a model in a new folder, or checks that an existing folder has the same.
///
/// # Errors
/// A folder with results of other weights, or without a record of them.
pub(super) fn claim(arm: Arm, results: &Path, weights: &str, image_size: usize) -> Result<()> {
    let folder = results.join(arm.folder());
    let path = folder.join(WEIGHTS);
    let ours = json!({ "weights": weights, "image_size": image_size });
    let differs = |found: String| {
        let expected = format!("{ours}, or another folder of results");
        Err(Error::Setting { key: path.display().to_string(), found, expected })
    };
    if path.is_file() {
        let found: serde_json::Value = read_json(&path)?;
        return if found == ours { Ok(()) } else { differs(found.to_string()) };
    }
    if folder.is_dir() && folder.read_dir().map_err(Error::io(&folder))?.next().is_some() {
        return differs("results without this file".to_owned());
    }
    std::fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
    Ok(write_new(&path, format!("{ours:#}\n").as_bytes())?)
}
