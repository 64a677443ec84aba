//! The memory-mapped cache: the same bytes as without it, whatever happened to its files or to the sources.

#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use cxr_data::{
    BatchLoader, BatchOptions, CacheOptions, CacheReport, Error, ImageCache, ImageSource, Manifest, PairBatch,
    ViewConfig,
};
use support::data_set;

const VIEWS: fn(usize) -> ViewConfig = ViewConfig::moco_cxr;

fn open(dir: &Path, manifest: &Manifest, verify: bool) -> (ImageCache, CacheReport) {
    ImageCache::open(dir, manifest, &VIEWS(24), CacheOptions { workers: 3, verify }).unwrap()
}

fn batches(manifest: &Manifest, source: Option<Arc<dyn ImageSource>>) -> Vec<PairBatch> {
    let options = BatchOptions { batch_size: 3, workers: 2, ..BatchOptions::default() };
    let mut loader = BatchLoader::new(manifest, VIEWS(24), options).unwrap();
    if let Some(source) = source {
        loader = loader.with_source(source);
    }
    loader.pairs(0, 0).unwrap().map(Result::unwrap).collect()
}

fn counts(report: &CacheReport) -> [usize; 4] {
    [report.reused, report.added, report.stale, report.damaged]
}

#[test]
fn views_are_those_of_the_files_in_8_and_16_bit() {
    let dir = tempfile::tempdir().unwrap();
    let manifest = data_set(dir.path(), 12);
    let folder = dir.path().join("cache");
    let expected = batches(&manifest, None);
    let (cache, report) = open(&folder, &manifest, false);
    assert_eq!(counts(&report), [0, 12, 0, 0]);
    assert_eq!(batches(&manifest, Some(Arc::new(cache))), expected);
    let (cache, report) = open(&folder, &manifest, true);
    assert_eq!(counts(&report), [12, 0, 0, 0]);
    assert_eq!(report.bytes, std::fs::metadata(folder.join("images-24.bin")).unwrap().len());
    // Without the sources: nothing is decoded any more.
    for row in 0..12 {
        std::fs::remove_file(manifest.image_path(row)).unwrap();
    }
    let cache = Arc::new(cache);
    assert_eq!(batches(&manifest, Some(cache.clone())), expected);
    assert_eq!(cache.damaged(), 0);
}

#[test]
fn a_changed_source_is_decoded_again() {
    let dir = tempfile::tempdir().unwrap();
    let manifest = data_set(dir.path(), 6);
    let folder = dir.path().join("cache");
    open(&folder, &manifest, false);
    // Another image of the same length and size, a second later.
    let path = manifest.image_path(0);
    let time = SystemTime::now() + Duration::from_secs(1);
    std::fs::copy(manifest.image_path(1), &path).unwrap();
    std::fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
    let expected = batches(&manifest, None);
    let (cache, report) = open(&folder, &manifest, false);
    assert_eq!(counts(&report), [5, 0, 1, 0]);
    assert_eq!(batches(&manifest, Some(Arc::new(cache))), expected);
    assert_eq!(counts(&open(&folder, &manifest, true).1), [6, 0, 0, 0]);
}

#[test]
fn a_damaged_entry_is_never_served_and_is_mended() {
    let dir = tempfile::tempdir().unwrap();
    let manifest = data_set(dir.path(), 6);
    let folder = dir.path().join("cache");
    let expected = batches(&manifest, None);
    open(&folder, &manifest, false);
    let data = folder.join("images-24.bin");
    let mut bytes = std::fs::read(&data).unwrap();
    bytes[100] ^= 1;
    // The last image loses its end.
    bytes.truncate(bytes.len() - 1);
    std::fs::write(&data, &bytes).unwrap();
    let (cache, report) = open(&folder, &manifest, false);
    // What lies outside the file is seen at once, a changed byte on use.
    assert_eq!(counts(&report), [5, 0, 0, 1]);
    let cache = Arc::new(cache);
    assert_eq!(batches(&manifest, Some(cache.clone())), expected);
    assert_eq!(cache.damaged(), 1);
    assert_eq!(counts(&open(&folder, &manifest, true).1), [5, 0, 0, 1]);
    assert_eq!(counts(&open(&folder, &manifest, true).1), [6, 0, 0, 0]);
}

