//! Weight files of any length: what cannot be whole, or fits into no memory, is refused before it is read.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fs::{self, OpenOptions};

use backbones::{Error, WeightFile};

/// A file that begins with these bytes and has this length; the rest is a hole.
fn refused(name: &str, begin: &[u8], length: u64) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    fs::write(&path, begin).unwrap();
    OpenOptions::new().write(true).open(&path).unwrap().set_len(length).unwrap();
    let error = WeightFile::open(&path).unwrap_err();
    assert!(matches!(error, Error::Io { .. } | Error::WeightFile { .. }), "{error:?}");
    error.to_string()
}

fn safetensors(header: &str) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat()
}

#[test]
fn no_weights_have_300_gigabytes() {
    let error = refused("model.pth", b"PK\x03\x04", 300_000_000_000);
    assert!(error.ends_with("model.pth: found 300.0 GB, expected a weight file of at most 256.0 GB"), "{error}");
}

#[test]
fn a_large_file_is_judged_by_its_header_or_its_end() {
    let length = 1_100_000_000;
    let error = refused("model.pth", b"PK\x03\x04", length);
    assert!(error.contains("the end of the zip archive, with its directory, is missing"), "{error}");
    let tensor = |end: u64| safetensors(&format!(r#"{{"w":{{"dtype":"F32","shape":[1],"data_offsets":[0,{end}]}}}}"#));
    let error = refused("model.safetensors", &tensor(4), length);
    assert!(error.contains("its header tells of a file of 66 bytes, and it has 1100000000"), "{error}");
    let error = refused("model.safetensors", &[&(1_u64 << 40).to_le_bytes()[..], b"{"].concat(), length);
    assert!(error.contains("a header of 1099511627776 bytes"), "{error}");
    let error = refused("model.safetensors", &safetensors("{} {}"), length);
    assert!(error.contains("not a valid safetensors header"), "{error}");
}
