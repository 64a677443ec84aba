//! What a machine may do to a command: kill it at any moment, fill its disk, make its folders read-only, set its clock. In the
//! end there is no output or a whole one, and the same command then succeeds without hand work.
//!
//! `MOCO_CXR_FAULTS=N` kills every command at N moments (a pretraining at five times as many) and fills disks of many sizes; by
//! default there is one of each. `MOCO_CXR_FAULTS_OF=NAME` kills that command alone. docs/results/trust.md reports larger counts.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

mod support;

use std::{
    ffi::OsString,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
    thread::sleep,
    time::{Duration, Instant, SystemTime},
};

use support::{files, metrics, names, scratch, succeed, synth, tiny_config, tool};

/// Moments at which a command is killed.
fn moments() -> usize {
    std::env::var("MOCO_CXR_FAULTS").ok().and_then(|value| value.parse().ok()).unwrap_or(1)
}

/// A set, a pretraining run, and a classifier.
struct Made {
    folder: PathBuf,
    set: PathBuf,
    config: PathBuf,
    run: PathBuf,
    linear: PathBuf,
}

const EVERY: &str = "checkpoints.every_steps=3";

fn made() -> &'static Made {
    static MADE: OnceLock<Made> = OnceLock::new();
    MADE.get_or_init(|| {
        let folder = scratch("faults");
        let (set, _) = synth(&folder, "set", 11, [30, 8, 12]);
        let (config, run, linear) = (tiny_config(&folder), folder.join("run"), folder.join("linear"));
        let small = Made { folder, set, config, run, linear };
        succeed(pretrain(&small, &small.run, &[]));
        succeed(command("linear", &small, &small.linear));
        small
    })
}

fn pretrain(made: &Made, out: &Path, more: &[&str]) -> Vec<OsString> {
    let fixed = ["--set", EVERY, "--arch", "resnet18-narrow", "--epochs", "2", "--quiet"];
    let mut all = arguments!["pretrain", "--data", made.set, "--config", made.config, "--out", out].to_vec();
    all.extend(fixed.iter().chain(more).map(Into::into));
    all
}

/// The commands whose output appears whole or not at all, by their names.
const COMMANDS: [&str; 10] =
    ["cache", "embed", "export", "linear", "predict", "report", "finetune", "evaluate", "splits", "synth"];

fn command(name: &str, made: &Made, out: &Path) -> Vec<OsString> {
    let labelled = ["--task", "Pleural Effusion", "--fraction", "0.5", "--draws", "2", "--image-size", "32"];
    let network = ["--weights", "random", "--arch", "resnet18-narrow"];
    let (words, more): (Vec<OsString>, &[&str]) = match name {
        "cache" => (arguments!["cache", "--data", made.set, "--config", made.config, "--cache", out].to_vec(), &[]),
        "embed" => (arguments!["embed", "--data", made.set, "--weights", made.run, "--out", out].to_vec(), &[]),
        "export" => (arguments!["export", made.run, "--out", out].to_vec(), &["--onnx"]),
        "linear" => {
            let words = arguments!["linear", "--data", made.set, "--out", out].to_vec();
            (words, &[&labelled[..], &network].concat())
        }
        "predict" => {
            let words = arguments!["predict", "--data", made.set, "--weights", made.linear, "--out", out].to_vec();
            (words, &["--part", "test"])
        }
        "report" => (arguments!["report", made.run, "--out", out].to_vec(), &["--replicates", "100"]),
        "finetune" => {
            let words = arguments!["finetune", "--data", made.set, "--out", out].to_vec();
            (words, &[&labelled[..], &network, &["--epochs", "1", "--batch-size", "8"]].concat())
        }
        "evaluate" => {
            let scores = files(&made.linear).into_keys().find(|name| name.ends_with("predictions.csv")).unwrap();
            let words = arguments!["evaluate", made.linear.join(scores), "--out", out].to_vec();
            (words, &["--replicates", "500", "--plots"])
        }
        "splits" => (arguments!["splits", "--out", out].to_vec(), &["--rows", "200000"]),
        "synth" => {
            let few = ["--train-patients", "20", "--valid-patients", "4", "--test-patients", "4", "--size", "64"];
            return arguments!["synth", "--out", out].into_iter().chain(few.map(Into::into)).collect();
        }
        _ => unreachable!("{name}"),
    };
    words.into_iter().chain(more.iter().map(Into::into)).collect()
}

