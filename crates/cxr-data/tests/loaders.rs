//! Loaders against folders laid out as the data sets are published, quirks and faults included.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use cxr_data::{Dataset, Label, LoadOptions, Manifest, OnBad, Part, Projection, Result, Sex, View, load, load_with};
use tempfile::TempDir;

const HEADER: &str = "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Enlarged Cardiomediastinum,Cardiomegaly,Lung Opacity,\
    Lung Lesion,Edema,Consolidation,Pneumonia,Atelectasis,Pneumothorax,Pleural Effusion,Pleural Other,Fracture,Support Devices";

/// Files without content: loading opens no image.
fn touch(root: &Path, paths: &[&str]) {
    for path in paths {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, b"").unwrap();
    }
}

/// A CheXpert folder with three images and the given rows of `train.csv` (the header is added).
fn chexpert(rows: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    touch(
        dir.path(),
        &[
            "train/patient00001/study1/view1_frontal.jpg",
            "train/patient00001/study1/view2_lateral.jpg",
            "train/patient00002/study3/view1_frontal.jpg",
        ],
    );
    fs::write(dir.path().join("train.csv"), format!("{HEADER}\n{rows}")).unwrap();
    dir
}

fn train(dir: &TempDir) -> Result<Manifest> {
    load(dir.path(), Dataset::Chexpert, Part::Train)
}

fn message(result: Result<Manifest>) -> String {
    result.unwrap_err().to_string()
}

const ONE: &str = "CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg";

#[test]
fn chexpert_reads_every_state_and_quirk() {
    let dir = chexpert(
        "CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg,Unknown,0,Frontal,AP,,,1.0,0.0,-1.0,,,,,,1,0,-1,\n\
         CheXpert-v1.0-small/train/patient00001/study1/view2_lateral.jpg,Female,90,Lateral,,,,,,,,,,,,,,,\n\
         CheXpert-v1.0-small/train/patient00002/study3/view1_frontal.jpg,Male,61,Frontal,LL,,,,,,,,,,,,,,\n",
    );
    let set = train(&dir).unwrap();
    assert_eq!(set.tasks.len(), 14);
    assert!(set.patients_known);
    let [first, second, third] = &set.records[..] else { panic!("3 rows expected, found {}", set.len()) };
    assert_eq!(first.path, "train/patient00001/study1/view1_frontal.jpg");
    assert_eq!((first.patient.as_str(), first.study.as_str()), ("patient00001", "patient00001/study1"));
    assert_eq!(
        (first.sex, first.age, first.view, first.projection),
        (None, None, Some(View::Frontal), Some(Projection::Ap))
    );
    let at = |name: &str| first.labels[set.task_indices(&[name]).unwrap()[0]];
    assert_eq!(at("Cardiomegaly"), Label::Positive);
    assert_eq!(at("Lung Opacity"), Label::Negative);
    assert_eq!(at("Airspace Opacity"), Label::Negative);
    assert_eq!(at("Lung Lesion"), Label::Uncertain);
    assert_eq!(at("pleural-effusion"), Label::Positive);
    assert_eq!(at("Fracture"), Label::Uncertain);
    assert_eq!(at("Support Devices"), Label::NotMentioned);
    assert_eq!((second.sex, second.age, second.view), (Some(Sex::Female), Some(90.0), Some(View::Lateral)));
    assert_eq!(third.projection, Some(Projection::Ll));
    assert_eq!(set.studies(&[0, 1, 2]), [vec![0, 1], vec![2]]);
    // The root is a temporary folder, so the published prefix is one to report, and so are the two quirks.
    let notes = set.notes.join("\n");
    assert!(notes.contains("3 paths begin with \"CheXpert-v1.0-small/\""), "{notes}");
    assert!(notes.contains("1 rows with Sex \"Unknown\"") && notes.contains("1 rows with Age 0"), "{notes}");
    assert_eq!(set.notes.len(), 3, "{notes}");
}

