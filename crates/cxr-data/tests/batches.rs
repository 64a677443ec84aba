//! The promise of the batch iterator: the same bytes whoever computes them, whenever.

#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;

use cxr_data::{
    BatchLoader, BatchOptions, CacheOptions, Error, Files, ImageCache, Level, MemoryCache, OnBad, Operation, PairBatch,
    PixelHash, Pixels, PlaneBatch, Radiograph, SameGroup, ViewBatch, ViewConfig, decode, prescan, preview, render,
    seed,
};
use ndarray::Array2;
use proptest::prelude::*;
use support::data_set;

fn options(batch_size: usize, workers: usize) -> BatchOptions {
    BatchOptions { batch_size, workers, ahead: 3, seed: 11, ..BatchOptions::default() }
}

fn pairs<T: Level>(loader: &BatchLoader, epoch: u64, first: usize) -> Vec<PairBatch<T>> {
    loader.pairs(epoch, first).unwrap().map(Result::unwrap).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    /// 1, 2 and 8 workers, with a cache (cold and warm) and without, resumed at any batch.
    #[test]
    fn bytes_do_not_depend_on_who_computes_them(
        n in 9..24_usize, batch in 1..5_usize, epoch in 0..3_u64, resume in 0.0..1.0_f64, strong: bool, grouped: bool,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let manifest = data_set(dir.path(), n);
        let views = if strong { ViewConfig::strong(24) } else { ViewConfig::moco_cxr(24) };
        let rows: Vec<usize> = (0..n).filter(|row| row % 7 != 3).collect();
        let loader = |workers| {
            let loader = BatchLoader::new(&manifest, views, options(batch, workers)).unwrap().with_rows(&rows).unwrap();
            if grouped { loader.with_pairs(Arc::new(SameGroup::study(&manifest, &rows))) } else { loader }
        };
        let expected = pairs::<u8>(&loader(1), epoch, 0);
        prop_assert_eq!(expected.len(), rows.len() / batch);
        for workers in [2, 8] {
            prop_assert_eq!(&pairs(&loader(workers), epoch, 0), &expected, "{} workers", workers);
        }
        let memory = Arc::new(MemoryCache::new(Arc::new(Files::new(&manifest)), n, views));
        let cached = loader(2).with_source(memory);
        prop_assert_eq!(&pairs(&cached, epoch, 0), &expected, "cold cache");
        prop_assert_eq!(&pairs(&cached, epoch, 0), &expected, "warm cache");
        let (on_disk, _) = ImageCache::open(&dir.path().join("cache"), &manifest, &views, CacheOptions::default()).unwrap();
        let on_disk = loader(8).with_source(Arc::new(on_disk));
        prop_assert_eq!(&pairs(&on_disk, epoch, 0), &expected, "on disk");
        let first = (resume * (expected.len() + 1) as f64) as usize;
        prop_assert_eq!(&pairs(&loader(2), epoch, first), &expected[first..], "resumed at {}", first);
        prop_assert_eq!(&pairs(&on_disk, epoch, first), &expected[first..], "resumed at {}, on disk", first);
        // The same views in 16 bit, of which 8 and 16 bit images are cached.
        let wide = pairs::<u16>(&loader(1), epoch, 0);
        prop_assert_eq!(&pairs(&loader(8), epoch, first), &wide[first..], "16 bit, resumed at {}", first);
        prop_assert_eq!(&pairs(&on_disk, epoch, 0), &wide, "16 bit, on disk");
    }
}

