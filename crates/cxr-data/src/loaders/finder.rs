//! Finds the images of a table, whose paths may begin with folders of another machine.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use tables::{Row, Table};

use super::{LoadOptions, OnBad};
use crate::inventory::Inventory;
use crate::{Error, Result};

/// Rewrites the paths of one table to paths below a root, and counts the changes.
pub(crate) struct ImageFinder<'a> {
    inventory: &'a Inventory,
    /// The root of the set below that of the inventory: empty, or with `/` at its end.
    prefix: String,
    table: PathBuf,
    on_bad: OnBad,
    keep_missing: bool,
    search: Search,
    seen: Once,
    /// Prefixes dropped, with the number of rows.
    dropped: BTreeMap<String, usize>,
    elsewhere: Counted,
    other_ending: Counted,
    missing: Counted,
}

/// Where an image is looked for when it is not at the end of its path below the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Search {
    /// Nowhere, but with another ending.
    Endings,
    /// In any folder, by its file name, which is the name of one image only.
    Names,
    /// In any folder, by this many of its last folders and its name together.
    Folders(usize),
}

/// Rows, and the first of them.
#[derive(Default)]
struct Counted {
    rows: usize,
    first: Option<String>,
}

impl Counted {
    fn add(&mut self, first: impl FnOnce() -> String) {
        self.rows += 1;
        self.first.get_or_insert_with(first);
    }
}

impl<'a> ImageFinder<'a> {
    /// A finder for the paths of a table below `root`, a folder of the inventory (`""` for the whole).
    pub(crate) fn new(
        inventory: &'a Inventory,
        root: &str,
        table: &Path,
        search: Search,
        options: &LoadOptions,
    ) -> Self {
        Self {
            inventory,
            prefix: if root.is_empty() { String::new() } else { format!("{root}/") },
            table: table.into(),
            on_bad: options.on_bad,
            keep_missing: options.keep_missing,
            search,
            seen: Once::default(),
            dropped: BTreeMap::new(),
            elsewhere: Counted::default(),
            other_ending: Counted::default(),
            missing: Counted::default(),
        }
    }

    /// How images of this column may be searched for. Bare file names are looked for everywhere; paths with folders only
    /// where none of them is found as it stands and the file names are all different, so that an image is never taken for
    /// a missing one beside it.
    pub(crate) fn search_of(inventory: &'a Inventory, root: &str, table: &Table, column: usize) -> Search {
        let finder = Self::new(inventory, root, table.path(), Search::Endings, &LoadOptions::default());
        let mut names = HashSet::new();
        for row in table.rows() {
            let path = unified(row.cell(column));
            let folders = path.contains('/');
            if folders && finder.at_its_end(&path).is_some() || !names.insert(last(&path).to_lowercase()) {
                return Search::Endings;
            }
        }
        Search::Names
    }

    /// The path below the root of the image that a cell names; `None` where there is none and missing images are skipped.
    /// Listing an image twice is an error.
    pub(crate) fn find(&mut self, row: Row<'_>, column: usize) -> Result<Option<String>> {
        self.find_as(row, column, row.cell(column))
    }

    /// As [`Self::find`], for a path that is made from cells.
    pub(crate) fn find_as(&mut self, row: Row<'_>, column: usize, listed: &str) -> Result<Option<String>> {
        if listed.is_empty() {
            return Err(row.fault(column, "the path of an image").into());
        }
        let at = |found: &str| format!("{} line {}: {listed}, found at {found}", self.table.display(), row.line());
        // A name may have a backslash, as an escaped byte or by itself.
        let literal = self.inventory.file(&format!("{}{listed}", self.prefix)).is_some();
        let path = if literal { listed.to_owned() } else { unified(listed) };
        if let Some((prefix, found)) = self.at_its_end(&path) {
            self.seen.check(row, column, &found)?;
            *self.dropped.entry(prefix).or_default() += 1;
            return Ok(Some(found));
        }
        if let Some((found, whole)) = self.elsewhere(&path) {
            self.seen.check(row, column, &found)?;
            let note = at(&found);
            let ending = |path: &str| last(path).rsplit_once('.').map(|(_, ending)| ending.to_owned());
            if whole && path.contains('/') || ending(&path).is_some_and(|listed| Some(listed) != ending(&found)) {
                self.other_ending.add(|| note);
            } else if path.contains('/') {
                self.elsewhere.add(|| note);
            }
            return Ok(Some(found));
        }
        // `..` could leave the root and name an existing file.
        if self.keep_missing && !path.split('/').any(|part| part == "..") {
            let own = self.own_name().map(|name| format!("{name}/")).unwrap_or_default();
            let below = path.strip_prefix(&own).unwrap_or(&path).trim_start_matches('/');
            self.seen.check(row, column, below)?;
            return Ok(Some(below.into()));
        }
        if self.on_bad == OnBad::Fail {
            return Err(Error::MissingImage {
                table: self.table.clone(),
                line: row.line(),
                image: listed.into(),
                root: self.inventory.on_disk(self.prefix.trim_end_matches('/')),
                hint: self.hint(&path),
            });
        }
        let first = format!("{} line {}: {listed}", self.table.display(), row.line());
        self.missing.add(|| first);
        Ok(None)
    }

