//! `reproduce` on a folder of results made here: numbers where the models are there, reasons and commands where not.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use support::{Ran, names, run, succeed, tool};
use tempfile::TempDir;

/// Scores of 80 studies, half of them positive: positives above negatives but for the first `swapped`, which lie below all.
fn predictions(swapped: usize) -> String {
    let mut text = String::from("path,patient,study,label_Pleural Effusion,score_Pleural Effusion\n");
    for i in 0..80 {
        let (label, place) = (i % 2, i / 2);
        let score = match label {
            0 => place as f64,
            _ if place < swapped => -1.0 - place as f64,
            _ => 100.0 + place as f64,
        };
        writeln!(text, "test/patient{i:05}/study1,patient{i:05},study1,{label},{score}").unwrap();
    }
    text
}

/// A model's folder with the scores of two label draws at 1 %, whose AUROC is 1 - swapped / 40.
fn model(results: &Path, name: &str, swapped: [usize; 2], policy: &str) -> PathBuf {
    let task = results.join(name).join("pleural-effusion");
    let draws = task.join("fraction-0.01");
    fs::create_dir_all(&draws).unwrap();
    for (draw, swapped) in swapped.into_iter().enumerate() {
        fs::write(draws.join(format!("predictions-{draw}.csv")), predictions(swapped)).unwrap();
    }
    let stamp =
        json!({"stamp": {"label_policy": policy, "split": "official", "protocol": "linear", "rows": "studies"}});
    fs::write(task.join("results.json"), stamp.to_string()).unwrap();
    results.join(name)
}

fn cells(ran: &Ran) -> Vec<Value> {
    serde_json::from_str(&ran.stdout).unwrap()
}

fn cell<'a>(cells: &'a [Value], what: &str, fraction: f64) -> &'a Value {
    cells.iter().find(|cell| cell["what"] == what && cell["fraction"] == fraction).unwrap()
}

#[test]
fn cells_with_scores_have_our_number_and_the_others_the_command() {
    let folder = TempDir::new().unwrap();
    let results = folder.path().join("results");
    model(&results, "resnet18-moco-linear", [6, 8], "uncertain=ignore"); // AUROC 0.85 and 0.8
    model(&results, "resnet18-imagenet-linear", [10, 12], "uncertain=ignore"); // 0.75 and 0.7
    let out = folder.path().join("out");
    let ran = succeed(arguments!["reproduce", "app1", "--results", results, "--out", out, "--json"]);
    let app1 = cells(&ran);
    assert_eq!(app1.len(), 32);
    let moco = cell(&app1, "resnet18 MoCo linear", 0.01);
    assert!((moco["ours"]["observed"].as_f64().unwrap() - 0.825).abs() < 1e-12, "{moco}");
    assert_eq!((&moco["ours"]["method"], &moco["draws"]), (&json!("paper"), &json!(2)));
    assert_eq!(moco["paper"], json!([0.838, 0.797, 0.873]));
    assert_eq!(moco["inside"], json!(true));
    assert_eq!(moco["stamp"]["label_policy"], "uncertain=ignore");
    assert!(moco["missing"].is_null());
    let other = cell(&app1, "resnet18 MoCo linear", 0.1); // a fraction that was not made
    assert!(other["missing"].as_str().unwrap().ends_with("pleural-effusion/fraction-0.1"), "{other}");
    let absent = cell(&app1, "densenet121 ImageNet end to end", 1.0);
    assert_eq!(absent["missing"], "no densenet121-imagenet-finetune");
    assert_eq!(names(&out), ["app1.csv", "app1.html", "app1.json", "app1.md"]);
    assert_eq!(fs::read_to_string(out.join("app1.csv")).unwrap().lines().count(), 33);

    let table1 = cells(&succeed(arguments!["reproduce", "table1", "--results", results, "--json"]));
    let gain = cell(&table1, "resnet18 MoCo linear minus resnet18 ImageNet linear", 0.01);
    assert!((gain["ours"]["observed"].as_f64().unwrap() - 0.1).abs() < 1e-12, "{gain}");
    assert_eq!(gain["inside"], json!(true)); // the paper: 0.070 (0.029, 0.112)

    let text = succeed(arguments!["reproduce", "table1", "--results", results]).stdout;
    assert!(text.contains("1 of 24 cells, 1 of them inside"), "{text}");
    // Two label draws are not the paper's five, and nobody wrote down what these models began from.
    assert!(text.contains("2 of 5") && text.contains("resnet18-moco-linear: weights not recorded"), "{text}");
    let command = text.lines().find(|line| line.contains("moco-cxr reproduce table1")).unwrap();
    for part in ["--data DATA", "--weights resnet18-moco=RESNET18_MOCO_RUN", "--weights densenet121-moco="] {
        assert!(command.contains(part), "{command}");
    }
}

