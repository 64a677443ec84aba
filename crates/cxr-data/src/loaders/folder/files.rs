//! Images without a table, their parts and classes by folders.

use std::collections::{BTreeMap, BTreeSet};

use tables::Label;

use super::pattern::Pattern;
use crate::loaders::cells::view_of_name;
use crate::loaders::source::{NO_PARTS, Source};
use crate::loaders::{Dataset, Part, no_parts, words};
use crate::{Manifest, Record, Result};

/// Every image below the folder, or below the folder of the part, sorted by path.
pub(super) fn from_files(source: &Source<'_>, pattern: Option<&Pattern>) -> Result<Manifest> {
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
        notes.extend(no_parts(Dataset::Folder, source.part, records.len()));
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
