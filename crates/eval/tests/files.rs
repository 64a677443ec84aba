//! Prediction files, joins, results and plots as a user meets them.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use eval::{
    Bootstrap, Curve, Error, Evaluation, Metric, PatientSource, Results, Row, Scores, Stamp, Subgroup, Undefined,
    compare, fold_studies, join_ground_truth, read_predictions, read_stamp_beside, subgroups, write_predictions,
};
use ndarray::array;
use tempfile::TempDir;

fn write(folder: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn row(path: &str, patient: &str, sex: Option<&str>, age: f64) -> Row {
    Row {
        path: path.into(),
        patient: patient.into(),
        study: "study1".into(),
        view: Some("frontal".into()),
        sex: sex.map(str::to_owned),
        age: Some(age),
        projection: None,
    }
}

fn example() -> Scores {
    let rows = vec![
        row("p1/study1/a, b.jpg", "p1", Some("Female"), 30.0),
        row("p2/study1/view1.jpg", "p2", Some("Male"), 71.5),
        row("p3/study1/view1.jpg", "p3", None, 90.0),
        row("p4/study1/view1.jpg", "p4", Some("Female"), 44.0),
    ];
    let labels = array![[1.0, f64::NAN], [0.0, 0.0], [1.0, 0.0], [0.0, 0.0]];
    let scores = array![[0.1 + 0.2, 1e-300], [0.25, 0.5], [2.0 / 3.0, 0.125], [0.9, 0.1]];
    Scores::new(vec!["Pleural Effusion".into(), "Fracture".into()], rows, labels, scores).unwrap()
}

#[test]
fn predictions_survive_the_file_bit_for_bit_and_are_not_overwritten() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("predictions.csv");
    write_predictions(&path, &example()).unwrap();
    let read = read_predictions(&path).unwrap();
    assert_eq!(read.rows(), example().rows());
    assert_eq!((read.tasks(), read.scores()), (example().tasks(), example().scores()));
    let labels = |scores: &Scores| scores.labels().map(|label| (!label.is_nan()).then_some(*label));
    assert_eq!(labels(&read), labels(&example()));

    let before = std::fs::read(&path).unwrap();
    assert!(matches!(write_predictions(&path, &example()), Err(Error::Exists { .. })));
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1); // no temporary file left
}

#[test]
fn columns_of_other_tools_are_read_in_any_order() {
    let folder = TempDir::new().unwrap();
    let text = "score_edema,Label_Edema,Path,Unused\n0.5,1.0,test/patient7/study1/x.jpg,?\n0.25,,test/patient8/study1/x.jpg,?\n";
    let scores = read_predictions(&write(&folder, "p.csv", text)).unwrap();
    assert_eq!(scores.tasks(), ["edema"]);
    assert_eq!(scores.labels()[[0, 0]], 1.0);
    assert!(scores.labels()[[1, 0]].is_nan());
    assert_eq!((scores.rows()[1].patient.as_str(), scores.patient_source()), ("patient8", PatientSource::Path));

    let scores = read_predictions(&write(&folder, "q.csv", "path,score_a\nx.png,1\ny.png,-2e3\n")).unwrap();
    assert_eq!((scores.rows()[1].patient.as_str(), scores.patient_source()), ("y.png", PatientSource::Row));
}

#[test]
fn faults_of_a_file_name_line_and_column() {
    let folder = TempDir::new().unwrap();
    let error = |text: &str| read_predictions(&write(&folder, "p.csv", text)).unwrap_err();
    for (text, expected) in [
        ("path,score_a\nx,0.5\ny,NaN\n", "line 3, column \"score_a\": found \"NaN\""),
        ("path,score_a\nx,\n", "found \"\", expected a finite score"),
        ("path,score_a,label_a\nx,0.5,-1\n", "apply a label policy to -1 beforehand"),
        ("path,score_a\nx,0.5\nx,0.6\n", "path \"x\" appears twice (rows 1 and 2)"),
        ("path,score_a,score_a\nx,0.5,0.6\n", "column \"score_a\" appears twice"),
        ("Pfad,score_a\nx,0.5\n", "no column \"path\""),
        ("path,probability\nx,0.5\n", "no column named score_<task>"),
        ("path,score_a\n", "no rows"),
    ] {
        let message = error(text).to_string();
        assert!(message.contains(expected), "{message}");
    }
    assert!(matches!(read_predictions(Path::new("absent.csv")), Err(Error::Io { .. })));
    assert!(matches!(error("path,score_a\nx,0.5,7\n"), Error::Csv { .. }));
}