#[test]
fn improvements_need_equal_conditions_and_scores() {
    let folder = TempDir::new().unwrap();
    model(folder.path(), "resnet18-moco-linear", [6, 8], "uncertain=ignore");
    let other = model(folder.path(), "resnet18-imagenet-linear", [10, 12], "uncertain=ones");
    let gain = |why: &str| {
        let table = cells(&succeed(arguments!["reproduce", "table1", "--results", folder.path(), "--json"]));
        let gain = cell(&table, "resnet18 MoCo linear minus resnet18 ImageNet linear", 0.01);
        assert!(gain["ours"].is_null());
        assert!(gain["missing"].as_str().unwrap().contains(why), "{gain}");
    };
    gain(r#"label policy: "uncertain=ignore" and "uncertain=ones""#);
    // Numbers alone make the AUROC of a cell, but no paired difference.
    fs::remove_dir_all(other.join("pleural-effusion/fraction-0.01")).unwrap();
    let interval = json!({
        "estimate": 0.76, "lower": 0.7, "upper": 0.8, "level": 0.95, "method": "percentile", "unit": "patient",
        "observed": 0.76, "standard_error": 0.02, "replicates": 2000, "redrawn": 0, "n": 80, "positives": 40,
        "patients": 80, "seed": 0
    });
    let fractions = json!([{"fraction": 0.01, "draws": 5, "images": 3.0,
        "tasks": [{"task": "Pleural Effusion", "auroc": interval, "baseline": null, "difference": null}]}]);
    fs::write(other.join("linear.json"), fractions.to_string()).unwrap();
    gain("needs the scores of all draws");
    let app1 = cells(&succeed(arguments!["reproduce", "app1", "--results", folder.path(), "--json"]));
    let alone = cell(&app1, "resnet18 ImageNet linear", 0.01);
    assert_eq!((&alone["ours"]["estimate"], &alone["ours"]["method"]), (&json!(0.76), &json!("percentile")));
    assert_eq!((&alone["inside"], &alone["draws"]), (&json!(true), &json!(5)));
}

#[test]
fn a_dry_run_says_what_it_takes_and_a_missing_folder_is_refused() {
    let folder = TempDir::new().unwrap();
    let nowhere = folder.path().join("nowhere");
    let ran = run(arguments!["reproduce", "app2", "--results", nowhere]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("no such folder of results"), "{}", ran.stderr);
    let ran = succeed(arguments!["reproduce", "app1", "--results", nowhere, "--dry-run", "--images-per-second", "100"]);
    // 8 models, each with 5 + 5 + 5 + 1 label draws.
    assert!(ran.stdout.contains("128 of 128 fits are missing, on CheXpert"), "{}", ran.stdout);
    // 8 x (44.35 x 223,414 + 1,798 x 234) images.
    assert!(ran.stdout.contains("82.6 million images") && ran.stdout.contains("229.5 hours"), "{}", ran.stdout);
    assert!(ran.stdout.contains("MB of scores on disk"), "{}", ran.stdout);
    assert_eq!(run(arguments!["reproduce", "table9", "--results", nowhere]).code, Some(2));
}

/// From nothing to the table with one command: what can be made is made once, and says what it was made from.
#[test]
fn missing_models_are_made_once_under_one_set_of_conditions() {
    let folder = TempDir::new().unwrap();
    let (data, results) = (folder.path().join("data"), folder.path().join("results"));
    succeed(arguments![
        "synth",
        "--out",
        data,
        "--train-patients",
        "120",
        "--valid-patients",
        "30",
        "--test-patients",
        "40",
        "--size",
        "32"
    ]);
    let nowhere = folder.path().join("no-published-weights");
    let make = |table: &str, more: &[&str]| {
        let mut tool =
            tool(arguments!["reproduce", table, "--results", results, "--data", data, "--protocol", "standard"]);
        tool.args(["--image-size", "32", "--epochs", "1", "--weights", "resnet18-moco=random", "--json"]).args(more);
        let output = tool.env("MOCO_CXR_CACHE", &nowhere).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    };
    let ran = make("app1", &["--weights", "resnet18-imagenet=random"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let app1 = cells(&ran);
    let whole = cell(&app1, "resnet18 MoCo end to end", 1.0);
    assert_eq!((&whole["draws"], &whole["ours"]["method"]), (&json!(1), &json!("paper")), "{whole}");
    assert_eq!(whole["models"][0]["weights"], "random resnet18, seed 0");
    assert!(whole["stamp"]["split"].as_str().unwrap().contains("the paper's label draws"), "{whole}");
    assert!(whole["stamp"]["protocol"].as_str().unwrap().contains("epochs 1"), "{whole}");
    assert_eq!(cell(&app1, "resnet18 ImageNet end to end", 0.1)["draws"], 5);
    assert_eq!(cell(&app1, "resnet18 ImageNet linear", 1.0)["draws"], 1);
    let why =
        |what: &str, fraction: f64| cell(&app1, what, fraction)["missing"].as_str().unwrap_or_default().to_owned();
    // 0.1 % of some 200 images, a model nobody named, and one that is not on this machine.
    assert!(why("resnet18 MoCo end to end", 0.001).contains("labelled images"), "{app1:#?}");
    assert!(why("densenet121 MoCo linear", 1.0).contains("densenet121-moco"), "{app1:#?}");
    assert!(why("densenet121 ImageNet linear", 1.0).contains("densenet121"), "{app1:#?}");

    // Another table of the same models has nothing to make; what was lost is made again to the same numbers.
    let gains = make("table1", &["--weights", "resnet18-imagenet=random"]);
    assert!(!gains.stderr.contains("note: made"), "{}", gains.stderr);
    assert!(
        cell(&cells(&gains), "resnet18 MoCo end to end minus resnet18 ImageNet end to end", 1.0)["ours"].is_object()
    );
    let lost = results.join("resnet18-moco-finetune/pleural-effusion/fraction-1");
    let before = fs::read(lost.join("predictions-0.csv")).unwrap();
    fs::remove_dir_all(&lost).unwrap();
    let again = make("app1", &["--weights", "resnet18-imagenet=random"]);
    let made: Vec<_> = again.stderr.lines().filter(|line| line.starts_with("note: made")).collect();
    assert_eq!(
        made,
        ["note: made resnet18 MoCo end to end, Pleural Effusion, 100 % of the labels"],
        "{}",
        again.stderr
    );
    assert_eq!(fs::read(lost.join("predictions-0.csv")).unwrap(), before);

    // Nothing is added to results of other conditions or other weights, and a name that means no model is refused.
    let other = make("app1", &["--policy", "uncertain=ones"]);
    assert_eq!(other.code, Some(1));
    assert!(
        other.stderr.contains("label policy") && other.stderr.contains("another folder of results"),
        "{}",
        other.stderr
    );
    let model = results.join("resnet18-moco-finetune");
    fs::write(model.join("weights.json"), r#"{"weights": "others", "image_size": 32}"#).unwrap();
    fs::remove_dir_all(model.join("pleural-effusion/fraction-1")).unwrap();
    let refused = cells(&make("app1", &[]));
    let reason = cell(&refused, "resnet18 MoCo end to end", 1.0)["missing"].as_str().unwrap();
    assert!(reason.contains("others") && reason.contains("another folder of results"), "{reason}");
    let misspelt = make("app1", &["--weights", "resnet18-mocco=random"]);
    assert_eq!(misspelt.code, Some(2));
    assert!(
        misspelt.stderr.contains("resnet18-mocco") && misspelt.stderr.contains("resnet18-moco"),
        "{}",
        misspelt.stderr
    );
}
