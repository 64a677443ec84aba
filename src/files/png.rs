//! Pixels as a PNG in memory.

use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};

use crate::error::{Error, Result};

/// The PNG of 8-bit pixels, row by row.
///
/// # Errors
/// Bytes that do not fit the size, or a side that a PNG cannot have.
pub(crate) fn png(bytes: &[u8], width: usize, height: usize, colour: ExtendedColorType) -> Result<Vec<u8>> {
    let mut png = Vec::new();
    let sides = u32::try_from(width).ok().zip(u32::try_from(height).ok());
    let expected = width.checked_mul(height).and_then(|n| n.checked_mul(usize::from(colour.channel_count())));
    match sides.filter(|_| expected == Some(bytes.len())) {
        Some((w, h)) if PngEncoder::new(&mut png).write_image(bytes, w, h, colour).is_ok() => Ok(png),
        _ => Err(Error::Setting {
            key: "picture".into(),
            found: format!("{} bytes for {width} x {height} pixels", bytes.len()),
            expected: "a size that a PNG can have, and the bytes for it".into(),
        }),
    }
}
