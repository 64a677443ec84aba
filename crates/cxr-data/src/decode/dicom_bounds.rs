//! What a compressed DICOM file would ask of memory, found out before it is asked for: the libraries that decode it believe
//! the stream, not the header that was checked.

use std::io::Read;

use flate2::read::DeflateDecoder;

use super::{Fault, MAX_DECODED};

/// "Deflated Image Frame Compression".
pub(super) const DEFLATED_FRAME: &str = "1.2.840.10008.1.2.8.1";

/// "RLE Lossless".
pub(super) const RUNS: &str = "1.2.840.10008.1.2.5";

/// Most channels of a stream; grey has one.
const CHANNELS: usize = 4;

/// Header of a frame in runs: how many segments there are, and where each of at most 15 begins (PS3.5, G.5).
const RUNS_HEADER: usize = 64;

/// Refuses deflated bytes that inflate to more than any radiograph has.
pub(super) fn check_inflated(deflated: &[u8]) -> Result<(), Fault> {
    let limit = MAX_DECODED as u64;
    let inflated = std::io::copy(&mut DeflateDecoder::new(deflated).take(limit + 1), &mut std::io::sink());
    match inflated.map_err(Fault::from_display)? > limit {
        true => Err(too_long(deflated.len(), limit)),
        false => Ok(()),
    }
}

/// The fault of compressed data that inflate to more than they may.
pub(super) fn too_long(bytes: usize, limit: u64) -> Fault {
    let limit = limit as f64 / 1e9;
    Fault::Reason(format!(
        "its compressed data ({bytes} bytes) inflate to more than {limit:.1} GB, and a radiograph has less"
    ))
}

/// Refuses a JPEG or JPEG 2000 stream of another size than the file says. Other streams are left to their decoders, which
/// have no size of their own.
pub(super) fn check_stream(stream: &[u8], (width, height): (usize, usize)) -> Result<(), Fault> {
    let Some((w, h, channels)) = jpeg(stream).or_else(|| jpeg_2000(stream)) else { return Ok(()) };
    if (w, h) != (width, height) || channels > CHANNELS {
        return Err(Fault::Reason(format!(
            "its header says {width} x {height} pixels, and its compressed pixel data {w} x {h} in {channels} channel(s); \
             expected the same size and at most {CHANNELS} channels"
        )));
    }
    Ok(())
}

/// Refuses a frame in runs whose header is impossible, or a segment of which has fewer than `pixels` bytes; the decoder believes
/// both.
pub(super) fn check_runs(frame: &[u8], pixels: usize) -> Result<(), Fault> {
    let number =
        |at: usize| frame.get(at..at + 4).map(|bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
    let count = number(0).unwrap_or(0) as usize;
    if frame.len() < RUNS_HEADER || !(1..RUNS_HEADER / 4).contains(&count) {
        let found = format!("{} bytes with {count} segments", frame.len());
        return Err(Fault::Reason(format!(
            "its pixel data in runs are {found}; expected at least {RUNS_HEADER} bytes and 1 to 15 segments"
        )));
    }
    for segment in 0..count {
        let start = number(4 + 4 * segment).unwrap_or(0) as usize;
        let end = if segment + 1 < count { number(8 + 4 * segment).unwrap_or(0) as usize } else { frame.len() };
        let found = frame.get(start..end).map_or(0, unpacked);
        if found < pixels {
            return Err(Fault::Reason(format!(
                "segment {} of its pixel data in runs has {found} bytes, and {pixels} pixels need as many",
                segment + 1
            )));
        }
    }
    Ok(())
}

/// Bytes that runs stand for (PackBits; PS3.5, G.3).
fn unpacked(runs: &[u8]) -> usize {
    let (mut at, mut bytes) = (0, 0);
    while let Some(&head) = runs.get(at) {
        let (length, taken) = match head {
            0..=127 => (usize::from(head) + 1, usize::from(head) + 2),
            128 => (0, 1),
            129.. => (257 - usize::from(head), 2),
        };
        // What is cut off is not there.
        let there = runs.len() - at;
        bytes += if head < 128 {
            length.min(there - 1)
        } else if there < taken {
            0
        } else {
            length
        };
        at += taken;
    }
    bytes
}

fn two(bytes: &[u8], at: usize) -> Option<usize> {
    Some(usize::from(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?)))
}

fn four(bytes: &[u8], at: usize) -> Option<usize> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?) as usize)
}

/// Width, height and channels in the frame header of a JPEG of any kind (ITU T.81, B.2.2).
fn jpeg(stream: &[u8]) -> Option<(usize, usize, usize)> {
    stream.starts_with(&[0xff, 0xd8]).then_some(())?;
    let mut at = 2;
    loop {
        // Fill bytes may stand before a marker.
        let marker = *stream.get(at + 1).filter(|_| stream[at] == 0xff)?;
        match marker {
            0xff => at += 1,
            // All frame headers but those for Huffman and arithmetic tables and for later versions.
            0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => {
                let channels = usize::from(*stream.get(at + 9)?);
                return Some((two(stream, at + 7)?, two(stream, at + 5)?, channels));
            }
            0x01 | 0xd0..=0xd7 => at += 2,
            _ => at += 2 + two(stream, at + 2)?,
        }
    }
}

