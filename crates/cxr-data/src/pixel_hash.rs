//! A hash of an image's pixels, to find files with the same image.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use crate::{Pixels, Radiograph};

/// 16-bit values converted to little-endian bytes at a time.
const BUFFER: usize = 32 * 1024;

/// 128 bits of the BLAKE3 hash of an image's size, depth and decoded pixels: equal for equal images, whatever their
/// file names and compression, and only for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
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

/// 32 hexadecimal digits.
impl From<PixelHash> for String {
    fn from(hash: PixelHash) -> Self {
        hash.0.iter().fold(Self::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}"); // writing to a string cannot fail
            text
        })
    }
}

impl TryFrom<String> for PixelHash {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let value = u128::from_str_radix(&text, 16).map_err(|_| "expected 32 hexadecimal digits")?;
        if text.len() == 32 { Ok(Self(value.to_be_bytes())) } else { Err("expected 32 hexadecimal digits") }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_survives_its_text() {
        let hash = PixelHash::of(&Radiograph::new(2, 1, Pixels::U8(vec![0, 7])).unwrap());
        let text = String::from(hash);
        assert_eq!((text.len(), PixelHash::try_from(text).unwrap()), (32, hash));
        assert!(PixelHash::try_from("0f".to_owned()).is_err());
    }
}
