//! What the tool does with what it cannot use: one line that says what was found and what was expected, exit status 1
//! (2 for arguments that cannot be read), and everything on disk as it was.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use support::{Ran, files, read_json, run, scratch, succeed, synth, tiny_config};
use tempfile::TempDir;

/// A set, settings of a tiny run on it, and such a run; made once.
struct Made {
    folder: PathBuf,
    set: PathBuf,
    images: usize,
    config: PathBuf,
    run: PathBuf,
}

fn made() -> &'static Made {
    static MADE: OnceLock<Made> = OnceLock::new();
    MADE.get_or_init(|| {
        let folder = scratch("bad_input");
        let (set, summary) = synth(&folder, "set", 2, [24, 1, 8]);
        let (config, run) = (tiny_config(&folder), folder.join("run"));
        succeed(arguments!["pretrain", "--data", set, "--config", config, "--out", run, "--quiet"]);
        fs::remove_dir_all(run.join("checkpoints")).unwrap(); // the probe needs the export alone
        let images = summary["train"]["images"].as_u64().unwrap() as usize;
        Made { folder, set, images, config, run }
    })
}

/// A copy of the set to spoil, and its `train.csv`.
fn copy() -> (TempDir, PathBuf) {
    let copy = tempfile::tempdir().unwrap();
    for (name, bytes) in files(&made().set) {
        let path = copy.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    let table = copy.path().join("CheXpert-v1.0-small/train.csv");
    (copy, table)
}

/// `pretrain --out NEW` with these arguments in a folder that must stay empty.
fn pretrain(arguments: &[OsString]) -> Ran {
    refused("pretrain", arguments)
}

/// Runs a subcommand with `--out NEW --quiet`; nothing may be left, and standard error must be one line.
fn refused(subcommand: &str, arguments: &[OsString]) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    let command = arguments![subcommand, "--out", folder.path().join("out"), "--quiet"];
    let ran = run(command.iter().chain(arguments));
    assert_eq!(ran.code, Some(1), "{arguments:?}: {ran:?}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{arguments:?} left something");
    assert_eq!(ran.stdout, "", "{arguments:?}");
    assert_eq!(ran.stderr.lines().count(), 1, "{arguments:?}: {}", ran.stderr);
    assert!(ran.stderr.starts_with("error: "), "{}", ran.stderr);
    ran
}

fn says(ran: &Ran, words: &[&str]) {
    for word in words {
        assert!(ran.stderr.contains(word), "{word:?} is not in: {}", ran.stderr);
    }
}

#[test]
fn settings_out_of_range_are_named_with_what_was_found_and_expected() {
    let Made { set, config, images, .. } = made();
    let size = format!("set of {images} images");
    let cases: &[(&[&str], &[&str])] = &[
        (&["--image-size", "0"], &["views.size: found 0", "expected 8 to 4096"]),
        (&["--batch-size", "4096"], &["4096", &size, "expected at most"]),
        (&["--batch-size", "0"], &["train.batch_size: found 0", "at least 1"]),
        (&["--batch-size", "1", "--set", "train.moco.groups=1"], &["train.batch_size: found 1", "at least 2"]),
        (&["--batch-size", "1"], &["batches of 1", "expected"]),
        (&["--set", "train.moco.groups=3"], &["train.moco.groups: found 3 with batches of 8", "a divisor"]),
        (&["--moco-k", "0"], &["train.moco.queue_size: found 0", "at least 1"]),
        (&["--moco-t", "0"], &["train.moco.temperature: found 0", "above 0"]),
        (&["--moco-t=-0.1"], &["temperature: found -0.1", "above 0"]),
        (&["--moco-t", "nan"], &["temperature: found NaN", "above 0"]),
        (&["--moco-m", "2"], &["train.moco.momentum: found 2", "[0, 1]"]),
        (&["--epochs", "0"], &["train.epochs: found 0", "at least 1"]),
        (&["--lr", "0"], &["train.schedule.lr: found 0", "above 0"]),
        (&["--set", "channels=2"], &["channels", "found 2", "1 or 3"]),
        (&["--init", "no/such.safetensors"], &["no/such.safetensors", "no such file or folder"]),
    ];
    for (arguments, words) in cases {
        let mut all = arguments!["--data", set, "--config", config].to_vec();
        all.extend(arguments.iter().map(OsString::from));
        says(&pretrain(&all), words);
    }
}

