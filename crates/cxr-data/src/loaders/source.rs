//! What a loader works on: the files of a folder, the heads of its tables, and the record of what it read.

use std::cell::RefCell;
use std::path::Path;

use tables::{Head, Table};

use super::{Dataset, LoadOptions, Part, listing};
use crate::inventory::{Inventory, to_text};
use crate::{Error, Manifest, Record, Result};

/// Tables whose heads are read; those nearest to the root come first.
const HEADS: usize = 200;

/// A folder whose files are known, from which parts of a data set are loaded.
#[derive(Debug)]
pub(crate) struct Source<'a> {
    pub(crate) inventory: &'a Inventory,
    pub(crate) heads: &'a [(String, tables::Result<Head>)],
    pub(crate) options: &'a LoadOptions,
    pub(crate) part: Part,
    read: RefCell<Vec<String>>,
    other_parts: RefCell<Vec<String>>,
}

/// The heads of the tables of a folder.
pub(crate) fn heads(inventory: &Inventory) -> Vec<(String, tables::Result<Head>)> {
    let tables = inventory.tables().into_iter().take(HEADS);
    tables.map(|path| (path.to_owned(), Table::head(&inventory.on_disk(path)))).collect()
}

impl<'a> Source<'a> {
    pub(crate) fn new(
        inventory: &'a Inventory,
        heads: &'a [(String, tables::Result<Head>)],
        part: Part,
        options: &'a LoadOptions,
    ) -> Self {
        Self { inventory, heads, options, part, read: RefCell::default(), other_parts: RefCell::default() }
    }

    /// The folder.
    pub(crate) fn dir(&self) -> &'a Path {
        self.inventory.root()
    }

    /// Tables that have all of these columns, in any case, those nearest to the root first.
    pub(crate) fn tables_with(&self, columns: &[&str]) -> impl Iterator<Item = &'a str> {
        let has =
            |head: &Head| columns.iter().all(|name| head.header.iter().any(|found| found.eq_ignore_ascii_case(name)));
        self.heads
            .iter()
            .filter(move |(_, head)| head.as_ref().is_ok_and(has))
            .map(|(path, _)| path.as_str())
            .collect::<Vec<_>>()
            .into_iter()
    }

    /// Reads a table of the folder, and remembers that it was read.
    pub(crate) fn read(&self, path: &str) -> Result<Table> {
        self.note_read(path);
        Ok(Table::read(&self.inventory.on_disk(path))?)
    }

    /// As [`Self::read`], for a table by its path on disk.
    pub(crate) fn read_at(&self, path: &Path) -> Result<Table> {
        self.note_read(&self.below(path));
        Ok(Table::read(path)?)
    }

    /// A path on disk as the inventory has it.
    fn below(&self, path: &Path) -> String {
        to_text(path.strip_prefix(self.dir()).unwrap_or(path))
    }

    /// A list of names in a text file, one in a line.
    pub(crate) fn list(&self, path: &str) -> Result<Vec<String>> {
        self.note_read(path);
        let (text, _) = tables::text(&self.inventory.on_disk(path))?;
        Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(String::from).collect())
    }

    pub(crate) fn note_read(&self, path: &str) {
        let mut read = self.read.borrow_mut();
        if !read.iter().any(|known| known == path) {
            read.push(path.into());
        }
    }

    /// Remembers a table or list of the set that is not read because it belongs to another part.
    pub(crate) fn note_other_part(&self, path: &Path) {
        self.other_parts.borrow_mut().push(self.below(path));
    }

    /// Tables and lists of other parts.
    pub(crate) fn of_other_parts(&self) -> Vec<String> {
        self.other_parts.borrow().clone()
    }

    /// Tables and lists that were read.
    pub(crate) fn tables_read(&self) -> Vec<String> {
        self.read.borrow().clone()
    }

    /// The first file of this name, in any folder; upper and lower case do not matter.
    pub(crate) fn file_named(&self, name: &str) -> Option<&'a str> {
        let is = |path: &&str| path.rsplit('/').next().is_some_and(|found| found.eq_ignore_ascii_case(name));
        self.inventory.paths().filter(is).min_by_key(|path| path.matches('/').count())
    }

    /// The error for a folder that lacks something.
    pub(crate) fn layout(&self, expected: impl Into<String>) -> Error {
        match listing(self.dir()) {
            Ok(found) => Error::Layout { dir: self.dir().into(), expected: expected.into(), found },
            Err(fault) => fault,
        }
    }

    /// The error for a part that a set does not publish.
    pub(crate) fn no_such_part(&self, dataset: Dataset, published: &str) -> Error {
        Error::Layout {
            dir: self.dir().into(),
            expected: format!("the part \"{}\"", self.part),
            found: format!("the data set \"{dataset}\" with {published}"),
        }
    }

    /// The manifest of a set, whose rows come with the part they belong to (`None` where no part is published).
    ///
    /// # Errors
    /// The part is one that has no rows.
    pub(crate) fn manifest(
        &self,
        dataset: Dataset,
        tasks: Vec<String>,
        rows: Vec<(Option<Part>, Record)>,
        patients_known: bool,
        mut notes: Vec<String>,
    ) -> Result<Manifest> {
        let has_parts = rows.iter().any(|(part, _)| part.is_some());
        let records: Vec<Record> = if self.part == Part::All || !has_parts {
            notes.extend(super::no_parts(dataset, self.part, rows.len()));
            if !has_parts && matches!(self.part, Part::Valid | Part::Test) {
                return Err(self.no_such_part(dataset, NO_PARTS));
            }
            rows.into_iter().map(|(_, record)| record).collect()
        } else {
            let published = [Part::Train, Part::Valid, Part::Test];
            let published: Vec<String> = published
                .iter()
                .filter(|part| rows.iter().any(|(of, _)| of == &Some(**part)))
                .map(ToString::to_string)
                .collect();
            let wanted = rows.into_iter().filter(|(part, _)| *part == Some(self.part));
            let records: Vec<Record> = wanted.map(|(_, record)| record).collect();
            if records.is_empty() {
                return Err(self.no_such_part(dataset, &format!("the parts {}", published.join(", "))));
            }
            records
        };
        let root = self.dir().into();
        Ok(Manifest { root, dataset, tasks, records, patients_known, has_parts, notes, ..Manifest::default() })
    }
}

/// What an error says of a set without published parts.
pub(crate) const NO_PARTS: &str = "no published parts; an evaluation divides it by patient, `splits` writes a table with a column for the parts, and \
     \"all\" takes everything";
