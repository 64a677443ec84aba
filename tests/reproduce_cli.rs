//! `reproduce` on a folder of results made here: numbers where the models are there, reasons and commands where not.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use support::{Ran, names, run, succeed};
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
    assert!(other["missing"].as_str().unwrap().contains("linear.json"), "{other}");
    let absent = cell(&app1, "densenet121 ImageNet end to end", 1.0);
    let command = absent["commands"][0].as_str().unwrap();
    for part in ["moco-cxr finetune --data", "--weights imagenet --arch densenet121", "--fraction 0.001", "-finetune"] {
        assert!(command.contains(part), "{command}");
    }
    assert_eq!(names(&out), ["app1.csv", "app1.html", "app1.json", "app1.md"]);
    assert_eq!(fs::read_to_string(out.join("app1.csv")).unwrap().lines().count(), 33);

    let table1 = cells(&succeed(arguments!["reproduce", "table1", "--results", results, "--json"]));
    let gain = cell(&table1, "resnet18 MoCo linear minus resnet18 ImageNet linear", 0.01);
    assert!((gain["ours"]["observed"].as_f64().unwrap() - 0.1).abs() < 1e-12, "{gain}");
    assert_eq!(gain["inside"], json!(true)); // the paper: 0.070 (0.029, 0.112)

    let text = succeed(arguments!["reproduce", "table1", "--results", results]).stdout;
    assert!(text.contains("1 of 24 cells, 1 of them inside"), "{text}");
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
    gain("needs the scores of every draw");
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
    assert!(ran.stdout.contains("128 fits on CheXpert"), "{}", ran.stdout);
    // 8 x (44.35 x 223,414 + 1,798 x 234) images.
    assert!(ran.stdout.contains("82.6 million images") && ran.stdout.contains("229.5 hours"), "{}", ran.stdout);
    assert_eq!(ran.stdout.lines().filter(|line| line.contains("moco-cxr ")).count(), 8, "{}", ran.stdout);
    assert_eq!(run(arguments!["reproduce", "table9", "--results", nowhere]).code, Some(2));
}
