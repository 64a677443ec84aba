//! A pretraining run: images on disk, a network, the method, and the folder of the run.

use std::{path::Path, sync::Arc};

use backbones::{Network, NetworkConfig};
use cxr_data::{
    BatchLoader, BatchOptions, Manifest, OnBad, PairSampling, Radiograph, Role, SameGroup, SameImage, preview,
};
use moco_core::{BatchSource, Checkpoints, End, MocoImport, differences};
use serde_json::json;

use crate::{
    device::guard,
    error::{Error, Result},
    files::{Existing, Notes, RunFolder, Watch},
    pretrain::{
        AugmentOn, KeyFrom, LoaderSource, PlaneSource, PretrainSettings, TrainImages, TrainingWatch, export::export,
        log::RunLog,
    },
    weights,
};

/// Pairs on the contact sheet of a run, and pairs in a row.
const SHEET: (usize, usize) = (16, 4);

/// The result of [`pretrain`].
#[derive(Debug)]
pub struct Pretrained {
    /// Folder of the run.
    pub folder: RunFolder,
    /// Whether all epochs are done, or the watcher stopped the run.
    pub end: End,
    /// Optimiser steps done.
    pub step: u64,
    /// Backbone of the query encoder.
    pub network: Network,
    /// Manifest of the training data.
    pub manifest: Manifest,
}

/// Pretrains in the folder `out`, or resumes the run there.
///
/// Settings and data are checked before the folder is touched.
///
/// # Errors
/// Settings out of range, data that cannot be read, a folder in use, a device that fails, a loss that is not finite.
pub fn pretrain(
    settings: &PretrainSettings,
    out: &Path,
    existing: Existing,
    watch: &mut dyn TrainingWatch,
) -> Result<Pretrained> {
    settings.validate()?;
    RunFolder::check(out, existing)?;
    let resuming = existing == Existing::Resume && out.join("config.toml").is_file();
    if resuming {
        check_same(settings, out)?;
    }
    let device = settings.device.select()?;
    settings.precision.check(&device)?;
    let notes = Notes::new(&*watch);
    let images = TrainImages::open(settings, &notes)?;
    let loader = loader(settings, &images)?;
    let mut source: Box<dyn BatchSource> = match settings.augment_on {
        AugmentOn::Host => Box::new(LoaderSource(loader.clone())),
        AugmentOn::Device => Box::new(PlaneSource(loader.clone())),
    };
    let sheet = if resuming { None } else { Some(contact_sheet(settings, &images)?) };
    let rows = images.rows;
    let (manifest, readable) = (rows.manifest(), rows.readable().len());
    if resuming {
        check_same_data(manifest, out)?;
    }
    let network =
        NetworkConfig { arch: settings.arch, channels: settings.channels, normalization: settings.normalization };
    let (mut network, init, lineage) = weights::initial(&network, &settings.init, settings.train.seed, &device)?;
    let lineage = lineage.then(Role::Pretrain, Some(rows.origin()));
    network.set_precision(settings.precision);
    let mut trainer = settings.train.init(network)?;
    if settings.init_moco {
        let file = weights::weight_file_of(&settings.init, settings.arch)?;
        let MocoImport { epoch, keys, optimizer_states, .. } = trainer.begin_from_moco(&file)?;
        let epoch = epoch.map(|epoch| format!(" after epoch {epoch}")).unwrap_or_default();
        notes.note(&format!(
            "continuing from {}{epoch}: both encoders, {keys} keys, optimizer state of {optimizer_states} tensors",
            file.path().display()
        ));
    }

    // Calls to the CPU block; a GPU computes while the next batch is made.
    trainer.in_flight = if settings.device.is_cpu() { 0 } else { 2 };
    let folder = RunFolder::open(out, existing)?;
    trainer.checkpoints = Some(Checkpoints::new(folder.join("checkpoints"), settings.checkpoints.keep));
    if resuming {
        let found = trainer.resume_newest()?;
        for ignored in &found.ignored {
            notes.note(&format!("{} is ignored: {}", ignored.path.display(), ignored.reason));
        }
        notes.note(&format!("resuming at step {}", trainer.position().step));
    }
    // run.json first: a folder with config.toml counts as a run that can be resumed.
    folder.write_run_json(
        "pretrain",
        json!({
            "seed": settings.train.seed,
            "device": settings.device.resolved(),
            "init": init,
            "data": { "dir": settings.data.dir, "images": readable, "patients_known": manifest.patients_known, "hash": manifest.hash(), "account": manifest.account },
            "trained_on": lineage,
        }),
    )?;
    folder.write("config.toml", settings.to_toml()?.as_bytes())?;

    let per_epoch = source.batches_per_epoch().div_ceil(settings.train.accumulate) as u64;
    let (done, total) = (trainer.position().step, per_epoch * settings.train.epochs);
    let notes = notes.texts();
    watch.start(done, total);
    let mut log = RunLog::open(&folder, (done, total), settings, watch)?;
    for text in &notes {
        log.note(&format!("note: {text}"))?;
    }
    if let Some(sheet) = sheet {
        log.views(&folder, &sheet)?;
    }
    let end = guard(settings.device, || Ok::<_, Error>(trainer.run(source.as_mut(), &mut log)?));
    let step = trainer.position().step;
    let replaced = loader.replaced();
    let vanished = format!("{replaced} times an image had vanished and was replaced by the next one of its epoch");
    if replaced > 0 {
        log.note(&format!("note: {vanished}"))?;
    }
    log.close(&match &end {
        Ok(End::Finished) => format!("finished at step {step}"),
        Ok(End::Stopped) => format!("stopped at step {step}"),
        Err(fault) => format!("error: {fault}"),
    })?;
    let end = end?;
    if replaced > 0 {
        watch.note(&vanished);
    }
    let network = trainer.moco.encoder_q.backbone.clone();
    if end == End::Finished {
        export(&folder, settings, &network, step, &lineage)?;
    }
    Ok(Pretrained { folder, end, step, network, manifest: manifest.clone() })
}

