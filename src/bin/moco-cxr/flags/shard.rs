//! `--shard`, and the folder that a shard leaves.

use std::path::Path;

use clap::Args;
use moco_cxr::{
    Error,
    files::NewFolder,
    shards::{Shard, ShardPlace, ShardRecord},
};

use crate::Fault;

/// `--shard`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ShardArguments {
    /// Work on one of several equal parts of the images, such as 3/16 for the third of sixteen; --out is then a new folder, and
    /// `moco-cxr merge` puts those of all parts together (docs/scale.md).
    #[arg(long, value_name = "NUMBER/SHARDS")]
    pub(crate) shard: Option<Shard>,
}

/// Makes the folder of a shard: what `write` puts into it, and its record.
pub(crate) fn write_shard(
    command: &str,
    shard: Shard,
    place: ShardPlace,
    out: &Path,
    write: impl FnOnce(&Path) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let folder = NewFolder::begin(out)?;
    write(folder.path())?;
    record_shard(command, shard, place, folder.path())?;
    Ok(folder.finish()?)
}

/// Adds the record of a shard to its folder, as the last of its files.
pub(crate) fn record_shard(command: &str, shard: Shard, place: ShardPlace, folder: &Path) -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args_os().skip(2).map(|word| word.to_string_lossy().into_owned()).collect();
    ShardRecord::of((command, &arguments), shard, place, folder)?.write(folder)
}
