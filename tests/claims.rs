//! What a command is going to write belongs to it from its start: a second one is refused before it has read anything, and is
//! told who is there. A process that was killed holds nothing.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::{
    ffi::OsString,
    fs::{self, File},
    io::Write,
    path::Path,
    process::Stdio,
    thread::sleep,
    time::{Duration, Instant},
};

use support::{Ran, names, run, scratch, succeed, synth, tool};

/// Every command that writes a file or folder of its own. Of what it names nothing is there: it says who has the place before it
/// looks.
fn commands(out: &Path) -> Vec<Vec<OsString>> {
    let images = ["--data", "no-such", "--weights", "no-such"];
    let labelled = [&images[..], &["--task", "Edema"]].concat();
    let all: [(&str, &[&str]); 20] = [
        ("pretrain", &["--data", "no-such"]),
        ("linear", &labelled),
        ("knn", &labelled),
        ("finetune", &labelled),
        ("embed", &images),
        ("embed", &[&images[..], &["--shard", "1/2"]].concat()),
        ("predict", &images),
        ("predict", &[&images[..], &["--shard", "1/2"]].concat()),
        ("explain", &images),
        ("neighbours", &images),
        ("evaluate", &["no-such.csv"]),
        ("compare", &["no-such.csv", "no-other.csv"]),
        ("report", &["docs"]), // a folder, and no run
        ("splits", &["--rows", "100"]),
        ("synth", &[]),
        ("preview", &["--data", "no-such"]),
        ("export", &["no-such"]),
        ("import", &["no-such.pth"]),
        ("audit", &["--data", "no-such", "--shard", "1/2"]),
        ("cache", &["--data", "no-such", "--shard", "1/2"]),
    ];
    let one = |(name, more): (&str, &[&str])| -> Vec<OsString> {
        let words = [name].into_iter().chain(more.iter().copied()).map(OsString::from);
        words.chain(arguments!["--out", out]).collect()
    };
    let reproduce = arguments!["reproduce", "table2", "--results", "no-such", "--out", out].to_vec();
    let quickstart = arguments!["quickstart", "--out", out].to_vec();
    all.into_iter().map(one).chain([reproduce, quickstart]).collect()
}

#[test]
fn a_place_that_another_command_has_is_refused_before_anything_is_read() {
    let folder = scratch("claims");
    let out = folder.join("out");
    let lock = folder.join(".out.lock");
    let mut held = File::create(&lock).unwrap();
    held.try_lock().unwrap();
    held.write_all(b"process 4711 on ward-3 since 2026-11-27T08:00:00Z\n").unwrap();
    for command in commands(&out) {
        let Ran { code, stdout, stderr } = run(&command);
        assert_eq!((code, stdout.as_str()), (Some(1), ""), "{command:?}: {stderr}");
        let words = "out: process 4711 on ward-3 since 2026-11-27T08:00:00Z is making it; wait until that has ended";
        assert!(stderr.contains(words), "{command:?}: {stderr}");
        assert_eq!(names(&folder), [".out.lock"], "{command:?}");
    }
    // The process is gone, and its file is not.
    drop(held);
    for command in commands(&out).into_iter().filter(|command| command[0] != "quickstart") {
        let ran = run(&command);
        assert!(!ran.stderr.contains("4711"), "{command:?}: {}", ran.stderr);
        assert!(!lock.exists(), "{command:?} left its lock");
        if out.is_dir() {
            fs::remove_dir_all(&out).unwrap();
        }
        assert_eq!(names(&folder), [""; 0], "{command:?} left something");
    }
}

