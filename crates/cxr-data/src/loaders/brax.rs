//! BRAX (Reis et al. 2022): `master_spreadsheet_update.csv` with a row per image, the labels of CheXpert, and paths of the
//! PNG and of the DICOM file.

use tables::{Age, age, is_missing, label, projection, sex};

use super::Dataset;
use super::chexpert::TASKS;
use super::finder::{ImageFinder, Search};
use super::findings::record;
use super::source::Source;
use crate::{Manifest, Record, Result};

const COLUMNS: [&str; 3] = ["DicomPath", "PngPath", "PatientID"];

pub(crate) fn recognised(source: &Source<'_>) -> Option<String> {
    source.tables_with(&COLUMNS).next().map(String::from)
}

pub(crate) fn load(source: &Source<'_>) -> Result<Manifest> {
    let Some(path) = recognised(source) else { return Err(source.layout("master_spreadsheet_update.csv")) };
    let table = source.read(&path)?;
    let [dicom, png, patient] = table.columns(COLUMNS)?;
    let tasks: Vec<(&str, usize)> = TASKS.iter().filter_map(|task| Some((*task, table.column(task)?))).collect();
    // Whichever of the two was downloaded.
    let is_there = |column: usize| {
        let names = table.rows().map(|row| row.cell(column).rsplit('/').next().unwrap_or_default());
        names
            .filter(|name| !is_missing(name))
            .take(100)
            .any(|name| source.inventory.named(name).any(|found| found.ends_with(name)))
    };
    let image = if is_there(png) || !is_there(dicom) { png } else { dicom };
    let cell_of =
        |row: tables::Row<'_>, name: &str| table.column(name).map_or("", |column| row.cell(column)).to_owned();
    let mut finder = ImageFinder::new(source.inventory, "", table.path(), Search::Names, source.options);
    let mut rows = Vec::new();
    let mut groups = 0;
    for row in table.rows() {
        let read = |(_, column): &(&str, usize)| {
            label(row.cell(*column)).ok_or_else(|| row.fault(*column, "1, 0, -1 or blank"))
        };
        let labels = tasks.iter().map(read).collect::<tables::Result<_>>()?;
        let Some(path) = finder.find(row, image)? else { continue };
        // The study is a folder of the path; AccessionNumber is its number.
        let folder = row.cell(image).split('/').find(|part| part.starts_with("Study_")).unwrap_or_default();
        let accession = cell_of(row, "AccessionNumber");
        let study = if folder.is_empty() { accession.as_str() } else { folder };
        let (view, projection) = projection(&cell_of(row, "ViewPosition"));
        let years = match age(&cell_of(row, "PatientAge")) {
            Some(Age::Years(years)) => Some(years),
            Some(Age::Missing) => None,
            _ => {
                groups += 1;
                None
            }
        };
        let sex = sex(&cell_of(row, "PatientSex")).flatten();
        rows.push((
            None,
            Record { view, projection, sex, age: years, labels, ..record(path, row.cell(patient), study) },
        ));
    }
    let mut notes = finder.notes();
    if groups > 0 {
        notes.push(format!(
            "{}: {groups} ages are groups such as \"85 or more\"; read as not recorded",
            table.path().display()
        ));
    }
    let tasks = tasks.into_iter().map(|(task, _)| task.to_owned()).collect();
    source.manifest(Dataset::Brax, tasks, rows, true, notes)
}
