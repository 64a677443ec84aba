//! DICOM files against what pydicom reads from them (`.npy` beside each; see the folder's README).

#![cfg(feature = "dicom")]
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;

use cxr_data::decode::{self, Format};
use cxr_data::{Pixels, Radiograph};
use support::{golden, npy_u8, npy_u16, test_data};

fn read(folder: &Path, name: &str) -> Radiograph {
    let (image, format) = decode::read_with_format(folder.join(name)).unwrap();
    assert_eq!(format, Format::Dicom);
    image
}

/// Modality LUT or rescale, then VOI LUT or window, then MONOCHROME1, on 16 x 16 pixels from the lowest to the highest
/// stored value (`golden/make_dicom.py`). pydicom does not round, this crate does once: half a level, and the thousandth
/// of one to which the file is written.
#[test]
fn every_step_of_showing_is_pydicoms() {
    let folder = golden("../dicom");
    let text = std::fs::read_to_string(folder.join("expected.json")).unwrap();
    let expected: serde_json::Value = serde_json::from_str(&text).unwrap();
    for (name, case) in expected["cases"].as_object().unwrap() {
        let image = read(&folder, &format!("{name}.dcm"));
        assert_eq!(u64::from(image.bits()), case["bits"].as_u64().unwrap(), "{name}");
        let levels: Vec<f64> = match image.pixels() {
            Pixels::U8(values) => values.iter().map(|&value| value.into()).collect(),
            Pixels::U16(values) => values.iter().map(|&value| value.into()).collect(),
        };
        for (at, (found, expected)) in levels.iter().zip(case["levels"].as_array().unwrap()).enumerate() {
            let expected = expected.as_f64().unwrap();
            assert!((found - expected).abs() <= 0.501, "{name}, pixel {at}: {found}, pydicom {expected}");
        }
        assert_eq!(levels.len(), 256);
    }
}

#[test]
fn every_transfer_syntax_gives_pydicoms_pixels() {
    let Some(data) = test_data() else { return };
    let folder = data.join("dicom");
    let expected = npy_u8(&folder.join("rsna_mono2_8bit.npy"));
    for name in ["expl-le", "impl-le", "rle", "deflated"] {
        let image = read(&folder, &format!("rsna_mono2_8bit_{name}.dcm"));
        assert_eq!(image.pixels(), &Pixels::U8(expected.iter().copied().collect()), "{name}");
    }
    // Baseline JPEG: decoders may differ by a level in the inverse transform.
    let image = read(&folder, "1.2.276.0.7230010.3.1.4.8323329.6904.1517875201.850819.dcm");
    let worst = image.to_u8().iter().zip(&expected).map(|(&a, &b)| a.abs_diff(b)).max().unwrap();
    assert!(worst <= 1, "JPEG baseline: {worst}");
}

/// White is 0 there: the picture comes out as in the MONOCHROME2 files, inverted.
#[test]
fn monochrome1_is_inverted_last() {
    let Some(data) = test_data() else { return };
    let folder = data.join("dicom");
    let image = read(&folder, "rsna_mono1_8bit_expl-le.dcm");
    let expected = npy_u8(&folder.join("rsna_mono2_8bit.npy")).mapv(|value| 255 - value);
    assert_eq!(image.pixels(), &Pixels::U8(expected.iter().copied().collect()));
}

/// 15 of 16 bits, window 15000 / 30000, MONOCHROME1. Expected: the window of PS3.3 C.11.2.1.2 on pydicom's stored
/// values, inverted, in f64. JPEG 2000 and RLE are both lossless here.
#[test]
fn fifteen_bits_are_windowed_then_inverted() {
    let Some(data) = test_data() else { return };
    let folder = data.join("dicom");
    let stored = npy_u16(&folder.join("RG1_mono1_15bit.npy"));
    let expected = stored.mapv(|value| {
        let shown = ((f64::from(value) - 14_999.5) / 29_999.0 + 0.5).clamp(0.0, 1.0);
        ((1.0 - shown) * 65_535.0).round() as u16
    });
    for name in ["RG1_mono1_15bit_rle.dcm", "RG1_J2KI.dcm"] {
        let image = read(&folder, name);
        assert_eq!((image.height(), image.width()), stored.dim(), "{name}");
        let Pixels::U16(values) = image.pixels() else { panic!("{name}: 16 bits expected") };
        let differing = values.iter().zip(&expected).filter(|(a, b)| a != b).count();
        assert_eq!(differing, 0, "{name}: pixels that differ");
    }
}

#[test]
fn damaged_files_are_reported() {
    let Some(data) = test_data() else { return };
    let bytes = std::fs::read(data.join("dicom/rsna_mono2_8bit_rle.dcm")).unwrap();
    for len in [132, 200, 1000, bytes.len() / 2] {
        let error = decode::from_bytes(&bytes[..len], Path::new("cut.dcm")).unwrap_err();
        assert!(error.to_string().starts_with("cut.dcm: cannot be decoded"), "{error}");
    }
}

/// Files that took gigabytes, or ended the process; and others that might.
#[test]
fn hostile_files_are_errors_that_cost_little() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/dicom");
    let mut files: Vec<(String, Vec<u8>)> = std::fs::read_dir(corpus)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.display().to_string(), std::fs::read(path).unwrap()))
        .collect();
    // Deeper than the stack of any thread: a sequence, and an item in it, over and over.
    let nested = files.iter().find(|(name, _)| name.ends_with("nested-1000")).unwrap().1.clone();
    let level = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff";
    let at = nested.windows(level.len()).position(|part| part == level).unwrap();
    files.push(("nested-50000".into(), [&nested[..at], &level.repeat(50_000)].concat()));
    for (name, bytes) in files {
        match decode::from_bytes(&bytes, Path::new("film.dcm")) {
            Ok((image, _)) => assert_eq!(image.pixels().len(), image.width() * image.height(), "{name}"),
            Err(fault) => {
                let text = fault.to_string();
                assert!(text.contains("film.dcm") && !text.contains("panicked"), "{name}: {text}");
                let words = [("nested", "sequences in each other"), ("length-long", "4294967294 bytes, 0 are left")];
                assert!(words.iter().all(|(of, words)| !name.contains(of) || text.contains(words)), "{name}: {text}");
            }
        }
    }
    let peak = std::fs::read_to_string("/proc/self/status").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("VmHWM"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    });
    // Measured: 40 MB, and 4.2 GB before.
    assert!(peak.is_none_or(|kilobytes| kilobytes < 1_000_000), "{peak:?} kB");
}