/// CheXpert's test answers: truth by `Study`, columns in another order, no prefixes.
#[test]
fn ground_truth_joins_on_a_key_whatever_the_order() {
    let folder = TempDir::new().unwrap();
    let truth = write(
        &folder,
        "groundtruth.csv",
        "Study,Edema,Pleural Effusion\ntest/patient1/study1,0,1\ntest/patient2/study1,1,0\n",
    );
    let predictions = write(
        &folder,
        "predictions.csv",
        "Pleural Effusion,Study\n0.2,test/patient2/study1\n0.9,test/patient1/study1\n",
    );
    let scores = join_ground_truth(&truth, &predictions, "study", None).unwrap();
    assert_eq!(scores.tasks(), ["Pleural Effusion"]);
    assert_eq!((scores.labels(), scores.scores()), (array![[0.0], [1.0]].view(), array![[0.2], [0.9]].view()));
    assert_eq!(scores.rows()[0].patient, "patient2");

    let task = ["Pleural Efusion".to_owned()];
    let Error::UnknownTask { nearest, place, .. } =
        join_ground_truth(&truth, &predictions, "Study", Some(&task)).unwrap_err()
    else {
        panic!()
    };
    assert_eq!(nearest.first().map(String::as_str), Some("Pleural Effusion"));
    assert!(place.ends_with("groundtruth.csv"));

    let other =
        write(&folder, "other.csv", "Study,Pleural Effusion\ntest/patient1/study1,0.5\ntest/patient3/study1,0.5\n");
    let message = join_ground_truth(&truth, &other, "Study", None).unwrap_err().to_string();
    assert!(message.contains("1 only in") && message.contains("test/patient3/study1"), "{message}");
    let twice = write(&folder, "twice.csv", "Study,Edema\ntest/patient1/study1,0\ntest/patient1/study1,0\n");
    assert!(matches!(join_ground_truth(&twice, &predictions, "Study", None), Err(Error::Duplicate { .. })));
    assert!(matches!(join_ground_truth(&truth, &predictions, "Path", None), Err(Error::MissingColumn { .. })));
}

#[test]
fn results_survive_the_file_and_undefined_is_null_with_the_reason() {
    let folder = TempDir::new().unwrap();
    let evaluation = Evaluation { calibration_bins: Some(10), ..Evaluation::default() };
    let stamp = Stamp::new("ignore", "official", "standard");
    let results = evaluation.run(&[example(), example()], stamp.clone()).unwrap();
    let path = folder.path().join("results.json");
    results.write_json(&path).unwrap();
    assert_eq!(Results::read_json(&path).unwrap(), results);
    assert_eq!(read_stamp_beside(&folder.path().join("predictions.csv")).unwrap(), stamp);

    let json: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let fracture = json["rows"].as_array().unwrap().iter().find(|row| row["task"] == "Fracture").unwrap();
    assert!(fracture["interval"].is_null());
    assert_eq!(fracture["undefined"]["kind"], "no_positives");

    let csv_path = folder.path().join("results.csv");
    results.write_csv(&csv_path).unwrap();
    let mut reader = csv::Reader::from_path(&csv_path).unwrap();
    let records: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(records.len(), results.rows.len());
    assert!(
        records
            .iter()
            .any(|record| record.iter().any(|cell| cell == "no positive rows (all 3 labelled rows are negative)"))
    );
    assert!(results.table().to_markdown().contains("- (no positive rows"));
}

