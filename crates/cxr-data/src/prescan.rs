//! Every image decoded once before work begins: which cannot be read, which are named for another format, and a hash of the
//! pixels of each, by which equal images in two parts are found.

use std::sync::Arc;

use crate::decode;
use crate::ordered::Ordered;
use crate::views::prepare;
use crate::{Error, Manifest, MemoryCache, PixelHash, Radiograph, ViewConfig};

/// Results of decoding every image of a manifest once.
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
/// Run it before a long training or an evaluation: rows that cannot be read can then be left out, or their files mended,
/// and equal images in two parts are found ([`check_scanned`](crate::check_scanned)).
#[must_use]
pub fn prescan(manifest: &Manifest, workers: usize) -> Prescan {
    prescan_with(manifest, workers, None, &mut |_| {}).0
}

/// As [`prescan`], calling `done` with the number of images decoded so far after each. With `keep`, every image stays in
/// memory, prepared for these views, so that it is not decoded again to be used.
pub fn prescan_with(
    manifest: &Manifest,
    workers: usize,
    keep: Option<&ViewConfig>,
    done: &mut dyn FnMut(usize),
) -> (Prescan, Option<MemoryCache>) {
    let paths: Arc<[_]> = (0..manifest.len()).map(|row| manifest.image_path(row)).collect();
    let (count, views) = (paths.len(), keep.copied());
    let outcomes = Ordered::new(0..count, workers, 64 + workers, move |row, _| {
        let (image, format) = decode::read_with_format(&paths[row])?;
        let kept = views.map(|views| prepare(&image, &views).into_owned());
        Ok((PixelHash::of(&image), format.fits_name(&paths[row]), kept))
    });
    let mut scan = Prescan { pixels: Vec::with_capacity(count), ..Prescan::default() };
    let mut kept: Vec<Option<Radiograph>> = Vec::new();
    for (row, outcome) in outcomes.enumerate() {
        match outcome {
            Ok((pixels, named, image)) => {
                scan.mislabelled.extend((!named).then_some(row));
                scan.pixels.push(Some(pixels));
                kept.push(image);
            }
            Err(fault) => {
                scan.faults.push((row, fault));
                scan.pixels.push(None);
                kept.push(None);
            }
        }
        done(row + 1);
    }
    let memory = keep.map(|views| MemoryCache::filled(manifest, *views, kept));
    (scan, memory)
}
