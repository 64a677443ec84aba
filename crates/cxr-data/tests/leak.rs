//! The leak check finds what is planted, and little else in real images.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use cxr_data::{
    Dataset, Error, LeakReport, Manifest, Part, Pixels, Radiograph, Record, Result, Role, Subset, check_files,
    check_leaks, check_leaks_with, check_patients, check_scanned, load, prescan,
};

/// A manifest of one image per (path, patient).
fn set(root: &str, images: &[(&str, &str)]) -> Manifest {
    Manifest {
        root: root.into(),
        dataset: Dataset::Folder,
        tasks: Vec::new(),
        records: images
            .iter()
            .map(|&(path, patient)| Record {
                path: path.into(),
                patient: patient.into(),
                study: format!("{patient}/study1"),
                view: None,
                projection: None,
                sex: None,
                age: None,
                labels: Vec::new(),
            })
            .collect(),
        patients_known: true,
        ..Manifest::default()
    }
}

/// An image of blobs that depends on a number.
fn blobs(seed: u64) -> Radiograph {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f64 / (1_u64 << 24) as f64
    };
    let spots: Vec<[f64; 4]> = (0..8).map(|_| [64.0 * next(), 64.0 * next(), 4.0 + 12.0 * next(), next()]).collect();
    let value = |x: f64, y: f64| {
        let of = |[cx, cy, r, a]: &[f64; 4]| a * (-((x - cx).powi(2) + (y - cy).powi(2)) / (2.0 * r * r)).exp();
        (spots.iter().map(of).sum::<f64>() * 120.0).min(255.0) as u8
    };
    let pixels = (0..64 * 64).map(|at| value((at % 64) as f64, (at / 64) as f64)).collect();
    Radiograph::new(64, 64, Pixels::U8(pixels)).unwrap()
}

