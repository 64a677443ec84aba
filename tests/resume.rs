//! A run that is killed and goes on ends as the one that was not, bit for bit.
//!
//! The moments of the kills are counted in lines of the log and in files that appear, not in seconds, so that they lie in
//! the same places on a slow machine; the delays after them spread the kills over the work in between.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

mod support;

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Stdio,
    sync::OnceLock,
    thread::sleep,
    time::{Duration, Instant},
};

use serde_json::Value;
use support::{files, metrics, names, run, scratch, succeed, synth, tiny_config, tool};

const EVERY: &str = "checkpoints.every_steps=3";

/// A set and the run that nobody disturbed: two epochs, one worker.
struct Made {
    folder: PathBuf,
    set: PathBuf,
    config: PathBuf,
    run: PathBuf,
}

fn made() -> &'static Made {
    static MADE: OnceLock<Made> = OnceLock::new();
    MADE.get_or_init(|| {
        let folder = scratch("resume");
        let (set, _) = synth(&folder, "set", 4, [30, 0, 0]);
        let (config, run) = (tiny_config(&folder), folder.join("undisturbed"));
        // Larger than other tests have it: a checkpoint takes a while to write, so that a kill finds one half written.
        let settings = fs::read_to_string(&config).unwrap();
        assert!(settings.contains("resnet18-narrow"));
        fs::write(&config, settings.replace("resnet18-narrow", "resnet18")).unwrap();
        succeed(arguments![
            "pretrain", "--data", set, "--config", config, "--set", EVERY, "--epochs", "2", "--out", run, "--quiet"
        ]);
        let steps = metrics(&run).len() - 2;
        assert!((12..=16).contains(&steps), "the kills below are meant for {steps} steps");
        Made { folder, set, config, run }
    })
}

/// When to kill.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// As soon as the folder is marked as a run's.
    Begun,
    /// So many milliseconds after the log has so many lines.
    Lines(usize, u64),
    /// While the checkpoint after so many steps is being written.
    Writing(u64),
}

impl Moment {
    fn has_come(self, run: &Path) -> bool {
        match self {
            Self::Begun => run.join("run.json").exists(),
            Self::Lines(n, _) => {
                fs::read(run.join("metrics.jsonl")).is_ok_and(|log| log.iter().filter(|&&b| b == b'\n').count() >= n)
            }
            Self::Writing(step) => run.join(partial(step)).exists(),
        }
    }
}

fn partial(step: u64) -> String {
    format!("checkpoints/.step-{step:08}.partial")
}

/// Starts or goes on, and kills at the moment. Returns what was said on standard error.
fn killed(out: &Path, workers: &str, moment: Moment) -> String {
    let Made { folder, set, config, .. } = made();
    let log = folder.join(format!("stderr-{workers}"));
    // The same command every time, as a scheduler gives it.
    let command = arguments![
        "pretrain",
        "--resume",
        "--data",
        set,
        "--config",
        config,
        "--set",
        EVERY,
        "--epochs",
        "2",
        "--workers",
        workers,
        "--out",
        out
    ];
    let mut child = tool(command).stdout(Stdio::null()).stderr(File::create(&log).unwrap()).spawn().unwrap();
    let start = Instant::now();
    while !moment.has_come(out) {
        assert!(child.try_wait().unwrap().is_none(), "ended before {moment:?}: {}", fs::read_to_string(&log).unwrap());
        assert!(start.elapsed() < Duration::from_secs(300), "{moment:?} never came");
        sleep(Duration::from_millis(1));
    }
    if let Moment::Lines(_, delay) = moment {
        sleep(Duration::from_millis(delay));
    }
    child.kill().unwrap(); // SIGKILL on Unix
    let status = child.wait().unwrap();
    let said = fs::read_to_string(&log).unwrap();
    assert!(!status.success() && !said.contains("error:"), "{status}, not killed at {moment:?}: {said}");
    said
}

