//! Any folder: the rows of a table of one's own, or all images.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use regex_lite::Regex;
use tables::{Age, Label, Table, age, is_missing, label, looks_rounded, projection, sex};

use super::cells::view_of_name;
use super::columns::{Layout, Role, layout, names_images};
use super::finder::ImageFinder;
use super::source::{NO_PARTS, Source};
use super::words;
use super::{Dataset, Part};
use crate::{Error, Manifest, Record, Result};

pub(crate) fn load(source: &Source<'_>) -> Result<Manifest> {
    let pattern = source.options.patient_regex.as_deref().map(Pattern::new).transpose()?;
    let mut manifest = match find_tables(source)? {
        tables if tables.is_empty() => from_files(source, pattern.as_ref())?,
        tables => from_tables(source, &tables, pattern.as_ref())?,
    };
    if !manifest.patients_known {
        manifest.notes.push(format!(
            "{}: patients: unknown. Every file counts as its own patient, so splits may separate images of one patient and \
             the leak check finds equal images only. Give a patient pattern (--patient-regex) or a patient column \
             (--columns patient=NAME)",
            source.dir().display()
        ));
    }
    Ok(manifest)
}

/// Why a table was not read.
pub(crate) fn why_not(source: &Source<'_>, path: &str, read: &[String]) -> String {
    let Some((_, head)) = source.heads.iter().find(|(found, _)| found == path) else {
        return "deeper than the tables that are looked at".into();
    };
    match head {
        Err(fault) => fault.reason(),
        Ok(head) if !head.has_rows => "a header and no rows".into(),
        Ok(head) if names_images(&head.header, &source.options.columns) => match read {
            [] => "its images were not found; --table reads it".into(),
            _ => format!("{} is read; --table takes this one", read.join(", ")),
        },
        Ok(head) => {
            let shown = head.header.iter().take(6).map(String::as_str).collect::<Vec<_>>().join(", ");
            let more = if head.header.len() > 6 { ", ..." } else { "" };
            format!("no column of paths among {shown}{more}; --table with --columns path=NAME reads it")
        }
    }
}

/// The tables to read, with the part that each is: the one asked for, or those named for parts, or else the only one that
/// names images.
fn find_tables(source: &Source<'_>) -> Result<Vec<(Option<Part>, PathBuf)>> {
    if let Some(table) = &source.options.table {
        let below = source.dir().join(table);
        return Ok(vec![(None, if below.is_file() { below } else { table.clone() })]);
    }
    let depth = |path: &str| path.matches('/').count();
    let usable = |(path, head): &&(String, tables::Result<tables::Head>)| {
        let names = |head: &tables::Head| head.has_rows && names_images(&head.header, &source.options.columns);
        depth(path) <= 1 && head.as_ref().is_ok_and(names)
    };
    let mut found: Vec<&str> = source.heads.iter().filter(usable).map(|(path, _)| path.as_str()).collect();
    if found.is_empty() {
        found = by_content(source)?;
    }
    let nearest = found.iter().map(|path| depth(path)).min().unwrap_or(0);
    found.retain(|path| depth(path) == nearest);
    let on_disk = |path: &str| source.inventory.on_disk(path);
    let mut parts: Vec<(Option<Part>, PathBuf)> = Vec::new();
    for path in &found {
        let name = path.rsplit('/').next().unwrap_or(path).split('.').next().unwrap_or_default();
        if let Some(part) = words::part(name) {
            parts.push((Some(part), on_disk(path)));
        }
    }
    if !parts.is_empty() {
        parts.sort();
        if let Some(pair) = parts.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(several(source, &pair.iter().map(|(_, path)| path.display().to_string()).collect::<Vec<_>>()));
        }
        return Ok(parts);
    }
    match &found[..] {
        [] => {
            // A column that was named and is not there.
            let table = source.heads.iter().find(|(_, head)| head.as_ref().is_ok_and(|head| head.has_rows));
            if let Some((path, _)) = table.filter(|_| !source.options.columns.is_empty()) {
                let table = Table::read(&on_disk(path))?;
                layout(&table, &source.options.columns, Some(&[]), source.inventory)?;
            }
            // What a table without content was for must not be guessed, unless another one is read.
            let empty = source.heads.iter().find_map(|(path, head)| match head {
                Ok(head) if !head.has_rows => Some((path, "a header and no rows")),
                Err(tables::Error::Empty { .. }) => Some((path, "an empty file")),
                _ => None,
            });
            match empty {
                Some((path, found)) => Err(tables::Error::Empty { path: on_disk(path), found }.into()),
                None => Ok(Vec::new()),
            }
        }
        [table] => Ok(vec![(None, on_disk(table))]),
        _ => Err(several(source, &found.iter().map(|path| on_disk(path).display().to_string()).collect::<Vec<_>>())),
    }
}

