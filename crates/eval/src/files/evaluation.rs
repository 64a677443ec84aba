//! The folder of an evaluation.

use std::path::Path;

use super::write::write_new;
use crate::calibration::as_probabilities;
use crate::error::{Error, Result};
use crate::metric::Metric;
use crate::plots::{Curve, pr_svg, reliability_svg, roc_svg};
use crate::results::Results;
use crate::scores::Scores;

/// Bins of the reliability diagrams.
const BINS: usize = 10;

impl Results {
    /// Writes `results.json` and `results.csv` into `folder`. With `plots`, also writes `TASK/roc.svg`, `TASK/pr.svg`
    /// and `TASK/reliability.svg` (of the scores as probabilities, [`as_probabilities`](crate::as_probabilities)), with one
    /// curve per label draw; curves that are undefined are left out.
    ///
    /// # Errors
    /// [`Error::Exists`] if one of the files exists; failures to write.
    pub fn write_folder(&self, folder: &Path, draws: &[Scores], plots: bool) -> Result<()> {
        std::fs::create_dir_all(folder).map_err(io(folder))?;
        self.write_json(&folder.join("results.json"))?;
        self.write_csv(&folder.join("results.csv"))?;
        let Some(first) = draws.first().filter(|_| plots) else { return Ok(()) };
        for task in first.tasks() {
            let (cohort, scores) = Scores::cohort_of_draws(draws, task)?;
            let names: Vec<String> = (1..=scores.len()).map(|draw| self.curve_name(task, draw, scores.len())).collect();
            let curve = |(name, scores)| Curve { name, labels: cohort.labels(), scores };
            let curves: Vec<Curve<'_>> =
                names.iter().map(String::as_str).zip(scores.iter().map(Vec::as_slice)).map(curve).collect();
            let probabilities = as_probabilities(&scores);
            let of_probabilities: Vec<Curve<'_>> =
                names.iter().map(String::as_str).zip(probabilities.iter().map(Vec::as_slice)).map(curve).collect();
            let plots = [
                ("roc.svg", roc_svg(task, &curves)),
                ("pr.svg", pr_svg(task, &curves)),
                ("reliability.svg", reliability_svg(task, &of_probabilities, BINS)),
            ];
            for (name, plot) in plots {
                let Ok(svg) = Error::or_reason(plot)? else { continue };
                let folder = folder.join(folder_name(task));
                std::fs::create_dir_all(&folder).map_err(io(&folder))?;
                write_new(&folder.join(name), svg.as_bytes())?;
            }
        }
        Ok(())
    }

    /// The task with its AUROC and interval, or with the number of the draw if there are several.
    fn curve_name(&self, task: &str, draw: usize, draws: usize) -> String {
        if draws > 1 {
            return format!("{task}, draw {draw}");
        }
        let row = self.rows.iter().find(|row| row.task == task && row.group.is_none() && row.metric == Metric::Auroc);
        match row.and_then(|row| row.interval.as_ref()) {
            Some(interval) => format!("{task}, AUROC {interval}"),
            None => task.to_owned(),
        }
    }
}

/// A task's name as a folder: `Pleural Effusion` becomes `pleural-effusion`.
fn folder_name(task: &str) -> String {
    task.chars().map(|c| if c.is_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect()
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { path, source }
}
