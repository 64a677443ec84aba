//! What a shard says of itself, by which those that belong together are known.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    ops::Range,
    path::Path,
};

use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Result},
    files::{read_json, write_whole},
    shards::Shard,
};

/// The file of the record in the folder of a shard.
pub(super) const FILE: &str = "shard.json";

/// Flags that change where and how a command writes, not what. The first ones have a value.
const FREE: [&str; 5] = ["--shard", "--out", "--workers", "--quiet", "--json"];
const WITH_VALUE: usize = 3;

/// Which part of the rows of a command's result a shard has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardPlace {
    /// Hash of the table of images.
    pub data: String,
    /// Its rows, among those of the result.
    pub rows: Range<usize>,
    /// Rows of the result.
    pub of: usize,
}

/// The record in the folder of a shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ShardRecord {
    /// Version of the program.
    pub moco_cxr: String,
    /// Its commit, where it is known.
    pub git_commit: Option<String>,
    /// The subcommand.
    pub command: String,
    /// Its arguments, but for those that do not change the result.
    pub arguments: Vec<String>,
    /// Which part it is.
    pub shard: Shard,
    /// Hash of the table of images.
    pub data: String,
    /// Its rows, among those of the result.
    pub rows: Range<usize>,
    /// Rows of the result.
    pub of: usize,
    /// BLAKE3 of each of its other files.
    pub files: BTreeMap<String, String>,
}

impl ShardRecord {
    /// The record of a part of a command with these arguments, whose result is in `folder`.
    ///
    /// # Errors
    /// Files that cannot be read.
    pub fn of(
        (command, arguments): (&str, &[String]),
        shard: Shard,
        ShardPlace { data, rows, of }: ShardPlace,
        folder: &Path,
    ) -> Result<Self> {
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(folder).map_err(Error::io(folder))? {
            let entry = entry.map_err(Error::io(folder))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if !name.starts_with('.') {
                files.insert(name, hash(&entry.path())?);
            }
        }
        Ok(Self {
            moco_cxr: env!("CARGO_PKG_VERSION").into(),
            git_commit: option_env!("MOCO_CXR_GIT_COMMIT").map(str::to_owned),
            command: command.into(),
            arguments: lasting(arguments),
            shard,
            data,
            rows,
            of,
            files,
        })
    }

    /// Writes it into the folder of the shard.
    ///
    /// # Errors
    /// An I/O error.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self).unwrap_or_default();
        write_whole(&folder.join(FILE), format!("{text}\n").as_bytes())
    }

    /// Reads the record of a folder, and compares the folder with it.
    ///
    /// # Errors
    /// A folder that is no shard, or whose files are not what it wrote.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        if !path.is_file() {
            let expected = format!("the folder of a command that was run with --shard, which has a {FILE}");
            let found = if folder.is_dir() { "a folder without it" } else { "no folder" };
            return Err(Error::Setting { key: folder.display().to_string(), found: found.into(), expected });
        }
        let record: Self = serde_json::from_value(read_json(&path)?).map_err(Error::json(&path))?;
        for (name, expected) in &record.files {
            let path = folder.join(name);
            let plain = Path::new(name).components().count() == 1;
            let found = if plain { hash(&path)? } else { "a name that is no file's".into() };
            if found != *expected {
                let expected = format!("BLAKE3 {expected}, as {FILE} says: run this shard again");
                return Err(Error::Setting { key: path.display().to_string(), found, expected });
            }
        }
        Ok(record)
    }

    /// In what it differs from a shard that it should belong to, in words.
    pub(super) fn differs(&self, first: &Self) -> Option<String> {
        let words = |name: &str, own: &dyn std::fmt::Debug, other: &dyn std::fmt::Debug| {
            let (own, other) = (format!("{own:?}"), format!("{other:?}"));
            (own != other).then(|| format!("{name} {own}, expected {other}"))
        };
        words("command", &self.command, &first.command)
            .or_else(|| words("version", &self.moco_cxr, &first.moco_cxr))
            .or_else(|| words("commit", &self.git_commit, &first.git_commit))
            .or_else(|| words("arguments", &self.arguments, &first.arguments))
            .or_else(|| words("data with the hash", &self.data, &first.data))
            .or_else(|| words("number of rows", &self.of, &first.of))
            .or_else(|| words("number of shards", &self.shard.of(), &first.shard.of()))
            .or_else(|| {
                words("files named", &self.files.keys().collect::<Vec<_>>(), &first.files.keys().collect::<Vec<_>>())
            })
    }
}

/// Arguments without those that say where and how results are written.
fn lasting(arguments: &[String]) -> Vec<String> {
    let mut kept = Vec::new();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let name = argument.split('=').next().unwrap_or_default();
        match FREE.iter().position(|free| *free == name || argument == "-q") {
            Some(place) if place < WITH_VALUE && !argument.contains('=') && argument != "-q" => {
                arguments.next();
            }
            Some(_) => {}
            None => kept.push(argument.clone()),
        }
    }
    kept
}

fn hash(path: &Path) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    let file = File::open(path).map_err(Error::io(path))?;
    hasher.update_reader(file).map_err(Error::io(path))?;
    Ok(hasher.finalize().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_change_a_result_is_left_out_of_the_arguments() {
        let given =
            ["--data", "films", "-q", "--out", "a", "--shard=1/2", "--part", "test", "--workers", "3", "--json"];
        let kept = lasting(&given.map(str::to_owned));
        assert_eq!(kept, ["--data", "films", "--part", "test"]);
    }
}
