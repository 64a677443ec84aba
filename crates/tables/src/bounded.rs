//! Files that are read whole, within a limit that is checked before memory is asked for.

use std::fs::File;
use std::io::{Error, ErrorKind, Read, Result};
use std::path::Path;

/// The bytes of a file of at most `limit` bytes, which is `expected`: `"a table (divide a larger one)"`.
///
/// # Errors
/// The system's, and [`ErrorKind::FileTooLarge`] with what was found and what is expected. A pipe is read up to the limit.
pub fn read_within(path: &Path, limit: u64, expected: &str) -> Result<Vec<u8>> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    if length > limit {
        return Err(too_large(&size(length), limit, expected));
    }
    let mut bytes = Vec::new();
    // Pipes and files of the system have no length, and a file may grow meanwhile.
    file.take(limit + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > limit {
        true => Err(too_large(&format!("more than {}", size(limit)), limit, expected)),
        false => Ok(bytes),
    }
}

/// The error of a file that is larger than it may be.
pub(crate) fn too_large(found: &str, limit: u64, expected: &str) -> Error {
    let text = format!("found {found}, expected {expected} of at most {}", size(limit));
    Error::new(ErrorKind::FileTooLarge, text)
}

/// A number of bytes as a person writes it.
pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{bytes} bytes"),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_file_over_the_limit_is_refused_by_its_length() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("scores.csv");
        // No disk holds it and no memory: only its length is looked at.
        File::create(&path).unwrap().set_len(20_000_000_000).unwrap();
        let error = read_within(&path, 2_000_000_000, "a table (divide a larger one)").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FileTooLarge);
        let text = "found 20.0 GB, expected a table (divide a larger one) of at most 2.0 GB";
        assert_eq!(error.to_string(), text);
        std::fs::write(&path, "a,b\n").unwrap();
        assert_eq!(read_within(&path, 4, "a table").unwrap(), b"a,b\n");
        let error = read_within(&path, 3, "a table").unwrap_err().to_string();
        assert_eq!(error, "found 4 bytes, expected a table of at most 3 bytes");
    }

    /// Its length is given as 0.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_device_without_an_end_is_read_up_to_the_limit() {
        let error = read_within(Path::new("/dev/zero"), 1 << 20, "a table").unwrap_err().to_string();
        assert_eq!(error, "found more than 1.0 MB, expected a table of at most 1.0 MB");
    }
}
