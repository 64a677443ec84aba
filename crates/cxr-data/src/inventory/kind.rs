//! What a file is, by its name and, where that says nothing, by its first bytes.

use std::io::Read;
use std::path::Path;

use crate::decode::Format;

/// What a file is to a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// An image of a format that is read.
    Image,
    /// An image of a format that is not.
    UnreadImage,
    /// A table, or what may be one: CSV, TSV, workbooks, Parquet.
    Table,
    /// Hidden files and folders: a leading dot, `__MACOSX`.
    Hidden,
    /// Thumbnails and indices that operating systems and file servers leave behind.
    System,
    /// A mask, by the folder it lies in.
    Mask,
    /// An archive, in which there may be images.
    Archive,
    /// Anything else.
    Other,
}

/// Endings of images that are read and no DICOM.
pub(super) const RASTERS: [&str; 8] = ["jpg", "jpeg", "jfif", "png", "webp", "tif", "tiff", "bmp"];
const DICOM: [&str; 2] = ["dcm", "dicom"];
const UNREAD: [&str; 14] =
    ["gif", "jp2", "j2k", "jpx", "jxl", "heic", "heif", "avif", "svg", "mha", "mhd", "nii", "nrrd", "npy"];
const TABLES: [&str; 7] = ["csv", "tsv", "xlsx", "xls", "ods", "parquet", "feather"];
/// Endings of files that are never opened to see whether they are images.
const TEXTS: [&str; 16] = [
    "txt", "json", "jsonl", "xml", "md", "html", "htm", "pdf", "log", "toml", "yaml", "yml", "gz", "py", "ipynb", "sh",
];
const ARCHIVES: [&str; 8] = ["zip", "tar", "tgz", "7z", "rar", "bz2", "xz", "zst"];

/// The extension of a file in lower case.
pub(crate) fn ending(path: &Path) -> String {
    path.extension().map(|ending| ending.to_string_lossy().to_lowercase()).unwrap_or_default()
}

/// Whether a name has the ending of an image format that is read.
pub(crate) fn has_image_ending(path: &Path) -> bool {
    is_image(&ending(path))
}

fn is_image(ending: &str) -> bool {
    RASTERS.contains(&ending) || DICOM.contains(&ending)
}

/// Whether a folder or file is one of those that belong to no set, by its name alone.
pub(crate) fn of_system(name: &str) -> Option<Kind> {
    const FOLDERS: [&str; 5] = ["@eadir", "#recycle", "$recycle.bin", "system volume information", "lost+found"];
    const FILES: [&str; 4] = ["thumbs.db", "ehthumbs.db", "desktop.ini", "iconcache.db"];
    let lower = name.to_lowercase();
    if FOLDERS.contains(&lower.as_str()) || FILES.contains(&lower.as_str()) || lower.starts_with("synophoto_") {
        return Some(Kind::System);
    }
    if matches!(lower.as_str(), ".thumbnails" | ".thumb" | ".@__thumb") {
        return Some(Kind::System);
    }
    (name.starts_with('.') || name == "__MACOSX").then_some(Kind::Hidden)
}

/// What a file is. It is opened only where its name does not say it.
pub(crate) fn of_file(path: &Path) -> Kind {
    let ending = ending(path);
    let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    match ending.as_str() {
        known if is_image(known) => Kind::Image,
        known if TABLES.contains(&known) => Kind::Table,
        "gz" if name.ends_with(".csv.gz") || name.ends_with(".tsv.gz") => Kind::Table,
        "gz" if name.ends_with(".nii.gz") => Kind::UnreadImage,
        "gz" if name.ends_with(".tar.gz") => Kind::Archive,
        known if ARCHIVES.contains(&known) => Kind::Archive,
        known if UNREAD.contains(&known) => Kind::UnreadImage,
        known if TEXTS.contains(&known) => Kind::Other,
        _ if begins_like_an_image(path) => Kind::Image,
        _ => Kind::Other,
    }
}

/// Whether a path, below the folder of the set, leads through a folder of masks: `masks/`, `lung_mask/`, `ManualMask/leftMask/`.
pub(crate) fn is_mask(path: &str) -> bool {
    let mut folders = path.split('/').rev().skip(1);
    folders.any(|folder| {
        let lower = folder.to_lowercase();
        lower.ends_with("mask")
            || lower.ends_with("masks")
            || matches!(lower.as_str(), "segmentation" | "segmentations")
    })
}

fn begins_like_an_image(path: &Path) -> bool {
    let mut start = Vec::new();
    // A file that cannot be opened could not be read later either.
    std::fs::File::open(path).is_ok_and(|file| file.take(132).read_to_end(&mut start).is_ok())
        && Format::of(&start).is_some()
}