/// Images by path instead of files.
fn check(subsets: &[Subset<'_>], images: &HashMap<PathBuf, Radiograph>) -> LeakReport {
    check_leaks_with(subsets, |path: &Path| -> Result<Radiograph> {
        images
            .get(path)
            .cloned()
            .ok_or_else(|| Error::Io { path: path.into(), source: std::io::ErrorKind::NotFound.into() })
    })
}

fn subset<'a>(name: &'a str, role: Role, manifest: &'a Manifest) -> Subset<'a> {
    Subset { name, role, manifest }
}

#[test]
fn evaluation_shares_no_patient_with_training() {
    let pretrain = set("/a", &[("1.png", "p1"), ("2.png", "p2"), ("3.png", "p3")]);
    let train = set("/a", &[("2.png", "p2")]);
    let valid = set("/a", &[("4.png", "p4")]);
    let test = set("/a", &[("5.png", "p5"), ("6.png", "p3"), ("7.png", "p4")]);
    let parts = [
        subset("pretrain", Role::Pretrain, &pretrain),
        subset("train", Role::Train, &train),
        subset("valid", Role::Valid, &valid),
    ];
    // Labelled training data may be part of the pretraining set.
    assert!(check_patients(&parts).require_clean().is_ok());

    let all = [parts[0], parts[1], parts[2], subset("test", Role::Test, &test)];
    let report = check_patients(&all);
    let shared: Vec<_> = report.shared_patients.iter().map(|s| (s.subsets.clone(), s.patients.clone())).collect();
    let pair = |a: &str, b: &str| [a.to_string(), b.to_string()];
    assert_eq!(shared, [(pair("pretrain", "test"), vec!["p3".into()]), (pair("valid", "test"), vec!["p4".into()])]);
    assert_eq!(report.compared.len(), 5);
    let error = report.require_clean().unwrap_err().to_string();
    assert!(error.contains("leak: pretrain and test share 1 patient(s): p3"), "{error}");
}

#[test]
fn equal_pixels_are_a_leak_whatever_the_names() {
    let train = set("/a", &[("1.png", "p1"), ("2.png", "p2")]);
    let mut test = set("/b", &[("9.jpg", "q1"), ("bad.jpg", "q2"), ("8.jpg", "p1")]);
    test.patients_known = false;
    let images = HashMap::from([
        ("/a/1.png".into(), blobs(1)),
        ("/a/2.png".into(), blobs(2)),
        ("/b/8.jpg".into(), blobs(3)),
        ("/b/9.jpg".into(), blobs(2)),
    ]);
    let report = check(&[subset("train", Role::Train, &train), subset("test", Role::Test, &test)], &images);
    let found: Vec<_> = report.equal_images.iter().map(|[a, b]| (a.path.as_str(), b.path.as_str())).collect();
    assert_eq!(found, [("2.png", "9.jpg")]);
    // Where patients are unknown their ids say nothing ("p1" in both), and the report says so.
    assert!(report.shared_patients.is_empty());
    assert_eq!(report.patients_unknown, ["test"]);
    assert_eq!(report.unreadable.len(), 1);
    let text = report.to_string();
    assert!(text.contains("patients: unknown in test") && text.contains("not compared: test bad.jpg"), "{text}");
    assert!(matches!(report.require_clean(), Err(Error::Leak(_))));
}

/// As the training commands compare parts: over images that the scan before the work decoded anyway.
#[test]
fn scanned_parts_share_neither_files_nor_pixels() {
    let dir = tempfile::tempdir().unwrap();
    let part = |name: &str, images: &[(&str, &str, u64)]| {
        let root = dir.path().join(name);
        std::fs::create_dir(&root).unwrap();
        let manifest =
            set(root.to_str().unwrap(), &images.iter().map(|&(path, patient, _)| (path, patient)).collect::<Vec<_>>());
        images.iter().for_each(|&(path, _, number)| blobs(number).write_png(&root.join(path)).unwrap());
        manifest
    };
    let train = part("train", &[("1.png", "p1", 1), ("2.png", "p2", 2)]);
    let test = part("test", &[("8.png", "q1", 2), ("9.png", "q2", 3)]);
    let subsets = [subset("train", Role::Train, &train), subset("test", Role::Test, &test)];
    let found = |report: &LeakReport| -> Vec<(String, String)> {
        report.equal_images.iter().map(|[a, b]| (a.path.clone(), b.path.clone())).collect()
    };
    let pixels = [prescan(&train, 2).pixels(), prescan(&test, 1).pixels()];
    let report = check_scanned(&subsets, &[&pixels[0], &pixels[1]]);
    assert_eq!(found(&report), [("2.png".into(), "8.png".into())]);
    assert!(report.images_compared && report.require_clean().is_err());
    // By patients and files alone it is not to be seen, and the report does not claim otherwise.
    let report = check_files(&subsets);
    assert!(report.is_clean() && !report.images_compared);

    // One folder by another path: the files are the same, whatever their patients are called.
    let mut again = set(dir.path().join("test/../train").to_str().unwrap(), &[("2.png", "x2"), ("1.png", "x1")]);
    again.patients_known = false;
    let report = check_files(&[subsets[0], subset("test", Role::Test, &again)]);
    assert_eq!(found(&report), [("1.png".into(), "1.png".into()), ("2.png".into(), "2.png".into())]);
}

#[test]
fn a_re_encoded_copy_is_a_near_duplicate() {
    let Pixels::U8(values) = blobs(5).into_pixels() else { panic!("8 bits expected") };
    let noisy = |values: &[u8]| values.iter().enumerate().map(|(at, &v)| v.saturating_add((at % 3) as u8)).collect();
    let wide = values.iter().map(|&v| 1000 + 200 * u16::from(v)).collect();
    let train = set("/a", &[("1.png", "p1"), ("2.png", "p2")]);
    let test = set("/b", &[("noisy.png", "q1"), ("wide.png", "q2"), ("other.png", "q3"), ("black.png", "q4")]);
    let images = HashMap::from([
        ("/a/1.png".into(), blobs(5)),
        ("/a/2.png".into(), Radiograph::new(2, 1, Pixels::U8(vec![9, 9])).unwrap()),
        ("/b/noisy.png".into(), Radiograph::new(64, 64, Pixels::U8(noisy(&values))).unwrap()),
        ("/b/wide.png".into(), Radiograph::new(64, 64, Pixels::U16(wide)).unwrap()),
        ("/b/other.png".into(), blobs(6)),
        ("/b/black.png".into(), Radiograph::new(1, 1, Pixels::U8(vec![0])).unwrap()),
    ]);
    let report = check(&[subset("train", Role::Train, &train), subset("test", Role::Test, &test)], &images);
    let found: Vec<_> =
        report.near_duplicates.iter().map(|n| (n.images[0].path.as_str(), n.images[1].path.as_str())).collect();
    assert_eq!(found, [("1.png", "noisy.png"), ("1.png", "wide.png")]);
    assert!(report.require_clean().is_ok(), "near duplicates warn");
}

#[test]
fn real_images_pass() {
    let Some(data) = support::test_data() else { return };
    let dir = data.join("chexpert-layout");
    let train = load(&dir, Dataset::Chexpert, Part::Train).unwrap();
    let valid = load(&dir, Dataset::Chexpert, Part::Valid).unwrap();
    let report = check_leaks(&[subset("train", Role::Train, &train), subset("valid", Role::Valid, &valid)]);
    assert!(report.unreadable.is_empty());
    let report = report.require_clean().unwrap();
    // 806 x 194 pairs of different patients: every one found is a false alarm.
    assert_eq!(report.near_duplicates, []);
}
