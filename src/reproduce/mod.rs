//! The paper's tables beside ours, cell by cell.
//!
//! Our numbers come from a folder of results, one folder a model, as `moco-cxr linear` and `finetune` write them
//! (`--out RESULTS/resnet18-moco-linear`, the names are those of [`Arm::folder`]):
//!
//! ```text
//! RESULTS/resnet18-moco-linear/
//!   pleural-effusion/fraction-0.01/predictions-0.csv ...   scores of every label draw, if they were kept ([`write_draws`])
//!   pleural-effusion/results.json                          the conditions
//!   linear.json                                            else: AUROC with interval of every fraction
//! ```
//!
//! From scores, AUROC and improvements are computed here, with the paper's bootstrap. Without them the AUROC in
//! `linear.json` or `finetune.json` is taken with the interval it was given there, and improvements, which are paired,
//! cannot be had. A cell whose models are not there says which command makes them.

mod cell;
mod paper;

use std::path::Path;

use eval::{
    Bootstrap, Conditions, Evaluation, Interval, Metric, Predictions, Scores, Stamp, Table, compare_under,
    paper_epochs, read_stamp_beside, write_predictions,
};
use serde::{Deserialize, Serialize};

pub use cell::{Arm, Cell, Init, Quantity, Tuning};
pub use paper::PaperTable;

use crate::{Error, Result, new_folder::NewFolder, outcome::folder_name};

/// One cell: the paper's number and ours.
#[derive(Debug, Clone, Serialize)]
pub struct Reproduced {
    /// What is measured.
    pub what: String,
    /// The label column.
    pub task: String,
    /// Fraction of the training labels.
    pub fraction: f64,
    /// The paper's number, lower and upper limit.
    pub paper: [f64; 3],
    /// Ours; `null` where it cannot be had.
    pub ours: Option<Interval>,
    /// Label draws behind ours.
    pub draws: Option<usize>,
    /// Whether the centre of ours lies in the paper's interval.
    pub inside: Option<bool>,
    /// Conditions ours was made under.
    pub stamp: Stamp,
    /// Why there is none of ours.
    pub missing: Option<String>,
    /// Commands that make the models it needs.
    pub commands: Vec<String>,
}

impl PaperTable {
    /// Every cell beside ours of the folder `results`, by `bootstrap` where scores are there ([`Bootstrap::paper`] is the
    /// paper's). A cell that cannot be had is no error.
    ///
    /// # Errors
    /// A folder of results that is there and cannot be read.
    pub fn reproduce(self, results: &Path, bootstrap: &Bootstrap) -> Result<Vec<Reproduced>> {
        self.cells().iter().map(|cell| reproduced(self, cell, results, bootstrap)).collect()
    }
}

fn reproduced(table: PaperTable, cell: &Cell, results: &Path, bootstrap: &Bootstrap) -> Result<Reproduced> {
    let mut out = Reproduced {
        what: cell.quantity.to_string(),
        task: cell.task.to_owned(),
        fraction: cell.fraction,
        paper: [cell.value, cell.lower, cell.upper],
        ours: None,
        draws: None,
        inside: None,
        stamp: Stamp::default(),
        missing: None,
        commands: Vec::new(),
    };
    let absent: Vec<Arm> =
        cell.quantity.arms().into_iter().filter(|arm| !results.join(arm.folder()).is_dir()).collect();
    if !absent.is_empty() {
        let names: Vec<String> = absent.iter().map(|arm| arm.folder()).collect();
        out.missing = Some(format!("no {}", names.join(" and no ")));
        out.commands = absent.iter().map(|&arm| command(table, arm, results)).collect();
        return Ok(out);
    }
    let found = match cell.quantity {
        Quantity::Auroc(arm) => auroc(cell, arm, results, bootstrap)?,
        Quantity::Improvement(first, second) => improvement(cell, (first, second), results, bootstrap)?,
    };
    match found {
        Ok((interval, draws, stamp)) => {
            out.inside = Some(cell.contains(interval.estimate));
            (out.ours, out.draws, out.stamp) = (Some(interval), Some(draws), stamp);
        }
        Err(reason) => out.missing = Some(reason),
    }
    Ok(out)
}

