//! Every image decoded once before work begins: what cannot be read, what is called what it is not, and a hash of the
//! pixels of each, by which parts of the data are told to share an image.

use std::sync::Arc;

use crate::decode;
use crate::ordered::Ordered;
use crate::{Error, Manifest, PixelHash};

/// What decoding every image of a manifest found.
#[derive(Debug, Default)]
pub struct Prescan {
    /// Rows that cannot be read, ascending, with their faults.
    pub faults: Vec<(usize, Error)>,
    /// Rows whose file is of another format than its name says, ascending. They decode all the same.
    pub mislabelled: Vec<usize>,
    /// `[N]`: the pixels of each row; `None` where they cannot be read.
    pub pixels: Vec<Option<PixelHash>>,
}

/// Decodes every image of a manifest once, in `workers` threads. It keeps 16 bytes an image.
///
/// To be run before a long training or an evaluation: rows that cannot be read can then be left out, or their files
/// mended, and equal images in two parts are found ([`check_scanned`](crate::check_scanned)).
#[must_use]
pub fn prescan(manifest: &Manifest, workers: usize) -> Prescan {
    let paths: Arc<[_]> = (0..manifest.len()).map(|row| manifest.image_path(row)).collect();
    let count = paths.len();
    let outcomes = Ordered::new(0..count, workers, 64 + workers, move |row, _| {
        let (image, format) = decode::read_with_format(&paths[row])?;
        Ok((PixelHash::of(&image), format.fits_name(&paths[row])))
    });
    let mut scan = Prescan { pixels: Vec::with_capacity(count), ..Prescan::default() };
    for (row, outcome) in outcomes.enumerate() {
        scan.pixels.push(match outcome {
            Ok((pixels, named)) => {
                scan.mislabelled.extend((!named).then_some(row));
                Some(pixels)
            }
            Err(fault) => {
                scan.faults.push((row, fault));
                None
            }
        });
    }
    scan
}
