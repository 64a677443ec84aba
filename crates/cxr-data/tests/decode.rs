//! Decoding against Pillow, and every kind of file that is not what it should be.
//!
//! `golden/make_views.py` wrote the files of `golden/views/decode` and what Pillow reads from them (`<name>.npy`).

#![allow(clippy::unwrap_used)]

mod support;

use std::path::{Path, PathBuf};

use cxr_data::decode::{self, Format};
use cxr_data::{Error, Pixels, Radiograph};
use support::{golden, npy_u8, npy_u16, test_data};

fn write(dir: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// A small grey PNG whose pixels are known.
fn sample_png(dir: &Path, width: usize, height: usize) -> PathBuf {
    let path = dir.join(format!("{width}x{height}.png"));
    let pixels = (0..width * height).map(|i| (i * 7 % 256) as u8).collect();
    Radiograph::new(width, height, Pixels::U8(pixels)).unwrap().write_png(&path).unwrap();
    path
}

/// Lossless: every colour type must give exactly Pillow's `convert("L")` (or its 16 bits).
#[test]
fn png_of_every_colour_type_reads_as_in_pillow() {
    for name in ["grey1", "grey2", "grey4", "grey8", "grey_alpha8", "palette", "palette_alpha", "rgb8", "rgba8"] {
        let image = decode::read(golden(&format!("decode/{name}.png"))).unwrap();
        let expected = npy_u8(&golden(&format!("decode/{name}.npy")));
        assert_eq!((image.height(), image.width()), expected.dim(), "{name}");
        assert_eq!(image.pixels(), &Pixels::U8(expected.into_raw_vec_and_offset().0), "{name}");
    }
    for name in ["grey16", "rgb16"] {
        let image = decode::read(golden(&format!("decode/{name}.png"))).unwrap();
        let expected = npy_u16(&golden(&format!("decode/{name}.npy")));
        assert_eq!(image.pixels(), &Pixels::U16(expected.into_raw_vec_and_offset().0), "{name}");
    }
}

/// The JPEG standard leaves the inverse DCT open by one level (ITU T.83), so grey files may differ by 1. Of a colour
/// file Pillow computes luma from clipped and rounded RGB, we take its luma plane: 2 levels on a test image whose
/// colours stay inside RGB.
#[test]
fn jpeg_reads_as_in_pillow() {
    for (name, tolerance) in [("grey_q90", 1), ("grey_progressive", 1), ("colour_444", 2), ("colour_420", 2)] {
        let image = decode::read(golden(&format!("decode/{name}.jpg"))).unwrap();
        let expected = npy_u8(&golden(&format!("decode/{name}.npy")));
        assert_eq!((image.height(), image.width()), expected.dim(), "{name}");
        let worst = image.to_u8().iter().zip(&expected).map(|(&a, &b)| a.abs_diff(b)).max().unwrap();
        assert!(worst <= tolerance, "{name}: {worst} levels from Pillow");
    }
}

#[test]
fn content_decides_not_the_name() {
    let dir = tempfile::tempdir().unwrap();
    let named_jpg = dir.path().join("really_a_png.jpg");
    std::fs::copy(sample_png(dir.path(), 40, 30), &named_jpg).unwrap();
    let (image, format) = decode::read_with_format(&named_jpg).unwrap();
    assert_eq!((image.width(), image.height(), format), (40, 30, Format::Png));
    assert!(!format.fits_name(&named_jpg));
    assert!(format.fits_name(Path::new("a.PNG")) && Format::Jpeg.fits_name(Path::new("a.jpeg")));
    assert!(Format::Dicom.fits_name(Path::new("1.2.840.113619")));
}

#[test]
fn what_is_no_image_is_named_with_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    let png = std::fs::read(sample_png(dir.path(), 64, 64)).unwrap();
    let jpeg = std::fs::read(golden("decode/grey_q90.jpg")).unwrap();
    let progressive = std::fs::read(golden("decode/grey_progressive.jpg")).unwrap();
    let mut damaged = png.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0xff;
    for (name, bytes, expected) in [
        ("empty.jpg", &[][..], "the file is empty (0 bytes)"),
        (
            "notes.txt",
            b"hello, world",
            "neither JPEG, PNG, WebP, TIFF, BMP nor DICOM (first bytes 68 65 6c 6c 6f 2c 20 77)",
        ),
        ("half.jpg", &jpeg[..jpeg.len() / 2], "a truncated JPEG"),
        ("no_tail.jpg", &jpeg[..jpeg.len() - 2], "a truncated JPEG"),
        ("half_progressive.jpg", &progressive[..progressive.len() / 2], "a truncated JPEG"),
        ("half.png", &png[..png.len() / 2], ""),
        ("damaged.png", &damaged, ""),
        ("header_only.png", &png[..8], ""),
        ("header_only.jpg", &jpeg[..4], ""),
    ] {
        let path = write(dir.path(), name, bytes);
        let error = decode::read(&path).unwrap_err();
        assert!(matches!(&error, Error::Decode { path: at, .. } if at == &path), "{name}: {error:?}");
        assert!(error.to_string().contains(expected), "{name}: {error}");
    }
    let error = decode::read(dir.path().join("absent.png")).unwrap_err();
    assert!(matches!(&error, Error::Io { .. }) && error.to_string().contains("absent.png"), "{error}");
}

