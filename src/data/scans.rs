//! Where it is kept what was seen in the images of a folder.

use std::path::Path;

use cxr_data::ScanStore;

use crate::device::cache_folder;

/// What was seen in the images of a folder by an earlier command, kept in the cache folder; `None` where there is none.
pub fn scan_store(dir: &Path) -> Option<ScanStore> {
    // Without a home or without leave to write there, images are decoded each time.
    let folder = cache_folder().ok()?.join("scans");
    ScanStore::open(&folder, dir).ok()
}
