//! DICOM: stored values -> modality LUT -> VOI window -> MONOCHROME1 inversion (PS3.3 C.11, PS3.4 N.2), combined in one
//! table with an entry for each possible stored value (at most 65,536).

use std::{borrow::Cow, io::Read};

use dicom_object::file::ReadPreamble;
use dicom_object::{DefaultDicomObject, OpenFileOptions, Tag};
use dicom_pixeldata::{DecodedPixelData, PhotometricInterpretation, PixelDecoder, PixelRepresentation, VoiLutFunction};

use super::{
    Fault, check_size, dicom_bounds,
    elements::{self, Extent},
};
use crate::looks::Remark;
use crate::{Pixels, Radiograph};

const SAMPLES: Tag = Tag(0x0028, 0x0002);
const ROWS: Tag = Tag(0x0028, 0x0010);
const COLUMNS: Tag = Tag(0x0028, 0x0011);
const PIXEL_DATA: Tag = Tag(0x7fe0, 0x0010);
const MODALITY_LUT_SEQUENCE: Tag = Tag(0x0028, 0x3000);
const VOI_LUT_SEQUENCE: Tag = Tag(0x0028, 0x3010);
const LUT_DESCRIPTOR: Tag = Tag(0x0028, 0x3002);
const LUT_DATA: Tag = Tag(0x0028, 0x3006);

const FRAMES: Tag = Tag(0x0028, 0x0008);
const PADDING: Tag = Tag(0x0028, 0x0120);
const PADDING_LIMIT: Tag = Tag(0x0028, 0x0121);

/// What is missing before the bytes of a file: nothing, or preamble and mark where its first group begins at once.
pub(super) fn preamble_of(bytes: &[u8]) -> &'static [u8] {
    const MISSING: [u8; 132] = {
        let mut bytes = [0; 132];
        bytes[128] = b'D';
        bytes[129] = b'I';
        bytes[130] = b'C';
        bytes[131] = b'M';
        bytes
    };
    if bytes.get(128..132) == Some(b"DICM") { &[] } else { &MISSING }
}

/// The elements of a file with its preamble, all of them or those before a tag.
pub(super) fn opened(file: impl Read, until: Option<Tag>) -> Result<DefaultDicomObject, Fault> {
    let options = OpenFileOptions::new().read_preamble(ReadPreamble::Always);
    let options = match until {
        Some(tag) => options.read_until(tag),
        None => options,
    };
    options.from_reader(file).map_err(Fault::from_display)
}