/// Tables whose header names no column of paths, but with a column that holds names of images.
fn by_content<'s>(source: &Source<'s>) -> Result<Vec<&'s str>> {
    let mut found = Vec::new();
    let small = source.heads.iter().filter(|(path, head)| path.matches('/').count() <= 1 && head.is_ok());
    for (path, _) in small.take(20) {
        let Ok(table) = Table::read(&source.inventory.on_disk(path)) else { continue };
        if layout(&table, &source.options.columns, Some(&[]), source.inventory).is_ok() {
            found.push(path.as_str());
        }
    }
    Ok(found)
}

fn several(source: &Source<'_>, tables: &[String]) -> Error {
    Error::Layout {
        dir: source.dir().into(),
        expected: "one table of images; choose the one to read with --table FILE".into(),
        found: tables.join(" and "),
    }
}

fn from_tables(source: &Source<'_>, tables: &[(Option<Part>, PathBuf)], pattern: Option<&Pattern>) -> Result<Manifest> {
    let published: Vec<Part> = tables.iter().filter_map(|(part, _)| *part).collect();
    let wanted: Vec<_> = match source.part {
        Part::All => tables.iter().collect(),
        _ if published.is_empty() => tables.iter().collect(),
        part => tables.iter().filter(|(of, _)| *of == Some(part)).collect(),
    };
    if wanted.is_empty() {
        let names: Vec<String> = tables.iter().map(|(_, path)| path.display().to_string()).collect();
        return Err(source.no_such_part(Dataset::Folder, &format!("the tables {}", names.join(", "))));
    }
    let mut sets = Vec::new();
    for (part, path) in wanted {
        sets.push(from_table(source, path, *part, pattern)?);
    }
    let Some(first) = sets.first() else { return Err(source.layout("a table of images")) };
    let tasks = first.tasks.clone();
    let mut notes = Vec::new();
    // One list of labels for all: what only some of the tables have is no label of the set.
    let common: Vec<&String> = tasks.iter().filter(|task| sets.iter().all(|set| set.tasks.contains(task))).collect();
    let partial: BTreeSet<&str> =
        sets.iter().flat_map(|set| &set.tasks).filter(|task| !common.contains(task)).map(String::as_str).collect();
    if !partial.is_empty() {
        let names = partial.into_iter().collect::<Vec<_>>().join(", ");
        notes.push(format!("{}: labels of some tables only, not read: {names}", source.dir().display()));
    }
    let known = sets.iter().all(|set| set.patients_known);
    let mut rows = Vec::new();
    for set in &sets {
        let places: Vec<usize> =
            common.iter().filter_map(|task| set.tasks.iter().position(|name| name == *task)).collect();
        for (part, record) in &set.rows {
            let labels = places.iter().filter_map(|&place| record.labels.get(place).copied()).collect();
            rows.push((*part, Record { labels, ..record.clone() }));
        }
        notes.extend(set.notes.iter().cloned());
    }
    let mut seen = BTreeSet::new();
    if let Some((_, twice)) = rows.iter().find(|(_, record)| !seen.insert(record.path.clone())) {
        let found = format!("{} in two of the tables", twice.path);
        return Err(Error::Layout { dir: source.dir().into(), expected: "every image in one part".into(), found });
    }
    let tasks = common.into_iter().cloned().collect();
    source.manifest(Dataset::Folder, tasks, rows, known, notes)
}

