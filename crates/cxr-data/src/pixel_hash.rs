//! A hash of an image's pixels, to find files with the same image.

use crate::{Pixels, Radiograph};

/// 16-bit values converted to little-endian bytes at a time.
const BUFFER: usize = 32 * 1024;

/// 128 bits of the BLAKE3 hash of an image's size, depth and decoded pixels: equal for equal images, whatever their
/// file names and compression, and only for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PixelHash([u8; 16]);

impl PixelHash {
    /// The hash of an image as it was decoded, before anything is resized.
    #[must_use]
    pub fn of(image: &Radiograph) -> Self {
        let (width, height) = (image.width(), image.height());
        let mut hasher = blake3::Hasher::new();
        hasher.update(&(width as u64).to_le_bytes()).update(&(height as u64).to_le_bytes()).update(&[image.bits()]);
        match image.pixels() {
            Pixels::U8(values) => {
                hasher.update(values);
            }
            Pixels::U16(values) => {
                // Many of the hash's chunks at once, so that it can process several in parallel.
                let mut bytes = vec![0; 2 * BUFFER.min(values.len())];
                for part in values.chunks(BUFFER) {
                    let bytes = &mut bytes[..2 * part.len()];
                    bytes.as_chunks_mut().0.iter_mut().zip(part).for_each(|(two, value)| *two = value.to_le_bytes());
                    hasher.update(bytes);
                }
            }
        }
        let mut hash = [0; 16];
        hash.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Self(hash)
    }
}
