//! A table in memory: rows by column name, errors by line.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use csv::StringRecord;

use crate::separator::separator;
use crate::text::{Encoding, beginning, text};
use crate::{Error, Result};

/// A whole table in memory (CheXpert's `train.csv` is about 20 MB).
#[derive(Debug, Clone)]
pub struct Table {
    path: PathBuf,
    header: Vec<String>,
    rows: Vec<(u64, StringRecord)>,
    separator: u8,
    encoding: Encoding,
}

/// The beginning of a table: its columns, and the first rows.
#[derive(Debug, Clone)]
pub struct Head {
    /// Column names.
    pub header: Vec<String>,
    /// Whether there is a row below the header.
    pub has_rows: bool,
}

/// One row, borrowed from its table.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    table: &'a Table,
    line: u64,
    record: &'a StringRecord,
}

/// Bytes in which a header is looked for.
const HEAD: u64 = 256 * 1024;

impl Table {
    /// Reads a table with a header and at least one row. Separators are commas, semicolons, tabs or bars; rows without any
    /// content are passed over.
    ///
    /// # Errors
    /// A file that is no text, has no rows, rows of another length than the header, or two columns of one name.
    pub fn read(path: &Path) -> Result<Self> {
        let (text, encoding) = text(path)?;
        let table = Self::parse(path, &text, encoding)?;
        if table.rows.is_empty() {
            return Err(Error::Empty { path: path.into(), found: "a header and no rows" });
        }
        Ok(table)
    }

    /// The columns of a table, without reading all of it.
    ///
    /// # Errors
    /// A file that is no text or empty, or two columns of one name.
    pub fn head(path: &Path) -> Result<Head> {
        let (text, cut) = beginning(path, HEAD)?;
        let (separator, skip) = separator(&text);
        let mut reader = reader(&text[skip..], separator);
        let header = header(path, &mut reader)?;
        let row = reader.records().next();
        Ok(Head { header, has_rows: cut || matches!(row, Some(Ok(_))) })
    }

    fn parse(path: &Path, text: &str, encoding: Encoding) -> Result<Self> {
        let (separator, skip) = separator(text);
        let body = &text[skip..];
        let mut lines = Lines { text: body.as_bytes(), at: 0, line: 1 + count_lines(&text.as_bytes()[..skip]) };
        let mut reader = reader(body, separator);
        let header = header(path, &mut reader)?;
        let mut rows = Vec::new();
        let mut record = StringRecord::new();
        loop {
            let start = reader.position().byte() as usize;
            let more = reader.read_record(&mut record).map_err(|error| Error::Malformed {
                path: path.into(),
                line: lines.line,
                reason: error.to_string(),
            })?;
            if !more {
                break;
            }
            let line = lines.of(start);
            if record.iter().all(str::is_empty) {
                continue;
            }
            // Trailing separators, as spreadsheets leave them, add empty cells only.
            let width = header.len();
            if record.len() < width || record.iter().skip(width).any(|cell| !cell.is_empty()) {
                let reason = format!("found {} cells, expected {width} as in the header", record.len());
                return Err(Error::Malformed { path: path.into(), line, reason });
            }
            rows.push((line, record.clone()));
        }
        // A mark that opens and never closes swallows all the rows after it.
        if let Some((line, last)) = rows.last()
            && last.iter().any(|cell| cell.contains('\n'))
            && body.bytes().filter(|&byte| byte == b'"').count() % 2 == 1
        {
            let reason = "a quotation mark opens here and does not close".to_owned();
            return Err(Error::Malformed { path: path.into(), line: *line, reason });
        }
        Ok(Self { path: path.into(), header, rows, separator, encoding })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Column names, without surrounding blanks.
    pub fn header(&self) -> &[String] {
        &self.header
    }

    /// What separates the cells.
    pub fn separator(&self) -> char {
        char::from(self.separator)
    }

    /// How the file is encoded.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Number of rows below the header.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are no rows; never after [`Self::read`].
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The rows, in the order of the file.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = Row<'_>> {
        self.rows.iter().map(|(line, record)| Row { table: self, line: *line, record })
    }

