//! RSNA Pneumonia Detection Challenge: `stage_2_train_labels.csv` with a row per box, images named for `patientId`. The test
//! images have no labels.

use std::collections::HashMap;

use tables::{Label, label};

use super::Dataset;
use super::finder::{ImageFinder, Search};
use super::findings::record;
use super::source::Source;
use crate::{Manifest, Record, Result, View};

const COLUMNS: [&str; 2] = ["patientId", "Target"];

pub(crate) fn recognised(source: &Source<'_>) -> Option<String> {
    source.tables_with(&COLUMNS).next().map(String::from)
}

pub(crate) fn load(source: &Source<'_>) -> Result<Manifest> {
    let Some(path) = recognised(source) else {
        return Err(source.layout("stage_2_train_labels.csv (patientId, x, y, width, height, Target)"));
    };
    let table = source.read(&path)?;
    let [image, target] = table.columns(COLUMNS)?;
    let mut finder = ImageFinder::new(source.inventory, "", table.path(), Search::Names, source.options);
    let mut places: HashMap<&str, Option<usize>> = HashMap::new();
    let mut rows: Vec<(_, Record)> = Vec::new();
    for row in table.rows() {
        let name = row.cell(image);
        let found = match label(row.cell(target)) {
            Some(label @ (Label::Positive | Label::Negative)) => label,
            _ => return Err(row.fault(target, "1 or 0").into()),
        };
        match places.get(name) {
            // One box more of an image that is there already, or that is missing.
            Some(Some(place)) => {
                let label: &mut Label = &mut rows[*place].1.labels[0];
                if *label != found {
                    return Err(row.fault(target, "the same in every row of an image").into());
                }
            }
            Some(None) => {}
            None => {
                let found_at = finder.find(row, image)?;
                places.insert(name, found_at.is_some().then_some(rows.len()));
                if let Some(path) = found_at {
                    let record = record(path, name, "");
                    rows.push((None, Record { view: Some(View::Frontal), labels: vec![found], ..record }));
                }
            }
        }
    }
    let mut notes = finder.notes();
    notes.push(format!(
        "{}: patientId is one per image; a person with several images has several",
        table.path().display()
    ));
    source.manifest(Dataset::Rsna, vec!["Pneumonia".into()], rows, true, notes)
}
