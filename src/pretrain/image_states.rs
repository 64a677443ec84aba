//! What every image of a run was when it began: a resume must not go on with others without a word.

use std::path::Path;

use cxr_data::{FileState, OnBad};

use crate::{
    data::Rows,
    error::Result,
    files::{RunFolder, Watch, text_of},
};

/// A line for each row of the manifest, in its order: pixels, length and time of the file. No names, which the table has. The
/// last line is a checksum, lest a changed digit be taken for a replaced image.
const FILE: &str = "images.txt";
const HEADER: &str = "moco-cxr images 1";
/// The line of an image that could not be read.
const UNREADABLE: &str = "-";

/// Changed images that a note names.
const NAMED: usize = 3;

/// Records the images.
pub(crate) fn write(folder: &RunFolder, rows: &Rows) -> Result<()> {
    let mut text = format!("{HEADER}\n");
    for state in rows.states() {
        text.push_str(&state.map_or_else(|| UNREADABLE.to_owned(), |state| state.to_line()));
        text.push('\n');
    }
    text.push_str(&checksum(&text));
    text.push('\n');
    folder.write(FILE, text.as_bytes()).map(|_| ())
}

/// Compares the images with those that a run began with, by their pixels; the manifests are the same.
///
/// # Errors
/// An image that was replaced, unless bad images are to be skipped: then it is a note.
pub(crate) fn check(run: &Path, rows: &Rows, on_bad: OnBad, watch: &dyn Watch) -> Result<()> {
    let Some(then) = read(&run.join(FILE), rows.states().len()) else {
        watch.note(&format!(
            "not checked: whether images were replaced since the run began, because its {FILE} is missing or damaged"
        ));
        return Ok(());
    };
    let mut changed = Vec::new();
    for (row, (was, is)) in then.iter().zip(rows.states()).enumerate() {
        let path = || rows.manifest().image_path(row);
        match (was, is) {
            (Some(was), Some(is)) if was.pixels() != is.pixels() => {
                let fault = cxr_data::Error::Changed { path: path(), was: Box::new(*was), is: Box::new(*is) };
                if on_bad == OnBad::Fail {
                    return Err(fault.into());
                }
                changed.push(fault.to_string());
            }
            (Some(was), None) => changed.push(format!("{}: it was {was}, and cannot be read now", path().display())),
            (None, Some(is)) => changed.push(format!("{}: it could not be read, and is {is}", path().display())),
            _ => {}
        }
    }
    for text in changed.iter().take(NAMED) {
        watch.note(text);
    }
    if !changed.is_empty() {
        watch.note(&format!(
            "{} images are not what they were when the run began, so that its result cannot be had again from either",
            changed.len()
        ));
    }
    Ok(())
}

fn checksum(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_string()
}

/// The states that a run recorded; `None` if the file is damaged, or has not as many as there are images.
fn read(path: &Path, images: usize) -> Option<Vec<Option<FileState>>> {
    let text = text_of(path)?;
    let end = text.strip_suffix('\n')?.rfind('\n')? + 1;
    let (text, sum) = text.split_at(end);
    if sum.trim_end() != checksum(text) {
        return None;
    }
    let mut lines = text.lines();
    if lines.next() != Some(HEADER) {
        return None;
    }
    let state = |line: &str| match line {
        UNREADABLE => Some(None),
        line => FileState::from_line(line).map(Some),
    };
    lines.map(state).collect::<Option<Vec<_>>>().filter(|states| states.len() == images)
}
