//! The elements of a DICOM file, looked at before any value is read.
//!
//! The reader of `dicom-object` asks for as much memory as an element says that it has, and descends into sequences by calling
//! itself: a file of 324 bytes took 4 GB, and one of 80 kB with nothing but nested sequences ended the process.

use std::io::{Cursor, Read};

use dicom_encoding::{
    Codec, TransferSyntax, TransferSyntaxIndex,
    decode::{Decode, file_header_decoder},
};
use dicom_object::{FileMetaTable, Tag};
use dicom_parser::StatefulDecode;
use dicom_parser::dataset::{LazyDataToken, lazy_read::LazyDataSetReader};
use dicom_transfer_syntax_registry::TransferSyntaxRegistry;

use super::{Fault, MAX_DECODED, dicom_bounds};

/// Preamble and magic bytes.
const START: usize = 132;
/// How many bytes the group that describes the file has, behind this element.
const GROUP_LENGTH: Tag = Tag(0x0002, 0x0000);
/// The group of the pixels; elements are in the order of their groups.
const PIXELS: u16 = 0x7fe0;
/// Sequences within sequences. Reports have some ten, images two or three.
const MAX_DEPTH: usize = 64;

/// Most bytes of the beginning of a compressed data set, inflated, that is read for its header alone.
const MAX_HEADER: u64 = 64 << 20;

/// How much of a file is looked at.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Extent {
    /// All before the pixels.
    Header,
    All,
}

/// Checks that every element lies within the file, and that sequences are not nested without end.
pub(super) fn check(bytes: &[u8], extent: Extent) -> Result<(), Fault> {
    check_meta(bytes.get(START..).unwrap_or_default())?;
    let mut after = Cursor::new(bytes.get(START - 4..).unwrap_or_default());
    let meta = FileMetaTable::from_reader(&mut after).map_err(Fault::from_display)?;
    // Not from the length that `meta` has, which is that of its own elements.
    let data = bytes.get(START - 4 + after.position() as usize..).unwrap_or_default();
    // Unknown ones are refused by the reader, by name.
    let Some(syntax) = TransferSyntaxRegistry.get(meta.transfer_syntax()) else { return Ok(()) };
    let Codec::Dataset(Some(adapter)) = syntax.codec() else { return walk(data, syntax, extent) };
    let limit = if extent == Extent::All { MAX_DECODED as u64 } else { MAX_HEADER };
    let mut inflated = Vec::new();
    let mut reader = adapter.adapt_reader(Box::new(Cursor::new(data.to_vec()))).take(limit + 1);
    reader.read_to_end(&mut inflated).map_err(Fault::from_display)?;
    if inflated.len() as u64 > limit {
        return Err(dicom_bounds::too_long(data.len(), limit));
    }
    walk(&inflated, syntax, extent)
}

/// Walks over the group that says how the file is encoded, as far as the reader does: for as many bytes as it claims to have,
/// whatever their groups are. What is not as it should be is left to the reader, which says it.
fn check_meta(bytes: &[u8]) -> Result<(), Fault> {
    let (decoder, mut rest) = (file_header_decoder(), Cursor::new(bytes));
    let Ok((first, _)) = decoder.decode_header(&mut rest) else { return Ok(()) };
    let mut claimed = [0; 4];
    if first.tag != GROUP_LENGTH || rest.read_exact(&mut claimed).is_err() {
        return Ok(());
    }
    let end = rest.position().saturating_add(u32::from_le_bytes(claimed).into());
    while rest.position() < end {
        let Ok((element, _)) = decoder.decode_header(&mut rest) else { return Ok(()) };
        let Some(len) = element.len.get() else { return Ok(()) };
        check_length(&format!("element {}", element.tag), len, (bytes.len() as u64).saturating_sub(rest.position()))?;
        rest.set_position(rest.position() + u64::from(len));
    }
    Ok(())
}

/// Bytes of a value of a binary representation (PS3.5, 6.2), 1 where values are text or bytes.
fn size_of(representation: &str) -> u32 {
    match representation {
        "SS" | "US" | "OW" => 2,
        "AT" | "FL" | "OF" | "OL" | "SL" | "UL" => 4,
        "FD" | "OD" | "OV" | "SV" | "UV" => 8,
        _ => 1,
    }
}

/// Refuses what claims to be longer than the rest of the file.
fn check_length(what: &str, len: u32, left: u64) -> Result<(), Fault> {
    if u64::from(len) <= left {
        return Ok(());
    }
    Err(Fault::Reason(format!("a damaged or truncated DICOM file: {what} has {len} bytes, {left} are left")))
}

/// Walks over elements without reading their values.
fn walk(bytes: &[u8], syntax: &TransferSyntax, extent: Extent) -> Result<(), Fault> {
    let mut reader = LazyDataSetReader::new_with_ts(Cursor::new(bytes), syntax).map_err(Fault::from_display)?;
    let (mut depth, mut table_next) = (0_usize, false);
    while let Some(token) = reader.advance() {
        let token = token.map_err(Fault::from_display)?;
        let (what, len, at, size) = match &token {
            LazyDataToken::ElementHeader(header)
                if extent == Extent::Header && depth == 0 && header.tag.group() >= PIXELS =>
            {
                return Ok(());
            }
            LazyDataToken::PixelSequenceStart if extent == Extent::Header && depth == 0 => return Ok(()),
            LazyDataToken::SequenceStart { .. } | LazyDataToken::PixelSequenceStart => {
                table_next = matches!(token, LazyDataToken::PixelSequenceStart);
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(Fault::Reason(format!(
                        "a DICOM file with more than {MAX_DEPTH} sequences in each other"
                    )));
                }
                continue;
            }
            // An empty table is no value.
            LazyDataToken::ItemStart { len } if len.get() == Some(0) => {
                table_next = false;
                continue;
            }
            LazyDataToken::SequenceEnd => {
                depth = depth.saturating_sub(1);
                continue;
            }
            LazyDataToken::LazyValue { header, decoder } => {
                let what = format!("element {}", header.tag);
                (what, header.len.get().unwrap_or(u32::MAX), decoder.position(), size_of(header.vr.to_string()))
            }
            // Before the pixels comes a table of where each frame begins.
            LazyDataToken::LazyItemValue { len, decoder } => {
                ("an item".to_owned(), *len, decoder.position(), if std::mem::take(&mut table_next) { 4 } else { 1 })
            }
            _ => continue,
        };
        check_length(&what, len, (bytes.len() as u64).saturating_sub(at))?;
        // The reader would go on behind the last whole one, and take anything there for an element.
        if !len.is_multiple_of(size) {
            return Err(Fault::Reason(format!(
                "a damaged DICOM file: {what} has {len} bytes, which are no whole number of values of {size} bytes"
            )));
        }
        token.skip().map_err(Fault::from_display)?;
    }
    Ok(())
}