/// A number with its label draws and conditions, or why there is none.
type Found = std::result::Result<(Interval, usize, Stamp), String>;

fn auroc(cell: &Cell, arm: Arm, results: &Path, bootstrap: &Bootstrap) -> Result<Found> {
    if let Some(Predictions { draws, stamp }) = predictions(cell, arm, results)? {
        let (cohort, scores) = Scores::cohort_of_draws(&draws, cell.task)?;
        return Ok(match bootstrap.interval(&cohort, &scores, Metric::Auroc) {
            Ok(interval) => Ok((interval, draws.len(), stamp)),
            Err(e) if e.undefined_reason().is_some() => Err(e.to_string()),
            Err(e) => return Err(e.into()),
        });
    }
    /// What is read of a fraction in `linear.json` and `finetune.json`.
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
    let folder = results.join(arm.folder());
    let path = folder.join(format!("{}.json", arm.subcommand()));
    let text = match std::fs::read_to_string(&path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Err(format!("no {}", path.display()))),
        text => text.map_err(Error::io(&path))?,
    };
    let fractions: Vec<Fraction> = serde_json::from_str(&text)
        .map_err(|e| Error::Config { origin: path.display().to_string(), reason: e.to_string() })?;
    // A fraction is a decimal that was written and read: equal, not near.
    let Some(found) = fractions.into_iter().find(|found| found.fraction == cell.fraction) else {
        return Ok(Err(format!("{} has no fraction {}", path.display(), cell.fraction)));
    };
    let same = |name: &str| name.eq_ignore_ascii_case(cell.task);
    Ok(match found.tasks.into_iter().find(|task| same(&task.task)) {
        Some(task) => Ok((task.auroc, found.draws, stamp(cell, arm, results)?)),
        None => Err(format!("{} has no task {:?}", path.display(), cell.task)),
    })
}

fn improvement(cell: &Cell, (first, second): (Arm, Arm), results: &Path, bootstrap: &Bootstrap) -> Result<Found> {
    let mut both = Vec::new();
    for arm in [first, second] {
        let Some(mut found) = predictions(cell, arm, results)? else {
            let folder = draws_folder(cell, arm, results);
            return Ok(Err(format!(
                "an improvement is paired and needs the scores of every draw: no {}",
                folder.display()
            )));
        };
        if first.tuning != second.tuning {
            found.stamp.protocol = None; // the paper compares linear with end-to-end models on purpose
        }
        both.push(found);
    }
    let (one, other) = (&both[0], &both[1]);
    let (one, other) = ((&one.draws[..], &one.stamp), (&other.draws[..], &other.stamp));
    let draws = one.0.len();
    Ok(match compare_under(one, other, Metric::Auroc, bootstrap, Conditions::Equal) {
        Ok(mut compared) => {
            let task = compared.tasks.swap_remove(0);
            match (task.comparison, task.undefined) {
                (Some(comparison), _) => Ok((comparison.difference, draws, compared.stamp)),
                (None, reason) => Err(reason.map(|reason| reason.to_string()).unwrap_or_default()),
            }
        }
        // Two models that cannot be compared leave a cell empty; the other cells have theirs.
        Err(fault) => Err(fault.to_string()),
    })
}

/// Writes the scores of a model's label draws at one fraction where [`PaperTable::reproduce`] looks for them:
/// `TASK/fraction-F/predictions-D.csv` in `folder` for every task, with results of all draws beside them. Each of these
/// folders appears whole or not at all.
///
/// # Errors
/// A file that is there already, or what the disk says; draws that differ in their rows.
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

fn task_folder(cell: &Cell, arm: Arm, results: &Path) -> std::path::PathBuf {
    results.join(arm.folder()).join(folder_name(cell.task))
}

fn draws_folder(cell: &Cell, arm: Arm, results: &Path) -> std::path::PathBuf {
    task_folder(cell, arm, results).join(fraction_name(cell.fraction))
}

