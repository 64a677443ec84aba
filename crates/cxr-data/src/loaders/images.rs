//! Finds the image that a table's path means: tables carry the prefix of the machine they were written on.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use super::{LoadOptions, OnBad, table::Row};
use crate::{Error, Result};

/// Rewrites the paths of one table to paths below `root`, and counts what it did.
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

    /// The longest ending of the cell's path that exists below the root, with `/` between its parts; `None` where there
    /// is none and missing images are skipped. A second row of the same image is an error.
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
        // A step upwards could leave the root, and name a file that is there.
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

    /// What the user should know: foreign prefixes and skipped rows, once each. The root's own name as a prefix is how
    /// CheXpert is published and goes without saying.
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
            notes
                .push(format!("{table}: {} rows skipped, their images are missing (the first: {first})", self.missing));
        }
        notes
    }
}

/// Sees to it that a table lists every image once.
#[derive(Default)]
pub(crate) struct Once {
    /// Line of each image.
    lines: HashMap<String, u64>,
}

impl Once {
    /// An image counted twice would weigh twice, and would look like the export of another.
    pub(crate) fn check(&mut self, row: Row<'_>, column: usize, path: &str) -> Result<()> {
        match self.lines.insert(path.into(), row.line()) {
            None => Ok(()),
            Some(first) => Err(row.fault(column, &format!("every image once (line {first} lists it, too)"))),
        }
    }
}

/// Splits a path into a prefix to drop and the longest rest that is a file below `root`.
fn longest_ending<'p>(root: &Path, path: &'p str) -> Option<(&'p str, &'p str)> {
    // A step upwards could leave the root.
    if path.split('/').any(|part| part == "..") {
        return None;
    }
    let starts = std::iter::once(0).chain(path.match_indices('/').map(|(slash, _)| slash + 1));
    starts
        .map(|start| path.split_at(start))
        .find(|(_, rest)| !rest.is_empty() && !rest.starts_with('/') && root.join(rest).is_file())
}