/// Bytes after the end of the image (some exporters pad to a block) are no truncation.
#[test]
fn a_padded_jpeg_decodes() {
    let bytes = std::fs::read(golden("decode/grey_q90.jpg")).unwrap();
    let whole = decode::from_bytes(&bytes, Path::new("whole.jpg")).unwrap();
    let padded: Vec<u8> = bytes.iter().copied().chain([0; 300]).collect();
    assert_eq!(decode::from_bytes(&padded, Path::new("padded.jpg")).unwrap(), whole);
}

#[test]
fn sizes_outside_the_limits_are_refused_before_decoding() {
    let dir = tempfile::tempdir().unwrap();
    let one = sample_png(dir.path(), 1, 1);
    let message = decode::read(&one).unwrap_err().to_string();
    assert!(
        message.ends_with(
            "1x1.png: 1 x 1 pixels; expected sides of 8 to 16384, one at most 16 times the other, and at most \
             100000000 pixels in all"
        ),
        "{message}"
    );
    // Only the header says so: nothing of that size is in the file.
    for (width, height) in [(20_000, 20_000), (20_000, 8), (16_000, 16_000), (8, 16_384), (129, 8)] {
        let error = decode::read(write(dir.path(), "large.png", &png_header(width, height))).unwrap_err();
        assert!(
            matches!(error, Error::ImageSize { width: w, height: h, .. } if (w, h) == (width as usize, height as usize)),
            "{error}"
        );
    }
    let mut jpeg = std::fs::read(golden("decode/grey_q90.jpg")).unwrap();
    let frame = jpeg.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0x4e, 0x20, 0x4e, 0x20]);
    let error = decode::read(write(dir.path(), "large.jpg", &jpeg)).unwrap_err();
    assert!(matches!(error, Error::ImageSize { width: 20_000, height: 20_000, .. }), "{error}");
}

