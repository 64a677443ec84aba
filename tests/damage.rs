//! Every file of a run and of a cache, cut off and with a byte flipped at many places: the right result, or an error or a note
//! that names the file.
//!
//! `MOCO_CXR_FAULTS=N` damages every file at N places in both ways; by default at one. `MOCO_CXR_FAULTS_OF=NAME` leaves out files
//! without that in their path.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

mod support;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use support::{Ran, files, metrics, run, scratch, succeed, synth, tiny_config};

/// Places in a file.
fn places() -> usize {
    std::env::var("MOCO_CXR_FAULTS").ok().and_then(|value| value.parse().ok()).unwrap_or(1)
}

/// The files of a folder that are to be damaged.
fn chosen(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let of = std::env::var("MOCO_CXR_FAULTS_OF").unwrap_or_default();
    files(folder).into_iter().filter(|(name, _)| name.to_str().unwrap().contains(&of)).collect()
}

struct Made {
    folder: PathBuf,
    set: PathBuf,
    config: PathBuf,
    run: PathBuf,
}

fn made() -> &'static Made {
    static MADE: OnceLock<Made> = OnceLock::new();
    MADE.get_or_init(|| {
        let folder = scratch("damage");
        let (set, _) = synth(&folder, "set", 12, [12, 4, 6]);
        let (config, run) = (tiny_config(&folder), folder.join("run"));
        let words = ["--arch", "resnet18-narrow", "--epochs", "2", "--quiet"].map(OsString::from);
        let fixed = arguments!["pretrain", "--data", set, "--config", config, "--out", run];
        succeed(fixed.into_iter().chain(words));
        Made { folder, set, config, run }
    })
}

/// Cuts of a file, and flips of one bit of it, spread over its length.
fn damaged(bytes: &[u8], places: usize) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for at in 0..places {
        let place = (((at as f64 + 0.5) * 0.618_033_988_75).fract() * bytes.len() as f64) as usize;
        all.push((format!("cut to {place} bytes"), bytes[..place].to_vec()));
        let mut flipped = bytes.to_vec();
        if let Some(byte) = flipped.get_mut(place) {
            *byte ^= 1 << (at % 8);
            all.push((format!("byte {place} flipped"), flipped));
        }
    }
    all
}

/// A copy of a folder that shares what is large and only ever replaced as a whole.
fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    for name in files(from).into_keys() {
        let (source, target) = (from.join(&name), to.join(&name));
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        match name.extension().is_some_and(|kind| kind == "safetensors") {
            true => fs::hard_link(source, target).unwrap(),
            false => drop(fs::copy(source, target).unwrap()),
        }
    }
}

