//! What the tool does with what it cannot use: one line that says what was found and what was expected, exit status 1
//! (2 where the arguments alone are at fault), and everything on disk as it was.
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

/// A subcommand that cannot use its data.
fn refused(subcommand: &str, arguments: &[OsString]) -> Ran {
    refused_with(1, subcommand, arguments)
}

/// A subcommand whose arguments alone are at fault.
fn bad_arguments(subcommand: &str, arguments: &[OsString]) -> Ran {
    refused_with(2, subcommand, arguments)
}

/// Runs a subcommand with `--out NEW --quiet`; nothing may be left, and standard error must be one line.
fn refused_with(code: i32, subcommand: &str, arguments: &[OsString]) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    let command = arguments![subcommand, "--out", folder.path().join("out"), "--quiet"];
    let ran = run(command.iter().chain(arguments));
    assert_eq!(ran.code, Some(code), "{arguments:?}: {ran:?}");
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
        (&["--batch-size", "0"], &["train.batch_size: found 0", "a number from 1 to"]),
        (&["--batch-size", "1", "--set", "train.moco.groups=1"], &["train.batch_size: found 1", "at least 2"]),
        (&["--batch-size", "1"], &["train.batch_size: found 1", "at least 2 images per group"]),
        (&["--set", "train.moco.groups=3"], &["train.moco.groups: found 3 with batches of 8", "a divisor"]),
        (
            &["--set", "train.moco.mlp=false", "--head-norm"],
            &["train.moco.head_norm: found true with", "moco.mlp = true"],
        ),
        (&["--set", "train.moco.momentum_end=1.5"], &["train.moco.momentum_end: found 1.5", "[0, 1]"]),
        (&["--set", "train.schedule.warmup_share=1"], &["train.schedule.warmup_share: found 1", "below 1"]),
        (&["--probe-task", "Edema"], &["probe.data: found nothing", "--probe-data"]),
        (&["--moco-t", "0"], &["train.moco.temperature: found 0", "above 0"]),
        (&["--moco-t=-0.1"], &["temperature: found -0.1", "above 0"]),
        (&["--moco-t", "nan"], &["temperature: found NaN", "above 0"]),
        (&["--moco-m", "2"], &["train.moco.momentum: found 2", "[0, 1]"]),
        (&["--epochs", "0"], &["train.epochs: found 0", "a number from 1 to"]),
        (&["--lr", "0"], &["train.schedule.lr: found 0", "above 0"]),
        // These trained nothing, without a word.
        (&["--lr", "1e-320"], &["train.schedule.lr: found 0.000", "from 1e-12"]),
        (&["--moco-t", "1e308"], &["train.moco.temperature: found 1000", "to 10000"]),
        (&["--moco-t", "1e-6"], &["train.moco.temperature: found 0.000001", "similarities are divided by it"]),
        (&["--moco-t", "-1"], &["train.moco.temperature: found -1, expected a number above 0"]),
        (&["--wd", "18446744073709551615"], &["weight_decay: found 18446744073709", "0 to 1000"]),
        (&["--warmup-epochs", "1e308"], &["train.schedule.warmup_epochs: found 1000", "0 to 10000000"]),
        (&["--set", "channels=2"], &["channels", "found 2", "1 or 3"]),
        // These aborted, panicked, wrapped around or ended as a loss that is not finite.
        (&["--moco-k", "4294967296"], &["train.moco.queue_size: found 4294967296", "1 to 16777216"]),
        (&["--moco-k", "999999999999"], &["train.moco.queue_size: found 999999999999", "1 to 16777216"]),
        (&["--moco-dim", "4294967296"], &["train.moco.dim: found 4294967296", "1 to 65536"]),
        (&["--batch-size", "18446744073709551615"], &["train.batch_size: found 18446744073709551615", "1 to 65536"]),
        (&["--epochs", "18446744073709551615"], &["train.epochs: found 18446744073709551615", "1 to 10000000"]),
        (&["--set", "normalization.std=[0,0,0]"], &["normalization.std: found [0.0, 0.0, 0.0]", "above 0"]),
    ];
    let with = |arguments: &[&str]| {
        let mut all = arguments!["--data", set, "--config", config].to_vec();
        all.extend(arguments.iter().map(OsString::from));
        all
    };
    for (arguments, words) in cases {
        says(&bad_arguments("pretrain", &with(arguments)), words);
    }
    // What only the data or the disk can tell.
    says(&pretrain(&with(&["--batch-size", "4096"])), &["4096", &size, "expected at most"]);
    says(&pretrain(&with(&["--init", "no/such.safetensors"])), &["no/such.safetensors", "no such file or folder"]);
}