/// The rows of one table.
struct TableRows {
    tasks: Vec<String>,
    rows: Vec<(Option<Part>, Record)>,
    patients_known: bool,
    notes: Vec<String>,
}

fn from_table(source: &Source<'_>, path: &Path, part: Option<Part>, pattern: Option<&Pattern>) -> Result<TableRows> {
    let table = source.read_at(path)?;
    let options = source.options;
    let layout = layout(&table, &options.columns, options.tasks.as_deref(), source.inventory)?;
    let Layout { labels: columns, unread, .. } = &layout;
    let path_column = layout.column(Role::Path).unwrap_or_default();
    let mut notes = Vec::new();
    if !unread.is_empty() {
        notes.push(format!("{}: columns not read: {}", path.display(), unread.join(", ")));
    }
    let patient = layout.column(Role::Patient);
    let split = layout.column(Role::Split).filter(|_| part.is_none());
    let split = split.filter(|&column| is_split(&table, column));
    if let (None, Some(column)) = (split, layout.column(Role::Split).filter(|_| part.is_none())) {
        let name = &table.header()[column];
        notes.push(format!("{}: \"{name}\" is not read: its words are not train, valid and test", path.display()));
    }

    let search = ImageFinder::search_of(source.inventory, "", &table, path_column);
    let mut finder = ImageFinder::new(source.inventory, "", path, search, options);
    let mut rows = Vec::new();
    let mut odd = Odd::default();
    for row in table.rows() {
        let read = |&column: &usize| {
            label(row.cell(column)).ok_or_else(|| row.fault(column, "1.0, 0.0, -1.0 or blank").into())
        };
        let labels: Vec<Label> = columns.iter().map(read).collect::<Result<_>>()?;
        let Some(path) = finder.find(row, path_column)? else { continue };
        let patient = match (patient.map(|column| (column, row.cell(column))), pattern) {
            (Some((column, cell)), _) if is_missing(cell) => return Err(row.fault(column, "a patient").into()),
            (Some((_, cell)), _) => {
                odd.rounded.see(looks_rounded(cell), cell);
                cell.to_string()
            }
            (None, Some(pattern)) => pattern.patient(&path)?,
            (None, None) => path.clone(),
        };
        let cell_of = |role| layout.column(role).map_or("", |column| row.cell(column));
        let study = Some(cell_of(Role::Study)).filter(|study| !is_missing(study));
        let [(view, one), (other_view, other)] = [cell_of(Role::View), cell_of(Role::Projection)].map(projection);
        let years = match age(cell_of(Role::Age)) {
            Some(Age::Years(years)) => Some(years),
            Some(Age::Missing) => None,
            group => {
                odd.groups.see(group.is_some(), cell_of(Role::Age));
                odd.ages.see(group.is_none(), cell_of(Role::Age));
                None
            }
        };
        let record = Record {
            study: study.map_or_else(|| path.clone(), |study| format!("{patient}/{study}")),
            patient,
            view: view.or(other_view).or_else(|| view_of_name(&path)),
            projection: other.or(one),
            sex: sex(cell_of(Role::Sex)).flatten(),
            age: years,
            labels,
            path,
        };
        rows.push((part.or_else(|| split.and_then(|column| words::part(row.cell(column)))), record));
    }
    // Without a word in the table the folders say it, if all of them do.
    if part.is_none() && split.is_none() {
        let folder = |path: &str| path.split_once('/').and_then(|(folder, _)| words::part(folder));
        if rows.iter().all(|(_, record)| folder(&record.path).is_some()) {
            rows.iter_mut().for_each(|(part, record)| *part = folder(&record.path));
            notes.push(format!("{}: the parts are those of the folders of the images", path.display()));
        }
    }
    notes.extend(finder.notes());
    notes.extend(odd.notes(path));
    if let (Some(column), Some(_)) = (patient, pattern) {
        let (table, column) = (path.display(), &table.header()[column]);
        notes.push(format!("{table}: the patient pattern is not used: the column \"{column}\" has the patients"));
    }
    let tasks = columns.iter().map(|&column| table.header()[column].clone()).collect();
    Ok(TableRows { tasks, rows, patients_known: patient.is_some() || pattern.is_some(), notes })
}

