//! Results of a study over label fractions, and their files.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use eval::{
    Bootstrap, Curve, Evaluation, FractionResult, Results, Scores, Stamp, Table, fold_studies, roc_svg, write_new,
    write_predictions,
};
use ndarray::Array2;

use crate::{
    data::{LabelDraw, Labelled, folder_name, patient_source},
    error::{Error, Result},
    files::NewFolder,
};

/// Scores and results of a model, and of a baseline if there is one, for each fraction, with the conditions.
#[derive(Debug)]
pub struct Outcome {
    /// Name of the command; the summary is `NAME.json`.
    name: &'static str,
    tasks: Vec<String>,
    evaluation: Evaluation,
    stamp: Stamp,
    /// What is to be known before a number is believed.
    remark: Option<String>,
    /// AUROC, one entry per fraction.
    results: Vec<FractionResult>,
    /// All statistics of the model, one entry per fraction.
    statistics: Vec<Results>,
    /// Scores of the model by fraction and draw.
    scores: Vec<Vec<Scores>>,
    /// Scores of the baseline by fraction and draw; empty without a baseline.
    baseline: Vec<Vec<Scores>>,
}

impl Outcome {
    pub(crate) fn new(name: &'static str, tasks: &[String], bootstrap: &Bootstrap, stamp: Stamp) -> Self {
        Self {
            name,
            tasks: tasks.to_vec(),
            evaluation: Evaluation { bootstrap: bootstrap.clone(), ..Evaluation::default() },
            stamp,
            remark: None,
            results: Vec::new(),
            statistics: Vec::new(),
            scores: Vec::new(),
            baseline: Vec::new(),
        }
    }

    /// The same outcome with a remark.
    pub(crate) fn remarked(mut self, remark: Option<String>) -> Self {
        self.remark = remark;
        self
    }

    /// Evaluates and stores the scores of one fraction, one entry per draw.
    ///
    /// # Errors
    /// A statistic that is undefined, because the test rows have only one class.
    pub(crate) fn push(
        &mut self,
        fraction: f64,
        draws: &[LabelDraw],
        model: Vec<Scores>,
        baseline: Option<Vec<Scores>>,
    ) -> Result<()> {
        let images = draws.iter().map(|draw| draw.places.len()).sum::<usize>() as f64 / draws.len() as f64;
        let statistics = self.evaluation.run(&model, self.stamp.clone())?;
        self.results.push(FractionResult::new(fraction, images, &statistics, &model, baseline.as_deref())?);
        self.statistics.push(statistics);
        self.scores.push(model);
        self.baseline.extend(baseline);
        Ok(())
    }

    /// AUROC with intervals, one entry per fraction.
    pub fn results(&self) -> &[FractionResult] {
        &self.results
    }

    /// Scores of the test rows by fraction and draw.
    pub fn scores(&self) -> &[Vec<Scores>] {
        &self.scores
    }

    /// The results as a table to read.
    pub fn table(&self) -> Table {
        FractionResult::table(&self.results)
    }

    /// A sentence to stand beside the table: that images were drawn by `moco-cxr synth`, and are no radiographs.
    pub fn remark(&self) -> Option<&str> {
        self.remark.as_deref()
    }

    /// The conditions: labels, rows, protocol, and whether the pretraining images were checked.
    pub fn stamp(&self) -> &Stamp {
        &self.stamp
    }

    /// The result of the largest fraction, whose first draw is written out and exported.
    pub(crate) fn largest(&self) -> Option<(&FractionResult, &[Scores])> {
        let both = self.results.iter().zip(self.scores.iter().map(Vec::as_slice));
        both.max_by(|(a, _), (b, _)| a.fraction.total_cmp(&b.fraction))
    }

    /// Writes, for every task, `predictions.csv` (the first draw of the largest fraction), `results.json`, `results.csv` and
    /// `roc.svg` to `out/TASK/`, all draws of a fraction to `out/TASK/fraction-F/`, and the summary of all fractions to
    /// `out/NAME.json`. `out` must be new or empty. Either everything is written or nothing.
    ///
    /// # Errors
    /// The folder is not empty, or an I/O error.
    pub fn write(&self, out: impl AsRef<Path>) -> Result<()> {
        let folder = NewFolder::begin(out.as_ref())?;
        self.write_into(folder.path())?;
        folder.finish()
    }

