//! Check that parts share no patient, file or image.

use cxr_data::{Manifest, PixelHash, Role, Subset, check_scanned};

use crate::{error::Result, files::Watch};

/// A set of images: name, role, manifest, and a hash of each image's pixels (empty: only patients and files are compared).
pub(crate) type Side<'a> = (&'a str, Role, &'a Manifest, &'a [Option<PixelHash>]);

/// Checks that sets share no patient, no file and no image with equal pixels, where their roles require it.
///
/// # Errors
/// A leak; the message names the patients or images.
pub(crate) fn leak_free(sides: &[Side<'_>], watch: &dyn Watch) -> Result<()> {
    let subsets: Vec<Subset<'_>> =
        sides.iter().map(|&(name, role, manifest, _)| Subset { name, role, manifest }).collect();
    let pixels: Vec<&[Option<PixelHash>]> = sides.iter().map(|&(.., pixels)| pixels).collect();
    let report = check_scanned(&subsets, &pixels).require_clean()?;
    for part in &report.patients_unknown {
        watch.note(&format!(
            "patients of {part} are unknown: a check for shared patients is not possible, only for equal images"
        ));
    }
    Ok(())
}
