//! Where sets of images lie on this machine, by the hash of their rows: what goes with weights does not say it, and weights are
//! copied.

use std::{cmp::Reverse, fs, path::PathBuf};

use crate::{
    data::Origin,
    device::cache_folder,
    files::{read_json, write_whole},
};

/// Places of one set that are looked at, the latest first: a set may be copied, and a copy deleted.
const MOST: usize = 16;

/// Remembers where the images of a record lie. Without a cache folder, or leave to write there, it is forgotten, and a user
/// is asked.
pub(super) fn remember(images: &Origin) {
    if let (true, Some(folder), Ok(text)) =
        (images.is_placed(), folder(&images.hash), serde_json::to_vec_pretty(images))
    {
        // A file for each place, so that two commands do not overwrite what the other has written.
        let name = blake3::hash(images.dir.as_os_str().as_encoded_bytes()).to_hex();
        let _ = fs::create_dir_all(&folder)
            .map_err(drop)
            .map(|()| write_whole(&folder.join(format!("{name}.json")), &text));
    }
}

/// Where images with this hash lay when weights that saw them were exported here, the latest place first.
pub(super) fn recall(hash: &str) -> Vec<Origin> {
    let Some(files) = folder(hash).and_then(|folder| fs::read_dir(folder).ok()) else { return Vec::new() };
    let mut files: Vec<_> = files
        .flatten()
        .filter_map(|file| Some((Reverse(file.metadata().ok()?.modified().ok()?), file.path())))
        .filter(|(_, path)| path.extension().is_some_and(|ending| ending == "json"))
        .collect();
    files.sort();
    files.into_iter().take(MOST).filter_map(|(_, path)| read_json(&path).ok()).collect()
}

fn folder(hash: &str) -> Option<PathBuf> {
    // A hash that a file of others states must not become a path.
    let is_hash = !hash.is_empty() && hash.len() <= 128 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hash.then_some(())?;
    Some(cache_folder().ok()?.join("places").join(hash))
}