#[test]
fn unknown_settings_are_named_beside_the_known_ones() {
    let set = &made().set;
    let with = |more: &[&str]| {
        let mut all = arguments!["--data", set].to_vec();
        all.extend(more.iter().map(OsString::from));
        pretrain(&all)
    };
    says(&with(&["--set", "train.moco.temprature=0.1"]), &["temprature", "did you mean `temperature`?"]);
    says(&with(&["--set", "epoch=3"]), &["unknown field `epoch`", "did you mean `train.epochs`?"]);
    says(&with(&["--set", "train.optimizer.rule.name=adm"]), &["unknown variant `adm`", "did you mean `adam`?"]);
    says(&with(&["--set", "train.epochs=many"]), &["train.epochs=many", "expected"]);
    says(&with(&["--set", "train.epochs"]), &["expected KEY=VALUE"]);
    says(&with(&["--preset", "tiny"]), &["\"tiny\"", "moco-cxr, moco-v2, small, medaug"]);
    says(&with(&["--preset", "moco_cxr"]), &["did you mean \"moco-cxr\"?"]);
}

#[test]
fn a_broken_settings_file_is_named_with_the_place() {
    let Made { set, .. } = made();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("broken.toml");
    for (text, words) in [
        ("[train]\nepochs = \n", ["broken.toml", "line 2"]),
        ("[train]\nepoch = 3\n", ["broken.toml line 2", "did you mean `epochs`?"]),
    ] {
        fs::write(&file, text).unwrap();
        says(&pretrain(&arguments!["--data", set, "--config", file]), &words);
    }
}

#[test]
fn data_that_are_not_there_are_named() {
    says(&pretrain(&arguments!["--data", "no/such/folder"]), &["no/such/folder", "expected"]);
    says(&pretrain(&[]), &["no data", "--data", "expected a folder"]);
    let empty = tempfile::tempdir().unwrap();
    says(&pretrain(&arguments!["--data", empty.path()]), &[empty.path().to_str().unwrap(), "expected"]);
    let file = &made().config;
    says(&pretrain(&arguments!["--data", file]), &["tiny.toml", "expected"]);
}

#[test]
fn a_table_without_a_column_is_named_with_the_column() {
    let (copy, table) = copy();
    let text = fs::read_to_string(&table).unwrap();
    fs::write(&table, text.replacen("Pleural Effusion", "Effusion", 1)).unwrap();
    let ran = pretrain(&arguments!["--data", copy.path()]);
    says(&ran, &["train.csv", "column \"Pleural Effusion\" not found", "\"Effusion\""]);
}

#[test]
fn images_that_cannot_be_read_are_named_and_counted() {
    let Made { images, config, .. } = made();
    let (copy, table) = copy();
    let text = fs::read_to_string(&table).unwrap();
    let paths: Vec<PathBuf> =
        text.lines().skip(1).map(|line| copy.path().join(line.split(',').next().unwrap())).collect();
    let (short, empty) = (&paths[3], &paths[7]);
    let whole = fs::read(short).unwrap();
    fs::write(short, &whole[..100]).unwrap();
    fs::write(empty, b"").unwrap();

    let count = format!("2 of {images} images cannot be read");
    let name = |path: &Path| path.strip_prefix(copy.path()).unwrap().to_str().unwrap().to_owned();
    let ran = pretrain(&arguments!["--data", copy.path(), "--config", config]);
    says(&ran, &[&count, &name(short), "--on-bad-image skip"]);

    let out = tempfile::tempdir().unwrap();
    let run = out.path().join("run");
    let ran = succeed(arguments![
        "pretrain",
        "--data",
        copy.path(),
        "--config",
        config,
        "--on-bad-image",
        "skip",
        "--out",
        run
    ]);
    says(&ran, &[&count, &name(short), &name(empty), "skipped"]);
    assert_eq!(read_json(&run.join("run.json"))["data"]["images"], images - 2);
}

