//! JPEG, PNG, WebP, TIFF and BMP of any bit depth and colour, as one grey plane.

use std::io::Cursor;

use image::codecs::{bmp::BmpDecoder, png::PngDecoder, tiff::TiffDecoder, webp::WebPDecoder};
use image::{ColorType, DynamicImage, ImageBuffer, ImageDecoder, Limits, metadata::Orientation};
use zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions};
use zune_jpeg::JpegDecoder;

use super::{Fault, MAX_DECODED, MAX_SIDE, check_memory, check_size};
use crate::looks::Remark;
use crate::{Pixels, Radiograph};

/// A radiograph and what was done to its pixels.
type Raster = (Radiograph, Vec<Remark>);

/// A JPEG. Grey files decode as they are; of YCbCr files only the luma plane is taken, without converting to RGB.
pub(super) fn jpeg(bytes: &[u8]) -> Result<Raster, Fault> {
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
    let stored = decoder.input_colorspace();
    // A progressive file is collected as coefficients of 16 bits in all of its channels.
    check_memory(width, height, 2 * stored.map_or(3, |space| space.num_components()))?;
    let out = match stored {
        Some(ColorSpace::Luma | ColorSpace::YCbCr) => ColorSpace::Luma,
        _ => ColorSpace::RGB,
    };
    decoder.set_options(options.jpeg_set_out_colorspace(out));
    let values = decoder.decode().map_err(Fault::from_display)?;
    let grey = if out == ColorSpace::Luma { values } else { luma8::<3>(&values) };
    let image = Radiograph::new(width, height, Pixels::U8(grey)).map_err(Fault::from_display)?;
    let mut done = Vec::new();
    if matches!(stored, Some(ColorSpace::CMYK | ColorSpace::YCCK)) {
        done.push(Remark::Cmyk);
    }
    let orientation = decoder.exif().and_then(|exif| Orientation::from_exif_chunk(exif));
    turned(image, orientation.unwrap_or(Orientation::NoTransforms), done)
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
pub(super) fn png(bytes: &[u8]) -> Result<Raster, Fault> {
    raster("PNG", PngDecoder::with_limits(Cursor::new(bytes), limits()).map_err(Fault::from_display)?)
}

/// A WebP; the first frame of an animation.
pub(super) fn webp(bytes: &[u8]) -> Result<Raster, Fault> {
    raster("WebP", WebPDecoder::new(Cursor::new(bytes)).map_err(Fault::from_display)?)
}

/// A TIFF of 8 or 16 bits; the first image of several.
pub(super) fn tiff(bytes: &[u8]) -> Result<Raster, Fault> {
    let mut decoder = TiffDecoder::new(Cursor::new(bytes)).map_err(Fault::from_display)?;
    decoder.set_limits(limits()).map_err(Fault::from_display)?;
    raster("TIFF", decoder)
}

/// A BMP.
pub(super) fn bmp(bytes: &[u8]) -> Result<Raster, Fault> {
    raster("BMP", BmpDecoder::new(Cursor::new(bytes)).map_err(Fault::from_display)?)
}

/// What a decoder may allocate for itself.
fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_DECODED as u64);
    limits
}

fn raster(name: &str, mut decoder: impl ImageDecoder) -> Result<Raster, Fault> {
    let (width, height) = decoder.dimensions();
    let (width, height) = (width as usize, height as usize);
    check_size(width, height)?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let colour = decoder.color_type();
    let per_pixel = usize::from(colour.bytes_per_pixel());
    check_memory(width, height, per_pixel)?;
    let mut buffer = vec![0; width * height * per_pixel];
    decoder.read_image(&mut buffer).map_err(Fault::from_display)?;
    let pixels = match colour {
        ColorType::L8 => Pixels::U8(buffer),
        ColorType::La8 => Pixels::U8(buffer.as_chunks::<2>().0.iter().map(|&[grey, _]| grey).collect()),
        ColorType::Rgb8 => Pixels::U8(luma8::<3>(&buffer)),
        ColorType::Rgba8 => Pixels::U8(luma8::<4>(&buffer)),
        ColorType::L16 => Pixels::U16(grey16::<2>(&buffer)),
        ColorType::La16 => Pixels::U16(grey16::<4>(&buffer)),
        ColorType::Rgb16 => Pixels::U16(luma16::<6>(&buffer)),
        ColorType::Rgba16 => Pixels::U16(luma16::<8>(&buffer)),
        other => return Err(Fault::Reason(format!("a {name} with the unsupported colour type {other:?}"))),
    };
    let (pixels, done) = match pixels {
        Pixels::U16(values) => full_range(values),
        Pixels::U8(_) => (pixels, Vec::new()),
    };
    let image = Radiograph::new(width, height, pixels).map_err(Fault::from_display)?;
    turned(image, orientation, done)
}

/// 16-bit values of which none needs more than 12 bits, as converters of DICOM write them, scaled to 16: 4095 becomes 65535.
/// A range of 8 bits or less is left alone: nobody can say what it was.
fn full_range(mut values: Vec<u16>) -> (Pixels, Vec<Remark>) {
    let most = values.iter().copied().max().unwrap_or(0);
    if !(256..4096).contains(&most) {
        return (Pixels::U16(values), Vec::new());
    }
    values.iter_mut().for_each(|value| *value = *value << 4 | *value >> 8);
    (Pixels::U16(values), vec![Remark::TwelveBit])
}

/// Turns an image back that was taken with a camera held otherwise.
fn turned(image: Radiograph, orientation: Orientation, mut done: Vec<Remark>) -> Result<Raster, Fault> {
    if orientation == Orientation::NoTransforms {
        return Ok((image, done));
    }
    let (width, height) = (image.width() as u32, image.height() as u32);
    let size = || Fault::Reason("an image of another size than its header says".into());
    let mut picture = match image.into_pixels() {
        Pixels::U8(values) => DynamicImage::ImageLuma8(ImageBuffer::from_raw(width, height, values).ok_or_else(size)?),
        Pixels::U16(values) => {
            DynamicImage::ImageLuma16(ImageBuffer::from_raw(width, height, values).ok_or_else(size)?)
        }
    };
    picture.apply_orientation(orientation);
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let pixels = match picture {
        DynamicImage::ImageLuma8(buffer) => Pixels::U8(buffer.into_raw()),
        DynamicImage::ImageLuma16(buffer) => Pixels::U16(buffer.into_raw()),
        other => Pixels::U8(other.into_luma8().into_raw()),
    };
    done.push(Remark::Turned);
    let image = Radiograph::new(width, height, pixels).map_err(Fault::from_display)?;
    Ok((image, done))
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

/// The first channel of pixels of 16 bits a channel, `BYTES` a pixel, in the order of this machine.
fn grey16<const BYTES: usize>(values: &[u8]) -> Vec<u16> {
    values.as_chunks::<BYTES>().0.iter().map(|pixel| u16::from_ne_bytes([pixel[0], pixel[1]])).collect()
}

fn luma16<const BYTES: usize>(values: &[u8]) -> Vec<u16> {
    let channel = |pixel: &[u8; BYTES], n: usize| u16::from_ne_bytes([pixel[2 * n], pixel[2 * n + 1]]).into();
    let pixels = values.as_chunks::<BYTES>().0.iter();
    pixels.map(|p| luma(channel(p, 0), channel(p, 1), channel(p, 2)) as u16).collect()
}
