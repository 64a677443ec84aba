//! `evaluate` and `compare` as their users drive them: files of other tools, bad files, everything on disk left as it was.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;
use support::{Ran, names, read_json, run, succeed};
use tempfile::TempDir;

const TASKS: [&str; 2] = ["Pleural Effusion", "Edema"];

/// Sixty studies of forty patients; the label of a task, and a probability that follows it more or less.
struct Study {
    id: String,
    patient: String,
    labels: [u8; 2],
    scores: [f64; 2],
}

/// The same studies for every `noise`, which is how badly the scores follow the labels.
fn studies(noise: u64) -> Vec<Study> {
    let hash = |a: u64, b: u64| {
        let mut x = a.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ b.wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x ^= x >> 29;
        x = x.wrapping_mul(0x94D0_49BB_1331_11EB);
        (x ^ (x >> 32)) % 1000
    };
    (0..60)
        .map(|i| {
            let labels = [u8::from(hash(i, 1) < 400), u8::from(hash(i, 2) < 300)];
            let score = |task: usize| {
                let follow = 1000 * u64::from(labels[task]);
                (follow + noise * hash(i, 3 + task as u64)) as f64 / (1000 * (noise + 1)) as f64
            };
            let patient = format!("patient{:05}", i % 40 + 1);
            let id = format!("CheXpert-v1.0/test/{patient}/study{}", i / 40 + 1);
            Study { id, patient, labels, scores: [score(0), score(1)] }
        })
        .collect()
}

/// Two images a study, the second scored lower: columns in an order of their own.
fn image_csv(folder: &Path, name: &str, noise: u64) -> PathBuf {
    let mut text =
        String::from("score_Edema,label_Pleural Effusion,path,study,score_Pleural Effusion,patient,label_Edema\n");
    for study in studies(noise) {
        let Study { id, patient, labels, scores } = study;
        let number = id.rsplit('/').next().unwrap().to_owned();
        for (view, factor) in [("view1_frontal", 1.0), ("view2_lateral", 0.5)] {
            let [effusion, edema] = scores.map(|score| score * factor);
            writeln!(text, "{edema},{},{id}/{view}.jpg,{number},{effusion},{patient},{}", labels[0], labels[1])
                .unwrap();
        }
    }
    written(folder, name, &text)
}

/// Scores of studies as another tool writes them.
fn study_csv(folder: &Path, name: &str, noise: u64) -> PathBuf {
    let mut text = String::from("Edema,Study,Pleural Effusion\n");
    for study in studies(noise).iter().rev() {
        writeln!(text, "{},{},{}", study.scores[1], study.id, study.scores[0]).unwrap();
    }
    written(folder, name, &text)
}

/// CheXpert's answers: a column a task, more tasks than were scored.
fn truth_csv(folder: &Path) -> PathBuf {
    let mut text = String::from("Study,No Finding,Pleural Effusion,Edema\n");
    for study in studies(1) {
        writeln!(text, "{},0,{},{}", study.id, study.labels[0], study.labels[1]).unwrap();
    }
    written(folder, "groundtruth.csv", &text)
}

fn written(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path
}

fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap()
}

/// The row of a task and statistic, over all rows.
fn row<'a>(results: &'a Value, task: &str, metric: &str) -> &'a Value {
    let rows = results["rows"].as_array().unwrap();
    let named = |row: &&Value| row["metric"]["name"] == metric || row["metric"] == metric;
    rows.iter().filter(|row| row["task"] == task && row["group"].is_null()).find(named).unwrap()
}

/// Refused with one line that holds these words.
fn refused(ran: &Ran, words: &[&str]) {
    refused_with(1, ran, words);
}

/// As [`refused`], where the arguments alone are at fault.
fn bad_arguments(ran: &Ran, words: &[&str]) {
    refused_with(2, ran, words);
}

fn refused_with(code: i32, ran: &Ran, words: &[&str]) {
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(code), ""), "{ran:?}");
    assert_eq!(ran.stderr.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{ran:?}");
    for word in words {
        assert!(ran.stderr.contains(word), "{word:?} is not in: {}", ran.stderr);
    }
}

