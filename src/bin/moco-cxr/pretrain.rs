//! `moco-cxr pretrain`.

use std::path::PathBuf;

use clap::Args;
use moco_cxr::{
    AugmentOn, Error, Existing, PretrainSettings,
    backbones::{Arch, Precision},
    cxr_data::{Dataset, OnBad},
    moco_core::{Decay, End},
    pretrain,
};
use serde_json::json;

use crate::{
    Fault,
    bad_argument::{BadArgument, OrBadArgument, patient_regex},
    device::DeviceArguments,
    dry_run,
    fetch::fetch,
    interrupt::{self, Interrupt},
    progress::Progress,
};

/// Pretrain a network on radiographs without labels.
#[derive(Debug, Args)]
#[command(
    after_help = "Settings come from the preset, the file over it, --set and options over both.\n\nCtrl-C finishes the step and writes a checkpoint (exit status 130); a second one stops at once.\n\nExample:\n  moco-cxr pretrain --data CheXpert-v1.0-small --preset small --image-size 128 --out runs/first\n  moco-cxr pretrain --out runs/first --resume"
)]
pub(crate) struct Arguments {
    /// Folder of the data set.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Layout of the data: auto, chexpert, shenzhen, montgomery, nih or folder.
    #[arg(long)]
    dataset: Option<Dataset>,
    /// Settings to begin from: moco-cxr, moco-v2, small or medaug. [default: small]
    #[arg(long)]
    preset: Option<String>,
    /// Settings of a run (its config.toml), or any part of them, laid over the preset.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Any setting by its path in config.toml, as train.moco.temperature=0.1; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// resnet18, resnet34, resnet50 or densenet121.
    #[arg(long, short)]
    arch: Option<Arch>,
    /// Initial weights: random, imagenet, moco-cxr:NAME, a run, or a file.
    #[arg(long)]
    init: Option<String>,
    /// Go on from a checkpoint of MoCo: --init gives its key encoder, head, queue and optimizer, too.
    #[arg(long, requires = "init")]
    init_moco: bool,
    /// Side of a view in pixels.
    #[arg(long, value_name = "PX")]
    image_size: Option<usize>,
    /// Passes over the data.
    #[arg(long)]
    epochs: Option<u64>,
    /// Images per batch.
    #[arg(long, short)]
    batch_size: Option<usize>,
    /// Learning rate.
    #[arg(long)]
    lr: Option<f64>,
    /// Weight decay.
    #[arg(long)]
    wd: Option<f64>,
    /// Length of the queue, K.
    #[arg(long)]
    moco_k: Option<usize>,
    /// Momentum of the key encoder, m.
    #[arg(long)]
    moco_m: Option<f64>,
    /// Softmax temperature, T.
    #[arg(long)]
    moco_t: Option<f64>,
    /// Length of an embedding.
    #[arg(long)]
    moco_dim: Option<usize>,
    /// MoCo v2's head of two layers; on in every preset (--set train.moco.mlp=false is v1's single layer).
    #[arg(long)]
    mlp: bool,
    /// Cosine schedule: half a cosine, from the learning rate to 0.
    #[arg(long, conflicts_with = "schedule")]
    cos: bool,
    /// Step schedule: the learning rate is a tenth from each of these epochs on, counted from 0.
    #[arg(long, value_name = "EPOCH", num_args = 1.., value_delimiter = ',')]
    schedule: Vec<u64>,
    /// Threads that decode and augment; 0 for one per core.
    #[arg(long, short = 'j')]
    workers: Option<usize>,
    /// Where views are sampled: host, or device, which halves the upload (for views as the paper's).
    #[arg(long, value_name = "WHERE")]
    augment_on: Option<AugmentOn>,
    /// Seed of everything.
    #[arg(long)]
    seed: Option<u64>,
    #[command(flatten)]
    device: DeviceArguments,
    /// Arithmetic of the activations: f32 or bf16.
    #[arg(long)]
    precision: Option<Precision>,
    /// What to do with an image that cannot be read: fail or skip.
    #[arg(long, value_name = "ACTION")]
    on_bad_image: Option<OnBad>,
    /// Folder of the cache of decoded, resized images; made and completed before the first step.
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// For a set without patients: a pattern whose first group, in an image's path, is the patient.
    #[arg(long, value_name = "REGEX", value_parser = patient_regex)]
    patient_regex: Option<String>,
    /// Folder of the run; new or empty unless --resume or --overwrite is given. Not needed for a --dry-run.
    #[arg(long, value_name = "RUN", required_unless_present = "dry_run")]
    out: Option<PathBuf>,
    /// Go on from the newest checkpoint in --out.
    #[arg(long, conflicts_with = "overwrite")]
    resume: bool,
    /// Replace the run in --out.
    #[arg(long)]
    overwrite: bool,
    /// Print the resolved settings, what they need in memory and, from a few steps on random images, in time; then stop.
    #[arg(long)]
    dry_run: bool,
    /// Tell of every N steps in a line. [default: a line a minute, none where there is a bar]
    #[arg(long, short, value_name = "N")]
    print_freq: Option<u64>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// No progress.
    #[arg(long, short)]
    quiet: bool,
}

