//! Writes `run.json` and `export/` of a classifier trained with labels.

use std::path::Path;

use backbones::{Classifier, ExportInfo, Metric, Network, export};
use serde_json::json;

use crate::{
    data::{Labels, Lineage},
    error::Result,
    files::{Existing, RunFolder},
    study::Outcome,
    weights::{EXPORT, LoadedNetwork},
};

/// How the exported classifier, that of the first draw of the largest fraction, was trained.
#[derive(Debug)]
pub(super) struct Exported {
    /// Method, for the title of the model card.
    pub(super) how: &'static str,
    /// Optimizer steps.
    pub(super) steps: u64,
    pub(super) labels: Labels,
    pub(super) seed: u64,
    /// Whether images of the study, not only of its weights, were drawn.
    pub(super) drawn: bool,
    /// Whether the export names no file.
    pub(super) private: bool,
}

impl Exported {
    /// Writes `run.json`, the results, and the classifier with its model card, into a new run folder.
    pub(super) fn write(
        &self,
        folder: &Path,
        command: &str,
        start: &LoadedNetwork,
        classifier: &Classifier<Network>,
        outcome: &Outcome,
        lineage: &Lineage,
    ) -> Result<RunFolder> {
        let run = RunFolder::open(folder, Existing::Refuse)?;
        run.write_run_json(
            command,
            json!({
                "weights": start.provenance,
                "trained_on": lineage,
                "synthetic": self.drawn,
                "tasks": self.labels.tasks,
                "seed": self.seed,
                "stamp": outcome.stamp(),
                "draw_exported": 0,
            }),
        )?;
        outcome.write_into(run.path())?;
        export(&run.join(EXPORT), classifier, &self.info(start, outcome))?;
        lineage.write(&run.join(EXPORT), self.private)?;
        Ok(run)
    }

    fn info(&self, start: &LoadedNetwork, outcome: &Outcome) -> ExportInfo {
        let result = outcome.largest().map(|(result, _)| result);
        let images = result.map_or(0.0, |result| result.images);
        let metrics = result.into_iter().flat_map(|result| {
            let draws = result.draws;
            let draws = if draws > 1 { format!(", mean of {draws} label draws") } else { String::new() };
            let rows = self.labels.rows();
            result.tasks.iter().map(move |task| Metric {
                name: format!(
                    "AUROC, {}, {} patients ({} {rows}), {} % of the training patients labelled{draws}",
                    task.task,
                    task.auroc.patients,
                    task.auroc.n,
                    result.fraction * 100.0,
                ),
                value: task.auroc.estimate,
                interval: Some((task.auroc.limits().0, task.auroc.limits().1, task.auroc.level)),
            })
        });
        let protocol = outcome.stamp().protocol.as_deref().unwrap_or_default();
        let remark = outcome.remark().map(|remark| format!(" {remark}")).unwrap_or_default();
        ExportInfo {
            name: format!("{}, {} on chest X-rays", start.config.arch, self.how),
            arch: start.config.arch,
            channels: start.config.channels,
            normalization: start.config.normalization,
            image_size: start.views.size,
            assumed: Vec::new(),
            resample: "bilinear".into(),
            labels: self.labels.tasks.clone(),
            data: format!(
                "Initial weights: {}. Trained with labels on {images:.0} images: {protocol}. {}.{remark}",
                start.described(self.private),
                outcome.stamp().split.as_deref().unwrap_or_default(),
            ),
            data_licence: "that of the data set; it governs the use of these weights".into(),
            label_policy: Some(self.labels.policy.to_string()),
            licence: "other".into(),
            steps: self.steps,
            metrics: metrics.collect(),
        }
    }
}
