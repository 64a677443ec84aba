//! File -> [`Radiograph`]: one grey channel, 0 = black, 16 bits kept where the file has them.
//!
//! The format is recognised by a file's first bytes, not its name: a PNG called `.jpg` decodes, and an audit reports it
//! (see [`Format::fits_name`]). A decoder's panic on a damaged file is caught and reported like any other error.

#[cfg(feature = "dicom")]
mod dicom;
#[cfg(feature = "dicom")]
mod dicom_bounds;
#[cfg(feature = "dicom")]
mod elements;
#[cfg(feature = "dicom")]
mod header;
mod raster;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::limits::{self, ImageFile};
use crate::looks::Remark;
use crate::stamp::Stamp;
use crate::{Error, Radiograph, Result};

/// Shortest side that is decoded, in pixels. The smallest radiographs in use have 28 (MedMNIST).
pub const MIN_SIDE: usize = 8;
/// Longest side that is decoded, in pixels. Detectors have at most about 5,000; a larger size is probably a damaged
/// header.
pub const MAX_SIDE: usize = 16_384;
/// Most pixels that are decoded (10,000 x 10,000). Limits the memory that a damaged or hostile header can claim.
pub const MAX_PIXELS: usize = 100_000_000;
/// Most bytes of the pixels of an image as its file has them: [`MAX_PIXELS`] in three channels of 16 bits. A JPEG is counted
/// with two bytes a channel, which its decoder may need.
pub const MAX_DECODED: usize = 6 * MAX_PIXELS;
/// Largest ratio of the sides. Films of the whole spine stay below 5. With a short side of a few pixels, enlarged to
/// the size of a view, a longer strip would need gigabytes.
pub const MAX_ASPECT: usize = 16;

/// Format of an image file, by its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Format {
    /// JPEG, baseline or progressive.
    Jpeg,
    /// PNG.
    Png,
    /// WebP.
    Webp,
    /// TIFF; the first image of several.
    Tiff,
    /// BMP.
    Bmp,
    /// DICOM part 10 (decoded with the feature `dicom`).
    Dicom,
}

impl Format {
    /// The format by the first bytes of a file; 132 bytes are enough.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Option<Self> {
        if bytes.starts_with(&[0xff, 0xd8, 0xff]) {
            Some(Self::Jpeg)
        } else if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
            Some(Self::Png)
        } else if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
            Some(Self::Webp)
        } else if bytes.starts_with(b"II*\0") || bytes.starts_with(b"MM\0*") {
            Some(Self::Tiff)
        } else if bytes.starts_with(b"BM")
            && bytes.get(6..10) == Some(&[0; 4])
            && matches!(bytes.get(14), Some(12 | 40..=124))
        {
            Some(Self::Bmp)
        } else if bytes.get(128..132) == Some(b"DICM") || bytes.starts_with(b"\x02\0\0\0UL") {
            // Or without the preamble, as some archives leave it out: the group of the file begins at once.
            Some(Self::Dicom)
        } else {
            None
        }
    }

    /// Whether the extension of this name fits the format. DICOM files may have any other extension or none.
    #[must_use]
    pub fn fits_name(self, path: &Path) -> bool {
        let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
        match self {
            Self::Jpeg => matches!(extension.as_str(), "jpg" | "jpeg" | "jfif"),
            Self::Webp => extension == "webp",
            Self::Tiff => matches!(extension.as_str(), "tif" | "tiff"),
            Self::Bmp => extension == "bmp",
            Self::Png => extension == "png",
            Self::Dicom => {
                !matches!(extension.as_str(), "jpg" | "jpeg" | "jfif" | "png" | "webp" | "tif" | "tiff" | "bmp")
            }
        }
    }
}

/// An image with what is known of its file.
#[derive(Debug, Clone)]
pub(crate) struct Decoded {
    pub(crate) image: Radiograph,
    pub(crate) format: Format,
    /// What was done to the pixels.
    pub(crate) done: Vec<Remark>,
    /// State of the file before and after it was read; nothing for what is no file.
    pub(crate) stamps: Option<(Stamp, Stamp)>,
}

impl Decoded {
    /// An image of which nothing more is known.
    pub(crate) fn plain(image: Radiograph) -> Self {
        Self { image, format: Format::Png, done: Vec::new(), stamps: None }
    }
}

/// Reads a JPEG, PNG, WebP, TIFF, BMP or (feature `dicom`) DICOM file as one grey channel.
///
/// Colour becomes luma with the ITU-R 601 weights of Pillow's mode `L`, palettes are expanded first, alpha is dropped.
/// 16-bit PNG and TIFF and DICOM of more than 8 bits stay 16 bit; where none of 16 bits is above 4095, as converters of
/// DICOM leave them, the 12 bits are scaled to the full range. An image that a camera noted as turned (EXIF) is turned back.
///
/// # Errors
/// [`Error::Io`] when the file cannot be read, [`Error::Decode`] when it is empty, not an image, damaged, truncated, or
/// makes its decoder panic, [`Error::ImageSize`] outside [`MIN_SIDE`], [`MAX_SIDE`], [`MAX_PIXELS`],
/// [`MAX_ASPECT`], [`Error::ImageMemory`] above [`MAX_DECODED`], [`Error::ImageFile`] for a file of more than 1 GB.
pub fn read(path: impl AsRef<Path>) -> Result<Radiograph> {
    read_with_format(path).map(|(radiograph, _)| radiograph)
}

/// [`read`], also returning the format.
///
/// # Errors
/// Those of [`read`].
pub fn read_with_format(path: impl AsRef<Path>) -> Result<(Radiograph, Format)> {
    decoded(path.as_ref()).map(|decoded| (decoded.image, decoded.format))
}

