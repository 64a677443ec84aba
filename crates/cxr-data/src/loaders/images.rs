//! Finds the images of a table, whose paths may begin with folders of another machine.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use super::{LoadOptions, OnBad, table::Row};
use crate::{Error, Result};

/// Rewrites the paths of one table to paths below `root`, and counts the changes.
pub(crate) struct ImageFinder<'a> {
    root: &'a Path,
    table: PathBuf,
    on_bad: OnBad,
    keep_missing: bool,
    seen: Once,
    /// Prefixes dropped, with the number of rows.
    dropped: BTreeMap<String, usize>,
    missing: usize,
    first_missing: Option<String>,
}

impl<'a> ImageFinder<'a> {
    pub(crate) fn new(root: &'a Path, table: &Path, options: &LoadOptions) -> Self {
        Self {
            root,
            table: table.into(),
            on_bad: options.on_bad,
            keep_missing: options.keep_missing,
            seen: Once::default(),
            dropped: BTreeMap::new(),
            missing: 0,
            first_missing: None,
        }
    }

    /// The longest suffix of the cell's path that exists below the root, with `/` as separator; `None` where there is
    /// none and missing images are skipped. Listing an image twice is an error.
    pub(crate) fn find(&mut self, row: Row<'_>, column: usize) -> Result<Option<String>> {
        let listed = row.cell(column);
        if listed.is_empty() {
            return Err(row.fault(column, "the path of an image"));
        }
        let path = if listed.contains('/') { listed.into() } else { listed.replace('\\', "/") };
        if let Some((prefix, found)) = longest_ending(self.root, &path) {
            self.seen.check(row, column, found)?;
            *self.dropped.entry(prefix.into()).or_default() += 1;
            return Ok(Some(found.into()));
        }
        // `..` could leave the root and name an existing file.
        if self.keep_missing && !path.split('/').any(|part| part == "..") {
            let own = self.root.file_name().map(|name| format!("{}/", name.to_string_lossy())).unwrap_or_default();
            let below = path.strip_prefix(&own).unwrap_or(&path).trim_start_matches('/');
            self.seen.check(row, column, below)?;
            return Ok(Some(below.into()));
        }
        if self.on_bad == OnBad::Fail {
            return Err(Error::MissingImage {
                table: self.table.clone(),
                line: row.line(),
                image: listed.into(),
                root: self.root.into(),
            });
        }
        self.missing += 1;
        self.first_missing.get_or_insert_with(|| format!("{} line {}: {listed}", self.table.display(), row.line()));
        Ok(None)
    }

    /// Notes on replaced prefixes and skipped rows. The root's own name as a prefix, as CheXpert is published, is not
    /// worth a note.
    pub(crate) fn notes(self) -> Vec<String> {
        let own = self.root.file_name().map(|name| format!("{}/", name.to_string_lossy()));
        let table = self.table.display();
        let mut notes: Vec<String> = self
            .dropped
            .iter()
            .filter(|(prefix, _)| !prefix.is_empty() && Some(*prefix) != own.as_ref())
            .map(|(prefix, rows)| {
                format!("{table}: {rows} paths begin with \"{prefix}\"; it was replaced by \"{}\"", self.root.display())
            })
            .collect();
        if let Some(first) = self.first_missing {
            notes.push(format!(
                "{table}: {} rows skipped because their images are missing (the first: {first})",
                self.missing
            ));
        }
        notes
    }
}

/// Checks that a table lists every image once.
#[derive(Default)]
pub(crate) struct Once {
    /// Line of each image.
    lines: HashMap<String, u64>,
}

impl Once {
    /// Refuses an image listed twice: it would count double and look like a repeated export.
    pub(crate) fn check(&mut self, row: Row<'_>, column: usize, path: &str) -> Result<()> {
        match self.lines.insert(path.into(), row.line()) {
            None => Ok(()),
            Some(first) => Err(row.fault(column, &format!("every image once (line {first} lists it too)"))),
        }
    }
}

/// Splits a path into a prefix to drop and the longest suffix that is a file below `root`.
fn longest_ending<'p>(root: &Path, path: &'p str) -> Option<(&'p str, &'p str)> {
    // `..` could leave the root.
    if path.split('/').any(|part| part == "..") {
        return None;
    }
    let starts = std::iter::once(0).chain(path.match_indices('/').map(|(slash, _)| slash + 1));
    starts
        .map(|start| path.split_at(start))
        .find(|(_, rest)| !rest.is_empty() && !rest.starts_with('/') && root.join(rest).is_file())
}
