//! What rows are drawn from, and how a split of it is written.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
};

use moco_cxr::cxr_data::{Manifest, splits::RowTable, splits::unlabelled, splits::write_draw, splits::write_parts};

use crate::Fault;

/// What rows are drawn from.
pub(super) enum Source {
    /// A number of rows.
    Count(usize),
    /// The rows of a CSV file.
    Table(RowTable),
    /// The images of a data set.
    Images(Box<Manifest>),
}

impl Source {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Count(rows) => *rows,
            Self::Table(table) => table.len(),
            Self::Images(manifest) => manifest.len(),
        }
    }

    /// Number of patients among some rows, if patients are known.
    pub(super) fn patients(&self, rows: &[usize]) -> Option<usize> {
        match self {
            Self::Images(manifest) if manifest.patients_known => Some(manifest.patients(rows).len()),
            _ => None,
        }
    }

    /// Images of which nothing is said, of a set with labels.
    pub(super) fn unlabelled(&self) -> Option<usize> {
        match self {
            Self::Images(manifest) => Some(unlabelled(manifest)),
            _ => None,
        }
    }

    /// Writes parts of a data set as one table.
    pub(super) fn write_parts(&self, path: &Path, parts: &[(&str, &[usize])]) -> Result<(), Fault> {
        let Self::Images(manifest) = self else { return Ok(()) };
        let fault = |e: io::Error| format!("{}: {e}", path.display());
        let mut file = BufWriter::new(File::create_new(path).map_err(fault)?);
        write_parts(&mut file, path, manifest, parts)?;
        Ok(file.flush().map_err(fault)?)
    }

    /// Writes some rows to a new CSV file.
    pub(super) fn write(&self, path: &Path, rows: &[usize]) -> Result<(), Fault> {
        let fault = |e: io::Error| format!("{}: {e}", path.display());
        let mut file = BufWriter::new(File::create_new(path).map_err(fault)?);
        match self {
            Self::Count(_) => {
                writeln!(file, "row").map_err(fault)?;
                rows.iter().try_for_each(|row| writeln!(file, "{row}")).map_err(fault)?;
                file.flush().map_err(fault)?;
            }
            Self::Table(table) => table.write(file, path, rows)?,
            Self::Images(manifest) => write_draw(file, manifest, rows)?,
        }
        Ok(())
    }
}
