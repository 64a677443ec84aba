//! TensorBoard event files: TFRecord framing around events, of which only the fields for scalars, images and histograms are
//! written (`tensorflow/core/util/event.proto`, `tensorflow/core/framework/summary.proto`).
//!
//! `golden/check_tensorboard.py` reads them with the `tensorboard` package; see docs/results/tensorboard.md.

use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use crate::error::{Error, Result};

/// Writes one event file.
///
/// ```
/// let folder = std::env::temp_dir().join(format!("moco-cxr-tensorboard-{}", std::process::id()));
/// let mut board = moco_cxr::pretrain::TensorBoard::create(&folder, 0)?;
/// board.scalars(1, &[("train/loss", 6.9)])?;
/// board.histogram(1, "embedding", (-1.0, 1.0), &[3, 5])?;
/// board.flush()?;
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct TensorBoard {
    path: PathBuf,
    file: BufWriter<File>,
}

impl TensorBoard {
    /// Creates an event file in `folder` for a run that is at `step`. TensorBoard then hides what earlier files in the folder
    /// say about later steps, which are done again.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be written.
    pub fn create(folder: &Path, step: u64) -> Result<Self> {
        fs::create_dir_all(folder).map_err(Error::io(folder))?;
        let earlier = fs::read_dir(folder).map_err(Error::io(folder))?.flatten();
        let goes_on = earlier.into_iter().any(|entry| entry.file_name().to_string_lossy().contains("tfevents"));
        let now = now();
        // TensorBoard reads the files of a folder in the order of their names, so a resumed run gets a file of its own.
        let name = |n: u32| format!("events.out.tfevents.{:010}.{:09}.{n}.moco-cxr", now.0, now.1);
        let path = (0..).map(|n| folder.join(name(n))).find(|path| !path.exists()).unwrap_or_else(|| folder.into());
        let file = File::create_new(&path).map_err(Error::io(&path))?;
        let mut board = Self { path, file: BufWriter::new(file) };
        board.event(0, |event| event.text(3, "brain.Event:2"))?; // file_version
        if goes_on {
            // session_log { status: START } at the first step that is done again
            board.event(step + 1, |event| event.message(7, |log| log.integer(1, 1)))?;
        }
        board.flush()?;
        Ok(board)
    }

    /// Path of the event file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Scalars of a step, each with its tag; the part of a tag before the slash is its group.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be written.
    pub fn scalars(&mut self, step: u64, values: &[(&str, f64)]) -> Result<()> {
        self.event(step, |event| {
            event.message(5, |summary| {
                for &(tag, value) in values {
                    summary.message(1, |entry| {
                        entry.text(1, tag);
                        entry.float(2, value as f32);
                    });
                }
            });
        })
    }

    /// A grey PNG of `width` x `height` pixels.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be written.
    pub fn image(&mut self, step: u64, tag: &str, (width, height): (usize, usize), png: &[u8]) -> Result<()> {
        self.event(step, |event| {
            event.message(5, |summary| {
                summary.message(1, |entry| {
                    entry.text(1, tag);
                    entry.message(4, |image| {
                        image.integer(1, height as u64);
                        image.integer(2, width as u64);
                        image.integer(3, 1); // grey
                        image.bytes(4, png);
                    });
                });
            });
        })
    }

    /// A histogram with equal bins from `from` to `to`. The sum and sum of squares, which the format asks for, are computed as
    /// if all values were in the middle of their bins.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be written.
    pub fn histogram(&mut self, step: u64, tag: &str, (from, to): (f64, f64), counts: &[u64]) -> Result<()> {
        let edge = |i: usize| from + (to - from) * i as f64 / counts.len() as f64;
        let middles = || counts.iter().enumerate().map(|(i, &n)| ((edge(i) + edge(i + 1)) / 2.0, n as f64));
        let (sum, squares) = middles().fold((0.0, 0.0), |(s, q), (x, n)| (s + n * x, q + n * x * x));
        let first = counts.iter().position(|&n| n > 0).unwrap_or(0);
        let last = counts.iter().rposition(|&n| n > 0).map_or(0, |i| i + 1);
        let limits: Vec<f64> = (1..=counts.len()).map(edge).collect();
        let counts: Vec<f64> = counts.iter().map(|&n| n as f64).collect();
        self.event(step, |event| {
            event.message(5, |summary| {
                summary.message(1, |entry| {
                    entry.text(1, tag);
                    entry.message(5, |histogram| {
                        histogram.double(1, edge(first));
                        histogram.double(2, edge(last));
                        histogram.double(3, counts.iter().sum());
                        histogram.double(4, sum);
                        histogram.double(5, squares);
                        histogram.doubles(6, &limits);
                        histogram.doubles(7, &counts);
                    });
                });
            });
        })
    }

    /// Writes buffered events to the file, so that a running TensorBoard sees them.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be written.
    pub fn flush(&mut self) -> Result<()> {
        self.file.flush().map_err(Error::io(&self.path))
    }

    fn event(&mut self, step: u64, fill: impl FnOnce(&mut Message)) -> Result<()> {
        let (seconds, nanoseconds) = now();
        let mut event = Message::default();
        event.double(1, seconds as f64 + f64::from(nanoseconds) * 1e-9);
        event.integer(2, step);
        fill(&mut event);
        self.file.write_all(&record(&event.0)).map_err(Error::io(&self.path))
    }
}

