//! The header of a DICOM file, up to its pixels: patient, study, view, sex, age.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use dicom_object::{DefaultDicomObject, Tag};

use super::dicom::{opened, preamble_of};
use super::elements::{self, Extent};
use crate::inventory::Header;

const PATIENT: Tag = Tag(0x0010, 0x0020);
const SEX: Tag = Tag(0x0010, 0x0040);
const AGE: Tag = Tag(0x0010, 0x1010);
const STUDY: Tag = Tag(0x0020, 0x000d);
const VIEW: Tag = Tag(0x0018, 0x5101);
const PIXELS: Tag = Tag(0x7fe0, 0x0010);

/// Bytes read at first, and bytes in which a header must end: with small pictures and notes of its own it has some hundred
/// thousand.
const USUAL: u64 = 1 << 16;
const LONGEST: u64 = 1 << 22;

/// What a file says; `None` if it cannot be read.
pub(super) fn read(path: &Path) -> Option<Header> {
    // Who opens a pipe waits for somebody to write.
    std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?;
    let mut file = File::open(path).ok()?;
    let mut bytes = Vec::new();
    let mut length = USUAL;
    // Most headers are short, and most of the file is pixels.
    let bytes = loop {
        file.by_ref().take(length - bytes.len() as u64).read_to_end(&mut bytes).ok()?;
        let whole = [preamble_of(&bytes), &bytes].concat();
        if elements::check(&whole, Extent::Header).is_ok() {
            break whole;
        }
        if (bytes.len() as u64) < length || length >= LONGEST {
            return None;
        }
        length *= 4;
    };
    let object = opened(&bytes[..], Some(PIXELS)).ok()?;
    let text = |tag| text(&object, tag);
    let (view, projection) = tables::projection(&text(VIEW));
    let years = match tables::age(&text(AGE)) {
        Some(tables::Age::Years(years)) => Some(years),
        _ => None,
    };
    let patient = Some(text(PATIENT)).filter(|patient| !tables::is_missing(patient)).unwrap_or_default();
    Some(Header { patient, study: text(STUDY), view, projection, sex: tables::sex(&text(SEX)).flatten(), age: years })
}

fn text(object: &DefaultDicomObject, tag: Tag) -> String {
    let value = object.get(tag).and_then(|element| element.to_str().ok());
    value.map(|text| text.trim_matches(['\0', ' ']).to_owned()).unwrap_or_default()
}