/// Whoever follows the maps gets the views, byte for byte: 8 and 16 bit images of several shapes, the key view from
/// the same image and from another.
#[test]
fn maps_lead_to_the_bytes_of_the_views() {
    let dir = tempfile::tempdir().unwrap();
    let manifest = data_set(dir.path(), 18);
    let rows: Vec<usize> = (0..18).collect();
    let mut turned = ViewConfig::moco_cxr(24);
    turned.rotation = Operation { probability: 0.9, strength: 180.0 };
    for (views, grouped) in [(ViewConfig::moco_cxr(24), false), (turned, true), (ViewConfig::eval(24), true)] {
        let mut loader = BatchLoader::new(&manifest, views, options(6, 2)).unwrap();
        if grouped {
            loader = loader.with_pairs(Arc::new(SameGroup::study(&manifest, &rows)));
        }
        let expected = pairs::<u8>(&loader, 3, 1);
        let found: Vec<PlaneBatch> = loader.planes(3, 1).unwrap().map(Result::unwrap).collect();
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!((&found.rows, &found.patients), (&expected.rows, &expected.patients));
            assert_eq!(found.planes.len() > 6, grouped, "{} planes", found.planes.len());
            for (maps, views) in [(&found.query, &expected.query), (&found.key, &expected.key)] {
                for ((plane, map), view) in maps.iter().zip(views.outer_iter()) {
                    let followed = Array2::from_shape_fn((24, 24), |(v, u)| {
                        let place = |i: usize| (map.start[i] + map.across[i] * u as i64 + map.down[i] * v as i64) >> 16;
                        let (x, y) = (usize::try_from(place(0)), usize::try_from(place(1)));
                        x.ok().zip(y.ok()).and_then(|(x, y)| found.planes[*plane].get((y, x))).copied().unwrap_or(0)
                    });
                    assert_eq!(followed, view);
                }
            }
        }
    }
    let small = BatchLoader::new(&manifest, ViewConfig::strong(24), options(6, 2)).unwrap();
    assert!(small.planes(0, 0).unwrap_err().to_string().contains("views: crop is resized"));
}

/// One sample followed by hand, from its key to its bytes.
#[test]
fn a_batch_holds_what_its_key_says() {
    let dir = tempfile::tempdir().unwrap();
    let manifest = data_set(dir.path(), 10);
    let views = ViewConfig::strong(24);
    let batches = pairs::<u8>(&BatchLoader::new(&manifest, views, options(4, 2)).unwrap(), 5, 0);
    let order = seed::epoch_order(11, 5, 10);
    let batch = &batches[1];
    assert_eq!(batch.rows, order[4..8]);
    assert_eq!(batch.query.dim(), (4, 24, 24));
    let row = batch.rows[2];
    assert_eq!(batch.patients[2], row as u32 / 4);
    let image = decode::read(manifest.image_path(row)).unwrap();
    for (view, stack) in [(0, &batch.query), (1, &batch.key)] {
        let expected = render::<u8>(&image, &views, &mut seed::rng(11, 5, row as u64, view));
        assert_eq!(stack.index_axis(ndarray::Axis(0), 2), expected);
    }
    assert_ne!(batch.query, batch.key);
    let seen: Vec<usize> = batches.iter().flat_map(|batch| batch.rows.clone()).collect();
    assert_eq!(seen, order[..8], "the short last batch is dropped");
}

#[test]
fn sixteen_bits_reach_the_batch_when_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let manifest = data_set(dir.path(), 6);
    let loader = BatchLoader::new(&manifest, ViewConfig::eval(24), options(6, 1)).unwrap().with_rows(&[2, 5]).unwrap();
    let wide: ViewBatch<u16> = loader.in_order().next().unwrap().unwrap();
    let narrow: ViewBatch<u8> = loader.in_order().next().unwrap().unwrap();
    assert!(wide.images.iter().any(|value| value % 257 != 0), "more than 256 levels");
    // The nearest of the 256 levels.
    let expected = wide.images.mapv(|value| (f64::from(value) / 257.0).round() as u8);
    assert_eq!(narrow.images, expected);
}

#[test]
fn evaluation_keeps_the_order_and_the_short_batch() {
    let dir = tempfile::tempdir().unwrap();
    let manifest = data_set(dir.path(), 7);
    let loader = BatchLoader::new(&manifest, ViewConfig::eval(24), options(3, 4)).unwrap();
    let batches: Vec<ViewBatch> = loader.in_order().map(Result::unwrap).collect();
    assert_eq!(
        batches.iter().map(|batch| batch.rows.clone()).collect::<Vec<_>>(),
        [vec![0, 1, 2], vec![3, 4, 5], vec![6]]
    );
    assert_eq!(batches[2].images.dim(), (1, 24, 24));
    let shuffled: Vec<ViewBatch> = loader.shuffled(1, 0).unwrap().map(Result::unwrap).collect();
    assert_eq!(shuffled[0].rows, seed::epoch_order(11, 1, 7)[..3]);
}

