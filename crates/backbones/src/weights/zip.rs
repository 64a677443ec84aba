//! The directory of a zip archive whose files are not compressed, as far as `torch.save` uses it (with zip64).
//!
//! Source: PKWARE's APPNOTE.TXT, sections 4.3.7 (local header), 4.3.12 (directory), 4.3.14 to 4.3.16 (its end), 4.5.3
//! (zip64).

use std::ops::Range;

use super::pickle::{Bytes, Fault};

const DIRECTORY_ENTRY: &[u8] = b"PK\x01\x02";
const LOCAL_HEADER: &[u8] = b"PK\x03\x04";
const END: &[u8] = b"PK\x05\x06";
const END_64: &[u8] = b"PK\x06\x06";
const LOCATOR_64: &[u8] = b"PK\x06\x07";

/// Name and position of every file of the archive; checksums are verified.
pub(super) fn entries(file: &[u8]) -> Result<Vec<(String, Range<usize>)>, Fault> {
    let (count, mut directory) = directory(file)?;
    let mut entries = Vec::new();
    for _ in 0..count {
        entries.push(entry(file, &mut directory)?);
    }
    Ok(entries)
}

fn fault<T>(position: usize, problem: impl Into<String>) -> Result<T, Fault> {
    Err(Fault { position, problem: problem.into() })
}

fn expect(bytes: &mut Bytes<'_>, signature: &[u8], what: &str) -> Result<(), Fault> {
    let position = bytes.position();
    if bytes.take(signature.len())? != signature {
        return fault(position, format!("no zip {what} here"));
    }
    Ok(())
}

/// Number of entries, and the bytes that list them.
fn directory(file: &[u8]) -> Result<(u64, Bytes<'_>), Fault> {
    // The end record has 22 bytes and a comment of up to 65,535.
    let earliest = file.len().saturating_sub(22 + 65_535);
    let found = file[earliest..].windows(END.len()).rposition(|window| window == END);
    let Some(end) = found.map(|at| earliest + at) else {
        return fault(file.len(), "cut short: the end of the zip archive, with its directory, is missing");
    };
    let mut bytes = Bytes::new(file, end + END.len(), file.len());
    bytes.take(6)?; // disks
    let mut count = u64::from(bytes.u16()?);
    let mut size = u64::from(bytes.u32()?);
    let mut start = u64::from(bytes.u32()?);
    let comment = bytes.u16()?;
    bytes.take(usize::from(comment))?;
    if !bytes.is_empty() {
        return bytes.fault("more bytes behind the end of the zip archive");
    }
    if let Some(locator) = end.checked_sub(20).filter(|&at| file[at..].starts_with(LOCATOR_64)) {
        let mut bytes = Bytes::new(file, locator + 8, end);
        let at = bytes.size()?;
        let mut bytes = Bytes::new(file, at, file.len());
        expect(&mut bytes, END_64, "end of directory (64 bit)")?;
        bytes.take(28)?; // size, versions, disks, entries on this disk
        (count, size, start) = (bytes.u64()?, bytes.u64()?, bytes.u64()?);
    }
    match (usize::try_from(start), start.checked_add(size)) {
        (Ok(start), Some(stop)) if stop <= end as u64 => Ok((count, Bytes::new(file, start, end))),
        _ => fault(end, format!("zip directory of {size} bytes at {start}, but the file has {} bytes", file.len())),
    }
}

fn entry(file: &[u8], directory: &mut Bytes<'_>) -> Result<(String, Range<usize>), Fault> {
    let position = directory.position();
    expect(directory, DIRECTORY_ENTRY, "directory entry")?;
    directory.take(4)?; // versions
    let flags = directory.u16()?;
    let method = directory.u16()?;
    directory.take(4)?; // time, date
    let checksum = directory.u32()?;
    let (mut packed, mut size) = (u64::from(directory.u32()?), u64::from(directory.u32()?));
    let (name, extra, comment) = (directory.u16()?, directory.u16()?, directory.u16()?);
    directory.take(8)?; // disk, attributes
    let mut header = u64::from(directory.u32()?);
    let name = directory.text(usize::from(name))?.to_owned();
    wide_fields(directory, usize::from(extra), &mut [&mut size, &mut packed, &mut header])?;
    directory.take(usize::from(comment))?;
    if method != 0 && name.contains("/code/") {
        return Ok((name, 0..0)); // of TorchScript, which is told from its other files and not read
    }
    if method != 0 || flags & 1 != 0 || packed != size {
        return fault(position, format!("{name:?} is compressed or encrypted, which torch.save never does"));
    }

    let (Ok(header), Ok(size)) = (usize::try_from(header), usize::try_from(size)) else {
        return fault(position, format!("{name:?} lies outside the file"));
    };
    if header >= file.len() {
        return fault(position, format!("{name:?} starts at byte {header} of {}", file.len()));
    }
    let mut local = Bytes::new(file, header, file.len());
    expect(&mut local, LOCAL_HEADER, "file header")?;
    local.take(22)?;
    let (name_length, extra) = (local.u16()?, local.u16()?);
    local.take(usize::from(name_length))?;
    local.take(usize::from(extra))?;
    let start = local.position();
    let content = local.take(size)?;
    // Zero where PyTorch was told not to compute checksums.
    if checksum != 0 && crc32fast::hash(content) != checksum {
        return fault(start, format!("damaged: the {size} bytes of {name:?} do not match their checksum"));
    }
    Ok((name, start..start + size))
}

/// Replaces the fields that are all ones by those of the zip64 extra field, which holds only such fields, in this order.
fn wide_fields(bytes: &mut Bytes<'_>, length: usize, fields: &mut [&mut u64]) -> Result<(), Fault> {
    let end = bytes.position() + length;
    while bytes.position() + 4 <= end {
        let (kind, length) = (bytes.u16()?, bytes.u16()?);
        let next = bytes.position() + usize::from(length);
        if kind == 1 {
            for field in fields.iter_mut().filter(|field| ***field == u64::from(u32::MAX)) {
                **field = bytes.u64()?;
            }
        }
        let Some(left) = next.checked_sub(bytes.position()) else {
            return bytes.fault("zip64 field shorter than its content");
        };
        bytes.take(left)?;
    }
    let Some(left) = end.checked_sub(bytes.position()) else {
        return bytes.fault("zip extra field longer than declared");
    };
    bytes.take(left).map(drop)
}