/// The log but for what a clock said, and the checksums of that.
fn timeless(run: &Path) -> Vec<Value> {
    let strip = |mut line: Value| {
        for time in ["wall_s", "data_s", "step_s", "times", "crc32c"] {
            line.as_object_mut().unwrap().remove(time);
        }
        line
    };
    metrics(run).into_iter().map(strip).collect()
}

/// Final checkpoint, export and log are the same.
fn assert_same_end(run: &Path, other: &Path) {
    let latest = |run: &Path| fs::read_to_string(run.join("checkpoints/latest")).unwrap().trim().to_owned();
    assert_eq!(latest(run), latest(other));
    for folder in [format!("checkpoints/{}", latest(run)), "export".to_owned()] {
        let (ours, theirs) = (files(&run.join(&folder)), files(&other.join(&folder)));
        assert!(ours.keys().eq(theirs.keys()), "{folder}: {:?} and {:?}", ours.keys(), theirs.keys());
        for (name, bytes) in &ours {
            assert!(bytes == &theirs[name], "{folder}/{} differs", name.display());
        }
        let must = if folder == "export" {
            &["model.safetensors"][..]
        } else {
            &["weights.safetensors", "optimizer.safetensors", "queue.safetensors", "position.json"]
        };
        assert!(must.iter().all(|name| ours.contains_key(Path::new(name))), "{:?}", ours.keys());
    }
    assert_eq!(timeless(run), timeless(other));
}

fn killed_and_resumed(workers: &str, moments: &[Moment]) {
    let out = made().folder.join(format!("killed-{workers}"));
    let mut interrupted: Vec<PathBuf> = Vec::new();
    for &moment in moments {
        let said = killed(&out, workers, moment);
        // What the last kill cut short is named by the run that goes on, unless it died before it looked.
        if said.contains("resuming at step") {
            for path in &interrupted {
                assert!(said.contains(path.to_str().unwrap()) && said.contains("interrupted"), "{said}");
            }
        }
        let checkpoints = out.join("checkpoints");
        let left = if checkpoints.exists() { names(&checkpoints) } else { Vec::new() };
        println!("{moment:?} left {left:?}");
        interrupted = left.iter().filter(|n| n.starts_with(".step-")).map(|name| checkpoints.join(name)).collect();
    }
    succeed(arguments!["pretrain", "--resume", "--workers", workers, "--out", out, "--quiet"]);
    assert_same_end(&out, &made().run);
    fs::remove_dir_all(out).unwrap();
}

#[test]
fn a_run_killed_and_resumed_with_one_worker_ends_as_the_one_that_was_not() {
    let moments = [
        Moment::Begun,
        Moment::Lines(1, 0), // before the first checkpoint
        Moment::Lines(4, 70),
        Moment::Writing(6),
        Moment::Lines(8, 15),
        Moment::Lines(12, 220),
    ];
    killed_and_resumed("1", &moments);
}

#[test]
fn a_run_killed_and_resumed_with_two_workers_ends_as_the_one_that_was_not() {
    let moments =
        [Moment::Writing(3), Moment::Lines(5, 130), Moment::Lines(7, 5), Moment::Writing(9), Moment::Lines(13, 40)];
    killed_and_resumed("2", &moments);
}

