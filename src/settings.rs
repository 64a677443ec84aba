//! Settings of a pretraining run: preset, then file, then `--set` and flags, each laid over the one before.

use std::path::{Path, PathBuf};

use backbones::{Arch, Normalization};
use cxr_data::{Dataset, OnBad, ViewConfig};
use moco_core::{Keep, Preset, TrainConfig};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::{DeviceChoice, Error, Result};

/// All settings of `pretrain`, as in a run's `config.toml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PretrainSettings {
    /// Architecture.
    pub arch: Arch,
    /// Input channels of the first convolution: 3 to begin from or compare with published weights, 1 for a grey network.
    pub channels: usize,
    /// `random`, or a weight file.
    pub init: String,
    /// Where it runs. A resume may change it.
    pub device: DeviceChoice,
    /// Threads that decode and augment; 0 for one per core. A resume may change it.
    pub workers: usize,
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

impl PretrainSettings {
    /// A preset, with views at its image size, for the data in `dir`.
    pub fn preset(preset: &Preset, dir: impl Into<PathBuf>) -> Self {
        let views = if preset.name == "small" { ViewConfig::small } else { ViewConfig::moco_cxr };
        Self {
            arch: preset.arch,
            channels: 3,
            init: if preset.imagenet { "imagenet" } else { "random" }.to_owned(),
            device: DeviceChoice::Auto,
            workers: 0,
            data: DataSettings {
                dir: dir.into(),
                dataset: Dataset::Auto,
                on_bad: OnBad::Fail,
                key_from: if preset.name == "medaug" { KeyFrom::Study } else { KeyFrom::Image },
                in_memory: false,
            },
            normalization: Normalization::MOCO_CXR,
            checkpoints: CheckpointSettings { every_steps: 0, keep: Keep::default() },
            views: views(preset.image_size),
            train: preset.train.clone(),
        }
    }

    /// The preset called `name`.
    ///
    /// # Errors
    /// Names the presets there are.
    pub fn named(name: &str, dir: impl Into<PathBuf>) -> Result<Self> {
        let preset = Preset::named(name).ok_or_else(|| Error::Setting {
            key: "preset".into(),
            found: format!("{name:?}"),
            expected: format!("one of {}", Preset::all().map(|p| p.name).join(", ")),
        })?;
        Ok(Self::preset(&preset, dir))
    }

    /// Reads a `config.toml`.
    ///
    /// # Errors
    /// A file that cannot be read, or settings that are unknown, missing or of the wrong type, by line.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
        toml::from_str(&text).map_err(|e| in_file(path, &text, &e))
    }

    /// As it stands in `config.toml`.
    ///
    /// # Errors
    /// Settings that TOML cannot hold.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string_pretty(self).map_err(|e| config("settings", e))
    }

    /// These settings with those of a TOML file (any subset of them) laid over.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn with_file(&self, path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
        let over: Table = toml::from_str(&text).map_err(|e| in_file(path, &text, &e))?;
        self.with(over, &path.display().to_string())
    }

    /// These settings with `key=value` laid over, where `key` is a path such as `train.moco.temperature`.
    ///
    /// # Errors
    /// No `=`, an unknown key, or a value of the wrong type.
    pub fn with_set(&self, assignment: &str) -> Result<Self> {
        let origin = format!("--set {assignment}");
        let (key, value) = assignment.split_once('=').ok_or_else(|| config(&origin, "expected KEY=VALUE"))?;
        let value = parse(value.trim());
        let nested = key
            .trim()
            .rsplit('.')
            .fold(value, |value, part| Value::Table(Table::from_iter([(part.to_owned(), value)])));
        let Value::Table(over) = nested else { return Err(config(&origin, "expected KEY=VALUE")) };
        self.with(over, &origin)
    }

    fn with(&self, over: Table, origin: &str) -> Result<Self> {
        let mut table = Table::try_from(self).map_err(|e| config(origin, e))?;
        lay_over(&mut table, over);
        table.try_into().map_err(|e: toml::de::Error| config(origin, e.message()))
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
        self.views.validate()?;
        Ok(self.train.validate()?)
    }
}

/// A TOML value, or a bare word as text.
fn parse(text: &str) -> Value {
    toml::from_str::<Table>(&format!("v = {text}"))
        .ok()
        .and_then(|mut table| table.remove("v"))
        .unwrap_or_else(|| Value::String(text.to_owned()))
}

/// Tables are merged, all else replaced; a table with one key and no counterpart (an enum with data) replaces whole.
fn lay_over(base: &mut Table, over: Table) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(Value::Table(base)), Value::Table(over)) if over.keys().any(|k| base.contains_key(k)) => {
                lay_over(base, over);
            }
            // An integer where a decimal number stands, as people write them.
            (Some(Value::Float(base)), Value::Integer(over)) => *base = over as f64,
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

/// A fault of a file on one line, where TOML would draw the place.
fn in_file(path: &Path, text: &str, e: &toml::de::Error) -> Error {
    let line = e.span().map_or(1, |at| 1 + text[..at.start].matches('\n').count());
    config(format!("{} line {line}", path.display()), e.message())
}

fn config(origin: impl ToString, reason: impl ToString) -> Error {
    Error::Config { origin: origin.to_string(), reason: reason.to_string() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn small() -> PretrainSettings {
        PretrainSettings::named("small", "data").unwrap()
    }

    #[test]
    fn every_preset_survives_its_own_file() {
        for preset in Preset::all() {
            let settings = PretrainSettings::preset(&preset, "data");
            settings.validate().unwrap();
            assert_eq!(toml::from_str::<PretrainSettings>(&settings.to_toml().unwrap()).unwrap(), settings);
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
    fn an_unknown_key_is_refused_by_name() {
        let fault = small().with_set("train.moco.temprature=0.1").unwrap_err().to_string();
        assert!(fault.contains("temprature") && fault.contains("temperature"), "{fault}");
    }
}
