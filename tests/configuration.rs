//! Where settings come from, which of them wins, what `--dry-run` says of them, and what is said of those that do not exist.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::{fs, path::PathBuf, sync::OnceLock};

use moco_cxr::PretrainSettings;
use serde_json::Value;
use support::{Ran, run, scratch, succeed, synth};
use toml::Table;

/// Small enough to try a step in a moment.
const TINY: [&str; 8] = ["--image-size", "32", "--batch-size", "8", "--moco-k", "32", "--set", "workers=1"];

/// A folder, a set in it, and how many images it has to train on.
fn made() -> &'static (PathBuf, PathBuf, u64) {
    static MADE: OnceLock<(PathBuf, PathBuf, u64)> = OnceLock::new();
    MADE.get_or_init(|| {
        let folder = scratch("configuration");
        let (set, summary) = synth(&folder, "set", 7, [20, 1, 1]);
        (folder, set, summary["train"]["images"].as_u64().unwrap())
    })
}

fn dry_run(more: &[&str]) -> Ran {
    let (folder, set, _) = made();
    let out = folder.join("never");
    let command = arguments!["pretrain", "--dry-run", "--data", set, "--out", out];
    let ran = run(command.into_iter().chain(TINY.iter().chain(more).map(Into::into)));
    assert!(!out.exists(), "a dry run leaves nothing");
    ran
}

/// The settings that a dry run prints.
fn resolved(more: &[&str]) -> Table {
    let ran = dry_run(more);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    toml::from_str(&ran.stdout).expect("settings, and estimates as comments")
}

