//! Draws from the rows of a CSV, for use without the images.

use std::io::Write;
use std::path::Path;

use csv::StringRecord;

use crate::{Error, Result, limits};

/// The rows of a CSV such as CheXpert's `train.csv`. Cells are not interpreted and images not searched for.
#[derive(Debug, Clone)]
pub struct RowTable {
    header: StringRecord,
    rows: Vec<StringRecord>,
}

impl RowTable {
    /// Reads a CSV with a header.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Csv`] when it cannot be read.
    pub fn read(path: &Path) -> Result<Self> {
        let text = limits::table(path).map_err(|source| Error::Io { path: path.into(), source })?;
        let fault = |source| Error::Csv { path: path.into(), source };
        let mut reader = csv::Reader::from_reader(&text[..]);
        let header = reader.headers().map_err(fault)?.clone();
        Ok(Self { header, rows: reader.records().collect::<csv::Result<_>>().map_err(fault)? })
    }

    /// Number of rows, without the header.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Writes rows with all their cells, after an unnamed column with their row numbers: the format in which MedAug
    /// published the paper's draws, which [`read_draw`](super::read_draw) reads.
    ///
    /// # Errors
    /// [`Error::Csv`] when writing fails; `path` is for the message.
    ///
    /// # Panics
    /// When a row is not below [`RowTable::len`].
    pub fn write(&self, out: impl Write, path: &Path, rows: &[usize]) -> Result<()> {
        let mut writer = csv::Writer::from_writer(out);
        let written = (|| {
            writer.write_record(std::iter::once("").chain(&self.header))?;
            for &row in rows {
                writer.write_record(std::iter::once(row.to_string().as_str()).chain(&self.rows[row]))?;
            }
            writer.flush().map_err(csv::Error::from)
        })();
        written.map_err(|source| Error::Csv { path: path.into(), source })
    }
}
