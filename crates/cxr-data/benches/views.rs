//! Time per image on one core, from a file or from a cached image to two views of 320 x 320, and of each part alone.
//!
//! `benches/data_torchvision.py` makes the files, runs this, and puts the same work in Pillow and torchvision beside it;
//! `MOCO_CXR_BENCH_DATA` names the folder it made (`jpeg/*.jpg` of 320 x 320, `png/*.png` of 1024 x 1024).

// Prints why it measures nothing, where it has no data.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

#[path = "../tests/support/views_reference.rs"]
mod reference;

use std::hint::black_box;
use std::path::{Path, PathBuf};

use criterion::{Criterion, criterion_group, criterion_main};
use cxr_data::synth::{SynthConfig, draw_patient, render_study};
use cxr_data::{
    CacheOptions, Dataset, ImageCache, ImageSource, Operation, Part, Radiograph, ViewConfig, ViewParams, decode, load,
    prepare, render, render_with, seed,
};

/// The bytes of all files of a folder, sorted by name.
fn files(kind: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let Some(folder) = std::env::var_os("MOCO_CXR_BENCH_DATA") else { return Vec::new() };
    let mut paths: Vec<_> =
        std::fs::read_dir(Path::new(&folder).join(kind)).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

fn two_views(image: &Radiograph, config: &ViewConfig, sample: u64) {
    let prepared = prepare(image, config);
    for view in 0..2 {
        black_box(render::<u8>(&prepared, config, &mut seed::rng(0, 0, sample, view)));
    }
}

/// Runs `work` on one item after the other, so that a time is the mean over the files.
fn cycle<T>(criterion: &mut Criterion, name: &str, items: &[T], mut work: impl FnMut(&T, u64)) {
    let mut sample = 0;
    criterion.bench_function(name, |bencher| {
        bencher.iter(|| {
            work(&items[sample % items.len()], sample as u64);
            sample += 1;
        });
    });
}

fn views(criterion: &mut Criterion) {
    let config = ViewConfig::moco_cxr(320);
    for kind in ["jpeg", "png"] {
        let files = files(kind);
        if files.is_empty() {
            println!("skipped: MOCO_CXR_BENCH_DATA names no folder with {kind}/ (see benches/data_torchvision.py)");
            continue;
        }
        let read = |file: &(PathBuf, Vec<u8>)| decode::from_bytes(&file.1, &file.0).unwrap().0;
        // (a) and (b): from the file on disk.
        cycle(criterion, &format!("{kind}_file_to_two_views"), &files, |file, sample| {
            two_views(&decode::read(&file.0).unwrap(), &config, sample);
        });
        cycle(criterion, &format!("{kind}_decode"), &files, |file, _| {
            black_box(read(file));
        });
        let images: Vec<_> = files.iter().map(read).collect();
        if kind == "png" {
            let streams: Vec<_> = files.iter().map(|file| idat(&file.1)).collect();
            cycle(criterion, "png_inflate", &streams, |stream, _| {
                black_box(fdeflate::decompress_to_vec(stream).unwrap());
            });
            cycle(criterion, "png_resize", &images, |image, _| {
                black_box(prepare(image, &config));
            });
        }
        // (c): from the cache.
        let cache = Cache::of(kind, &config);
        cycle(criterion, &format!("{kind}_cached_to_two_views"), &cache.rows, |&row, sample| {
            two_views(&cache.images.image(row).unwrap(), &config, sample);
        });
        cycle(criterion, &format!("{kind}_cache_read"), &cache.rows, |&row, _| {
            black_box(cache.images.image(row).unwrap());
        });
        // The strong views, and what is left of them without the operations on grey values.
        let strong = ViewConfig::small(320);
        let mut bare = config;
        (bare.crop, bare.sampling) = (strong.crop, strong.sampling);
        for (name, views) in [("strong", strong), ("strong_geometry_only", bare)] {
            cycle(criterion, &format!("{kind}_image_to_two_views_{name}"), &images, |image, sample| {
                two_views(image, &views, sample);
            });
        }
    }
}

/// The strong views of prepared synthetic images, whole and with one operation on grey values at most; each beside the
/// plain code that the tests compare with.
fn strong_views(criterion: &mut Criterion) {
    let config = SynthConfig { size: 512, ..SynthConfig::default() };
    let images: Vec<_> = (1..=4)
        .map(|number| {
            let patient = draw_patient(&config, number);
            render_study(&config, &patient, &patient.studies[0])
        })
        .collect();
    let small = ViewConfig::small(320);
    let mut bare = ViewConfig::eval(320);
    (bare.flip, bare.rotation, bare.crop, bare.sampling) = (small.flip, small.rotation, small.crop, small.sampling);
    let always = |operation: Operation| Operation { probability: 1.0, ..operation };
    let mut cases = vec![("small", small), ("sampling", bare)];
    let mut add = |name, set: &dyn Fn(&mut ViewConfig)| {
        let mut config = bare;
        set(&mut config);
        cases.push((name, config));
    };
    add("sampling and brightness", &|config| config.brightness = always(small.brightness));
    add("sampling and contrast", &|config| config.contrast = always(small.contrast));
    add("sampling and gamma", &|config| config.gamma = always(small.gamma));
    add("sampling and blur", &|config| config.blur = always(small.blur));
    add("sampling and noise", &|config| config.noise = always(small.noise));
    for (name, config) in cases {
        let prepared: Vec<_> = images.iter().map(|image| prepare(image, &config).into_owned()).collect();
        let params = |image: &Radiograph, sample, view| {
            ViewParams::draw(&config, image.width(), image.height(), &mut seed::rng(0, 0, sample, view))
        };
        cycle(criterion, &format!("two views, {name}, 320 px"), &prepared, |image, sample| {
            for view in 0..2 {
                black_box(render_with::<u8>(image, &config, &params(image, sample, view)));
            }
        });
        cycle(criterion, &format!("two views, {name}, 320 px, plain code"), &prepared, |image, sample| {
            for view in 0..2 {
                black_box(reference::render_with::<u8>(image, &config, &params(image, sample, view)));
            }
        });
    }
}

/// A cache of the files of a folder, in a folder that lasts as long as it does.
struct Cache {
    images: ImageCache,
    rows: Vec<usize>,
    _folder: tempfile::TempDir,
}

impl Cache {
    fn of(kind: &str, views: &ViewConfig) -> Self {
        let data = std::env::var_os("MOCO_CXR_BENCH_DATA").unwrap();
        let manifest = load(&Path::new(&data).join(kind), Dataset::Folder, Part::All).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (images, _) = ImageCache::open(folder.path(), &manifest, views, CacheOptions::default()).unwrap();
        Self { images, rows: (0..manifest.len()).collect(), _folder: folder }
    }
}

/// The compressed stream of a PNG: its IDAT chunks in a row.
fn idat(png: &[u8]) -> Vec<u8> {
    let mut stream = Vec::new();
    let mut rest = &png[8..];
    while let [a, b, c, d, kind @ ..] = rest {
        let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        if kind.starts_with(b"IDAT") {
            stream.extend_from_slice(&kind[4..4 + length]);
        }
        rest = &kind[length + 8..];
    }
    stream
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(30).warm_up_time(std::time::Duration::from_secs(1))
        .measurement_time(std::time::Duration::from_secs(3));
    targets = views, strong_views
}
criterion_main!(benches);