fn file(name: &str, text: &str) -> String {
    let path = made().0.join(name);
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[test]
fn the_command_line_wins_over_the_file_and_the_file_over_the_preset() {
    let file = file("some.toml", "[train]\nepochs = 7\naccumulate = 2\n[train.moco]\ntemperature = 0.5\ndim = 64\n");
    let base = ["--preset", "moco-cxr", "--init", "random"];
    let with_file = [&base[..], &["--config", &file]].concat();
    let with_all = [&with_file[..], &["--set", "train.moco.dim=32", "--epochs", "3"]].concat();
    let facts = |settings: &Table| {
        let train = settings["train"].as_table().unwrap();
        let moco = train["moco"].as_table().unwrap();
        let number = |value: &toml::Value| value.as_integer().unwrap();
        let temperature = moco["temperature"].as_float().unwrap();
        (number(&train["epochs"]), number(&train["accumulate"]), temperature, number(&moco["dim"]))
    };
    assert_eq!(facts(&resolved(&base)), (20, 1, 0.2, 128));
    assert_eq!(facts(&resolved(&with_file)), (7, 2, 0.5, 64));
    assert_eq!(facts(&resolved(&with_all)), (3, 2, 0.5, 32));
    // What nobody set is the preset's.
    assert_eq!(resolved(&with_all)["train"]["schedule"]["decay"]["name"].as_str(), Some("milestones"));
}

/// A momentum for four steps would be 0, which is no momentum contrast: it is more epochs that help.
#[test]
fn a_run_of_a_few_steps_is_told_to_be_longer_and_keeps_its_momentum() {
    for momentum in ["0.99", "0.999", "0.99999"] {
        let ran = dry_run(&["--epochs", "1", "--moco-m", momentum]);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        let problems: Vec<&str> = ran.stdout.lines().filter(|line| line.starts_with("# problem")).collect();
        let words = ["too short to learn from", "the fewest that ever helped were about 300; try --set train.epochs="];
        let short = |line: &&&str| words.iter().all(|words| line.contains(words));
        assert_eq!(problems.iter().filter(short).count(), 1, "{problems:?}");
        for line in problems.iter().filter(|line| line.contains("moco.momentum=")) {
            let value: f64 = line.rsplit('=').next().unwrap().parse().unwrap();
            assert!((0.9..1.0).contains(&value), "{line}");
            assert!(line.contains("the fewest that the run should have"), "{line}");
        }
        let proposed = ran.stdout.lines().find(|line| line.trim_start_matches("#").trim().starts_with("--moco-m"));
        let value: f64 = proposed.expect("a proposal").split_whitespace().nth(2).unwrap().parse().unwrap();
        assert!((0.9..1.0).contains(&value), "{proposed:?}");
    }
}

#[test]
fn the_flags_of_moco_mean_what_they_mean_there() {
    let facts = |more: &[&str]| {
        let settings = resolved(more);
        let train = settings["train"].as_table().unwrap();
        (
            train["moco"]["mlp"].as_bool().unwrap(),
            train["schedule"]["decay"].clone(),
            settings["print_freq"].as_integer(),
        )
    };
    let decay = |text: &str| toml::from_str::<Table>(&format!("decay = {text}")).unwrap()["decay"].clone();
    let steps = decay("{ name = \"milestones\", epochs = [120, 160], factor = 0.1 }");
    assert_eq!(facts(&["--schedule", "120", "160"]), (true, steps.clone(), Some(0)));
    assert_eq!(facts(&["--schedule", "120,160", "--mlp", "-p", "5"]), (true, steps, Some(5)));
    // The flag wins over what a file or --set says of the head.
    assert!(facts(&["--set", "train.moco.mlp=false", "--mlp"]).0);
    assert!(!facts(&["--set", "train.moco.mlp=false", "--set", "train.moco.head_norm=false"]).0);
    assert_eq!(facts(&["--preset", "moco-cxr", "--init", "random", "--cos"]).1, decay("{ name = \"cosine\" }"));
    assert_eq!(dry_run(&["--cos", "--schedule", "3"]).code, Some(2), "one schedule");
    let unsorted = dry_run(&["--schedule", "160", "120"]);
    assert_eq!(unsorted.code, Some(2));
    assert!(unsorted.stderr.contains("train.schedule.decay.epochs") && unsorted.stderr.contains("ascending"));
}

#[test]
fn a_line_comes_every_so_many_steps_where_that_is_asked_for() {
    let (folder, set, images) = made();
    let out = folder.join("lines");
    let ran = succeed(
        arguments!["pretrain", "--data", set, "--out", out, "--epochs", "1", "--print-freq", "2"]
            .into_iter()
            .chain(TINY.iter().map(Into::into)),
    );
    let steps = images / 8;
    let said: Vec<&str> = ran.stderr.lines().filter(|line| line.starts_with("step ")).collect();
    let expected: Vec<String> = (1..=steps / 2).map(|line| format!("step {}/{steps}:", 2 * line)).collect();
    assert_eq!(said.len(), expected.len(), "{said:?}");
    assert!(said.iter().zip(&expected).all(|(line, begin)| line.starts_with(begin)), "{said:?}");
    let log = fs::read_to_string(out.join("train.log")).unwrap();
    assert!(said.iter().all(|line| log.contains(line)), "{log}");
}

#[test]
fn a_dry_run_needs_no_folder_and_a_run_does() {
    let (_, set, _) = made();
    let without = |more: &[&str]| {
        let command = arguments!["pretrain", "--data", set];
        run(command.into_iter().chain(TINY.iter().chain(more).map(Into::into)))
    };
    assert_eq!(without(&["--dry-run"]).code, Some(0));
    let refused = without(&[]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("--out"), "{}", refused.stderr);
}

#[test]
fn a_setting_with_settings_of_its_own_is_changed_in_part_or_as_a_whole() {
    let rule = |more: &[&str]| resolved(more)["train"]["optimizer"]["rule"].as_table().unwrap().clone();
    let changed = rule(&["--set", "train.optimizer.rule.eps=1e-6"]);
    assert_eq!((changed["name"].as_str(), changed["eps"].as_float()), (Some("adam"), Some(1e-6)));
    let other = rule(&["--set", "train.optimizer.rule.name=sgd"]);
    assert_eq!((other["name"].as_str(), other["momentum"].as_float()), (Some("sgd"), Some(0.9)));
    // One that the preset does not have.
    assert_eq!(resolved(&["--set", "train.clip_norm=5"])["train"]["clip_norm"].as_float(), Some(5.0));
    assert_eq!(resolved(&["--set", "views.crop=random"])["views"]["crop"].as_str(), Some("random"));
}

#[test]
fn what_a_dry_run_prints_gives_the_same_settings_again() {
    let first = dry_run(&["--seed", "3", "--lr", "0.002"]);
    let file = file("again.toml", &first.stdout);
    let (folder, set, _) = made();
    let command = arguments!["pretrain", "--dry-run", "--config", file, "--data", set, "--out", folder.join("never")];
    let again = succeed(command);
    let settings = |ran: &Ran| toml::from_str::<Table>(&ran.stdout).unwrap();
    assert_eq!(settings(&first), settings(&again));
}

#[test]
fn every_file_in_configs_is_the_base_or_a_preset_and_can_be_given_as_a_file() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("configs");
    let names: Vec<String> = support::names(&folder);
    assert_eq!(names.len(), PretrainSettings::PRESETS.len() + 1);
    for name in names.into_iter().filter(|name| name != "base.toml") {
        let preset = PretrainSettings::named(name.strip_suffix(".toml").expect("a TOML file"), "set").unwrap();
        // Over another one: the base leaves nothing of it.
        let other = if name == "small.toml" { "moco-v2" } else { "small" };
        let base = PretrainSettings::named(other, "set").unwrap().with_file(&folder.join("base.toml")).unwrap();
        assert_eq!(base.with_file(&folder.join(&name)).unwrap(), preset, "{name}");
    }
}