    pub(crate) fn write_into(&self, out: &Path) -> Result<()> {
        let Some(all) = self.largest().and_then(|(_, draws)| draws.first()) else { return Ok(()) };
        for task in &self.tasks {
            let folder = out.join(folder_name(task));
            std::fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
            let one = all.select_tasks(&[task])?;
            write_predictions(&folder.join("predictions.csv"), &one)?;
            let results = self.evaluation.run(&[one], self.stamp.clone())?;
            results.write_json(&folder.join("results.json"))?;
            results.write_csv(&folder.join("results.csv"))?;
            write_new(&folder.join("roc.svg"), self.roc(task)?.as_bytes())?;
        }
        self.write_draws(out)?;
        let text = serde_json::to_string_pretty(&self.results).unwrap_or_default();
        Ok(write_new(&out.join(format!("{}.json", self.name)), text.as_bytes())?)
    }

    /// Writes every draw of every fraction to `folder/TASK/fraction-F/`, where `reproduce` and `compare` look for them,
    /// together with the results over all draws. Each of these folders is written completely or not at all.
    ///
    /// # Errors
    /// A folder that already exists and is not empty, or an I/O error.
    pub(crate) fn write_draws(&self, folder: &Path) -> Result<()> {
        for ((result, statistics), draws) in self.results.iter().zip(&self.statistics).zip(&self.scores) {
            for task in &self.tasks {
                let folder = NewFolder::begin(&draws_folder(folder, task, result.fraction))?;
                let draws = draws.iter().map(|draw| draw.select_tasks(&[task])).collect::<eval::Result<Vec<_>>>()?;
                for (number, draw) in draws.iter().enumerate() {
                    write_predictions(&folder.path().join(format!("predictions-{number}.csv")), draw)?;
                }
                statistics.of_task(task).write_folder(folder.path(), &draws, false)?;
                folder.finish()?;
            }
        }
        Ok(())
    }

    /// ROC curves of one task as SVG: the first draw of every fraction.
    ///
    /// # Errors
    /// The test rows have only one class.
    pub fn roc(&self, task: &str) -> Result<String> {
        let mut curves: Vec<(String, Vec<bool>, Vec<f64>)> = Vec::new();
        let arms = [(&self.scores, ""), (&self.baseline, ", random network")];
        for (result, i) in self.results.iter().zip(0..) {
            for (arm, suffix) in arms.iter().filter_map(|(arm, suffix)| Some((arm.get(i)?, suffix))) {
                let (cohort, mut values) = Scores::cohort_of_draws(&arm[..1], task)?;
                let name = format!("{} %{suffix}", result.fraction * 100.0);
                curves.push((name, cohort.labels().to_vec(), values.swap_remove(0)));
            }
        }
        let curves: Vec<Curve<'_>> =
            curves.iter().map(|(name, labels, scores)| Curve { name, labels, scores }).collect();
        Ok(roc_svg(task, &curves)?)
    }
}

/// The folder of the draws of a fraction, inside that of a model.
fn draws_folder(model: &Path, task: &str, fraction: f64) -> PathBuf {
    model.join(folder_name(task)).join(fraction_name(fraction))
}

/// Folder name of a fraction.
pub(crate) fn fraction_name(fraction: f64) -> String {
    format!("fraction-{fraction}")
}

/// Scores of studies or images, from the logits `[M, T]` of one head.
///
/// # Errors
/// As [`Scores::new`].
pub(crate) fn scores(test: &Labelled, logits: &Array2<f64>) -> Result<Scores> {
    let tasks = test.labels().tasks.clone();
    let images = Scores::new(tasks, test.score_rows(), test.targets(), logits.clone())?
        .with_patient_source(patient_source(test.manifest()));
    Ok(if test.labels().fold_studies { fold_studies(&images)? } else { images })
}

/// Checks before the first fit that every task can be reported with an interval over patients.
pub(crate) fn check_reported(test: &Labelled) -> Result<()> {
    let targets = test.targets();
    let patients = |task: usize, class: f64| -> usize {
        let of_class = targets.column(task).into_iter().zip(test.patients()).filter(|(target, _)| **target == class);
        of_class.map(|(_, patient)| patient).collect::<BTreeSet<_>>().len()
    };
    for (place, task) in test.labels().tasks.iter().enumerate() {
        let [positive, negative] = [1.0, 0.0].map(|class| patients(place, class));
        if positive < 2 || negative < 2 {
            let found = format!("{positive} positive and {negative} negative patients of {task}");
            let expected = "both classes, with at least two patients each, for an AUROC with an interval".into();
            return Err(Error::Setting { key: "test labels".into(), found, expected });
        }
    }
    Ok(())
}
