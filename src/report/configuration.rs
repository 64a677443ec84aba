//! `config.toml` and `run.json`: settings, machine and data of the run.

use std::path::Path;

use eval::chart::{escape, whole};
use serde_json::Value;
use toml::Table;

use crate::files::{Watch, text_of};

use super::page::{DataTable, Fact, Section, command};

/// The settings shown in the table, with their paths in `config.toml`.
const KEY_SETTINGS: &[(&str, &[&str])] = &[
    ("network", &["arch"]),
    ("input channels", &["channels"]),
    ("initial weights", &["init"]),
    ("view, pixels", &["views", "size"]),
    ("epochs", &["train", "epochs"]),
    ("batch", &["train", "batch_size"]),
    ("batches a step", &["train", "accumulate"]),
    ("queue (K)", &["train", "moco", "queue_size"]),
    ("momentum (m)", &["train", "moco", "momentum"]),
    ("temperature (T)", &["train", "moco", "temperature"]),
    ("embedding", &["train", "moco", "dim"]),
    ("batch-norm groups", &["train", "moco", "groups"]),
    ("optimiser", &["train", "optimizer", "rule", "name"]),
    ("learning rate", &["train", "schedule", "lr"]),
    ("schedule", &["train", "schedule", "decay", "name"]),
    ("weight decay", &["train", "optimizer", "weight_decay"]),
    ("key taken from the same", &["data", "key_from"]),
    ("seed", &["train", "seed"]),
];

/// Settings and origin of a run, read as plain tables so that runs of other versions can be reported too.
#[derive(Debug, Default)]
pub(super) struct Configuration {
    text: String,
    settings: Table,
    run: Value,
    /// Whether no folder and no file is named.
    private: bool,
}

/// The fact that is a path.
const FOLDER: &str = "data folder";

/// Settings that are paths, or may hold one.
const PATHS: [&[&str]; 7] = [
    &["init"],
    &["data", "dir"],
    &["data", "cache"],
    &["data", "patient_regex"],
    &["data", "read", "table"],
    &["data", "read", "more"],
    &["probe", "data"],
];

/// The last name of a path.
fn last(path: &str) -> String {
    path.trim_end_matches(['/', '\\']).rsplit(['/', '\\']).next().unwrap_or_default().to_owned()
}

/// Leaves the folders above out of the settings, and in private the names as well.
fn leaving(settings: &mut Table, private: bool) {
    for path in PATHS {
        let Some((key, tables)) = path.split_last() else { continue };
        let table = tables.iter().try_fold(&mut *settings, |table, key| table.get_mut(*key)?.as_table_mut());
        let Some(table) = table else { continue };
        let value = match table.get(*key) {
            Some(toml::Value::String(text)) if text.is_empty() || text == "random" || text == "imagenet" => continue,
            Some(toml::Value::String(_)) if private => toml::Value::String("(not named)".into()),
            // The pattern itself, which has separators of its own.
            Some(toml::Value::String(_)) if *key == "patient_regex" => continue,
            Some(toml::Value::String(text)) => toml::Value::String(last(text)),
            Some(toml::Value::Array(_)) if private => toml::Value::Array(Vec::new()),
            Some(toml::Value::Array(list)) => {
                let names = list.iter().filter_map(|one| one.as_str()).map(|one| toml::Value::String(last(one)));
                toml::Value::Array(names.collect())
            }
            _ => continue,
        };
        table.insert((*key).to_owned(), value);
    }
}

impl Configuration {
    /// Reads both files of a run; an absent file is left out, one that cannot be read is noted.
    pub(super) fn read(run: &Path, private: bool, watch: &dyn Watch) -> Self {
        let text = text_of(&run.join("config.toml")).unwrap_or_default();
        let mut settings: Table = toml::from_str(&text).unwrap_or_else(|e: toml::de::Error| {
            watch.note(&format!("config.toml: {}", e.message()));
            Table::new()
        });
        let json = text_of(&run.join("run.json")).unwrap_or_default();
        let facts = if json.is_empty() { Ok(Value::Null) } else { serde_json::from_str(&json) };
        let run = facts.unwrap_or_else(|e| {
            watch.note(&format!("run.json: {e}"));
            Value::Null
        });
        leaving(&mut settings, private);
        let text = toml::to_string_pretty(&settings).unwrap_or_default();
        Self { text, settings, run, private }
    }

    /// One line under the title: network, data, length.
    pub(super) fn summary(&self) -> String {
        let get = |path: &[&str]| self.setting(path);
        let mut parts = Vec::new();
        if let Some(arch) = get(&["arch"]) {
            parts.push(format!("{arch}, pretrained by momentum contrast"));
        }
        if let Some(images) = self.run["data"]["images"].as_f64() {
            parts.push(format!("on {} images without labels", whole(images)));
        }
        if let (Some(epochs), Some(size)) = (get(&["train", "epochs"]), get(&["views", "size"])) {
            parts.push(format!("for {epochs} epochs at {size} × {size} pixels"));
        }
        if parts.is_empty() { String::new() } else { format!("{}.", parts.join(" ")) }
    }

