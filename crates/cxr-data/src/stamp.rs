//! Whether a file is still what it was.

use std::fmt;
use std::fs::Metadata;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::PixelHash;

/// Length and time of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    /// Length in bytes.
    pub(crate) len: u64,
    /// Time of the last change, nanoseconds since 1970 (0 where the file system has none).
    #[serde(rename = "mtime")]
    pub(crate) time: u64,
}

impl From<&Metadata> for Stamp {
    fn from(facts: &Metadata) -> Self {
        let time = facts.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        Self { len: facts.len(), time: time.map_or(0, |time| time.as_nanos() as u64) }
    }
}

impl Stamp {
    /// That of no file.
    pub(crate) const NONE: Self = Self { len: 0, time: 0 };

    pub(crate) fn of(path: &Path) -> std::io::Result<Self> {
        std::fs::metadata(path).map(|facts| Self::from(&facts))
    }
}

/// What an image file was when its pixels were hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileState {
    pub(crate) stamp: Stamp,
    pub(crate) pixels: PixelHash,
}

impl FileState {
    /// Its pixels, as decoded.
    #[must_use]
    pub fn pixels(&self) -> PixelHash {
        self.pixels
    }

    /// The state as one line of text, without the file's name.
    #[must_use]
    pub fn to_line(&self) -> String {
        format!("{} {} {}", String::from(self.pixels), self.stamp.len, self.stamp.time)
    }

    /// Reads [`FileState::to_line`]; `None` where it is none.
    #[must_use]
    pub fn from_line(line: &str) -> Option<Self> {
        let mut parts = line.split(' ');
        let pixels = PixelHash::try_from(parts.next()?.to_owned()).ok()?;
        let mut number = || parts.next()?.parse().ok();
        let stamp = Stamp { len: number()?, time: number()? };
        parts.next().is_none().then_some(Self { stamp, pixels })
    }
}

/// `81234 bytes, last changed 2026-11-26T15:04:05Z, pixels 3b17...`
impl fmt::Display for FileState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pixels = String::from(self.pixels);
        let time = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_nanos(self.stamp.time));
        write!(f, "{} bytes, last changed {time}, pixels {}", self.stamp.len, &pixels[..12])
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{Pixels, Radiograph};

    #[test]
    fn a_state_survives_its_line_and_is_told_in_words() {
        let pixels = PixelHash::of(&Radiograph::new(2, 1, Pixels::U8(vec![0, 7])).unwrap());
        let state = FileState { stamp: Stamp { len: 81_234, time: 1_795_705_445_000_000_017 }, pixels };
        assert_eq!(FileState::from_line(&state.to_line()), Some(state));
        let hash = String::from(pixels);
        // `date -u -d @1795705445`
        let text = format!("81234 bytes, last changed 2026-11-26T15:04:05Z, pixels {}", &hash[..12]);
        assert_eq!(state.to_string(), text);
        for line in ["-", "", &hash, &format!("{hash} 1"), &format!("{hash} 1 2 3"), &format!("{hash} 1 x")] {
            assert_eq!(FileState::from_line(line), None, "{line}");
        }
    }
}
