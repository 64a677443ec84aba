//! Lines of `metrics.jsonl`: JSON objects, each with a checksum of itself.

use serde_json::Value;

/// What stands before the checksum of a line, and the length of all that a line ends with.
const MARK: &str = ",\"crc32c\":\"";
const END: usize = MARK.len() + "01234567\"}".len();

/// The line of a JSON object with at least one field: as it is, and as its last field `crc32c`, the CRC-32C of the bytes before
/// that field.
pub(crate) fn sealed(object: &str) -> String {
    let before = object.strip_suffix('}').unwrap_or(object);
    format!("{before}{MARK}{:08x}\"}}", crc32c::crc32c(before.as_bytes()))
}

/// A line of a log.
#[derive(Debug)]
pub(crate) struct LogLine<'a> {
    /// Its bytes, without the line end.
    pub(crate) bytes: &'a [u8],
    /// Its object; `None` where it is not what was written.
    pub(crate) value: Option<Value>,
    /// Whether it has a line end. Only the last may have none, of a process that was killed while it wrote.
    pub(crate) ended: bool,
}

/// The lines of a log. Earlier versions wrote no checksums; a line without one after a line with one is damaged.
#[derive(Debug)]
pub(crate) struct LogLines<'a> {
    rest: &'a [u8],
    sealed: bool,
}

impl<'a> LogLines<'a> {
    pub(crate) fn new(log: &'a [u8]) -> Self {
        Self { rest: log, sealed: false }
    }

    fn value(&mut self, line: &[u8]) -> Option<Value> {
        let (before, end) = line.split_at(line.len().saturating_sub(END));
        let intact = match end.strip_prefix(MARK.as_bytes()) {
            Some(found) => {
                self.sealed = true;
                found == format!("{:08x}\"}}", crc32c::crc32c(before)).as_bytes()
            }
            None => !self.sealed,
        };
        serde_json::from_slice(line).ok().filter(|value: &Value| intact && value.is_object())
    }
}

impl<'a> Iterator for LogLines<'a> {
    type Item = LogLine<'a>;

    fn next(&mut self) -> Option<LogLine<'a>> {
        let end = self.rest.iter().position(|&byte| byte == b'\n');
        let (bytes, rest) = match end {
            Some(end) => (&self.rest[..end], &self.rest[end + 1..]),
            None if self.rest.is_empty() => return None,
            None => (self.rest, &[][..]),
        };
        self.rest = rest;
        Some(LogLine { bytes, value: self.value(bytes), ended: end.is_some() })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn readable(log: &[u8]) -> Vec<bool> {
        LogLines::new(log).map(|line| line.value.is_some()).collect()
    }

    /// CRC-32C of "123456789" is e3069283; here of what `{"a":1` has, by the definition of the function.
    #[test]
    fn a_line_holds_the_checksum_of_what_is_before_it() {
        let line = sealed(r#"{"a":1}"#);
        assert_eq!(line, format!(r#"{{"a":1,"crc32c":"{:08x}"}}"#, crc32c::crc32c(br#"{"a":1"#)));
        let value = LogLines::new(line.as_bytes()).next().unwrap().value.unwrap();
        assert_eq!((value["a"].as_u64(), value["crc32c"].as_str().map(str::len)), (Some(1), Some(8)));
    }

    #[test]
    fn no_flipped_bit_of_a_log_goes_unseen() {
        let log = [sealed(r#"{"a":1}"#), sealed(r#"{"b":2}"#), String::new()].join("\n").into_bytes();
        assert_eq!(readable(&log), [true, true]);
        let mark = log.iter().position(|&byte| byte == b',').unwrap();
        for bit in 0..8 * log.len() {
            let mut flipped = log.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            // In the name of the first checksum, the values are still those that were written.
            let harmless = (mark..mark + MARK.len()).contains(&(bit / 8));
            assert!(harmless || readable(&flipped).contains(&false), "{}", String::from_utf8_lossy(&flipped));
        }
    }

    #[test]
    fn lines_of_earlier_versions_are_read_up_to_the_first_with_a_checksum() {
        let log = ["{\"a\":1}", &sealed("{\"a\":2}"), "{\"a\":3}", "[4]"].join("\n");
        assert_eq!(readable(log.as_bytes()), [true, true, false, false]);
        assert_eq!(LogLines::new(log.as_bytes()).map(|line| line.ended).collect::<Vec<_>>(), [true, true, true, false]);
    }
}