/// The first frame of a grey DICOM file: 8 bit if at most 8 bits are stored, else 16. Padding beside the image is black, as
/// the air is.
pub(super) fn decode(bytes: &[u8]) -> Result<(Radiograph, Vec<Remark>), Fault> {
    let bytes: Cow<[u8]> = match preamble_of(bytes) {
        [] => bytes.into(),
        missing => [missing, bytes].concat().into(),
    };
    elements::check(&bytes, Extent::All)?;
    let object = opened(&bytes[..], None)?;
    let side = |tag: Tag, name: &str| {
        let value = object.get(tag).and_then(|element| element.to_int::<u32>().ok());
        value.map(|value| value as usize).ok_or_else(|| Fault::Reason(format!("a DICOM file without {name}")))
    };
    let (width, height) = (side(COLUMNS, "Columns")?, side(ROWS, "Rows")?);
    check_size(width, height)?;
    // Decoders write as many as the stream has, and colour is not read.
    if object.get(SAMPLES).is_some_and(|element| element.to_int::<u32>().ok() == Some(0)) {
        return Err(Fault::Reason("a DICOM file with 0 samples per pixel; expected 1".into()));
    }
    if let Some(stream) = object.get(PIXEL_DATA).and_then(|data| data.fragments()?.first()) {
        match object.meta().transfer_syntax() {
            dicom_bounds::DEFLATED_FRAME => dicom_bounds::check_inflated(stream)?,
            dicom_bounds::RUNS => dicom_bounds::check_runs(stream, width * height)?,
            _ => dicom_bounds::check_stream(stream, (width, height))?,
        }
    }

    let data = object.decode_pixel_data_frame(0).map_err(chain)?;
    let inverted = match data.photometric_interpretation() {
        PhotometricInterpretation::Monochrome1 => true,
        PhotometricInterpretation::Monochrome2 => false,
        other => {
            return Err(Fault::Reason(format!(
                "a DICOM file with {other} pixels; expected MONOCHROME1 or MONOCHROME2"
            )));
        }
    };
    let stored = Stored::of(&data)?;
    let display = Display::of(&object, &data)?;
    // Without a window the whole range of possible values is shown.
    let ends = [display.modality(stored.lowest()), display.modality(stored.highest())];
    let full = (ends[0].min(ends[1]), ends[0].max(ends[1]));
    let padding = Padding::of(&object, &stored);
    let unit = |value: i32| {
        if padding.as_ref().is_some_and(|padding| padding.has(value)) {
            return 0.0;
        }
        let shown = display.voi(display.modality(value), full);
        if inverted { 1.0 - shown } else { shown }
    };

    let (samples, mask) = (data.data(), stored.count() - 1);
    let expected = width * height * usize::from(stored.allocated / 8);
    if samples.len() < expected {
        return Err(Fault::Reason(format!(
            "pixel data of {} bytes; {width} x {height} pixels need {expected}",
            samples.len()
        )));
    }
    let samples = &samples[..expected];
    let shift = stored.shift();
    // Bits above the stored ones may hold overlays, so they are masked.
    let pixels = if stored.bits <= 8 {
        let table: Vec<u8> = (0..stored.count()).map(|raw| (unit(stored.value(raw)) * 255.0 + 0.5) as u8).collect();
        Pixels::U8(match stored.allocated {
            8 => samples.iter().map(|&raw| table[usize::from(raw) >> shift & mask]).collect(),
            _ => words(samples).map(|raw| table[usize::from(raw) >> shift & mask]).collect(),
        })
    } else {
        let table: Vec<u16> =
            (0..stored.count()).map(|raw| (unit(stored.value(raw)) * 65_535.0 + 0.5) as u16).collect();
        Pixels::U16(words(samples).map(|raw| table[usize::from(raw) >> shift & mask]).collect())
    };
    let frames = object.get(FRAMES).and_then(|element| element.to_int::<u32>().ok()).unwrap_or(1);
    let done = if frames > 1 { vec![Remark::Frames] } else { Vec::new() };
    Ok((Radiograph::new(width, height, pixels).map_err(Fault::from_display)?, done))
}

/// Stored values that fill what the image does not cover.
struct Padding {
    low: i32,
    high: i32,
}

impl Padding {
    fn of(object: &DefaultDicomObject, stored: &Stored) -> Option<Self> {
        // As it is stored, whether it is written as a signed number or not.
        let value = |tag: Tag| {
            let raw = object.get(tag)?.to_int::<i64>().ok()?;
            Some(stored.value((raw & (stored.count() as i64 - 1)) as usize))
        };
        let one = value(PADDING)?;
        let other = value(PADDING_LIMIT).unwrap_or(one);
        Some(Self { low: one.min(other), high: one.max(other) })
    }

    fn has(&self, value: i32) -> bool {
        (self.low..=self.high).contains(&value)
    }
}

/// Decoded samples, which are in native byte order.
fn words(samples: &[u8]) -> impl Iterator<Item = u16> + '_ {
    samples.as_chunks().0.iter().map(|&pair| u16::from_ne_bytes(pair))
}

/// The error with all its causes, because the outermost says little.
fn chain(error: impl std::error::Error) -> Fault {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        message = format!("{message}: {cause}");
        source = cause.source();
    }
    Fault::Reason(message)
}

/// How values are stored.
struct Stored {
    allocated: u16,
    bits: u16,
    high_bit: u16,
    signed: bool,
}

impl Stored {
    fn of(data: &DecodedPixelData<'_>) -> Result<Self, Fault> {
        let stored = Self {
            allocated: data.bits_allocated(),
            bits: data.bits_stored(),
            high_bit: data.high_bit(),
            signed: data.pixel_representation() == PixelRepresentation::Signed,
        };
        let Self { allocated, bits, high_bit, .. } = stored;
        if matches!(allocated, 8 | 16) && (1..=allocated).contains(&bits) && (bits - 1..allocated).contains(&high_bit) {
            Ok(stored)
        } else {
            Err(Fault::Reason(format!(
                "{bits} bits stored of {allocated} allocated, high bit {high_bit}; expected 8 or 16 allocated"
            )))
        }
    }

    /// Number of possible stored values.
    fn count(&self) -> usize {
        1 << self.bits
    }

