//! What the tests of the tool share: running it, folders for it to work in, a tiny synthetic set.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

#[cfg(feature = "wgpu")]
pub mod gpu;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// What a run of the tool left on its terminal.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Arguments of different types as one list.
#[macro_export]
macro_rules! arguments {
    ($($argument:expr),* $(,)?) => { [$(std::ffi::OsString::from(&$argument)),*] };
}

/// The tool, with these arguments.
pub fn tool(arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_moco-cxr"));
    command.args(arguments.into_iter().map(Into::into));
    // Features kept by a test must not be found by another version of it, nor in the cache of a person.
    command.env("MOCO_CXR_CACHE", Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache"));
    command
}

/// Runs the tool to its end.
pub fn run(arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Ran {
    let output = tool(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Runs the tool, which must succeed.
pub fn succeed(arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Ran {
    let ran = run(arguments);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    ran
}

/// An empty folder for a test binary. It has a fixed name and is emptied first, because what a static holds is never
/// dropped.
pub fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder).unwrap();
    }
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// A synthetic set of 48 px in `folder/name`, and the summary that the tool prints.
pub fn synth(folder: &Path, name: &str, seed: u64, [train, valid, test]: [u32; 3]) -> (PathBuf, Value) {
    let out = folder.join(name);
    let [train, valid, test, seed] = [train, valid, test, seed as u32].map(|n| n.to_string());
    let ran = succeed(arguments![
        "synth",
        "--out",
        out,
        "--size",
        "48",
        "--seed",
        seed,
        "--train-patients",
        train,
        "--valid-patients",
        valid,
        "--test-patients",
        test,
        "--json",
    ]);
    (out, serde_json::from_str(&ran.stdout).unwrap())
}

/// Settings for a run of a few seconds with a small network, as a file for `--config`. The rate is constant, so that more
/// epochs change nothing of the first ones.
pub fn tiny_config(folder: &Path) -> PathBuf {
    let path = folder.join("tiny.toml");
    let text = "arch = \"resnet18-narrow\"\n\
                workers = 1\n\
                views.size = 32\n\
                [train]\nepochs = 1\nbatch_size = 8\nmoco.queue_size = 32\n\
                schedule = { lr = 3e-4, warmup_epochs = 0.0, decay = { name = \"constant\" } }\n";
    fs::write(&path, text).unwrap();
    path
}

/// Every line of a `metrics.jsonl`, parsed.
pub fn metrics(run: &Path) -> Vec<Value> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "the last line is whole");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Every file below a folder: its path there, and its bytes.
pub fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.strip_prefix(folder).unwrap().to_owned(), fs::read(&path).unwrap());
            }
        }
    }
    found
}

/// Names in a folder, sorted.
pub fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

pub fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// The shape and the values of a `.npy` file of f32, which must be in the form that numpy.lib.format prescribes.
pub fn npy(path: &Path) -> (Vec<usize>, Vec<f32>) {
    let bytes = fs::read(path).unwrap();
    assert_eq!(bytes[..8], *b"\x93NUMPY\x01\x00", "magic and version");
    let start = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    assert_eq!(start % 64, 0);
    let header = std::str::from_utf8(&bytes[10..start]).unwrap();
    let shape = header.strip_prefix("{'descr': '<f4', 'fortran_order': False, 'shape': (").unwrap();
    let shape = shape.strip_suffix('\n').unwrap().trim_end().strip_suffix("), }").unwrap();
    let shape: Vec<usize> = shape.split(", ").map(|side| side.parse().unwrap()).collect();
    let values: Vec<f32> = bytes[start..].as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four)).collect();
    assert_eq!(shape.iter().product::<usize>(), values.len());
    (shape, values)
}

/// The rows of a CSV file, each by the names of its columns.
pub fn table(path: &Path) -> Vec<BTreeMap<String, String>> {
    csv::Reader::from_path(path).unwrap().deserialize().map(Result::unwrap).collect()
}
