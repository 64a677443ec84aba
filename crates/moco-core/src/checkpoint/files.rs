//! Files of a checkpoint: safetensors, flushed writes, the list of checksums.

use std::{collections::BTreeMap, fs, io::Write, path::Path};

use backbones::{MAX_WEIGHTS, StateDict, read_within};
use burn::tensor::{DType, TensorData};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use crate::{Error, Result};

/// File that marks a checkpoint as complete: the BLAKE3 hash, in hexadecimal, of every other file.
pub(super) const COMPLETE: &str = "complete.json";

/// Most bytes of a file that describes a checkpoint; the longest ever written has a few kilobytes.
pub(super) const MAX_RECORD: u64 = 256_000_000;

pub(super) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { path, source }
}

fn damaged(path: &Path, reason: impl ToString) -> Error {
    Error::Checkpoint { path: path.to_owned(), reason: reason.to_string() }
}

/// Writes a new file and flushes it to disk.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = fs::File::create(path).map_err(io(path))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(io(path))
}

/// Flushes the entries of a directory to disk.
pub(super) fn sync_dir(path: &Path) -> Result<()> {
    fs::File::open(path).and_then(|dir| dir.sync_all()).map_err(io(path))
}

/// Writes the files and then their checksums.
pub(super) fn write_all(dir: &Path, files: &BTreeMap<&str, Vec<u8>>) -> Result<()> {
    let mut sums = BTreeMap::new();
    for (name, bytes) in files {
        write(&dir.join(name), bytes)?;
        sums.insert(name, blake3::hash(bytes).to_hex().to_string());
    }
    let sums = serde_json::to_vec_pretty(&sums).map_err(|e| damaged(dir, e))?;
    write(&dir.join(COMPLETE), &sums)?;
    sync_dir(dir)
}

/// Reads the files of a checkpoint and verifies their checksums.
pub(super) fn read_all(dir: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let marker = dir.join(COMPLETE);
    let sums = read_within(&marker, MAX_RECORD, "the list of a checkpoint's files").map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => damaged(dir, format!("it has no {COMPLETE}: its writing was interrupted")),
        _ => io(&marker)(e),
    })?;
    let sums: BTreeMap<String, String> =
        serde_json::from_slice(&sums).map_err(|e| damaged(dir, format!("{COMPLETE} is damaged: {e}")))?;
    let read = |(name, sum): (String, String)| {
        if name.contains(['/', '\\']) {
            return Err(damaged(dir, format!("{COMPLETE} names {name:?}, which is not a file of a checkpoint")));
        }
        let bytes = read_within(&dir.join(&name), MAX_WEIGHTS, "a file of a checkpoint")
            .map_err(|e| damaged(dir, format!("{name}: {e}")))?;
        let found = blake3::hash(&bytes).to_hex().to_string();
        if found != sum {
            let size = bytes.len();
            return Err(damaged(dir, format!("{name} ({size} bytes) is damaged: BLAKE3 {found}, expected {sum}")));
        }
        Ok((name, bytes))
    };
    sums.into_iter().map(read).collect()
}

/// Tensors as a safetensors file.
pub(super) fn to_safetensors(dict: &StateDict) -> Result<Vec<u8>> {
    let failed = |name: &str, e: String| Error::Batch {
        found: format!("tensor {name}: {e}"),
        expected: "F32, F64 or I64".into(),
    };
    let mut views = Vec::new();
    for (name, data) in dict {
        let dtype = match data.dtype() {
            DType::F64 => Dtype::F64,
            DType::F32 => Dtype::F32,
            DType::F16 => Dtype::F16,
            DType::BF16 => Dtype::BF16,
            DType::I64 => Dtype::I64,
            other => return Err(failed(name, format!("type {other:?}"))),
        };
        let view = TensorView::new(dtype, data.shape().to_vec(), data.as_bytes());
        views.push((name.clone(), view.map_err(|e| failed(name, e.to_string()))?));
    }
    safetensors::serialize(views, None).map_err(|e| failed("all", e.to_string()))
}

/// Tensors of a safetensors file.
pub(super) fn from_safetensors(bytes: &[u8], name: &str, dir: &Path) -> Result<StateDict> {
    let file = SafeTensors::deserialize(bytes).map_err(|e| damaged(dir, format!("{name}: {e}")))?;
    let convert = |(tensor, view): (&str, TensorView<'_>)| {
        let dtype = match view.dtype() {
            Dtype::F64 => DType::F64,
            Dtype::F32 => DType::F32,
            Dtype::F16 => DType::F16,
            Dtype::BF16 => DType::BF16,
            Dtype::I64 => DType::I64,
            other => return Err(damaged(dir, format!("{name}: tensor {tensor} has type {other:?}"))),
        };
        let data = TensorData::try_from_bytes_vec(view.data().to_vec(), view.shape().to_vec(), dtype);
        let data = data.map_err(|e| damaged(dir, format!("{name}: tensor {tensor}: {e}")))?;
        Ok((tensor.to_owned(), data))
    };
    file.iter().map(convert).collect()
}
