//! MIMIC-CXR-JPG (Johnson et al. 2019): images in `files/p10/p10000032/s50414267/DICOM_ID.jpg`; three tables, joined by
//! image and study: the split, the metadata (view), and the labels of the CheXpert labeller, one row a study.

use std::collections::HashMap;

use tables::{Table, id, label, projection};

use super::chexpert::TASKS;
use super::finder::{ImageFinder, Search};
use super::findings::record;
use super::source::Source;
use super::{Dataset, Part, words};
use crate::{Label, Manifest, Record, Result};

const IMAGES: [&str; 3] = ["dicom_id", "subject_id", "study_id"];

pub(crate) fn recognised(source: &Source<'_>) -> Option<String> {
    source.tables_with(&IMAGES).next().map(String::from)
}

pub(crate) fn load(source: &Source<'_>) -> Result<Manifest> {
    let with = |columns: &[&str]| {
        let all: Vec<&str> = IMAGES.iter().chain(columns).copied().collect();
        source.tables_with(&all).next()
    };
    let (split, metadata) = (with(&["split"]), with(&["ViewPosition"]));
    let Some(images) = metadata.or(split).or(with(&[])) else {
        return Err(source.layout("mimic-cxr-2.0.0-metadata.csv or -split.csv (with dicom_id, subject_id, study_id)"));
    };
    let mut notes = Vec::new();
    let parts = match split {
        Some(path) => parts(&source.read(path)?)?,
        None => HashMap::new(),
    };
    let labels = match label_table(source) {
        Some(path) => {
            notes.push(format!("{}: labels from {path}", source.dir().display()));
            labels(&source.read(&path)?)?
        }
        None => {
            notes.push(format!("{}: no table of labels (mimic-cxr-2.0.0-chexpert.csv)", source.dir().display()));
            HashMap::new()
        }
    };
    let table = source.read(images)?;
    let [image, subject, study] = table.columns(IMAGES)?;
    let view = table.column("ViewPosition");
    let mut finder = ImageFinder::new(source.inventory, "", table.path(), Search::Names, source.options);
    let mut rows = Vec::new();
    let mut without_labels = 0;
    for row in table.rows() {
        let [image_id, patient, study] = [image, subject, study].map(|column| id(row.cell(column)));
        let part = parts.get(image_id).copied();
        if source.part != Part::All && split.is_some() && part != Some(source.part) {
            continue;
        }
        let group = patient.get(..2).unwrap_or(patient);
        let listed = format!("files/p{group}/p{patient}/s{study}/{image_id}.jpg");
        let Some(path) = finder.find_as(row, image, &listed)? else { continue };
        let (view, projection) = view.map_or((None, None), |column| projection(row.cell(column)));
        let labels = labels.get(study).cloned().unwrap_or_default();
        without_labels += usize::from(labels.is_empty());
        rows.push((part, Record { view, projection, labels, ..record(path, patient, study) }));
    }
    notes.extend(finder.notes());
    let tasks = if labels.is_empty() { Vec::new() } else { TASKS.map(String::from).into() };
    if without_labels > 0 && !labels.is_empty() {
        notes.push(format!("{without_labels} images belong to studies without a row of labels; they have none"));
    }
    source.manifest(Dataset::Mimic, tasks, rows, true, notes)
}

/// The part of each image.
fn parts(table: &Table) -> Result<HashMap<String, Part>> {
    let [image, split] = table.columns(["dicom_id", "split"])?;
    let read = |row: tables::Row<'_>| {
        let part = words::part(row.cell(split)).ok_or_else(|| row.fault(split, "train, validate or test"))?;
        Ok((id(row.cell(image)).to_owned(), part))
    };
    table.rows().map(read).collect()
}

/// The table of labels: the one that was asked for, or CheXpert's rather than NegBio's, which has the same columns.
fn label_table(source: &Source<'_>) -> Option<String> {
    if let Some(table) = &source.options.table {
        return Some(table.to_string_lossy().into_owned());
    }
    let columns = ["subject_id", "study_id", TASKS[0], TASKS[1]];
    let found: Vec<&str> = source.tables_with(&columns).collect();
    let chexpert = found.iter().find(|path| path.to_lowercase().contains("chexpert"));
    chexpert.or(found.first()).map(|path| (*path).to_owned())
}

fn labels(table: &Table) -> Result<HashMap<String, Vec<Label>>> {
    let [study] = table.columns(["study_id"])?;
    let tasks = table.columns(TASKS)?;
    let mut labels = HashMap::new();
    for row in table.rows() {
        let read =
            |&column: &usize| label(row.cell(column)).ok_or_else(|| row.fault(column, "1.0, 0.0, -1.0 or blank"));
        let of_study = tasks.iter().map(read).collect::<tables::Result<Vec<Label>>>()?;
        if labels.insert(id(row.cell(study)).to_owned(), of_study).is_some() {
            return Err(row.fault(study, "each study once").into());
        }
    }
    Ok(labels)
}
