//! The tool on several ranks over MPI: the numbers of one process, and what becomes of a run when a rank is killed, stopped, or
//! has no room on its disk.
//!
//! Needs `mpirun`; without it the tests are skipped, unless `MOCO_CXR_REQUIRE_MPI` is set. `MOCO_CXR_MPIRUN` names another one,
//! as for a build with MPICH: `MPICC=mpicc.mpich MOCO_CXR_MPIRUN=mpirun.mpich cargo test --features mpi --test scale_mpi`.
#![cfg(feature = "mpi")]
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

mod support;

use std::{
    ffi::OsString,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    thread::sleep,
    time::{Duration, Instant},
};

use moco_cxr::moco_core::RunState;
use serde_json::Value;
use support::{files, metrics, scratch, succeed, synth};

/// A set, and a run on two ranks that nobody disturbed. One test at a time: ranks of several runs on few
/// processors wait for each other in turn.
struct Made {
    folder: PathBuf,
    set: PathBuf,
}

/// The program that starts ranks, and whether it is OpenMPI's and not MPICH's; `None` if there is none.
fn launcher() -> Option<(OsString, bool)> {
    let program = std::env::var_os("MOCO_CXR_MPIRUN").unwrap_or_else(|| "mpirun".into());
    let output = Command::new(&program).arg("--version").output().ok().filter(|output| output.status.success())?;
    Some((program, String::from_utf8_lossy(&output.stdout).contains("Open MPI")))
}

fn made() -> Option<(&'static Made, MutexGuard<'static, ()>)> {
    static MADE: OnceLock<Option<Made>> = OnceLock::new();
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let made = MADE.get_or_init(|| {
        if launcher().is_none() {
            assert!(std::env::var_os("MOCO_CXR_REQUIRE_MPI").is_none(), "mpirun is required and not there");
            println!("skipped: no mpirun");
            return None;
        }
        let folder = scratch("scale_mpi");
        let set = synth(&folder, "set", 6, [100, 0, 0]).0;
        let made = Made { folder, set };
        finish(&made, 2, &made.folder.join("ranks-2"), &[]);
        Some(made)
    });
    Some((made.as_ref()?, turn))
}

fn pretrain(made: &Made, out: &Path, more: &[&str]) -> Vec<OsString> {
    let mut words = arguments!["pretrain", "--data", made.set, "--out", out, "--resume"].to_vec();
    let fixed = "--preset small --arch resnet18-narrow --device cpu --set views.size=32 --batch-size 16 --moco-k 64 --lr 2e-8 --workers 1 --epochs 6 \
                 --set checkpoints.every_steps=3 --set train.moco.mask_same_patient=true";
    words.extend(fixed.split_whitespace().chain(more.iter().copied()).map(Into::into));
    // A new network on parts of a batch of 4 to 8 images amplifies: a rate that is larger by 3e-6 gives another loss at the fifth
    // step, in one process, too. So steps are short here; crates/moco-core/tests/ranks_f64.rs takes large ones in f64.
    words.extend(["--set", "train.optimizer.rule={ name = \"sgd\" }"].map(Into::into));
    words
}

