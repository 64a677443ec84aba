//! Joining the caches of parts of a set.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use super::index::Index;
use crate::{Error, Result};

/// Joins the caches in `parts`, of consecutive rows of a manifest, in the folder `out`, which holds none yet: byte for byte what
/// one process makes of all rows.
///
/// # Errors
/// A part whose index is missing or damaged, and failures to read or write.
pub fn join_caches(parts: &[&Path], out: &Path) -> Result<()> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Io { path, source }
    };
    let mut names = BTreeSet::new();
    for part in parts {
        for entry in fs::read_dir(part).map_err(at(part))? {
            let name = entry.map_err(at(part))?.file_name().to_string_lossy().into_owned();
            names.extend(name.strip_suffix(".bin").map(str::to_owned));
        }
    }
    for name in names {
        let path = out.join(format!("{name}.bin"));
        let mut data = File::create_new(&path).map_err(at(&path))?;
        let (mut index, mut end) = (Index::default(), 0);
        for part in parts {
            let (from, of) = (part.join(format!("{name}.bin")), part.join(format!("{name}.json")));
            let damaged = || at(&of)(io::Error::other("no index of a cache of this version, or a damaged one"));
            let own = Index::read(&of)?.ok_or_else(damaged)?;
            let mut file = File::open(&from).map_err(at(&from))?;
            for (key, mut entry) in own.entries {
                entry.offset += end;
                index.entries.insert(key, entry);
            }
            end += io::copy(&mut file, &mut data).map_err(at(&path))?;
        }
        data.flush().and_then(|()| data.sync_all()).map_err(at(&path))?;
        index.write(&out.join(format!("{name}.json")))?;
        let lock = out.join(format!("{name}.lock"));
        File::create(&lock).map_err(at(&lock))?;
    }
    Ok(())
}
