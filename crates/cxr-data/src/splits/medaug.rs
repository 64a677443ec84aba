//! Draws as files, in the format of the CSVs that MedAug published of the paper's draws (`train_semi_0.01-it0.csv`):
//! rows of CheXpert's `train.csv` after an unnamed column with their row numbers.

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

use tables::Table;

use crate::loaders::patient_and_study;
use crate::{Error, Manifest, Result};

/// Reads a published draw: rows of `train`, the manifest it was drawn from, in the order of the file.
///
/// Rows are matched by the end of their path (`patient00001/study1/view1_frontal.jpg`); row numbers in the file, if
/// any, must agree.
///
/// # Errors
/// When the file is not such a table, or a row is not in the manifest or has another number there.
pub fn read_draw(path: &Path, train: &Manifest) -> Result<Vec<usize>> {
    let table = Table::read(path)?;
    let [path_column] = table.columns(["Path"])?;
    let index = (table.header()[0].is_empty()).then_some(0);
    let place: HashMap<&str, usize> =
        train.records.iter().enumerate().filter_map(|(row, record)| Some((identity(&record.path)?, row))).collect();
    let mut rows = Vec::new();
    for row in table.rows() {
        let found = identity(row.cell(path_column)).and_then(|image| place.get(image)).copied();
        let found = found.ok_or_else(|| {
            row.fault(
                path_column,
                format!("the end of the path of one of the {} images of the training set", train.len()),
            )
        })?;
        if let Some(index) = index
            && row.cell(index).parse() != Ok(found)
        {
            return Err(row.fault(index, format!("{found}, the row of \"{}\"", row.cell(path_column))).into());
        }
        rows.push(found);
    }
    Ok(rows)
}

/// Writes a draw: row numbers in an unnamed column, and paths. [`read_draw`] reads it back.
///
/// # Errors
/// [`Error::Io`] when writing fails.
pub fn write_draw(out: impl Write, train: &Manifest, rows: &[usize]) -> Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    let written = (|| {
        writer.write_record(["", "Path"])?;
        for &row in rows {
            writer.write_record([row.to_string().as_str(), train.records[row].path.as_str()])?;
        }
        writer.flush().map_err(csv::Error::from)
    })();
    written.map_err(|source: csv::Error| Error::Io { path: "the draw".into(), source: source.into() })
}

/// The part of a path that is the same in every copy of CheXpert, from the patient on.
fn identity(path: &str) -> Option<&str> {
    let (patient, _) = patient_and_study(path)?;
    path.find(&format!("{patient}/")).map(|start| &path[start..])
}
