//! `moco-cxr pretrain`.

mod dry_run;

use std::{path::PathBuf, time::Instant};

use clap::Args;
use moco_cxr::{
    DeviceChoice, Error, Existing, PretrainSettings, Watch,
    backbones::{Arch, Precision},
    check::{MemoryEstimate, available_memory},
    device::idle_gpu,
    moco_core::{Decay, End},
    pretrain::{AugmentOn, pretrain_among},
    ranks::Ranks,
};
use serde_json::json;

use crate::{
    Fault,
    flags::{
        bad_argument::BadArgument,
        device::DeviceArguments,
        new_name::new_name,
        output::{OutputArguments, print_json},
        private::PrivateArguments,
        ranks::{as_rank, together},
        seed::SeedArguments,
        settings::{SettingsArguments, set},
        time::Time,
    },
    terminal::print::outln,
    terminal::{
        fetch::fetch,
        interrupt::{self, Interrupt},
        progress::Progress,
        watch::Terminal,
    },
};

/// Pretrain a network on radiographs without labels.
#[derive(Debug, Args)]
#[command(
    after_help = "Settings come from the preset, then --config, then --set, then the other flags.\n\nCtrl-C, SIGTERM, SIGHUP and SIGUSR1 finish the step and write a checkpoint (exit status 130); a second one stops at once.\n\nStarted by mpirun or srun as several processes, they are one run, one for each device, and --batch-size is that of all together (a build with the feature mpi; docs/scale.md).\n\nExample:\n  moco-cxr pretrain --data CheXpert-v1.0-small --preset small --image-size 128 --out runs/first\n  moco-cxr pretrain --out runs/first --resume"
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    settings: SettingsArguments,
    /// Architecture: resnet18, resnet34, resnet50, densenet121, or resnet18-narrow to try commands fast.
    #[arg(long, short)]
    arch: Option<Arch>,
    /// Initial weights: random, imagenet, moco-cxr:NAME, the folder of a run, or a file.
    #[arg(long)]
    init: Option<String>,
    /// Continue from the MoCo checkpoint given by --init: also take its key encoder, projection head, queue and optimiser.
    #[arg(long, requires = "init")]
    init_moco: bool,
    /// Number of epochs.
    #[arg(long)]
    epochs: Option<u64>,
    /// Images per batch, each with two views; of several ranks together.
    #[arg(long, short)]
    batch_size: Option<usize>,
    /// Learning rate.
    #[arg(long)]
    lr: Option<f64>,
    /// Weight decay.
    #[arg(long)]
    wd: Option<f64>,
    /// Queue length, K; 0 chooses one by the size of the set.
    #[arg(long)]
    moco_k: Option<usize>,
    /// Momentum of the key encoder, m.
    #[arg(long)]
    moco_m: Option<f64>,
    /// Let the momentum rise to 1 along half a cosine (--set train.moco.momentum_end=M for another end).
    #[arg(long)]
    moco_m_cos: bool,
    /// Softmax temperature, T.
    #[arg(long)]
    moco_t: Option<f64>,
    /// Embedding dimension.
    #[arg(long)]
    moco_dim: Option<usize>,
    /// Use the two-layer head of MoCo v2, as every preset does (--set train.moco.mlp=false gives the single layer of v1).
    #[arg(long)]
    mlp: bool,
    /// Batch norm behind both layers of the head, the last without scale, as in MoCo v3.
    #[arg(long)]
    head_norm: bool,
    /// Keys of the same batch are negatives, too.
    #[arg(long)]
    batch_negatives: bool,
    /// Symmetric loss: each view is query once and key once.
    #[arg(long)]
    symmetric: bool,
    /// Epochs over which the learning rate rises from 0 (--set train.schedule.warmup_share=S for a share of all steps).
    #[arg(long)]
    warmup_epochs: Option<f64>,
    /// Cosine schedule: the learning rate falls to 0 along half a cosine.
    #[arg(long, conflicts_with = "schedule")]
    cos: bool,
    /// Step schedule: divide the learning rate by 10 at each of these epochs, counted from 0.
    #[arg(long, value_name = "EPOCH", num_args = 1.., value_delimiter = ',')]
    schedule: Vec<u64>,
    /// Where views are augmented: host, or device, which halves the upload (for the augmentations of the paper only).
    #[arg(long, value_name = "WHERE")]
    augment_on: Option<AugmentOn>,
    #[command(flatten)]
    seed: SeedArguments,
    #[command(flatten)]
    device: DeviceArguments,
    #[command(flatten)]
    private: PrivateArguments,
    /// Precision of the activations: f32 or bf16.
    #[arg(long)]
    precision: Option<Precision>,
    /// Folder of the cache of decoded, resized images, which is created or completed before the first step.
    #[arg(long, value_name = "DIR", value_parser = new_name())]
    cache: Option<PathBuf>,
    /// Folder of labelled images that choose the best epoch: their valid part is scored after every epoch. Needs --probe-task.
    #[arg(long, value_name = "DIR", requires = "probe_task")]
    probe_data: Option<PathBuf>,
    /// Label column of the images in --probe-data.
    #[arg(long, value_name = "NAME")]
    probe_task: Option<String>,
    /// Folder of the run; new or empty unless --resume or --overwrite is given. Not needed with --dry-run.
    #[arg(long, value_name = "RUN", required_unless_present = "dry_run", value_parser = new_name())]
    out: Option<PathBuf>,
    /// Resume from the newest checkpoint in --out.
    #[arg(long, conflicts_with = "overwrite")]
    resume: bool,
    /// Replace the run in --out.
    #[arg(long)]
    overwrite: bool,
    /// Stop in time before this much time has passed since the start, with a checkpoint (exit status 130), e.g. 11h50m.
    #[arg(long, value_name = "TIME")]
    max_time: Option<Time>,
    /// Begin even if the estimated memory is more than this machine has.
    #[arg(long)]
    no_memory_check: bool,
    /// Print the resolved settings and estimates of memory and, from a few steps on random images, time; then stop.
    #[arg(long)]
    dry_run: bool,
    /// Of a run on several ranks (mpirun, srun): end it when one of them lets the others wait for longer than this.
    #[arg(long, value_name = "TIME", default_value = "10m")]
    rank_timeout: Time,
    /// Print a line every N steps. [default: a line per minute, or none with a progress bar]
    #[arg(long, short, value_name = "N")]
    print_freq: Option<u64>,
    #[command(flatten)]
    output: OutputArguments,
}

