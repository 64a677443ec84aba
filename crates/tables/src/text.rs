//! A file as text: decompressed, and decoded from UTF-8, UTF-16 or Latin-1.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use flate2::read::MultiGzDecoder;

use crate::bounded::{size, too_large};
use crate::{Error, Result};

/// Most bytes of a table, decompressed. The largest published tables have some 200 MB; a row a radiograph, for all that were
/// ever published, would have a quarter of this.
const MAX_BYTES: u64 = 2_000_000_000;

/// What is expected of a file that is longer.
const EXPECTED: &str = "a table (divide it, or leave out columns)";

/// How the text of a file is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8, with or without a byte order mark.
    Utf8,
    /// UTF-16, as Excel's "Unicode text".
    Utf16,
    /// Latin-1, in the variant of Windows (code page 1252), which every file that is neither of the others is taken for.
    Latin1,
}

/// The text of a file, which may be compressed with gzip, and its encoding.
///
/// # Errors
/// [`Error::Io`], also of more than 2 GB (decompressed), and [`Error::NotText`] for workbooks, archives and other binary files.
pub fn text(path: &Path) -> Result<(String, Encoding)> {
    text_within(path, MAX_BYTES)
}

fn text_within(path: &Path, limit: u64) -> Result<(String, Encoding)> {
    let too_large = |found: &str| Error::Io { path: path.into(), source: too_large(found, limit, EXPECTED) };
    let length = std::fs::metadata(path).map_or(0, |facts| facts.len());
    if length > limit {
        return Err(too_large(&size(length)));
    }
    let (bytes, cut) = bytes(path, limit)?;
    if cut {
        return Err(too_large(&format!("more than {}", size(limit))));
    }
    decode(path, &bytes)
}

/// The first `limit` bytes of a file as text, and whether there is more.
pub(crate) fn beginning(path: &Path, limit: u64) -> Result<(String, bool)> {
    let (mut bytes, cut) = bytes(path, limit)?;
    if cut {
        // Not through the middle of a character.
        let utf16 = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
        if utf16 {
            bytes.truncate(bytes.len() & !1);
        } else {
            let end = bytes.iter().rposition(|&byte| byte == b'\n').map_or(bytes.len(), |at| at + 1);
            bytes.truncate(end);
        }
    }
    decode(path, &bytes).map(|(text, _)| (text, cut))
}

/// The first `limit` bytes of a file, decompressed, and whether there is more.
fn bytes(path: &Path, limit: u64) -> Result<(Vec<u8>, bool)> {
    let io = |source| Error::Io { path: path.into(), source };
    let mut file = File::open(path).map_err(io)?;
    let mut start = Vec::new();
    file.by_ref().take(4).read_to_end(&mut start).map_err(io)?;
    if start == [0; 4] {
        // Text in no encoding; a device of zeros has no end.
        let (found, remedy) = ("a binary file", "expected text with separators (CSV)");
        return Err(Error::NotText { path: path.into(), found, remedy });
    }
    let mut bytes = Vec::new();
    if start.starts_with(&[0x1f, 0x8b]) {
        MultiGzDecoder::new(start.chain(file)).take(limit + 1).read_to_end(&mut bytes).map_err(io)?;
    } else {
        start.chain(file).take(limit + 1).read_to_end(&mut bytes).map_err(io)?;
    }
    let cut = bytes.len() as u64 > limit;
    bytes.truncate(limit as usize);
    Ok((bytes, cut))
}

fn decode(path: &Path, bytes: &[u8]) -> Result<(String, Encoding)> {
    let not_text = |found, remedy| Err(Error::NotText { path: path.into(), found, remedy });
    if bytes.starts_with(b"PK\x03\x04") {
        return not_text("a workbook or an archive", "save its sheet as CSV, or unpack it");
    }
    if bytes.starts_with(&[0xd0, 0xcf, 0x11, 0xe0]) {
        return not_text("a workbook of an old Excel", "save its sheet as CSV");
    }
    if bytes.starts_with(b"PAR1") {
        return not_text("a Parquet file", "save it as CSV (pandas: df.to_csv)");
    }
    if let Some(rest) = bytes.strip_prefix(&[0xef, 0xbb, 0xbf]) {
        return match std::str::from_utf8(rest) {
            Ok(text) => Ok((text.into(), Encoding::Utf8)),
            Err(_) => not_text("text that begins as UTF-8 and does not go on so", "save it as UTF-8"),
        };
    }
    let utf16 = match bytes {
        [0xff, 0xfe, rest @ ..] => Some((rest, u16::from_le_bytes as fn([u8; 2]) -> u16)),
        [0xfe, 0xff, rest @ ..] => Some((rest, u16::from_be_bytes as fn([u8; 2]) -> u16)),
        // Without a mark: Latin letters in two bytes.
        [first, 0, _, 0, ..] if *first != 0 => Some((bytes, u16::from_le_bytes as fn([u8; 2]) -> u16)),
        [0, second, 0, _, ..] if *second != 0 => Some((bytes, u16::from_be_bytes as fn([u8; 2]) -> u16)),
        _ => None,
    };
    if let Some((rest, unit)) = utf16 {
        let units: Vec<u16> = rest.as_chunks().0.iter().map(|&pair| unit(pair)).collect();
        return match String::from_utf16(&units) {
            Ok(text) if rest.len().is_multiple_of(2) => Ok((text, Encoding::Utf16)),
            _ => not_text("text that begins as UTF-16 and does not go on so", "save it as UTF-8"),
        };
    }
    if bytes.contains(&0) {
        return not_text("a binary file", "expected text with separators (CSV)");
    }
    Ok(match std::str::from_utf8(bytes) {
        Ok(text) => (text.into(), Encoding::Utf8),
        Err(_) => (bytes.iter().map(|&byte| latin1(byte)).collect(), Encoding::Latin1),
    })
}

/// A byte of code page 1252; the five that it leaves open are taken as Latin-1 has them.
fn latin1(byte: u8) -> char {
    const HIGH: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘',
        '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
    ];
    match byte {
        0x80..=0x9f => HIGH[usize::from(byte - 0x80)],
        _ => char::from(byte),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    /// 1 MB of one letter is 1 KB of gzip.
    #[test]
    fn a_table_is_bounded_also_when_it_is_decompressed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("labels.csv.gz");
        let mut packed = GzEncoder::new(File::create(&path).unwrap(), Compression::best());
        packed.write_all(&[b'a'; 1 << 20]).unwrap();
        assert!(packed.finish().unwrap().metadata().unwrap().len() < 10_000);
        let error = text_within(&path, 1_000_000).unwrap_err().to_string();
        assert!(
            error.ends_with(
                "found more than 1.0 MB, expected a table (divide it, or leave out columns) of at most 1.0 MB"
            )
        );
        assert_eq!(text_within(&path, 1 << 20).unwrap().0.len(), 1 << 20);
    }
}
