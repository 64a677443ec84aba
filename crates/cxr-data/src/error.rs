//! Errors of this crate.

use std::path::PathBuf;

use crate::{FileState, did_you_mean};

/// Any error of this crate. Messages say where, what was found and what was expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A table that this crate writes or reads by position is not well-formed CSV.
    #[error("{}: {source}", path.display())]
    Csv {
        /// The table.
        path: PathBuf,
        /// The CSV reader's error, with the line.
        source: csv::Error,
    },
    /// A table that cannot be read, lacks columns or rows, or has an invalid cell.
    #[error(transparent)]
    Table(#[from] tables::Error),
    /// A row names an image that does not exist, whatever prefix of its path is dropped.
    #[error(
        "{} line {line}: image \"{image}\" not found under {} (nor without its leading folders){hint}",
        table.display(), root.display()
    )]
    MissingImage {
        /// The table.
        table: PathBuf,
        /// Line in the file, the header being line 1.
        line: u64,
        /// The path in the table.
        image: String,
        /// Folder that was searched.
        root: PathBuf,
        /// What was found instead; empty if nothing.
        hint: String,
    },
    /// A folder does not have the layout of the data set.
    #[error("{}: expected {expected}; found {found}", dir.display())]
    Layout {
        /// The folder.
        dir: PathBuf,
        /// Expected contents.
        expected: String,
        /// Contents found.
        found: String,
    },
    /// A name that is none of the choices.
    #[error("unknown {what} \"{value}\"; {}", choices(value, expected))]
    UnknownName {
        /// What is named (a data set, a label, a policy).
        what: &'static str,
        /// The name.
        value: String,
        /// The choices; empty if there are none.
        expected: Vec<String>,
    },
    /// The pattern that finds the patient in a path is unusable.
    #[error("patient pattern \"{pattern}\": {reason}")]
    PatientPattern {
        /// The pattern.
        pattern: String,
        /// Why.
        reason: String,
    },
    /// The requested split cannot be drawn from these rows.
    #[error("cannot split: {0}")]
    Split(String),
    /// Training and evaluation data share patients or images.
    #[error("{0}")]
    Leak(String),
    /// An image file is empty, not an image, damaged or truncated.
    #[error("{}: cannot be decoded: {reason}", path.display())]
    Decode {
        /// The image file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// An image file is longer than that of any radiograph.
    #[error(
        "{}: found {:.1} GB, expected an image file of at most {:.1} GB; leave it out (--on-bad-image skip), or convert it to a \
         PNG or JPEG",
        path.display(), *bytes as f64 / 1e9, *limit as f64 / 1e9
    )]
    ImageFile {
        /// The image file.
        path: PathBuf,
        /// Its length.
        bytes: u64,
        /// The greatest length.
        limit: u64,
    },
    /// An image would take more memory than any radiograph.
    #[error(
        "{}: {width} x {height} pixels of {per_pixel} bytes are {:.1} GB decoded; expected at most {:.1} GB (100 megapixels in \
         three channels of 16 bits); convert it to one grey channel, or leave it out (--on-bad-image skip)",
        path.display(), (*width as f64) * (*height as f64) * (*per_pixel as f64) / 1e9,
        crate::decode::MAX_DECODED as f64 / 1e9
    )]
    ImageMemory {
        /// The image file.
        path: PathBuf,
        /// Its width in pixels.
        width: usize,
        /// Its height in pixels.
        height: usize,
        /// Bytes that decoding needs for each pixel.
        per_pixel: usize,
    },
    /// An image is not the one that was there at the start.
    #[error(
        "{}: the image was replaced while it was in use: it was {was}, and is {is}; put the old one back and resume, or begin a \
         new run",
        path.display()
    )]
    Changed {
        /// The image file.
        path: PathBuf,
        /// Its state before.
        was: Box<FileState>,
        /// Its state now.
        is: Box<FileState>,
    },
    /// An image's size is outside the limits for radiographs.
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
        /// The field, as a dotted path.
        field: String,
        /// Its value.
        found: String,
        /// The allowed values.
        expected: String,
    },
    /// The requested batches cannot be made from these images.
    #[error("batches: {reason}")]
    Batches {
        /// What was found, what was expected.
        reason: String,
    },
    /// A worker thread panicked, which is a bug in this crate.
    #[error("batch {batch}: a worker panicked (a bug; please report it with the message printed above)")]
    WorkerPanic {
        /// Number of the batch within its epoch.
        batch: usize,
    },
    /// Width and height of an image do not match its number of values.
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
    /// A label of a set that has none.
    #[error(
        "unknown label {name:?}: nothing in {} is read as labels; a table beside the images has a column for each \
         (--table FILE names it), or the images lie in folders named for them, of which --task names one; \
         `moco-cxr audit --data DIR` says what was seen",
        root.display()
    )]
    NoLabels {
        /// The label that was asked for.
        name: String,
        /// Folder of the set.
        root: PathBuf,
    },
    /// The output folder is not empty.
    #[error("{}: already exists and is not an empty folder; expected a new or an empty one", path.display())]
    NotEmpty {
        /// The existing file or folder.
        path: PathBuf,
    },
}

/// Result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// `expected one of a, b, c; did you mean "b"?`
fn choices(value: &str, expected: &[String]) -> String {
    if expected.is_empty() {
        return "there are none to choose from".into();
    }
    format!("expected one of {}{}", expected.join(", "), did_you_mean(value, expected.iter().map(String::as_str)))
}
