//! `moco-cxr linear`.

use std::path::PathBuf;

use clap::Args;
use moco_cxr::{
    Arm, DeviceChoice, Existing, Labelled, LinearData, LoadedNetwork, ProbeSettings, RunFolder,
    backbones::Arch,
    check_against_pretraining,
    cxr_data::{Dataset, LabelPolicy, OnBad, Part},
    eval::Stamp,
    linear, load_weights, results_table,
};

use crate::Fault;

/// Fit linear heads on the frozen features of a pretrained network, and report AUROC with intervals.
#[derive(Debug, Args)]
#[command(
    visible_alias = "lincls",
    after_help = "Example:\n  moco-cxr linear --data CheXpert-v1.0-small --weights runs/first --task \"Pleural Effusion\" --fraction 0.1 --fraction 1 --out runs/first/eval"
)]
pub(crate) struct Arguments {
    /// Folder of the data set; heads are fitted on its training part.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Folder whose test (or valid) part is reported on. [default: that of --data]
    #[arg(long, value_name = "DIR")]
    test_data: Option<PathBuf>,
    /// Layout of the data.
    #[arg(long, default_value_t)]
    dataset: Dataset,
    /// Folder of a pretraining run or of an export, a weight file, or random (with --arch).
    #[arg(long, value_name = "RUN|FILE|random")]
    weights: String,
    /// Architecture of the weights: resnet18, resnet34, resnet50 or densenet121. [default: recognised by the file]
    #[arg(long, short)]
    arch: Option<Arch>,
    /// Also probe the same network with random weights, and report the paired difference.
    #[arg(long)]
    baseline_random: bool,
    /// Label column; may be repeated.
    #[arg(long = "task", value_name = "NAME", required = true)]
    tasks: Vec<String>,
    /// Fraction of the training patients whose labels are used; may be repeated.
    #[arg(long = "fraction", value_name = "F", default_values_t = [1.0])]
    fractions: Vec<f64>,
    /// Label draws of each fraction below 1.
    #[arg(long, default_value_t = 5)]
    draws: usize,
    /// What becomes of labels, as uncertain=ignore,not-mentioned=negative,views=all.
    #[arg(long, default_value_t)]
    policy: LabelPolicy,
    /// Score single images instead of studies (a study's score is its highest view's).
    #[arg(long)]
    per_image: bool,
    /// Go on when the pretraining images are gone and cannot be checked for test patients.
    #[arg(long)]
    unchecked_pretraining: bool,
    /// Images per batch while features are computed.
    #[arg(long, short, default_value_t = 64)]
    batch_size: usize,
    /// Threads that decode; 0 for one per core.
    #[arg(long, short = 'j', default_value_t = 0)]
    workers: usize,
    /// Seed of draws, folds and bootstrap.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// auto or cpu.
    #[arg(long, default_value_t)]
    device: DeviceChoice,
    /// What to do with an image that cannot be read: fail or skip.
    #[arg(long, value_name = "ACTION", default_value_t = OnBad::Fail)]
    on_bad_image: OnBad,
    /// New or empty folder for predictions, results and curves.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// No progress.
    #[arg(long, short)]
    quiet: bool,
}

pub(crate) fn run(arguments: Arguments) -> Result<(), Fault> {
    let settings = arguments.settings();
    settings.validate()?;
    RunFolder::check(&arguments.out, Existing::Refuse)?;
    let mut note = |text: &str| {
        if !arguments.quiet {
            eprintln!("note: {text}");
        }
    };
    let device = arguments.device.select()?;
    let LoadedNetwork { network, config, views, notes, provenance, run, .. } =
        load_weights(&arguments.weights, arguments.arch, arguments.seed, &device)?;
    notes.iter().chain([&provenance]).for_each(|text| note(text));
    let data = LinearData {
        train: arguments.data.clone(),
        test: arguments.test_data.clone(),
        dataset: arguments.dataset,
        on_bad: arguments.on_bad_image,
    };
    let (train, test) = data.load(settings.workers, &mut note)?;
    match run {
        Some(run) if !arguments.unchecked_pretraining => check_against_pretraining(&run, &test, &mut note)?,
        // Random weights have seen no image.
        None if arguments.weights == "random" => {}
        _ => note("not checked: whether test patients were among the pretraining images"),
    }
    let train_labels = Labelled::new(&train.manifest, &train.rows, &settings.tasks, settings.policy)?;
    let test_labels = Labelled::new(&test.manifest, &test.rows, &settings.tasks, settings.policy)?;
    for (name, part) in [("train", &train_labels), ("test", &test_labels)] {
        note(&format!("{name}: {}", part.labels()));
    }
    let arm = Arm::of(&network, views, &train_labels, &test_labels, &settings)?;
    let baseline = if arguments.baseline_random {
        let labels = (&train_labels, &test_labels);
        Some(Arm::random(&config, settings.seed, &device, &train, views, labels, &settings)?)
    } else {
        None
    };
    let outcome = linear(&train_labels, &test_labels, &arm, baseline.as_ref(), &settings)?;
    let part = if test.part == Part::Test { "test" } else { "valid" };
    let split = format!("fit on train, reported on {part}, data {}", test.manifest.hash());
    let mut stamp = Stamp::new(settings.policy.to_string(), split, "linear, standard: eval mode, nested choice of L2");
    stamp.rows = Some(if settings.fold_studies { "studies" } else { "images" }.to_owned());
    RunFolder::open(&arguments.out, Existing::Refuse)?;
    outcome.write(&arguments.out, &test_labels, &settings, &stamp)?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&outcome.results)?);
    } else {
        print!("{}", results_table(&outcome.results).to_markdown());
    }
    Ok(())
}

impl Arguments {
    fn settings(&self) -> ProbeSettings {
        let mut settings = ProbeSettings::new(self.tasks.clone());
        (settings.fractions, settings.draws) = (self.fractions.clone(), self.draws);
        (settings.policy, settings.seed, settings.batch_size) = (self.policy, self.seed, self.batch_size);
        settings.fold_studies = !self.per_image;
        settings.bootstrap.seed = self.seed;
        if self.workers > 0 {
            settings.workers = self.workers;
        }
        settings
    }
}