/// A file of 20 GB of which a header, or nothing, is on the disk.
#[test]
fn a_file_larger_than_any_radiograph_is_refused_by_its_length() {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in [("x.jpg", &b"\xff\xd8\xff"[..]), ("x.png", &png_header(64, 64)), ("x.dcm", &[])] {
        let path = write(dir.path(), name, bytes);
        std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(20_000_000_000).unwrap();
        let error = decode::read(&path).unwrap_err();
        assert!(matches!(error, Error::ImageFile { bytes: 20_000_000_000, .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("found 20.0 GB, expected an image file of at most 1.0 GB; leave it out"), "{text}");
        assert!(text.contains(name), "{text}");
    }
}

/// Nothing waits for whoever writes into a pipe.
#[cfg(unix)]
#[test]
fn what_is_no_file_is_no_image() {
    let dir = tempfile::tempdir().unwrap();
    let error = decode::read(dir.path()).unwrap_err().to_string();
    assert!(error.ends_with("cannot be decoded: it is a folder"), "{error}");
    let error = decode::read("/dev/zero").unwrap_err().to_string();
    assert_eq!(error, "/dev/zero: cannot be decoded: it is no regular file");
}

/// 777 kB of PNG took 1.8 GB: 100 megapixels in four channels of 16 bits. Nothing of it is decoded now. The same size in one
/// grey channel is an honest radiograph.
#[test]
fn a_png_of_more_memory_than_any_radiograph_is_refused_by_its_header() {
    let dir = tempfile::tempdir().unwrap();
    let bomb = write(dir.path(), "bomb.png", &png(10_000, 10_000, 16, 6));
    let error = decode::read(&bomb).unwrap_err();
    assert!(matches!(error, Error::ImageMemory { width: 10_000, height: 10_000, per_pixel: 8, .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("10000 x 10000 pixels of 8 bytes are 0.8 GB decoded; expected at most 0.6 GB"), "{text}");
    // No pixels are in these files, so that decoding fails, but not for their size.
    for (depth, colour) in [(16, 0), (8, 2), (8, 6), (16, 2)] {
        let error = decode::read(write(dir.path(), "grey.png", &png(10_000, 10_000, depth, colour))).unwrap_err();
        assert!(matches!(error, Error::Decode { .. }), "{error:?}");
    }
}

/// Signature, header and an empty data chunk of a grey 8 bit PNG.
fn png_header(width: u32, height: u32) -> Vec<u8> {
    png(width, height, 8, 0)
}

/// The same in another depth and colour type (0 grey, 2 RGB, 6 RGBA).
fn png(width: u32, height: u32, depth: u8, colour: u8) -> Vec<u8> {
    let mut header = b"IHDR".to_vec();
    header.extend(width.to_be_bytes());
    header.extend(height.to_be_bytes());
    header.extend([depth, colour, 0, 0, 0]);
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    for chunk in [header, b"IDAT".to_vec()] {
        bytes.extend((chunk.len() as u32 - 4).to_be_bytes());
        let crc = chunk.iter().fold(!0_u32, |crc, &byte| {
            (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
        });
        bytes.extend(chunk);
        bytes.extend((!crc).to_be_bytes());
    }
    bytes
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(200))]
    /// Whatever becomes of a file, the answer is an image of plausible size or an error: never a panic or a hang.
    #[test]
    fn damage_never_panics(which in 0..3_usize, cut in 0.0..1.0_f64, flips in proptest::collection::vec((0.0..1.0_f64, 0..=255_u8), 0..6)) {
        let name = ["grey_q90.jpg", "grey_progressive.jpg", "rgba8.png"][which];
        let mut bytes = std::fs::read(golden(&format!("decode/{name}"))).unwrap();
        for (at, byte) in flips {
            let at = (at * bytes.len() as f64) as usize;
            bytes[at] = byte;
        }
        bytes.truncate(((1.0 - cut * cut * cut) * bytes.len() as f64) as usize);
        match decode::from_bytes(&bytes, Path::new(name)) {
            Ok((image, _)) => assert_eq!(image.pixels().len(), image.width() * image.height()),
            Err(error) => assert!(error.to_string().starts_with(name)),
        }
    }
}

#[test]
fn real_files_decode() {
    let Some(data) = test_data() else { return };
    let sample = data.join("shenzhen-sample/CXR_png/CHNCXR_0001_0.png");
    let image = decode::read(&sample).unwrap();
    assert!(image.width() > 700 && image.height() > 700 && image.bits() == 8);
}