/// [`read`], also returning the format and what was done to the pixels.
pub(crate) fn decoded(path: &Path) -> Result<Decoded> {
    let ImageFile { bytes, before, after } = limits::image(path)?;
    let decoded = whole(&bytes, path)?;
    Ok(Decoded { stamps: Some((before, after)), ..decoded })
}

/// [`read_with_format`] for a file in memory; `path` is only for messages.
///
/// # Errors
/// Those of [`read`].
pub fn from_bytes(bytes: &[u8], path: &Path) -> Result<(Radiograph, Format)> {
    whole(bytes, path).map(|decoded| (decoded.image, decoded.format))
}

fn whole(bytes: &[u8], path: &Path) -> Result<Decoded> {
    let fail = |reason: String| Error::Decode { path: path.to_owned(), reason };
    if bytes.is_empty() {
        return Err(fail("the file is empty (0 bytes)".into()));
    }
    let Some(format) = Format::of(bytes) else {
        let head: Vec<_> = bytes.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let other = match bytes.trim_ascii_start() {
            text if text.starts_with(b"version https://git-lfs") => {
                "; it is a pointer of Git LFS, `git lfs pull` fetches the image"
            }
            text if text
                .get(..5)
                .is_some_and(|start| start.eq_ignore_ascii_case(b"<html") || start.eq_ignore_ascii_case(b"<!doc")) =>
            {
                "; it is a web page, as a failed download leaves"
            }
            _ => "",
        };
        return Err(fail(format!(
            "neither JPEG, PNG, WebP, TIFF, BMP nor DICOM (first bytes {}){other}",
            head.join(" ")
        )));
    };
    let decode = || match format {
        Format::Jpeg => raster::jpeg(bytes),
        Format::Png => raster::png(bytes),
        Format::Webp => raster::webp(bytes),
        Format::Tiff => raster::tiff(bytes),
        Format::Bmp => raster::bmp(bytes),
        #[cfg(feature = "dicom")]
        Format::Dicom => dicom::decode(bytes),
        #[cfg(not(feature = "dicom"))]
        Format::Dicom => Err(Fault::Reason("a DICOM file; build with the feature `dicom` to read it".into())),
    };
    contained(path, decode).map(|(image, done)| Decoded { image, format, done, stamps: None })
}

/// What the header of a DICOM file says; `None` if it cannot be read.
#[cfg(feature = "dicom")]
pub(crate) fn dicom_header(path: &Path) -> Option<crate::inventory::Header> {
    catch_unwind(AssertUnwindSafe(|| header::read(path))).ok().flatten()
}

/// Runs a decoder on the file at `path` and turns a panic into an error. The decoder has no state beyond this file, so
/// nothing half-changed survives a panic.
fn contained<T>(path: &Path, decode: impl FnOnce() -> std::result::Result<T, Fault>) -> Result<T> {
    let outcome = catch_unwind(AssertUnwindSafe(decode)).unwrap_or_else(|panic| {
        let message = panic.downcast_ref::<String>().map(String::as_str);
        let message = message.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
        Err(Fault::Reason(format!("the decoder panicked: {message}")))
    });
    outcome.map_err(|fault| match fault {
        Fault::Reason(reason) => Error::Decode { path: path.to_owned(), reason },
        Fault::Size(width, height) => Error::ImageSize { path: path.to_owned(), width, height },
        Fault::Memory(width, height, per_pixel) => {
            Error::ImageMemory { path: path.to_owned(), width, height, per_pixel }
        }
    })
}

/// A decoder's error; the caller adds the path.
enum Fault {
    Reason(String),
    Size(usize, usize),
    /// Width, height, and bytes for each pixel.
    Memory(usize, usize, usize),
}

impl Fault {
    fn from_display(error: impl std::fmt::Display) -> Self {
        Self::Reason(error.to_string())
    }
}

/// Refuses sizes outside the limits before memory is allocated.
fn check_size(width: usize, height: usize) -> std::result::Result<(), Fault> {
    let sides = MIN_SIDE..=MAX_SIDE;
    let (short, long) = (width.min(height), width.max(height));
    if sides.contains(&short) && sides.contains(&long) && width * height <= MAX_PIXELS && long <= MAX_ASPECT * short {
        Ok(())
    } else {
        Err(Fault::Size(width, height))
    }
}

/// Refuses images that need more memory than any radiograph, before it is allocated. The size was checked.
fn check_memory(width: usize, height: usize, per_pixel: usize) -> std::result::Result<(), Fault> {
    match width * height * per_pixel <= MAX_DECODED {
        true => Ok(()),
        false => Err(Fault::Memory(width, height, per_pixel)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// No file is known that makes a decoder panic, but a later version may have one.
    #[test]
    fn a_decoder_that_panics_is_a_fault_of_its_file() {
        let path = Path::new("set/0017.png");
        let message = |decode: fn() -> std::result::Result<Radiograph, Fault>| {
            // On a thread of its own, as a worker decodes.
            std::thread::spawn(move || contained(path, decode).unwrap_err().to_string()).join().unwrap()
        };
        let text = message(|| panic!("index out of bounds"));
        assert_eq!(text, "set/0017.png: cannot be decoded: the decoder panicked: index out of bounds");
        let text = message(|| panic!("row {} of {}", 4, 3));
        assert_eq!(text, "set/0017.png: cannot be decoded: the decoder panicked: row 4 of 3");
        let text = message(|| std::panic::panic_any(17));
        assert_eq!(text, "set/0017.png: cannot be decoded: the decoder panicked: no message");
        assert!(
            contained::<Radiograph>(path, || Err(Fault::Size(2, 9))).unwrap_err().to_string().contains("2 x 9 pixels")
        );
    }
}
