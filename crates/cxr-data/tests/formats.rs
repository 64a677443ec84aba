//! Files of other kinds than grey JPEG and PNG, against what Pillow reads from them (`golden/make_formats.py`).
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use cxr_data::{Dataset, Part, Pixels, Remark, decode, load, prescan};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/formats")
}

/// Width, height, bits, values.
fn expected(name: &str) -> (usize, usize, u8, Vec<i64>) {
    let text = fs::read_to_string(golden().join(format!("{name}.txt"))).unwrap();
    let mut numbers = text.split_whitespace().map(|number| number.parse::<i64>().unwrap());
    let mut next = || numbers.next().unwrap();
    let (width, height, bits) = (next() as usize, next() as usize, next() as u8);
    (width, height, bits, numbers.collect())
}

fn found(name: &str) -> (usize, usize, u8, Vec<i64>) {
    let image = decode::read(golden().join(name)).unwrap();
    let (width, height, bits) = (image.width(), image.height(), image.bits());
    let values = match image.into_pixels() {
        Pixels::U8(values) => values.into_iter().map(i64::from).collect(),
        Pixels::U16(values) => values.into_iter().map(i64::from).collect(),
    };
    (width, height, bits, values)
}

/// Without loss in the file there is none in reading it.
#[test]
fn c24_lossless_files_are_pillows_to_the_bit() {
    let mut names = vec![
        "grey.bmp",
        "colour.bmp",
        "palette.bmp",
        "lossless.webp",
        "grey.tif",
        "packbits.tif",
        "lzw.tif",
        "deflate.tif",
        "colour.tiff",
        "deep.tif",
        "white-is-zero.tif",
    ];
    let turned: Vec<String> = (2..=8).map(|orientation| format!("turned-{orientation}.png")).collect();
    names.extend(turned.iter().map(String::as_str));
    for name in names {
        assert_eq!(found(name), expected(name), "{name}");
    }
    // The same picture, turned by the same note.
    assert_eq!(found("turned-6.tif"), expected("turned-6.png"));
}

/// Two decoders of JPEG round differently: by 1 a colour plane, so that the grey of CMYK, which multiplies two of them, is off
/// by at most 3.
#[test]
fn jpegs_turned_and_in_colours_of_print() {
    for (name, most) in [("turned-6.jpg", 1), ("plain.jfif", 2), ("cmyk.jpg", 3)] {
        let ((width, height, bits, values), wanted) = (found(name), expected(name));
        assert_eq!((width, height, bits), (wanted.0, wanted.1, wanted.2), "{name}");
        let worst = values.iter().zip(&wanted.3).map(|(found, wanted)| (found - wanted).abs()).max();
        assert!(worst <= Some(most), "{name}: {worst:?}");
    }
}

/// All of them count as images, and what was done to them is said.
#[test]
fn what_was_done_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(golden()).unwrap().map(|entry| entry.unwrap().path()) {
        if !["txt", "json"].contains(&entry.extension().unwrap().to_str().unwrap()) {
            fs::copy(&entry, dir.path().join(entry.file_name().unwrap())).unwrap();
        }
    }
    let set = load(dir.path(), Dataset::Folder, Part::All).unwrap();
    let scan = prescan(&set, 2);
    assert_eq!((set.len(), scan.faults.len(), scan.mislabelled.len()), (22, 0, 0));
    assert_eq!(scan.remarks[&Remark::Turned].0, 9);
    assert_eq!(scan.remarks[&Remark::Cmyk].0, 1);
}