#[test]
fn folded_images_and_the_studies_of_another_tool_give_the_same_numbers() {
    let folder = TempDir::new().unwrap();
    let (images, scores, truth) = (
        image_csv(folder.path(), "images.csv", 2),
        study_csv(folder.path(), "studies.csv", 2),
        truth_csv(folder.path()),
    );
    let folded = json(&succeed(arguments!["evaluate", images, "--study-max", "--json", "--quiet"]));
    let joined = json(&succeed(arguments![
        "evaluate",
        "--ground-truth",
        truth,
        "--predictions",
        scores,
        "--key",
        "Study",
        "--json",
        "--quiet"
    ]));
    for task in TASKS {
        let observed = |results: &Value| row(results, task, "auroc")["interval"]["observed"].as_f64().unwrap();
        assert_eq!(observed(&folded), observed(&joined));
        assert!(observed(&folded) > 0.6 && observed(&folded) < 1.0, "{}", observed(&folded));
        assert_eq!(row(&joined, task, "auroc")["patients"], 40);
    }
    assert_eq!(row(&folded, TASKS[0], "auroc")["n"], 60);
    assert_eq!(folded["stamp"]["rows"], "studies");
    let single = json(&succeed(arguments!["evaluate", images, "--json", "--quiet", "--task", "edema"]));
    assert_eq!(row(&single, "Edema", "auroc")["n"], 120);
    assert_eq!(single["rows"].as_array().unwrap().len(), 3);
}

#[test]
fn every_kind_of_interval_is_named_in_the_result() {
    let folder = TempDir::new().unwrap();
    let images = image_csv(folder.path(), "images.csv", 3);
    for (kind, method, unit, replicates) in [
        ("paper", "paper", "row", 500),
        ("percentile", "percentile", "patient", 2000),
        ("bca", "bca", "patient", 2000),
        ("delong", "de_long", "patient", 0),
    ] {
        let results = json(&succeed(arguments!["evaluate", images, "--study-max", "--interval", kind, "--json"]));
        let interval = &row(&results, "Edema", "auroc")["interval"];
        assert_eq!(interval["method"], method, "{interval}");
        assert_eq!((&interval["unit"], &interval["replicates"]), (&Value::from(unit), &Value::from(replicates)));
        let number = |key: &str| interval[key].as_f64().unwrap();
        assert!(number("lower") < number("observed") && number("observed") < number("upper"), "{interval}");
        // Only AUROC has DeLong's interval.
        let auprc = if kind == "delong" { "percentile" } else { method };
        assert_eq!(row(&results, "Edema", "auprc")["interval"]["method"], auprc);
    }
}

/// The scores of a linear probe are logits. Their Brier score is that of the probabilities, as in the report of a run, and it is
/// said; so it is in a comparison.
#[test]
fn scores_outside_the_unit_interval_are_logits_and_that_is_said() {
    let folder = TempDir::new().unwrap();
    let logit = |p: f64| (p / (1.0 - p)).ln();
    let write = |name: &str, of: &dyn Fn(f64) -> f64| {
        let path = folder.path().join(name);
        let mut text = "path,patient,label_Edema,score_Edema\n".to_owned();
        for row in 0..40_u32 {
            let p = (f64::from(row * 17 % 40) + 0.5) / 40.0;
            text += &format!("p{row}/s1,p{row},{},{}\n", u32::from(row % 3 == 0), of(p));
        }
        fs::write(&path, text).unwrap();
        path
    };
    let (probabilities, logits) = (write("probabilities.csv", &|p| p), write("logits.csv", &logit));
    let evaluated = |file: &Path| {
        let out = folder.path().join(file.file_stem().unwrap());
        let ran = succeed(arguments!["evaluate", file, "--calibration", "--plots", "--json", "--out", out]);
        assert!(out.join("edema/reliability.svg").is_file());
        ran
    };
    let (plain, converted) = (evaluated(&probabilities), evaluated(&logits));
    let brier = |ran: &Ran| row(&json(ran), "Edema", "brier")["interval"]["observed"].as_f64().unwrap();
    assert!((brier(&plain) - brier(&converted)).abs() < 1e-12, "{} {}", brier(&plain), brier(&converted));
    let error = |ran: &Ran| json(ran)["calibration"][0]["expected_calibration_error"].as_f64().unwrap();
    assert!((error(&plain) - error(&converted)).abs() < 1e-12);
    assert!(!plain.stderr.contains("logits"), "{}", plain.stderr);
    let words = "scores outside 0 to 1, so they are taken as logits, as `moco-cxr linear` writes them";
    assert!(converted.stderr.contains(words) && converted.stderr.contains("Edema (such as"), "{}", converted.stderr);
    let compared = succeed(arguments!["compare", probabilities, logits, "--metric", "brier", "--json"]);
    assert_eq!(compared.stderr.matches("taken as logits").count(), 1, "{}", compared.stderr);
    // Nothing of it concerns ranks.
    assert!(!succeed(arguments!["evaluate", logits]).stderr.contains("logits"));
}

