//! Everything in one call, without data and without a download: a synthetic chest X-ray set, a pretraining, linear probes at
//! several fractions of the labels beside the same network with random weights, and a report.
//!
//! The images are synthetic: the results show that the program works, and say nothing about patients.

use std::path::{Path, PathBuf};

use cxr_data::{
    Crop, Operation,
    synth::{self, Finding, SynthConfig},
};
use moco_core::End;

use crate::{
    data::{Labels, Sources},
    device::DeviceChoice,
    error::Result,
    files::{Begun, Existing, RunFolder, Things, partial_of},
    pretrain::{PretrainSettings, TrainingWatch, pretrain},
    report::{Report, ReportOptions},
    study::{Baseline, LinearOutcome, Protocol, Study},
    weights::Weights,
};

/// What a quickstart does. The defaults take a minute and a half on two CPU cores with AVX-512
/// (docs/results/quickstart.md).
///
/// ```no_run
/// # fn main() -> Result<(), moco_cxr::Error> {
/// let found = moco_cxr::Quickstart::default().run("runs/quickstart".as_ref(), &mut ())?;
/// if let Some(first) = found {
///     println!("{}\n{}", first.results.outcome().table().to_markdown(), first.report.display());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Quickstart {
    /// Seed of images, initial weights, order, views and label draws. Default 0.
    pub seed: u64,
    /// The synthetic set; its own seed is not used. Default: 1200 patients to train on, 400 to report on, 80 px.
    pub set: SynthConfig,
    /// Side of a view in pixels. Default 64.
    pub image_size: usize,
    /// Epochs of the pretraining. Default 6.
    pub epochs: u64,
    /// Fractions of the training patients whose labels are used, each in `(0, 1]`. Default 1, 10 and 100 %.
    pub fractions: Vec<f64>,
    /// Draws of each fraction below 1. Default 10.
    pub draws: usize,
    /// Device to compute on. Default: the first that there is.
    pub device: DeviceChoice,
}

impl Default for Quickstart {
    fn default() -> Self {
        let set = SynthConfig { train_patients: 1200, valid_patients: 0, size: 80, ..SynthConfig::default() };
        let fractions = vec![0.01, 0.1, 1.0];
        Self { seed: 0, set, image_size: 64, epochs: 6, fractions, draws: 10, device: DeviceChoice::Auto }
    }
}

/// What a quickstart left.
#[derive(Debug)]
#[non_exhaustive]
pub struct FirstResult {
    /// Folder of the synthetic set.
    pub data: PathBuf,
    /// Folder of the pretraining run, with the results in `eval/`.
    pub run: PathBuf,
    /// The page about the run.
    pub report: PathBuf,
    /// Results of the linear probes.
    pub results: LinearOutcome,
    /// What to think of them, in one sentence.
    pub summary: String,
}

impl Quickstart {
    /// Does everything in `out`, which must be new or empty: `out/data` is the set, `out/run` the run with its report. `None`
    /// if the watcher stopped the pretraining.
    ///
    /// # Errors
    /// A folder in use, a setting out of range, a device that is not available or fails, an I/O error.
    pub fn run(&self, out: &Path, watch: &mut dyn TrainingWatch) -> Result<Option<FirstResult>> {
        RunFolder::check(out, Existing::Refuse)?;
        let (data, run) = (out.join("data"), out.join("run"));
        let settings = self.pretraining(&data)?;
        settings.validate()?;
        // Minutes of work that is worth nothing in part: a process that is told to end takes it away.
        let made = if out.exists() { Vec::new() } else { vec![out.to_owned()] };
        let incomplete = vec![partial_of(&data), data.clone(), run.clone()];
        let begun = Begun::new(Things { lock: None, incomplete, made });

        watch.line(&format!("1 of 3: drawing a synthetic chest X-ray set in {}", data.display()));
        synth::write(&SynthConfig { seed: self.seed, ..self.set.clone() }, &data)?;
        watch.line(&format!("2 of 3: pretraining without labels, {} epochs", self.epochs));
        if pretrain(&settings, &run, Existing::Refuse, watch)?.end != End::Finished {
            return Ok(None);
        }
        watch.line("3 of 3: linear probes on few and on all labels, beside the same network with random weights");
        let results = self.probe(&data, &run, &*watch)?;
        results.write(run.join("eval"))?;

        let summary = format!("Synthetic images, seed {}: the results say nothing about patients.", self.seed);
        let options = ReportOptions { features: true, device: self.device, ..ReportOptions::default() };
        let mut page = Report::read(&run, &options)?;
        page.title = format!("Quickstart, seed {}", self.seed);
        let report = run.join("report.html");
        page.write(&report)?;
        drop(begun);
        Ok(Some(FirstResult { data, run, report, results, summary }))
    }

    /// Preset `small` at another size, for as many epochs as minutes allow, which learn more from views that change less
    /// (docs/results/recipe.md).
    fn pretraining(&self, data: &Path) -> Result<PretrainSettings> {
        let mut settings = PretrainSettings::named("small", data)?;
        (settings.channels, settings.data.in_memory, settings.device) = (1, true, self.device);
        (settings.train.seed, settings.train.epochs, settings.train.batch_size) = (self.seed, self.epochs, 32);
        settings.views.size = self.image_size;
        settings.views.crop = Crop::Resized { min_area: 0.85, max_area: 1.0, max_aspect: 4.0 / 3.0 };
        settings.views.rotation = Operation { probability: 1.0, strength: 5.0 };
        settings.views.gamma = Operation::OFF;
        Ok(settings)
    }

    fn probe(&self, data: &Path, run: &Path, watch: &dyn TrainingWatch) -> Result<LinearOutcome> {
        let labels = Labels::new(Finding::ALL.map(Finding::column));
        let mut protocol = Protocol::seeded(self.seed);
        (protocol.fractions, protocol.draws) = (self.fractions.clone(), self.draws);
        protocol.bootstrap = eval::Bootstrap::default();
        let mut weights = Weights::new(run.display().to_string());
        weights.device = self.device;
        Study::open(&Sources::new(data), &weights, &labels, &protocol, watch)?.linear(Baseline::Random)
    }
}
