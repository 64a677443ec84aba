//! docs/reference.md is made from the code: every command from what the tool says of itself, every setting from the
//! documentation of its field and from the presets. A page that says something else fails; to write it anew:
//!
//!     MOCO_CXR_WRITE_REFERENCE=1 cargo test --release --test reference
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::Path,
};

use moco_cxr::PretrainSettings;
use support::succeed;
use toml::{Table, Value};

/// Where the types of the settings are.
const FILES: [&str; 8] = [
    "src/pretrain/settings.rs",
    "src/data/read_as.rs",
    "crates/backbones/src/stem.rs",
    "crates/backbones/src/optim/optimizer.rs",
    "crates/cxr-data/src/views/config.rs",
    "crates/moco-core/src/config.rs",
    "crates/moco-core/src/schedule.rs",
    "crates/moco-core/src/train_config.rs",
];
/// Types that are one value of several parts, written as one.
const WHOLE: [&str; 3] = ["Operation", "Clahe", "Keep"];
/// Settings that no preset has, and that are therefore in none of their files.
const UNSET: [&str; 7] = [
    "data.part",
    "data.read.more",
    "data.read.table",
    "data.read.reader",
    "data.read.tasks",
    "data.read.columns",
    "train.clip_norm",
];

const HEAD: &str = "# Reference

Made from the code by `tests/reference.rs`: every command with its options, and every setting of a pretraining. What each is for is in
the [tutorial](tutorial.md).

Every command also has `--help`. Exit status: 0 success, 1 failure, 2 bad arguments, 130 interrupted.
";

const SETTINGS: &str = "
## Settings of a pretraining

As they stand in the `config.toml` of a run; `--set train.moco.momentum=0.99` changes one, `--config FILE` any number. A preset is all of
them: values are those of `small`, the default, and those of `moco-cxr`, the paper's, where they differ.
";

#[test]
fn the_reference_says_what_the_code_says() {
    let page = format!("{HEAD}{}{SETTINGS}{}", succeed(["reference"]).stdout, settings());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference.md");
    if std::env::var_os("MOCO_CXR_WRITE_REFERENCE").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let stands = fs::read_to_string(&path).unwrap_or_default();
    let other = page.lines().zip(stands.lines()).find(|(made, stands)| made != stands);
    assert!(
        page == stands,
        "{} is stale, write it anew with MOCO_CXR_WRITE_REFERENCE=1; the first line that differs: {other:#?}",
        path.display()
    );
    // A bar within a cell would end it, and the rest of the row would not be shown.
    for row in page.lines().filter(|line| line.starts_with("| `")) {
        let bars = row.replace("\\|", "").matches('|').count();
        assert!(bars == 3 || bars == 4, "{row}");
    }
    for command in ["pretrain", "quickstart", "completions"] {
        assert!(page.contains(&format!("\n## {command}\n")), "{command}");
    }
    assert!(
        page.contains("| `--moco-k <MOCO_K>` | Queue length")
            && page.contains("| `queue_size` | Negatives kept, the paper's K. | 0; `moco-cxr`: 24576 |")
    );
}