/// Several processes that were started together are one run.
pub(crate) fn run(arguments: Arguments) -> Result<(), Fault> {
    let begun = Instant::now();
    let deadline = arguments.rank_timeout.0;
    let end = together(deadline, |ranks| work(arguments, begun, ranks))?;
    match end {
        End::Finished => Ok(()),
        // Everything is on disk, but the status tells a script that the run is not finished.
        End::Stopped => std::process::exit(interrupt::STATUS.into()),
    }
}

fn work(mut arguments: Arguments, begun: Instant, ranks: &Ranks) -> Result<End, Fault> {
    let mut settings = arguments.settings()?;
    as_rank(ranks, settings.device, &mut arguments.device, &mut arguments.output);
    let quiet = arguments.output.quiet();
    let left_to_us = arguments.device.device.unwrap_or(settings.device) == DeviceChoice::Auto;
    if let Some(text) = idle_gpu().filter(|_| left_to_us && ranks.is_first()) {
        Terminal::new(quiet).note(&text);
    }
    settings.device = arguments.device.choose(settings.device, quiet)?;
    if arguments.dry_run {
        dry_run::run(&settings, arguments.output.json())?;
        return Ok(End::Finished);
    }
    let Some(out) = arguments.out.as_deref() else {
        return Err(BadArgument::found("--out", "nothing", "the folder of the run"));
    };
    let existing = match (arguments.resume, arguments.overwrite) {
        (true, _) => Existing::Resume,
        (_, true) => Existing::Overwrite,
        _ => Existing::Refuse,
    };
    settings.validate()?;
    if !arguments.no_memory_check {
        check_memory(&settings, ranks)?;
    }
    ranks.in_turn("published weights are fetched", || Ok(fetch(&settings.init, Some(settings.arch), quiet)))??;
    let images_per_step = settings.train.batch_size * settings.train.accumulate;
    let end = arguments.max_time.map(|limit| begun + limit.0);
    let mut progress = Progress::new(quiet, settings.print_freq > 0, images_per_step, Interrupt::listen()?, end);
    let run = pretrain_among(&settings, out, existing, ranks, &mut progress).map_err(|error| match error {
        Error::NotEmpty { .. } => {
            Fault::from(format!("{error} (or --resume to continue the run in it, --overwrite to replace it)"))
        }
        other => other.into(),
    })?;
    progress.finish();
    let finished = run.end == End::Finished;
    if !ranks.is_first() {
        return Ok(run.end);
    }
    let again = format!("moco-cxr pretrain --resume --out {}", out.display());
    if arguments.output.json() {
        print_json(&json!({
            "run": run.folder.path(),
            "finished": finished,
            "step": run.step,
            "images": run.manifest.records.len(),
            "weights": finished.then(|| run.folder.join("export")),
            "resume": (!finished).then_some(&again),
            "last_epoch": progress.last,
        }))?;
    } else if finished {
        outln!("weights: {}", run.folder.join("export").display())?;
    } else {
        outln!("stopped at step {}; resume with: {again}", run.step)?;
    }
    Ok(run.end)
}

