//! What `linear`, `knn` and `finetune` have in common: weights, labelled data in parts, statistics.

use std::path::PathBuf;

use clap::Args;
use moco_cxr::{
    AskedPreprocessing, DrawRule, Existing, FractionResult, Labelled, Lineage, LinearData, LoadedNetwork, LoadedPart,
    Parts, Pretraining, ProbeSettings, RunFolder, ValidFrom, adapt_statistics,
    backbones::Arch,
    cxr_data::{Dataset, LabelPolicy, LoadOptions, OnBad, Part, load_with},
    eval::Stamp,
    load_weights, results_table,
};

use crate::{
    Fault,
    bad_argument::{BadArgument, OrBadArgument, patient_regex},
    device::DeviceArguments,
    fetch::fetch,
    pass_bar,
};

#[derive(Debug, Args)]
pub(crate) struct LabelledArguments {
    /// Folder of the data set; its training part is fitted on.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// Folder whose valid part is chosen on; nothing is reported on it.
    #[arg(long, value_name = "DIR")]
    pub(crate) valid_data: Option<PathBuf>,
    /// Folder whose test (or valid) part is reported on. [default: that of --data]
    #[arg(long, value_name = "DIR")]
    test_data: Option<PathBuf>,
    /// Layout of the data.
    #[arg(long, default_value_t)]
    dataset: Dataset,
    /// Folder of a run or of an export, a weight file, moco-cxr:NAME, or imagenet or random (with --arch).
    #[arg(long, value_name = "RUN|FILE|NAME")]
    weights: String,
    /// Architecture of the weights: resnet18, resnet34, resnet50 or densenet121. [default: recognised by the file]
    #[arg(long, short)]
    arch: Option<Arch>,
    /// Side of the images in pixels, where the weights do not say it.
    #[arg(long, value_name = "PX")]
    image_size: Option<usize>,
    /// Label column; may be repeated.
    #[arg(long = "task", value_name = "NAME", required = true)]
    tasks: Vec<String>,
    /// Fraction of the training patients whose labels are used; may be repeated.
    #[arg(long = "fraction", value_name = "F", default_values_t = [1.0])]
    fractions: Vec<f64>,
    /// Label draws of each fraction below 1.
    #[arg(long, default_value_t = 5)]
    draws: usize,
    /// Whose labels are drawn: patients (whole ones), or paper (image by image; of CheXpert's train.csv the paper's own
    /// draws, of Shenzhen by its rules).
    #[arg(long, value_name = "RULE", default_value_t)]
    label_draws: DrawRule,
    /// What becomes of labels, as uncertain=ignore,not-mentioned=negative,views=all.
    #[arg(long, default_value_t)]
    policy: LabelPolicy,
    /// Score single images instead of studies (a study's score is its highest view's).
    #[arg(long)]
    per_image: bool,
    /// Go on when the pretraining images are gone or changed and cannot be checked for test patients; results are stamped so.
    #[arg(long)]
    unchecked_pretraining: bool,
    /// Threads that decode; 0 for one per core.
    #[arg(long, short = 'j', default_value_t = 0)]
    workers: usize,
    /// Seed of splits, draws, folds, heads, order and bootstrap.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) device: DeviceArguments,
    /// What to do with an image that cannot be read: fail or skip.
    #[arg(long, value_name = "ACTION", default_value_t = OnBad::Fail)]
    on_bad_image: OnBad,
    /// For a set without patients: a pattern whose first group, in an image's path, is the patient.
    #[arg(long, value_name = "REGEX", value_parser = patient_regex)]
    patient_regex: Option<String>,
    /// New or empty folder for predictions, results and curves; it appears whole or not at all.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// No progress.
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// Weights and data, checked.
pub(crate) struct Prepared {
    pub(crate) settings: ProbeSettings,
    pub(crate) loaded: LoadedNetwork,
    pub(crate) parts: Parts,
    pretraining: Pretraining,
}

impl LabelledArguments {
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            eprintln!("note: {text}");
        }
    }

    /// Loads weights and data; `valid` where rows are needed to choose on and none were named.
    pub(crate) fn prepare(&self, settings: ProbeSettings, valid: ValidFrom) -> Result<Prepared, Fault> {
        settings.validate().or_bad_argument()?;
        if self.weights == "random" && self.arch.is_none() {
            let fault =
                "--arch: found none, expected resnet18, resnet34, resnet50 or densenet121 with --weights random";
            return Err(BadArgument::fault(fault));
        }
        RunFolder::check(&self.out, Existing::Refuse)?;
        let device = self.device.select()?;
        fetch(&self.weights, self.arch, self.quiet)?;
        let loaded = load_weights(&self.weights, self.arch, self.seed, &device)?;
        let asked = AskedPreprocessing { size: self.image_size, ..AskedPreprocessing::default() };
        let loaded = asked.apply(loaded, &self.weights)?;
        let mut note = |text: &str| self.note(text);
        loaded.notes.iter().chain([&loaded.provenance]).for_each(|text| note(text));
        let valid = self.valid_data.clone().map_or(valid, ValidFrom::Folder);
        self.check_tasks()?;
        let data = LinearData {
            train: self.data.clone(),
            test: self.test_data.clone(),
            dataset: self.dataset,
            on_bad: self.on_bad_image,
            patient_regex: self.patient_regex.clone(),
        };
        let parts = data.load_parts(&valid, self.seed, settings.workers, &mut note)?;
        data.check_draws(&parts, settings.draw_rule)?;
        let pretraining = self.check_pretraining(&loaded, &parts)?;
        Ok(Prepared { settings, loaded, parts, pretraining })
    }

    /// A task that is not there is found before every image is looked at. What else may be wrong is told by who reads all.
    fn check_tasks(&self) -> Result<(), Fault> {
        let patient_regex = self.patient_regex.clone();
        let options = LoadOptions { on_bad: self.on_bad_image, patient_regex, ..LoadOptions::default() };
        if let Ok(manifest) = load_with(&self.data, self.dataset, Part::Train, &options) {
            manifest.task_indices(&self.tasks)?;
        }
        Ok(())
    }

    fn check_pretraining(&self, loaded: &LoadedNetwork, parts: &Parts) -> Result<Pretraining, Fault> {
        if self.unchecked_pretraining && loaded.lineage != Lineage::none() {
            self.note("not checked: whether test patients were among the pretraining images; the results say so");
            return Ok(Pretraining::Unchecked);
        }
        Ok(parts.check_pretraining(loaded, &mut |text| self.note(text))?)
    }

    pub(crate) fn settings(&self) -> ProbeSettings {
        let mut settings = ProbeSettings::new(self.tasks.clone());
        (settings.fractions, settings.draws) = (self.fractions.clone(), self.draws);
        (settings.policy, settings.seed) = (self.policy, self.seed);
        settings.draw_rule = self.label_draws;
        settings.fold_studies = !self.per_image;
        settings.bootstrap.seed = self.seed;
        settings.watch = pass_bar::watch(self.quiet);
        if self.workers > 0 {
            settings.workers = self.workers;
        }
        settings
    }

    pub(crate) fn print(&self, results: &[FractionResult]) -> Result<(), Fault> {
        if self.json {
            println!("{}", serde_json::to_string_pretty(results)?);
        } else {
            print!("{}", results_table(results).to_markdown());
        }
        Ok(())
    }

    /// Running statistics for random weights, without which their features in eval mode say nothing.
    pub(crate) fn adapt_random(&self, prepared: &mut Prepared) -> Result<(), Fault> {
        let Prepared { settings, loaded, parts, .. } = prepared;
        if self.weights == "random" {
            self.note("random weights: running statistics are estimated on the training images");
            let (manifest, rows) = (&parts.train.manifest, &parts.train.rows);
            adapt_statistics(&mut loaded.network, manifest, rows, loaded.views, settings)?;
        }
        Ok(())
    }
}

impl Prepared {
    /// The parts with their labels: train, valid, test.
    pub(crate) fn labelled<'a>(
        &'a self,
        arguments: &LabelledArguments,
    ) -> Result<(Labelled<'a>, Option<Labelled<'a>>, Labelled<'a>), Fault> {
        let labelled = |name: &str, part: &'a LoadedPart| -> Result<Labelled<'a>, Fault> {
            let labels = part.labelled(&self.settings)?;
            arguments.note(&format!("{name}: {}", labels.labels()));
            Ok(labels)
        };
        let train = labelled("train", &self.parts.train)?;
        let valid = self.parts.valid.as_ref().map(|valid| labelled("valid", valid)).transpose()?;
        let name = if self.parts.test.part == Part::Test { "test" } else { "valid, reported on" };
        Ok((train, valid, labelled(name, &self.parts.test)?))
    }

    pub(crate) fn stamp(&self, protocol: impl Into<String>) -> Stamp {
        let mut stamp = self.parts.stamp(&self.settings, protocol);
        stamp.pretraining = Some(self.pretraining.to_string());
        stamp
    }
}