#[test]
fn a_folder_in_use_is_left_alone() {
    let Made { set, config, .. } = made();
    let out = tempfile::tempdir().unwrap();
    fs::write(out.path().join("metrics.jsonl"), "{\"step\": 9, \"mine\": true}\n").unwrap();
    let before = files(out.path());
    let common = arguments!["pretrain", "--data", set, "--config", config, "--quiet", "--out", out.path()];
    for (more, words) in [
        (None, ["not empty", "--resume"]),
        (Some("--overwrite"), ["no run.json", "expected the folder of a run"]),
        // Not the folder of a run: going on would cut its log.
        (Some("--resume"), ["no run.json", "expected the folder of a run"]),
    ] {
        let ran = run(common.iter().cloned().chain(more.map(OsString::from)));
        assert_eq!(ran.code, Some(1), "{more:?}: {ran:?}");
        says(&ran, &words);
        assert!(files(out.path()) == before, "{more:?} changed the folder");
    }
    let ran = run(arguments!["synth", "--out", out.path()]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    says(&ran, &["not an empty folder", "expected"]);
    let file = out.path().join("metrics.jsonl");
    let ran = run(arguments!["pretrain", "--data", set, "--config", config, "--quiet", "--out", file]);
    assert_eq!((ran.code, ran.stderr.lines().count()), (Some(1), 1), "{ran:?}");
    says(&ran, &["found a file", "expected a folder"]);
    assert!(files(out.path()) == before);
}

#[test]
fn arguments_that_cannot_be_read_are_bad_arguments() {
    let set = &made().set;
    let cases: [(&[&str], &str); 7] = [
        (&["--image-size", "big"], "big"),
        (&["--arch", "resnet19"], "resnet18, resnet34, resnet50, densenet121"),
        (&["--device", "tpu"], "expected auto, cpu, cuda"),
        (&["--dataset", "mars"], "chexpert"),
        (&["--on-bad-image", "maybe"], "fail, skip"),
        (&["--resume", "--overwrite"], "cannot be used with"),
        (&["--learning-rate", "1"], "--learning-rate"),
    ];
    for (arguments, word) in cases {
        let folder = tempfile::tempdir().unwrap();
        let common = arguments!["pretrain", "--data", set, "--out", folder.path().join("out")];
        let ran = run(common.into_iter().chain(arguments.iter().map(OsString::from)));
        assert_eq!(ran.code, Some(2), "{arguments:?}: {ran:?}");
        says(&ran, &[word]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{arguments:?} left something");
    }
    assert_eq!(run(arguments!["pretrain", "--data", set]).code, Some(2), "--out is needed");
}

#[test]
fn a_probe_refuses_tasks_weights_and_fractions_that_are_not_there() {
    let Made { set, run, .. } = made();
    let probe = |weights: &Path, task: &str, more: &[&str]| {
        let mut all = arguments!["--data", set, "--weights", weights, "--task", task].to_vec();
        all.extend(more.iter().map(OsString::from));
        refused("linear", &all)
    };
    says(&probe(run, "Plural Effusion", &[]), &["Plural Effusion", "Pleural Effusion"]);
    says(&probe(set, "Cardiomegaly", &[]), &["neither export/model.safetensors", "a finished pretraining run"]);
    says(&probe(run, "Cardiomegaly", &["--fraction", "1.5"]), &["1.5", "at most 1"]);
    says(&probe(run, "Cardiomegaly", &["--draws", "0"]), &["at least one"]);
    // The synthetic set never draws it: every label is negative.
    says(&probe(run, "Fracture", &[]), &["test labels", "0 positive and", "patients of Fracture", "both classes"]);
    let ran = support::run(arguments!["evaluate", set.join("CheXpert-v1.0-small/test.csv")]);
    assert_eq!((ran.code, ran.stderr.lines().count()), (Some(1), 1), "{ran:?}");
    says(&ran, &["test.csv", "score_"]);
}

#[test]
fn patients_in_two_parts_are_a_leak() {
    let Made { folder, set, run, .. } = made();
    // Patients are numbered from 1 in every synthetic set: those tested in the other one are trained on in the first.
    let (other, _) = synth(folder, "other", 3, [2, 0, 6]);
    let train =
        refused("linear", &arguments!["--data", set, "--test-data", other, "--weights", run, "--task", "Cardiomegaly"]);
    says(&train, &["leak: train and test share 6 patient(s)", "patient00003"]);
    let pretraining = refused("linear", &arguments!["--data", other, "--weights", run, "--task", "Cardiomegaly"]);
    says(&pretraining, &["leak: pretraining and test share 6 patient(s)", "patient00003"]);
}
