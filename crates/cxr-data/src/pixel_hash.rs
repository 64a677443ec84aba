//! A hash of an image's pixels, to tell whether two files hold the same image.

use crate::{Pixels, Radiograph};

/// Values of 16 bit that are brought into the order of a file at a time.
const BUFFER: usize = 32 * 1024;

/// 128 bits of the BLAKE3 hash of size, depth and decoded pixels of an image: equal for images that are equal, whatever
/// their files are called and however they are compressed, and for no others.
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
                // Many chunks of the hash at once, so that it can work on several side by side.
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