/// A row for every setting.
fn settings() -> String {
    let types: BTreeMap<String, Vec<Field>> = FILES.iter().flat_map(|file| structs(file)).collect();
    let presets = ["small", "moco-cxr"].map(|name| {
        let table: Table = PretrainSettings::named(name, "DIR").unwrap().to_toml().unwrap().parse().unwrap();
        table
    });
    let mut rows = Vec::new();
    walk("PretrainSettings", "", &types, &mut rows);
    let mut page = String::new();
    let mut section = "none";
    for (path, doc) in &rows {
        let (table, name) = path.rsplit_once('.').unwrap_or(("", path));
        if std::mem::replace(&mut section, table) != table {
            let title = if table.is_empty() { "The run".to_owned() } else { format!("`[{table}]`") };
            writeln!(page, "\n### {title}\n\n| setting | what it is | value |\n|---|---|---|").unwrap();
        }
        let [small, published] = presets.each_ref().map(|table| at(table, path).map_or("not set".to_owned(), cell));
        let value = if small == published { small } else { format!("{small}; `moco-cxr`: {published}") };
        writeln!(page, "| `{name}` | {} | {value} |", doc.replace('|', "\\|")).unwrap();
        assert!(!doc.is_empty(), "{path} is not documented");
    }
    // Both ways: no setting of a preset is without a row, and no row is without a setting.
    let mut known = BTreeSet::new();
    presets.iter().for_each(|table| leaves(table, "", &mut known));
    let listed: BTreeSet<String> = rows.into_iter().map(|(path, _)| path).collect();
    let within = |leaf: &String| listed.iter().any(|path| leaf == path || leaf.starts_with(&format!("{path}.")));
    let missing: Vec<&String> = known.iter().filter(|leaf| !within(leaf)).collect();
    assert!(missing.is_empty(), "settings without a row: {missing:?}");
    let has = |path: &String| known.iter().any(|leaf| leaf == path || leaf.starts_with(&format!("{path}.")));
    let unset: Vec<&String> = listed
        .iter()
        .filter(|path| !has(path) && !UNSET.contains(&path.as_str()) && *path != "train.moco.momentum_end")
        .collect();
    assert!(unset.is_empty(), "rows without a setting: {unset:?}");
    page
}

/// A public field of a type: name, type, documentation.
type Field = (String, String, String);

/// The types of a file, as rustfmt lays them out.
fn structs(file: &str) -> Vec<(String, Vec<Field>)> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
    let mut found: Vec<(String, Vec<Field>)> = Vec::new();
    let (mut inside, mut doc) = (false, String::new());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("pub struct ").and_then(|rest| rest.strip_suffix(" {")) {
            found.push((rest.to_owned(), Vec::new()));
            (inside, doc) = (true, String::new());
        } else if line == "}" {
            inside = false;
        } else if let (true, Some(said)) = (inside, line.strip_prefix("    ///")) {
            doc.push_str(said);
        } else if let (true, Some((name, kind))) =
            (inside, line.strip_prefix("    pub ").and_then(|rest| rest.split_once(": ")))
        {
            let kind = kind.trim_end_matches(',').trim_start_matches("Option<").trim_end_matches('>');
            found.last_mut().unwrap().1.push((name.to_owned(), kind.to_owned(), unlinked(doc.trim())));
            doc.clear();
        }
    }
    found
}

/// Documentation without the brackets of links between items.
fn unlinked(doc: &str) -> String {
    doc.replace("[`Self::", "[`").replace("[`", "`").replace("`]", "`")
}

fn walk(name: &str, prefix: &str, types: &BTreeMap<String, Vec<Field>>, rows: &mut Vec<(String, String)>) {
    for (field, kind, doc) in &types[name] {
        let path = format!("{prefix}{field}");
        if types.contains_key(kind) && !WHOLE.contains(&kind.as_str()) {
            walk(kind, &format!("{path}."), types, rows);
        } else {
            rows.push((path, doc.clone()));
        }
    }
}

fn at<'a>(table: &'a Table, path: &str) -> Option<&'a Value> {
    let mut keys = path.split('.');
    let first = table.get(keys.next()?)?;
    keys.try_fold(first, |value, key| value.get(key))
}

fn leaves(table: &Table, prefix: &str, found: &mut BTreeSet<String>) {
    for (key, value) in table {
        match value {
            Value::Table(inner) => leaves(inner, &format!("{prefix}{key}."), found),
            _ => _ = found.insert(format!("{prefix}{key}")),
        }
    }
}

/// A value as TOML writes it on one line, in the cell of a table.
fn cell(value: &Value) -> String {
    fn inline(value: &Value) -> String {
        match value {
            Value::Table(table) => {
                let parts: Vec<String> =
                    table.iter().map(|(key, value)| format!("{key} = {}", inline(value))).collect();
                format!("{{ {} }}", parts.join(", "))
            }
            other => other.to_string(),
        }
    }
    match inline(value).as_str() {
        "\"\"" => "`\"\"`".to_owned(),
        text if value.is_table() || value.is_array() || value.is_str() => format!("`{text}`"),
        text => text.to_owned(),
    }
}
