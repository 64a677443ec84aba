//! The files of a fine-tuning: results as a linear evaluation leaves them, and a classifier that describes itself.

use std::path::Path;

use backbones::export;
use eval::{Stamp, Table};
use serde_json::json;

use super::{CheckpointChoice, ENSEMBLE, FineTuneOutcome, FineTuneSettings};
use crate::{
    error::{Error, Result},
    files::{Existing, NewFolder, RunFolder},
    study::ProbeSettings,
    weights::{EXPORT, LoadedNetwork, classifier_info},
};

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
        let protocol = settings.protocol();
        let how = (settings.short_name(), protocol.as_str(), self.steps);
        let info = classifier_info(how, start, &self.outcome, probe, stamp);
        export(&run.join(EXPORT), &self.model, &info)?;
        self.lineage.write(&run.join(EXPORT))?;
        if let (Some(kept), CheckpointChoice::Top10) = (&self.folder, settings.checkpoint) {
            copy_folder(&kept.path(), &run.join(ENSEMBLE))?;
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