#[test]
fn a_folder_gets_results_and_plots_and_must_be_new() {
    let folder = TempDir::new().unwrap();
    let draws = [image_csv(folder.path(), "a.csv", 2), image_csv(folder.path(), "b.csv", 4)];
    let out = folder.path().join("out");
    let command =
        arguments!["evaluate", draws[0], draws[1], "--study-max", "--calibration", "--plots", "--out", out, "--quiet"];
    let table = succeed(&command).stdout;
    assert!(table.contains("| Pleural Effusion |") && table.contains("Brier"), "{table}");
    assert_eq!(names(&out), ["edema", "pleural-effusion", "results.csv", "results.json"]);
    assert_eq!(names(&out.join("edema")), ["pr.svg", "reliability.svg", "roc.svg"]);
    let svg = fs::read_to_string(out.join("edema/roc.svg")).unwrap();
    assert!(svg.contains("Edema, draw 1") && svg.contains("Edema, draw 2"), "{svg}");
    let results = read_json(&out.join("results.json"));
    let draws = &row(&results, "Edema", "auroc")["draws"];
    assert_eq!(draws["per_draw"].as_array().unwrap().len(), 2);
    assert!(draws["between_draws"].as_f64().unwrap() > 0.0);
    let interval = &row(&results, "Edema", "auroc")["interval"];
    assert_eq!(interval["with_draws"]["draws"], 2);
    assert!(interval["with_draws"]["upper"].as_f64() >= interval["upper"].as_f64());
    assert!(table.contains("| patients and 2 draws |"), "{table}");
    assert_eq!(results["calibration"].as_array().unwrap().len(), 2);

    let before = support::files(&out);
    refused(&run(&command), &["out", "not empty"]);
    assert_eq!(support::files(&out), before);
}

#[test]
fn subgroups_come_from_the_data_sets_own_columns() {
    let folder = TempDir::new().unwrap();
    let images = image_csv(folder.path(), "images.csv", 2);
    let mut text = String::from("Path,Sex,Age,Frontal/Lateral,AP/PA\n");
    for (i, study) in studies(1).iter().enumerate() {
        let (sex, age) = (["Female", "Male"][i % 2], 30 + i % 40);
        writeln!(text, "{}/view1_frontal.jpg,{sex},{age},Frontal,AP", study.id).unwrap();
        writeln!(text, "{}/view2_lateral.jpg,{sex},{age},Lateral,", study.id).unwrap();
    }
    let table = written(folder.path(), "test.csv", &text);
    let results = json(&succeed(arguments![
        "evaluate",
        images,
        "--metadata",
        table,
        "--subgroup",
        "sex",
        "--subgroup",
        "age",
        "--subgroup",
        "projection",
        "--subgroup",
        "view",
        "--task",
        "Edema",
        "--json"
    ]));
    let count = |by: &str, value: &str| {
        let found = results["rows"].as_array().unwrap().iter().find(|row| {
            row["group"]["by"] == by && row["group"]["value"] == value && row["metric"] == row_metric(&results)
        });
        found.unwrap_or_else(|| panic!("no {by} {value}"))["n"].as_u64().unwrap()
    };
    assert_eq!((count("sex", "Female"), count("sex", "Male")), (60, 60));
    assert_eq!((count("view", "Frontal"), count("view", "Lateral")), (60, 60));
    assert_eq!((count("projection", "AP"), count("projection", "unknown")), (60, 60));
    assert_eq!(count("age_band", "18-39") + count("age_band", "40-59") + count("age_band", "60-79"), 120);

    refused(&run(arguments!["evaluate", images, "--subgroup", "sex", "--quiet"]), &["no row with a value for sex"]);
    let short = written(folder.path(), "short.csv", "Path,Sex\nx.jpg,Male\n");
    let ran = run(arguments!["evaluate", images, "--metadata", short, "--subgroup", "sex", "--quiet"]);
    refused(&ran, &["120 only in the predictions", "short.csv"]);
}

