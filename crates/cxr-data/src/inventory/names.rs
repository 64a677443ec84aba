//! Names of files as text. A name that is not UTF-8 keeps its bytes: `gr\xf6\xdfe.png`.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// A path below a root as text, with `/` between its parts. Bytes that are not UTF-8 are written as `\xNN`, and so is the
/// backslash of a name that looks like that, so that no two names become one.
pub(crate) fn to_text(path: &Path) -> String {
    path.iter().map(part_to_text).collect::<Vec<_>>().join("/")
}

fn part_to_text(name: &OsStr) -> String {
    let mut text = String::new();
    for chunk in name.as_encoded_bytes().utf8_chunks() {
        for (at, c) in chunk.valid().char_indices() {
            if c == '\\' && escaped(&chunk.valid()[at..]).is_some() {
                text.push_str("\\x5c");
            } else {
                text.push(c);
            }
        }
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
    }
    text
}

/// The path that [`to_text`] made the text from.
pub(crate) fn to_path(text: &str) -> PathBuf {
    if !text.contains("\\x") {
        return text.into();
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        match escaped(rest) {
            Some(byte) => {
                bytes.push(byte);
                rest = &rest[4..];
            }
            None => {
                bytes.extend_from_slice(&rest.as_bytes()[..first.len_utf8()]);
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    from_bytes(bytes).into()
}

/// The byte of a text that begins with `\xNN`.
fn escaped(text: &str) -> Option<u8> {
    let digits = text.strip_prefix("\\x")?.get(..2)?;
    u8::from_str_radix(digits, 16).ok()
}

#[cfg(unix)]
fn from_bytes(bytes: Vec<u8>) -> OsString {
    std::os::unix::ffi::OsStringExt::from_vec(bytes)
}

/// Elsewhere names are Unicode, and what the text holds is all there is.
#[cfg(not(unix))]
fn from_bytes(bytes: Vec<u8>) -> OsString {
    String::from_utf8_lossy(&bytes).into_owned().into()
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    /// C19: names of an old share.
    #[test]
    fn c19_every_name_comes_back() {
        let names: [(&[u8], &str); 7] = [
            (b"a/b.png", "a/b.png"),
            (b"gr\xf6\xdfe0.png", "gr\\xf6\\xdfe0.png"),
            ("größe.png".as_bytes(), "größe.png"),
            (b"\xff/\xfe.png", "\\xff/\\xfe.png"),
            (b"\\xf6.png", "\\x5cxf6.png"),
            (b"back\\slash.png", "back\\slash.png"),
            (b"cut\xe3\x81.png", "cut\\xe3\\x81.png"),
        ];
        for (bytes, text) in names {
            let path = Path::new(OsStr::from_bytes(bytes));
            assert_eq!(to_text(path), text);
            assert_eq!(to_path(text), path);
        }
    }
}
