//! Every file of a run and of a cache, cut off and with a byte flipped at many places: the right result, or an error or a note
//! that names the file.
//!
//! `MOCO_CXR_FAULTS=N` damages every file at N places in both ways; by default at one.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

mod support;

use std::{
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
        let words = ["--arch", "resnet18", "--epochs", "2", "--quiet"].map(OsString::from);
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

/// What a run said is either an error or note about the file, or there was nothing to say because the result is right.
fn judge(what: &str, ran: &Ran, names: &[&str], is_right: impl FnOnce() -> bool) -> &'static str {
    assert!(!ran.stderr.contains("panicked"), "{what}: {}", ran.stderr);
    let named = names.iter().any(|name| ran.stderr.contains(name));
    match ran.code {
        Some(0) => {
            let right = is_right();
            assert!(right || named, "{what}: another result without a word: {}", ran.stderr);
            if right { "right" } else { "said" }
        }
        Some(1) => {
            assert!(named, "{what}: the error does not name it: {}", ran.stderr);
            "refused"
        }
        other => panic!("{what}: {other:?} {}", ran.stderr),
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
    let mut counts = std::collections::BTreeMap::new();
    for (name, bytes) in files(&made.run) {
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
            let what = format!("{} {how}", name.display());
            let steps = |run: &Path| {
                metrics(run).iter().map(|line| (line["step"].clone(), line["loss"].clone())).collect::<Vec<_>>()
            };
            let judged = judge(&what, &ran, names, || {
                model(&copied) == model(&made.run) && (short != "metrics.jsonl" || steps(&copied) == steps(&made.run))
            });
            *counts.entry(judged).or_insert(0) += 1;
        }
    }
    println!("a run that is resumed: {counts:?}");
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
    let mut counts = std::collections::BTreeMap::new();
    for (name, bytes) in files(&made.run.join("export")) {
        for (how, bytes) in damaged(&bytes, places()) {
            copy(&made.run.join("export"), &copied);
            replace(&copied.join(&name), &bytes);
            let (ran, found) = embed(&copied);
            let what = format!("export/{} {how}", name.display());
            *counts.entry(judge(&what, &ran, &[name.to_str().unwrap()], || found == features)).or_insert(0) += 1;
        }
    }
    println!("an export that is read: {counts:?}");
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
    for (name, bytes) in files(&cache) {
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
                let words = ["--arch", "resnet18", "--epochs", "2", "--quiet"].map(OsString::from);
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