    /// Row `at`.
    ///
    /// # Panics
    /// When there are fewer rows.
    pub fn row(&self, at: usize) -> Row<'_> {
        let (line, record) = &self.rows[at];
        Row { table: self, line: *line, record }
    }

    /// Index of a column: of this name exactly, or without regard to upper and lower case.
    pub fn column(&self, name: &str) -> Option<usize> {
        let exact = self.header.iter().position(|found| found == name);
        exact.or_else(|| self.header.iter().position(|found| found.eq_ignore_ascii_case(name)))
    }

    /// Indices of required columns.
    ///
    /// # Errors
    /// [`Error::MissingColumns`] with all that are missing.
    pub fn columns<const N: usize>(&self, names: [&str; N]) -> Result<[usize; N]> {
        let missing: Vec<String> =
            names.iter().filter(|name| self.column(name).is_none()).map(|&name| name.into()).collect();
        if !missing.is_empty() {
            return Err(Error::MissingColumns { path: self.path.clone(), missing, found: self.header.clone() });
        }
        Ok(names.map(|name| self.column(name).unwrap_or_default()))
    }
}

impl<'a> Row<'a> {
    /// Line in the file on which the row begins; the first line is 1.
    pub fn line(self) -> u64 {
        self.line
    }

    /// A cell without surrounding blanks.
    pub fn cell(self, column: usize) -> &'a str {
        self.record.get(column).unwrap_or_default()
    }

    /// The error for a cell of this row.
    pub fn fault(self, column: usize, expected: impl Into<String>) -> Error {
        Error::Cell {
            path: self.table.path.clone(),
            line: self.line,
            column: self.table.header[column].clone(),
            value: self.cell(column).into(),
            expected: expected.into(),
        }
    }
}

fn reader(text: &str, separator: u8) -> csv::Reader<&[u8]> {
    let mut builder = csv::ReaderBuilder::new();
    builder.delimiter(separator).trim(csv::Trim::All).flexible(true).from_reader(text.as_bytes())
}

fn header(path: &Path, reader: &mut csv::Reader<&[u8]>) -> Result<Vec<String>> {
    let malformed = |error: csv::Error| Error::Malformed { path: path.into(), line: 1, reason: error.to_string() };
    let header: Vec<String> = reader.headers().map_err(malformed)?.iter().map(String::from).collect();
    // As a full disk or an interrupted copy leaves behind. Without a header the table's purpose is unknown.
    if header.iter().all(String::is_empty) {
        return Err(Error::Empty { path: path.into(), found: "an empty file" });
    }
    let mut names = HashSet::new();
    if let Some(name) = header.iter().find(|name| !name.is_empty() && !names.insert(name.as_str())) {
        return Err(Error::DuplicateColumn { path: path.into(), name: name.clone() });
    }
    Ok(header)
}

/// Counts lines up to positions that only grow. The CSV reader's own count is one short where lines end in CR and LF.
struct Lines<'t> {
    text: &'t [u8],
    at: usize,
    line: u64,
}

impl Lines<'_> {
    /// The line on which the record that is read from byte `start` begins.
    fn of(&mut self, start: usize) -> u64 {
        let rest = self.text.get(start..).unwrap_or_default();
        let blank = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let begin = (start + blank).min(self.text.len());
        self.line += count_lines(&self.text[self.at..begin]);
        self.at = begin;
        self.line
    }
}

/// Ends of lines: LF, CR LF, or CR alone.
fn count_lines(text: &[u8]) -> u64 {
    let ends = |at: usize| text[at] == b'\n' || text[at] == b'\r' && text.get(at + 1) != Some(&b'\n');
    (0..text.len()).filter(|&at| ends(at)).count() as u64
}
