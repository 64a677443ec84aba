//! Settings of a pretraining run: preset, then file, then `--set` and flags, each laid over the one before.
//!
//! Presets are the files in `configs/`, compiled in; a test compares them with [`moco_core::Preset`], where each number has
//! its source.

use std::{
    path::{Path, PathBuf},
    str::FromStr,
};

use backbones::{Arch, Normalization, Precision};
use cxr_data::{Dataset, LoadOptions, OnBad, ViewConfig, did_you_mean};
use moco_core::{Keep, TrainConfig};
use serde::{Deserialize, Serialize};
use toml::Table;

use crate::{
    device::DeviceChoice,
    error::{Error, Result},
    pretrain::layers,
};

/// Presets by name, each with its file.
const PRESETS: [(&str, &str); 4] = [
    ("moco-cxr", include_str!("../../configs/moco-cxr.toml")),
    ("moco-v2", include_str!("../../configs/moco-v2.toml")),
    ("small", include_str!("../../configs/small.toml")),
    ("medaug", include_str!("../../configs/medaug.toml")),
];

/// All settings of `pretrain`, as in a run's `config.toml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PretrainSettings {
    /// Architecture.
    pub arch: Arch,
    /// Input channels of the first convolution: 3 to begin from or compare with published weights, 1 for a grey network.
    pub channels: usize,
    /// `random`, `imagenet`, `moco-cxr:NAME`, a run, or a weight file.
    pub init: String,
    /// Goes on from a checkpoint of MoCo: takes its key encoder, projection head, queue and optimiser, too.
    #[serde(default)]
    pub init_moco: bool,
    /// Where it runs. A resume may change it.
    pub device: DeviceChoice,
    /// Arithmetic of the activations.
    pub precision: Precision,
    /// Threads that decode and augment; 0 for one per core. A resume may change it.
    pub workers: usize,
    /// Tells of every so many steps in a line, also of `train.log`; 0 for a line a minute. A resume may change it.
    #[serde(default)]
    pub print_freq: u64,
    /// Where views are sampled. The views are the same: a resume may change it.
    #[serde(default)]
    pub augment_on: AugmentOn,
    /// The images.
    pub data: DataSettings,
    /// What intensities are normalised with.
    pub normalization: Normalization,
    /// Checkpoints.
    pub checkpoints: CheckpointSettings,
    /// What a view is.
    pub views: ViewConfig,
    /// Method, optimiser, schedule.
    pub train: TrainConfig,
}

/// Where views are sampled from the images.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum AugmentOn {
    /// By the threads that decode.
    #[default]
    Host,
    /// On the device, which is given every image once and the random numbers of both views: about half the upload, and
    /// less work for the threads. For views that are moved and turned only, as the paper's are.
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

/// Where the images are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSettings {
    /// Folder of the data set.
    pub dir: PathBuf,
    /// Its layout.
    pub dataset: Dataset,
    /// What becomes of an image that cannot be read.
    pub on_bad: OnBad,
    /// Which image the key view is taken from.
    pub key_from: KeyFrom,
    /// Keeps decoded, resized images in memory (for sets that fit).
    pub in_memory: bool,
    /// Folder of the cache of decoded, resized images, completed before the first step; empty for none. A resume may
    /// change it.
    #[serde(default)]
    pub cache: PathBuf,
    /// For a set without patients: a pattern whose first group, in an image's path, is the patient; empty for none.
    #[serde(default)]
    pub patient_regex: String,
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

/// When checkpoints are written, beside the end of each epoch, and which stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointSettings {
    /// Also after every so many steps; 0 for the ends of epochs only.
    pub every_steps: u64,
    /// Which stay.
    pub keep: Keep,
}

