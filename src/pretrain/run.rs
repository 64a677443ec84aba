//! A pretraining run: images on disk, a network, the method, and the folder of the run.

use std::{path::Path, sync::Arc};

use backbones::{Network, NetworkConfig};
use cxr_data::{
    BatchLoader, BatchOptions, Manifest, PairSampling, Radiograph, Replaced, Role, SameGroup, SameImage, preview,
};
use moco_core::{BatchSource, Best, Checkpoints, End, MocoImport, Position};
use serde_json::{Value, json};

use crate::{
    data::Rows,
    device::guard,
    error::{Error, Result},
    files::{Claim, Existing, Notes, RunFolder, RunLock, Watch, read_json},
    pretrain::{
        AugmentOn, KeyFrom, LoaderSource, PlaneSource, PretrainSettings, TrainImages, TrainingWatch, agreed::agreed,
        export::export, image_states, log::RunLog, probe::Probe,
    },
    ranks::Ranks,
    weights,
};

/// Pairs on the contact sheet of a run, and pairs in a row.
const SHEET: (usize, usize) = (16, 4);

/// Replaced images that a note names.
const NAMED: usize = 3;

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
    pretrain_among(settings, out, existing, &Ranks::alone(), watch)
}

/// As [`pretrain`], by one of several ranks, each of which calls it with the same settings but its own device. The size of a
/// batch is that of all ranks together. Rank 0 alone reads and writes the folder; the others may not see it.
///
/// # Errors
/// As [`pretrain`], and where the ranks have other images or cannot go on together. An error of one rank is one for the others
/// only when that rank has ended.
pub fn pretrain_among(
    settings: &PretrainSettings,
    out: &Path,
    existing: Existing,
    ranks: &Ranks,
    watch: &mut dyn TrainingWatch,
) -> Result<Pretrained> {
    settings.validate()?;
    let notes = Notes::new(&*watch);
    let first = ranks.is_first();
    let (settings, resuming) = agreed(settings, out, existing, ranks, &notes)?;
    // Until the lock in the folder is there, which is made when everything else has been checked.
    let _claim = if first { Claim::of_run(out)? } else { None };
    let device = settings.device.select()?;
    settings.precision.check(&device)?;
    let images = ranks.in_turn("the images are read", || TrainImages::open(&settings, &notes))?;
    let readable = images.rows.readable().len();
    let by_size = settings.train.moco.queue_size == 0;
    let settings = &settings.for_images(readable);
    if by_size {
        let keys = settings.train.moco.queue_size;
        notes.note(&format!("the queue holds {keys} keys, by the size of the set ({readable} images)"));
    }
    let loader = loader(settings, &images)?;
    settings.forecast(readable).iter().for_each(|problem| notes.note(problem));
    let probe = if first { Probe::open(settings, &images.rows, &notes)? } else { None };
    let mut source: Box<dyn BatchSource> = match settings.augment_on {
        AugmentOn::Host => Box::new(LoaderSource(loader.clone())),
        AugmentOn::Device => Box::new(PlaneSource(loader.clone())),
    };
    let sheet = if resuming || !first { None } else { Some(contact_sheet(settings, &images)?) };
    let rows = images.rows;
    let manifest = rows.manifest();
    ranks.same(&images_in_words(&rows), "set of images")?;
    let probed = probe.as_ref().map(Probe::record);
    if resuming && first {
        check_same_data(manifest, probed.as_ref(), out)?;
        image_states::check(out, &rows, settings.data.on_bad, &notes)?;
    }
    let network =
        NetworkConfig { arch: settings.arch, channels: settings.channels, normalization: settings.normalization };
    let (mut network, init, lineage) =
        weights::initial(&network, &settings.init, settings.train.seed, &device, &notes)?;
    let lineage = lineage.then(Role::Pretrain, Some(rows.origin()));
    let lineage = probe.iter().fold(lineage, |lineage, probe| probe.extend(lineage));
    network.set_precision(settings.precision);
    let mut trainer = settings.train.init_among(network, Arc::clone(ranks.together()))?;
    if settings.init_moco {
        let file = weights::weight_file_of(&settings.init, settings.arch)?;
        let MocoImport { epoch, keys, optimizer_states, .. } = trainer.begin_from_moco(&file)?;
        let epoch = epoch.map(|epoch| format!(" after epoch {epoch}")).unwrap_or_default();
        notes.note(&format!(
            "continuing from {}{epoch}: both encoders, {keys} keys, optimizer state of {optimizer_states} tensors",
            file.path().display()
        ));
    }

    trainer.probe = probe.as_ref().map(|probe| probe.online.clone());
    // Calls to the CPU block; a GPU computes while the next batch is made.
    trainer.in_flight = if settings.device.is_cpu() { 0 } else { 2 };
    if !first {
        let per_epoch = source.batches_per_epoch().div_ceil(settings.train.accumulate) as u64;
        watch.start(0, per_epoch * settings.train.epochs);
        let end = guard(settings.device, || Ok::<_, Error>(trainer.run(source.as_mut(), watch)?))?;
        let (step, network) = (trainer.position().step, trainer.moco.encoder_q.backbone.clone());
        // Until rank 0 has written the last file: who ends earlier is taken for one that was lost.
        ranks.together().barrier("rank 0 ends the run", true)?;
        return Ok(Pretrained { folder: RunFolder::of_another(out), end, step, network, manifest: manifest.clone() });
    }
    trainer.regroup = ranks.size() > 1 || resuming;
    let _lock = RunLock::take(out)?;
    let folder = RunFolder::open(out, existing)?;
    trainer.checkpoints = Some(Checkpoints::new(folder.join("checkpoints"), settings.checkpoints.keep));
    if resuming {
        let found = trainer.resume_newest()?;
        for ignored in &found.ignored {
            notes.note(&format!("{} is ignored: {}", ignored.path.display(), ignored.reason));
        }
        // An interrupted writing of the first one lost nothing; anything else is evidence that a new start would overwrite.
        let damaged = found.ignored.iter().find(|ignored| ignored.path.extension().is_none_or(|end| end != "partial"));
        if let (None, Some(first)) = (&found.newest, damaged) {
            return Err(Error::NoCheckpoint { path: first.path.clone(), reason: first.reason.clone() });
        }
        let (Position { step, epoch, .. }, asked) = (trainer.position(), settings.train.epochs);
        if epoch > asked {
            let expected = format!("at least {epoch}, the epochs that the run has; more of them train it longer");
            return Err(Error::Setting { key: "train.epochs".into(), found: asked.to_string(), expected });
        }
        notes.note(&match epoch == asked {
            true => format!(
                "the run is complete, {epoch} of {asked} epochs ({step} steps), and nothing was left to do; to train it longer, \
                 add --epochs with a larger number (a cosine schedule is then that of the new length)"
            ),
            false => format!("resuming at step {step}"),
        });
    }
    // run.json first: a folder with config.toml counts as a run that can be resumed.
    folder.write_run_json(
        "pretrain",
        json!({
            "seed": settings.train.seed,
            "device": settings.device.resolved(),
            "init": init,
            "data": { "dir": settings.data.dir, "images": readable, "patients_known": manifest.patients_known, "hash": manifest.hash(), "account": manifest.account },
            "probe": probed,
            "trained_on": lineage,
            "synthetic": rows.origin().synthetic,
            "ranks": ranks.size(),
            "settings": settings.to_toml()?,
        }),
    )?;
    image_states::write(&folder, &rows)?;
    folder.write("config.toml", settings.to_toml()?.as_bytes())?;

    let per_epoch = source.batches_per_epoch().div_ceil(settings.train.accumulate) as u64;
    let (position, total) = (trainer.position(), per_epoch * settings.train.epochs);
    let notes = notes.texts();
    watch.start(position.step, total);
    let mut log = RunLog::open(&folder, (&position, total), settings, watch)?;
    for text in &notes {
        log.note(&format!("note: {text}"))?;
    }
    if let Some(sheet) = sheet {
        log.views(&folder, &sheet)?;
    }
    let end = guard(settings.device, || Ok::<_, Error>(trainer.run(source.as_mut(), &mut log)?));
    let step = trainer.position().step;
    let replaced = replaced(&loader, manifest);
    if let Some(text) = &replaced {
        log.note(&format!("note: {text}"))?;
    }
    log.close(&match &end {
        Ok(End::Finished) => format!("finished at step {step}"),
        Ok(End::Stopped) => format!("stopped at step {step}"),
        Err(fault) => format!("error: {fault}"),
    })?;
    let end = end?;
    if let Some(text) = &replaced {
        watch.note(text);
    }
    let chosen = probe.as_ref().zip(trainer.best()).filter(|_| end == End::Finished);
    let (network, steps) = match chosen {
        Some((_, best)) => (trainer.best_backbone()?, best.step),
        None => (trainer.moco.encoder_q.backbone.clone(), step),
    };
    if let Some((probe, best)) = chosen {
        let Best { auc, .. } = best;
        watch.note(&format!("exported: the weights after step {steps}, the best for {} (AUROC {auc:.3})", probe.task));
    }
    if end == End::Finished {
        export(&folder, settings, (&network, steps), chosen, &lineage)?;
    }
    ranks.together().barrier("rank 0 ends the run", true)?;
    Ok(Pretrained { folder, end, step, network, manifest: manifest.clone() })
}

