//! Files for readers that take no bytes.

use std::fs;
use std::path::{Path, PathBuf};

use cxr_data::{Pixels, Radiograph};

/// A folder for a target, the same one each time in this process.
pub(crate) fn folder(target: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("moco-cxr-fuzz-{}", std::process::id())).join(target);
    fs::create_dir_all(&folder).expect("the folder for temporary files can be written to");
    folder
}

/// Writes a file.
pub(crate) fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).expect("the folder for temporary files can be written to");
}

/// A small image, from black to white.
pub(crate) fn write_image(path: &Path) {
    let image = Radiograph::new(8, 8, Pixels::U8((0..64).map(|at| at * 4).collect())).expect("64 pixels");
    image.write_png(path).expect("the folder for temporary files can be written to");
}
