//! OpenI, the chest X-rays of Indiana University (Demner-Fushman et al. 2016), as on Kaggle: `indiana_projections.csv` with a
//! row per image and, if it is there, `indiana_reports.csv` with the problems of each report.

use std::collections::{BTreeSet, HashMap};

use tables::{id, projection};

use super::Dataset;
use super::finder::{ImageFinder, Search};
use super::findings::{Worded, record, separated};
use super::source::Source;
use crate::{Manifest, Record, Result};

const IMAGES: [&str; 3] = ["uid", "filename", "projection"];
const REPORTS: [&str; 2] = ["uid", "Problems"];

pub(crate) fn recognised(source: &Source<'_>) -> Option<String> {
    source.tables_with(&IMAGES).next().map(String::from)
}

pub(crate) fn load(source: &Source<'_>) -> Result<Manifest> {
    let Some(path) = recognised(source) else { return Err(source.layout("indiana_projections.csv")) };
    let mut notes = Vec::new();
    let problems: HashMap<String, Option<BTreeSet<String>>> = match source.tables_with(&REPORTS).next() {
        Some(path) => {
            let table = source.read(path)?;
            let [uid, problems] = table.columns(REPORTS)?;
            table.rows().map(|row| (id(row.cell(uid)).to_owned(), separated(row.cell(problems), &[';']))).collect()
        }
        None => {
            notes.push(format!("{}: no labels without indiana_reports.csv", source.dir().display()));
            HashMap::new()
        }
    };
    let table = source.read(&path)?;
    let [uid, image, view] = table.columns(IMAGES)?;
    let mut finder = ImageFinder::new(source.inventory, "", table.path(), Search::Names, source.options);
    let mut rows = Worded::new();
    for row in table.rows() {
        let Some(path) = finder.find(row, image)? else { continue };
        let report = id(row.cell(uid));
        let (view, projection) = projection(row.cell(view));
        let record = Record { view, projection, ..record(path, report, report) };
        rows.push(None, record, problems.get(report).cloned().flatten());
    }
    notes.extend(finder.notes());
    notes.push(format!("{}: uid, which numbers the reports, is taken for the patient", table.path().display()));
    let (tasks, rows) = rows.labelled();
    source.manifest(Dataset::Openi, tasks, rows, true, notes)
}