    /// What tells this run from others, in a few words: network, number of images, epochs, seed.
    pub(super) fn in_short(&self) -> String {
        let images = self.run["data"]["images"].as_f64().map(|images| format!("{} images", whole(images)));
        let epochs = self.setting(&["train", "epochs"]).map(|epochs| format!("{epochs} epochs"));
        let seed = self.setting(&["train", "seed"]).map(|seed| format!("seed {seed}"));
        let parts = [self.setting(&["arch"]), images, epochs, seed];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }

    /// The number of images, for the head of the page.
    pub(super) fn fact(&self) -> Option<Fact> {
        let images = self.run["data"]["images"].as_f64()?;
        let patients = match self.run["data"]["patients_known"].as_bool() {
            Some(false) => "patients unknown",
            _ => "without labels",
        };
        Some(Fact { name: "Pretraining images".into(), value: whole(images), detail: patients.into() })
    }

    fn setting(&self, path: &[&str]) -> Option<String> {
        let (last, tables) = path.split_last()?;
        let table = tables.iter().try_fold(&self.settings, |table, key| table.get(*key)?.as_table())?;
        Some(match table.get(*last)? {
            toml::Value::String(text) => text.clone(),
            other => other.to_string(),
        })
    }

    /// The section of the page.
    pub(super) fn section(&self) -> Section {
        let missing = format!("{} writes config.toml and run.json.", command("moco-cxr pretrain --data DIR --out RUN"));
        let body = if self.settings.is_empty() { Err(missing) } else { Ok(self.body()) };
        let lead = format!(
            "Settings and origin of the run. {} repeats it.",
            command("moco-cxr pretrain --config RUN/config.toml --out NEW")
        );
        Section { id: "configuration", title: "Configuration", lead, body }
    }

    fn body(&self) -> String {
        let mut settings = DataTable::new("Settings").text("setting").numbers("value");
        for (name, path) in KEY_SETTINGS {
            if let Some(value) = self.setting(path) {
                settings.push([(*name).to_owned(), escape(&value)]);
            }
        }
        let mut origin = DataTable::new("Machine and data").text("fact").text("value");
        let run = &self.run;
        for (name, value) in [
            ("moco-cxr", &run["moco_cxr"]),
            ("git commit", &run["git_commit"]),
            ("system", &run["system"]),
            ("device", &run["device"]),
            ("seed", &run["seed"]),
            (FOLDER, &run["data"]["dir"]),
            ("images", &run["data"]["images"]),
            ("hash of the data", &run["data"]["hash"]),
        ] {
            let text = match value {
                Value::Null => continue,
                Value::String(_) if name == FOLDER && self.private => continue,
                Value::String(path) if name == FOLDER => last(path),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            origin.push([name.to_owned(), format!("<span class=\"long\">{}</span>", escape(&text))]);
        }
        format!(
            "<div class=\"pair\">{}{}</div><details><summary>All settings (config.toml)</summary><pre tabindex=\"0\">{}</pre></details>",
            settings.to_html(),
            origin.to_html(),
            escape(&self.text)
        )
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use std::fs;

    use super::*;

    #[test]
    fn settings_are_found_by_their_place_and_escaped() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("config.toml"), "arch = \"<resnet18>\"\n[train]\nepochs = 6\nseed = 2\n")
            .expect("written");
        fs::write(folder.path().join("run.json"), "{\"data\": {\"images\": 2177}, \"device\": null}").expect("written");
        let configuration = Configuration::read(folder.path(), false, &|note: &str| panic!("{note}"));
        let html = configuration.section().body.expect("a body");
        assert!(html.contains("&lt;resnet18&gt;") && !html.contains("<resnet18>"), "{html}");
        assert!(html.contains("<th scope=\"row\">epochs</th><td class=\"n\">6</td>"), "{html}");
        assert_eq!(configuration.fact().expect("a fact").value, "2,177");
    }

    #[test]
    fn files_that_cannot_be_read_are_noted_and_break_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("config.toml"), "arch = ").expect("written");
        fs::write(folder.path().join("run.json"), "{").expect("written");
        let notes = RefCell::new(Vec::new());
        let configuration =
            Configuration::read(folder.path(), false, &|note: &str| notes.borrow_mut().push(note.to_owned()));
        assert!(configuration.section().body.is_err());
        assert_eq!(notes.borrow().len(), 2, "{notes:?}");
    }
}
