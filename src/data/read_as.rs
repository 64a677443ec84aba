//! What the user said of a folder beyond its layout.

use std::path::PathBuf;

use cxr_data::{Columns, LoadOptions};
use serde::{Deserialize, Serialize};

/// How a folder is read where that does not follow from the folder itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ReadAs {
    /// Further folders, read as one set with the first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub more: Vec<PathBuf>,
    /// The table to read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<PathBuf>,
    /// Which reader's labels are taken (VinDr-CXR); none: the majority.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reader: Option<String>,
    /// Columns that are labels in a table of one's own, whatever other columns hold.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<String>,
    /// Which column is what in a table of one's own.
    #[serde(skip_serializing_if = "Columns::is_empty")]
    pub columns: Columns,
}

impl ReadAs {
    /// Whether nothing was said.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// What of them may leave the house with weights: names without the folders above, and in private only
    /// those of label columns and of a reader, without which the hash could not be made again.
    pub(crate) fn leaving(&self, private: bool) -> Self {
        if private {
            return Self { columns: Columns::default(), more: Vec::new(), table: None, ..self.clone() };
        }
        let name = |path: &PathBuf| PathBuf::from(path.file_name().unwrap_or_default());
        Self { more: self.more.iter().map(name).collect(), table: self.table.as_ref().map(name), ..self.clone() }
    }

    /// These choices laid over other options.
    pub(crate) fn apply(&self, options: LoadOptions) -> LoadOptions {
        LoadOptions {
            table: self.table.clone(),
            columns: self.columns.clone(),
            reader: self.reader.clone(),
            tasks: Some(self.tasks.clone()).filter(|tasks| !tasks.is_empty()),
            ..options
        }
    }
}