#[test]
fn results_under_other_conditions_are_not_compared() {
    let stamp = |policy: &str| Stamp::new(policy, "official", "standard");
    let run = |second: &Stamp| {
        compare((&[example()], &stamp("ignore")), (&[example()], second), Metric::Auroc, &Bootstrap::default())
    };
    let message = run(&stamp("ones")).unwrap_err().to_string();
    assert!(message.contains(r#"label policy: "ignore" and "ones""#), "{message}");

    let comparisons = run(&Stamp::default()).unwrap(); // from another tool: nothing known, nothing contradicted
    assert_eq!(comparisons.stamp, stamp("ignore"));
    assert_eq!(comparisons.tasks[0].comparison.as_ref().unwrap().difference.estimate, 0.0);
    assert_eq!(comparisons.tasks[1].undefined, Some(Undefined::NoPositives { negatives: 3 }));
    assert_eq!(comparisons.tasks[1].p_bootstrap_holm, None);
}

#[test]
fn other_labels_or_rows_are_not_compared() {
    let mut labels = example().labels().to_owned();
    labels[[3, 0]] = 1.0;
    let other =
        Scores::new(example().tasks().to_vec(), example().rows().to_vec(), labels, example().scores().to_owned());
    let stamp = Stamp::default();
    let run = |other: &[Scores]| compare((&[example()], &stamp), (other, &stamp), Metric::Auroc, &Bootstrap::default());
    assert!(matches!(run(&[other.unwrap()]), Err(Error::MismatchedLabels { .. })));
    let fewer = run(&[example().select_rows(&[0, 1, 2]).unwrap()]);
    assert!(matches!(fewer, Err(Error::MismatchedRows(rows)) if rows.only_left == 1 && rows.only_right == 0));
}

#[test]
fn subgroups_divide_the_rows() {
    let evaluation = Evaluation { metrics: vec![Metric::Auroc], ..Evaluation::default() };
    let rows = subgroups(&evaluation, &[example()], Subgroup::Sex).unwrap();
    let groups: Vec<(&str, usize)> = rows
        .iter()
        .filter(|row| row.task == "Pleural Effusion")
        .map(|row| (row.group.as_ref().unwrap().value.as_str(), row.n))
        .collect();
    assert_eq!(groups, [("Female", 2), ("Male", 1), ("unknown", 1)]);
    let rows = subgroups(&evaluation, &[example()], Subgroup::AgeBand).unwrap();
    let bands: Vec<&str> = rows.iter().step_by(2).map(|row| row.group.as_ref().unwrap().value.as_str()).collect();
    assert_eq!(bands, ["18-39", "40-59", "60-79", "80+"]);
}

#[test]
fn folding_ranks_by_the_logit() {
    // In f32 a sigmoid rounds both of these to 1; the logits still rank them.
    let rows = vec![row("p1/study1/a.jpg", "p1", None, 50.0), row("p2/study1/a.jpg", "p2", None, 50.0)];
    let scores = Scores::new(vec!["t".into()], rows, array![[0.0], [1.0]], array![[20.0], [30.0]]).unwrap();
    let (cohort, logits) = fold_studies(&scores).unwrap().cohort(0).unwrap();
    assert_eq!(eval::auroc(cohort.labels(), &logits, None).unwrap(), 1.0);
}

#[test]
fn plots_are_well_formed_and_name_their_axes() {
    let labels = [true, false, true, false, false];
    let scores = [0.9, 0.2, 0.6, 0.6, 0.1];
    let curve = Curve { name: "Effusion <0.9>", labels: &labels, scores: &scores };
    for (svg, axis) in [
        (eval::roc_svg("ROC", &[curve]).unwrap(), "1 - specificity"),
        (eval::pr_svg("PR", &[curve]).unwrap(), "recall (sensitivity)"),
        (eval::reliability_svg("Reliability", &[curve], 10).unwrap(), "mean predicted probability"),
    ] {
        assert!(svg.contains(axis) && svg.contains("Effusion &lt;0.9&gt;") && svg.contains("currentColor"));
        assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
        assert!(svg.starts_with("<svg xmlns") && svg.ends_with("</svg>\n"));
    }
    // The curve itself: (0,0) (0,1/2) (1/3,1) (2/3,1) (1,1) in a square of 360 pixels with its corner at (56, 36).
    let svg = eval::roc_svg("ROC", &[curve]).unwrap();
    assert!(svg.contains("M56.00 396.00 L56.00 216.00 L176.00 36.00 L296.00 36.00 L416.00 36.00"), "{svg}");
}
