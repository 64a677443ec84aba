//! The checksums in a safetensors file of ours: of its tensors, and of the files beside it that say what they mean.

use std::fmt::Write;

use ::safetensors::Dtype;
use sha2::{Digest, Sha256};

/// Its key in the metadata of the file.
pub(super) const KEY: &str = "sha256";

/// SHA-256, in hexadecimal, over every tensor in the order of their names: a line `NAME DTYPE [SHAPE]` (as `conv1.weight F32
/// [64, 3, 7, 7]`) and the bytes of its numbers. Its place in the file does not matter.
pub(super) fn of<'t>(tensors: impl Iterator<Item = (&'t str, Dtype, &'t [usize], &'t [u8])>) -> String {
    let mut hash = Sha256::new();
    for (name, dtype, shape, bytes) in tensors {
        hash.update(format!("{name} {dtype:?} {shape:?}\n"));
        hash.update(bytes);
    }
    hexadecimal(hash)
}

/// The key of the checksum of a file beside the weights.
pub(super) fn key_of(name: &str) -> String {
    format!("{KEY} of {name}")
}

/// The file whose checksum has this key.
pub(super) fn file_of(key: &str) -> Option<&str> {
    key.strip_prefix(KEY)?.strip_prefix(" of ")
}

/// SHA-256 of a file's bytes.
pub(super) fn of_bytes(bytes: &[u8]) -> String {
    hexadecimal(Sha256::new_with_prefix(bytes))
}

fn hexadecimal(hash: Sha256) -> String {
    hash.finalize().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // writing to a string cannot fail
        text
    })
}