#[test]
fn columns_are_matched_by_name_in_any_order() {
    let dir = chexpert("");
    let mut names: Vec<&str> = HEADER.split(',').collect();
    names.reverse();
    let row = names.iter().map(|&name| match name {
        "Path" => "/deep/group/CheXpert/CheXpert-v1.0/train/patient00002/study3/view1_frontal.jpg",
        "Edema" => "1.0",
        "Frontal/Lateral" => "Frontal",
        _ => "",
    });
    // A leading unnamed index column and an absolute path, as in the published draws.
    let table = format!(",{}\n7,{}\n", names.join(","), row.collect::<Vec<_>>().join(","));
    fs::write(dir.path().join("train.csv"), table).unwrap();
    let set = train(&dir).unwrap();
    assert_eq!(set.records[0].path, "train/patient00002/study3/view1_frontal.jpg");
    let edema = set.task_indices(&["Edema"]).unwrap()[0];
    assert!(
        set.records[0].labels.iter().enumerate().all(|(task, &label)| (label == Label::Positive) == (task == edema))
    );
    assert!(set.notes.join("\n").contains("1 paths begin with \"/deep/group/CheXpert/CheXpert-v1.0/\""));
}

#[test]
fn the_folder_above_the_tables_is_good_enough() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("CheXpert-v1.0-small");
    touch(&root, &["train/patient00001/study1/view1_frontal.jpg"]);
    fs::write(root.join("train.csv"), format!("{HEADER}\n{ONE},Male,61,Frontal,PA,,,,,,,,,,,,,,\n")).unwrap();
    let set = train(&dir).unwrap();
    assert_eq!(set.root, root);
    assert_eq!(set.notes, Vec::<String>::new());
    assert!(set.image_path(0).is_file());

    touch(dir.path(), &["CheXpert-v1.0/train.csv"]);
    assert!(message(train(&dir)).contains("several folders with such tables"));
}

#[test]
fn faults_name_file_line_and_column() {
    let label = chexpert(&format!("{ONE},Male,61,Frontal,PA,,,,,,,,,,,2.0,,,\n"));
    let label = message(train(&label));
    assert!(label.contains("train.csv line 2, column \"Pleural Effusion\": found \"2.0\""), "{label}");

    let view = chexpert(&format!("{ONE},Male,61,Oblique,PA,,,,,,,,,,,,,,\n"));
    assert!(message(train(&view)).contains("line 2, column \"Frontal/Lateral\": found \"Oblique\""));

    let age = chexpert(&format!("{ONE},Male,old,Frontal,PA,,,,,,,,,,,,,,\n"));
    assert!(message(train(&age)).contains("line 2, column \"Age\": found \"old\""));

    let path = chexpert("images/a.jpg,Male,61,Frontal,PA,,,,,,,,,,,,,,\n");
    assert!(message(train(&path)).contains("column \"Path\": found \"images/a.jpg\""));

    let short = chexpert(&format!("{ONE},Male,61\n"));
    let short = message(train(&short));
    assert!(short.contains("train.csv") && short.contains("line: 2") && short.contains("3 fields"), "{short}");

    let columns = chexpert("");
    fs::write(columns.path().join("train.csv"), HEADER.replace("Edema,", "").replace("Fracture", "Fractures")).unwrap();
    let columns = message(train(&columns));
    assert!(
        columns.contains("columns \"Edema\", \"Fracture\" not found") && columns.contains("\"Fractures\""),
        "{columns}"
    );

    let empty = chexpert("");
    fs::write(empty.path().join("train.csv"), "").unwrap();
    assert!(message(train(&empty)).contains("the header has no columns"));

    let other = tempfile::tempdir().unwrap();
    touch(other.path(), &["notes.txt", "a.jpg"]);
    let other = message(train(&other));
    assert!(other.contains("expected train.csv") && other.contains("found a.jpg, notes.txt"), "{other}");
}

#[test]
fn a_missing_image_fails_or_is_counted() {
    let dir = chexpert(&format!(
        "{ONE},Male,61,Frontal,PA,,,,,,,,,,,,,,\n\
         CheXpert-v1.0-small/train/patient00009/study1/view1_frontal.jpg,Male,61,Frontal,PA,,,,,,,,,,,,,,\n\
         ../patient00009/study1/view1_frontal.jpg,Male,61,Frontal,PA,,,,,,,,,,,,,,\n"
    ));
    let error = message(train(&dir));
    assert!(error.contains("train.csv line 3: image \"CheXpert-v1.0-small/train/patient00009"), "{error}");
    let options = LoadOptions { on_bad: OnBad::Skip, ..LoadOptions::default() };
    let set = load_with(dir.path(), Dataset::Chexpert, Part::Train, &options).unwrap();
    assert_eq!(set.len(), 1);
    assert!(set.notes.join("\n").contains("2 rows skipped, their images are missing (the first: "));
}

