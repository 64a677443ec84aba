//! JPEG and PNG of any bit depth and colour, as one grey plane.

use std::io::Cursor;

use image::{ColorType, ImageDecoder, Limits, codecs::png::PngDecoder};
use zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions};
use zune_jpeg::JpegDecoder;

use super::{Fault, MAX_PIXELS, MAX_SIDE, check_size};
use crate::{Pixels, Radiograph};

/// A JPEG. Grey files decode as they are; of YCbCr files only the luma plane is taken, without converting to RGB.
pub(super) fn jpeg(bytes: &[u8]) -> Result<Radiograph, Fault> {
    if !jpeg_is_complete(bytes) {
        return Err(Fault::Reason("a truncated JPEG: no end-of-image marker after the scan".into()));
    }
    // Not strict, so that the decoder accepts what libjpeg accepts (stray bytes between segments). It would fill a
    // truncated image with grey; those were refused above.
    let options = DecoderOptions::default().set_strict_mode(false).set_max_width(MAX_SIDE).set_max_height(MAX_SIDE);
    let headers_only = options.set_max_width(usize::MAX).set_max_height(usize::MAX);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), headers_only);
    decoder.decode_headers().map_err(Fault::from_display)?;
    let (width, height) = decoder.dimensions().ok_or_else(|| Fault::Reason("a JPEG without dimensions".into()))?;
    check_size(width, height)?;
    let out = match decoder.input_colorspace() {
        Some(ColorSpace::Luma | ColorSpace::YCbCr) => ColorSpace::Luma,
        _ => ColorSpace::RGB,
    };
    decoder.set_options(options.jpeg_set_out_colorspace(out));
    let values = decoder.decode().map_err(Fault::from_display)?;
    let grey = if out == ColorSpace::Luma { values } else { luma8::<3>(&values) };
    Radiograph::new(width, height, Pixels::U8(grey)).map_err(Fault::from_display)
}

/// Whether an end-of-image marker follows the last start of scan. Entropy-coded data cannot contain these markers;
/// those of a thumbnail in the header come before the image's own.
fn jpeg_is_complete(bytes: &[u8]) -> bool {
    let last = |marker: u8| bytes.windows(2).rposition(|pair| pair == [0xff, marker]);
    const END_OF_IMAGE: u8 = 0xd9;
    const START_OF_SCAN: u8 = 0xda;
    bytes.ends_with(&[0xff, END_OF_IMAGE]) || last(END_OF_IMAGE) > last(START_OF_SCAN)
}

/// A PNG of any colour type and depth; 1, 2 and 4 bits are scaled to 8, a palette is expanded.
pub(super) fn png(bytes: &[u8]) -> Result<Radiograph, Fault> {
    // A PNG has at most 8 bytes per pixel (16-bit RGBA).
    let mut limits = Limits::default();
    limits.max_alloc = Some(8 * MAX_PIXELS as u64);
    let decoder = PngDecoder::with_limits(Cursor::new(bytes), limits).map_err(Fault::from_display)?;
    let (width, height) = decoder.dimensions();
    let (width, height) = (width as usize, height as usize);
    check_size(width, height)?;
    let colour = decoder.color_type();
    let mut buffer = vec![0; width * height * usize::from(colour.bytes_per_pixel())];
    decoder.read_image(&mut buffer).map_err(Fault::from_display)?;
    let wide = || -> Vec<u16> { buffer.as_chunks().0.iter().map(|&pair| u16::from_ne_bytes(pair)).collect() };
    let pixels = match colour {
        ColorType::L8 => Pixels::U8(buffer),
        ColorType::La8 => Pixels::U8(buffer.as_chunks::<2>().0.iter().map(|&[grey, _]| grey).collect()),
        ColorType::Rgb8 => Pixels::U8(luma8::<3>(&buffer)),
        ColorType::Rgba8 => Pixels::U8(luma8::<4>(&buffer)),
        ColorType::L16 => Pixels::U16(wide()),
        ColorType::La16 => Pixels::U16(wide().as_chunks::<2>().0.iter().map(|&[grey, _]| grey).collect()),
        ColorType::Rgb16 => Pixels::U16(luma16::<3>(&wide())),
        ColorType::Rgba16 => Pixels::U16(luma16::<4>(&wide())),
        other => return Err(Fault::Reason(format!("a PNG with the unsupported colour type {other:?}"))),
    };
    Radiograph::new(width, height, pixels).map_err(Fault::from_display)
}

/// ITU-R 601-2 luma with 16 fractional bits, rounded, as Pillow's `convert("L")` computes it. The weights add up to
/// 65536, so grey stays unchanged, and 65535 * 65536 + 32768 still fits 32 bits.
const fn luma(red: u32, green: u32, blue: u32) -> u32 {
    (red * 19_595 + green * 38_470 + blue * 7_471 + 0x8000) >> 16
}

fn luma8<const CHANNELS: usize>(values: &[u8]) -> Vec<u8> {
    let pixels = values.as_chunks::<CHANNELS>().0.iter();
    pixels.map(|p| luma(p[0].into(), p[1].into(), p[2].into()) as u8).collect()
}

fn luma16<const CHANNELS: usize>(values: &[u16]) -> Vec<u16> {
    let pixels = values.as_chunks::<CHANNELS>().0.iter();
    pixels.map(|p| luma(p[0].into(), p[1].into(), p[2].into()) as u16).collect()
}