    /// Unused bits below the stored ones.
    fn shift(&self) -> u16 {
        self.high_bit + 1 - self.bits
    }

    fn lowest(&self) -> i32 {
        if self.signed { -(1 << (self.bits - 1)) } else { 0 }
    }

    fn highest(&self) -> i32 {
        self.lowest() + self.count() as i32 - 1
    }

    /// The stored value of the bits.
    fn value(&self, raw: usize) -> i32 {
        let raw = raw as i32;
        if raw > self.highest() { raw - self.count() as i32 } else { raw }
    }
}

/// How the file's values are displayed.
struct Display {
    slope: f64,
    intercept: f64,
    modality_table: Option<Table>,
    voi_table: Option<Table>,
    window: Option<(f64, f64)>,
    function: VoiLutFunction,
}

impl Display {
    fn of(object: &DefaultDicomObject, data: &DecodedPixelData<'_>) -> Result<Self, Fault> {
        let rescale = data.rescale().map_err(chain)?[0];
        let window = data.window().map_err(chain)?.and_then(|windows| windows.first());
        let function = data.voi_lut_function().map_err(chain)?.and_then(|functions| functions.first().copied());
        Ok(Self {
            slope: rescale.slope,
            intercept: rescale.intercept,
            modality_table: Table::first(object, MODALITY_LUT_SEQUENCE)?,
            voi_table: Table::first(object, VOI_LUT_SEQUENCE)?,
            window: window.map(|window| (window.center, window.width)),
            function: function.unwrap_or_default(),
        })
    }

    /// Stored value -> modality value, by a table if there is one, else by slope and intercept.
    fn modality(&self, value: i32) -> f64 {
        match &self.modality_table {
            Some(table) => table.at(f64::from(value)),
            None => f64::from(value) * self.slope + self.intercept,
        }
    }

    /// Modality value -> displayed value, in 0..=1. A table takes precedence over a window, as in pydicom's
    /// `apply_voi_lut`.
    fn voi(&self, value: f64, (low, high): (f64, f64)) -> f64 {
        if let Some(table) = &self.voi_table {
            return table.at(value) / table.highest;
        }
        let shown = match (self.window, self.function) {
            // PS3.3 C.11.2.1.2: a linear window of width 1 is a step; its formula divides by width - 1.
            (Some((center, width)), VoiLutFunction::Linear) if width >= 1.0 => {
                let value = value - (center - 0.5);
                if width == 1.0 { f64::from(value > 0.0) } else { value / (width - 1.0) + 0.5 }
            }
            (Some((center, width)), VoiLutFunction::LinearExact) if width > 0.0 => (value - center) / width + 0.5,
            (Some((center, width)), VoiLutFunction::Sigmoid) if width > 0.0 => {
                1.0 / (1.0 + (-4.0 * (value - center) / width).exp())
            }
            // No window, or an invalid one.
            _ if high > low => (value - low) / (high - low),
            _ => 0.0,
        };
        shown.clamp(0.0, 1.0)
    }
}

/// A look-up table of a file. The first entry is for the value `first`; values outside get the nearest entry.
struct Table {
    first: f64,
    values: Vec<u16>,
    /// Largest possible entry.
    highest: f64,
}

impl Table {
    /// The table of the first item of a sequence, if any.
    fn first(object: &DefaultDicomObject, sequence: Tag) -> Result<Option<Self>, Fault> {
        let Some(item) = object.get(sequence).and_then(|element| element.items()).and_then(|items| items.first())
        else {
            return Ok(None);
        };
        let descriptor: Option<Vec<i32>> = item.get(LUT_DESCRIPTOR).and_then(|element| element.to_multi_int().ok());
        let values: Option<Vec<u16>> = item.get(LUT_DATA).and_then(|element| element.to_multi_int().ok());
        match (descriptor.as_deref(), values) {
            (Some(&[_, first, bits]), Some(values)) if !values.is_empty() && (1..=16).contains(&bits) => {
                Ok(Some(Self { first: first.into(), values, highest: f64::from((1_u32 << bits) - 1) }))
            }
            _ => Err(Fault::Reason(format!(
                "an invalid look-up table {sequence}; expected a descriptor of three numbers, and data"
            ))),
        }
    }

    fn at(&self, value: f64) -> f64 {
        let place = (value - self.first).round().clamp(0.0, (self.values.len() - 1) as f64);
        self.values[place as usize].into()
    }
}