#[test]
fn the_test_set_has_its_truth_per_study() {
    let dir = tempfile::tempdir().unwrap();
    touch(
        dir.path(),
        &[
            "test/patient64741/study1/view1_frontal.jpg",
            "test/patient64741/study1/view2_lateral.jpg",
            "test/patient64742/study1/view1_frontal.jpg",
            "test/patient64742/study1/Thumbs.db",
        ],
    );
    let header = HEADER.replace("Path,Sex,Age,Frontal/Lateral,AP/PA", "Study");
    let truth = format!(
        "{header}\nCheXpert-v1.0/test/patient64742/study1,0,0,0,0,0,0,0,0,0,0,1,0,0,0\n\
         CheXpert-v1.0/test/patient64741/study1,0,0,0,0,0,1,0,0,0,0,0,0,0,0\n"
    );
    fs::write(dir.path().join("groundtruth.csv"), &truth).unwrap();
    let test = |dir: &TempDir| load(dir.path(), Dataset::Chexpert, Part::Test);

    // As they lie on disk: in the order of the table.
    let set = test(&dir).unwrap();
    let paths = |set: &Manifest| set.records.iter().map(|record| record.path[5..].to_string()).collect::<Vec<_>>();
    let on_disk = [
        "patient64742/study1/view1_frontal.jpg",
        "patient64741/study1/view1_frontal.jpg",
        "patient64741/study1/view2_lateral.jpg",
    ];
    assert_eq!(paths(&set), on_disk);
    assert_eq!(set.records[2].view, Some(View::Lateral));
    let effusion = set.task_indices(&["Pleural Effusion"]).unwrap()[0];
    assert_eq!(
        set.records.iter().map(|r| r.labels[effusion]).collect::<Vec<_>>(),
        [Label::Positive, Label::Negative, Label::Negative]
    );

    // As a list says.
    let list = "Path\nCheXpert-v1.0/test/patient64741/study1/view1_frontal.jpg\nCheXpert-v1.0/test/patient64742/study1/view1_frontal.jpg\n";
    fs::write(dir.path().join("test_image_paths.csv"), list).unwrap();
    assert_eq!(
        paths(&test(&dir).unwrap()),
        ["patient64741/study1/view1_frontal.jpg", "patient64742/study1/view1_frontal.jpg"]
    );

    // A study without an image is an error that names it.
    fs::remove_file(dir.path().join("test_image_paths.csv")).unwrap();
    fs::write(
        dir.path().join("groundtruth.csv"),
        truth + "CheXpert-v1.0/test/patient70000/study1,0,0,0,0,0,1,0,0,0,0,0,0,0,0\n",
    )
    .unwrap();
    let error = message(test(&dir));
    assert!(error.contains("groundtruth.csv line 4: image \"CheXpert-v1.0/test/patient70000/study1\""), "{error}");

    // A table with a row per image goes before, and may do without the columns on the patient.
    let plain = format!(
        "{}\ntest/patient64741/study1/view2_lateral.jpg,0,0,0,0,0,1,0,0,0,0,0,0,0,0\n",
        HEADER.replace(",Sex,Age,Frontal/Lateral,AP/PA", "")
    );
    fs::write(dir.path().join("test.csv"), plain).unwrap();
    let set = test(&dir).unwrap();
    assert_eq!((set.len(), set.records[0].view), (1, Some(View::Lateral)));
}

/// The folder with real images, or `None` with the reason printed.
fn real_data() -> Option<PathBuf> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data");
    let dir = PathBuf::from(std::env::var("MOCO_CXR_TEST_DATA").unwrap_or_else(|_| default.into()));
    if dir.is_dir() {
        return Some(dir);
    }
    eprintln!("skipped: {} is not there; MOCO_CXR_TEST_DATA names the folder with real images", dir.display());
    None
}

#[test]
fn real_chexpert_layout() {
    let Some(data) = real_data() else { return };
    let dir = data.join("chexpert-layout");
    let train = load(&dir, Dataset::Chexpert, Part::Train).unwrap();
    let valid = load(&dir, Dataset::Chexpert, Part::Valid).unwrap();
    assert_eq!((train.len(), valid.len(), train.patient_count() + valid.patient_count()), (806, 194, 682));
    assert_eq!(train.notes, Vec::<String>::new());
    let all = load(&dir, Dataset::Chexpert, Part::All).unwrap();
    assert_eq!(all.len(), 1000);
    assert_eq!(all.select(&(0..806).collect::<Vec<_>>()).hash(), train.hash());
    assert_ne!(train.hash(), valid.hash());
}