    /// The name of the root folder, with which the paths of published tables begin.
    fn own_name(&self) -> Option<String> {
        let root = self.inventory.on_disk(self.prefix.trim_end_matches('/'));
        root.file_name().map(|name| name.to_string_lossy().into_owned())
    }

    /// Splits a path into a prefix to drop and the longest end that is a file below the root.
    fn at_its_end(&self, path: &str) -> Option<(String, String)> {
        // `..` could leave the root.
        if path.split('/').any(|part| part == "..") {
            return None;
        }
        let starts = std::iter::once(0).chain(path.match_indices('/').map(|(slash, _)| slash + 1));
        let ends = starts.map(|start| path.split_at(start)).filter(|(_, rest)| !rest.is_empty());
        for (prefix, rest) in ends {
            if let Some(found) = self.inventory.file(&format!("{}{rest}", self.prefix)) {
                let below = found.strip_prefix(&self.prefix).unwrap_or(found);
                return Some((prefix.into(), below.into()));
            }
        }
        None
    }

    /// The one image that is meant though it lies elsewhere or has another ending; whether only the ending differs.
    fn elsewhere(&self, path: &str) -> Option<(String, bool)> {
        let wanted: Vec<&str> = path.split('/').collect();
        if wanted.contains(&"..") {
            return None;
        }
        let mut best: Vec<(&str, usize)> = Vec::new();
        for found in self.inventory.named(path) {
            let Some(below) = found.strip_prefix(&self.prefix) else { continue };
            let folders: Vec<&str> = below.split('/').collect();
            let shared = |(a, b): &(&&str, &&str)| a == b;
            let above = wanted.iter().rev().skip(1).zip(folders.iter().rev().skip(1)).take_while(shared).count();
            // With the ending it has in the table, if there are several.
            let rank = 2 * above + usize::from(last(below) == last(path));
            match best.first().map(|(_, best)| rank.cmp(best)) {
                None | Some(std::cmp::Ordering::Equal) => best.push((below, rank)),
                Some(std::cmp::Ordering::Greater) => best = vec![(below, rank)],
                Some(std::cmp::Ordering::Less) => {}
            }
        }
        let [(found, rank)] = best[..] else { return None };
        let (above, folders) = (rank / 2, found.matches('/').count());
        // At the end of the path below the root, as the table has it but for the ending.
        let in_place = above == folders;
        let accepted = match self.search {
            Search::Endings => in_place && (above > 0 || wanted.len() == 1),
            Search::Names => true,
            Search::Folders(least) => above >= least,
        };
        accepted.then(|| (found.to_owned(), in_place))
    }

    /// What lies there instead, for the error.
    fn hint(&self, path: &str) -> String {
        let found: Vec<&str> = self.inventory.named(path).take(3).collect();
        match found[..] {
            [] => String::new(),
            [one] => format!("; a file of this name is {one}"),
            _ => format!("; several files have this name: {}", found.join(", ")),
        }
    }

    /// Notes on replaced prefixes and skipped rows. The root's own name as a prefix, as CheXpert is published, is not
    /// worth a note.
    pub(crate) fn notes(self) -> Vec<String> {
        let own = self.own_name().map(|name| format!("{name}/"));
        let table = self.table.display();
        let root = self.inventory.on_disk(self.prefix.trim_end_matches('/'));
        let mut notes: Vec<String> = self
            .dropped
            .iter()
            .filter(|(prefix, _)| !prefix.is_empty() && Some(*prefix) != own.as_ref())
            .map(|(prefix, rows)| {
                format!("{table}: {rows} paths begin with \"{prefix}\"; it was replaced by \"{}\"", root.display())
            })
            .collect();
        for (counted, what) in [
            (
                self.other_ending,
                "images have another ending than the table says; they were found by the rest of their names",
            ),
            (self.elsewhere, "images lie in other folders than the table says; they were found by their names"),
            (self.missing, "rows skipped because their images are missing"),
        ] {
            if let Some(first) = counted.first {
                notes.push(format!("{table}: {} {what} (the first: {first})", counted.rows));
            }
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
            Some(first) => Err(row.fault(column, format!("every image once (line {first} lists it too)")).into()),
        }
    }
}

/// A path with `/` between its parts, also where they are mixed with those of Windows, and without `.` and empty parts.
fn unified(path: &str) -> String {
    let slashes = path.replace('\\', "/");
    let absolute = slashes.starts_with('/');
    let parts: Vec<&str> = slashes.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    format!("{}{}", if absolute { "/" } else { "" }, parts.join("/"))
}

fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::unified;

    /// C16: paths of Windows, and those that Python joined to them.
    #[test]
    fn c16_paths_of_any_system() {
        for (listed, expected) in [
            ("C:\\data\\img\\0.png", "C:/data/img/0.png"),
            ("D:/data\\img\\0.png", "D:/data/img/0.png"),
            ("./img//0.png", "img/0.png"),
            ("/mnt/x/0.png", "/mnt/x/0.png"),
            ("img/./0.png", "img/0.png"),
        ] {
            assert_eq!(unified(listed), expected);
        }
    }
}