/// Puts other bytes in the place of a file, which may be shared.
fn replace(path: &Path, bytes: &[u8]) {
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

/// What became of damaged files: counts for every file, and all that ended wrong.
#[derive(Default)]
struct Outcomes {
    counts: BTreeMap<String, BTreeMap<&'static str, usize>>,
    wrong: Vec<String>,
}

impl Outcomes {
    /// What a command said is an error or a note about the file, or there was nothing to say because the result is right.
    fn add(&mut self, file: &Path, how: &str, ran: &Ran, names: &[&str], is_right: impl FnOnce() -> bool) {
        let named = names.iter().any(|name| ran.stderr.contains(name));
        let judged = match ran.code {
            _ if ran.stderr.contains("panicked") => Err("a panic"),
            Some(0) if is_right() => Ok("right"),
            Some(0) if named => Ok("said"),
            Some(0) => Err("another result without a word"),
            Some(1) if named => Ok("refused"),
            Some(1) => Err("the error does not name it"),
            _ => Err("another end"),
        };
        let file = file.display().to_string();
        match judged {
            Ok(end) => *self.counts.entry(file).or_default().entry(end).or_insert(0) += 1,
            Err(fault) => self.wrong.push(format!("{file} {how}: {fault}: {:?} {}", ran.code, ran.stderr)),
        }
    }

    fn end(self, what: &str) {
        for (file, counts) in &self.counts {
            println!("{what}: {file}: {counts:?}");
        }
        let mut all = BTreeMap::<_, usize>::new();
        self.counts.values().flatten().for_each(|(end, count)| *all.entry(*end).or_default() += count);
        println!("{what}: {} files: {all:?}", self.counts.len());
        assert!(self.wrong.is_empty(), "{what}: {} ended wrong:\n{}", self.wrong.len(), self.wrong.join("\n"));
    }
}

fn model(run: &Path) -> Vec<u8> {
    fs::read(run.join("export/model.safetensors")).unwrap_or_default()
}

/// A finished run that is resumed: nothing is left to do, or what was lost is done again.
#[test]
fn a_damaged_file_of_a_run_is_named_or_does_not_matter() {
    let made = made();
    let copied = made.folder.join("resumed");
    let mut outcomes = Outcomes::default();
    for (name, bytes) in chosen(&made.run) {
        if name.starts_with("export") {
            continue; // read by others, below
        }
        let short = name.file_name().unwrap().to_str().unwrap().to_owned();
        for (how, bytes) in damaged(&bytes, places()) {
            copy(&made.run, &copied);
            replace(&copied.join(&name), &bytes);
            let ran = run(arguments!["pretrain", "--resume", "--out", copied]);
            // Settings that were changed are named themselves.
            let differs = "the configuration differs from the checkpoint's in";
            let names = [&short[..], "other settings", differs, name.parent().unwrap().to_str().unwrap()];
            let names = if names[3].is_empty() { &names[..3] } else { &names[..] };
            let steps = |run: &Path| {
                metrics(run).iter().map(|line| (line["step"].clone(), line["loss"].clone())).collect::<Vec<_>>()
            };
            outcomes.add(&name, &how, &ran, names, || {
                model(&copied) == model(&made.run) && (short != "metrics.jsonl" || steps(&copied) == steps(&made.run))
            });
        }
    }
    outcomes.end("a run that is resumed");
}

/// The exported network, read to embed images.
#[test]
fn a_damaged_file_of_an_export_is_named_or_does_not_matter() {
    let made = made();
    let (copied, out, cache) = (made.folder.join("exported"), made.folder.join("features"), made.folder.join("kept"));
    let embed = |from: &Path| {
        let _ = fs::remove_dir_all(&out);
        let words = arguments![
            "embed",
            "--data",
            made.set,
            "--part",
            "test",
            "--weights",
            from,
            "--out",
            out,
            "--cache",
            cache
        ];
        let ran = run(words);
        (ran, fs::read(out.join("features.npy")).unwrap_or_default())
    };
    let (first, features) = embed(&made.run.join("export"));
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    let mut outcomes = Outcomes::default();
    for (name, bytes) in chosen(&made.run.join("export")) {
        for (how, bytes) in damaged(&bytes, places()) {
            copy(&made.run.join("export"), &copied);
            replace(&copied.join(&name), &bytes);
            let (ran, found) = embed(&copied);
            outcomes.add(&name, &how, &ran, &[name.to_str().unwrap()], || found == features);
        }
    }
    outcomes.end("an export that is read");
}

/// Images from a damaged cache are those of the files; what is damaged is made again.
#[test]
fn a_damaged_file_of_a_cache_is_made_again() {
    let made = made();
    let cache = made.folder.join("cached");
    let cached = |dir: &Path, more: &[&str]| {
        let mut words =
            arguments!["cache", "--data", made.set, "--config", made.config, "--cache", dir, "--json"].to_vec();
        words.extend(more.iter().map(Into::into));
        run(words)
    };
    assert_eq!(cached(&cache, &[]).code, Some(0));
    let copied = made.folder.join("cached-damaged");
    let mut runs = 0;
    for (name, bytes) in chosen(&cache) {
        for (at, (how, bytes)) in damaged(&bytes, 10 * places()).into_iter().enumerate() {
            copy(&cache, &copied);
            replace(&copied.join(&name), &bytes);
            let what = format!("{} {how}", name.display());
            let first = cached(&copied, &["--verify"]);
            assert_eq!(first.code, Some(0), "{what}: {}", first.stderr);
            let again: serde_json::Value = serde_json::from_str(&cached(&copied, &["--verify"]).stdout).unwrap();
            assert_eq!((again["damaged"].as_u64(), again["added"].as_u64()), (Some(0), Some(0)), "{what}: {again}");
            // What a run makes of it: every tenth, since it trains.
            if at % 10 == 1 && name.extension().is_some_and(|kind| kind == "bin") {
                copy(&cache, &copied);
                replace(&copied.join(&name), &bytes);
                let out = made.folder.join("from-cache");
                let _ = fs::remove_dir_all(&out);
                let words = ["--arch", "resnet18-narrow", "--epochs", "2", "--quiet"].map(OsString::from);
                let fixed = arguments![
                    "pretrain",
                    "--data",
                    made.set,
                    "--config",
                    made.config,
                    "--out",
                    out,
                    "--cache",
                    copied
                ];
                succeed(fixed.into_iter().chain(words));
                assert!(model(&out) == model(&made.run), "{what}: other weights");
            }
            runs += 1;
        }
    }
    println!("a cache: {runs} damaged files were made again");
}