fn mpirun(ranks: usize, words: Vec<OsString>) -> Command {
    let (program, open_mpi) = launcher().unwrap();
    let mut command = Command::new(program);
    if open_mpi {
        command.args(["--oversubscribe", "--bind-to", "none", "--allow-run-as-root"]);
    }
    command.args(["-n", &ranks.to_string(), env!("CARGO_BIN_EXE_moco-cxr")]).args(words);
    command.env("MOCO_CXR_CACHE", Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache"));
    // Containers often forbid the system call by which one process reads another's memory.
    command.env("OMPI_MCA_btl_vader_single_copy_mechanism", "none");
    command
}

fn finish(made: &Made, ranks: usize, out: &Path, more: &[&str]) {
    let output = mpirun(ranks, pretrain(made, out, more)).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert_eq!(String::from_utf8_lossy(&output.stdout).matches("weights:").count(), 1, "rank 0 alone prints");
    assert!(said.matches("one for each rank").count() <= 1, "{said}");
}

/// Starts a run in the background; what it says goes to a file.
fn start(made: &Made, out: &Path, more: &[&str]) -> (Child, PathBuf) {
    let log = out.with_extension("stderr");
    (heard(mpirun(2, pretrain(made, out, more)), &log), log)
}

/// Starts a command in the background. OpenMPI says on standard error what became of a rank, MPICH on standard output.
fn heard(mut command: Command, log: &Path) -> Child {
    let file = File::create(log).unwrap();
    command.stdout(file.try_clone().unwrap()).stderr(file).spawn().unwrap()
}

/// Whether MPI says that a rank was killed.
fn tells_of_signal_9(said: &str) -> bool {
    said.contains("signal 9") || said.contains("SIGNAL: 9")
}

fn lines(run: &Path) -> usize {
    fs::read(run.join("metrics.jsonl")).map_or(0, |log| log.iter().filter(|&&byte| byte == b'\n').count())
}

/// The process of a rank of the run in `out`.
fn process_of(rank: usize, out: &Path) -> String {
    let wanted = ["OMPI_COMM_WORLD_RANK", "PMI_RANK"].map(|name| format!("{name}={rank}"));
    let is = |pid: &str| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let has = |text: &[u8], part: &str| text.split(|&byte| byte == 0).any(|word| word == part.as_bytes());
        wanted.iter().any(|wanted| has(&environment, wanted)) && has(&words, out.to_str().unwrap())
    };
    let pids = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().into_string().ok());
    pids.filter(|name| name.bytes().all(|byte| byte.is_ascii_digit())).find(|pid| is(pid)).expect("a rank of the run")
}

/// Does something to a rank after so many steps; what mpirun says when the run has ended, as it must soon.
fn disturbed(made: &Made, out: &Path, more: &[&str], signal: &str, within: Duration) -> String {
    let (mut child, log) = start(made, out, more);
    until(&mut child, &log, || lines(out) >= 5);
    ended(child, &log, &process_of(1, out), signal, within)
}

/// Waits until ranks that were started have come so far.
fn until(child: &mut Child, log: &Path, reached: impl Fn() -> bool) {
    let begun = Instant::now();
    while !reached() {
        assert!(child.try_wait().unwrap().is_none(), "ended before: {}", fs::read_to_string(log).unwrap());
        assert!(begun.elapsed() < Duration::from_secs(300), "not so far: {}", fs::read_to_string(log).unwrap());
        sleep(Duration::from_millis(5));
    }
}

/// Gives a rank a signal; what is said until all have ended, as they must soon.
fn ended(mut child: Child, log: &Path, pid: &str, signal: &str, within: Duration) -> String {
    assert!(Command::new("kill").args([signal, pid]).status().unwrap().success());
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        assert!(begun.elapsed() < within, "the run goes on without a rank: {}", fs::read_to_string(log).unwrap());
        sleep(Duration::from_millis(20));
    };
    let said = fs::read_to_string(log).unwrap();
    assert!(!status.success(), "{said}");
    let process = PathBuf::from(format!("/proc/{pid}"));
    let begun = Instant::now();
    while process.exists() {
        assert!(begun.elapsed() < Duration::from_secs(20), "a process is left behind");
        sleep(Duration::from_millis(20));
    }
    said
}

fn last_checkpoint(run: &Path) -> PathBuf {
    run.join("checkpoints").join(fs::read_to_string(run.join("checkpoints/latest")).unwrap().trim())
}

/// The log but for what a clock said.
fn timeless(run: &Path) -> Vec<Value> {
    let strip = |mut line: Value| {
        for time in ["wall_s", "data_s", "step_s", "times", "crc32c"] {
            line.as_object_mut().unwrap().remove(time);
        }
        line
    };
    metrics(run).into_iter().map(strip).collect()
}

/// Goes on on two ranks, and ends as the run that was not disturbed, bit for bit.
fn goes_on(made: &Made, out: &Path) {
    let step = RunState::read(&last_checkpoint(out)).unwrap().position.step;
    assert!((3..60).contains(&step), "a whole checkpoint in the middle, found step {step}");
    finish(made, 2, out, &[]);
    let whole = made.folder.join("ranks-2");
    assert!(files(&last_checkpoint(out)) == files(&last_checkpoint(&whole)), "the last checkpoint differs");
    assert_eq!(timeless(out), timeless(&whole));
    fs::remove_dir_all(out).unwrap();
}

