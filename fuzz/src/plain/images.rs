//! An image of any kind, DICOM included where that is compiled in, prepared as for training.

use std::{hint::black_box, path::Path};

use cxr_data::{PixelHash, ViewConfig, decode, prepare};

use crate::Outcome;

pub(crate) fn run(bytes: &[u8]) -> Outcome {
    let (image, _) = decode::from_bytes(bytes, Path::new("image")).map_err(|fault| fault.to_string())?;
    assert_eq!(image.pixels().len(), image.width() * image.height());
    // What follows takes time in proportion, and has no branches that larger images would reach.
    if image.pixels().len() <= 1 << 16 {
        black_box((PixelHash::of(&image), prepare(&image, &ViewConfig::eval(16))));
    }
    Ok(())
}
