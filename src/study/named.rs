//! Images that a person names.

use cxr_data::{Manifest, nearest_name};

use crate::error::{Error, Result};

/// Rows of the images with these names, each once: their paths in the set, as tables of results have them, or those paths below
/// the folder of the set. `key` is what the names are called in an error.
///
/// # Errors
/// A name of no image; the message has the most similar path.
pub(super) fn named_rows(manifest: &Manifest, names: &[String], key: &str) -> Result<Vec<usize>> {
    let mut found = Vec::new();
    for name in names {
        let below = std::path::Path::new(name).strip_prefix(&manifest.root).ok();
        let below = below.map(|below| below.to_string_lossy().replace('\\', "/"));
        let is = |path: &str| path == name || below.as_deref() == Some(path);
        let row = manifest.records.iter().position(|record| is(&record.path)).ok_or_else(|| {
            let paths = || manifest.records.iter().map(|record| record.path.as_str());
            let example = nearest_name(name, paths()).or_else(|| paths().next()).unwrap_or_default();
            Error::Setting {
                key: key.into(),
                found: format!("{name:?}, which none of the {} images is called", manifest.len()),
                expected: format!("the path of an image in the data set, such as {example:?}"),
            }
        })?;
        if !found.contains(&row) {
            found.push(row);
        }
    }
    Ok(found)
}