/// Width, height and channels in the image header of a JPEG 2000 codestream (ITU T.800, A.5.1), bare or in a JP2 file.
fn jpeg_2000(stream: &[u8]) -> Option<(usize, usize, usize)> {
    let start = match stream {
        [0xff, 0x4f, 0xff, 0x51, ..] => 0,
        // The boxes before the codestream are short.
        [0, 0, 0, 12, b'j', b'P', ..] => {
            stream[..stream.len().min(4096)].windows(4).position(|part| part == [0xff, 0x4f, 0xff, 0x51])?
        }
        _ => return None,
    };
    let size = stream.get(start + 8..)?;
    let (right, bottom, left, top) = (four(size, 0)?, four(size, 4)?, four(size, 8)?, four(size, 12)?);
    Some((right.checked_sub(left)?, bottom.checked_sub(top)?, two(size, 32)?))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::DeflateEncoder};

    use super::*;

    fn said(fault: Fault) -> String {
        match fault {
            Fault::Reason(text) => text,
            _ => String::new(),
        }
    }

    #[test]
    fn a_stream_of_another_size_than_its_header_is_refused() {
        let jpeg = |marker: u8, width: u16, height: u16| {
            let mut stream = vec![0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 2, 0xff, 0xff, marker, 0, 11, 8];
            stream.extend(height.to_be_bytes());
            stream.extend(width.to_be_bytes());
            stream.extend([1, 1, 0x11, 0]);
            stream
        };
        for marker in [0xc0, 0xc1, 0xc2, 0xc3] {
            assert!(check_stream(&jpeg(marker, 512, 300), (512, 300)).is_ok());
            let text = said(check_stream(&jpeg(marker, 65_535, 65_535), (512, 300)).unwrap_err());
            assert!(text.starts_with("its header says 512 x 300 pixels, and its compressed pixel data 65535 x 65535"));
        }
        let bare = |right: u32, left: u32, channels: u16| {
            let mut stream = vec![0xff, 0x4f, 0xff, 0x51, 0, 41, 0, 0];
            for number in [right, 300, left, 0, right, 300, 0, 0] {
                stream.extend(number.to_be_bytes());
            }
            stream.extend(channels.to_be_bytes());
            stream
        };
        assert!(check_stream(&bare(522, 10, 1), (512, 300)).is_ok());
        let boxed =
            [&[0, 0, 0, 12, b'j', b'P', b' ', b' ', 0x0d, 0x0a, 0x87, 0x0a][..], &bare(4_000_000_000, 0, 1)].concat();
        assert!(said(check_stream(&boxed, (512, 300)).unwrap_err()).contains("4000000000 x 300"));
        assert!(said(check_stream(&bare(512, 0, 16_384), (512, 300)).unwrap_err()).contains("16384 channel(s)"));
        // Run-length encoding and what is cut short: no size to be found.
        assert!(check_stream(&[1, 0, 0, 0], (512, 300)).is_ok() && check_stream(&[0xff, 0xd8, 0xff], (8, 8)).is_ok());
    }

    #[test]
    fn runs_that_are_cut_short_or_claim_too_many_segments_are_refused() {
        let frame = |count: u32, starts: &[u32], data: &[u8]| {
            let mut frame = count.to_le_bytes().to_vec();
            starts.iter().for_each(|start| frame.extend(start.to_le_bytes()));
            frame.resize(RUNS_HEADER, 0);
            frame.extend(data);
            frame
        };
        // 5 times 7, nothing, 3 bytes as they are.
        let data = [252, 7, 128, 2, 1, 2, 3];
        assert_eq!(unpacked(&data), 8);
        assert!(check_runs(&frame(1, &[64], &data), 8).is_ok());
        assert!(check_runs(&frame(2, &[64, 71], &[data, data].concat()), 8).is_ok());
        assert!(said(check_runs(&frame(1, &[64], &data[..6]), 8).unwrap_err()).contains("has 7 bytes, and 8 pixels"));
        assert!(said(check_runs(&frame(1, &[64], &data[..1]), 1).unwrap_err()).contains("has 0 bytes"));
        assert!(said(check_runs(&frame(2, &[64, 4_000_000_000], &data), 8).unwrap_err()).contains("segment 1"));
        for count in [0, 16, u32::MAX] {
            assert!(
                said(check_runs(&frame(count, &[64], &data), 8).unwrap_err()).contains("expected at least 64 bytes")
            );
        }
        assert!(check_runs(&[1, 0, 0, 0], 8).is_err() && check_runs(&[], 8).is_err());
    }

    /// 601 MB of zeros are 600 kB.
    #[test]
    fn a_bomb_is_not_inflated_to_its_end() {
        let mut packed = DeflateEncoder::new(Vec::new(), Compression::fast());
        let zeros = vec![0; 1 << 20];
        (0..=MAX_DECODED >> 20).for_each(|_| packed.write_all(&zeros).unwrap());
        let packed = packed.finish().unwrap();
        let text = said(check_inflated(&packed).unwrap_err());
        assert!(text.ends_with("inflate to more than 0.6 GB, and a radiograph has less"), "{text}");
        let mut small = DeflateEncoder::new(Vec::new(), Compression::fast());
        small.write_all(&zeros).unwrap();
        assert!(check_inflated(&small.finish().unwrap()).is_ok());
    }
}