impl DataSettings {
    /// How the folder is read.
    pub fn load_options(&self) -> LoadOptions {
        let patient_regex = Some(self.patient_regex.clone()).filter(|pattern| !pattern.is_empty());
        LoadOptions { on_bad: self.on_bad, patient_regex, ..LoadOptions::default() }
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

    /// The preset called `name`, for the data in `dir`.
    ///
    /// # Errors
    /// Names the presets there are.
    pub fn named(name: &str, dir: impl Into<PathBuf>) -> Result<Self> {
        let Some((_, text)) = PRESETS.iter().find(|(preset, _)| *preset == name) else {
            return Err(Error::Setting {
                key: "preset".into(),
                found: format!("{name:?}"),
                expected: format!("one of {}{}", Self::PRESETS.join(", "), did_you_mean(name, Self::PRESETS)),
            });
        };
        let origin = format!("preset {name}");
        let mut table: Table = toml::from_str(text).map_err(|e| layers::fault(&origin, e.message(), None))?;
        if let Some(data) = table.get_mut("data").and_then(toml::Value::as_table_mut) {
            data.insert("dir".into(), dir.into().display().to_string().into());
        }
        table.try_into().map_err(|e: toml::de::Error| layers::fault(&origin, e.message(), None))
    }

    /// Reads a `config.toml`.
    ///
    /// # Errors
    /// A file that cannot be read, or settings that are unknown, missing or of the wrong type, by line.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
        toml::from_str(&text).map_err(|e| layers::in_file(path, &text, &e, None))
    }

    /// As it stands in `config.toml`.
    ///
    /// # Errors
    /// Settings that TOML cannot hold.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string_pretty(self).map_err(|e| layers::fault("settings", &e.to_string(), None))
    }

    /// These settings with those of a TOML file (any subset of them) laid over.
    ///
    /// # Errors
    /// A file that cannot be read, an unknown key (with the one that may have been meant), a value of the wrong type.
    pub fn with_file(&self, path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
        let mut table = self.table()?;
        let over: Table = toml::from_str(&text).map_err(|e| layers::in_file(path, &text, &e, Some(&table)))?;
        let known = table.clone();
        layers::lay_over(&mut table, over);
        table.try_into().map_err(|e| layers::in_file(path, &text, &e, Some(&known)))
    }

    /// These settings with `key=value` laid over, where `key` is a path such as `train.moco.temperature`.
    ///
    /// # Errors
    /// No `=`, an unknown key (with the one that may have been meant), or a value of the wrong type.
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

    /// Checks what can be checked without the data.
    ///
    /// # Errors
    /// The first setting that is out of its range.
    pub fn validate(&self) -> Result<()> {
        if !matches!(self.channels, 1 | 3) {
            let found = self.channels.to_string();
            return Err(Error::Setting { key: "channels".into(), found, expected: "1 or 3".into() });
        }
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
        self.train.validate().map_err(|e| match e {
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
    use moco_core::Preset;

    use super::*;

    fn small() -> PretrainSettings {
        PretrainSettings::named("small", "data").unwrap()
    }

    #[test]
    fn every_preset_is_that_of_the_method_and_survives_its_own_file() {
        assert_eq!(PretrainSettings::PRESETS, Preset::all().map(|preset| preset.name));
        for preset in Preset::all() {
            let settings = PretrainSettings::named(preset.name, "data").unwrap();
            settings.validate().unwrap();
            assert_eq!(settings.train, preset.train, "{}", preset.name);
            assert_eq!((settings.arch, settings.views.size), (preset.arch, preset.image_size), "{}", preset.name);
            assert_eq!(settings.init, if preset.imagenet { "imagenet" } else { "random" }, "{}", preset.name);
            let views = if preset.name == "small" { ViewConfig::small } else { ViewConfig::moco_cxr };
            assert_eq!(settings.views, views(preset.image_size), "{}", preset.name);
            assert_eq!(settings.normalization, Normalization::MOCO_CXR);
            assert_eq!(settings.data.key_from == KeyFrom::Study, preset.name == "medaug");
            assert_eq!(toml::from_str::<PretrainSettings>(&settings.to_toml().unwrap()).unwrap(), settings);
        }
    }

    #[test]
    fn every_preset_says_what_it_costs_and_gives() {
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
            assert_eq!(settings.validate().is_ok(), name != "small", "{name}");
        }
        let fault = small().with_set("augment_on=device").unwrap().validate().unwrap_err().to_string();
        assert!(fault.contains("views.crop: found resized") && fault.contains("augment_on"), "{fault}");
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let fault = small().with_set("train.moco.temprature=0.1").unwrap_err().to_string();
        assert!(fault.contains("temprature") && fault.contains("temperature"), "{fault}");
    }
}
