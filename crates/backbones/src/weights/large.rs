//! Whether a large weight file can be what it begins as, before gigabytes are read: a zip archive ends with its directory, and
//! the header of safetensors says how long the file is.

use std::fs::File;
use std::io::{Read, Result, Seek, SeekFrom};

use serde_json::{Map, Value};

use super::file::Format;

/// Files up to this are read at once.
const LARGE: u64 = 1_000_000_000;
/// Longest header of safetensors, as its crate has it.
const HEADER: u64 = 100_000_000;
/// The end record of a zip archive has 22 bytes and a comment of up to 65,535.
const END: u64 = 22 + 65_535;

/// Position and fault of a large file that cannot be whole; `None` for all others. The place in the file is kept.
pub(super) fn fault(file: &mut File, format: Format, length: u64) -> Result<Option<(u64, String)>> {
    if length <= LARGE {
        return Ok(None);
    }
    let place = file.stream_position()?;
    let fault = match format {
        Format::TorchZip => zip(file, length)?,
        Format::Safetensors => safetensors(file, length)?,
        _ => None,
    };
    file.seek(SeekFrom::Start(place))?;
    Ok(fault)
}

fn zip(file: &mut File, length: u64) -> Result<Option<(u64, String)>> {
    file.seek(SeekFrom::Start(length - END))?;
    let mut end = Vec::new();
    file.by_ref().take(END).read_to_end(&mut end)?;
    let found = end.windows(4).any(|part| part == b"PK\x05\x06");
    let problem = "cut short: the end of the zip archive, with its directory, is missing";
    Ok((!found).then(|| (length, problem.to_owned())))
}

fn safetensors(file: &mut File, length: u64) -> Result<Option<(u64, String)>> {
    file.seek(SeekFrom::Start(0))?;
    let mut size = [0; 8];
    file.read_exact(&mut size)?;
    let size = u64::from_le_bytes(size);
    if size > HEADER {
        let problem = format!("a header of {size} bytes; expected at most {HEADER}");
        return Ok(Some((0, problem)));
    }
    let mut header = Vec::new();
    file.by_ref().take(size).read_to_end(&mut header)?;
    let Ok(header) = serde_json::from_slice::<Map<String, Value>>(&header) else {
        return Ok(Some((8, "not a valid safetensors header: it is no JSON object".to_owned())));
    };
    let ends = header.values().filter_map(|tensor| tensor["data_offsets"][1].as_u64());
    let told = ends.max().unwrap_or(0).saturating_add(8 + size);
    let problem = format!("its header tells of a file of {told} bytes, and it has {length}");
    Ok((told != length).then_some((8, problem)))
}