#[test]
fn a_file_that_vanishes_is_an_error_or_is_replaced_by_the_next_and_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let manifest = data_set(dir.path(), 8);
    let loader = |on_bad| {
        let options = BatchOptions { on_bad, ..options(4, 2) };
        BatchLoader::new(&manifest, ViewConfig::moco_cxr(24), options).unwrap()
    };
    let order = seed::epoch_order(11, 0, 8);
    std::fs::remove_file(manifest.image_path(order[5])).unwrap();
    let failing = loader(OnBad::Fail);
    let outcomes: Vec<_> = failing.pairs::<u8>(0, 0).unwrap().collect();
    assert!(outcomes[0].is_ok());
    let error = outcomes[1].as_ref().unwrap_err().to_string();
    assert!(error.contains(&format!("{}.png", order[5])), "{error}");
    assert!(failing.replaced().is_empty());

    let skipping = loader(OnBad::Skip);
    assert_eq!(pairs::<u8>(&skipping, 0, 0)[1].rows, [order[4], order[6], order[6], order[7]]);
    let replaced = skipping.replaced();
    assert_eq!((replaced.len(), replaced[&order[5]].times), (1, 1));
    assert!(replaced[&order[5]].fault.contains(&format!("{}.png", order[5])), "{replaced:?}");
    // All gone: the folder, not a file. The first missing file is named.
    for row in 0..8 {
        let _ = std::fs::remove_file(manifest.image_path(row));
    }
    let error = skipping.pairs::<u8>(0, 0).unwrap().next().unwrap().unwrap_err();
    assert!(error.to_string().contains(&format!("{}.png", order[0])), "{error}");
}

/// Another image under the same name, between the look at the start and its reading.
#[test]
fn an_image_that_is_replaced_is_an_error_or_is_replaced_by_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let manifest = data_set(dir.path(), 8);
    let states = prescan(&manifest, 2).states;
    let loader = |on_bad| {
        let options = BatchOptions { on_bad, ..options(4, 2) };
        let loader = BatchLoader::new(&manifest, ViewConfig::moco_cxr(24), options).unwrap();
        loader.with_source(Arc::new(Files::new(&manifest).as_they_were(states.clone())))
    };
    let order = seed::epoch_order(11, 0, 8);
    let (swapped, touched) = (manifest.image_path(order[5]), manifest.image_path(order[1]));
    let whole = pairs::<u8>(&loader(OnBad::Fail), 0, 0);
    // The same image with another time, as a copy leaves it: nothing is wrong.
    let bytes = std::fs::read(&touched).unwrap();
    std::fs::remove_file(&touched).unwrap();
    std::fs::write(&touched, bytes).unwrap();
    assert_eq!(pairs::<u8>(&loader(OnBad::Fail), 0, 0), whole);

    Radiograph::new(40, 36, Pixels::U8(vec![77; 40 * 36])).unwrap().write_png(&swapped).unwrap();
    let failing = loader(OnBad::Fail);
    let outcomes: Vec<_> = failing.pairs::<u8>(0, 0).unwrap().collect();
    assert!(outcomes[0].is_ok());
    let error = outcomes[1].as_ref().unwrap_err();
    let Error::Changed { path, was, is } = error else { panic!("{error:?}") };
    assert_eq!((path, Some(**was)), (&swapped, states[order[5]]));
    assert_eq!(is.pixels(), PixelHash::of(&cxr_data::decode::read(&swapped).unwrap()));
    let text = error.to_string();
    assert!(text.contains(&format!("it was {was}, and is {is}")) && text.contains(" bytes, last changed 20"), "{text}");

    let skipping = loader(OnBad::Skip);
    assert_eq!(pairs::<u8>(&skipping, 0, 0)[1].rows, [order[4], order[6], order[6], order[7]]);
    assert!(skipping.replaced()[&order[5]].fault.contains("was replaced while it was in use"));
    // An evaluation never puts another image in its place.
    let scored: Vec<_> = skipping.in_order::<u8>().collect();
    assert_eq!(scored.iter().filter(|batch| matches!(batch, Err(Error::Changed { .. }))).count(), 1);
}

