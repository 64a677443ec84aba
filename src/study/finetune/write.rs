//! Writes the results of a fine-tuning: the same files as a linear evaluation, and the training history.

use std::path::Path;

use eval::{Table, write_new};

use super::{ENSEMBLE, FineTuneOutcome, TrainingRun};
use crate::{
    error::{Error, Result},
    files::NewFolder,
    study::{CheckpointChoice, Outcome},
};

impl FineTuneOutcome {
    /// Scores, results and conditions.
    pub fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    /// All trainings.
    pub fn runs(&self) -> &[TrainingRun] {
        &self.runs
    }

    /// Writes `NAME.json`, the task folders (see [`Outcome::write`]), `history.csv` (all measurements on validation rows),
    /// `run.json`, and the classifier of the first draw of the largest fraction to `export/`; with
    /// [`CheckpointChoice::Top10`], also the chosen checkpoints to `ensemble/`. `out` must be new or empty. Either everything
    /// is written or nothing. Then the folder of finished draws is deleted; where that is not possible, it
    /// stays.
    ///
    /// # Errors
    /// The folder is not empty, or an I/O error.
    pub fn write(&self, out: impl AsRef<Path>) -> Result<()> {
        let folder = NewFolder::begin(out.as_ref())?;
        let command = self.settings.command();
        let run =
            self.exported.write(folder.path(), command, &self.start, &self.model, &self.outcome, &self.lineage)?;
        write_new(&run.join("history.csv"), self.history().to_csv().as_bytes())?;
        if let (Some(kept), CheckpointChoice::Top10) = (&self.folder, self.settings.checkpoint) {
            copy_folder(&kept.path(), &run.join(ENSEMBLE))?;
        }
        folder.finish()?;
        if let Some(unfinished) = &self.settings.unfinished {
            // The results are complete without that.
            let _ = std::fs::remove_dir_all(unfinished);
        }
        Ok(())
    }

    fn history(&self) -> Table {
        let mut table = Table::new([
            "fraction",
            "draw",
            "images",
            "epoch",
            "step",
            "loss",
            "valid_auroc",
            "chosen",
            "valid_images",
        ]);
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
                    run.valid_images.to_string(),
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