/// The case itself: two probes into one new folder.
#[test]
fn of_two_probes_into_one_folder_the_first_goes_on_and_the_second_ends_at_once() {
    let folder = scratch("claims-two");
    let (set, _) = synth(&folder, "set", 4, [30, 0, 12]);
    let made = folder.join("made");
    let out = made.join("out");
    let with = |more: &[&str]| -> Vec<OsString> {
        let words = arguments!["linear", "--data", set, "--out", out, "--weights", "random", "--arch", "resnet18"];
        let more = ["--task", "Pleural Effusion", "--image-size", "64", "--no-feature-cache"].iter().chain(more);
        words.into_iter().chain(more.map(OsString::from)).collect()
    };
    let mut first = tool(with(&["--fraction", "0.5", "--draws", "3"])).stderr(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    while !made.join(".out.lock").exists() {
        assert!(first.try_wait().unwrap().is_none() && begun.elapsed() < Duration::from_secs(300), "no lock");
        sleep(Duration::from_millis(1));
    }
    // Its name is written right after the file is made.
    sleep(Duration::from_millis(50));
    let second = run(with(&[]));
    assert!(first.try_wait().unwrap().is_none(), "the first one has ended before the second: nothing was tried");
    assert_eq!(second.code, Some(1), "{}", second.stderr);
    assert!(second.stderr.contains(&format!("process {} on ", first.id())), "{}", second.stderr);
    assert!(first.wait().unwrap().success());
    assert_eq!(names(&made), ["out"]);
    assert!(out.join("linear.json").is_file());
    // And from now on the folder is in use in the usual sense.
    assert!(run(with(&[])).stderr.contains("found a folder that is not empty"));
}

/// A file cannot be called like a folder, which is found before anything is read; a folder may.
#[test]
fn a_name_with_a_separator_at_its_end_is_that_of_a_folder() {
    let folder = scratch("claims-separator");
    let file = folder.join("scores.csv/");
    let ran = run(arguments!["predict", "--data", "no-such", "--weights", "no-such", "--out", file]);
    assert!(ran.code == Some(1) && ran.stderr.contains("with / at its end, expected that of a new file"), "{ran:?}");
    for command in [["splits", "--rows", "100"], ["export", "random", "--arch=resnet18"]] {
        let out = folder.join(format!("{}/", command[0]));
        succeed(command.into_iter().map(OsString::from).chain(arguments!["--out", out]));
    }
    assert_eq!(names(&folder), ["export", "splits"]);
}

/// Whoever is killed leaves a file that holds nobody off.
#[test]
#[cfg(unix)]
fn a_killed_command_does_not_block_its_folder() {
    let folder = scratch("claims-killed");
    let out = folder.join("out");
    let many = arguments!["synth", "--out", out, "--train-patients", "20000", "--size", "512"];
    let mut first = tool(many).spawn().unwrap();
    // With its text: killed in the moment between, it leaves an empty file, of which nobody can say whose it is.
    while fs::metadata(folder.join(".out.lock")).map_or(0, |facts| facts.len()) == 0 {
        sleep(Duration::from_millis(1));
    }
    first.kill().unwrap();
    first.wait().unwrap();
    // Any other command in the same folder clears what is left of it.
    succeed(arguments!["splits", "--rows", "100", "--out", folder.join("draws")]);
    assert!(!folder.join(".out.lock").exists());
    succeed(arguments!["synth", "--out", out, "--train-patients", "2", "--size", "32"]);
    assert_eq!(names(&folder), ["draws", "out"]);
}

/// No command writes its files to standard output; a file or folder called `-` is a mistake.
#[test]
fn a_dash_is_no_name() {
    let folder = scratch("claims-dash");
    let results = arguments!["reproduce", "table1", "--results", "-"].to_vec();
    let caches = ["pretrain", "cache", "linear", "embed"].map(|name| arguments![name, "--cache", "-"].to_vec());
    for command in commands(Path::new("-")).into_iter().chain([results]).chain(caches) {
        let output = tool(&command).current_dir(&folder).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{command:?}: {said}");
        assert!(said.contains("files are not written to standard output; expected a name"), "{command:?}: {said}");
        assert_eq!(names(&folder), [""; 0], "{command:?}");
    }
    let dash = tool(arguments!["splits", "--rows", "100", "--out", "./-"]).current_dir(&folder).output().unwrap();
    assert!(dash.status.success() && folder.join("-").is_dir());
}

/// What could never get its name in the end is refused at the start.
#[test]
#[cfg(unix)]
fn a_link_to_nothing_is_refused_and_one_to_an_empty_folder_is_that_folder() {
    let folder = scratch("claims-links");
    for (link, to) in [("nowhere", "no-such"), ("link", "true")] {
        std::os::unix::fs::symlink(to, folder.join(link)).unwrap();
    }
    fs::create_dir(folder.join("true")).unwrap();
    let splits = |out: &str| run(arguments!["splits", "--rows", "100", "--out", folder.join(out)]);
    let ran = splits("nowhere");
    assert!(ran.code == Some(1) && ran.stderr.contains("a link to something that is not there"), "{ran:?}");
    assert_eq!(splits("link").code, Some(0));
    assert!(names(&folder.join("true")).len() > 10 && folder.join("link").is_symlink());
    assert_eq!(names(&folder), ["link", "nowhere", "true"]);
}