/// A score must never meet the label of another image: neither options nor caches change that.
#[test]
fn an_evaluation_names_the_file_that_vanished_and_puts_no_other_in_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let manifest = data_set(dir.path(), 7);
    for on_bad in [OnBad::Fail, OnBad::Skip] {
        let options = BatchOptions { on_bad, ..options(3, 2) };
        let loader = BatchLoader::new(&manifest, ViewConfig::eval(24), options).unwrap();
        let gone = manifest.image_path(4);
        let whole = std::fs::read(&gone).unwrap();
        for remains in [None, Some(&b""[..])] {
            std::fs::remove_file(&gone).unwrap();
            if let Some(bytes) = remains {
                std::fs::write(&gone, bytes).unwrap();
            }
            let outcomes: Vec<_> = loader.in_order::<u8>().collect();
            assert_eq!(outcomes[0].as_ref().unwrap().rows, [0, 1, 2]);
            let error = outcomes[1].as_ref().unwrap_err().to_string();
            assert!(error.contains("4.png"), "{error}");
            assert_eq!(outcomes[2].as_ref().unwrap().rows, [6]);
            assert!(loader.replaced().is_empty());
            std::fs::write(&gone, &whole).unwrap();
        }
    }
}

#[test]
fn a_damaged_file_fails_in_its_place_or_is_skipped() {
    let dir = tempfile::tempdir().unwrap();
    let manifest = data_set(dir.path(), 8);
    let order = seed::epoch_order(11, 0, 8);
    let bad = manifest.image_path(order[3]);
    std::fs::write(&bad, b"").unwrap();
    let mut options = options(2, 4);
    let loader = BatchLoader::new(&manifest, ViewConfig::moco_cxr(24), options).unwrap();
    let outcomes: Vec<_> = loader.pairs::<u8>(0, 0).unwrap().collect();
    assert_eq!(outcomes.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true, true]);
    assert!(matches!(outcomes[1].as_ref().unwrap_err(), Error::Decode { path, .. } if path == &bad));
    options.on_bad = OnBad::Skip;
    let loader = BatchLoader::new(&manifest, ViewConfig::moco_cxr(24), options).unwrap();
    assert_eq!(pairs::<u8>(&loader, 0, 0)[1].rows, [order[2], order[4]]);
    assert_eq!(loader.replaced().iter().map(|(row, one)| (*row, one.times)).collect::<Vec<_>>(), [(order[3], 1)]);
    let found = prescan(&manifest, 3).faults;
    assert_eq!(found.iter().map(|(row, _)| *row).collect::<Vec<_>>(), [order[3]]);
    assert!(found[0].1.to_string().contains("empty"));
}

/// Decoded again from its PNG, tile by tile.
#[test]
fn a_contact_sheet_shows_what_training_gets() {
    let dir = tempfile::tempdir().unwrap();
    let manifest = data_set(dir.path(), 6);
    let batch =
        pairs::<u8>(&BatchLoader::new(&manifest, ViewConfig::strong(24), options(5, 2)).unwrap(), 0, 0).remove(0);
    let path = dir.path().join("sheet.png");
    preview::pairs(&batch, 2).unwrap().write_png(&path).unwrap();
    let sheet = decode::read(&path).unwrap();
    let step = 24 + preview::GAP;
    assert_eq!((sheet.width(), sheet.height()), (4 * step - preview::GAP, 3 * step - preview::GAP));
    let values = ndarray::Array2::from_shape_vec((sheet.height(), sheet.width()), sheet.to_u8()).unwrap();
    for (i, view) in batch.query.outer_iter().zip(batch.key.outer_iter()).flat_map(|(q, k)| [q, k]).enumerate() {
        let (left, top) = (i % 4 * step, i / 4 * step);
        assert_eq!(values.slice(ndarray::s![top..top + 24, left..left + 24]), view, "view {i}");
    }
    assert!(preview::pairs(&batch, 0).is_err());
}

#[test]
fn impossible_requests_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let manifest = data_set(dir.path(), 3);
    let views = ViewConfig::moco_cxr(24);
    let loader = BatchLoader::new(&manifest, views, options(4, 1)).unwrap();
    assert_eq!(loader.pairs::<u8>(0, 0).unwrap_err().to_string(), "batches: 3 images are fewer than one batch of 4");
    assert!(BatchLoader::new(&manifest, views, options(0, 1)).is_err());
    let mut invalid = views;
    invalid.flip = 2.0;
    assert!(BatchLoader::new(&manifest, invalid, options(1, 1)).is_err());
    let loader = BatchLoader::new(&manifest, views, options(1, 1)).unwrap();
    assert!(loader.pairs::<u8>(0, 4).is_err() && loader.pairs::<u8>(0, 3).unwrap().next().is_none());
    assert!(loader.with_rows(&[3]).unwrap_err().to_string().contains("found row 3, but the manifest has 3 rows"));
}
