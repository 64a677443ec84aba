//! Pictures in the page: PNG in `data:` URLs.

use base64::{Engine, engine::general_purpose::STANDARD};
use cxr_data::Radiograph;
use eval::chart::escape;
use image::ExtendedColorType;

use crate::files::png;

/// A PNG.
#[derive(Debug)]
pub(super) struct Picture {
    width: usize,
    height: usize,
    png: Vec<u8>,
}

impl Picture {
    /// A grey picture.
    pub(super) fn grey(image: &Radiograph) -> Self {
        Self::encode(&image.to_u8(), image.width(), image.height(), ExtendedColorType::L8)
    }

    /// A colour picture; `rgb` has three bytes per pixel, row by row.
    pub(super) fn colour(rgb: &[u8], width: usize, height: usize) -> Self {
        Self::encode(rgb, width, height, ExtendedColorType::Rgb8)
    }

    fn encode(bytes: &[u8], width: usize, height: usize, colour: ExtendedColorType) -> Self {
        // Bytes that do not fit the size give an empty picture; the browser then shows the description.
        let png = png(bytes, width, height, colour).unwrap_or_default();
        Self { width, height, png }
    }

    /// The `<img>` element, with the description as its alternative text.
    pub(super) fn img(&self, description: &str) -> String {
        format!(
            "<img src=\"data:image/png;base64,{}\" width=\"{}\" height=\"{}\" alt=\"{}\">",
            STANDARD.encode(&self.png),
            self.width,
            self.height,
            escape(description)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_a_png_that_says_what_it_shows() {
        let img = Picture::colour(&[255, 0, 0, 0, 255, 0], 2, 1).img("a \"b\"");
        assert!(
            img.starts_with("<img src=\"data:image/png;base64,iVBOR") && img.contains("alt=\"a &quot;b&quot;\""),
            "{img}"
        );
        assert!(Picture::colour(&[0; 5], 2, 1).img("").contains("base64,\""), "bytes that do not fit give no picture");
    }
}