/// Before the data are read, and before the first step. No machine has the 20 TB.
#[test]
#[cfg(target_os = "linux")]
fn a_run_that_needs_more_memory_than_there_is_does_not_begin() {
    let Made { set, config, images, .. } = made();
    let with = |more: &[&str]| {
        let mut all = arguments!["--data", set, "--config", config].to_vec();
        all.extend(["--batch-size", "4096", "--image-size", "4096"].iter().chain(more).map(OsString::from));
        all
    };
    let words = ["memory: the run needs about", "are available", "smaller --batch-size", "--no-memory-check"];
    says(&pretrain(&with(&[])), &words);
    let tried = pretrain(&with(&["--no-memory-check"]));
    says(&tried, &["train.batch_size: found 4096", &format!("set of {images} images")]);
}

#[test]
fn unknown_settings_are_named_beside_the_known_ones() {
    let set = &made().set;
    let with = |more: &[&str]| {
        let mut all = arguments!["--data", set].to_vec();
        all.extend(more.iter().map(OsString::from));
        bad_arguments("pretrain", &all)
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
        says(&bad_arguments("pretrain", &arguments!["--data", set, "--config", file]), &words);
    }
}

#[test]
fn data_that_are_not_there_are_named() {
    says(&pretrain(&arguments!["--data", "no/such/folder"]), &["no/such/folder", "expected"]);
    says(&bad_arguments("pretrain", &[]), &["--data: found neither --data nor data.dir", "expected a folder"]);
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
fn a_table_that_lost_its_rows_is_named() {
    let (copy, table) = copy();
    let text = fs::read_to_string(&table).unwrap();
    for (left, found) in [
        ("", "train.csv: found an empty file"),
        (text.lines().next().unwrap(), "train.csv: found a header and no rows"),
    ] {
        fs::write(&table, left).unwrap();
        says(&pretrain(&arguments!["--data", copy.path()]), &[found]);
        let weights = arguments!["--data", copy.path(), "--weights", made().run, "--task", "Cardiomegaly"];
        says(&refused("linear", &weights), &[found]);
        let ran = run(arguments!["audit", "--data", copy.path()]);
        assert_eq!(ran.code, Some(1));
        says(&ran, &[found]);
    }
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
    let with = |weights: &Path, task: &str, more: &[&str]| {
        let mut all = arguments!["--data", set, "--weights", weights, "--task", task].to_vec();
        all.extend(more.iter().map(OsString::from));
        all
    };
    let probe = |weights: &Path, task: &str, more: &[&str]| refused("linear", &with(weights, task, more));
    let bad = |more: &[&str]| bad_arguments("linear", &with(run, "Cardiomegaly", more));
    let misspelt = "unknown label \"Plural Effusion\"; expected one of";
    says(&probe(run, "Plural Effusion", &[]), &[misspelt, "; did you mean \"Pleural Effusion\"?"]);
    // Of a few patients one per cent cannot have both classes; the task with fewest patients of one is named.
    let draws = probe(run, "Cardiomegaly", &["--fraction", "0.01", "--task", "Pleural Effusion"]);
    says(&draws, &["task \"", "patient(s) in", "(fraction 0.01)", "two patients of each class in every task"]);
    says(&probe(set, "Cardiomegaly", &[]), &["neither export/model.safetensors", "a finished pretraining run"]);
    says(&bad(&["--fraction", "1.5"]), &["1.5", "at most 1"]);
    says(&bad(&["--fraction", "0"]), &["fraction: found 0", "above 0"]);
    says(&bad(&["--draws", "0"]), &["draws: found 0, expected at least 1"]);
    says(&bad(&["--batch-size", "0"]), &["--batch-size: found 0, expected at least 1"]);
    // Each has a folder of its own in the results.
    says(&bad(&["--fraction", "0.5", "--fraction", "0.50"]), &["fraction: found 0.5 twice"]);
    says(&bad(&["--task", "cardiomegaly"]), &["task: found \"cardiomegaly\" twice"]);
    // The synthetic set never draws it: every label is negative.
    says(&probe(run, "Fracture", &[]), &["task \"Fracture\"", "0 positive patient(s)", "two patients of each class"]);
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
    // Wherever the weights were brought to, with what lies beside them.
    let copied = folder.join("copied");
    fs::create_dir(&copied).unwrap();
    files(&run.join("export")).iter().for_each(|(name, bytes)| fs::write(copied.join(name), bytes).unwrap());
    for weights in [run, &copied] {
        let arguments = arguments!["--data", other, "--weights", weights, "--task", "Cardiomegaly"];
        says(&refused("linear", &arguments), &["leak: pretraining and test share 6 patient(s)", "patient00003"]);
    }
    // A table that was changed since is no record of what was seen.
    let trained_on = read_json(&run.join("run.json"))["trained_on"].clone();
    let hash = trained_on["seen"][0]["hash"].as_str().unwrap();
    assert_eq!(read_json(&copied.join("trained_on.json"))["seen"][0]["hash"], hash);
    let text = fs::read_to_string(copied.join("trained_on.json")).unwrap();
    fs::write(copied.join("trained_on.json"), text.replace(hash, "0123456789abcdef0123456789abcdef")).unwrap();
    let changed = refused("linear", &arguments!["--data", other, "--weights", copied, "--task", "Cardiomegaly"]);
    let words = ["no folder with these rows (hash 0123", "--pretraining-data DIR", "--unchecked-pretraining"];
    says(&changed, &words);
}

/// Nothing that these commands name is there: whatever they say, they say before they look.
#[test]
fn what_is_wrong_in_the_arguments_alone_is_status_2_in_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let nowhere = ["--data", "no-such", "--weights", "no-such"];
    let labelled = [&nowhere[..], &["--task", "Edema"]].concat();
    let cases: [(&str, &[&str], &[&str], &str); 23] = [
        ("linear", &labelled, &["--fraction", "0"], "fraction: found 0"),
        ("linear", &labelled, &["--epochs", "3"], "--protocol standard"),
        ("linear", &labelled, &["--protocol", "faithful", "--epochs", "0"], "epochs: found 0"),
        ("linear", &labelled, &["--protocol", "faithful", "--baseline-random"], "--baseline-random"),
        ("knn", &labelled, &["--k", "0"], "k is 0, expected at least 1"),
        ("knn", &labelled, &["--temperature", "0"], "temperature is 0"),
        ("knn", &labelled, &["--batch-size", "0"], "--batch-size: found 0"),
        ("finetune", &labelled, &["--lr", "nan"], "--lr: found NaN"),
        ("finetune", &labelled, &["--batch-size", "1"], "--batch-size: found 1"),
        ("predict", &nowhere, &["--batch-size", "0"], "--batch-size: found 0"),
        ("embed", &nowhere, &["--batch-size", "0"], "--batch-size: found 0"),
        ("synth", &[], &["--size", "1"], "size is 1, expected 32 to 2048 pixels"),
        ("synth", &[], &["--train-patients", "0"], "train_patients is 0"),
        ("preview", &nowhere[..2], &["--per-row", "0"], "--per-row: found 0"),
        ("preview", &nowhere[..2], &["--set", "wrong=1"], "unknown field `wrong`"),
        ("report", &["no-such"], &["--replicates", "10"], "bootstrap replicates is 10"),
        ("report", &["no-such"], &["--images", "0"], "--images: found 0"),
        ("finetune", &labelled, &["--lr", "1e308"], "--lr: found 1000"),
        ("finetune", &labelled, &["--batch-size", "4294967296"], "--batch-size: found 4294967296"),
        ("linear", &labelled, &["--protocol", "faithful", "--lr", "-1"], "--lr: found -1"),
        ("reproduce", &["table1", "--results", "no-such", "--dry-run"], &["--images-per-second", "-5"], "found -5"),
        ("splits", &["--kind", "nested", "--rows", "100"], &[], "needs the patients of --data"),
        ("splits", &[], &[], "nothing to draw from"),
    ];
    for (command, arguments, more, words) in cases {
        let all = [&[command], arguments, more].concat();
        let ran = run(all.iter().map(OsString::from).chain(arguments!["--out", out]));
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{all:?}: {ran:?}");
        assert_eq!(ran.stderr.lines().count(), 1, "{all:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(words), "{all:?}: {words:?} is not in {}", ran.stderr);
        assert!(!out.exists(), "{all:?} left something");
    }
    for (all, words) in [
        (&["bench", "step", "--steps", "0"][..], "found 0 steps"),
        (&["bench", "step", "--steps", "4294967296"], "4294967296 steps"),
        (&["bench", "step", "--warmup", "18446744073709551615"], "after 18446744073709551615"),
        (&["bench", "step", "--batch-size", "4294967296"], "4294967296 images"),
        (&["bench", "step", "--batch-size", "18446744073709551615"], "at most 1000000 steps, 65536 images, 4096 px"),
        (&["bench", "step", "--image-size", "4294967296"], "4294967296 px"),
        (&["bench", "step", "--moco-k", "18446744073709551615"], "18446744073709551615"),
        (&["splits", "--rows", "4294967296"], "--rows: found 4294967296, expected at most 10000000"),
        (&["parity", "--batch-size", "1"], "found 1 images"),
        (&["cache", "--data", "no-such"], "neither --cache nor data.cache"),
        (&["cache", "--cache", "no-such", "--set", "views.size=0"], "neither --data nor data.dir"),
    ] {
        let ran = run(all);
        assert_eq!((ran.code, ran.stderr.lines().count()), (Some(2), 1), "{all:?}: {ran:?}");
        assert!(ran.stderr.contains(words), "{all:?}: {words:?} is not in {}", ran.stderr);
    }
}

/// Of every command that has these flags, by their names, with what was found and what was expected. Nothing is there: they are
/// checked before anything is read.
#[test]
fn sizes_means_and_deviations_out_of_range_are_status_2_in_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let images = ["--data", "no-such", "--weights", "no-such"];
    let labelled = [&images[..], &["--task", "Edema"]].concat();
    let commands: [(&str, &[&str]); 9] = [
        ("embed", &images),
        ("predict", &images),
        ("explain", &images),
        ("neighbours", &images),
        ("linear", &labelled),
        ("knn", &labelled),
        ("finetune", &labelled),
        ("export", &["no-such"]),
        ("import", &["no-such.pth"]),
    ];
    let wrong = [
        (["--std", "0"], "--std: found 0, expected numbers from 1e-6"),
        (["--std", "nan"], "--std: found NaN, expected"),
        (["--std", "1e-300"], "--std: found 0.000"),
        (["--std", "0.2,inf,0.2"], "--std: found 0.2,inf,0.2, expected"),
        (["--mean", "-1"], "--mean: found -1, expected numbers from 0 to 1"),
        (["--mean", "nan"], "--mean: found NaN, expected"),
        (["--image-size", "100000"], "--image-size: found 100000, expected 32 to 4096 pixels"),
        (["--image-size", "0"], "--image-size: found 0, expected 32 to 4096 pixels"),
        (["--image-size", "18446744073709551615"], "--image-size: found 18446744073709551615, expected"),
    ];
    let refused = |all: Vec<OsString>, words: &str| {
        let ran = run(&all);
        assert_eq!((ran.code, ran.stderr.lines().count()), (Some(2), 1), "{all:?}: {ran:?}");
        assert!(ran.stderr.contains(words), "{all:?}: {words:?} is not in {}", ran.stderr);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{all:?} left something");
    };
    let with = |command: &str, arguments: &[&str], more: &[&str]| -> Vec<OsString> {
        let words = [&[command], arguments, more].concat();
        words.into_iter().map(OsString::from).chain(arguments!["--out", out]).collect()
    };
    for (command, arguments) in commands {
        for (flag, words) in wrong {
            refused(with(command, arguments, &flag), words);
        }
    }
    let of_table = ["table1", "--results", "no-such", "--data", "no-such"];
    refused(with("reproduce", &of_table, &["--image-size", "100000"]), "--image-size: found 100000");
    for (command, arguments) in &commands[..7] {
        for (flag, value) in [("--workers", "5000"), ("--batch-size", "18446744073709551615")] {
            refused(with(command, arguments, &[flag, value]), &format!("{flag}: found {value}, expected at least "));
        }
    }
    for (flag, words) in [
        (["--image-size", "100000"], "found 8 images of 100000 px"),
        (["--batch-size", "18446744073709551615"], "found 18446744073709551615 images"),
    ] {
        refused(["parity"].into_iter().chain(flag).map(OsString::from).collect(), words);
    }
    refused(with("pretrain", &images[..2], &["--workers", "5000"]), "workers: found 5000, expected at most 4096");
}