/// Whether every cell of a column is a part or blank, and some are parts.
fn is_split(table: &Table, column: usize) -> bool {
    let words = || table.rows().map(|row| row.cell(column)).filter(|cell| !is_missing(cell));
    words().all(|word| words::part(word).is_some()) && words().next().is_some()
}

/// Cells that were read as not recorded, for the notes.
#[derive(Default)]
struct Odd {
    rounded: Seen,
    groups: Seen,
    ages: Seen,
}

#[derive(Default)]
struct Seen(usize, String);

impl Seen {
    fn see(&mut self, is: bool, cell: &str) {
        if is {
            self.0 += 1;
            if self.0 == 1 {
                self.1 = cell.into();
            }
        }
    }
}

impl Odd {
    fn notes(self, table: &Path) -> Vec<String> {
        [
            (
                self.rounded,
                "patients look like long numbers that a spreadsheet rounded; several may have become one. Export the \
                 column as text",
            ),
            (self.groups, "ages are groups, which are no ages; read as not recorded"),
            (self.ages, "ages are no ages from 0 to 120; read as not recorded"),
        ]
        .into_iter()
        .filter(|(seen, _)| seen.0 > 0)
        .map(|(Seen(rows, first), what)| format!("{}: {rows} {what} (the first: {first})", table.display()))
        .collect()
    }
}

/// Every image below the folder, or below the folder of the part, sorted by path.
fn from_files(source: &Source<'_>, pattern: Option<&Pattern>) -> Result<Manifest> {
    let images: Vec<&str> = source.inventory.images().collect();
    if images.is_empty() {
        return Err(source.layout("images (JPEG, PNG, WebP, TIFF, BMP, DICOM), here or in folders below"));
    }
    // The folder within which the parts are: below the only folder that everything is in, if need be.
    let mut within = String::new();
    let parts = loop {
        let parts = part_folders(&images, &within);
        let mut folders = BTreeSet::new();
        let deeper = images.iter().all(|path| {
            path[within.len()..].split_once('/').is_some_and(|(folder, _)| {
                folders.insert(folder);
                folders.len() == 1
            })
        });
        match folders.first() {
            Some(only) if deeper && parts.is_empty() => within = format!("{within}{only}/"),
            _ => break parts,
        }
    };
    let published: Vec<&str> = parts.values().map(String::as_str).collect();
    let folder =
        match source.part {
            Part::All => None,
            _ if parts.is_empty() => None,
            part => Some(parts.get(&part).ok_or_else(|| {
                source.no_such_part(Dataset::Folder, &format!("the folders {}", published.join(", ")))
            })?),
        };
    if parts.is_empty() && matches!(source.part, Part::Valid | Part::Test) {
        return Err(source.no_such_part(Dataset::Folder, NO_PARTS));
    }
    let below = folder.map(|folder| format!("{within}{folder}/")).unwrap_or_default();
    let classes = class_folders(&images, &within, &parts);
    let mut records = Vec::new();
    for path in images.iter().filter_map(|path| path.strip_prefix(&below)) {
        records.push(Record {
            patient: pattern.map_or_else(|| Ok(path.to_owned()), |pattern| pattern.patient(path))?,
            study: path.to_owned(),
            view: view_of_name(path),
            projection: None,
            sex: None,
            age: None,
            labels: labels_of(&format!("{below}{path}"), &within, &parts, &classes),
            path: path.to_owned(),
        });
    }
    let mut notes = Vec::new();
    if parts.is_empty() {
        notes.extend(super::no_parts(Dataset::Folder, source.part, records.len()));
    }
    if !classes.is_empty() {
        notes.push(format!(
            "{}: the folders {} within the parts are read as labels: each image is positive for its own, negative for the others",
            source.dir().display(),
            classes.iter().cloned().collect::<Vec<_>>().join(", ")
        ));
    }
    Ok(Manifest {
        root: if below.is_empty() {
            source.dir().into()
        } else {
            source.inventory.on_disk(below.trim_end_matches('/'))
        },
        dataset: Dataset::Folder,
        tasks: classes.into_iter().collect(),
        records,
        patients_known: pattern.is_some(),
        has_parts: !parts.is_empty(),
        notes,
        ..Manifest::default()
    })
}

