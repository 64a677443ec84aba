//! Which tables of a folder are read, and their rows as one set.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use tables::Table;

use super::pattern::Pattern;
use super::rows::from_table;
use crate::loaders::columns::{layout, names_images};
use crate::loaders::source::Source;
use crate::loaders::{Dataset, Part, words};
use crate::{Error, Manifest, Record, Result};

/// The tables to read, with the part that each is: the one asked for, or those named for parts, or else the only one that
/// names images.
pub(super) fn find_tables(source: &Source<'_>) -> Result<Vec<(Option<Part>, PathBuf)>> {
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
    // The table of one part alone leaves nothing to evaluate on: such a set is divided as one without parts.
    if let [(Some(Part::Train), only)] = &parts[..]
        && found.len() == 1
    {
        return Ok(vec![(None, only.clone())]);
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
                None if !source.options.columns.is_empty() => Err(Error::Layout {
                    dir: source.dir().into(),
                    expected: "a table (CSV or TSV) with the columns that --columns names; --table FILE takes one of another ending"
                        .into(),
                    found: "none".into(),
                }),
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

/// The first two numbers that differ by zeros in front alone.
fn without_zeros<'r>(patients: impl Iterator<Item = &'r str>) -> Option<(&'r str, &'r str)> {
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    patients.filter(|patient| patient.bytes().all(|byte| byte.is_ascii_digit())).find_map(|patient| {
        let known = *seen.entry(patient.trim_start_matches('0')).or_insert(patient);
        (known != patient).then_some((known, patient))
    })
}

fn several(source: &Source<'_>, tables: &[String]) -> Error {
    Error::Layout {
        dir: source.dir().into(),
        expected: "one table of images; choose the one to read with --table FILE".into(),
        found: tables.join(" and "),
    }
}

pub(super) fn from_tables(
    source: &Source<'_>,
    tables: &[(Option<Part>, PathBuf)],
    pattern: Option<&Pattern>,
) -> Result<Manifest> {
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
    for (_, path) in tables.iter().filter(|(of, _)| wanted.iter().all(|(wanted, _)| wanted != of)) {
        source.note_other_part(path);
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
    if known && let Some((one, other)) = without_zeros(rows.iter().map(|(_, record)| record.patient.as_str())) {
        notes.push(format!(
            "{}: patients {one} and {other} are read as two; a spreadsheet may have taken zeros away, which hides that they are one. Write \
             all patients in one way",
            source.dir().display()
        ));
    }
    let tasks = common.into_iter().cloned().collect();
    source.manifest(Dataset::Folder, tasks, rows, known, notes)
}
