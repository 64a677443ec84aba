//! The files of `fuzz/corpus/`, and simple changes of them, through the readers that the fuzzers test: a result, or an error in
//! words, never a panic, and no memory out of proportion. So that what a fuzzer found stays found, without a fuzzer.
//!
//! `MOCO_CXR_FUZZ=SECONDS` goes on with changes for so long in each target; by default every file is changed a few times.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

#[path = "../fuzz/src/networks/mod.rs"]
mod networks;
#[path = "../fuzz/src/plain/mod.rs"]
mod plain;
#[path = "../fuzz/src/tool/mod.rs"]
mod tool;

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

type Outcome = Result<(), String>;
type Target = fn(&[u8]) -> Outcome;

/// Changes of every file.
const CHANGES: u64 = 6;

/// Peak memory of this process. A PNG of the largest size that is read takes 100 MB of it, and weight files that claim to be
/// large less.
const MAX_KILOBYTES: u64 = 1_000_000;

/// The files of a target: its own, and reference files that other tests read.
fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join("fuzz/corpus").join(target)];
    match target {
        "images" => folders.extend([root.join("golden/formats"), root.join("fuzz/corpus/dicom")]),
        "weights" => folders.push(root.join("golden/weights")),
        _ => {}
    }
    let mut all: Vec<(PathBuf, Vec<u8>)> = folders
        .iter()
        .flat_map(|folder| fs::read_dir(folder).unwrap_or_else(|fault| panic!("{}: {fault}", folder.display())))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_none_or(|kind| kind != "txt"))
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect();
    all.sort();
    all
}

/// Whole numbers that follow from a first one (xorshift64*).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit.max(1)
    }
}

/// What readers look for.
const WORDS: [&[u8]; 12] = [
    b"\xff\xff\xff\xff",
    b"\x00\x00\x00\x00",
    b"\x7f\xff\xff\xff\xff\xff\xff\xff",
    b"99999999999999999999",
    b"-1",
    b"nan",
    b"\"",
    b"\n",
    b"[[[[",
    b"\x1b[2J",
    b"\xc3\xa9",
    b"",
];

/// One to four changes: a flipped bit, a cut, bytes gone, doubled, taken from another file, or replaced.
fn changed(bytes: &[u8], other: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(bytes.len());
        let to = (at + 1 + numbers.below(16)).min(bytes.len());
        match numbers.below(6) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << numbers.below(8),
            1 => bytes.truncate(at),
            2 => drop(bytes.drain(at.min(to)..to)),
            3 => {
                let part = bytes[at.min(to)..to].to_vec();
                bytes.splice(at..at, part);
            }
            4 => {
                let from = numbers.below(other.len());
                let part = &other[from..(from + numbers.below(64)).min(other.len())];
                bytes.splice(at.min(to)..to, part.iter().copied());
            }
            _ => drop(bytes.splice(at.min(to)..to, WORDS[numbers.below(WORDS.len())].iter().copied())),
        }
    }
    bytes
}

/// Keeps the bytes that a reader did not survive, and names them.
fn attempt(name: &str, target: Target, what: &str, bytes: &[u8]) {
    let faulty = match catch_unwind(AssertUnwindSafe(|| target(bytes))) {
        Ok(Ok(())) => return,
        Ok(Err(text)) if !text.trim().is_empty() && !text.contains("panicked") => return,
        Ok(Err(text)) => format!("no error in words: {text:?}"),
        Err(_) => "a panic".to_owned(),
    };
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{name}"));
    fs::write(&kept, bytes).unwrap();
    panic!("{name}: {faulty}: {what}, kept as {}", kept.display());
}

fn all_of(name: &str) {
    let targets = plain::TARGETS.iter().chain(&networks::TARGETS).chain(&tool::TARGETS);
    let target = targets.clone().find(|(found, _)| *found == name).unwrap().1;
    let files = corpus(name);
    assert!(files.len() >= 5, "{name}: {} files", files.len());
    for (path, bytes) in &files {
        attempt(name, target, &path.display().to_string(), bytes);
    }
    let seconds = std::env::var("MOCO_CXR_FUZZ").ok().map(|value| Duration::from_secs(value.parse().unwrap()));
    let (start, mut numbers, mut done) = (Instant::now(), Numbers(0x9e37_79b9_7f4a_7c15), 0);
    for round in 0.. {
        if seconds.map_or(round >= CHANGES, |seconds| start.elapsed() >= seconds) {
            break;
        }
        for (path, bytes) in &files {
            let other = &files[numbers.below(files.len())].1;
            attempt(
                name,
                target,
                &format!("round {round} of {}", path.display()),
                &changed(bytes, other, &mut numbers),
            );
            done += 1;
        }
    }
    let peak = fs::read_to_string("/proc/self/status").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("VmHWM"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    });
    println!("{name}: {} files and {done} changes of them in {:.1?}, {peak:?} kB", files.len(), start.elapsed());
    assert!(peak.is_none_or(|kilobytes| kilobytes < MAX_KILOBYTES), "{name}: {peak:?} kB");
    let folder = std::env::temp_dir().join(format!("moco-cxr-fuzz-{}", std::process::id())).join(name);
    let _ = fs::remove_dir_all(folder);
}

macro_rules! targets {
    ($($name:ident)*) => { $(#[test] fn $name() { all_of(stringify!($name)); })* };
}

mod every_file_gives_a_result_or_an_error_in_words {
    use super::all_of;

    targets! { cache checkpoints configs images loaders results runs scans scores tables weights }
}

/// The targets here are those that have files, and programs for the fuzzer.
#[test]
fn every_target_has_a_corpus_and_a_program() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let mut size = 0;
    for entry in fs::read_dir(fuzz.join("corpus")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        // DICOM files are images.
        assert!(name == "dicom" || fuzz.join(format!("fuzz_targets/{name}.rs")).is_file(), "{name}");
        size += fs::read_dir(&path).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum::<u64>();
    }
    assert_eq!(fs::read_dir(fuzz.join("fuzz_targets")).unwrap().count(), 11);
    assert!(size < 300_000, "{size} bytes: keep what is found small");
}