#[test]
fn ranks_over_mpi_equal_one_process_with_as_many_groups() {
    let Some((made, _turn)) = made() else { return };
    // Parts of a batch have 4 x 3 x 3 values a channel in the last stage: of 4 x 2 x 2, which they have with 64 px, one batch in
    // twenty made losses 1e-5 different (AVX2). Two ranks, as threads, are held to the same in tests/scale_local.rs.
    let (ranks, size) = (4, "views.size=80");
    let (several, one) = (made.folder.join("same"), made.folder.join("groups"));
    finish(made, ranks, &several, &["--set", size]);
    finish(made, ranks, &several, &["--set", size]); // done already, which is no error
    succeed(pretrain(made, &one, &["--quiet", "--set", size, "--set", &format!("train.moco.groups={ranks}")]));
    let (ours, theirs) = (timeless(&several), timeless(&one));
    assert!(ours.len() == theirs.len() && ours.len() >= 60, "{} lines", ours.len());
    let steps = ours.iter().zip(&theirs).filter(|(line, _)| line["split"] == "train");
    for (a, b) in steps.take(20) {
        let (a, b) = (a["loss"].as_f64().unwrap(), b["loss"].as_f64().unwrap());
        assert!((a - b).abs() <= 1e-5, "{ranks} ranks: loss {a} and {b}"); // sums in another order
    }
    let [ours, theirs] = [&several, &one].map(|run| RunState::read(&last_checkpoint(run)).unwrap());
    for (name, data) in &theirs.weights {
        let numbers = |state: &RunState| state.weights[name].clone().convert::<f64>().try_to_vec::<f64>().unwrap();
        let bound = if name.contains("running") { 1e-5 } else { 1e-4 };
        assert_eq!(data.shape(), ours.weights[name].shape());
        for (a, b) in numbers(&ours).into_iter().zip(numbers(&theirs)) {
            assert!((a - b).abs() <= bound * (1.0 + b.abs()), "{ranks} ranks: {name}: {a} and {b}");
        }
    }
    for name in ["queue_ptr", "filled", "patients", "written_at"] {
        assert_eq!(ours.queue()[name], theirs.queue()[name], "{ranks} ranks: {name}");
    }
    let rows = |state: &RunState| state.queue()["queue"].clone().convert::<f64>().try_to_vec::<f64>().unwrap();
    for (a, b) in rows(&ours).into_iter().zip(rows(&theirs)) {
        assert!((a - b).abs() <= 1e-4, "{ranks} ranks: the queue has {a}, expected {b}");
    }
}

#[test]
fn a_rank_that_is_killed_ends_the_run_which_then_goes_on() {
    let Some((made, _turn)) = made() else { return };
    let out = made.folder.join("killed");
    let said = disturbed(made, &out, &[], "-KILL", Duration::from_secs(60));
    assert!(tells_of_signal_9(&said), "{said}");
    goes_on(made, &out);
}

#[test]
fn a_rank_that_hangs_ends_the_run_after_the_deadline() {
    let Some((made, _turn)) = made() else { return };
    let out = made.folder.join("stopped");
    let said = disturbed(made, &out, &["--rank-timeout", "10s"], "-STOP", Duration::from_secs(90));
    let line = "rank 0: waited 10 s for the other ranks (";
    assert_eq!(said.matches(line).count(), 1, "{said}");
    goes_on(made, &out);
}

#[test]
fn a_signal_to_one_rank_stops_all_at_the_same_step() {
    let Some((made, _turn)) = made() else { return };
    let out = made.folder.join("signalled");
    let said = disturbed(made, &out, &[], "-USR1", Duration::from_secs(60));
    assert!(!said.contains("error:"), "{said}");
    goes_on(made, &out);
}

#[test]
fn a_full_disk_on_rank_0_ends_the_run_which_then_goes_on() {
    let Some((made, _turn)) = made() else { return };
    let disk = made.folder.join("disk");
    fs::create_dir_all(&disk).unwrap();
    let mount = |options: &str| {
        Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&disk).stderr(Stdio::null()).status()
    };
    // A checkpoint of this network takes some 9 MB: one fits, and not three.
    if !mount("size=21000k").is_ok_and(|status| status.success()) {
        println!("skipped: no file system can be mounted here");
        return;
    }
    struct Mounted<'a>(&'a Path);
    impl Drop for Mounted<'_> {
        fn drop(&mut self) {
            let _ = Command::new("umount").arg(self.0).status();
        }
    }
    let mounted = Mounted(&disk);
    let out = disk.join("run");
    let output = mpirun(2, pretrain(made, &out, &[])).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("rank 0: error:") && said.contains("No space left"), "{said}");
    assert_eq!(said.matches("error:").count(), 1, "{said}");
    assert!(Command::new("mount").args(["-o", "remount,size=2000000k"]).arg(&disk).status().unwrap().success());
    goes_on(made, &out);
    drop(mounted);
}

