//! Settings of a pretraining run: preset, then file, then `--set` and flags, each laid over the one before.
//!
//! The files in `configs/` are compiled in. `base.toml` has all settings, each with its source; a preset has only those
//! that it changes.

use std::{
    path::{Path, PathBuf},
    str::FromStr,
};

use backbones::{Arch, Normalization, Precision};
use cxr_data::{Dataset, LoadOptions, OnBad, Part, ViewConfig, did_you_mean};
use moco_core::{Forecast, Keep, TrainConfig};
use serde::{Deserialize, Serialize};
use toml::Table;

use crate::{
    data::{MOST_WORKERS, ReadAs},
    device::DeviceChoice,
    error::{Error, Result},
    files::read_text,
    pretrain::layers,
};

/// All settings but `data.dir`; every preset is laid over them.
const BASE: &str = include_str!("../../configs/base.toml");

/// Presets by name, each with its file.
const PRESETS: [(&str, &str); 4] = [
    ("moco-cxr", include_str!("../../configs/moco-cxr.toml")),
    ("moco-v2", include_str!("../../configs/moco-v2.toml")),
    ("small", include_str!("../../configs/small.toml")),
    ("medaug", include_str!("../../configs/medaug.toml")),
];

/// All settings of `pretrain`, as in a run's `config.toml`. Made by [`Self::named`] or [`Self::read`].
///
/// Files of earlier versions stay readable: a setting that is added, here or in any part, has a serde default, and the
/// default means what the tool did before. `tests/old_run.rs` reads a file of version 0.1.0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct PretrainSettings {
    /// Architecture.
    pub arch: Arch,
    /// Input channels of the first convolution: 3 to begin from or compare with published weights, 1 for a grey network.
    pub channels: usize,
    /// `random`, `imagenet`, `moco-cxr:NAME`, a run, or a weight file.
    pub init: String,
    /// Continue from a checkpoint of MoCo: take its key encoder, projection head, queue and optimiser state as well.
    #[serde(default)]
    pub init_moco: bool,
    /// Device to train on. A resume may change it.
    pub device: DeviceChoice,
    /// Precision of the activations.
    pub precision: Precision,
    /// Threads that decode and augment; 0 is one per core. A resume may change it.
    pub workers: usize,
    /// Print a line every N steps, also to `train.log`; 0 prints one a minute. A resume may change it.
    #[serde(default)]
    pub print_freq: u64,
    /// Where views are sampled. The views are the same, so a resume may change it.
    #[serde(default)]
    pub augment_on: AugmentOn,
    /// Name no folder and no file in the export, which may leave the house. A resume may change it.
    #[serde(default)]
    pub private: bool,
    /// The images.
    pub data: DataSettings,
    /// Mean and standard deviation that intensities are normalised with.
    pub normalization: Normalization,
    /// When checkpoints are written, and which are kept.
    pub checkpoints: CheckpointSettings,
    /// Labelled images by which the best epoch is chosen.
    #[serde(default)]
    pub probe: ProbeSettings,
    /// Augmentation.
    pub views: ViewConfig,
    /// Method, optimiser, schedule.
    pub train: TrainConfig,
}

/// Where views are sampled from the images.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum AugmentOn {
    /// In the threads that decode.
    #[default]
    Host,
    /// On the device, which receives each image once and the random numbers of both views: about half the upload, and
    /// less work for the threads. Only for views that are flipped, rotated and cropped, as the paper's are.
    Device,
}

impl FromStr for AugmentOn {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self> {
        match s {
            "host" => Ok(Self::Host),
            "device" => Ok(Self::Device),
            _ => {
                let (found, expected) = (format!("{s:?}"), "host or device".into());
                Err(Error::Setting { key: "augment_on".into(), found, expected })
            }
        }
    }
}