/// A head needs patients of both classes, and with few labels its penalty is fixed, which is said.
#[test]
fn too_few_patients_of_a_class_are_named_with_the_task() {
    let (copy, table) = copy();
    let text = fs::read_to_string(&table).unwrap();
    let effusion = text.lines().next().unwrap().split(',').position(|name| name == "Pleural Effusion").unwrap();
    let negative = |line: &str| {
        let mut cells: Vec<&str> = line.split(',').collect();
        cells[effusion] = "0.0";
        cells.join(",")
    };
    let (header, rows) = text.split_once('\n').unwrap();
    let rows: Vec<String> = rows.lines().map(negative).collect();
    fs::write(&table, format!("{header}\n{}\n", rows.join("\n"))).unwrap();
    let random =
        arguments!["--weights", "random", "--arch", "resnet18", "--image-size", "32", "--task", "Pleural Effusion"];
    let with = |more: &[OsString]| random.iter().chain(more).cloned().collect::<Vec<_>>();
    let ran = refused("linear", &with(&arguments!["--data", copy.path()]));
    says(&ran, &["task \"Pleural Effusion\"", "found 0 positive patient(s) in", "at least two patients of each class"]);

    let ran = bad_arguments("linear", &arguments!["--data", copy.path(), "--task", "Edema", "--weights", "random"]);
    says(&ran, &["--arch: found none", "resnet18", "for random weights"]);

    let out = tempfile::tempdir().unwrap();
    let few = arguments!["--data", made().set, "--fraction", "0.4", "--draws", "1", "--out", out.path().join("out")];
    let ran = succeed(arguments!["linear"].into_iter().chain(with(&few)));
    says(&ran, &["fraction 0.4: the penalty is 10, because below 50 labels"]);
}
