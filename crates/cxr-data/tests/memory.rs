//! Memory stays flat from epoch to epoch, whatever is decoded, cached and thrown away in between.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::sync::Arc;

use cxr_data::{BatchLoader, BatchOptions, CacheOptions, ImageCache, ImageSource, PairBatch, ViewConfig};
use support::data_set;

/// Resident memory of this process in bytes (the second number of `statm` counts pages of 4 KiB).
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    4096 * statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap()
}

/// Memory of this process that is its own and not that of a file, in bytes: what the system cannot drop when it runs
/// short.
fn own() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
    1024 * line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
}

/// A cache may be larger than memory: its pixels stay pages of the file, which the system reads when they are needed and
/// drops when it runs short. Here 64 images of 1 MB are used one after the other; memory of our own would grow by 64 MB if
/// the cache read its file. The bound allows one image at a time and what the allocator keeps.
#[test]
fn a_cache_needs_no_memory_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let mut manifest = data_set(dir.path(), 64);
    manifest.records.retain(|record| record.path[..record.path.len() - 4].parse::<usize>().unwrap() % 3 != 2); // 8 bit
    let views = ViewConfig::eval(1152);
    let folder = dir.path().join("cache");
    ImageCache::open(&folder, &manifest, &views, CacheOptions::default()).unwrap();
    // As another process finds it.
    let (cache, report) =
        ImageCache::open(&folder, &manifest, &views, CacheOptions { verify: true, ..CacheOptions::default() }).unwrap();
    assert_eq!(report.reused, manifest.len());
    assert!(report.bytes > 55_000_000, "{}", report.bytes);
    let before = own();
    for row in 0..manifest.len() {
        assert!(cache.image(row).unwrap().width() >= 1152);
    }
    let grown = own().saturating_sub(before);
    println!("{:.1} MB read, {:.1} MB of memory more", report.bytes as f64 / 1e6, grown as f64 / 1e6);
    assert!(grown < 8_000_000, "{grown} bytes for a cache of {}", report.bytes);
}

/// 3,000 images an epoch (50 files, each many times), from the files and from the cache. A leak of one view an image
/// would be 3,000 * 64 * 64 = 12 MB an epoch; measured growth was none. The bound is between.
#[test]
fn three_epochs_need_no_more_than_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut manifest = data_set(dir.path(), 50);
    manifest.records = manifest.records.iter().cycle().take(3000).cloned().collect();
    let views = ViewConfig::moco_cxr(64);
    let options = BatchOptions { batch_size: 16, workers: 2, ..BatchOptions::default() };
    let files = BatchLoader::new(&manifest, views, options).unwrap();
    let (cache, _) = ImageCache::open(&dir.path().join("cache"), &manifest, &views, CacheOptions::default()).unwrap();
    let cached = files.clone().with_source(Arc::new(cache));
    for (name, loader) in [("files", files), ("cache", cached)] {
        let after: Vec<u64> = (0..3)
            .map(|epoch| {
                let batches = loader.pairs(epoch, 0).unwrap().map(|batch: Result<PairBatch, _>| batch.unwrap());
                assert_eq!(batches.map(|batch| batch.rows.len()).sum::<usize>(), 2992);
                resident()
            })
            .collect();
        println!(
            "{name}: resident after each epoch, MB: {:?}",
            after.iter().map(|b| *b as f64 / 1e6).collect::<Vec<_>>()
        );
        assert!(after[2] < after[0] + 4_000_000, "{name}: {after:?}");
    }
}