/// Seconds and nanoseconds since 1970.
fn now() -> (u64, u32) {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (since.as_secs(), since.subsec_nanos())
}

/// A TFRecord: length, checksum of the length, bytes, checksum of the bytes.
fn record(bytes: &[u8]) -> Vec<u8> {
    let length = (bytes.len() as u64).to_le_bytes();
    [&length, &masked_crc(&length).to_le_bytes()[..], bytes, &masked_crc(bytes).to_le_bytes()].concat()
}

/// CRC-32C, rotated and offset as TFRecord defines it, because a CRC over data that contains CRCs is weak.
fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// A protobuf message under construction.
#[derive(Debug, Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    /// Wire types: 0 varint, 1 eight bytes, 2 length and bytes, 5 four bytes.
    fn key(&mut self, field: u64, wire: u64) {
        self.varint(field << 3 | wire);
    }

    fn integer(&mut self, field: u64, value: u64) {
        self.key(field, 0);
        self.varint(value);
    }

    fn double(&mut self, field: u64, value: f64) {
        self.key(field, 1);
        self.0.extend(value.to_le_bytes());
    }

    fn float(&mut self, field: u64, value: f32) {
        self.key(field, 5);
        self.0.extend(value.to_le_bytes());
    }

    fn bytes(&mut self, field: u64, value: &[u8]) {
        self.key(field, 2);
        self.varint(value.len() as u64);
        self.0.extend(value);
    }

    fn text(&mut self, field: u64, value: &str) {
        self.bytes(field, value.as_bytes());
    }

    fn doubles(&mut self, field: u64, values: &[f64]) {
        let packed: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.bytes(field, &packed);
    }

    fn message(&mut self, field: u64, fill: impl FnOnce(&mut Self)) {
        let mut inner = Self::default();
        fill(&mut inner);
        self.bytes(field, &inner.0);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_crc32c() {
        // The check value of CRC-32C, and of 32 zeros (RFC 3720, B.4); then the mask of TFRecord by its definition.
        assert_eq!(crc32c::crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c::crc32c(&[0; 32]), 0x8a91_36aa);
        let crc = 0x8a91_36aa_u64;
        assert_eq!(u64::from(masked_crc(&[0; 32])), ((crc >> 15 | crc << 17) + 0xa282_ead8) & 0xffff_ffff);
    }

    #[test]
    fn numbers_are_encoded_as_protobuf_documents() {
        let mut message = Message::default();
        message.integer(1, 150); // the example of the encoding guide
        message.text(2, "testing");
        assert_eq!(message.0, b"\x08\x96\x01\x12\x07testing");
    }

    #[test]
    fn every_record_of_a_file_can_be_taken_apart_again() {
        let folder = tempfile::tempdir().unwrap();
        drop(TensorBoard::create(folder.path(), 0).unwrap());
        let mut board = TensorBoard::create(folder.path(), 7).unwrap();
        board.scalars(8, &[("a", 1.5), ("b/c", -2.0)]).unwrap();
        board.histogram(8, "h", (-1.0, 1.0), &[0, 2, 1, 0]).unwrap();
        board.image(8, "i", (3, 2), b"png").unwrap();
        board.flush().unwrap();
        let other = TensorBoard::create(folder.path(), 0).unwrap();
        assert_ne!(other.path(), board.path());

        let bytes = fs::read(board.path()).unwrap();
        let (mut rest, mut events) = (&bytes[..], Vec::new());
        while !rest.is_empty() {
            let (length, after) = rest.split_at(8);
            let (crc, after) = after.split_at(4);
            assert_eq!(crc, masked_crc(length).to_le_bytes());
            let (event, after) = after.split_at(u64::from_le_bytes(length.try_into().unwrap()) as usize);
            let (crc, after) = after.split_at(4);
            assert_eq!(crc, masked_crc(event).to_le_bytes());
            assert_eq!((event[0], event[9]), (1 << 3 | 1, 2 << 3), "wall time, then the step");
            events.push((event[10], event[11..].to_vec()));
            rest = after;
        }
        let holds = |event: &[u8], part: &[u8]| event.windows(part.len()).any(|window| window == part);
        assert_eq!(events.iter().map(|(step, _)| *step).collect::<Vec<_>>(), [0, 8, 8, 8, 8]);
        assert!(holds(&events[0].1, b"brain.Event:2"));
        assert_eq!(events[1].1, [7 << 3 | 2, 2, 1 << 3, 1], "the start of a session");
        assert!(holds(&events[2].1, b"b/c") && holds(&events[2].1, &(-2.0_f32).to_le_bytes()));
        // Values lie between -0.5 and 0.5; the middles of the bins give sum -0.25 and sum of squares 0.1875.
        let doubles = [-0.5_f64, 0.5, 3.0, -0.25, 0.1875];
        let fields: Vec<u8> = (1_u8..)
            .zip(doubles)
            .flat_map(|(field, x)| [vec![field << 3 | 1], x.to_le_bytes().to_vec()].concat())
            .collect();
        assert!(holds(&events[3].1, &fields));
        assert!(holds(&events[4].1, &[1 << 3, 2, 2 << 3, 3, 3 << 3, 1, 4 << 3 | 2, 3, b'p', b'n', b'g']));
    }
}