/// The first statistic of a result, as JSON has it.
fn row_metric(results: &Value) -> Value {
    results["rows"][0]["metric"].clone()
}

#[test]
fn bad_files_are_refused_with_what_and_where() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let (scores, truth) = (study_csv(folder, "studies.csv", 2), truth_csv(folder));
    let out = folder.join("out");
    let evaluate = |predictions: &Path, key: &str, more: &[&str]| {
        let mut command = arguments![
            "evaluate",
            "--ground-truth",
            truth,
            "--predictions",
            predictions,
            "--key",
            key,
            "--out",
            out,
            "--quiet"
        ]
        .to_vec();
        command.extend(more.iter().map(Into::into));
        let ran = run(command);
        assert!(!out.exists(), "{ran:?}");
        ran
    };
    let text = fs::read_to_string(&scores).unwrap();
    let lines: Vec<&str> = text.lines().collect();

    let id = lines[3].split(',').nth(1).unwrap();
    let nan = written(folder, "nan.csv", &text.replace(lines[3], &format!("NaN,{id},0.5")));
    refused(&evaluate(&nan, "Study", &[]), &["nan.csv line 4", "\"Edema\"", "\"NaN\"", "a finite score"]);

    let fewer = written(folder, "fewer.csv", &text.replace(&format!("{}\n", lines[5]), ""));
    let missing = lines[5].split(',').nth(1).unwrap();
    refused(&evaluate(&fewer, "Study", &[]), &["1 only in", "groundtruth.csv", missing]);

    let twice = written(folder, "twice.csv", &format!("{text}{}\n", lines[1]));
    refused(&evaluate(&twice, "Study", &[]), &["twice.csv", lines[1].split(',').nth(1).unwrap(), "appears twice"]);

    refused(
        &evaluate(&scores, "Study", &["--task", "Pleural Efusion"]),
        &["\"Pleural Efusion\"", "nearest: Pleural Effusion"],
    );
    refused(&evaluate(&scores, "Studdy", &[]), &["no column \"Studdy\"", "nearest: Study"]);

    let renamed = written(folder, "renamed.csv", &text.replace("Edema", "No Findings"));
    refused(&evaluate(&renamed, "Study", &[]), &["\"No Findings\"", "groundtruth.csv", "nearest: No Finding"]);

    let one = written(folder, "one.csv", &text.replace("Pleural Effusion", "No Finding"));
    refused(
        &evaluate(&one, "Study", &["--task", "No Finding"]),
        &["No Finding: no positive rows (all 60 labelled rows are negative)"],
    );
    // Beside a task that has a number, the same is a row with its reason.
    let results = json(&succeed(arguments![
        "evaluate",
        "--ground-truth",
        truth,
        "--predictions",
        one,
        "--key",
        "Study",
        "--json",
        "--quiet"
    ]));
    let undefined = row(&results, "No Finding", "auroc");
    assert!(undefined["interval"].is_null());
    assert_eq!(undefined["undefined"]["kind"], "no_positives");

    bad_arguments(&evaluate(&scores, "Study", &["--replicates", "10"]), &["bootstrap replicates is 10", "at least 40"]);
    bad_arguments(&evaluate(&scores, "Study", &["--calibration", "0"]), &["reliability bins is 0", "1 to 10,000"]);
    // Before any file is read.
    bad_arguments(&run(arguments!["evaluate", "no-such.csv", "--replicates", "10"]), &["at least 40"]);
    // Aborted for want of memory, or panicked.
    for many in ["1000001", "4294967296", "18446744073709551615"] {
        bad_arguments(&evaluate(&scores, "Study", &["--replicates", many]), &[many, "at most 1000000"]);
        bad_arguments(&run(arguments!["compare", scores, scores, "--replicates", many]), &[many, "at most 1000000"]);
    }
    bad_arguments(
        &run(arguments!["compare", "no.csv", "such.csv", "--interval", "delong"]),
        &["--interval: found delong"],
    );
    let ran = run(arguments!["evaluate", "--predictions", scores]);
    assert_eq!(ran.code, Some(2), "{ran:?}"); // labels are missing: an argument, not a file
}

