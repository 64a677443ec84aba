//! The labelled images of the online probe, by which a run chooses its epoch.

use cxr_data::{BatchLoader, BatchOptions, Dataset, OnBad, Role, ViewConfig};
use moco_core::OnlineProbe;
use ndarray::{Array3, ArrayView3, Axis, concatenate};
use serde_json::{Value, json};

use crate::{
    data::{Labelled, Labels, Lineage, Origin, ReadAs, Rows, leak_free},
    error::{Error, Result},
    files::Watch,
    pretrain::PretrainSettings,
};

/// Most images: all of them are encoded after every epoch, and every pair is compared.
const MOST: usize = 5_000;

/// A probe, and what is recorded of it.
pub(crate) struct Probe {
    pub(crate) online: OnlineProbe,
    pub(crate) task: String,
    origin: Origin,
    policy: String,
    counts: (usize, usize),
}

impl Probe {
    /// Reads the images of the settings' probe, if they have one, at the size of the views, without augmentation.
    ///
    /// # Errors
    /// Data that cannot be read, a task that they do not have, too few or too many images, and a patient or an image that is
    /// also among the pretraining images.
    pub(crate) fn open(settings: &PretrainSettings, pretraining: &Rows, watch: &dyn Watch) -> Result<Option<Self>> {
        if !settings.probe.is_set() {
            return Ok(None);
        }
        let (mut sources, task) = (settings.sources(), settings.probe.task.clone());
        (sources.train, sources.dataset, sources.cache) = (settings.probe.data.clone(), Dataset::Auto, None);
        // What was said of the folder to train on is not said of this one.
        sources.read = ReadAs::default();
        let views = ViewConfig::eval(settings.views.size);
        let rows = sources.valid_rows(&settings.probe.data, Some(&views), watch)?;
        let pixels = [pretraining.pixels(), rows.pixels()];
        let sides = [
            ("pretraining", Role::Pretrain, pretraining.manifest(), &pixels[0][..]),
            ("probe", Role::Valid, rows.manifest(), &pixels[1][..]),
        ];
        leak_free(&sides, watch)?;

        let labels = Labels::new([task.clone()]);
        let labelled = Labelled::new(&rows, &labels)?;
        let targets = labelled.targets();
        // With one task a row without a label is not admitted.
        let positive: Vec<bool> = targets.column(0).iter().map(|&target| target > 0.5).collect();
        let found = positive.iter().filter(|&&positive| positive).count();
        let (n, counts) = (positive.len(), (found, positive.len() - found));
        if n > MOST || counts.0.min(counts.1) < 2 {
            return Err(Error::Setting {
                key: "probe.data".into(),
                found: format!("{n} images with a label for {task}, {found} of them positive"),
                expected: format!("at most {MOST}, and at least 2 of either class"),
            });
        }
        let images = images(&rows, labelled.rows(), views, settings.workers())?;
        let patients = labelled.patients().iter().map(|&patient| patient as u32).collect(); // below MOST
        let online = OnlineProbe::new(images, positive, patients)?;
        watch.note(&format!(
            "after every epoch, {n} labelled images are scored for {task} ({found} positive); the best epoch is exported, \
             which is a choice by labels and recorded with the weights"
        ));
        let policy = labels.policy.to_string();
        Ok(Some(Self { online, task, origin: rows.origin().clone(), policy, counts }))
    }

    /// For `run.json`.
    pub(crate) fn record(&self) -> Value {
        let (positive, negative) = self.counts;
        json!({
            "task": self.task,
            "policy": self.policy,
            "positive": positive,
            "negative": negative,
            "data": self.origin,
            "use": "the epoch with the highest AUROC is exported: a choice by labels",
        })
    }

    /// The images are those by which weights were chosen.
    pub(crate) fn extend(&self, lineage: Lineage) -> Lineage {
        lineage.then(Role::Valid, Some(&self.origin))
    }
}

/// `[N, S, S]`: the wanted rows, in their order.
fn images(rows: &Rows, wanted: &[usize], views: ViewConfig, workers: usize) -> Result<Array3<u8>> {
    let options = BatchOptions { workers, on_bad: OnBad::Fail, ..BatchOptions::default() };
    let loader = BatchLoader::new(rows.manifest(), views, options)?.with_rows(wanted)?;
    let loader = loader.with_source(rows.images(&views)?);
    let batches = loader.in_order::<u8>().collect::<cxr_data::Result<Vec<_>>>()?;
    let parts: Vec<ArrayView3<'_, u8>> = batches.iter().map(|batch| batch.images.view()).collect();
    let side = |e: ndarray::ShapeError| Error::Setting {
        key: "probe.data".into(),
        found: e.to_string(),
        expected: "images of one size".into(),
    };
    concatenate(Axis(0), &parts).map_err(side)
}
