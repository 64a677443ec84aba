//! DICOM files against what pydicom reads from them (`.npy` beside each; see the folder's README), and files written here.

#![cfg(feature = "dicom")]
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::Path;

use cxr_data::decode::{self, Format};
use cxr_data::{Dataset, Part, Pixels, Projection, Radiograph, Sex, View};
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
                let long = "4294967294 bytes, 0 are left";
                let words = [
                    ("nested", "sequences in each other"),
                    ("length-long", long),
                    ("meta-beyond", long),
                    ("length-odd", "43 bytes, which are no whole number of values of 2 bytes"),
                    ("runs-many", "4294967295 segments"),
                    ("runs-short", "its pixel data in runs has 63 bytes"),
                    ("samples-0-jpeg-2000", "0 samples per pixel"),
                ];
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

/// A file in explicit VR, little endian: 16 bits allocated, 12 stored, 16 x 16 pixels, and these elements instead of or beside
/// the usual ones.
fn written(more: &[((u16, u16), &str, Vec<u8>)], pixels: &[u16]) -> Vec<u8> {
    let us = |value: u16| value.to_le_bytes().to_vec();
    let text = |text: &str| text.as_bytes().to_vec();
    let element = |((group, number), vr, value): &((u16, u16), &str, Vec<u8>)| {
        let mut bytes = [group.to_le_bytes(), number.to_le_bytes()].concat();
        bytes.extend(vr.as_bytes());
        let padded = value.len() + value.len() % 2;
        match *vr {
            "OW" => bytes.extend([&[0, 0][..], &(padded as u32).to_le_bytes()[..]].concat()),
            _ => bytes.extend((padded as u16).to_le_bytes()),
        }
        bytes.extend(value);
        bytes.resize(bytes.len() + value.len() % 2, b' ');
        bytes
    };
    let uid = |number: u16, uid: &str| {
        element(&((2, number), "UI", format!("{uid}{}", if uid.len() % 2 == 1 { "\0" } else { "" }).into()))
    };
    let meta = [uid(2, "1.2.840.10008.5.1.4.1.1.1"), uid(3, "1.2.3"), uid(0x10, "1.2.840.10008.1.2.1")].concat();
    let length = element(&((2, 0), "UL", (meta.len() as u32).to_le_bytes().to_vec()));
    let mut elements = vec![
        ((0x28, 2), "US", us(1)),
        ((0x28, 4), "CS", text("MONOCHROME2")),
        ((0x28, 0x10), "US", us(16)),
        ((0x28, 0x11), "US", us(16)),
        ((0x28, 0x100), "US", us(16)),
        ((0x28, 0x101), "US", us(12)),
        ((0x28, 0x102), "US", us(11)),
        ((0x28, 0x103), "US", us(0)),
        ((0x7fe0, 0x10), "OW", pixels.iter().flat_map(|value| value.to_le_bytes()).collect()),
    ];
    elements.retain(|(tag, ..)| more.iter().all(|(other, ..)| other != tag));
    elements.extend(more.iter().cloned());
    elements.sort_by_key(|(tag, ..)| *tag);
    let body: Vec<u8> = elements.iter().flat_map(element).collect();
    [&[0; 128][..], b"DICM", &length, &meta, &body].concat()
}

fn ramp() -> Vec<u16> {
    (0..256).map(|value| value * 16).collect()
}