/// The images to train on, and how they are read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct DataSettings {
    /// Folder of the data set.
    pub dir: PathBuf,
    /// Layout of the folder.
    pub dataset: Dataset,
    /// Whether an image that cannot be read ends the run or is left out.
    pub on_bad: OnBad,
    /// Which image the key view is taken from.
    pub key_from: KeyFrom,
    /// Keep decoded, resized images in memory, for sets that fit.
    pub in_memory: bool,
    /// Folder of the cache of decoded, resized images, filled before the first step; empty for no cache. A resume may
    /// change it.
    #[serde(default)]
    pub cache: PathBuf,
    /// For sets without patient ids: a regular expression whose first group, matched in an image's path, is the patient;
    /// empty for none.
    #[serde(default)]
    pub patient_regex: String,
    /// The part to train on. Not set: the published training part, or all images of a set without published parts. `train`,
    /// `valid` or `test` of such a set is the share that an evaluation with the same seed makes of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<Part>,
    /// What the folder does not say by itself.
    #[serde(default, skip_serializing_if = "ReadAs::is_default")]
    pub read: ReadAs,
}

/// Which image the key view is taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum KeyFrom {
    /// The same image (MoCo).
    Image,
    /// Another image of the same study where there is one (MedAug).
    Study,
    /// Another image of the same patient where there is one (MedAug).
    Patient,
}

/// When checkpoints are written, besides the end of each epoch, and which are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct CheckpointSettings {
    /// Also write one every N steps; 0 writes them at the ends of epochs only.
    pub every_steps: u64,
    /// Which are kept.
    pub keep: Keep,
}

/// Labelled images, scored after every epoch; the best epoch is kept and exported. That is a choice by labels, and recorded
/// with the weights. Both empty: none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ProbeSettings {
    /// Folder whose valid part (or all of a set without parts) is scored. A resume may change it, not its images.
    #[serde(default)]
    pub data: PathBuf,
    /// Label column.
    #[serde(default)]
    pub task: String,
}

impl ProbeSettings {
    /// Whether there is one.
    pub fn is_set(&self) -> bool {
        !self.task.is_empty()
    }

    fn validate(&self) -> Result<()> {
        let fault = |key: &str, expected: &str| {
            let (found, expected) = ("nothing".into(), expected.into());
            Err(Error::Setting { key: key.into(), found, expected })
        };
        match (self.data.as_os_str().is_empty(), self.is_set()) {
            (true, true) => fault("probe.data", "the folder of labelled images (--probe-data) for probe.task"),
            (false, false) => fault("probe.task", "a label column (--probe-task) of the images in probe.data"),
            _ => Ok(()),
        }
    }
}

impl DataSettings {
    /// These settings as options of [`cxr_data::load_with`].
    pub fn load_options(&self) -> LoadOptions {
        let patient_regex = Some(self.patient_regex.clone()).filter(|pattern| !pattern.is_empty());
        self.read.apply(LoadOptions { on_bad: self.on_bad, patient_regex, ..LoadOptions::default() })
    }
}

impl PretrainSettings {
    /// Names of the presets.
    pub const PRESETS: [&'static str; PRESETS.len()] = {
        let mut names = [""; PRESETS.len()];
        let mut i = 0;
        while i < PRESETS.len() {
            names[i] = PRESETS[i].0;
            i += 1;
        }
        names
    };

    /// The preset `name` for the data in `dir`: `configs/base.toml` with `configs/NAME.toml` laid over it.
    ///
    /// # Errors
    /// An unknown name; the message lists the presets.
    pub fn named(name: &str, dir: impl Into<PathBuf>) -> Result<Self> {
        let Some((_, text)) = PRESETS.iter().find(|(preset, _)| *preset == name) else {
            return Err(Error::Setting {
                key: "preset".into(),
                found: format!("{name:?}"),
                expected: format!("one of {}{}", Self::PRESETS.join(", "), did_you_mean(name, Self::PRESETS)),
            });
        };
        let origin = format!("preset {name}");
        let parse = |text| toml::from_str::<Table>(text).map_err(|e| layers::fault(&origin, e.message(), None));
        let mut table = parse(BASE)?;
        layers::lay_over(&mut table, parse(text)?);
        if let Some(data) = table.get_mut("data").and_then(toml::Value::as_table_mut) {
            data.insert("dir".into(), dir.into().display().to_string().into());
        }
        table.try_into().map_err(|e: toml::de::Error| layers::fault(&origin, e.message(), None))
    }