/// By another program, while this one is running: a mapped file would end it with a bus error.
#[test]
fn a_file_that_is_cut_off_while_it_is_used_costs_entries_only() {
    let dir = tempfile::tempdir().unwrap();
    let manifest = data_set(dir.path(), 6);
    let folder = dir.path().join("cache");
    let expected = batches(&manifest, None);
    let cache = Arc::new(open(&folder, &manifest, false).0);
    let data = std::fs::File::options().write(true).open(folder.join("images-24.bin")).unwrap();
    data.set_len(data.metadata().unwrap().len() / 2).unwrap();
    assert_eq!(batches(&manifest, Some(cache.clone())), expected);
    assert!(cache.damaged() >= 3, "{}", cache.damaged());
}

#[test]
fn a_cache_that_another_completes_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let manifest = data_set(dir.path(), 3);
    let folder = dir.path().join("cache");
    open(&folder, &manifest, false);
    let views = VIEWS(24);
    assert!(!ImageCache::is_busy(&folder, &views));
    let lock = std::fs::File::open(folder.join("images-24.lock")).unwrap();
    lock.lock().unwrap();
    assert!(ImageCache::is_busy(&folder, &views));
    std::thread::scope(|scope| {
        let second = scope.spawn(|| open(&folder, &manifest, false).1);
        std::thread::sleep(Duration::from_millis(100));
        assert!(!second.is_finished());
        drop(lock);
        assert_eq!(counts(&second.join().unwrap()), [3, 0, 0, 0]);
    });
}

#[test]
fn a_lost_or_damaged_index_starts_anew() {
    let dir = tempfile::tempdir().unwrap();
    let manifest = data_set(dir.path(), 4);
    let folder = dir.path().join("cache");
    let bytes = open(&folder, &manifest, false).1.bytes;
    let index = folder.join("images-24.json");
    let text = std::fs::read_to_string(&index).unwrap();
    for damaged in [text.replace("\"width\":", "\"width\": "), String::new(), text[..text.len() / 2].to_owned()] {
        std::fs::write(&index, damaged).unwrap();
        let (_, report) = open(&folder, &manifest, false);
        assert_eq!((counts(&report), report.bytes), ([0, 4, 0, 0], bytes));
    }
}

#[test]
fn sizes_and_sets_share_a_folder() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let folder = one.path().join("cache");
    let (first, second) = (data_set(one.path(), 3), data_set(other.path(), 5));
    open(&folder, &first, false);
    assert_eq!(counts(&open(&folder, &second, false).1), [0, 5, 0, 0]);
    let larger = ImageCache::open(&folder, &first, &VIEWS(32), CacheOptions::default()).unwrap();
    assert_eq!(counts(&larger.1), [0, 3, 0, 0]);
    assert_eq!(counts(&open(&folder, &first, true).1), [3, 0, 0, 0]);
    assert_eq!(counts(&open(&folder, &second, true).1), [5, 0, 0, 0]);
}

#[test]
fn a_source_that_cannot_be_read_is_reported_and_still_fails() {
    let dir = tempfile::tempdir().unwrap();
    let manifest = data_set(dir.path(), 4);
    std::fs::write(manifest.image_path(2), b"no image").unwrap();
    let (cache, report) = open(&dir.path().join("cache"), &manifest, false);
    assert_eq!(report.unreadable.len(), 1);
    assert!(report.unreadable[0].0 == 2 && report.unreadable[0].1.contains("2.png"), "{report:?}");
    assert!(matches!(cache.image(2).unwrap_err(), Error::Decode { .. }));
    assert!(cache.image(3).is_ok());
}

#[test]
fn an_index_without_hashes_is_completed_without_growing_the_cache() {
    let dir = tempfile::tempdir().unwrap();
    let set = data_set(dir.path(), 6);
    let cache = dir.path().join("cache");
    let (first, report) = open(&cache, &set, false);
    let states = first.states();
    assert_eq!(states, cxr_data::prescan(&set, 1).states);
    // As the index was written by version 0.1: no hash of the pixels, a checksum over the rest.
    let index = std::fs::read_dir(&cache).unwrap().map(|entry| entry.unwrap().path());
    let index = { index }.find(|path| path.extension().is_some_and(|e| e == "json")).unwrap();
    let text = std::fs::read_to_string(&index).unwrap();
    let mut body: serde_json::Value = serde_json::from_str(text.split_once('\n').unwrap().1).unwrap();
    for entry in body["entries"].as_object_mut().unwrap().values_mut() {
        entry.as_object_mut().unwrap().remove("pixels").unwrap();
    }
    let body = body.to_string();
    std::fs::write(&index, format!("{:08x}\n{body}", crc32fast::hash(body.as_bytes()))).unwrap();
    let (again, after) = open(&cache, &set, false);
    assert_eq!((after.reused, after.bytes), (set.len(), report.bytes), "nothing is appended");
    assert_eq!(again.states(), states);
}
