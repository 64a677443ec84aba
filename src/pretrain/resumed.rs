//! The settings of a run that goes on: those that it began with, whatever became of its files.

use std::path::Path;

use moco_core::differences;
use serde_json::Value;

use crate::{
    error::{Error, Result},
    files::{Watch, read_json},
    pretrain::{PretrainSettings, groups::for_ranks},
};

/// Settings that do not change the numbers, or whose change a user asks for.
fn is_free(key: &str) -> bool {
    matches!(
        key,
        "train.epochs"
            | "workers"
            | "print_freq"
            | "augment_on"
            | "private"
            | "device"
            // The data may have moved; that they are the same is checked by their hashes.
            | "data.dir"
            | "data.in_memory"
            | "data.cache"
            | "probe.data"
    ) || key.starts_with("checkpoints.")
}

impl PretrainSettings {
    /// Reads the `config.toml` of a run that is to be resumed, and compares it with the settings in its `run.json` (which runs of
    /// version 0.1.0 do not have). Also returns texts about those that differ and may.
    ///
    /// # Errors
    /// As [`Self::read`]; a setting that decides the numbers differs, so that one of the two files was changed or damaged.
    pub fn of_run(run: &Path) -> Result<(Self, Vec<String>)> {
        let (path, record) = (run.join("config.toml"), run.join("run.json"));
        let settings = Self::read(&path)?;
        if !record.is_file() {
            return Ok((settings, Vec::new()));
        }
        let began = match read_json::<Value>(&record)?.get("settings") {
            None => return Ok((settings, Vec::new())),
            Some(text) => text.as_str().and_then(|text| toml::from_str::<Self>(text).ok()),
        };
        let Some(began) = began else {
            let (key, found) = (format!("{}: settings", record.display()), "settings that cannot be read".to_owned());
            return Err(Error::Setting { key, found, expected: "those of config.toml".to_owned() });
        };
        let keys = differences(&began, &settings, is_free);
        if keys.is_empty() {
            let free = differences(&began, &settings, |_| false);
            return Ok((settings, free.into_iter().map(|change| format!("{}: {change}", path.display())).collect()));
        }
        Err(Error::Setting {
            key: path.display().to_string(),
            found: format!("other settings than in run.json: {}", keys.join("; ")),
            expected: "the settings that the run began with; put back whichever of the two files was changed"
                .to_owned(),
        })
    }
}

/// The settings to resume with, which may only differ from those of the run in free ones. A length of the queue that is left to
/// the size of the set is the run's.
///
/// Groups follow the ranks: those of the run stay, whatever is asked for, if the number of ranks divides them.
///
/// # Errors
/// As [`PretrainSettings::of_run`], and [`Error::ResumeDiffers`].
pub(super) fn same_settings(
    mut settings: PretrainSettings,
    out: &Path,
    ranks: usize,
    notes: &dyn Watch,
) -> Result<PretrainSettings> {
    let (before, changes) = PretrainSettings::of_run(out)?;
    changes.iter().for_each(|change| notes.note(change));
    let run: Value = read_json(&out.join("run.json")).unwrap_or_default();
    if ranks > 1 || run["ranks"].as_u64().unwrap_or(1) > 1 {
        settings.train.moco.groups = before.train.moco.groups;
        settings = for_ranks(settings, ranks, notes)?;
    }
    let regrouped = settings.train.moco.groups != before.train.moco.groups;
    if settings.train.moco.queue_size == 0 {
        settings.train.moco.queue_size = before.train.moco.queue_size;
    }
    let keys = differences(&before, &settings, |key| is_free(key) || regrouped && key == "train.moco.groups");
    if keys.is_empty() { Ok(settings) } else { Err(Error::ResumeDiffers { path: out.into(), keys }) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;

    #[test]
    fn a_changed_digit_of_the_settings_is_named_and_what_may_change_is_said() {
        let run = tempfile::tempdir().unwrap();
        let text = PretrainSettings::named("small", "data").unwrap().to_toml().unwrap();
        let (config, record) = (run.path().join("config.toml"), run.path().join("run.json"));
        let with = |text: &str| {
            fs::write(&config, text).unwrap();
            PretrainSettings::of_run(run.path()).map(|(_, notes)| notes).map_err(|fault| fault.to_string())
        };
        let other = text.replace("0.085585", "0.095585");
        assert_ne!(other, text);
        // A run of an earlier version.
        fs::write(&record, "{}").unwrap();
        assert_eq!(with(&other), Ok(vec![]));

        fs::write(&record, json!({ "settings": text }).to_string()).unwrap();
        assert_eq!(with(&text), Ok(vec![]));
        let fault = with(&other).unwrap_err();
        let words =
            ["config.toml: found other settings than in run.json: normalization.std: was [0.085585", "is [0.095585"];
        assert!(words.iter().all(|words| fault.contains(words)), "{fault}");
        let notes = with(&text.replace("dir = \"data\"", "dir = \"other\"")).unwrap();
        assert!(
            notes.len() == 1 && notes[0].ends_with("config.toml: data.dir: was \"data\", is \"other\""),
            "{notes:?}"
        );

        fs::write(&record, json!({ "settings": text.replace("[train", "[trein") }).to_string()).unwrap();
        assert!(with(&text).unwrap_err().contains("run.json: settings: found settings that cannot be read"));
    }
}