    /// Reads a run's `config.toml`.
    ///
    /// # Errors
    /// A file that cannot be read; a setting that is unknown, missing or of the wrong type, with its line.
    pub fn read(path: &Path) -> Result<Self> {
        Self::parse(&read_text(path)?, path)
    }

    /// The settings in the text of a `config.toml`; `path` names it in an error.
    pub(crate) fn parse(text: &str, path: &Path) -> Result<Self> {
        toml::from_str(text).map_err(|e| layers::in_file(path, text, &e, None))
    }

    /// The text of a `config.toml` with these settings.
    ///
    /// # Errors
    /// Settings that TOML cannot hold, such as an integer above `i64::MAX`.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string_pretty(self).map_err(|e| layers::fault("settings", &e.to_string(), None))
    }

    /// These settings with those of a TOML file, which may have any subset, laid over them. A complete file, as of a run,
    /// stands alone: a setting that its version did not have means what it did then, not what a preset says.
    ///
    /// # Errors
    /// A file that cannot be read, an unknown key (with a suggestion), a value of the wrong type.
    pub fn with_file(&self, path: &Path) -> Result<Self> {
        let text = read_text(path)?;
        if let Ok(complete) = toml::from_str(&text) {
            return Ok(complete);
        }
        let mut table = self.table()?;
        let over: Table = toml::from_str(&text).map_err(|e| layers::in_file(path, &text, &e, Some(&table)))?;
        let known = table.clone();
        layers::lay_over(&mut table, over);
        table.try_into().map_err(|e| layers::in_file(path, &text, &e, Some(&known)))
    }

    /// These settings with `key=value` laid over them, where `key` is a path such as `train.moco.temperature`.
    ///
    /// # Errors
    /// No `=`, an unknown key (with a suggestion), or a value of the wrong type.
    pub fn with_set(&self, assignment: &str) -> Result<Self> {
        let origin = format!("--set {assignment}");
        let mut table = self.table()?;
        let known = table.clone();
        layers::lay_over(&mut table, layers::assignment(assignment)?);
        table.try_into().map_err(|e: toml::de::Error| layers::fault(&origin, e.message(), Some(&known)))
    }

    fn table(&self) -> Result<Table> {
        Table::try_from(self).map_err(|e| layers::fault("settings", &e.to_string(), None))
    }

    /// These settings for a set of so many images: a queue whose length is 0 gets one by the size of the set, see
    /// [`MocoConfig::queue_for`](moco_core::MocoConfig::queue_for).
    #[must_use]
    pub fn for_images(&self, images: usize) -> Self {
        let mut settings = self.clone();
        let train = &mut settings.train;
        if train.moco.queue_size == 0 {
            train.moco.queue_size = train.moco.queue_for(images, train.batch_size);
        }
        settings
    }

    /// What is known to be wrong with a run of so many images before it begins, each with the setting that solves it. To be
    /// called with the settings [for these images](Self::for_images).
    pub fn forecast(&self, images: usize) -> Vec<String> {
        let words = |found: Forecast| {
            let Forecast { diagnosis, found, setting, value } = found;
            format!("{}: {found}; try --set train.{setting}={value}", diagnosis.cause())
        };
        let TrainConfig { epochs, schedule, .. } = &self.train;
        let warmup = schedule.warmup(*epochs);
        let unending = (warmup >= *epochs as f64).then(|| {
            format!(
                "the warm-up of {warmup} epochs does not end within {epochs}, so that the learning rate never is {}; try --set \
                 train.schedule.warmup_epochs=0",
                schedule.lr
            )
        });
        self.train.forecast(images).into_iter().map(words).chain(unending).collect()
    }

    /// Checks everything that can be checked without the data.
    ///
    /// # Errors
    /// The first setting that is out of range.
    pub fn validate(&self) -> Result<()> {
        if !matches!(self.channels, 1 | 3) {
            let found = self.channels.to_string();
            return Err(Error::Setting { key: "channels".into(), found, expected: "1 or 3".into() });
        }
        if self.workers > MOST_WORKERS {
            let expected = format!("at most {MOST_WORKERS}, or 0 for one per core");
            return Err(Error::Setting { key: "workers".into(), found: self.workers.to_string(), expected });
        }
        let Normalization { mean, std } = self.normalization;
        let within = |key: &str, values: [f64; 3], range: std::ops::RangeInclusive<f64>, expected: &str| match values
            .iter()
            .all(|value| range.contains(value))
        {
            true => Ok(()),
            false => Err(Error::Setting { key: key.into(), found: format!("{values:?}"), expected: expected.into() }),
        };
        within("normalization.mean", mean, -1e3..=1e3, "three numbers, of intensities in [0, 1]")?;
        within("normalization.std", std, 1e-6..=1e6, "three numbers above 0, of intensities in [0, 1]")?;
        self.data.load_options().validate()?;
        let of_views = |reason: &'static str| {
            move |e| match e {
                cxr_data::Error::View { field, found, expected } => {
                    Error::Setting { key: format!("views.{field}"), found, expected: format!("{expected}{reason}") }
                }
                other => Error::from(other),
            }
        };
        self.views.validate().map_err(of_views(""))?;
        if self.augment_on == AugmentOn::Device {
            self.views.validate_map_only().map_err(of_views(" where views are sampled on the device (augment_on)"))?;
        }
        self.probe.validate()?;
        // A length by the size of the set is never out of range.
        self.for_images(1).train.validate().map_err(|e| match e {
            moco_core::Error::Config { key, found, expected } => {
                Error::Setting { key: format!("train.{key}"), found, expected: expected.into() }
            }
            other => other.into(),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use cxr_data::{Crop, Operation, Sampling};
    use moco_core::{Decay, QueueInit, Rule};

    use super::*;

    fn small() -> PretrainSettings {
        PretrainSettings::named("small", "data").unwrap()
    }

    #[test]
    fn presets_are_valid_and_survive_their_own_file() {
        for name in PretrainSettings::PRESETS {
            let settings = PretrainSettings::named(name, "data").unwrap();
            settings.validate().unwrap();
            assert_eq!(settings.data.dir, Path::new("data"));
            assert_eq!(settings.normalization, Normalization::MOCO_CXR, "{name}");
            if name != "moco-v2" {
                let views = if name == "small" { ViewConfig::small } else { ViewConfig::moco_cxr };
                assert_eq!(settings.views, views(settings.views.size), "{name}");
            }
            assert_eq!(toml::from_str::<PretrainSettings>(&settings.to_toml().unwrap()).unwrap(), settings);
        }
    }

    /// The numbers that make a preset, as literals. Sources: `configs/*.toml`.
    #[test]
    fn presets_have_the_published_numbers() {
        let facts = |name| {
            let PretrainSettings { arch, init, data, views, train: t, .. } =
                PretrainSettings::named(name, "data").unwrap();
            // In every preset: dimensions, temperature and head of MoCo v2; weight decay on all tensors.
            assert_eq!((t.moco.dim, t.moco.temperature, t.moco.mlp), (128, 0.2, true));
            // In those of papers: their momentum, and none of this project's options.
            let (options, own) = ((t.moco.head_norm, t.moco.batch_negatives), name == "small");
            assert_eq!((t.moco.momentum, options), if own { (0.99, (true, true)) } else { (0.999, (false, false)) });
            assert_eq!((t.moco.momentum_end, t.moco.symmetric), (None, false));
            assert_eq!(t.schedule.warmup_share, if own { 0.1 } else { 0.0 });
            assert_eq!((t.optimizer.weight_decay, t.optimizer.decay_norm_and_bias), (1e-4, true));
            assert_eq!(
                (t.accumulate, t.clip_norm, t.moco.shuffle_keys, t.moco.mask_same_patient),
                (1, None, true, false)
            );
            let moco = (t.moco.queue_size, t.moco.queue_init, t.moco.groups);
            let schedule = (t.schedule.lr, t.schedule.warmup_epochs, t.schedule.decay);
            ((arch, init, data.key_from, views.size), (t.epochs, t.batch_size), moco, t.optimizer.rule, schedule)
        };
        let adam = Rule::Adam { betas: (0.9, 0.999), eps: 1e-8 };
        let milestones = || Decay::Milestones { epochs: vec![12, 18, 24], factor: 0.1 };
        // MoCo-CXR, arXiv:2010.05352: r8w1n416.sh and the defaults of main_moco.py.
        let expected = (
            (Arch::ResNet18, "imagenet".into(), KeyFrom::Image, 320),
            (20, 16),
            (24_576, QueueInit::Random, 1),
            adam,
            (1e-4, 0.0, milestones()),
        );
        assert_eq!(facts("moco-cxr"), expected);
        // MedAug, MLHC 2021: "same hyperparameters as r8w1n416", the key from the same study.
        let expected = (
            (Arch::ResNet18, "imagenet".into(), KeyFrom::Study, 320),
            (20, 16),
            (24_576, QueueInit::Random, 1),
            adam,
            (1e-4, 0.0, milestones()),
        );
        assert_eq!(facts("medaug"), expected);
        // MoCo v2, arXiv:2003.04297: README and the defaults of main_moco.py, on eight GPUs.
        let expected = (
            (Arch::ResNet50, "random".into(), KeyFrom::Image, 224),
            (200, 256),
            (65_536, QueueInit::Random, 8),
            Rule::Sgd { momentum: 0.9, nesterov: false },
            (0.03, 0.0, Decay::Cosine),
        );
        assert_eq!(facts("moco-v2"), expected);
        assert_eq!(PretrainSettings::named("moco-v2", "data").unwrap().train, TrainConfig::default());
        // This project's own.
        let expected = (
            (Arch::ResNet18, "random".into(), KeyFrom::Image, 128),
            (100, 32),
            (0, QueueInit::Masked, 1),
            adam,
            (1e-3, 0.0, Decay::Cosine),
        );
        assert_eq!(facts("small"), expected);
    }

    /// `main_moco.py --aug-plus` of facebookresearch/moco, without colour.
    #[test]
    fn views_of_moco_v2_are_those_published() {
        let views = PretrainSettings::named("moco-v2", "data").unwrap().views;
        assert_eq!((views.size, views.flip, views.sampling), (224, 0.5, Sampling::Bilinear));
        let Crop::Resized { min_area, max_area, max_aspect } = views.crop else { panic!("{:?}", views.crop) };
        assert_eq!((min_area, max_area, max_aspect), (0.2, 1.0, 4.0 / 3.0));
        let facts = |operation: Operation| (operation.probability, operation.strength);
        assert_eq!([views.brightness, views.contrast, views.blur].map(facts), [(0.8, 0.4), (0.8, 0.4), (0.5, 2.0)]);
        let off = [views.rotation, views.gamma, views.noise, views.erasing].map(|operation| operation.probability);
        assert_eq!((off, views.clahe.probability), ([0.0; 4], 0.0));
    }

    #[test]
    fn the_queue_gets_its_length_from_the_set() {
        for (images, expected) in [(800, 128), (2_200, 512), (5_000, 512), (223_414, 512)] {
            assert_eq!(small().for_images(images).train.moco.queue_size, expected, "{images} images");
        }
        let set = small().with_set("train.moco.queue_size=77").unwrap();
        assert_eq!(set.for_images(5_000).train.moco.queue_size, 77, "a number stays");
    }

    #[test]
    fn the_later_of_two_kinds_of_warm_up_stands_alone() {
        let warmup = |settings: &PretrainSettings| {
            settings.validate().unwrap();
            (settings.train.schedule.warmup_epochs, settings.train.schedule.warmup_share)
        };
        let number = small().with_set("train.schedule.warmup_epochs=2").unwrap();
        assert_eq!((warmup(&small()), warmup(&number)), ((0.0, 0.1), (2.0, 0.0)));
        assert_eq!(warmup(&number.with_set("train.schedule.warmup_share=0.05").unwrap()), (0.0, 0.05));
        assert_eq!(warmup(&small().with_set("train.schedule.warmup_epochs=0").unwrap()), (0.0, 0.0));
    }

    #[test]
    fn a_probe_needs_images_and_a_task() {
        let fault = |set: &str| small().with_set(set).unwrap().validate().unwrap_err().to_string();
        assert!(
            fault("probe.data=labelled").contains("probe.task") && fault("probe.task=Edema").contains("probe.data")
        );
        let both = small().with_set("probe.data=labelled").unwrap().with_set("probe.task=Edema").unwrap();
        both.validate().unwrap();
        assert_eq!(toml::from_str::<PretrainSettings>(&both.to_toml().unwrap()).unwrap(), both);
    }

    #[test]
    fn a_preset_states_only_what_it_changes() {
        for (name, text) in PRESETS {
            let base: Table = toml::from_str(BASE).unwrap();
            let preset: Table = toml::from_str(text).unwrap();
            let mut both = base.clone();
            layers::lay_over(&mut both, preset.clone());
            let repeated = repeated(&base, &preset, "");
            assert!(repeated.is_empty(), "configs/{name}.toml repeats configs/base.toml: {repeated:?}");
            assert_ne!(both, base, "{name}");
        }
    }

    /// Paths of the settings that both have with the same value.
    fn repeated(base: &Table, preset: &Table, prefix: &str) -> Vec<String> {
        let path = |key: &String| format!("{prefix}{key}");
        let mut found = Vec::new();
        for (key, value) in preset {
            match (base.get(key), value) {
                // A choice with settings of its own is stated whole.
                (Some(toml::Value::Table(base)), toml::Value::Table(value)) if !value.contains_key("name") => {
                    found.extend(repeated(base, value, &format!("{}.", path(key))));
                }
                (Some(base), value) if base == value => found.push(path(key)),
                _ => (),
            }
        }
        found
    }

    #[test]
    fn every_preset_states_its_cost_and_expected_result() {
        for (name, text) in PRESETS {
            let head: String = text.lines().take_while(|line| line.starts_with('#')).collect();
            for fact in ["command", "hardware", "time", "expected", &format!("--preset {name} ")] {
                assert!(head.contains(fact), "configs/{name}.toml does not state {fact}");
            }
            let time = head.split("# time").nth(1).and_then(|rest| rest.split("# expected").next()).unwrap();
            assert!(time.contains(" images/s ") && time.contains("--dry-run"), "configs/{name}.toml: {time}");
        }
    }

    #[test]
    fn later_settings_win_and_the_rest_stays() {
        let changed = small().with_set("train.moco.temperature=0.1").unwrap().with_set("arch=resnet50").unwrap();
        assert_eq!(changed.train.moco.temperature, 0.1);
        assert_eq!(changed.arch, Arch::ResNet50);
        assert_eq!(changed.train.moco.queue_size, small().train.moco.queue_size);
        assert_eq!(small().with_set("train.schedule.lr=1").unwrap().train.schedule.lr, 1.0);
    }

    #[test]
    fn views_that_a_device_cannot_sample_are_refused_by_setting() {
        for name in PretrainSettings::PRESETS {
            let mut settings = PretrainSettings::named(name, "data").unwrap();
            settings.augment_on = "device".parse().unwrap();
            assert_eq!(settings.validate().is_ok(), !matches!(name, "small" | "moco-v2"), "{name}");
        }
        let fault = small().with_set("augment_on=device").unwrap().validate().unwrap_err().to_string();
        assert!(fault.contains("views.crop: found resized") && fault.contains("augment_on"), "{fault}");
    }

    #[test]
    fn a_normalization_that_gives_no_numbers_is_refused() {
        for (key, value) in
            [("std", "[0, 0, 0]"), ("std", "[0.2, nan, 0.2]"), ("std", "[-0.1, 1, 1]"), ("mean", "[inf, 0, 0]")]
        {
            let fault = small().with_set(&format!("normalization.{key}={value}")).unwrap().validate().unwrap_err();
            assert!(fault.to_string().starts_with(&format!("normalization.{key}: found [")), "{fault}");
        }
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let fault = small().with_set("train.moco.temprature=0.1").unwrap_err().to_string();
        assert!(fault.contains("temprature") && fault.contains("temperature"), "{fault}");
    }
}
