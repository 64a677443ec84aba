//! A decoded image: one grey channel, 8 or 16 bits, 0 = black.

use std::path::Path;

use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};

use crate::{Error, Result};

/// Grey values of an image, row by row, at the depth of its source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pixels {
    /// 8 bits, full range 0..=255.
    U8(Vec<u8>),
    /// 16 bits, full range 0..=65535 (a source with fewer bits is scaled to it on decoding).
    U16(Vec<u16>),
}

impl Pixels {
    /// Number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::U8(values) => values.len(),
            Self::U16(values) => values.len(),
        }
    }

    /// Whether there are no values.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bits per value: 8 or 16.
    #[must_use]
    pub fn bits(&self) -> u8 {
        match self {
            Self::U8(_) => 8,
            Self::U16(_) => 16,
        }
    }
}

/// One radiograph, a single grey plane with 0 = black.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Radiograph {
    width: usize,
    height: usize,
    pixels: Pixels,
}

impl Radiograph {
    /// An image of `width` x `height` pixels from its rows, top to bottom.
    ///
    /// # Errors
    /// [`Error::PixelCount`] unless there are `width * height` pixels, at least one.
    pub fn new(width: usize, height: usize, pixels: Pixels) -> Result<Self> {
        if pixels.is_empty() || width.checked_mul(height) != Some(pixels.len()) {
            return Err(Error::PixelCount { width, height, found: pixels.len() });
        }
        Ok(Self { width, height, pixels })
    }

    /// Pixels per row.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Number of rows.
    #[must_use]
    pub fn height(&self) -> usize {
        self.height
    }

    /// The pixels, row by row from top to bottom.
    #[must_use]
    pub fn pixels(&self) -> &Pixels {
        &self.pixels
    }

    /// The pixels, by value.
    #[must_use]
    pub fn into_pixels(self) -> Pixels {
        self.pixels
    }

    /// Bits per pixel: 8 or 16.
    #[must_use]
    pub fn bits(&self) -> u8 {
        self.pixels.bits()
    }

    /// The pixels as 8 bits; 16 bits are rounded to the nearest of the 256 levels (`v / 257`).
    #[must_use]
    pub fn to_u8(&self) -> Vec<u8> {
        match &self.pixels {
            Pixels::U8(values) => values.clone(),
            Pixels::U16(values) => values.iter().map(|&value| narrow(value)).collect(),
        }
    }

    /// Writes the image as a grey PNG of the same depth. The file appears only when it is complete.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be written.
    pub fn write_png(&self, path: &Path) -> Result<()> {
        let mut bytes = Vec::new();
        let (values, colour) = match &self.pixels {
            Pixels::U8(values) => (values.clone(), ExtendedColorType::L8),
            Pixels::U16(values) => (values.iter().flat_map(|v| v.to_ne_bytes()).collect(), ExtendedColorType::L16),
        };
        let io = |source| Error::Io { path: path.to_owned(), source };
        let too_large = |_| io(std::io::Error::other("an image side beyond 2^32 pixels"));
        let (width, height) = (u32::try_from(self.width), u32::try_from(self.height));
        PngEncoder::new(&mut bytes)
            .write_image(&values, width.map_err(too_large)?, height.map_err(too_large)?, colour)
            .map_err(|error| io(std::io::Error::other(error)))?;
        let part = path.with_extension("png.part");
        let written = std::fs::write(&part, bytes).and_then(|()| std::fs::rename(&part, path));
        // On a full disk what was begun would keep it full.
        written.inspect_err(|_| drop(std::fs::remove_file(&part))).map_err(io)
    }
}

/// A grey value, `u8` or `u16`, each over its full range.
pub trait Level: sealed::Sealed + Copy + Default + Send + Sync + std::fmt::Debug + 'static {
    /// The level of white: 255 or 65535.
    const MAX: u16;

    /// The value in 0..=1, 1 = white.
    fn to_unit(self) -> f32;

    /// The nearest level; values outside 0..=1 are clamped.
    fn from_unit(unit: f32) -> Self;

    /// The nearest level, from another depth.
    fn convert<S: Level>(source: S) -> Self;

    /// The level, 0 = black.
    fn get(self) -> u16;

    /// The inverse of [`Level::get`]; levels above [`Level::MAX`] become white.
    fn from_levels(levels: u16) -> Self;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for u8 {}
    impl Sealed for u16 {}
}

impl Level for u8 {
    const MAX: u16 = 255;

    fn to_unit(self) -> f32 {
        f32::from(self) * (1.0 / 255.0)
    }

    fn from_unit(unit: f32) -> Self {
        // The cast saturates at both ends, so adding a half rounds and clamps.
        (unit * 255.0 + 0.5) as Self
    }

    fn convert<S: Level>(source: S) -> Self {
        if S::MAX == <Self as Level>::MAX { source.get() as Self } else { narrow(source.get()) }
    }

    fn get(self) -> u16 {
        self.into()
    }

    fn from_levels(levels: u16) -> Self {
        levels.min(<Self as Level>::MAX) as Self
    }
}

impl Level for u16 {
    const MAX: Self = u16::MAX;

    fn to_unit(self) -> f32 {
        f32::from(self) * (1.0 / 65535.0)
    }

    fn from_unit(unit: f32) -> Self {
        (unit * 65535.0 + 0.5) as Self
    }

    fn convert<S: Level>(source: S) -> Self {
        if S::MAX == <Self as Level>::MAX { source.get() } else { source.get() * 257 }
    }

    fn get(self) -> u16 {
        self
    }

    fn from_levels(levels: u16) -> Self {
        levels
    }
}

/// 16 bits to 8, to the nearest level: 65535 = 255 * 257.
pub(crate) fn narrow(value: u16) -> u8 {
    // (v + 128) / 257 is at most 255 (65663 / 257 = 255.5).
    ((u32::from(value) + 128) / 257) as u8
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn narrow_is_the_nearest_level_and_inverts_widening() {
        for level in 0..=255_u16 {
            assert_eq!(u16::from(narrow(level * 257)), level);
        }
        for value in 0..=u16::MAX {
            assert_eq!(f64::from(narrow(value)), (f64::from(value) / 257.0).round());
        }
    }

    /// The 24 bits of f32 are enough for 16-bit values.
    #[test]
    fn a_level_survives_the_unit_range() {
        assert!((0..=u8::MAX).all(|level| u8::from_unit(level.to_unit()) == level));
        assert!((0..=u16::MAX).all(|level| u16::from_unit(level.to_unit()) == level));
        assert_eq!([u8::from_unit(-0.1), u8::from_unit(1.1)], [0, 255]);
        assert_eq!(u8::from_unit(f32::NAN), 0);
    }

    #[test]
    fn a_wrong_pixel_count_is_refused() {
        let error = Radiograph::new(3, 2, Pixels::U8(vec![0; 5])).unwrap_err().to_string();
        assert_eq!(error, "an image of 3 x 2 pixels needs 6 values, found 5");
        assert!(Radiograph::new(0, 0, Pixels::U8(Vec::new())).is_err());
        assert!(Radiograph::new(usize::MAX, 2, Pixels::U8(vec![0; 2])).is_err());
    }
}
