//! What may happen to a run from outside: Ctrl-C and other signals (the first one saves the run, the second one ends it at
//! once), a time limit, a second process, a reader that goes away. A fine-tuning keeps the draws that are finished.
#![cfg(unix)]
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::OnceLock,
    thread::sleep,
    time::{Duration, Instant},
};

use support::{files, metrics, names, run, scratch, succeed, synth, tiny_config, tool};

/// A set, and settings of a run of short epochs.
fn made() -> &'static (PathBuf, PathBuf, PathBuf) {
    static MADE: OnceLock<(PathBuf, PathBuf, PathBuf)> = OnceLock::new();
    MADE.get_or_init(|| {
        let folder = scratch("interrupt");
        let (set, _) = synth(&folder, "set", 6, [30, 0, 0]);
        let config = tiny_config(&folder);
        (folder, set, config)
    })
}

fn pretrain(out: &Path, more: &[&str]) -> Command {
    let (_, set, config) = made();
    let command = arguments!["pretrain", "--data", set, "--config", config, "--out", out];
    // Seconds, so that a signal after the third step comes before the end.
    let epochs: &[&str] = if more.contains(&"--epochs") { &[] } else { &["--epochs", "8"] };
    let mut command = tool(command.into_iter().chain(epochs.iter().chain(more).map(Into::into)));
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn wait(child: &mut Child, what: &str, has_come: impl Fn() -> bool) {
    let start = Instant::now();
    while !has_come() {
        assert!(child.try_wait().unwrap().is_none(), "ended before {what}");
        assert!(start.elapsed() < Duration::from_secs(300), "{what} never came");
        sleep(Duration::from_millis(1));
    }
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

fn lines(path: &Path) -> usize {
    fs::read(path).map_or(0, |bytes| bytes.iter().filter(|&&b| b == b'\n').count())
}

/// Steps in the log, whose lines are also those of epochs.
fn steps(run: &Path) -> usize {
    metrics(run).iter().filter(|line| line["split"] == "train").count()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Runs until the third step and sends a signal.
fn interrupted(out: &Path, name: &str, more: &[&str]) -> Output {
    let mut child = pretrain(out, more).spawn().unwrap();
    wait(&mut child, "the third step", || lines(&out.join("metrics.jsonl")) >= 3);
    signal(&child, name);
    child.wait_with_output().unwrap()
}

#[test]
fn an_interrupted_run_says_how_to_go_on_and_ends_as_the_one_that_was_not() {
    let (folder, ..) = made();
    let undisturbed = folder.join("undisturbed");
    assert!(pretrain(&undisturbed, &["--quiet"]).status().unwrap().success());
    let out = folder.join("interrupted");
    let ran = interrupted(&out, "-INT", &[]);
    assert_eq!(ran.status.code(), Some(130), "{}", text(&ran.stderr));
    let (said, noted) = (text(&ran.stdout), text(&ran.stderr));
    assert!(noted.contains("interrupted: writing a checkpoint"), "{noted}");
    let step = steps(&out);
    assert_eq!(fs::read_to_string(out.join("checkpoints/latest")).unwrap().trim(), format!("step-{step:08}"));
    let (stopped, again) = said.trim().split_once("; resume with: moco-cxr ").expect("how to resume");
    assert_eq!(stopped, format!("stopped at step {step}"));
    assert!(fs::read_to_string(out.join("train.log")).unwrap().ends_with(&format!("{stopped}\n")));

    // The very command, but for the name of the program.
    succeed(again.split(' '));
    let model = |run: &Path| fs::read(run.join("export/model.safetensors")).unwrap();
    assert!(model(&out) == model(&undisturbed), "the weights differ");
    assert_eq!(metrics(&out).len(), metrics(&undisturbed).len());
    let log = fs::read_to_string(out.join("train.log")).unwrap();
    assert!(log.contains(&format!("resuming at step {step}")), "{log}");
}

#[test]
fn a_scheduler_that_ends_a_run_finds_a_checkpoint_and_the_state_as_json() {
    let out = made().0.join("terminated");
    let ran = interrupted(&out, "-TERM", &["--json", "--quiet", "--epochs", "100000"]);
    assert_eq!((ran.status.code(), text(&ran.stderr).as_str()), (Some(130), ""));
    let result: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!((result["finished"].as_bool(), result["weights"].is_null()), (Some(false), true));
    assert_eq!(result["step"], steps(&out));
    assert!(result["resume"].as_str().unwrap().ends_with(&format!("--resume --out {}", out.display())));
}

#[test]
fn signals_of_schedulers_and_closed_terminals_write_a_checkpoint() {
    for name in ["-HUP", "-USR1"] {
        let out = made().0.join(name);
        let ran = interrupted(&out, name, &["--quiet", "--epochs", "100000"]);
        assert_eq!(ran.status.code(), Some(130), "{name}: {}", text(&ran.stderr));
        let step = steps(&out);
        assert_eq!(fs::read_to_string(out.join("checkpoints/latest")).unwrap().trim(), format!("step-{step:08}"));
        assert!(!out.join("run.lock").exists());
    }
}

/// `nohup` starts a program with SIGHUP ignored.
#[test]
#[cfg(target_os = "linux")]
fn under_nohup_a_closed_terminal_changes_nothing() {
    let out = made().0.join("nohup");
    let inner = pretrain(&out, &["--quiet"]);
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' HUP; exec \"$@\"", "sh"]).arg(inner.get_program()).args(inner.get_args());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait(&mut child, "the third step", || lines(&out.join("metrics.jsonl")) >= 3);
    signal(&child, "-HUP");
    let ran = child.wait_with_output().unwrap();
    assert!(ran.status.success(), "{}", text(&ran.stderr));
    assert!(out.join("export/model.safetensors").is_file());
}

#[test]
fn a_run_stops_by_itself_before_its_time_is_over_and_can_go_on() {
    let out = made().0.join("limited");
    let start = Instant::now();
    // Far more epochs than fit.
    let ran = pretrain(&out, &["--epochs", "100000", "--max-time", "6s"]).output().unwrap();
    assert_eq!(ran.status.code(), Some(130), "{}", text(&ran.stderr));
    assert!(text(&ran.stderr).contains("the time of --max-time is over"), "{}", text(&ran.stderr));
    // A wide margin for a busy machine; without the limit it would take hours.
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
    let step = steps(&out);
    assert!(step >= 1 && text(&ran.stdout).contains(&format!("stopped at step {step}; resume with")));
    assert!(pretrain(&made().0.join("no time"), &["--max-time", "soon"]).output().unwrap().status.code() == Some(2));
}

/// What a scheduler does that restarts a job which is still running.
#[test]
fn a_second_process_is_told_who_is_there_and_changes_nothing() {
    let out = made().0.join("shared");
    let mut first = pretrain(&out, &["--quiet", "--epochs", "100000"]).spawn().unwrap();
    wait(&mut first, "the third step", || lines(&out.join("metrics.jsonl")) >= 3);
    for how in ["--resume", "--overwrite"] {
        let second = pretrain(&out, &["--quiet", how]).output().unwrap();
        let fault = text(&second.stderr);
        assert_eq!(second.status.code(), Some(1), "{fault}");
        assert!(fault.contains(&format!("process {}", first.id())) && fault.contains("is writing this run"), "{fault}");
    }
    signal(&first, "-TERM");
    assert_eq!(first.wait_with_output().unwrap().status.code(), Some(130));
    let steps: Vec<u64> =
        metrics(&out).iter().filter(|l| l["split"] == "train").map(|l| l["step"].as_u64().unwrap()).collect();
    assert!(steps.iter().copied().eq(1..=steps.len() as u64), "{steps:?}");

    // Killed, it leaves its lock, which holds nobody off.
    let there = lines(&out.join("metrics.jsonl"));
    let mut killed = pretrain(&out, &["--quiet", "--resume", "--epochs", "100000"]).spawn().unwrap();
    wait(&mut killed, "one more step", || lines(&out.join("metrics.jsonl")) > there + 3);
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert!(out.join("run.lock").is_file());
    let ran = pretrain(&out, &["--quiet", "--resume", "--epochs", "100000", "--max-time", "3s"]).output().unwrap();
    assert_eq!(ran.status.code(), Some(130), "{}", text(&ran.stderr));
}

/// The job file of the documentation, with stand-ins for SLURM's commands: the job is put back until the run is finished.
#[test]
#[cfg(target_os = "linux")]
fn the_job_file_goes_on_until_the_run_is_finished() {
    use std::os::unix::fs::{PermissionsExt, symlink};

    let (folder, set, config) = made();
    let (bin, out) = (folder.join("slurm"), folder.join("job"));
    fs::create_dir(&bin).unwrap();
    symlink(env!("CARGO_BIN_EXE_moco-cxr"), bin.join("moco-cxr")).unwrap();
    for (name, script) in [("srun", "shift; exec \"$@\""), ("scontrol", "echo \"$@\" >> \"$RUN.requeued\"")] {
        let path = bin.join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let job = |time: &str| {
        let mut command = Command::new("bash");
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/pretrain.sbatch"));
        command.args(arguments!["--config", config, "--quiet", "--epochs", "6"]);
        let names = [("PATH", &path[..]), ("SLURM_JOB_ID", "17"), ("SLURM_CPUS_PER_TASK", "8"), ("MAX_TIME", time)];
        command.envs(names).env("DATA", set).env("RUN", &out).output().unwrap()
    };
    // No step takes less than a millisecond: stopped after the first, twice, then finished.
    let (first, second, last) = (job("1ms"), job("1ms"), job("1h"));
    assert_eq!([&first, &second].map(|ran| ran.status.code()), [Some(130); 2], "{}", text(&first.stderr));
    assert_eq!(last.status.code(), Some(0), "{}", text(&last.stderr));
    assert_eq!(fs::read_to_string(folder.join("job.requeued")).unwrap(), "requeue 17\n".repeat(2));
    let steps: Vec<u64> =
        metrics(&out).iter().filter(|l| l["split"] == "train").map(|l| l["step"].as_u64().unwrap()).collect();
    assert!(steps.iter().copied().eq(1..=steps.len() as u64), "{steps:?}");
}

/// As `pretrain 2>&1 | head -2`, and a `tee` that is killed.
#[test]
fn a_reader_that_goes_away_costs_nothing_but_its_lines() {
    let out = made().0.join("unread");
    let mut child = pretrain(&out, &["--print-freq", "1"]).spawn().unwrap();
    drop(child.stdout.take());
    drop(child.stderr.take());
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(1), "results cannot be printed, which is no panic");
    assert!(out.join("export/model.safetensors").is_file());
    assert!(fs::read_to_string(out.join("train.log")).unwrap().contains("finished at step"));
}

#[test]
fn a_second_signal_stops_at_once() {
    let out = made().0.join("twice");
    // Steps of seconds: the second signal comes within the step that the first one lets finish.
    let words = ["--arch", "resnet18", "--set", "views.size=224", "--batch-size", "16"];
    let mut child = pretrain(&out, &words).spawn().unwrap();
    wait(&mut child, "the first step", || lines(&out.join("metrics.jsonl")) >= 1);
    signal(&child, "-INT");
    // Signals of a kind that nobody has taken yet are one.
    sleep(Duration::from_millis(300));
    signal(&child, "-INT");
    let ran = child.wait_with_output().unwrap();
    assert_eq!(ran.status.code(), Some(130));
    assert_eq!(text(&ran.stdout), "", "it did not go on to the end of the step");
    let checkpoints = out.join("checkpoints");
    assert!(!checkpoints.exists() || !names(&checkpoints).contains(&"latest".to_owned()));
}

#[test]
fn what_a_quickstart_or_a_drawing_has_begun_goes_with_it() {
    use std::os::unix::process::ExitStatusExt;

    let folder = scratch("interrupt-begun");
    let started = |mut command: Command| command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Not SIGINT, which shells have jobs in the background ignore: this test may be one.
    let ended = |mut child: Child, left: &[&str]| {
        signal(&child, "-TERM");
        assert_eq!(child.wait().unwrap().signal(), Some(15));
        assert_eq!(names(&folder), left);
    };

    let out = folder.join("drawn");
    let mut child = started(tool(arguments!["quickstart", "--quiet", "--device", "cpu", "--out", out]));
    wait(&mut child, "the set that is drawn", || {
        out.exists() && names(&out).iter().any(|name| name.starts_with(".data.partial-"))
    });
    ended(child, &[]);

    let out = folder.join("below/first");
    let mut child = started(tool(arguments!["quickstart", "--quiet", "--device", "cpu", "--out", out]));
    wait(&mut child, "the pretraining", || out.join("run/run.lock").exists());
    ended(child, &[]);

    let set = folder.join("set");
    let mut child = started(tool(arguments!["synth", "--train-patients", "5000", "--out", set]));
    wait(&mut child, "the folder that is written", || names(&folder).iter().any(|name| name.contains(".partial-")));
    ended(child, &[]);

    // What a user has put there meanwhile stays.
    let mut child = started(tool(arguments!["quickstart", "--quiet", "--device", "cpu", "--out", set]));
    wait(&mut child, "the pretraining", || set.join("run/run.lock").exists());
    fs::write(set.join("notes.txt"), "mine").unwrap();
    ended(child, &["set"]);
    assert_eq!(names(&set), ["notes.txt"]);
}

#[test]
fn a_fine_tuning_that_is_ended_goes_on_with_its_finished_draws() {
    let folder = scratch("interrupt-finetune");
    let (set, _) = synth(&folder, "set", 7, [24, 8, 12]);
    let command = |out: &Path, lr: &str| {
        arguments![
            "finetune",
            "--data",
            set,
            "--weights",
            "random",
            "--arch",
            "resnet18-narrow",
            "--image-size",
            "32",
            "--task",
            "Pleural Effusion",
            "--fraction",
            "0.5",
            "--draws",
            "6",
            "--epochs",
            "4",
            "--batch-size",
            "8",
            "--checkpoint",
            "top10",
            "--lr",
            lr,
            "--out",
            out,
        ]
    };
    let (undisturbed, out) = (folder.join("undisturbed"), folder.join("ended"));
    succeed(command(&undisturbed, "1e-4"));
    let unfinished = folder.join("ended.unfinished");
    let mut child = tool(command(&out, "1e-4")).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait(&mut child, "the first draw", || unfinished.join("fraction-0.5-draw-0/run.toml").is_file());
    signal(&child, "-KILL");
    let noted = text(&child.wait_with_output().unwrap().stderr);
    assert!(!out.exists() && unfinished.is_dir());

    let other = run(command(&out, "1e-3"));
    assert_eq!(other.code, Some(1), "{}", other.stderr);
    assert!(other.stderr.contains("another fine-tuning (training was"), "{}", other.stderr);
    let again = succeed(command(&out, "1e-4"));
    assert!(again.stderr.contains("draw 1 of 6: finished before"), "{noted}\n{}", again.stderr);
    assert!(!again.stderr.contains("draw 6 of 6: finished before"), "it was ended early");
    assert!(!unfinished.exists());
    let (ours, theirs) = (files(&out), files(&undisturbed));
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
    for (path, bytes) in &ours {
        // All but the time of its start.
        assert!(bytes == &theirs[path] || path == Path::new("run.json"), "{} differs", path.display());
    }
}