/// Refuses a run that would end without memory, perhaps after hours. For the CPU; a GPU's memory is not known beforehand.
fn check_memory(settings: &PretrainSettings, ranks: &Ranks) -> Result<(), Fault> {
    let mut part = settings.clone();
    part.train.batch_size = (settings.train.batch_size / ranks.size()).max(1);
    let needed = MemoryEstimate::of(&part).total();
    match available_memory().map(|there| there / ranks.launch().local_size as u64) {
        Some(there) if settings.device.is_cpu() && needed > there => Err(Fault::from(format!(
            "memory: the run needs about {:.1} GB and {:.1} GB are available; give a smaller --batch-size, --image-size or \
             --moco-k (--dry-run shows what takes how much), or --no-memory-check to try",
            needed as f64 / 1e9,
            there as f64 / 1e9
        ))),
        _ => Ok(()),
    }
}

impl Arguments {
    fn settings(&self) -> Result<PretrainSettings, Fault> {
        let resumed = self.out.as_deref().filter(|out| self.resume && out.join("config.toml").is_file());
        self.settings.resolve(resumed, |s| {
            set(&mut s.arch, self.arch);
            set(&mut s.init, self.init.clone());
            set(&mut s.init_moco, self.init_moco.then_some(true));
            set(&mut s.train.epochs, self.epochs);
            set(&mut s.train.batch_size, self.batch_size);
            set(&mut s.train.schedule.lr, self.lr);
            set(&mut s.train.optimizer.weight_decay, self.wd);
            set(&mut s.train.moco.queue_size, self.moco_k);
            set(&mut s.train.moco.momentum, self.moco_m);
            set(&mut s.train.moco.momentum_end, self.moco_m_cos.then_some(Some(1.0)));
            set(&mut s.train.moco.temperature, self.moco_t);
            set(&mut s.train.moco.dim, self.moco_dim);
            set(&mut s.train.moco.mlp, self.mlp.then_some(true));
            set(&mut s.train.moco.head_norm, self.head_norm.then_some(true));
            set(&mut s.train.moco.batch_negatives, self.batch_negatives.then_some(true));
            set(&mut s.train.moco.symmetric, self.symmetric.then_some(true));
            if let Some(epochs) = self.warmup_epochs {
                (s.train.schedule.warmup_epochs, s.train.schedule.warmup_share) = (epochs, 0.0);
            }
            set(&mut s.train.schedule.decay, self.decay());
            set(&mut s.train.seed, self.seed.seed);
            set(&mut s.print_freq, self.print_freq);
            set(&mut s.augment_on, self.augment_on);
            set(&mut s.device, self.device.device);
            set(&mut s.private, self.private.private.then_some(true));
            set(&mut s.precision, self.precision);
            set(&mut s.data.cache, self.cache.clone());
            set(&mut s.probe.data, self.probe_data.clone());
            set(&mut s.probe.task, self.probe_task.clone());
        })
    }

    /// The schedule of MoCo's flags, whose steps have a factor of 0.1.
    fn decay(&self) -> Option<Decay> {
        if self.cos {
            return Some(Decay::Cosine);
        }
        (!self.schedule.is_empty()).then(|| Decay::Milestones { epochs: self.schedule.clone(), factor: 0.1 })
    }
}
