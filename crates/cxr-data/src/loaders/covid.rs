//! covid-chestxray-dataset (Cohen et al. 2020): `metadata.csv` with a row per image or volume, images in `images/`. Findings
//! are paths such as `Pneumonia/Viral/COVID-19`, each step of which is a task.

use tables::{Age, age, is_missing, projection, sex};

use super::Dataset;
use super::finder::{ImageFinder, Search};
use super::findings::{Worded, record, separated};
use super::source::Source;
use crate::{Manifest, Record, Result};

const COLUMNS: [&str; 5] = ["patientid", "offset", "finding", "view", "filename"];

pub(crate) fn recognised(source: &Source<'_>) -> Option<String> {
    source.tables_with(&COLUMNS).next().map(String::from)
}

pub(crate) fn load(source: &Source<'_>) -> Result<Manifest> {
    let Some(path) = recognised(source) else {
        return Err(source.layout("metadata.csv (patientid, offset, finding, view, filename)"));
    };
    let table = source.read(&path)?;
    let [patient, offset, finding, view, image] = table.columns(COLUMNS)?;
    let cell_of =
        |row: tables::Row<'_>, name: &str| table.column(name).map_or("", |column| row.cell(column)).to_owned();
    let mut finder = ImageFinder::new(source.inventory, "", table.path(), Search::Names, source.options);
    let mut rows = Worded::new();
    let (mut tomograms, mut unlabelled) = (0, 0);
    for row in table.rows() {
        let modality = cell_of(row, "modality");
        let shown = row.cell(view).to_lowercase();
        if modality.eq_ignore_ascii_case("CT") || shown.contains("axial") && !shown.starts_with("ap") || shown == "ct" {
            tomograms += 1;
            continue;
        }
        let Some(path) = finder.find(row, image)? else { continue };
        let words = match row.cell(finding) {
            cell if is_missing(cell) || cell.eq_ignore_ascii_case("todo") => None,
            cell => separated(cell, &['/', ',']),
        };
        unlabelled += usize::from(words.is_none());
        let (view, projection) = projection(row.cell(view));
        let years = match age(&cell_of(row, "age")) {
            Some(Age::Years(years)) => Some(years),
            _ => None,
        };
        let sex = sex(&cell_of(row, "sex")).flatten();
        let record = Record { view, projection, sex, age: years, ..record(path, row.cell(patient), row.cell(offset)) };
        rows.push(None, record, words);
    }
    let mut notes = finder.notes();
    for (count, what) in
        [(tomograms, "rows of CT left out"), (unlabelled, "images have no finding (\"todo\", \"Unknown\")")]
    {
        if count > 0 {
            notes.push(format!("{}: {count} {what}", table.path().display()));
        }
    }
    let (tasks, rows) = rows.labelled();
    source.manifest(Dataset::Covid, tasks, rows, true, notes)
}
