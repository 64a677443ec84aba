//! Prediction files, joins, results and plots as a user meets them.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use eval::{
    Bootstrap, Curve, Error, Evaluation, Metric, PatientSource, Predictions, ReadOptions, RecordedLabels, Results, Row,
    Scores, Stamp, Subgroup, Undefined, compare, fold_studies, join_ground_truth, read_predictions, read_stamp_beside,
    subgroups, write_predictions,
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
        ("path,score_a,label_a\nx,0.5,-1\n", "--policy says what becomes of -1"),
        ("path,score_a\nx,0.5\nx,0.6\n", "path \"x\" appears twice (rows 1 and 2)"),
        ("path,score_a,score_a\nx,0.5,0.6\n", "two columns are named \"score_a\""),
        ("path,probability\nx,0.5\n", "no column named score_<task>"),
        ("path,score_a\n", "a header and no rows"),
    ] {
        let message = error(text).to_string();
        assert!(message.contains(expected), "{message}");
    }
    assert!(matches!(read_predictions(Path::new("absent.csv")), Err(Error::Table(tables::Error::Io { .. }))));
    assert!(error("path,score_a\nx,0.5,7\n").to_string().contains("line 2: found 3 cells, expected 2"));
}

/// C25, C62, C70: the line an editor shows, labels and scores alone, ages as NIH writes them.
#[test]
fn c25_c62_c70_score_files_are_read_as_tables_are() {
    let folder = TempDir::new().unwrap();
    let read = |text: &str| read_predictions(&write(&folder, "s.csv", text));
    for end in ["\n", "\r\n"] {
        let error = read(&["path,label_A,score_A", "a,0,0.1", "b,1,oops", ""].join(end)).unwrap_err().to_string();
        assert!(error.contains("s.csv line 3, column \"score_A\": found \"oops\""), "{error}");
    }
    for text in ["label_A;score_A\n0;0,1\n1;0,9\n", "label_A\tscore_A\n0\t0.1\n1\t0.9\n"] {
        let scores = read(text).unwrap();
        assert_eq!((scores.rows()[1].path.as_str(), scores.patient_source()), ("row 2", PatientSource::Row));
        assert_eq!(scores.scores(), array![[0.1], [0.9]].view());
    }
    let scores = read("patient,label_A,score_A\nx,0,0.1\nx,1,0.9\n").unwrap();
    assert_eq!((scores.rows()[1].patient.as_str(), scores.patient_source()), ("x", PatientSource::Column));
    let ages = read("path,age,label_A,score_A\na,020Y,0,0.1\nb,40-50,1,0.9\nc,011M,1,0.9\n").unwrap();
    let found: Vec<_> = ages.rows().iter().map(|row| row.age.map(|age| (age * 12.0).round())).collect();
    assert_eq!(found, [Some(240.0), None, Some(11.0)]);
    assert!(read("path,age,score_A\na,old,0.1\n").unwrap_err().to_string().contains("found \"old\", expected an age"));
}

/// C76, C77: a table of labels as the loaders read it, under the same policy; rows without scores on demand.
#[test]
fn c76_c77_recorded_labels_follow_the_policy() {
    let folder = TempDir::new().unwrap();
    let truth = write(&folder, "train.csv", "Path,Sex,Edema\na,F,1.0\nb,M,0.0\nc,F,-1.0\nd,M,\n");
    let scores = write(&folder, "scores.csv", "Path,Edema\na,0.9\nb,0.1\nc,0.5\nd,0.2\n");
    let key = Some((truth.as_path(), "Path"));
    let read = |recorded: Option<RecordedLabels>, file: &Path, scored_only| {
        let options = ReadOptions { ground_truth: key, recorded, scored_only, ..ReadOptions::default() };
        Predictions::read_with(&[file.to_owned()], &options)
    };
    let labels = |predictions: &Predictions| {
        predictions.draws[0]
            .labels()
            .iter()
            .map(|label| if label.is_nan() { -1 } else { *label as i32 })
            .collect::<Vec<_>>()
    };
    // The paper's policy, as `linear` has it by default.
    let default = read(None, &scores, false).unwrap();
    assert_eq!(labels(&default), [1, 0, -1, 0]);
    assert_eq!(default.stamp.label_policy.as_deref(), Some("uncertain=ignore,not-mentioned=negative,views=all"));
    let ones = RecordedLabels { uncertain: 1.0, not_mentioned: f64::NAN, policy: "ones".into() };
    let ones = read(Some(ones), &scores, false).unwrap();
    assert_eq!((labels(&ones), ones.stamp.label_policy.as_deref()), (vec![1, 0, 1, -1], Some("ones")));

    let some = write(&folder, "some.csv", "Path,Edema\nb,0.1\na,0.9\n");
    let error = read(None, &some, false).unwrap_err().to_string();
    assert!(
        error.contains("2 only in") && error.ends_with("(--scored-only evaluates the rows with scores alone)"),
        "{error}"
    );
    let part = read(None, &some, true).unwrap();
    assert_eq!((labels(&part), part.stamp.split.as_deref()), (vec![0, 1], Some("2 of 4 rows, those with scores")));
    let more = write(&folder, "more.csv", "Path,Edema\nb,0.1\nz,0.9\n");
    assert!(read(None, &more, true).is_err());
}

/// Two inputs that put the same rows into different patients are refused, whatever the patients are called.
#[test]
fn contradicting_patients_are_refused() {
    let folder = TempDir::new().unwrap();
    let truth = write(&folder, "truth.csv", "path,patient,Edema\na,1,1\nb,1,0\nc,2,0\n");
    let read = |patients: [&str; 3]| {
        let text = format!("path,patient,Edema\na,{},0.5\nb,{},0.5\nc,{},0.5\n", patients[0], patients[1], patients[2]);
        join_ground_truth(&truth, &write(&folder, "scores.csv", &text), "path", None)
    };
    assert!(read(["x", "x", "y"]).is_ok());
    for patients in [["x", "y", "y"], ["x", "x", "x"], ["x", "y", "z"]] {
        let error = read(patients).unwrap_err().to_string();
        assert!(error.contains("the patients contradict: row "), "{error}");
    }
    let (one, other) =
        (read(["x", "x", "y"]).unwrap(), "path,patient,label_Edema,score_Edema\na,p,1,0.5\nb,q,0,0.5\nc,r,0,0.5\n");
    let other = read_predictions(&write(&folder, "other.csv", other)).unwrap();
    assert!(one.align(&other).unwrap_err().to_string().contains("the patients contradict"));
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