pub(crate) fn run(arguments: Arguments) -> Result<(), Fault> {
    let mut settings = arguments.settings()?;
    settings.device = arguments.device.choose(settings.device, arguments.quiet)?;
    if arguments.dry_run {
        return dry_run::run(&settings, arguments.json);
    }
    let out = arguments.out.as_deref().ok_or("--out: found nothing, expected the folder of the run")?;
    let existing = match (arguments.resume, arguments.overwrite) {
        (true, _) => Existing::Resume,
        (_, true) => Existing::Overwrite,
        _ => Existing::Refuse,
    };
    fetch(&settings.init, Some(settings.arch), arguments.quiet)?;
    let images_per_step = settings.train.batch_size * settings.train.accumulate;
    let mut progress = Progress::new(arguments.quiet, settings.print_freq > 0, images_per_step, Interrupt::listen()?);
    let run = pretrain(&settings, out, existing, &mut progress).map_err(|error| match error {
        Error::NotEmpty { .. } => {
            Fault::from(format!("{error} (or --resume to go on with the run in it, --overwrite to replace it)"))
        }
        other => other.into(),
    })?;
    progress.finish();
    let finished = run.end == End::Finished;
    let again = format!("moco-cxr pretrain --resume --out {}", out.display());
    if arguments.json {
        let result = json!({
            "run": run.folder.path(),
            "finished": finished,
            "step": run.step,
            "images": run.manifest.records.len(),
            "weights": finished.then(|| run.folder.join("export")),
            "resume": (!finished).then_some(&again),
            "last_epoch": progress.last,
        });
        println!("{}", serde_json::to_string_pretty(&result)?);
    } else if finished {
        println!("weights: {}", run.folder.join("export").display());
    } else {
        println!("stopped at step {}; go on with: {again}", run.step);
    }
    if finished {
        return Ok(());
    }
    // All is on disk. Whatever was to come after this command must not take it for done.
    std::process::exit(interrupt::STATUS.into())
}

impl Arguments {
    /// Preset, then file, then `--set`, then flags.
    fn settings(&self) -> Result<PretrainSettings, Fault> {
        let resumed = self.out.as_ref().filter(|_| self.resume).map(|out| out.join("config.toml"));
        let mut s = match (&self.config, &self.preset, resumed.filter(|file| file.is_file())) {
            // A resume without settings goes on with the run's own.
            (None, None, Some(resumed)) => PretrainSettings::read(&resumed)?,
            (config, preset, _) => {
                let data = self.data.clone().unwrap_or_default();
                let base = PretrainSettings::named(preset.as_deref().unwrap_or("small"), data).or_bad_argument()?;
                config.as_ref().map_or(Ok(base.clone()), |file| base.with_file(file)).or_bad_argument()?
            }
        };
        for assignment in &self.sets {
            s = s.with_set(assignment).or_bad_argument()?;
        }
        let Self { data, dataset, arch, init, image_size, epochs, batch_size, .. } = self;
        set(&mut s.data.dir, data.clone());
        set(&mut s.data.dataset, *dataset);
        set(&mut s.arch, *arch);
        set(&mut s.init, init.clone());
        set(&mut s.init_moco, self.init_moco.then_some(true));
        set(&mut s.views.size, *image_size);
        set(&mut s.train.epochs, *epochs);
        set(&mut s.train.batch_size, *batch_size);
        set(&mut s.train.schedule.lr, self.lr);
        set(&mut s.train.optimizer.weight_decay, self.wd);
        set(&mut s.train.moco.queue_size, self.moco_k);
        set(&mut s.train.moco.momentum, self.moco_m);
        set(&mut s.train.moco.temperature, self.moco_t);
        set(&mut s.train.moco.dim, self.moco_dim);
        set(&mut s.train.moco.mlp, self.mlp.then_some(true));
        set(&mut s.train.schedule.decay, self.decay());
        set(&mut s.print_freq, self.print_freq);
        set(&mut s.train.seed, self.seed);
        set(&mut s.workers, self.workers);
        set(&mut s.augment_on, self.augment_on);
        set(&mut s.device, self.device.device);
        set(&mut s.precision, self.precision);
        set(&mut s.data.on_bad, self.on_bad_image);
        set(&mut s.data.cache, self.cache.clone());
        set(&mut s.data.patient_regex, self.patient_regex.clone());
        if s.data.dir.as_os_str().is_empty() {
            let fault = "no data: found neither --data nor data.dir in --config, expected a folder";
            return Err(BadArgument::fault(fault));
        }
        s.validate().or_bad_argument()?;
        Ok(s)
    }

    /// By the flags of MoCo, whose steps are of a factor of 0.1.
    fn decay(&self) -> Option<Decay> {
        if self.cos {
            return Some(Decay::Cosine);
        }
        (!self.schedule.is_empty()).then(|| Decay::Milestones { epochs: self.schedule.clone(), factor: 0.1 })
    }
}

fn set<T>(setting: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *setting = value;
    }
}
