//! Every image decoded once before work begins: which cannot be read, which are named for another format, and a hash of the
//! pixels of each, by which equal images in two parts are found.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::decode;
use crate::looks::Remark;
use crate::ordered::Ordered;
use crate::scan::{ScanStore, Seen};
use crate::stamp::Stamp;
use crate::views::prepare;
use crate::{Error, FileState, Files, Manifest, MemoryCache, PixelHash, Radiograph, ViewConfig};

/// Results of decoding every image of a manifest once.
#[derive(Debug, Default)]
pub struct Prescan {
    /// Rows that cannot be read, ascending, with their faults.
    pub faults: Vec<(usize, Error)>,
    /// Rows whose file is of another format than its name says, ascending. They decode all the same.
    pub mislabelled: Vec<usize>,
    /// `[N]`: the file of each row, with a hash of its pixels; `None` where they cannot be read.
    pub states: Vec<Option<FileState>>,
    /// What there is to say of the images: a remark, the number of images, and the first row.
    pub remarks: BTreeMap<Remark, (usize, usize)>,
}

impl Prescan {
    /// `[N]`: a hash of the pixels of each row; `None` where they cannot be read.
    #[must_use]
    pub fn pixels(&self) -> Vec<Option<PixelHash>> {
        self.states.iter().map(|state| Some(state.as_ref()?.pixels)).collect()
    }
}

/// Decodes every image of a manifest once, in `workers` threads. It keeps 32 bytes an image.
///
/// Run it before a long training or an evaluation: rows that cannot be read can then be left out, or their files mended,
/// and equal images in two parts are found ([`check_scanned`](crate::check_scanned)).
#[must_use]
pub fn prescan(manifest: &Manifest, workers: usize) -> Prescan {
    prescan_with(manifest, workers, None, None, &mut |_| {}).0
}

/// As [`prescan`], calling `done` with the number of images seen so far after each. With `keep`, every image stays in
/// memory, prepared for these views, so that it is not decoded again to be used; without, images that `store` knows are not
/// decoded. What is seen is added to the store.
pub fn prescan_with(
    manifest: &Manifest,
    workers: usize,
    keep: Option<&ViewConfig>,
    mut store: Option<&mut ScanStore>,
    done: &mut dyn FnMut(usize),
) -> (Prescan, Option<MemoryCache>) {
    let paths: Arc<[_]> = (0..manifest.len()).map(|row| manifest.image_path(row)).collect();
    let (count, views) = (paths.len(), keep.copied());
    // What is known already; an image that stays in memory has to be decoded all the same.
    let known: Arc<[Option<(Stamp, Seen)>]> = match (&store, views) {
        (Some(store), None) => {
            paths.iter().map(|path| store.get(path).map(|(stamp, seen)| (stamp, seen.clone()))).collect()
        }
        _ => std::iter::repeat_with(|| None).take(count).collect(),
    };
    let (files, seen_before) = (paths.clone(), known.clone());
    let outcomes = Ordered::new(0..count, workers, 64 + workers, move |row, _| {
        if let Some((stamp, seen)) = &seen_before[row] {
            return Ok((*stamp, seen.clone(), None));
        }
        let decoded = decode::decoded(&files[row])?;
        let kept = views.map(|views| prepare(&decoded.image, &views).into_owned());
        let stamp = decoded.stamps.map_or(Stamp::NONE, |(before, _)| before);
        Ok((stamp, Seen::of(&decoded), kept))
    });
    let mut scan = Prescan { states: Vec::with_capacity(count), ..Prescan::default() };
    let mut kept: Vec<Option<Radiograph>> = Vec::new();
    for (row, outcome) in outcomes.enumerate() {
        match outcome {
            Ok((stamp, seen, image)) => {
                scan.mislabelled.extend((!seen.format.fits_name(&paths[row])).then_some(row));
                scan.states.push(Some(FileState { stamp, pixels: seen.pixels() }));
                for remark in seen.remarks() {
                    scan.remarks.entry(remark).or_insert((0, row)).0 += 1;
                }
                if let Some(store) = &mut store {
                    match &known[row] {
                        Some(_) => store.count_reused(1),
                        None => store.put(&paths[row], stamp, &seen),
                    }
                }
                kept.push(image);
            }
            Err(fault) => {
                scan.faults.push((row, fault));
                scan.states.push(None);
                kept.push(None);
            }
        }
        done(row + 1);
    }
    let files = || Files::new(manifest).as_they_were(scan.states.clone());
    let memory = keep.map(|views| MemoryCache::filled(files(), *views, kept));
    (scan, memory)
}
