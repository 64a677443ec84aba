//! `--out`, and what else names a file or folder to be written.

use std::path::{Path, PathBuf};

use clap::builder::{PathBufValueParser, TypedValueParser};

/// Reads a path. `-` is refused: no command writes its files to standard output, and one of that name is a mistake.
pub(crate) fn new_name() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path| {
        if path == Path::new("-") {
            return Err("files are not written to standard output; expected a name (./- for one that is called -)");
        }
        Ok(path)
    })
}
