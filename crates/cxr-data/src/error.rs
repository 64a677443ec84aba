//! What can go wrong between a folder on disk and a batch, said so that a person can mend it.

use std::path::PathBuf;

use crate::did_you_mean;

/// Every fault of this crate. Messages say where, what was found and what was expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A table is not well-formed CSV.
    #[error("{}: {source}", path.display())]
    Csv {
        /// The table.
        path: PathBuf,
        /// What the CSV reader said, with the line.
        source: csv::Error,
    },
    /// A table without rows: what a full disk or a broken copy leaves, or a part that was never filled.
    #[error("{}: found {found}, expected a header and a row for each image", path.display())]
    EmptyTable {
        /// The table.
        path: PathBuf,
        /// What there is.
        found: &'static str,
    },
    /// A table lacks columns that the loader reads by name.
    #[error("{}: column{} {} not found; the header has {}", path.display(), plural(missing), quoted(missing), quoted(found))]
    MissingColumns {
        /// The table.
        path: PathBuf,
        /// Names that were looked for in vain.
        missing: Vec<String>,
        /// Names in the header.
        found: Vec<String>,
    },
    /// A cell holds something the data set's format does not know.
    #[error("{} line {line}, column \"{column}\": found \"{value}\", expected {expected}", path.display())]
    Cell {
        /// The table.
        path: PathBuf,
        /// Line in the file, the header being line 1.
        line: u64,
        /// Name of the column.
        column: String,
        /// What the cell holds.
        value: String,
        /// What it may hold.
        expected: String,
    },
    /// A row names an image that does not exist under any rewriting of its prefix.
    #[error("{} line {line}: image \"{image}\" not found under {} (nor any of its path's endings)", table.display(), root.display())]
    MissingImage {
        /// The table.
        table: PathBuf,
        /// Line in the file, the header being line 1.
        line: u64,
        /// The path as the table has it.
        image: String,
        /// Folder that was searched.
        root: PathBuf,
    },
    /// A folder does not look like the data set it was taken for.
    #[error("{}: expected {expected}; found {found}", dir.display())]
    Layout {
        /// The folder.
        dir: PathBuf,
        /// What a folder of that kind holds.
        expected: String,
        /// What this one holds.
        found: String,
    },
    /// A word that stands for one of a few choices is none of them.
    #[error("unknown {what} \"{value}\"; {}", choices(value, expected))]
    UnknownName {
        /// What the word should name (a data set, a label, a policy).
        what: &'static str,
        /// The word.
        value: String,
        /// The choices; none where there is nothing to choose from.
        expected: Vec<String>,
    },
    /// The pattern that finds a patient in a path cannot be used.
    #[error("patient pattern \"{pattern}\": {reason}")]
    PatientPattern {
        /// The pattern.
        pattern: String,
        /// Why not.
        reason: String,
    },
    /// A split that was asked for cannot be drawn from these rows.
    #[error("cannot split: {0}")]
    Split(String),
    /// Training and evaluation data share patients or images.
    #[error("{0}")]
    Leak(String),
    /// An image file is empty, no image, damaged or truncated.
    #[error("{}: cannot be decoded: {reason}", path.display())]
    Decode {
        /// The image file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// An image file has a size that no radiograph has.
    #[error(
        "{}: {width} x {height} pixels; expected sides of {} to {}, one at most {} times the other, and at most {} pixels \
         in all",
        path.display(), crate::decode::MIN_SIDE, crate::decode::MAX_SIDE, crate::decode::MAX_ASPECT,
        crate::decode::MAX_PIXELS
    )]
    ImageSize {
        /// The image file.
        path: PathBuf,
        /// Its width in pixels.
        width: usize,
        /// Its height in pixels.
        height: usize,
    },
    /// A view configuration holds a value outside its range.
    #[error("views: {field} is {found}, expected {expected}")]
    View {
        /// The field, with dots between its parts.
        field: String,
        /// What it holds.
        found: String,
        /// What it may hold.
        expected: String,
    },
    /// Batches of this kind cannot be made of these images.
    #[error("batches: {reason}")]
    Batches {
        /// What was found, what was expected.
        reason: String,
    },
    /// A worker thread panicked: a defect of this crate.
    #[error("batch {batch}: a worker panicked (a defect; please report it with the message printed above)")]
    WorkerPanic {
        /// Number of the batch within its epoch.
        batch: usize,
    },
    /// Rows and columns of an image do not fit its number of values.
    #[error("an image of {width} x {height} pixels needs {} values, found {found}", width.saturating_mul(*height))]
    PixelCount {
        /// Width asked for.
        width: usize,
        /// Height asked for.
        height: usize,
        /// Values given.
        found: usize,
    },
    /// A value of a synthetic set's configuration is out of range.
    #[error("synthetic set: {field} is {found}, expected {expected}")]
    SynthConfig {
        /// Name of the field.
        field: String,
        /// Its value.
        found: String,
        /// The range.
        expected: &'static str,
    },
    /// Output would be written over something.
    #[error("{}: already exists and is not an empty folder; expected a new or an empty one", path.display())]
    NotEmpty {
        /// What stands in the way.
        path: PathBuf,
    },
}

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

fn plural(names: &[String]) -> &'static str {
    if names.len() == 1 { "" } else { "s" }
}

fn quoted(names: &[String]) -> String {
    if names.is_empty() {
        return "no columns".into();
    }
    names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ")
}

/// `expected one of a, b, c; did you mean "b"?`
fn choices(value: &str, expected: &[String]) -> String {
    if expected.is_empty() {
        return "there is none to choose from".into();
    }
    format!("expected one of {}{}", expected.join(", "), did_you_mean(value, expected.iter().map(String::as_str)))
}
