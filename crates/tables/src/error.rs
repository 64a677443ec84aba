//! Errors of this crate: each names the file, and the line and column where there is one.

use std::path::PathBuf;

/// Result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// A table that cannot be used as it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file could not be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The file is not text with separators.
    #[error("{}: found {found}; {remedy}", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
        /// What it is.
        found: &'static str,
        /// What can be done.
        remedy: &'static str,
    },
    /// A table without rows, as a full disk or an interrupted copy leaves behind.
    #[error("{}: found {found}, expected a header and rows below it", path.display())]
    Empty {
        /// The table.
        path: PathBuf,
        /// What was found.
        found: &'static str,
    },
    /// Rows that do not fit the header, or quotation marks that do not close.
    #[error("{} line {line}: {reason}", path.display())]
    Malformed {
        /// The table.
        path: PathBuf,
        /// Line in the file, the first being 1.
        line: u64,
        /// What was found and expected.
        reason: String,
    },
    /// Two columns of one name: either could be meant.
    #[error("{}: two columns are named \"{name}\"; rename or remove one of them", path.display())]
    DuplicateColumn {
        /// The table.
        path: PathBuf,
        /// The name.
        name: String,
    },
    /// The table lacks columns that are read by name.
    #[error("{}: column{} {} not found; the header has {}", path.display(), if missing.len() == 1 { "" } else { "s" },
        quoted(missing), quoted(found))]
    MissingColumns {
        /// The table.
        path: PathBuf,
        /// Names that were not found.
        missing: Vec<String>,
        /// Names in the header.
        found: Vec<String>,
    },
    /// A cell holds a value that is not allowed there.
    #[error("{} line {line}, column \"{column}\": found \"{value}\", expected {expected}", path.display())]
    Cell {
        /// The table.
        path: PathBuf,
        /// Line in the file, the first being 1.
        line: u64,
        /// Name of the column.
        column: String,
        /// What the cell holds.
        value: String,
        /// The allowed values.
        expected: String,
    },
}

impl Error {
    /// The error without the name of its file, for lists in which the file stands already.
    #[must_use]
    pub fn reason(&self) -> String {
        let path = match self {
            Self::Io { path, .. }
            | Self::NotText { path, .. }
            | Self::Empty { path, .. }
            | Self::Malformed { path, .. }
            | Self::DuplicateColumn { path, .. }
            | Self::MissingColumns { path, .. }
            | Self::Cell { path, .. } => path.display().to_string(),
        };
        let text = self.to_string();
        let rest = text.strip_prefix(&path).unwrap_or(&text);
        rest.trim_start_matches([':', ' ']).to_owned()
    }
}

fn quoted(names: &[String]) -> String {
    if names.is_empty() {
        return "no columns".into();
    }
    names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ")
}
