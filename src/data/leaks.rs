//! Whether sets that must be disjoint share a patient, a file or an image.

use cxr_data::{Manifest, PixelHash, Role, Subset, check_scanned};

use crate::{error::Result, files::Watch};

/// A set of images by its name and role, with a hash of each image's pixels (empty: compared by patients and files only).
pub(crate) type Side<'a> = (&'a str, Role, &'a Manifest, &'a [Option<PixelHash>]);

/// Fails when sets that must be disjoint share a patient, a file, or an image pixel for pixel.
///
/// # Errors
/// Names the patients or the images.
pub(crate) fn leak_free(sides: &[Side<'_>], watch: &dyn Watch) -> Result<()> {
    let subsets: Vec<Subset<'_>> =
        sides.iter().map(|&(name, role, manifest, _)| Subset { name, role, manifest }).collect();
    let pixels: Vec<&[Option<PixelHash>]> = sides.iter().map(|&(.., pixels)| pixels).collect();
    let report = check_scanned(&subsets, &pixels).require_clean()?;
    for part in &report.patients_unknown {
        watch.note(&format!(
            "patients of {part} are unknown: only equal images can be found in two parts, not shared patients"
        ));
    }
    Ok(())
}
