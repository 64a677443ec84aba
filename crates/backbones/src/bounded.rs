//! Files that are read whole, within a limit that is checked before memory is asked for.

use std::fs::{self, File};
use std::io::{Error, ErrorKind, Read, Result};
use std::path::Path;

/// Most bytes of a weight file or of a file of a checkpoint: some 300 times the largest that this project reads or writes.
pub const MAX_WEIGHTS: u64 = 256_000_000_000;

/// The bytes of a file of at most `limit` bytes, which is `expected`: `"a configuration"`.
///
/// # Errors
/// The system's, [`ErrorKind::FileTooLarge`] with what was found and what is expected, and [`ErrorKind::OutOfMemory`] for a file
/// that does not fit into the memory that is free (where the system says how much that is). A pipe is read up to the limit.
pub fn read_within(path: &Path, limit: u64, expected: &str) -> Result<Vec<u8>> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    check(length, limit, expected)?;
    let mut bytes = Vec::new();
    // Pipes and files of the system have no length, and a file may grow meanwhile.
    file.take(limit + 1).read_to_end(&mut bytes)?;
    check(bytes.len() as u64, limit, expected)?;
    Ok(bytes)
}

/// Refuses a length above the limit, or above the memory that is free.
pub(crate) fn check(length: u64, limit: u64, expected: &str) -> Result<()> {
    if length > limit {
        let text = format!("found {}, expected {expected} of at most {}", size(length), size(limit));
        return Err(Error::new(ErrorKind::FileTooLarge, text));
    }
    match free_memory() {
        Some(free) if length > free => {
            let text = format!(
                "found {}, and {} of memory are free; expected {expected} that fits into memory. Free some, or use a smaller file",
                size(length),
                size(free)
            );
            Err(Error::new(ErrorKind::OutOfMemory, text))
        }
        _ => Ok(()),
    }
}

/// What Linux can give to processes without swapping; `None` elsewhere.
fn free_memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// A number of bytes as a person writes it.
fn size(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{bytes} bytes"),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}