/// A set with labels in all parts; made once.
fn labelled(made: &Made) -> PathBuf {
    let set = made.folder.join("labelled");
    if set.exists() { set } else { synth(&made.folder, "labelled", 6, [60, 12, 20]).0 }
}

fn finetune(made: &Made, out: &Path, epochs: &str) -> Vec<OsString> {
    let mut words = arguments!["finetune", "--data", labelled(made), "--out", out, "--epochs", epochs].to_vec();
    let fixed = "--weights random --arch resnet18-narrow --image-size 32 --device cpu --workers 1 --lr 3e-4 --task Cardiomegaly \
                 --fraction 0.3 --fraction 0.6 --fraction 1 --draws 2 --unchecked-pretraining";
    words.extend(fixed.split_whitespace().map(Into::into));
    words
}

/// The files of a folder but for what a clock and the launcher said.
fn results(folder: &Path) -> std::collections::BTreeMap<PathBuf, Vec<u8>> {
    let mut files = files(folder);
    files.retain(|path, _| !path.ends_with("run.json"));
    files
}

#[test]
fn a_fine_tuning_whose_draws_are_dealt_to_ranks_is_that_of_one_process() {
    let Some((made, _turn)) = made() else { return };
    let (one, several, hurt) =
        (made.folder.join("tuned-1"), made.folder.join("tuned-3"), made.folder.join("tuned-hurt"));
    succeed(finetune(made, &one, "6"));
    let expected = results(&one);
    assert!(expected.len() > 20, "{:?}", expected.keys());
    let output = mpirun(3, finetune(made, &several, "6")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.contains("5 draws are dealt to 3 ranks"), "{said}");
    assert_eq!(String::from_utf8_lossy(&output.stdout).matches("Cardiomegaly").count(), 3, "rank 0 alone prints");
    let found = results(&several);
    assert!(found.keys().eq(expected.keys()), "{:?}", found.keys());
    for (path, bytes) in &found {
        assert!(*bytes == expected[path], "{}", path.display());
    }
    assert!(!made.folder.join("tuned-3.unfinished").exists());

    // A rank that is killed ends all; what was finished stays, and one process goes on from it.
    let kept = made.folder.join("tuned-hurt.unfinished");
    let finished = || files_named(&kept, "run.toml");
    let log = hurt.with_extension("log");
    let mut child = heard(mpirun(2, finetune(made, &hurt, "6")), &log);
    until(&mut child, &log, || finished() > 0);
    let said = ended(child, &log, &process_of(1, &hurt), "-KILL", Duration::from_secs(60));
    assert!(tells_of_signal_9(&said), "{said}");
    assert!((1..5).contains(&finished()) && !hurt.exists(), "{}", finished());
    // Of ranks that mean different things the first that differs is named, and all end.
    let other = OsString::from(env!("CARGO_BIN_EXE_moco-cxr"));
    let mut command = mpirun(1, finetune(made, &hurt, "6"));
    command.args([":", "-n", "1"]).arg(other).args(finetune(made, &hurt, "7"));
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("rank 1: error:"), "{said}");
    assert!(said.contains("finished draws of another fine-tuning") && said.matches("error:").count() == 1, "{said}");
    let again = succeed(finetune(made, &hurt, "6"));
    assert!(again.stderr.contains("finished before"), "{}", again.stderr);
    assert!(results(&hurt) == expected, "the results differ");
}