#[test]
fn a_dry_run_counts_what_a_run_needs() {
    let images = made().2;
    let ran = dry_run(&["--json", "--epochs", "5"]);
    let result: Value = serde_json::from_str(&ran.stdout).unwrap();
    let number = |pointer: &str| result.pointer(pointer).unwrap().as_f64().unwrap();
    assert_eq!(result["images"], images);
    assert_eq!(
        (result["steps_per_epoch"].as_u64(), result["steps"].as_u64()),
        (Some(images / 8), Some(images / 8 * 5))
    );
    // ResNet18 without its classifier, and 512·512 + 2·512 + 512·128 for the head with batch norm.
    assert_eq!(result["parameters"], 11_176_512 + 328_704);
    let parts = ["weights", "gradients", "optimizer", "queue", "activations", "checkpoint", "program"];
    let sum: f64 = parts.iter().map(|part| number(&format!("/memory/parts/{part}"))).sum();
    assert_eq!(sum, number("/memory/bytes"));
    assert_eq!(number("/memory/parts/queue"), 4.0 * 32.0 * 128.0);
    let (step, all) = (number("/time/step_s"), number("/time/seconds"));
    assert!(step > 0.0 && (all - step * number("/steps")).abs() < 1e-6 * all, "{result}");
    let text = dry_run(&[]).stdout;
    for word in [
        "# parameters  11.51 million",
        "# memory      about ",
        &format!("# data        {images} images"),
        "# time        about ",
    ] {
        assert!(text.contains(word), "{word:?} is not in: {text}");
    }
}

#[test]
fn what_does_not_exist_is_refused_with_what_may_have_been_meant() {
    let refused = |more: &[&str], code: i32, words: &[&str]| {
        let ran = dry_run(more);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(code), ""), "{more:?}");
        words.iter().for_each(|word| assert!(ran.stderr.contains(word), "{word:?} is not in: {}", ran.stderr));
    };
    refused(
        &["--set", "temperature=0.1"],
        2,
        &["unknown field `temperature`", "did you mean `train.moco.temperature`?"],
    );
    let file = file("typo.toml", "# a run\n[train]\nepochs = 3\n\n[train.moco]\nqueue_sise = 64\n");
    refused(&["--config", &file], 2, &["typo.toml line 6", "`queue_sise`", "did you mean `queue_size`?"]);
    // The question ends what is said.
    refused(&["--preset", "smal"], 2, &["\"smal\", expected one of moco-cxr,", "medaug; did you mean \"small\"?\n"]);
    refused(&["--dataset", "chexprt"], 2, &["\"chexprt\"", "did you mean \"chexpert\"?"]);
    refused(&["--moco-kk", "3"], 2, &["--moco-kk", "'--moco-k'"]);
    refused(&["--arch", "resnet81"], 2, &["resnet81", "resnet18"]);
    let ran = run(["pretrian"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("'pretrain'"), "{}", ran.stderr);
}

#[test]
fn every_shell_gets_completions_of_every_subcommand() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = succeed(["completions", shell]).stdout;
        for word in ["pretrain", "linear", "image-size"] {
            assert!(script.contains(word), "{shell} knows no {word}");
        }
    }
    let ran = run(["completions", "tcsh"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("bash"), "{}", ran.stderr);
}
