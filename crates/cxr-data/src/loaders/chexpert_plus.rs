//! CheXpert Plus (Chambon et al. 2024): `df_chexpert_plus_240401.csv` with a row per image and report; labels, one JSON
//! object a line, in `impression_fixed.json`, `findings_fixed.json` and `report_fixed.json`, by the section they were read
//! from.

use std::collections::HashMap;

use tables::{Age, Label, age, projection, sex};

use super::cells::patient_and_study;
use super::chexpert::TASKS;
use super::finder::{ImageFinder, Search};
use super::findings::record;
use super::source::Source;
use super::{Dataset, words};
use crate::{Error, Manifest, Record, Result};

const COLUMNS: [&str; 3] = ["path_to_image", "deid_patient_id", "frontal_lateral"];
/// CheXpert's own labels are those of the impression.
const LABELS: [&str; 3] = ["impression_fixed.json", "report_fixed.json", "findings_fixed.json"];

pub(crate) fn recognised(source: &Source<'_>) -> Option<String> {
    source.tables_with(&COLUMNS).next().map(String::from)
}

pub(crate) fn load(source: &Source<'_>) -> Result<Manifest> {
    let Some(path) = recognised(source) else { return Err(source.layout("df_chexpert_plus_240401.csv")) };
    let asked = source.options.table.as_ref().map(|table| table.to_string_lossy().into_owned());
    let list = match &asked {
        Some(name) => source.inventory.file(name).or_else(|| source.file_named(name)),
        None => LABELS.iter().find_map(|name| source.file_named(name)),
    };
    let mut notes = Vec::new();
    let labels = match list {
        Some(list) => {
            notes.push(format!(
                "{}: labels from {list}; --table takes those of another section",
                source.dir().display()
            ));
            read_labels(source, list)?
        }
        None => {
            notes.push(format!("{}: no labels (none of {})", source.dir().display(), LABELS.join(", ")));
            HashMap::new()
        }
    };
    let table = source.read(&path)?;
    let [image, patient, view] = table.columns(COLUMNS)?;
    let cell_of =
        |row: tables::Row<'_>, name: &str| table.column(name).map_or("", |column| row.cell(column)).to_owned();
    let mut finder = ImageFinder::new(source.inventory, "", table.path(), Search::Folders(2), source.options);
    let mut rows = Vec::new();
    let mut without = 0;
    for row in table.rows() {
        let listed = row.cell(image);
        let Some(path) = finder.find(row, image)? else { continue };
        let part = words::part(&cell_of(row, "split")).or_else(|| listed.split('/').find_map(words::part));
        let [(seen, _), (_, projection)] = [row.cell(view), &cell_of(row, "ap_pa")].map(projection);
        let years = match age(&cell_of(row, "age")) {
            Some(Age::Years(years)) if years > 0.0 => Some(years),
            _ => None,
        };
        let study = patient_and_study(listed).map(|(_, study)| study).unwrap_or_default();
        let study = study.rsplit('/').next().unwrap_or_default();
        let labels = labels.get(stem(listed)).cloned().unwrap_or_default();
        without += usize::from(labels.is_empty());
        let sex = sex(&cell_of(row, "sex")).flatten();
        let record = record(path, row.cell(patient), study);
        rows.push((part, Record { view: seen, projection, sex, age: years, labels, ..record }));
    }
    notes.extend(finder.notes());
    let tasks = if labels.is_empty() { Vec::new() } else { TASKS.map(String::from).into() };
    if without > 0 && !labels.is_empty() {
        notes.push(format!("{without} images are not in the list of labels; they have none"));
    }
    source.manifest(Dataset::ChexpertPlus, tasks, rows, true, notes)
}

/// A path without its ending: the table has `.jpg`, the images `.png`.
fn stem(path: &str) -> &str {
    path.rsplit_once('.').map_or(path, |(stem, _)| stem)
}

fn read_labels(source: &Source<'_>, list: &str) -> Result<HashMap<String, Vec<Label>>> {
    let path = source.inventory.on_disk(list);
    let mut labels = HashMap::new();
    for (line, text) in source.list(list)?.iter().enumerate() {
        let fault = |reason: String| {
            Error::from(tables::Error::Malformed { path: path.clone(), line: line as u64 + 1, reason })
        };
        let object: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(text).map_err(|error| fault(error.to_string()))?;
        let Some(image) = object.get("path_to_image").and_then(|path| path.as_str()) else {
            return Err(fault("found no path_to_image, expected an object for each image".into()));
        };
        let label = |task: &&str| match object.get(*task).map(|value| (value.as_f64(), value.is_null())) {
            None | Some((None, true)) => Ok(Label::NotMentioned),
            Some((Some(1.0), _)) => Ok(Label::Positive),
            Some((Some(0.0), _)) => Ok(Label::Negative),
            Some((Some(-1.0), _)) => Ok(Label::Uncertain),
            Some(_) => Err(fault(format!("\"{task}\": found {}, expected 1, 0, -1 or null", object[*task]))),
        };
        labels.insert(stem(image).to_owned(), TASKS.iter().map(label).collect::<Result<_>>()?);
    }
    Ok(labels)
}
