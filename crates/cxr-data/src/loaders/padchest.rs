//! PadChest (Bustos et al. 2020): one table with a row per image, its findings as a list of words; images in folders
//! numbered as the column `ImageDir`. No split is published.

use tables::{Sex, is_missing, projection, sex, year};

use super::Dataset;
use super::finder::{ImageFinder, Search};
use super::findings::{Worded, python_list, record};
use super::source::Source;
use crate::{Manifest, Record, Result};

const COLUMNS: [&str; 4] = ["ImageID", "StudyID", "PatientID", "Labels"];

pub(crate) fn recognised(source: &Source<'_>) -> Option<String> {
    source.tables_with(&COLUMNS).next().map(String::from)
}

pub(crate) fn load(source: &Source<'_>) -> Result<Manifest> {
    let Some(path) = recognised(source) else {
        return Err(source.layout("PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv"));
    };
    let table = source.read(&path)?;
    let [image, study, patient, labels] = table.columns(COLUMNS)?;
    let cell_of =
        |row: tables::Row<'_>, name: &str| table.column(name).map_or("", |column| row.cell(column)).to_owned();
    let mut finder = ImageFinder::new(source.inventory, "", table.path(), Search::Names, source.options);
    let mut rows = Worded::new();
    let mut unlabelled = 0;
    for row in table.rows() {
        let folder = cell_of(row, "ImageDir");
        let name = row.cell(image);
        let listed = if is_missing(&folder) { name.to_owned() } else { format!("{folder}/{name}") };
        let Some(path) = finder.find_as(row, image, &listed)? else { continue };
        let words = match row.cell(labels) {
            cell if is_missing(cell) => None,
            cell => Some(python_list(cell).ok_or_else(|| row.fault(labels, "a list such as ['cardiomegaly']"))?),
        };
        unlabelled += usize::from(words.is_none());
        let shown = [cell_of(row, "Projection"), cell_of(row, "ViewPosition_DICOM")].map(|cell| projection(&cell));
        let sex: Option<Sex> = sex(&cell_of(row, "PatientSex_DICOM")).flatten();
        let born = year(&cell_of(row, "PatientBirth"));
        let age = born.zip(year(&cell_of(row, "StudyDate_DICOM"))).map(|(born, taken)| taken - born);
        let record = Record {
            view: shown[0].0.or(shown[1].0),
            projection: shown[0].1.or(shown[1].1),
            sex,
            age: age.filter(|age| (0..=120).contains(age)).map(|age| age as f32),
            ..record(path, row.cell(patient), row.cell(study))
        };
        rows.push(None, record, words);
    }
    let mut notes = finder.notes();
    if unlabelled > 0 {
        notes.push(format!("{}: {unlabelled} images have no labels", table.path().display()));
    }
    let (tasks, rows) = rows.labelled();
    source.manifest(Dataset::Padchest, tasks, rows, true, notes)
}