/// A resume may only change settings that do not change the numbers.
fn check_same(settings: &PretrainSettings, out: &Path) -> Result<()> {
    let before = PretrainSettings::read(&out.join("config.toml"))?;
    // The data may have moved; that they are the same is what `check_same_data` checks.
    let free = |key: &str| {
        matches!(
            key,
            "train.epochs"
                | "workers"
                | "print_freq"
                | "augment_on"
                | "device"
                | "data.dir"
                | "data.in_memory"
                | "data.cache"
        ) || key.starts_with("checkpoints.")
    };
    let keys = differences(&before, settings, free);
    if keys.is_empty() { Ok(()) } else { Err(Error::ResumeDiffers { path: out.into(), keys }) }
}

/// The data must be those that the run began with.
fn check_same_data(manifest: &Manifest, out: &Path) -> Result<()> {
    let path = out.join("run.json");
    let text = std::fs::read_to_string(&path).map_err(Error::io(&path))?;
    let run: serde_json::Value = serde_json::from_str(&text)
        .map_err(|e| Error::Config { origin: path.display().to_string(), reason: e.to_string() })?;
    let (then, now) = (run["data"]["hash"].as_str().unwrap_or_default(), manifest.hash());
    if then == now {
        return Ok(());
    }
    let keys = vec![format!("data: was {then}, is {now} (hash of paths, patients and labels)")];
    Err(Error::ResumeDiffers { path: out.into(), keys })
}

/// A contact sheet of the first pairs of views of the run.
fn contact_sheet(settings: &PretrainSettings, images: &TrainImages) -> Result<Radiograph> {
    let mut settings = settings.clone();
    // The order of an epoch and the views of an image do not depend on the size of a batch.
    settings.train.batch_size = settings.train.batch_size.min(SHEET.0);
    let first = loader(&settings, images)?.pairs::<u8>(0, 0)?.next().transpose()?;
    let empty = || Error::Setting { key: "data".into(), found: "no images".into(), expected: "at least one".into() };
    Ok(preview::pairs(&first.ok_or_else(empty)?, SHEET.1)?)
}

/// The loader of a run, also used by its preview, so that both see the same bytes.
pub(crate) fn loader(settings: &PretrainSettings, images: &TrainImages) -> Result<BatchLoader> {
    let TrainImages { rows, source } = images;
    let (manifest, rows) = (rows.manifest(), rows.readable());
    let batch_size = settings.train.batch_size;
    if rows.len() < batch_size {
        let found = format!("{batch_size} for a set of {} images", rows.len());
        let expected = format!("at most {}", rows.len());
        return Err(Error::Setting { key: "train.batch_size".into(), found, expected });
    }
    let options = BatchOptions {
        batch_size,
        workers: settings.workers(),
        seed: settings.train.seed,
        on_bad: OnBad::Fail,
        ..BatchOptions::default()
    };
    let pairs: Arc<dyn PairSampling> = match settings.data.key_from {
        KeyFrom::Image => Arc::new(SameImage),
        KeyFrom::Study => Arc::new(SameGroup::study(manifest, rows)),
        KeyFrom::Patient => Arc::new(SameGroup::patient(manifest, rows)),
    };
    let loader = BatchLoader::new(manifest, settings.views, options)?.with_rows(rows)?;
    Ok(loader.with_source(source.clone()).with_pairs(pairs))
}