#[test]
fn a_rank_that_hangs_while_it_works_apart_ends_all_after_the_deadline() {
    let Some((made, _turn)) = made() else { return };
    let out = made.folder.join("hangs");
    let mut words = finetune(made, &out, "1000");
    words.extend(["--rank-timeout", "8s"].map(Into::into));
    let log = out.with_extension("log");
    let mut child = heard(mpirun(2, words), &log);
    // One folder for each run.
    let runs = made.folder.join("hangs.unfinished/ranks");
    let sign = || fs::read_dir(&runs).ok()?.flatten().find_map(|run| fs::read_to_string(run.path().join("1")).ok());
    until(&mut child, &log, || sign().is_some_and(|sign| sign.contains(", epoch ")));
    let said = ended(child, &log, &process_of(1, &out), "-STOP", Duration::from_secs(60));
    let line = "rank 0: rank 1 without a sign of life for 8s, the last: fraction";
    assert!(said.contains(line) && said.matches("sign of life").count() == 1, "{said}");
}

#[test]
fn a_rank_that_does_not_see_what_the_others_write_is_named() {
    let Some((made, _turn)) = made() else { return };
    let there = made.folder.join("elsewhere");
    fs::create_dir_all(&there).unwrap();
    // The second rank has another file system there, as on a machine where that of the others is not mounted.
    let mounted = ["-m", "sh", "-c", "mount -t tmpfs tmpfs \"$0\" && exec \"$@\""];
    let apart = Command::new("unshare").args(mounted).arg(&there).arg("true").stderr(Stdio::null()).status();
    if !apart.is_ok_and(|status| status.success()) {
        println!("skipped: no file system can be mounted here");
        return;
    }
    let out = there.join("tuned");
    let table = arguments![
        "reproduce",
        "app1",
        "--results",
        there.join("results"),
        "--data",
        labelled(made),
        "--protocol",
        "standard",
        "--image-size",
        "32",
        "--device",
        "cpu",
        "--workers",
        "1",
        "--weights",
        "resnet18-moco=random"
    ];
    let cases = [
        (finetune(made, &out, "1"), format!("{}.unfinished, where rank 0 keeps finished draws,", out.display())),
        (table.to_vec(), there.join("results").display().to_string()),
    ];
    for (words, place) in cases {
        let mut command = mpirun(1, words.clone());
        command.args([":", "-n", "1", "unshare"]).args(mounted).arg(&there);
        command.arg(env!("CARGO_BIN_EXE_moco-cxr")).args(words);
        command.env("MOCO_CXR_CACHE", made.folder.join("no-published-weights"));
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.matches("error:").count() == 1, "{said}");
        assert!(
            said.contains(&format!("rank 1: error: ranks: {place} is not seen here; expected one folder")),
            "{said}"
        );
    }
}

/// Files of a name one folder below.
fn files_named(folder: &Path, name: &str) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter(|entry| entry.path().join(name).is_file()).count()
}

#[test]
fn a_table_whose_fits_are_dealt_to_ranks_is_that_of_one_process() {
    let Some((made, _turn)) = made() else { return };
    let set = labelled(made);
    let words = |of: &str| {
        let (to, out) = (made.folder.join(format!("results-{of}")), made.folder.join(format!("table-{of}")));
        let mut words = arguments!["reproduce", "app1", "--results", to, "--out", out, "--data", set].to_vec();
        let fixed =
            "--protocol standard --image-size 32 --epochs 1 --device cpu --workers 1 --weights resnet18-moco=random";
        words.extend(fixed.split_whitespace().map(Into::into));
        words
    };
    let nowhere = made.folder.join("no-published-weights");
    let run = |mut command: Command| {
        let output = command.env("MOCO_CXR_CACHE", &nowhere).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        String::from_utf8(output.stdout).unwrap()
    };
    let (one, several) = (run(support::tool(words("1"))), run(mpirun(2, words("2"))));
    assert!(one.contains("of 32 cells"), "{one}");
    assert!(several == one, "{several}\n{one}");
    for name in ["results", "table"] {
        let [ours, theirs] = ["2", "1"].map(|of| files(&made.folder.join(format!("{name}-{of}"))));
        assert!(ours.keys().eq(theirs.keys()) && ours.len() > 3, "{:?}\n{:?}", ours.keys(), theirs.keys());
        for (path, bytes) in &ours {
            let expected = &theirs[path];
            assert!(bytes == expected, "{}", path.display());
        }
    }
    // What is there is not made again, by any number of ranks.
    fs::remove_dir_all(made.folder.join("table-1")).unwrap();
    assert!(run(mpirun(2, words("1"))) == one);
}
