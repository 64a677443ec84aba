//! Several sets as one: ids kept apart, labels that all of them have.

use std::path::{Path, PathBuf};

use super::words::plain;
use super::{Dataset, Folder, LoadOptions, Part};
use crate::inventory::{Account, to_text};
use crate::vocabulary::same;
use crate::{Error, Manifest, Record, Result};

/// Reads a part of several data sets as one set: [`open_together`], and then [`load_opened`].
///
/// # Errors
/// As these.
pub fn load_together(dirs: &[PathBuf], dataset: Dataset, part: Part, options: &LoadOptions) -> Result<Manifest> {
    load_opened(&open_together(dirs)?, dataset, part, options)
}

/// Lists the files of several data sets that are to be read as one.
///
/// # Errors
/// As [`Folder::open`]; one folder within another.
pub fn open_together(dirs: &[PathBuf]) -> Result<Vec<Folder>> {
    let mut roots = Vec::new();
    for dir in dirs {
        roots.push(dir.canonicalize().map_err(|source| Error::Io { path: dir.clone(), source })?);
    }
    let overlap = |(at, root): (usize, &PathBuf)| {
        let other = roots.iter().enumerate().find(|(other, of)| *other != at && root.starts_with(of))?;
        Some((root.clone(), other.1.clone()))
    };
    if let Some((inner, outer)) = roots.iter().enumerate().find_map(overlap) {
        let found = format!("{} within {}", inner.display(), outer.display());
        return Err(Error::Layout { dir: inner, expected: "data sets in folders of their own".into(), found });
    }
    roots.iter().map(|root| Folder::open(root)).collect()
}

/// Reads a part of several data sets as one set. Paths are relative to the folder above all of them; patients and studies
/// carry the name of their set, so that equal numbers of two sets stay two patients; labels are those that all sets have, by
/// the vocabulary of findings, under the names of the first.
///
/// # Errors
/// As [`load_with`](crate::load_with); no folder.
pub fn load_opened(folders: &[Folder], dataset: Dataset, part: Part, options: &LoadOptions) -> Result<Manifest> {
    let roots: Vec<&Path> = folders.iter().map(Folder::dir).collect();
    let Some(first) = roots.first() else {
        let (expected, found) = ("at least one folder".into(), "none".into());
        return Err(Error::Layout { dir: PathBuf::new(), expected, found });
    };
    let above = first.ancestors().skip(1).find(|above| roots.iter().all(|root| root.starts_with(above)));
    let above = above.unwrap_or(Path::new("/")).to_path_buf();
    let mut sets = Vec::new();
    for (root, folder) in roots.iter().zip(folders) {
        let name = to_text(root.strip_prefix(&above).unwrap_or(root));
        sets.push((name, folder.load(dataset, part, options)?));
    }
    let place = |set: &Manifest, task: &str| set.tasks.iter().position(|own| same(&plain(own), &plain(task)));
    let tasks: Vec<String> = match sets.first() {
        Some((_, set)) => {
            set.tasks.iter().filter(|task| sets.iter().all(|(_, set)| place(set, task).is_some())).cloned().collect()
        }
        None => Vec::new(),
    };
    let mut all = Manifest {
        dataset: Dataset::Folder,
        patients_known: sets.iter().all(|(_, set)| set.patients_known),
        has_parts: sets.iter().any(|(_, set)| set.has_parts),
        account: Account::joined(sets.iter().map(|(name, set)| (name.as_str(), &set.account))),
        root: above.clone(),
        ..Manifest::default()
    };
    for (name, set) in &sets {
        let places: Vec<usize> = tasks.iter().filter_map(|task| place(set, task)).collect();
        let below = to_text(set.root.strip_prefix(&above).unwrap_or(&set.root));
        all.records.extend(set.records.iter().map(|record| Record {
            path: format!("{below}/{}", record.path),
            patient: format!("{name}:{}", record.patient),
            study: format!("{name}:{}", record.study),
            labels: places.iter().filter_map(|&place| record.labels.get(place).copied()).collect(),
            ..record.clone()
        }));
        all.notes.push(format!("{name}: {} images of the data set \"{}\"", set.len(), set.dataset));
        all.notes.extend(set.notes.iter().cloned());
        let left: Vec<&str> = set
            .tasks
            .iter()
            .enumerate()
            .filter(|(at, _)| !places.contains(at))
            .map(|(_, task)| task.as_str())
            .collect();
        if !left.is_empty() {
            all.notes.push(format!("{name}: labels that the other sets lack are not read: {}", left.join(", ")));
        }
    }
    if all.has_parts && sets.iter().any(|(_, set)| !set.has_parts) {
        let without: Vec<&str> = sets.iter().filter(|(_, set)| !set.has_parts).map(|(name, _)| name.as_str()).collect();
        all.notes.push(format!("no published parts in {}: taken whole", without.join(", ")));
    }
    all.tasks = tasks;
    Ok(all)
}
