//! Putting shards together.

use std::{
    fs::File,
    io::{BufRead, BufReader, BufWriter, Read, Write},
    path::{Path, PathBuf},
};

use crate::{
    error::{Error, Result},
    files::{NewFolder, Npy},
    shards::ShardRecord,
};

/// Shards that belong together: all of one command.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Shards {
    /// Their folders, in order.
    pub folders: Vec<PathBuf>,
    /// The record of the first.
    pub first: ShardRecord,
}

/// Compares shards, given in any order.
///
/// # Errors
/// A shard that is missing, is there twice, is damaged, or belongs to another command line, version or data.
pub fn together(shards: &[PathBuf]) -> Result<Shards> {
    let mut found = Vec::new();
    for folder in shards {
        found.push((ShardRecord::read(folder)?, folder.as_path()));
    }
    found.sort_by_key(|(record, _)| record.shard.number());
    let Some((first, _)) = found.first().cloned() else {
        let (found, expected) = ("none".into(), "the folders of all shards of one command".into());
        return Err(Error::Setting { key: "shards".into(), found, expected });
    };
    for (record, folder) in &found {
        if let Some(difference) = record.differs(&first) {
            let key = folder.display().to_string();
            let expected = format!("a shard of the same run as {}", found[0].1.display());
            return Err(Error::Setting { key, found: difference, expected });
        }
    }
    complete(&found, &first)?;
    Ok(Shards { folders: found.iter().map(|(_, folder)| folder.to_path_buf()).collect(), first })
}

/// Writes into `out`, a new folder or, for a command that writes one file, a new file, what one run without shards would have
/// written, byte for byte.
///
/// # Errors
/// `out` exists; shards whose files do not fit; an I/O error. Nothing is written then.
pub fn merge(Shards { folders, first }: &Shards, out: &Path) -> Result<()> {
    let single = first.command == "predict";
    if single && out.exists() {
        return Err(Error::Exists { path: out.into() });
    }
    // For one file a folder beside it, which is not renamed but emptied.
    let target = if single { out.with_file_name(format!(".{}.merging", name_of(out))) } else { out.to_owned() };
    let folder = NewFolder::begin(&target)?;
    if first.command == "cache" {
        cxr_data::join_caches(&folders.iter().map(PathBuf::as_path).collect::<Vec<_>>(), folder.path())?;
        return folder.finish();
    }
    for name in first.files.keys() {
        let parts: Vec<PathBuf> = folders.iter().map(|folder| folder.join(name)).collect();
        let path = folder.path().join(name);
        match Path::new(name).extension().and_then(|extension| extension.to_str()) {
            Some("npy") => arrays(&parts, &path)?,
            Some("csv") => tables(&parts, &path)?,
            _ => equal(&parts, &path)?,
        }
    }
    if single {
        let made = first.files.keys().next().map(|name| folder.path().join(name));
        let made = made.ok_or_else(|| Error::Exists { path: out.into() })?;
        // Like a rename, but of a file that must not be there yet.
        std::fs::hard_link(&made, out).map_err(Error::io(out))?;
    } else {
        folder.finish()?;
    }
    Ok(())
}

fn name_of(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Every shard once, and rows without a gap.
fn complete(found: &[(ShardRecord, &Path)], first: &ShardRecord) -> Result<()> {
    let there = |number: usize| found.iter().filter(|(record, _)| record.shard.number() == number).count();
    let of = first.shard.of();
    let wrong = |word: &str, test: fn(usize) -> bool| {
        let numbers: Vec<String> = (1..=of).filter(|&n| test(there(n))).map(|n| format!("{n}/{of}")).collect();
        (!numbers.is_empty()).then(|| format!("{} {word}", numbers.join(", ")))
    };
    let mut next = 0;
    let gap = found.iter().any(|(record, _)| std::mem::replace(&mut next, record.rows.end) != record.rows.start);
    let fault = wrong("missing", |n| n == 0)
        .or_else(|| wrong("given more than once", |n| n > 1))
        .or_else(|| (gap || next != first.of).then(|| "rows that do not follow one after the other".to_owned()));
    let expected = format!("each of {of} shards once");
    fault.map_or(Ok(()), |found| Err(Error::Setting { key: "shards".into(), found, expected }))
}

/// Arrays one after the other along their first side.
fn arrays(parts: &[PathBuf], out: &Path) -> Result<()> {
    let shapes = parts.iter().map(|part| Npy::shape_of(part)).collect::<Result<Vec<_>>>()?;
    let mut shape = shapes[0].0.clone();
    shape[0] = shapes.iter().map(|(shape, _)| shape[0]).sum();
    let mut file = Npy::create(out, &shape)?;
    for (part, (own, start)) in parts.iter().zip(&shapes) {
        if own.len() != shape.len() || own[1..] != shape[1..] {
            let (found, expected) = (format!("shape {own:?}"), format!("{:?} after the first side", &shape[1..]));
            return Err(Error::Setting { key: part.display().to_string(), found, expected });
        }
        file.append_file(part, *start)?;
    }
    file.finish()
}

/// Tables one after the other under one header.
fn tables(parts: &[PathBuf], out: &Path) -> Result<()> {
    let at = |path: &Path| Error::io(path.to_owned());
    let mut file = BufWriter::new(File::create_new(out).map_err(at(out))?);
    let mut header: Option<Vec<u8>> = None;
    for part in parts {
        let mut reader = BufReader::new(File::open(part).map_err(at(part))?);
        let mut own = Vec::new();
        reader.by_ref().take(1 << 20).read_until(b'\n', &mut own).map_err(at(part))?;
        match &header {
            None => file.write_all(&own).map_err(at(out))?,
            Some(header) if *header != own => {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
                let (found, expected) = (format!("columns {}", text(&own)), text(header));
                return Err(Error::Setting { key: part.display().to_string(), found, expected });
            }
            Some(_) => {}
        }
        header = Some(own);
        std::io::copy(&mut reader, &mut file).map_err(at(out))?;
    }
    file.flush().and_then(|()| file.get_ref().sync_all()).map_err(at(out))
}

/// What every shard has alike.
fn equal(parts: &[PathBuf], out: &Path) -> Result<()> {
    let texts: Vec<Option<String>> = parts.iter().map(|part| crate::files::text_of(part)).collect();
    if let Some(other) = texts.iter().position(|text| text.is_none() || *text != texts[0]) {
        let (found, expected) = ("another content".into(), format!("that of {}", parts[0].display()));
        return Err(Error::Setting { key: parts[other].display().to_string(), found, expected });
    }
    crate::files::write_whole(out, texts[0].as_deref().unwrap_or_default().as_bytes())
}