#[test]
fn a_comparison_is_paired_tested_and_corrected_over_tasks() {
    let folder = TempDir::new().unwrap();
    let (good, bad, truth) =
        (study_csv(folder.path(), "good.csv", 1), study_csv(folder.path(), "bad.csv", 9), truth_csv(folder.path()));
    let out = folder.path().join("out");
    let ran =
        succeed(arguments!["compare", good, bad, "--ground-truth", truth, "--key", "Study", "--out", out, "--json"]);
    let comparisons = json(&ran);
    assert_eq!(read_json(&out.join("comparison.json")), comparisons);
    assert!(ran.stderr.contains("not checked: split, protocol"), "{}", ran.stderr);
    for task in comparisons["tasks"].as_array().unwrap() {
        let comparison = &task["comparison"];
        let number = |key: &str| comparison[key].as_f64().unwrap();
        let difference = comparison["difference"]["observed"].as_f64().unwrap();
        assert!((difference - (number("first") - number("second"))).abs() < 1e-15);
        assert!(difference > 0.1 && comparison["difference"]["lower"].as_f64().unwrap() > 0.0, "{comparison}");
        assert!(number("p_bootstrap") < 0.05 && number("p_delong") < 0.05, "{comparison}");
        // Holm over two tasks: at least the p-value, at most twice it.
        for (corrected, raw) in [("p_bootstrap_holm", "p_bootstrap"), ("p_delong_holm", "p_delong")] {
            let corrected = task[corrected].as_f64().unwrap();
            assert!(corrected >= number(raw) && corrected <= 2.0 * number(raw), "{task}");
        }
    }
    let table = fs::read_to_string(out.join("comparison.csv")).unwrap();
    assert_eq!(table.lines().count(), 3, "{table}");
    refused(
        &run(arguments!["compare", good, bad, "--ground-truth", truth, "--key", "Study", "--out", out, "--quiet"]),
        &["not empty"],
    );
}

#[test]
fn results_under_other_conditions_are_not_compared_unless_told_so() {
    let folder = TempDir::new().unwrap();
    let arm = |name: &str, noise: u64, policy: &str, protocol: &str| {
        let arm = folder.path().join(name);
        fs::create_dir(&arm).unwrap();
        image_csv(&arm, "predictions-0.csv", noise);
        image_csv(&arm, "predictions-1.csv", noise + 1);
        let stamp = format!(
            r#"{{"stamp": {{"label_policy": "{policy}", "split": "official", "protocol": "{protocol}", "rows": "images"}}}}"#
        );
        written(&arm, "results.json", &stamp);
        arm
    };
    let first = arm("first", 2, "uncertain=ignore", "linear, standard");
    let second = arm("second", 3, "uncertain=ones", "linear, faithful");
    let alike = arm("alike", 3, "uncertain=ignore", "linear, standard");

    let ran = run(arguments!["compare", first, second, "--quiet"]);
    let shown = [
        r#"label policy: "uncertain=ignore" and "uncertain=ones""#,
        r#"protocol: "linear, standard" and "linear, faithful""#,
        "--compare-despite-differences",
    ];
    refused(&ran, &shown);
    let told = succeed(arguments!["compare", first, second, "--compare-despite-differences", "--study-max", "--json"]);
    assert!(told.stderr.contains("although they differ in label policy"), "{}", told.stderr);
    assert_eq!(json(&told)["differences"].as_array().unwrap().len(), 2);

    let equal = succeed(arguments!["compare", first, alike, "--json"]);
    assert_eq!(equal.stderr, "");
    let comparisons = json(&equal);
    assert!(comparisons["differences"].is_null());
    assert_eq!(comparisons["stamp"]["split"], "official");
    // A draw more on one side cannot be paired.
    image_csv(&alike, "predictions-2.csv", 5);
    refused(&run(arguments!["compare", first, alike, "--quiet"]), &["draws"]);
}

