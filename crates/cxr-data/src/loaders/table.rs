//! A CSV read by column name, whose errors give file, line and column.

use std::fs::File;
use std::path::{Path, PathBuf};

use csv::StringRecord;

use crate::{Error, Result};

/// A whole table in memory (CheXpert's `train.csv` is about 20 MB).
pub(crate) struct Table {
    pub(crate) path: PathBuf,
    pub(crate) header: Vec<String>,
    rows: Vec<StringRecord>,
}

/// One row, borrowed from its table.
#[derive(Clone, Copy)]
pub(crate) struct Row<'a> {
    table: &'a Table,
    record: &'a StringRecord,
}

impl Table {
    pub(crate) fn read(path: &Path) -> Result<Table> {
        let (mut reader, header) = open(path)?;
        let fault = |source| Error::Csv { path: path.into(), source };
        let rows: Vec<StringRecord> = reader.records().collect::<csv::Result<_>>().map_err(fault)?;
        if rows.is_empty() {
            return Err(without_rows(path));
        }
        Ok(Table { path: path.into(), header, rows })
    }

    /// The column names of a table, which must have rows.
    pub(crate) fn header_of(path: &Path) -> Result<Vec<String>> {
        let (mut reader, header) = open(path)?;
        match reader.records().next() {
            Some(_) => Ok(header),
            None => Err(without_rows(path)),
        }
    }

    pub(crate) fn rows(&self) -> impl ExactSizeIterator<Item = Row<'_>> {
        self.rows.iter().map(|record| Row { table: self, record })
    }

    /// Index of a column; upper and lower case do not matter.
    pub(crate) fn column(&self, name: &str) -> Option<usize> {
        self.header.iter().position(|found| found.eq_ignore_ascii_case(name))
    }

    /// Indices of required columns; the error names all that are missing.
    pub(crate) fn columns<const N: usize>(&self, names: [&str; N]) -> Result<[usize; N]> {
        let missing: Vec<String> =
            names.iter().filter(|name| self.column(name).is_none()).map(|&name| name.into()).collect();
        if !missing.is_empty() {
            return Err(Error::MissingColumns { path: self.path.clone(), missing, found: self.header.clone() });
        }
        Ok(names.map(|name| self.column(name).unwrap_or_default()))
    }
}

impl<'a> Row<'a> {
    /// Line in the file; the header is line 1.
    pub(crate) fn line(self) -> u64 {
        self.record.position().map_or(0, csv::Position::line)
    }

    /// A cell without surrounding blanks. The reader has checked that every row is as long as the header.
    pub(crate) fn cell(self, column: usize) -> &'a str {
        self.record.get(column).unwrap_or_default()
    }

    pub(crate) fn fault(self, column: usize, expected: &str) -> Error {
        Error::Cell {
            path: self.table.path.clone(),
            line: self.line(),
            column: self.table.header[column].clone(),
            value: self.cell(column).into(),
            expected: expected.into(),
        }
    }
}

fn without_rows(path: &Path) -> Error {
    Error::EmptyTable { path: path.into(), found: "a header and no rows" }
}

fn open(path: &Path) -> Result<(csv::Reader<File>, Vec<String>)> {
    let file = File::open(path).map_err(|source| Error::Io { path: path.into(), source })?;
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(file);
    let header = reader.headers().map_err(|source| Error::Csv { path: path.into(), source })?;
    // As a full disk or an interrupted copy leaves behind. Without a header the table's purpose is unknown.
    if header.is_empty() {
        return Err(Error::EmptyTable { path: path.into(), found: "an empty file" });
    }
    let header = header.iter().map(|name| name.trim_start_matches('\u{feff}').into()).collect();
    Ok((reader, header))
}