#[test]
fn other_settings_or_data_are_refused_by_name_and_nothing_is_touched() {
    let Made { folder, set, run, .. } = made();
    // The same images, one of them with another label.
    let changed = folder.join("changed");
    for (name, bytes) in files(set) {
        let path = changed.join(&name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let text = name
            .ends_with("train.csv")
            .then(|| String::from_utf8(bytes.clone()).unwrap().replacen(",1.0,", ",0.0,", 1));
        fs::write(path, text.map_or(bytes, String::into_bytes)).unwrap();
    }
    let state = || {
        let times = |(name, bytes): (PathBuf, Vec<u8>)| {
            let modified = fs::metadata(run.join(&name)).unwrap().modified().unwrap();
            (name, bytes.len(), modified)
        };
        files(run).into_iter().map(times).collect::<Vec<_>>()
    };
    let before = state();
    for (option, value, key) in [
        ("--moco-t", "0.3", "train.moco.temperature: was 0.2, is 0.3"),
        ("--seed", "7", "train.seed: was 0, is 7"),
        ("--set", "views.flip=0.25", "views.flip: was 0.0, is 0.25"),
        ("--data", changed.to_str().unwrap(), "data: was"),
    ] {
        let ran = support::run(arguments!["pretrain", "--resume", "--out", run, "--quiet", option, value]);
        assert_eq!((ran.code, ran.stderr.lines().count()), (Some(1), 1), "{ran:?}");
        assert!(ran.stderr.contains(key) && ran.stderr.contains("other settings"), "{}", ran.stderr);
    }
    assert!(state() == before, "a refused resume changed the run");
}

#[test]
fn more_epochs_go_on_past_a_checkpoint_whose_writing_was_interrupted() {
    let Made { folder, set, config, run: undisturbed } = made();
    let out = folder.join("longer");
    succeed(arguments![
        "pretrain", "--data", set, "--config", config, "--set", EVERY, "--epochs", "1", "--out", out, "--quiet"
    ]);
    // Half a checkpoint, newer than the whole ones.
    let half = out.join(partial(7_777));
    fs::create_dir(&half).unwrap();
    fs::write(half.join("weights.safetensors"), b"half").unwrap();
    let ran = run(arguments!["pretrain", "--resume", "--epochs", "2", "--out", out]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let note = ran.stderr.lines().find(|line| line.contains(half.to_str().unwrap())).expect("a note");
    assert!(note.starts_with("note: ") && note.contains("interrupted"), "{note}");
    assert!(ran.stderr.contains("resuming at step"), "{}", ran.stderr);
    assert_same_end(&out, undisturbed);
    fs::remove_dir_all(out).unwrap();
}

/// A scheduler that starts the job once more is told that it is done; a user, how to train longer.
#[test]
fn a_complete_run_says_so_and_is_left_as_it_is() {
    let run = &made().run;
    let again = |more: &[&str]| {
        let words = arguments!["pretrain", "--resume", "--out", run].into_iter().chain(more.iter().map(Into::into));
        support::run(words)
    };
    let lasting = || {
        let mut all = files(run);
        // The log notes that it was tried, and TensorBoard has a file for each start.
        all.retain(|name, _| !name.ends_with("train.log") && !name.starts_with("tb"));
        all
    };
    let before = lasting();
    let ran = again(&[]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let steps = metrics(run).len() - 2;
    let words = format!("the run is complete, 2 of 2 epochs ({steps} steps), and nothing was left to do");
    assert!(ran.stderr.contains(&words) && ran.stderr.contains("--epochs with a larger number"), "{}", ran.stderr);
    assert!(lasting() == before, "it changed the run");
    // Fewer epochs than there are is no run.
    let fewer = again(&["--epochs", "1", "--quiet"]);
    assert_eq!((fewer.code, fewer.stderr.lines().count()), (Some(1), 1), "{fewer:?}");
    assert!(
        fewer.stderr.contains("train.epochs: found 1, expected at least 2, the epochs that the run has"),
        "{fewer:?}"
    );
    assert!(lasting() == before, "a refused resume changed the run");
}

/// They are evidence, which a start from step 0 would write over.
#[test]
fn a_run_without_a_checkpoint_that_can_be_used_is_refused_and_nothing_is_touched() {
    let Made { folder, run, .. } = made();
    let out = folder.join("all-damaged");
    for (name, mut bytes) in files(run) {
        if name.ends_with("weights.safetensors") {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        }
        let path = out.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    let before = files(&out);
    let ran = support::run(arguments!["pretrain", "--resume", "--quiet", "--out", out]);
    assert_eq!((ran.code, ran.stderr.lines().count()), (Some(1), 1), "{ran:?}");
    assert!(ran.stderr.contains("step-") && ran.stderr.contains("weights.safetensors"), "{}", ran.stderr);
    assert!(files(&out) == before, "a refused resume changed the run");
    fs::remove_dir_all(out).unwrap();
}
