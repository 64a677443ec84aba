//! Resizing with an antialiased tent filter, as Pillow's `BILINEAR` (each pass rounded to the depth of the image).

use std::cell::RefCell;

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::{U8, U16};
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};

use crate::{Pixels, Radiograph};

thread_local! {
    /// Reuses its buffers from one image to the next.
    static RESIZER: RefCell<Resizer> = RefCell::new(Resizer::new());
}

impl Radiograph {
    /// Resizes so that the shorter side has `side` pixels; the longer side keeps the aspect ratio, rounded
    /// down, as in torchvision's `Resize(int)`. An image whose shorter side is `side` already is returned unchanged.
    ///
    /// # Panics
    /// If `side` is 0.
    #[must_use]
    pub fn resize_short_side(&self, side: usize) -> Self {
        let (width, height) = (self.width(), self.height());
        let scaled = |long: usize, short: usize| (side as f64 * long as f64 / short as f64) as usize;
        if width < height { self.resize(side, scaled(height, width)) } else { self.resize(scaled(width, height), side) }
    }

    /// Resizes to `width` x `height` pixels.
    ///
    /// # Panics
    /// If a side is 0 or beyond 2^32 pixels.
    #[must_use]
    pub fn resize(&self, width: usize, height: usize) -> Self {
        if (width, height) == (self.width(), self.height()) {
            return self.clone();
        }
        let side = |length: usize| u32::try_from(length).expect("an image side is below 2^32 pixels");
        let (from_width, from_height) = (side(self.width()), side(self.height()));
        let (to_width, to_height) = (side(width), side(height));
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
        let pixels = RESIZER.with_borrow_mut(|resizer| match self.pixels() {
            Pixels::U8(values) => {
                // By type, as below: `resize` would compile the filters of every other type of pixel, half of this crate's time.
                let from = TypedImageRef::<U8>::from_buffer(from_width, from_height, values).expect(FILLED);
                let mut resized = vec![0; width * height];
                let mut to = TypedImage::<U8>::from_buffer(to_width, to_height, &mut resized).expect(FILLED);
                resizer.resize_typed(&from, &mut to, &options).expect(WHOLE);
                Pixels::U8(resized)
            }
            Pixels::U16(values) => {
                let values: Vec<U16> = values.iter().map(|&value| U16::new(value)).collect();
                let from = TypedImageRef::new(from_width, from_height, &values).expect(FILLED);
                let mut to = TypedImage::<U16>::new(to_width, to_height);
                resizer.resize_typed(&from, &mut to, &options).expect(WHOLE);
                Pixels::U16(to.pixels().iter().map(|pixel| pixel.0).collect())
            }
        });
        Self::new(width, height, pixels).expect("the resizer fills width * height pixels")
    }
}

const FILLED: &str = "a radiograph has width * height pixels";
const WHOLE: &str = "the crop is the whole source";
