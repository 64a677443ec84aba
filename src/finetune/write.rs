//! The files of a fine-tuning: results as a linear evaluation leaves them, and a classifier that describes itself.

use std::path::Path;

use backbones::{ExportInfo, Metric, export};
use eval::{Stamp, Table};
use serde_json::json;

use super::{ENSEMBLE, FineTuneOutcome, FineTuneSettings};
use crate::{Error, Existing, LoadedNetwork, ProbeSettings, Result, RunFolder, new_folder::NewFolder};

impl FineTuneOutcome {
    /// Writes `NAME.json`, the folders of the tasks (as [`crate::Outcome::write`]), `history.csv` (all measurements on
    /// validation rows), `run.json`, and the classifier of the first draw of the largest fraction into `export/`; with
    /// several chosen networks, their tensors into `ensemble/`. `out` must be new or empty; it appears whole or not at all.
    ///
    /// # Errors
    /// A folder that is not empty, or what the disk says.
    pub fn write(
        &self,
        out: &Path,
        name: &str,
        start: &LoadedNetwork,
        probe: &ProbeSettings,
        settings: &FineTuneSettings,
        stamp: &Stamp,
    ) -> Result<()> {
        let folder = NewFolder::begin(out)?;
        let run = RunFolder::open(folder.path(), Existing::Refuse)?;
        run.write_run_json(
            name,
            json!({
                "weights": start.provenance,
                "tasks": probe.tasks,
                "seed": probe.seed,
                "stamp": stamp,
                "draw_exported": 0,
                "trained_on": self.lineage,
            }),
        )?;
        self.outcome.write_into(run.path(), name, probe, stamp)?;
        eval::write_new(&run.join("history.csv"), self.history().to_csv().as_bytes())?;
        export(&run.join("export"), &self.model, &self.info(start, probe, settings, stamp))?;
        self.lineage.write(&run.join("export"))?;
        if let Some(kept) = &self.folder {
            copy_folder(&kept.path().join(ENSEMBLE), &run.join(ENSEMBLE))?;
        }
        folder.finish()
    }

    fn history(&self) -> Table {
        let mut table = Table::new(["fraction", "draw", "images", "epoch", "step", "loss", "valid_auroc", "chosen"]);
        for run in &self.runs {
            for m in &run.history {
                let chosen = run.chosen.iter().position(|step| *step == m.step).map(|place| (place + 1).to_string());
                table.push([
                    run.fraction.to_string(),
                    run.draw.to_string(),
                    run.images.to_string(),
                    m.epoch.to_string(),
                    m.step.to_string(),
                    m.loss.to_string(),
                    m.valid_auroc.to_string(),
                    chosen.unwrap_or_default(),
                ]);
            }
        }
        table
    }

    fn info(
        &self,
        start: &LoadedNetwork,
        probe: &ProbeSettings,
        settings: &FineTuneSettings,
        stamp: &Stamp,
    ) -> ExportInfo {
        let largest = self.outcome.largest();
        let results = largest.map(|place| &self.outcome.results[place]);
        let images = results.map_or(0.0, |result| result.images);
        let metrics = results.into_iter().flat_map(|result| {
            let draws = result.draws;
            let draws = if draws > 1 { format!(", mean of {draws} label draws") } else { String::new() };
            let rows = if probe.fold_studies { "studies" } else { "images" };
            result.tasks.iter().map(move |task| Metric {
                name: format!(
                    "AUROC, {}, {} patients ({} {rows}), {} % of the training patients labelled{draws}",
                    task.task,
                    task.auroc.patients,
                    task.auroc.n,
                    result.fraction * 100.0,
                ),
                value: task.auroc.estimate,
                interval: Some((task.auroc.lower, task.auroc.upper, task.auroc.level)),
            })
        });
        ExportInfo {
            name: format!("{}, {} on chest X-rays", start.config.arch, settings.short_name()),
            arch: start.config.arch,
            channels: start.config.channels,
            normalization: start.config.normalization,
            image_size: start.views.size,
            resample: "bilinear".into(),
            labels: probe.tasks.clone(),
            data: format!(
                "Begun from {}. Trained with labels on {images:.0} images: {}. {}.",
                start.provenance,
                settings.protocol(),
                stamp.split.as_deref().unwrap_or_default(),
            ),
            data_licence: "that of the data set; it governs the use of these weights".into(),
            label_policy: Some(probe.policy.to_string()),
            licence: "other".into(),
            steps: self.steps,
            metrics: metrics.collect(),
        }
    }
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to).map_err(Error::io(to))?;
    for entry in std::fs::read_dir(from).map_err(Error::io(from))? {
        let file = entry.map_err(Error::io(from))?;
        let copy = to.join(file.file_name());
        std::fs::copy(file.path(), &copy).map_err(Error::io(&copy))?;
    }
    Ok(())
}