/// What ranks must have in common of their images.
fn images_in_words(rows: &Rows) -> String {
    format!("{} images that can be read, hash {}", rows.readable().len(), rows.manifest().hash())
}

/// Images that could not be read any more, or had changed, and were replaced, which happens with `on_bad = "skip"` only.
fn replaced(loader: &BatchLoader, manifest: &Manifest) -> Option<String> {
    let replaced = loader.replaced();
    let times: usize = replaced.values().map(|one| one.times).sum();
    let name = |(&row, one): (&usize, &Replaced)| format!("{} ({})", manifest.records[row].path, one.fault);
    let names: Vec<String> = replaced.iter().take(NAMED).map(name).collect();
    (times > 0).then(|| {
        format!(
            "{times} times an image that was there at the start could not be read, or was another, and the next one of its \
             epoch was taken instead; {} image(s), such as {}",
            replaced.len(),
            names.join(", ")
        )
    })
}

/// The data must be those that the run began with.
fn check_same_data(manifest: &Manifest, probe: Option<&Value>, out: &Path) -> Result<()> {
    let path = out.join("run.json");
    let run: Value = read_json(&path)?;
    let hash = |value: &Value| value["data"]["hash"].as_str().unwrap_or_default().to_owned();
    let sets = [
        ("data", hash(&run), manifest.hash()),
        ("probe.data", hash(&run["probe"]), probe.map_or_else(String::new, hash)),
    ];
    let differing = sets.into_iter().filter(|(_, then, now)| then != now);
    let keys: Vec<String> = differing
        .map(|(name, then, now)| format!("{name}: was {then}, is {now} (hash of paths, patients and labels)"))
        .collect();
    if keys.is_empty() { Ok(()) } else { Err(Error::ResumeDiffers { path: out.into(), keys }) }
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
        on_bad: settings.data.on_bad,
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