/// Runs a command with a cache of features of its own, so that nothing is found that another run left.
fn fresh(arguments: &[OsString], cache: &Path) -> Command {
    let mut command = tool(arguments);
    command.env("MOCO_CXR_CACHE", cache).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Names and bytes of a file or of all files of a folder, but for those that tell the time or count what was done.
fn contents(out: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    if out.is_file() {
        return vec![(PathBuf::new(), fs::read(out).unwrap())];
    }
    let timed = |name: &Path| {
        ["run.json", "images-32.lock", "images-32.json", "images-32.bin"].iter().any(|n| name.ends_with(n))
    };
    files(out).into_iter().map(|(name, bytes)| if timed(&name) { (name, Vec::new()) } else { (name, bytes) }).collect()
}

fn assert_same(name: &str, out: &Path, other: &Path) {
    let (ours, theirs) = (contents(out), contents(other));
    let list = |all: &[(PathBuf, Vec<u8>)]| all.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(list(&ours), list(&theirs), "{name}");
    for ((file, bytes), (_, expected)) in ours.iter().zip(&theirs) {
        // A page and a model card name the folder that they are in.
        assert!(
            bytes == expected || name == "report" || file.ends_with("README.md"),
            "{name}: {} differs",
            file.display()
        );
    }
}

/// A fraction of 1 that depends on a number: the golden ratio spreads moments over an interval without a pattern.
fn spread(at: usize) -> f64 {
    (at as f64 * 0.618_033_988_75 + 0.5).fract()
}

/// Kills a command at moments of its time, and runs it again.
fn killed(name: &str, moments: usize) {
    let made = made();
    let undisturbed = made.folder.join(format!("{name}-undisturbed"));
    let start = Instant::now();
    let ran = fresh(&command(name, made, &undisturbed), &made.folder.join("cache-undisturbed")).output().unwrap();
    assert!(ran.status.success(), "{name}: {}", String::from_utf8_lossy(&ran.stderr));
    let time = start.elapsed();
    let (mut cut, mut whole) = (0, 0);
    for at in 0..moments {
        let parent = made.folder.join(format!("{name}-{at}"));
        let cache = made.folder.join(format!("{name}-{at}-cache"));
        fs::create_dir(&parent).unwrap();
        let out = parent.join("out");
        let arguments = command(name, made, &out);
        let mut child = fresh(&arguments, &cache).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        sleep(time.mul_f64(spread(at)));
        let _ = child.kill(); // it may have ended
        let ended = child.wait().unwrap().success();
        let there = out.exists();
        if there && name != "cache" {
            assert_same(name, &out, &undisturbed);
        }
        let ran = fresh(&arguments, &cache).output().unwrap();
        let said = String::from_utf8(ran.stderr).unwrap();
        let words = ["not empty", "exists", "expected a new file"];
        let refused = there && ran.status.code() == Some(1) && words.iter().any(|word| said.contains(word));
        assert!(ran.status.success() || refused, "{name}, moment {at}: {said}");
        assert_same(name, &out, &undisturbed);
        assert_eq!(names(&parent), ["out"], "{name}, moment {at}: something is left over");
        cut += usize::from(!ended);
        whole += usize::from(there);
        fs::remove_dir_all(&parent).unwrap();
        let _ = fs::remove_dir_all(&cache); // predict keeps nothing
    }
    println!(
        "{name}: killed {moments} times within {time:.1?}, {cut} of them before its end; {whole} had written their output"
    );
}

#[test]
fn a_killed_command_leaves_nothing_or_a_whole_output_and_succeeds_when_run_again() {
    let of = std::env::var("MOCO_CXR_FAULTS_OF").unwrap_or_default();
    for name in COMMANDS.into_iter().filter(|name| name.contains(&of)) {
        killed(name, moments());
    }
}

/// Making the models of a table: what is finished stays, and the next call goes on.
#[test]
fn a_killed_reproduction_goes_on() {
    if moments() == 1 {
        println!("skipped: it takes minutes; MOCO_CXR_FAULTS=20 runs it");
        return;
    }
    let folder = scratch("faults-reproduce");
    let (data, _) = synth(&folder, "data", 5, [120, 30, 40]);
    let arguments = |results: &Path| {
        let fixed =
            ["--protocol", "standard", "--image-size", "32", "--epochs", "1", "--weights", "resnet18-moco=random"];
        let mut all = arguments!["reproduce", "app1", "--results", results, "--data", data].to_vec();
        all.extend(fixed.iter().chain(&["--weights", "resnet18-imagenet=random", "--json"]).map(Into::into));
        all
    };
    let undisturbed = folder.join("undisturbed");
    let start = Instant::now();
    let ran = fresh(&arguments(&undisturbed), &folder.join("cache")).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let time = start.elapsed();
    let mut kills = 0;
    while kills < moments() {
        let parent = folder.join(format!("killed-{kills}"));
        let (results, cache) = (parent.join("results"), folder.join(format!("cache-{kills}")));
        fs::create_dir(&parent).unwrap();
        // Five kills on the way to the end of one folder of results.
        for _ in 0..5 {
            let mut child =
                fresh(&arguments(&results), &cache).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            sleep(time.mul_f64(0.4 * spread(kills)));
            let _ = child.kill();
            child.wait().unwrap();
            kills += 1;
        }
        let again = fresh(&arguments(&results), &cache).output().unwrap();
        assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
        assert_same("reproduce", &results, &undisturbed);
        assert_eq!(names(&parent), ["results"]);
    }
    println!("reproduce: killed {kills} times, {time:.1?} without");
}

/// `tests/resume.rs` kills at chosen moments; here they are any.
#[test]
fn a_pretraining_killed_at_any_moment_ends_as_the_one_that_was_not() {
    let made = made();
    let undisturbed = made.folder.join("pretrain-undisturbed");
    let start = Instant::now();
    succeed(pretrain(made, &undisturbed, &[]));
    let time = start.elapsed();
    let (moments, mut kills, mut rounds) = (5 * moments(), 0, 0);
    while kills < moments {
        let out = made.folder.join(format!("pretrain-killed-{rounds}"));
        loop {
            let mut child = tool(pretrain(made, &out, &["--resume"])).stderr(Stdio::piped()).spawn().unwrap();
            // Once all moments are used, it may end.
            if kills < moments {
                sleep(time.mul_f64(0.9 * spread(kills)));
                let _ = child.kill();
            }
            let ran = child.wait_with_output().unwrap();
            let said = String::from_utf8(ran.stderr).unwrap();
            assert!(!said.contains("error:"), "{said}");
            if ran.status.success() {
                break;
            }
            kills += 1;
        }
        rounds += 1;
        let model = |run: &Path| fs::read(run.join("export/model.safetensors")).unwrap();
        assert!(model(&out) == model(&undisturbed), "the weights differ");
        let last = fs::read_to_string(out.join("checkpoints/latest")).unwrap();
        let state = |run: &Path| files(&run.join("checkpoints").join(last.trim()));
        assert!(state(&out) == state(&undisturbed), "the last checkpoint differs");
        let losses =
            |run: &Path| metrics(run).iter().map(|l| (l["step"].clone(), l["loss"].clone())).collect::<Vec<_>>();
        assert_eq!(losses(&out), losses(&undisturbed));
        fs::remove_dir_all(out).unwrap();
    }
    println!("pretrain: killed {kills} times in {rounds} runs of {time:.1?}");
}

/// A file system in memory, of a size that can be changed.
struct Disk(PathBuf);

impl Disk {
    /// `None`, with a reason that is printed, where this is not allowed.
    fn mount(name: &str, kilobytes: u64) -> Option<Self> {
        // Not in a folder that the next run empties: a test that was killed leaves it mounted.
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("faults-disks").join(name);
        fs::create_dir_all(&path).unwrap();
        let disk = Self(path);
        let _ = Command::new("umount").arg(&disk.0).stderr(Stdio::null()).status();
        if cfg!(target_os = "linux") && mount(&["-t", "tmpfs", "-o", &format!("size={kilobytes}k"), "tmpfs"], &disk.0) {
            return Some(disk);
        }
        std::mem::forget(disk);
        println!("skipped: a file system of a given size needs Linux and the rights of root");
        None
    }

    fn remount(&self, options: &str) {
        assert!(mount(&["-o", &format!("remount,{options}")], &self.0));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

fn mount(options: &[&str], path: &Path) -> bool {
    let ran = Command::new("mount").args(options).arg(path).stderr(Stdio::null()).status();
    ran.is_ok_and(|status| status.success())
}

#[test]
fn a_full_disk_is_an_error_and_with_more_room_the_command_goes_on() {
    let made = made();
    let sizes = |name: &str| -> &'static [u64] {
        match (name, moments() > 1) {
            // The run has 26 MB: two checkpoints of 12 and an export of 3.
            ("pretrain", true) => &[16, 256, 1_300, 4_000, 8_000, 12_000, 16_000, 20_000, 25_000, 32_000],
            ("pretrain", false) => &[20_000],
            (_, true) => &[8, 16, 24, 40, 64, 100, 200, 400, 1_000, 4_000, 16_000, 40_000, 60_000, 80_000],
            (_, false) => &[40],
        }
    };
    for name in ["pretrain"].into_iter().chain(COMMANDS) {
        let (mut refused, mut fitted) = (0, 0);
        for &size in sizes(name) {
            let Some(disk) = Disk::mount("disk", size) else { return };
            let (out, cache) = (disk.0.join("out"), made.folder.join(format!("disk-cache-{name}-{size}")));
            let arguments = |more: &[&str]| match name {
                "pretrain" => pretrain(made, &out, more),
                _ => command(name, made, &out),
            };
            let ran = fresh(&arguments(&[]), &cache).output().unwrap();
            let said = String::from_utf8(ran.stderr).unwrap();
            match ran.status.code() {
                Some(0) => fitted += 1,
                Some(1) => {
                    assert!(
                        said.contains("No space left on device") && said.contains("disk/"),
                        "{name} {size}: {said}"
                    );
                    assert!(!out.exists() || ["pretrain", "cache"].contains(&name), "{name} {size}: {:?}", names(&out));
                    refused += 1;
                }
                other => panic!("{name} {size}: {other:?} {said}"),
            }
            disk.remount("size=2000000k");
            if !(ran.status.success()) {
                let again = fresh(&arguments(&["--resume"]), &cache).output().unwrap();
                assert!(again.status.success(), "{name} {size}: {}", String::from_utf8_lossy(&again.stderr));
            }
            if name == "pretrain" {
                let model = |run: &Path| fs::read(run.join("export/model.safetensors")).unwrap();
                assert!(model(&out) == model(&made.run), "the weights differ");
            }
            assert_eq!(names(&disk.0), ["out"], "{name} {size}: something is left over");
        }
        println!("{name}: {refused} disks were too small, {fitted} were not");
        assert!(name != "pretrain" || refused > 0, "no disk was full");
    }
}

#[test]
fn read_only_folders_are_named_and_read_only_data_are_enough() {
    let made = made();
    let Some(disk) = Disk::mount("read-only", 20_000) else { return };
    for (path, bytes) in files(&made.set) {
        let to = disk.0.join("set").join(path);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::write(to, bytes).unwrap();
    }
    disk.remount("ro");
    let cache = made.folder.join("read-only-cache");
    let out = disk.0.join("out");
    for name in ["pretrain"].into_iter().chain(COMMANDS) {
        let arguments = match name {
            "pretrain" => pretrain(made, &out, &[]),
            _ => command(name, made, &out),
        };
        let ran = fresh(&arguments, &cache).output().unwrap();
        let said = String::from_utf8(ran.stderr).unwrap();
        assert_eq!(ran.status.code(), Some(1), "{name}: {said}");
        assert!(said.contains("Read-only file system") && said.contains("read-only/"), "{name}: {said}");
        // The data alone.
        let there = Made { set: disk.0.join("set"), ..copy(made) };
        let elsewhere = made.folder.join(format!("from-read-only-{name}"));
        let arguments = match name {
            "pretrain" => pretrain(&there, &elsewhere, &[]),
            _ => command(name, &there, &elsewhere),
        };
        let ran = fresh(&arguments, &cache).output().unwrap();
        assert!(ran.status.success(), "{name}: {}", String::from_utf8_lossy(&ran.stderr));
    }
}

fn copy(made: &Made) -> Made {
    let Made { folder, set, config, run, linear } = made;
    Made { folder: folder.clone(), set: set.clone(), config: config.clone(), run: run.clone(), linear: linear.clone() }
}

/// An image that is cut off after the first step ends the run, by name.
#[test]
fn an_image_truncated_during_a_run_is_named() {
    let made = made();
    let set = made.folder.join("truncated");
    for (path, bytes) in files(&made.set) {
        let to = set.join(path);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::write(to, bytes).unwrap();
    }
    let out = made.folder.join("truncated-run");
    let there = Made { set: set.clone(), ..copy(made) };
    let mut arguments = pretrain(&there, &out, &[]);
    let at = arguments.iter().position(|word| word == "--epochs").unwrap();
    arguments[at + 1] = "1000".into();
    let mut child = tool(arguments).stderr(Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    while fs::metadata(out.join("metrics.jsonl")).map_or(0, |facts| facts.len()) == 0 {
        assert!(child.try_wait().unwrap().is_none() && start.elapsed() < Duration::from_secs(300), "no first step");
        sleep(Duration::from_millis(1));
    }
    for path in files(&set).keys().filter(|path| path.extension().is_some_and(|kind| kind == "jpg")) {
        File::options().write(true).open(set.join(path)).unwrap().set_len(200).unwrap();
    }
    let ran = child.wait_with_output().unwrap();
    let said = String::from_utf8(ran.stderr).unwrap();
    assert_eq!(ran.status.code(), Some(1), "{said}");
    assert!(said.contains("view1_frontal.jpg") || said.contains("view2_lateral.jpg"), "{said}");
}

/// Files from the future and from before 1970, and checkpoints in an order that their times do not have.
#[test]
fn a_clock_that_jumps_changes_nothing() {
    let made = made();
    let set = made.folder.join("other-times");
    let day = Duration::from_secs(86_400);
    let times = [SystemTime::UNIX_EPOCH - 3_000 * day, SystemTime::UNIX_EPOCH, SystemTime::now() + 30_000 * day];
    for (at, (path, bytes)) in files(&made.set).into_iter().enumerate() {
        let to = set.join(path);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::write(&to, bytes).unwrap();
        File::options().write(true).open(&to).unwrap().set_modified(times[at % 3]).unwrap();
    }
    let there = Made { set, ..copy(made) };
    let out = made.folder.join("other-times-run");
    // The data hash is that of the rows, so the folder may be another.
    let mut first = pretrain(&there, &out, &[]);
    let at = first.iter().position(|word| word == "--epochs").unwrap();
    first[at + 1] = "1".into();
    succeed(first);
    for (at, (path, _)) in files(&out).into_iter().enumerate() {
        File::options().write(true).open(out.join(path)).unwrap().set_modified(times[at % 3]).unwrap();
    }
    // As a process of the future left it.
    fs::write(out.join("run.lock"), "process 1 on elsewhere since 2099-01-01T00:00:00Z\n").unwrap();
    File::options().write(true).open(out.join("run.lock")).unwrap().set_modified(times[2]).unwrap();
    succeed(pretrain(&there, &out, &["--resume"]));
    let model = |run: &Path| fs::read(run.join("export/model.safetensors")).unwrap();
    assert!(model(&out) == model(&made.run), "the weights differ");

    let kept = made.folder.join("other-times-cache");
    let cached = || {
        let mut arguments = command("cache", &there, &kept);
        arguments.push("--json".into());
        let ran = succeed(arguments);
        serde_json::from_str::<serde_json::Value>(&ran.stdout).unwrap()
    };
    let (first, second) = (cached(), cached());
    assert_eq!((&first["added"], &second["reused"]), (&first["added"], &first["added"]), "{second}");
}