fn stamp(cell: &Cell, arm: Arm, results: &Path) -> Result<Stamp> {
    Ok(read_stamp_beside(&task_folder(cell, arm, results).join("predictions.csv"))?)
}

/// Scores of every draw of a fraction, if they were kept.
fn predictions(cell: &Cell, arm: Arm, results: &Path) -> Result<Option<Predictions>> {
    let folder = draws_folder(cell, arm, results);
    if !folder.is_dir() {
        return Ok(None);
    }
    let mut found = Predictions::read(&[folder], None, Some(&[cell.task.to_owned()]))?;
    found.stamp = found.stamp.merged(&stamp(cell, arm, results)?)?;
    Ok(Some(found))
}

/// The command that makes the results of a model, with what the user knows in capitals.
fn command(table: PaperTable, arm: Arm, results: &Path) -> String {
    let (mut tasks, mut fractions): (Vec<&str>, Vec<f64>) = (Vec::new(), Vec::new());
    for cell in table.cells().iter().filter(|cell| cell.quantity.arms().contains(&arm)) {
        if !tasks.contains(&cell.task) {
            tasks.push(cell.task);
        }
        if !fractions.contains(&cell.fraction) {
            fractions.push(cell.fraction);
        }
    }
    let tasks: String = tasks.iter().map(|task| format!(" --task {task:?}")).collect();
    let fractions: String = fractions.iter().map(|fraction| format!(" --fraction {fraction}")).collect();
    let weights = match arm.init {
        Init::MoCo => format!("MOCO_{}_RUN", arm.arch.to_uppercase()),
        Init::MoCoRate(rate) => format!("MOCO_{}_RUN_LR_{rate}", arm.arch.to_uppercase()),
        Init::ImageNet => format!("imagenet --arch {}", arm.arch),
    };
    let (name, out) = (arm.subcommand(), results.join(arm.folder()));
    let protocol = if arm.tuning == Tuning::Linear { " --protocol faithful" } else { "" };
    format!("moco-cxr {name}{protocol} --data DATA --weights {weights}{tasks}{fractions} --out {}", out.display())
}

/// A table as text for people: the paper, ours, and whether ours is inside; missing cells with their reason.
pub fn reproduction_table(cells: &[Reproduced]) -> Table {
    let mut table = Table::new(["model", "task", "labels", "paper", "ours", "draws", "inside", "why not"]);
    for cell in cells {
        let [value, lower, upper] = cell.paper;
        table.push([
            cell.what.clone(),
            cell.task.clone(),
            format!("{} %", (cell.fraction * 1e4).round() / 1e2),
            format!("{value:.3} ({lower:.3}, {upper:.3})"),
            cell.ours.as_ref().map_or("-".to_owned(), ToString::to_string),
            cell.draws.map_or(String::new(), |draws| draws.to_string()),
            cell.inside.map_or("-", |inside| if inside { "yes" } else { "no" }).to_owned(),
            cell.missing.clone().unwrap_or_default(),
        ]);
    }
    table
}

/// What a table's models cost before any is trained.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Cost {
    /// Models, each with its label draws: how many heads or networks are fitted.
    pub fits: usize,
    /// Images that go through a network, by the faithful protocol; validation included.
    pub images: f64,
}

impl PaperTable {
    /// Fits and images of all models of the table, by the faithful protocol, for a set of `images` training images and
    /// `valid` validation images. A model serves all its tasks at once.
    pub fn cost(self, images: f64, valid: f64) -> Cost {
        let mut models: Vec<(Arm, f64, usize)> = Vec::new();
        for cell in self.cells() {
            for arm in cell.quantity.arms() {
                if !models.iter().any(|(other, fraction, _)| (*other, *fraction) == (arm, cell.fraction)) {
                    models.push((arm, cell.fraction, cell.draws()));
                }
            }
        }
        let passes = |fraction: f64| paper_epochs(fraction * images) as f64 * (fraction * images + valid);
        Cost {
            fits: models.iter().map(|(_, _, draws)| draws).sum(),
            images: models.iter().map(|&(_, fraction, draws)| draws as f64 * passes(fraction)).sum(),
        }
    }
}
