//! From a folder to the rows that can be used.

use std::path::Path;

use cxr_data::{Dataset, LoadOptions, Manifest, OnBad, Part, load_with, prescan};

use crate::{Error, Result};

/// A part of a data set and its readable rows. Every image is decoded once: what cannot be read is found before hours of
/// work, not within them.
pub(crate) fn load(
    dir: &Path,
    dataset: Dataset,
    part: Part,
    on_bad: OnBad,
    workers: usize,
    note: &mut dyn FnMut(&str),
) -> Result<(Manifest, Vec<usize>)> {
    if !dir.is_dir() {
        let found = format!("{}, which is no folder", dir.display());
        return Err(Error::Setting { key: "data".into(), found, expected: "the folder of a data set".into() });
    }
    let options = LoadOptions { on_bad, ..LoadOptions::default() };
    let manifest = load_with(dir, dataset, part, &options)?;
    manifest.notes.iter().for_each(|n| note(n));
    let bad = prescan(&manifest, workers);
    if let (OnBad::Fail, Some((_, first))) = (on_bad, bad.first()) {
        let found = format!("{} of {} images cannot be read; the first: {first}", bad.len(), manifest.records.len());
        let expected = "images that can be read, or --on-bad-image skip".to_owned();
        return Err(Error::Setting { key: dir.display().to_string(), found, expected });
    }
    for (_, fault) in &bad {
        note(&format!("skipped: {fault}"));
    }
    if !bad.is_empty() {
        note(&format!("{} of {} images cannot be read and are skipped", bad.len(), manifest.records.len()));
    }
    let rows = (0..manifest.records.len()).filter(|row| bad.binary_search_by_key(row, |(r, _)| *r).is_err()).collect();
    Ok((manifest, rows))
}
