//! `pretrain --probe-data --probe-task`: labelled images choose the epoch, and everything that is made of the weights knows it.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use moco_cxr::{
    backbones::{StateDict, WeightFile},
    cxr_data::{Pixels, Radiograph},
};
use serde_json::Value;
use support::{read_json, run, scratch, succeed, synth, tiny_config};

/// A folder, a set to pretrain on, another with a valid part alone, and a run of three epochs that was chosen on it.
struct Made {
    folder: PathBuf,
    set: PathBuf,
    probe: PathBuf,
    config: PathBuf,
    run: PathBuf,
}

fn made() -> &'static Made {
    static MADE: OnceLock<Made> = OnceLock::new();
    MADE.get_or_init(|| {
        let folder = scratch("probe-choice");
        let (set, _) = synth(&folder, "set", 3, [16, 0, 1]);
        let (probe, _) = synth(&folder, "probe", 4, [20, 24, 0]);
        let (config, out) = (tiny_config(&folder), folder.join("run"));
        succeed(arguments![
            "pretrain",
            "--data",
            set,
            "--config",
            config,
            "--epochs",
            "3",
            "--probe-data",
            probe,
            "--probe-task",
            "Pleural Effusion",
            "--out",
            out,
        ]);
        Made { folder, set, probe, config, run: out }
    })
}

fn tensors(path: &Path) -> StateDict {
    let file = WeightFile::open(path).unwrap();
    file.tensors().iter().map(|info| (info.name.clone(), file.tensor(info))).collect()
}

#[test]
fn the_best_epoch_is_kept_and_exported() {
    let run = &made().run;
    let epochs: Vec<Value> = support::metrics(run).into_iter().filter(|line| line["split"] == "epoch").collect();
    let auc = |epoch: &Value| epoch["probe"]["auc"].as_f64().unwrap();
    assert_eq!(epochs.len(), 3);
    // The first of equal ones.
    let best = epochs.iter().rev().max_by(|a, b| auc(a).total_cmp(&auc(b))).unwrap();
    let kept = fs::read_to_string(run.join("checkpoints/best")).unwrap();
    assert_eq!(kept.trim(), format!("step-{:08}", best["step"].as_u64().unwrap()));

    let checkpoint = tensors(&run.join("checkpoints").join(kept.trim()).join("weights.safetensors"));
    let exported = tensors(&run.join("export/model.safetensors"));
    let trained = exported.iter().filter(|(name, _)| !name.ends_with("num_batches_tracked"));
    assert!(trained.clone().count() > 50);
    for (name, data) in trained {
        assert!(checkpoint[&format!("encoder_q.{name}")] == *data, "{name}");
    }
}

#[test]
fn the_choice_is_recorded_with_the_run_and_with_the_weights() {
    let Made { run, probe, .. } = made();
    let record = read_json(&run.join("run.json"));
    assert_eq!(record["probe"]["task"], "Pleural Effusion");
    let images = ["positive", "negative"].map(|class| record["probe"][class].as_u64().unwrap()).iter().sum::<u64>();
    assert!(images >= 24, "an image a patient at least: {images}");
    // What goes with the weights has the last name alone.
    let export = read_json(&run.join("export/trained_on.json"));
    for (lineage, dir) in [(&record["trained_on"], &**probe), (&export, Path::new("probe"))] {
        let roles: Vec<&str> =
            lineage["seen"].as_array().unwrap().iter().map(|s| s["role"].as_str().unwrap()).collect();
        assert_eq!(roles, ["pretrain", "valid"]);
        assert_eq!(Path::new(lineage["seen"][1]["dir"].as_str().unwrap()), dir);
    }
    let card = fs::read_to_string(run.join("export/README.md")).unwrap();
    assert!(card.contains("scored best for Pleural Effusion") && card.contains("the epoch was chosen by"), "{card}");
}

#[test]
fn images_that_chose_an_epoch_are_not_reported_on() {
    let Made { folder, set, probe, run: weights, .. } = made();
    let out = folder.join("results");
    let ran = run(arguments![
        "linear",
        "--data",
        set,
        "--test-data",
        probe,
        "--weights",
        weights,
        "--task",
        "Pleural Effusion",
        "--out",
        out,
    ]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("leak") && ran.stderr.contains("the choice of the weights"), "{}", ran.stderr);
    assert!(!out.exists());
}

#[test]
fn a_resume_keeps_task_and_images_and_the_best_so_far() {
    let Made { folder, set, config, probe, .. } = made();
    let out = folder.join("in-two-parts");
    let with = |task: &str, epochs: &str, more: &[&str]| {
        let command = arguments![
            "pretrain",
            "--data",
            set,
            "--config",
            config,
            "--epochs",
            epochs,
            "--probe-data",
            probe,
            "--probe-task",
            task,
            "--out",
            out,
        ];
        run(command.into_iter().chain(more.iter().map(Into::into)))
    };
    assert_eq!(with("Pleural Effusion", "1", &[]).code, Some(0));
    let other = with("Cardiomegaly", "3", &["--resume"]);
    assert_eq!(other.code, Some(1));
    assert!(other.stderr.contains("probe.task"), "{}", other.stderr);
    assert_eq!(with("Pleural Effusion", "3", &["--resume"]).code, Some(0));
    let best = |run: &Path| fs::read_to_string(run.join("checkpoints/best")).unwrap();
    assert_eq!(best(&out), best(&made().run));
    let exported = |run: &Path| fs::read(run.join("export/model.safetensors")).unwrap();
    assert!(exported(&out) == exported(&made().run), "the rate is constant, so that the parts are those of the whole");
}

#[test]
fn a_probe_that_cannot_be_is_refused_before_the_run() {
    let Made { folder, set, config, probe, .. } = made();
    let refused = |data: &Path, more: &[&str], code: i32, words: &[&str]| {
        let out = folder.join("never");
        let command = arguments!["pretrain", "--data", data, "--config", config, "--out", out];
        let ran = run(command.into_iter().chain(more.iter().map(Into::into)));
        assert_eq!(ran.code, Some(code), "{}", ran.stderr);
        words.iter().for_each(|word| assert!(ran.stderr.contains(word), "{word:?} is not in: {}", ran.stderr));
        assert!(!out.exists());
    };
    let probe = probe.to_str().unwrap();
    refused(set, &["--probe-data", probe], 2, &["--probe-task"]);
    refused(set, &["--probe-task", "Edema"], 2, &["probe.data", "--probe-data"]);
    refused(
        set,
        &["--probe-data", probe, "--probe-task", "Pleural Efusion"],
        1,
        &["Pleural Efusion", "Pleural Effusion"],
    );

    // Images that are pretrained on.
    let flat = folder.join("flat");
    fs::create_dir(&flat).unwrap();
    let mut table = "path,effusion,patient\n".to_owned();
    for number in 0..12_usize {
        let pixels = (0..40 * 36).map(|at| ((at * (number + 3)) % 251 + at / 40) as u8).collect();
        Radiograph::new(40, 36, Pixels::U8(pixels)).unwrap().write_png(&flat.join(format!("{number}.png"))).unwrap();
        table += &format!("{number}.png,{},p{number}\n", number % 2);
    }
    fs::write(flat.join("labels.csv"), table).unwrap();
    let probe = flat.to_str().unwrap();
    refused(&flat, &["--probe-data", probe, "--probe-task", "effusion"], 1, &["leak: pretraining and probe share 12"]);
}
