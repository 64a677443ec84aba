//! Loaders against folders laid out as the data sets are published, quirks and faults included.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::Path;

use cxr_data::{Dataset, Label, LoadOptions, Manifest, OnBad, Part, Projection, Result, Sex, View, load, load_with};
use support::{message, touch};
use tempfile::TempDir;

const HEADER: &str = "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Enlarged Cardiomediastinum,Cardiomegaly,Lung Opacity,\
    Lung Lesion,Edema,Consolidation,Pneumonia,Atelectasis,Pneumothorax,Pleural Effusion,Pleural Other,Fracture,Support Devices";

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

const ONE: &str = "CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg";

#[test]
fn chexpert_reads_every_state_and_quirk() {
    let dir = chexpert(
        "CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg,Unknown,0,Frontal,AP,,,1.0,0.0,-1.0,,,,,,1,0,-1,\n\
         CheXpert-v1.0-small/train/patient00001/study1/view2_lateral.jpg,Female,90,Lateral,,,,,,,,,,,,,,,\n\
         CheXpert-v1.0-small/train/patient00002/study3/view1_frontal.jpg,Male,61,Frontal,LL,,,,,,,,,,,,,,\n",
    );
    let set = train(&dir).unwrap();
    assert_eq!((set.dataset, set.tasks.len()), (Dataset::Chexpert, 14));
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
    assert!(short.contains("train.csv line 2: found 3 cells, expected 19"), "{short}");

    let columns = chexpert("");
    let header = HEADER.replace("Edema,", "").replace("Fracture", "Fractures");
    fs::write(columns.path().join("train.csv"), format!("{header}\n{ONE},Male,61,Frontal,PA{}\n", ",".repeat(13)))
        .unwrap();
    let columns = message(train(&columns));
    assert!(
        columns.contains("columns \"Edema\", \"Fracture\" not found") && columns.contains("\"Fractures\""),
        "{columns}"
    );

    let empty = chexpert("");
    fs::write(empty.path().join("train.csv"), "").unwrap();
    assert!(message(train(&empty)).contains("train.csv: found an empty file"));

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
    assert!(set.notes.join("\n").contains("2 rows skipped because their images are missing (the first: "));
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

#[test]
fn real_chexpert_layout() {
    let Some(data) = support::test_data() else { return };
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

fn auto(dir: &Path, part: Part) -> Result<Manifest> {
    load(dir, Dataset::Auto, part)
}

#[test]
fn shenzhen_labels_by_suffix_and_reports_what_readings_say() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("ChinaSet_AllFiles");
    touch(&root, &["CXR_png/CHNCXR_0001_0.png", "CXR_png/CHNCXR_0002_1.png", "CXR_png/CHNCXR_0003_1.png"]);
    touch(&root, &["CXR_png/CHNCXR_0004_0.png", "CXR_png/Thumbs.db", "CXR_png/CHNCXR_0005_2.png"]);
    let reading = |name: &str, text: &str| {
        touch(&root, &[name]);
        fs::write(root.join(name), text).unwrap();
    };
    reading("ClinicalReadings/CHNCXR_0001_0.txt", "male 16month\r\nnormal\r\n");
    reading("ClinicalReadings/CHNCXR_0002_1.txt", "femal 32yrs\nbilateral PTB");
    reading("ClinicalReadings/CHNCXR_0003_1.txt", "male\nnormale\nfemale 20yrs\n");

    let set = auto(dir.path(), Part::All).unwrap();
    assert_eq!(set.dataset, Dataset::Shenzhen);
    assert_eq!((set.root.as_path(), set.tasks.as_slice()), (root.as_path(), &["Tuberculosis".to_string()][..]));
    let labels: Vec<_> = set.records.iter().map(|record| record.labels[0]).collect();
    assert_eq!(labels, [Label::Negative, Label::Positive, Label::Positive, Label::Negative]);
    let first = &set.records[0];
    assert_eq!((first.path.as_str(), first.patient.as_str()), ("CXR_png/CHNCXR_0001_0.png", "CHNCXR_0001"));
    assert_eq!((first.sex, first.age), (Some(Sex::Male), Some(16.0 / 12.0)));
    let notes = set.notes.join("\n");
    for part in [
        "recognised as the data set \"shenzhen\"",
        "1 images without a clinical reading: CHNCXR_0004_0.png",
        "1 clinical readings without a legible sex or age: CHNCXR_0003_1.png",
        "1 clinical readings that mention more than one patient; the first was used: CHNCXR_0003_1.png",
        "1 clinical readings that contradict the suffix of the file name; the suffix was used: CHNCXR_0003_1.png (\"normale\")",
    ] {
        assert!(notes.contains(part), "{part} in {notes}");
    }
    let left: Vec<String> = set.account.left_out.iter().map(ToString::to_string).collect();
    assert_eq!(
        left,
        [
            "1 images that no row of the set names: ChinaSet_AllFiles/CXR_png/CHNCXR_0005_2.png",
            "1 thumbnails and other files of the system: ChinaSet_AllFiles/CXR_png/Thumbs.db",
        ]
    );
    // Nothing is published as a part: the whole set comes for training, which is said, and no other part.
    let train = load(&root, Dataset::Shenzhen, Part::Train).unwrap();
    assert_eq!((train.len(), train.has_parts), (4, false));
    assert!(train.notes.last().unwrap().contains("no published parts (4 images in all)"));
    assert!(
        message(load(&root, Dataset::Shenzhen, Part::Test)).contains("expected the part \"test\"; found the data set")
    );
    assert!(
        message(load(&root.join("ClinicalReadings"), Dataset::Shenzhen, Part::All))
            .contains("expected CXR_png/CHNCXR_0001_0.png")
    );
}

#[test]
fn real_shenzhen_folders() {
    let Some(data) = support::test_data() else { return };
    let set = auto(&data.join("shenzhen-128"), Part::All).unwrap();
    let ill = set.records.iter().filter(|record| record.labels[0] == Label::Positive).count();
    assert_eq!((set.len(), ill, set.patient_count()), (200, 100, 200));
    // The metadata table stands above the images here, beside them there; ages and sexes come from it.
    assert!(set.records.iter().filter(|record| record.age.is_some() && record.sex.is_some()).count() >= 198);
    let sample = auto(&data.join("shenzhen-sample"), Part::All).unwrap();
    assert_eq!((sample.len(), sample.records[0].age), (11, Some(45.0)));
}

#[test]
fn montgomery() {
    let dir = tempfile::tempdir().unwrap();
    touch(
        dir.path(),
        &["CXR_png/MCUCXR_0001_0.png", "CXR_png/MCUCXR_0104_1.png", "ClinicalReadings/MCUCXR_0001_0.txt"],
    );
    fs::write(dir.path().join("ClinicalReadings/MCUCXR_0001_0.txt"), "Patient's Sex: F\nPatient's Age: 027Y\nnormal\n")
        .unwrap();
    let set = auto(dir.path(), Part::All).unwrap();
    assert_eq!(set.dataset, Dataset::Montgomery);
    let labels: Vec<_> = set.records.iter().map(|record| record.labels[0]).collect();
    assert_eq!(labels, [Label::Negative, Label::Positive]);
    assert_eq!((set.records[0].sex, set.records[0].age), (Some(Sex::Female), Some(27.0)));
}

#[test]
fn nih_chest_xray14() {
    let dir = tempfile::tempdir().unwrap();
    touch(dir.path(), &["images_001/images/00000001_000.png", "images_002/images/00000002_001.png"]);
    let header = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,\
                  OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],";
    let write = |rows: &str| fs::write(dir.path().join("Data_Entry_2017.csv"), format!("{header}\n{rows}")).unwrap();
    write(
        "00000001_000.png,Cardiomegaly|Effusion,000,1,058Y,M,PA,2682,2749,0.143,0.143,\n\
         00000002_001.png,No Finding,001,2,414Y,F,AP,2500,2048,0.171,0.171,\n",
    );
    let set = auto(dir.path(), Part::All).unwrap();
    let positive = |row: usize| {
        let named = set.tasks.iter().zip(&set.records[row].labels);
        named.filter(|(_, label)| **label == Label::Positive).map(|(task, _)| task.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(set.dataset, Dataset::Nih);
    assert_eq!((positive(0), positive(1)), (vec!["Cardiomegaly", "Effusion"], vec!["No Finding"]));
    let first = &set.records[0];
    assert_eq!(first.path, "images_001/images/00000001_000.png");
    assert_eq!((first.patient.as_str(), first.study.as_str(), first.age), ("1", "1/000", Some(58.0)));
    assert_eq!((set.records[1].projection, set.records[1].age), (Some(Projection::Ap), None));
    assert!(set.notes.join("\n").contains("1 rows with an impossible age"));

    fs::write(dir.path().join("test_list.txt"), "00000002_001.png\n").unwrap();
    assert_eq!(load(dir.path(), Dataset::Nih, Part::Test).unwrap().records, set.records[1..]);
    assert!(message(load(dir.path(), Dataset::Nih, Part::Train)).contains("expected train_val_list.txt"));

    write("00000001_000.png,Cardiomegally,000,1,058Y,M,PA,2682,2749,0.143,0.143,\n");
    let error = message(load(dir.path(), Dataset::Nih, Part::All));
    assert!(
        error.contains("Data_Entry_2017.csv line 2, column \"Finding Labels\": found \"Cardiomegally\""),
        "{error}"
    );
    write("00000009_000.png,No Finding,000,9,058Y,M,PA,2682,2749,0.143,0.143,\n");
    assert!(
        message(load(dir.path(), Dataset::Nih, Part::All)).contains("line 2: image \"00000009_000.png\" not found")
    );
}

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n rest";

#[test]
fn a_folder_of_images_and_other_files() {
    let dir = tempfile::tempdir().unwrap();
    touch(
        dir.path(),
        &["b/p2_1.PNG", "a/p1_2.jpg", "a/p1_1.jpeg", "readme.txt", "a/.hidden.jpg", ".git/x.png", "a/Thumbs.db"],
    );
    fs::write(dir.path().join("a/p3_1"), PNG).unwrap();
    let set = auto(dir.path(), Part::Train).unwrap();
    let paths: Vec<_> = set.records.iter().map(|record| record.path.as_str()).collect();
    assert_eq!(paths, ["a/p1_1.jpeg", "a/p1_2.jpg", "a/p3_1", "b/p2_1.PNG"]);
    assert!(!set.patients_known && set.tasks.is_empty());
    assert_eq!((set.dataset, set.patient_count()), (Dataset::Folder, 4));
    let notes = set.notes.join("\n");
    for part in ["\"folder\"", "no published parts", "patients: unknown"] {
        assert!(notes.contains(part), "{part} in {notes}");
    }
    let left: Vec<String> = set.account.left_out.iter().map(ToString::to_string).collect();
    assert_eq!(
        left,
        [
            "2 hidden files and folders: .git/, a/.hidden.jpg",
            "1 thumbnails and other files of the system: a/Thumbs.db",
            "1 other files: readme.txt",
        ]
    );
    assert_eq!((set.account.images, set.account.files()), (4, 8));

    let with = |pattern: &str| {
        let options = LoadOptions { patient_regex: Some(pattern.into()), ..LoadOptions::default() };
        load_with(dir.path(), Dataset::Folder, Part::All, &options)
    };
    let set = with(r"/(p\d+)_").unwrap();
    assert_eq!((set.patient_count(), set.patients_known), (3, true));
    assert_eq!(set.records[3].patient, "p2");
    assert!(!set.notes.join("\n").contains("unknown"));
    assert_eq!(
        with(r"/(p1)_").unwrap_err().to_string(),
        r#"patient pattern "/(p1)_": it finds no patient in "a/p3_1""#
    );
    assert!(message(with("(")).contains("patient pattern \"(\": "));
    // Without a group every image whose path has an "a" would be one patient's.
    assert!(message(with(r"p\d+")).contains(r#"patient pattern "p\d+": it has no group"#));

    // A folder with parts of that name.
    assert_eq!(auto(&dir.path().join("a"), Part::All).unwrap().len(), 3);
    fs::rename(dir.path().join("a"), dir.path().join("valid")).unwrap();
    assert_eq!(auto(dir.path(), Part::Valid).unwrap().len(), 3);

    let empty = tempfile::tempdir().unwrap();
    touch(empty.path(), &["a.txt", "b.txt"]);
    assert!(message(auto(empty.path(), Part::All)).contains("expected images (JPEG, PNG, WebP, TIFF, BMP, DICOM)"));
    assert!(message(auto(&empty.path().join("nowhere"), Part::All)).contains("nowhere"));
}

/// A full disk or a broken copy leaves such tables; what they were for must not be guessed.
#[test]
fn a_table_without_rows_is_an_error_and_never_turns_the_set_into_a_plain_folder() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("CheXpert-v1.0-small");
    touch(&root, &["train/patient00001/study1/view1_frontal.jpg", "valid/patient00002/study1/view1_frontal.jpg"]);
    let row = |path: &str| format!("{HEADER}\nCheXpert-v1.0-small/{path},Male,50,Frontal,AP{}\n", ",".repeat(14));
    for valid in [true, false] {
        for train in ["", &format!("{HEADER}\n"), &HEADER[..30]] {
            fs::write(root.join("train.csv"), train).unwrap();
            let _ = fs::remove_file(root.join("valid.csv"));
            if valid {
                fs::write(root.join("valid.csv"), row("valid/patient00002/study1/view1_frontal.jpg")).unwrap();
            }
            for (folder, dataset) in
                [(dir.path(), Dataset::Auto), (root.as_path(), Dataset::Auto), (root.as_path(), Dataset::Chexpert)]
            {
                for part in [Part::Train, Part::All] {
                    let message = message(load(folder, dataset, part));
                    assert!(message.contains("train.csv: found"), "{train:?}: {message}");
                }
            }
        }
    }
    let words = |text: &str| {
        fs::write(root.join("train.csv"), text).unwrap();
        message(load(&root, Dataset::Auto, Part::Train))
    };
    assert!(words("").contains("train.csv: found an empty file, expected a header and rows below it"));
    assert!(words(HEADER).contains("train.csv: found a header and no rows"));

    let flat = tempfile::tempdir().unwrap();
    touch(flat.path(), &["a.png"]);
    fs::write(flat.path().join("labels.csv"), "").unwrap();
    assert!(message(auto(flat.path(), Part::All)).contains("labels.csv: found an empty file"));
}

#[test]
fn an_image_that_a_table_lists_twice_is_named_with_both_lines() {
    let dir = tempfile::tempdir().unwrap();
    touch(dir.path(), &["img/1.png", "img/2.png"]);
    fs::write(dir.path().join("labels.csv"), "path,patient,Mass\nimg/1.png,A,1\nimg/2.png,B,0\n/mnt/x/img/1.png,A,1\n")
        .unwrap();
    let text = message(auto(dir.path(), Part::All));
    for words in ["labels.csv line 4", "/mnt/x/img/1.png", "every image once (line 2 lists it too)"] {
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn an_audit_can_keep_rows_whose_image_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    touch(dir.path(), &["img/1.png"]);
    fs::write(dir.path().join("labels.csv"), "path,patient,Mass\nimg/1.png,A,1\n/img/2.png,B,0\n").unwrap();
    let options = LoadOptions { keep_missing: true, ..LoadOptions::default() };
    let set = load_with(dir.path(), Dataset::Auto, Part::All, &options).unwrap();
    let paths: Vec<_> = set.records.iter().map(|record| record.path.as_str()).collect();
    assert_eq!(paths, ["img/1.png", "img/2.png"]);
    // What lies outside the set is no image of it.
    fs::write(dir.path().join("labels.csv"), "path,patient,Mass\nimg/1.png,A,1\n../img/1.png,B,0\n").unwrap();
    assert!(message(load_with(dir.path(), Dataset::Auto, Part::All, &options)).contains("not found"));
}

#[test]
fn automatic_recognition_is_not_fooled_by_names() {
    // A train.csv of one's own is not CheXpert's.
    let dir = tempfile::tempdir().unwrap();
    touch(dir.path(), &["1.png"]);
    fs::write(dir.path().join("train.csv"), "path,patient,Mass\n1.png,A,1\n").unwrap();
    let set = auto(dir.path(), Part::Train).unwrap();
    assert!(set.notes[0].contains("recognised as the data set \"folder\""), "{}", set.notes[0]);
    assert_eq!(set.tasks, ["Mass"]);

    let chexpert = chexpert(&format!("{ONE},Male,61,Frontal,PA,,,,,,,,,,,,,,\n"));
    let set = auto(chexpert.path(), Part::Train).unwrap();
    assert!(set.notes[0].contains("recognised as the data set \"chexpert\""), "{}", set.notes[0]);

    assert_eq!("NIH".parse::<Dataset>().unwrap(), Dataset::Nih);
    let error = "radnet".parse::<Dataset>().unwrap_err().to_string();
    assert!(
        error.starts_with("unknown data set \"radnet\"; expected one of auto, chexpert, chexpert-plus, mimic, "),
        "{error}"
    );
    let error = "chexprt".parse::<Dataset>().unwrap_err().to_string();
    assert!(error.ends_with("folder; did you mean \"chexpert\"?"), "{error}");
}

#[test]
fn a_misspelt_label_is_answered_with_the_one_meant() {
    let dir = chexpert(&format!("{ONE},Male,61,Frontal,PA,,,,,,,,,,,,,,\n"));
    let set = train(&dir).unwrap();
    for (found, meant) in [("Plural Effusion", "Pleural Effusion"), ("cardiomegally", "Cardiomegaly")] {
        let error = set.task_indices(&[found]).unwrap_err().to_string();
        assert!(error.starts_with(&format!("unknown label \"{found}\"; expected one of No Finding, ")), "{error}");
        assert!(error.ends_with(&format!("; did you mean \"{meant}\"?")), "{error}");
    }
    assert!(!set.task_indices(&["xyz"]).unwrap_err().to_string().contains("did you mean"));
}