/// The folders directly within a folder that are named for parts.
fn part_folders(images: &[&str], within: &str) -> BTreeMap<Part, String> {
    let folders: BTreeSet<&str> =
        images.iter().filter_map(|path| path[within.len()..].split_once('/')).map(|(folder, _)| folder).collect();
    let mut parts: BTreeMap<Part, String> = BTreeMap::new();
    for folder in folders {
        if let Some(part) = words::part(folder) {
            parts.entry(part).or_insert_with(|| folder.to_owned());
        }
    }
    parts
}

/// The folders of classes: where every image of every part lies in one of at least two folders directly within it, and the
/// parts agree on them. Folders of a set without parts may as well be patients.
fn class_folders(images: &[&str], within: &str, parts: &BTreeMap<Part, String>) -> BTreeSet<String> {
    let mut classes: Vec<BTreeSet<&str>> = Vec::new();
    for folder in parts.values() {
        let mut of_part = BTreeSet::new();
        for path in images.iter().filter_map(|path| path[within.len()..].strip_prefix(&format!("{folder}/"))) {
            match path.split('/').collect::<Vec<_>>()[..] {
                [class, _] => of_part.insert(class),
                _ => return BTreeSet::new(),
            };
        }
        classes.push(of_part);
    }
    match classes.split_first() {
        Some((first, others)) if first.len() > 1 && !others.is_empty() && others.iter().all(|other| other == first) => {
            first.iter().map(|class| (*class).to_owned()).collect()
        }
        _ => BTreeSet::new(),
    }
}

fn labels_of(path: &str, within: &str, parts: &BTreeMap<Part, String>, classes: &BTreeSet<String>) -> Vec<Label> {
    let mut folders = path[within.len()..].split('/');
    let (part, class) = (folders.next().unwrap_or_default(), folders.next().unwrap_or_default());
    if !parts.values().any(|folder| folder == part) {
        return Vec::new();
    }
    let label = |name: &String| if name == class { Label::Positive } else { Label::Negative };
    classes.iter().map(label).collect()
}

/// Checks that a pattern is a regular expression with a group.
pub(super) fn check_pattern(text: &str) -> Result<()> {
    Pattern::new(text).map(|_| ())
}

/// Finds the patient in a path.
struct Pattern {
    regex: Regex,
    text: String,
}

impl Pattern {
    fn new(text: &str) -> Result<Self> {
        let regex = Regex::new(text)
            .map_err(|error| Error::PatientPattern { pattern: text.into(), reason: error.to_string() })?;
        if regex.captures_len() < 2 {
            let reason = format!("it has no group to mark the patient within a path, as in \"({text})\"");
            return Err(Error::PatientPattern { pattern: text.into(), reason });
        }
        Ok(Self { regex, text: text.into() })
    }

    fn patient(&self, path: &str) -> Result<String> {
        let groups = self.regex.captures(path);
        let found = groups.as_ref().and_then(|groups| groups.get(1));
        found.map(|found| found.as_str()).filter(|patient| !patient.is_empty()).map(String::from).ok_or_else(|| {
            Error::PatientPattern { pattern: self.text.clone(), reason: format!("it finds no patient in \"{path}\"") }
        })
    }
}
