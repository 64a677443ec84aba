//! What an evaluation found over label fractions, and its files.

use std::path::Path;

use eval::{Curve, Evaluation, Scores, Stamp, roc_svg, write_predictions};

use crate::{
    data::LabelDraw,
    error::{Error, Result},
    files::NewFolder,
    reproduce::write_draws,
    study::{FractionResult, ProbeSettings, evaluate_scores},
};

/// Scores and results of a model, fraction by fraction; of a baseline beside it, if there is one.
#[derive(Debug, Default)]
pub struct Outcome {
    /// One entry a fraction.
    pub results: Vec<FractionResult>,
    /// Scores of the model: one entry a fraction, in it one a draw.
    pub scores: Vec<Vec<Scores>>,
    /// Scores of the baseline; empty without one.
    pub baseline: Vec<Vec<Scores>>,
    /// What a person should know of how it was made.
    pub notes: Vec<String>,
}

impl Outcome {
    /// Evaluates and keeps the scores of one fraction, one of each draw.
    ///
    /// # Errors
    /// What the statistics say: one class only among the rows reported on.
    pub fn push(
        &mut self,
        fraction: f64,
        draws: &[LabelDraw],
        model: Vec<Scores>,
        baseline: Option<Vec<Scores>>,
        settings: &ProbeSettings,
    ) -> Result<()> {
        self.results.push(evaluate_scores(fraction, draws, &model, baseline.as_deref(), settings)?);
        self.scores.push(model);
        self.baseline.extend(baseline);
        Ok(())
    }

    /// Place of the largest fraction, whose first draw is written out and exported.
    pub(crate) fn largest(&self) -> Option<usize> {
        (0..self.results.len()).max_by(|&a, &b| self.results[a].fraction.total_cmp(&self.results[b].fraction))
    }

    /// Writes, for every task, `predictions.csv` (the first draw of the largest fraction), `results.json`,
    /// `results.csv` and `roc.svg` into `out/TASK/`, all draws of a fraction into `out/TASK/fraction-F/`, and the summary of
    /// all fractions into `out/NAME.json`. `out` must be new or empty; it appears whole or not at all.
    ///
    /// # Errors
    /// A folder that is not empty, or what the disk says.
    pub fn write(&self, out: &Path, name: &str, settings: &ProbeSettings, stamp: &Stamp) -> Result<()> {
        let folder = NewFolder::begin(out)?;
        self.write_into(folder.path(), name, settings, stamp)?;
        folder.finish()
    }

    pub(crate) fn write_into(&self, out: &Path, name: &str, settings: &ProbeSettings, stamp: &Stamp) -> Result<()> {
        let Some(all) = self.largest().and_then(|place| self.scores[place].first()) else { return Ok(()) };
        let evaluation = Evaluation { bootstrap: settings.bootstrap.clone(), ..Evaluation::default() };
        for task in &settings.tasks {
            let folder = out.join(folder_name(task));
            std::fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
            let one = all.select_tasks(&[task])?;
            write_predictions(&folder.join("predictions.csv"), &one)?;
            let results = evaluation.run(&[one], stamp.clone())?;
            results.write_json(&folder.join("results.json"))?;
            results.write_csv(&folder.join("results.csv"))?;
            eval::write_new(&folder.join("roc.svg"), self.roc(task, settings)?.as_bytes())?;
        }
        // Every draw of every fraction, where `reproduce` and `compare` find them.
        for (results, draws) in self.results.iter().zip(&self.scores) {
            write_draws(out, results.fraction, draws, &settings.bootstrap, stamp)?;
        }
        let text = serde_json::to_string_pretty(&self.results).unwrap_or_default();
        Ok(eval::write_new(&out.join(format!("{name}.json")), text.as_bytes())?)
    }

    /// ROC curves of one task: the first draw of every fraction.
    ///
    /// # Errors
    /// One class only.
    pub fn roc(&self, task: &str, settings: &ProbeSettings) -> Result<String> {
        let mut curves: Vec<(String, Vec<bool>, Vec<f64>)> = Vec::new();
        let arms = [(&self.scores, ""), (&self.baseline, ", random network")];
        for (fraction, i) in settings.fractions.iter().zip(0..) {
            for (arm, suffix) in arms.iter().filter_map(|(arm, suffix)| Some((arm.get(i)?, suffix))) {
                let (cohort, mut values) = Scores::cohort_of_draws(&arm[..1], task)?;
                let name = format!("{} %{suffix}", fraction * 100.0);
                curves.push((name, cohort.labels().to_vec(), values.swap_remove(0)));
            }
        }
        let curves: Vec<Curve<'_>> =
            curves.iter().map(|(name, labels, scores)| Curve { name, labels, scores }).collect();
        Ok(roc_svg(task, &curves)?)
    }
}

/// A task's name as a folder: `Pleural Effusion` becomes `pleural-effusion`.
pub(crate) fn folder_name(task: &str) -> String {
    task.chars().map(|c| if c.is_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect()
}
