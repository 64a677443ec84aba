//! Images without a table, their parts and classes by folders.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use tables::Label;

use super::pattern::Pattern;
use crate::inventory::Header;
use crate::loaders::cells::view_of_name;
use crate::loaders::source::{NO_PARTS, Source};
use crate::loaders::{Dataset, Part, no_parts, words};
use crate::{Manifest, Record, Result};

/// More folders than this are no classes.
const MOST_CLASSES: usize = 20;

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
    let asked = source.options.tasks.as_deref().unwrap_or_default();
    let classes = match asked_folders(&images, &within, &parts, asked) {
        classes if classes.is_empty() => class_folders(&images, &within, &parts),
        classes => classes,
    };
    let headers = Headers::of(source, &images);
    let mut records = Vec::new();
    for path in images.iter().filter_map(|path| path.strip_prefix(&below)) {
        let full = format!("{below}{path}");
        let header = headers.found.get(&full);
        let patient = match (pattern, header.filter(|_| headers.name_patients)) {
            (Some(pattern), _) => pattern.patient(path)?,
            (None, Some(header)) => header.patient.clone(),
            (None, None) => path.to_owned(),
        };
        let study = header.map(|header| header.study.as_str()).filter(|study| !study.is_empty());
        records.push(Record {
            study: study.map_or_else(|| path.to_owned(), |study| format!("{patient}/{study}")),
            patient,
            view: header.and_then(|header| header.view).or_else(|| view_of_name(path)),
            projection: header.and_then(|header| header.projection),
            sex: header.and_then(|header| header.sex),
            age: header.and_then(|header| header.age),
            labels: labels_of(&full[within.len()..], &parts, &classes),
            path: path.to_owned(),
        });
    }
    let mut notes: Vec<String> = headers.note(source, pattern.is_some()).into_iter().collect();
    let in_a_part =
        |path: &&&str| path[within.len()..].split_once('/').is_some_and(|(folder, _)| published.contains(&folder));
    let mut outside = images.iter().filter(|path| !parts.is_empty() && !in_a_part(path));
    if let Some(first) = outside.next() {
        notes.push(format!(
            "{}: {} images lie outside of the folders {} and belong to no part (the first: {first})",
            source.dir().display(),
            1 + outside.count(),
            published.join(", ")
        ));
    }
    if parts.is_empty() {
        notes.extend(no_parts(Dataset::Folder, source.part, records.len()));
    }
    let dir = source.dir().display();
    if !classes.is_empty() {
        let names = classes.iter().cloned().collect::<Vec<_>>().join(", ");
        let where_ = if parts.is_empty() { "" } else { " within the parts" };
        notes.push(format!(
            "{dir}: the folders {names}{where_} are read as labels: each image is positive for its own, negative for the others"
        ));
        let without = records.iter().filter(|record| record.labels.is_empty()).count();
        if without > 0 {
            notes.push(format!("{dir}: {without} images lie in none of these folders and have no labels"));
        }
    } else if let Some(names) = maybe_classes(&images, &within, &parts).filter(|_| pattern.is_none()) {
        notes.push(format!(
            "{dir}: the folders {names} are not read as labels; --task with one of these names reads them so"
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
        patients_known: pattern.is_some() || headers.name_patients,
        has_parts: !parts.is_empty(),
        notes,
        ..Manifest::default()
    })
}

/// What the headers of DICOM files say, and whether it can be believed of patients.
struct Headers<'s> {
    found: &'s HashMap<String, Header>,
    /// Every image has a patient, and not all the same one, as files have from which the patient was removed.
    name_patients: bool,
}

impl<'s> Headers<'s> {
    fn of(source: &Source<'s>, images: &[&str]) -> Self {
        let found = source.inventory.headers();
        let patients: Option<BTreeSet<&str>> = images
            .iter()
            .map(|path| found.get(*path).map(|header| header.patient.as_str()).filter(|patient| !patient.is_empty()))
            .collect();
        let name_patients = patients.is_some_and(|patients| patients.len() > 1 || images.len() == 1);
        Self { found, name_patients }
    }

    fn note(&self, source: &Source<'_>, by_pattern: bool) -> Option<String> {
        let dir = source.dir().display();
        match (self.found.is_empty(), self.name_patients && !by_pattern) {
            (true, _) => None,
            (false, true) => {
                Some(format!("{dir}: patients, studies, views, sexes and ages are those of the DICOM headers"))
            }
            (false, false) => Some(format!(
                "{dir}: views, sexes and ages are those of the DICOM headers; patients are not, because some files name none or \
                 all name the same, or a pattern names them"
            )),
        }
    }
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
    // One part alone leaves nothing to evaluate on: such a set is divided as one without parts. Not if something lies beside
    // that folder, which may be the test images under a name of their own.
    let only = |train: &String| images.iter().all(|path| path[within.len()..].starts_with(&format!("{train}/")));
    if parts.len() == 1 && parts.get(&Part::Train).is_some_and(only) {
        parts.clear();
    }
    parts
}

/// The folders of classes: where every image of every part lies in one of at least two folders directly within it, and the
/// parts agree on them. Folders of a set without parts may as well be patients: they are classes if somebody says so.
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

/// The folder of an image in which the classes are: directly within its part, or directly within the set where there are no
/// parts. `path` is below the folder with the parts.
fn folder_of<'p>(path: &'p str, parts: &BTreeMap<Part, String>) -> Option<&'p str> {
    let below = match path.split_once('/') {
        Some((part, below)) if parts.values().any(|folder| folder == part) => below,
        _ if parts.is_empty() => path,
        _ => return None,
    };
    below.split_once('/').map(|(folder, _)| folder)
}

/// The folders beside the one that a task names: somebody who asks for it says that they are classes.
fn asked_folders(images: &[&str], within: &str, parts: &BTreeMap<Part, String>, asked: &[String]) -> BTreeSet<String> {
    let folders: BTreeSet<&str> = images.iter().filter_map(|path| folder_of(&path[within.len()..], parts)).collect();
    let is_asked = |folder: &&str| asked.iter().any(|task| words::same_finding(folder, task));
    match folders.len() > 1 && folders.iter().any(is_asked) {
        true => words::one_spelling(folders.into_iter().map(String::from)).into_iter().collect(),
        false => BTreeSet::new(),
    }
}

/// The names of a few folders in which all images lie: classes, or patients.
fn maybe_classes(images: &[&str], within: &str, parts: &BTreeMap<Part, String>) -> Option<String> {
    let folders: Option<BTreeSet<&str>> = images.iter().map(|path| folder_of(&path[within.len()..], parts)).collect();
    let folders = folders.filter(|folders| (2..=MOST_CLASSES).contains(&folders.len()))?;
    Some(folders.into_iter().collect::<Vec<_>>().join(", "))
}

fn labels_of(path: &str, parts: &BTreeMap<Part, String>, classes: &BTreeSet<String>) -> Vec<Label> {
    let Some(own) = folder_of(path, parts) else { return Vec::new() };
    let is_own = |name: &String| words::same_finding(name, own);
    if !classes.iter().any(is_own) {
        return Vec::new();
    }
    classes.iter().map(|name| if is_own(name) { Label::Positive } else { Label::Negative }).collect()
}