/// Eighty rows of one patient have an AUROC, but no interval over patients; the rows of few patients are pointed at.
#[test]
fn an_interval_of_one_patient_is_undefined_and_one_of_few_is_pointed_at() {
    let folder = TempDir::new().unwrap();
    let csv = |name: &str, patients: usize| {
        let mut text = String::from("path,patient,label_Edema,score_Edema\n");
        for row in 0..80 {
            let (patient, score) = (row % patients, (row * 17 % 61) as f64 / 61.0);
            writeln!(text, "{row}.png,p{patient},{},{score}", u8::from(row / 7 % 2 == 0)).unwrap();
        }
        written(folder.path(), name, &text)
    };
    let one = run(arguments!["evaluate", csv("one.csv", 1)]);
    refused(&one, &["Edema", "1 patient(s) with positive rows and 1 with negative ones", "at least 2 of each"]);
    let ran = succeed(arguments!["evaluate", csv("four.csv", 4), "--json"]);
    assert!(ran.stderr.contains("Edema: 42 positive and 38 negative rows of 4 patients"), "{}", ran.stderr);
    assert_eq!(row(&json(&ran), "Edema", "auroc")["patients"], 4);
    let ran = succeed(arguments!["evaluate", csv("many.csv", 40)]);
    assert!(!ran.stderr.contains("rough"), "{}", ran.stderr);
}

#[test]
fn a_name_that_is_not_there_is_answered_with_those_that_are() {
    let folder = TempDir::new().unwrap();
    let (images, scores, truth) = (
        image_csv(folder.path(), "images.csv", 2),
        study_csv(folder.path(), "studies.csv", 2),
        truth_csv(folder.path()),
    );
    // Like none of them.
    let ran = run(arguments!["evaluate", images, "--task", "B"]);
    refused(&ran, &["task \"B\" is not in", "it has \"Edema\", \"Pleural Effusion\""]);
    assert!(!ran.stderr.contains("nearest"), "{}", ran.stderr);
    let ran = run(arguments!["evaluate", images, "--task", "Oedema"]);
    refused(&ran, &["nearest: Edema", "it has"]);
    // The default key, Path, in files of studies.
    let ran = run(arguments!["evaluate", "--ground-truth", truth, "--predictions", scores]);
    refused(&ran, &["no column \"Path\"", "it has \"Study\", \"No Finding\""]);
}

#[test]
fn the_specificity_of_a_sensitivity_can_be_chosen() {
    let folder = TempDir::new().unwrap();
    let images = image_csv(folder.path(), "images.csv", 2);
    let sensitivity = |more: &[&str]| {
        let command = arguments!["evaluate", images, "--study-max", "--json", "--quiet"].to_vec();
        let results = json(&succeed(command.into_iter().chain(more.iter().map(Into::into))));
        let rows = results["rows"].as_array().unwrap().clone();
        let of = |row: &&Value| row["task"] == "Edema" && !row["metric"]["sensitivity_at"].is_null();
        let row = rows.iter().find(of).unwrap();
        let specificity = row["metric"]["sensitivity_at"]["specificity"].as_f64().unwrap();
        (specificity, row["interval"]["observed"].as_f64().unwrap())
    };
    let (all, default, none) =
        (sensitivity(&["--specificity", "0"]), sensitivity(&[]), sensitivity(&["--specificity", "1"]));
    assert_eq!((all.0, default.0, none.0), (0.0, 0.9, 1.0));
    assert_eq!(all.1, 1.0, "every image above the lowest threshold is called ill");
    assert!(none.1 < default.1 && default.1 < 1.0, "{none:?} {default:?}");

    let compare = |more: &[&str]| {
        let command = arguments!["compare", images, images, "--quiet", "--json"].to_vec();
        run(command.into_iter().chain(more.iter().map(Into::into)))
    };
    let at = json(&compare(&["--metric", "sensitivity", "--specificity", "0.5"]));
    assert_eq!(at["tasks"][0]["comparison"]["metric"]["sensitivity_at"]["specificity"], 0.5);
    bad_arguments(&compare(&["--specificity", "0.5"]), &["--specificity", "--metric sensitivity"]);
    bad_arguments(
        &compare(&["--metric", "sensitivity", "--specificity", "1.5"]),
        &["specificity is 1.5", "from 0 to 1"],
    );
    bad_arguments(&run(arguments!["evaluate", images, "--specificity=-1"]), &["specificity is -1", "from 0 to 1"]);
}
