//! Where sets of images lie on this machine, by the hash of their rows: what goes with weights does not say it, and weights are
//! copied.

use std::path::PathBuf;

use crate::{
    data::Origin,
    device::cache_folder,
    files::{read_json, write_whole},
};

/// Remembers where the images of a record lie. Without a cache folder, or leave to write there, it is forgotten, and a user
/// is asked.
pub(super) fn remember(images: &Origin) {
    if let (true, Some(path), Ok(text)) = (images.is_placed(), file(&images.hash), serde_json::to_vec_pretty(images)) {
        let _ = write_whole(&path, &text);
    }
}

/// Where images with this hash lay when weights that saw them were last exported here.
pub(super) fn recall(hash: &str) -> Option<Origin> {
    read_json(&file(hash)?).ok()
}

fn file(hash: &str) -> Option<PathBuf> {
    // A hash that a file of others states must not become a path.
    let is_hash = !hash.is_empty() && hash.len() <= 128 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hash.then_some(())?;
    Some(cache_folder().ok()?.join("places").join(format!("{hash}.json")))
}