/// X01, X18: patients, views, sexes and ages of the headers, where the patients are believable.
#[test]
fn x01_x18_headers_name_patients_and_views() {
    let dir = tempfile::tempdir().unwrap();
    let file = |patient: &str, view: &str, age: &str| {
        let text = |tag, vr, text: &str| (tag, vr, text.as_bytes().to_vec());
        let of = [
            text((0x10, 0x20), "LO", patient),
            text((0x10, 0x40), "CS", "F"),
            text((0x10, 0x1010), "AS", age),
            text((0x18, 0x5101), "CS", view),
            text((0x20, 0xd), "UI", "1.2.4"),
        ];
        written(&of, &ramp())
    };
    let write = |name: &str, bytes: Vec<u8>| fs::write(dir.path().join(name), bytes).unwrap();
    write("0.dcm", file("TEST0", "PA", "058Y"));
    write("1.dcm", file("TEST1", "LL", "011M"));
    // Neither ending nor preamble.
    write("IM0002", file("TEST1", "AP", "")[132..].to_vec());
    let load = || cxr_data::load(dir.path(), Dataset::Auto, Part::All).unwrap();
    let set = load();
    let of = |row: usize| {
        let record = &set.records[row];
        (record.patient.as_str(), record.view, record.projection, record.sex, record.age)
    };
    let female = Some(Sex::Female);
    assert_eq!((set.patients_known, set.patient_count()), (true, 2));
    assert_eq!(of(0), ("TEST0", Some(View::Frontal), Some(Projection::Pa), female, Some(58.0)));
    assert_eq!(of(1), ("TEST1", Some(View::Lateral), Some(Projection::Ll), female, Some(11.0 / 12.0)));
    assert_eq!(of(2), ("TEST1", Some(View::Frontal), Some(Projection::Ap), female, None));
    assert_eq!(set.records[1].study, set.records[2].study);
    assert!(set.notes.join("\n").contains("are those of the DICOM headers"), "{:?}", set.notes);

    // One name for all is that of nobody.
    for name in ["0.dcm", "1.dcm", "IM0002"] {
        write(name, file("ANON", "PA", "058Y"));
    }
    let set = load();
    assert_eq!((set.patients_known, set.patient_count(), set.records[0].view), (false, 3, Some(View::Frontal)));
    assert!(set.notes.join("\n").contains("all name the same"), "{:?}", set.notes);
}

/// X11: of several frames the first is read, and said.
#[test]
fn x11_several_frames_are_said() {
    let dir = tempfile::tempdir().unwrap();
    let frames = [ramp(), ramp().into_iter().rev().collect()].concat();
    fs::write(dir.path().join("0.dcm"), written(&[((0x28, 8), "IS", b"2".to_vec())], &frames)).unwrap();
    fs::write(dir.path().join("1.dcm"), written(&[], &ramp())).unwrap();
    let set = cxr_data::load(dir.path(), Dataset::Auto, Part::All).unwrap();
    let scan = cxr_data::prescan(&set, 1);
    assert!(scan.faults.is_empty(), "{:?}", scan.faults);
    let pixels = scan.pixels();
    assert_eq!(pixels[0], pixels[1]);
    assert_eq!(scan.remarks.get(&cxr_data::Remark::Frames), Some(&(1, 0)));
}

/// X15, X16: a file without its preamble, and padding, which is as dark as air.
#[test]
fn x15_x16_preamble_and_padding() {
    let dir = tempfile::tempdir().unwrap();
    let plain = written(&[], &ramp());
    fs::write(dir.path().join("whole"), &plain).unwrap();
    fs::write(dir.path().join("cut"), &plain[132..]).unwrap();
    let [whole, cut] = ["whole", "cut"].map(|name| read(dir.path(), name));
    assert_eq!(whole.pixels(), cut.pixels());

    let negative = ((0x28, 4), "CS", b"MONOCHROME1".to_vec());
    let padding = |tag, value: u16| ((0x28, tag), "US", value.to_le_bytes().to_vec());
    fs::write(dir.path().join("bars"), written(&[negative.clone(), padding(0x120, 0), padding(0x121, 16)], &ramp()))
        .unwrap();
    fs::write(dir.path().join("none"), written(&[negative], &ramp())).unwrap();
    let [bars, none] = ["bars", "none"].map(|name| read(dir.path(), name));
    let (Pixels::U16(bars), Pixels::U16(none)) = (bars.pixels(), none.pixels()) else { panic!("16 bits") };
    // Stored 0 and 16 are padding; all else is what it was.
    assert_eq!((bars[0], bars[1], none[0]), (0, 0, u16::MAX));
    assert_eq!(bars[2..], none[2..]);
}
