//! The audit passes what is sound and finds each thing that is planted.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::fs;
use std::path::Path;

use cxr_data::synth::{self, SynthConfig};
use cxr_data::{
    AuditReport, Dataset, LabelPolicy, Manifest, Part, Pixels, Radiograph, Role, Subset, audit, label_policies, load,
};
use tempfile::TempDir;

/// An image of 48 x 40 pixels with a few waves that depend on a number.
fn waves(number: usize) -> Radiograph {
    let value = |x: f64, y: f64| {
        let wave = |k: usize| {
            let turn = ((number * 7919 + k * 104_729) % 1000) as f64 / 1000.0 * std::f64::consts::TAU;
            ((x * (0.1 + 0.05 * k as f64) * turn.cos()) + (y * (0.1 + 0.05 * k as f64) * turn.sin()) + turn).sin()
        };
        (128.0 + 25.0 * (0..5).map(wave).sum::<f64>()).clamp(0.0, 255.0) as u8
    };
    let pixels = (0..48 * 40).map(|at| value((at % 48) as f64, (at / 48) as f64)).collect();
    Radiograph::new(48, 40, Pixels::U8(pixels)).unwrap()
}

/// Two folders, `train` and `test`, of six and three images, with a table of patients and one label.
fn sound() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (part, numbers) in [("train", 0..6), ("test", 10..13)] {
        let root = dir.path().join(part);
        fs::create_dir(&root).unwrap();
        let mut table = "path,patient,Effusion\n".to_string();
        for (at, number) in numbers.enumerate() {
            waves(number).write_png(&root.join(format!("{number}.png"))).unwrap();
            table += &format!("{number}.png,p{number},{}\n", ["1", "0", "-1", ""][at % 4]);
        }
        fs::write(root.join("table.csv"), table).unwrap();
    }
    dir
}

fn parts(dir: &Path) -> [Manifest; 2] {
    ["train", "test"].map(|part| load(&dir.join(part), Dataset::Folder, Part::All).unwrap())
}

fn report(dir: &Path) -> AuditReport {
    let [train, test] = &parts(dir);
    let subsets = [
        Subset { name: "train", role: Role::Train, manifest: train },
        Subset { name: "test", role: Role::Test, manifest: test },
    ];
    audit(&subsets, &label_policies()).unwrap()
}

#[test]
fn a_sound_set_passes_with_its_counts() {
    let dir = sound();
    let report = report(dir.path());
    assert!(report.passes(), "{report}");
    assert_eq!(report.warnings(), Vec::<String>::new());
    let train = &report.subsets[0];
    assert_eq!((train.images, train.patients, train.studies), (6, Some(6), 6));
    assert_eq!(train.hash, parts(dir.path())[0].hash());
    assert_eq!(train.labels.len(), 6);
    let counts = |stamp: &str| {
        let policy = train.labels.iter().find(|policy| policy.policy == stamp).unwrap();
        let after = policy.tasks[0].after;
        (after.positive, after.negative, after.masked)
    };
    assert_eq!(counts("uncertain=ignore,not-mentioned=negative,views=all"), (2, 3, 1));
    assert_eq!(counts("uncertain=ones,not-mentioned=ignore,views=all"), (3, 2, 1));
    let text = report.to_string();
    assert!(text.starts_with("# Audit: passed"), "{text}");
    assert!(text.contains("| Effusion | 2 | 2 | 1 | 1 | 2 / 3 / 1 |"), "{text}");
    assert!(text.contains("decoded, sides of 40 to 48 pixels 6"), "{text}");
    let json = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<AuditReport>(&json).unwrap(), report);
}

#[test]
fn a_planted_patient_is_found() {
    let dir = sound();
    let table = dir.path().join("test/table.csv");
    fs::write(&table, fs::read_to_string(&table).unwrap().replace("p11", "p3")).unwrap();
    assert_eq!(report(dir.path()).faults(), ["leak: train and test share 1 patient(s): p3"]);
}

#[test]
fn a_planted_copy_is_found_between_and_within_parts() {
    let dir = sound();
    // The same pixels in another file, under another name and patient.
    waves(4).write_png(&dir.path().join("test/12.png")).unwrap();
    waves(1).write_png(&dir.path().join("train/5.png")).unwrap();
    let report = report(dir.path());
    assert_eq!(
        report.faults(),
        [
            "leak: train and test share 1 image(s), pixel for pixel: 4.png = 12.png",
            "duplicate: train, different patients, equal pixel for pixel: 1.png = 5.png",
        ]
    );
    assert!(report.to_string().starts_with("# Audit: FAILED"));

    // A repeated export of one patient is worth a word, not a failure.
    let dir = sound();
    waves(1).write_png(&dir.path().join("train/5.png")).unwrap();
    let table = dir.path().join("train/table.csv");
    fs::write(&table, fs::read_to_string(&table).unwrap().replace("p5", "p1")).unwrap();
    let report = self::report(dir.path());
    assert!(report.passes());
    assert_eq!(report.warnings(), ["repeated export: train, one patient, equal pixel for pixel: 1.png = 5.png"]);
}

#[test]
fn planted_bad_files_are_found_and_named() {
    let dir = sound();
    let train = dir.path().join("train");
    let whole = fs::read(train.join("0.png")).unwrap();
    fs::write(train.join("0.png"), b"").unwrap();
    fs::write(train.join("1.png"), &whole[..whole.len() / 2]).unwrap();
    fs::write(train.join("2.png"), b"not an image at all").unwrap();
    let report = report(dir.path());
    let unreadable: Vec<_> = report.subsets[0].unreadable.iter().map(|bad| bad.image.path.as_str()).collect();
    assert_eq!(unreadable, ["0.png", "1.png", "2.png"]);
    assert!(report.faults().iter().all(|fault| fault.starts_with("unreadable: train ")), "{:?}", report.faults());
    assert_eq!(report.faults().len(), 3);
}

#[test]
fn a_mislabelled_file_and_unknown_patients_are_warned_of() {
    let dir = sound();
    let train = dir.path().join("train");
    fs::rename(train.join("3.png"), train.join("3.jpg")).unwrap();
    let table = "path,Effusion\n0.png,1\n3.jpg,0\n";
    fs::write(train.join("table.csv"), table).unwrap();
    let report = report(dir.path());
    assert!(report.passes(), "{report}");
    assert_eq!(
        report.warnings(),
        [
            "not used: 4 images that no row of the set names: 1.png, 2.png, 4.png, ...",
            "mislabelled: train 3.jpg: its format is not the one of its extension",
            "patients: unknown in train; only images could be compared there",
        ]
    );
}

#[test]
fn real_sets_pass() {
    let Some(data) = support::test_data() else { return };
    let dir = data.join("chexpert-layout");
    let [train, valid, all] =
        [Part::Train, Part::Valid, Part::All].map(|part| load(&dir, Dataset::Auto, part).unwrap());
    let subsets = [
        Subset { name: "train", role: Role::Train, manifest: &train },
        Subset { name: "valid", role: Role::Valid, manifest: &valid },
    ];
    let report = audit(&subsets, &label_policies()).unwrap();
    assert!(report.passes(), "{report}");

    // The false-alarm rate: of all pairs of images of different patients none may look like a near duplicate. (The
    // highest correlation among them is 0.959, the threshold 0.98.)
    let one = [Subset { name: "all", role: Role::Pretrain, manifest: &all }];
    let report = audit(&one, &[LabelPolicy::default()]).unwrap();
    let rows: Vec<usize> = (0..all.len()).collect();
    let pairs = |images: usize| images * images.saturating_sub(1) / 2;
    let of_one_patient: usize = all.patients(&rows).iter().map(|rows| pairs(rows.len())).sum();
    println!(
        "near duplicates: {} of {} pairs of images of different patients",
        report.subsets[0].near_duplicates.len(),
        pairs(all.len()) - of_one_patient
    );
    assert_eq!(report.subsets[0].near_duplicates, []);
    // One real repeated export is known: two studies of one patient.
    let repeated: Vec<_> = report.subsets[0].duplicates.iter().map(|group| group.paths.len()).collect();
    assert_eq!(repeated, [2], "{report}");

    for set in ["shenzhen-128", "shenzhen-sample"] {
        let films = load(&data.join(set), Dataset::Auto, Part::All).unwrap();
        let report = audit(&[Subset { name: set, role: Role::Train, manifest: &films }], &label_policies()).unwrap();
        assert!(report.passes(), "{report}");
    }
}

/// Copies of real images, as they turn up in derived data sets, are found as near duplicates.
#[test]
fn copies_of_real_images_are_found() {
    let Some(data) = support::test_data() else { return };
    let all = load(&data.join("chexpert-layout"), Dataset::Chexpert, Part::Valid).unwrap();
    let originals = all.select(&(0..40).collect::<Vec<_>>());
    let dir = tempfile::tempdir().unwrap();
    let mut copies = Manifest { root: dir.path().into(), patients_known: false, ..originals.clone() };
    for (row, record) in copies.records.iter_mut().enumerate() {
        let grey = image::open(originals.image_path(row)).unwrap().to_luma8();
        let (width, height) = grey.dimensions();
        let copy = match row % 3 {
            0 => image::imageops::resize(&grey, 224, 224, image::imageops::FilterType::Triangle),
            1 => image::imageops::resize(&grey, width / 2, height / 2, image::imageops::FilterType::Lanczos3),
            _ => {
                let brighter = |value: u8| (255.0 * (f32::from(value) / 255.0).powf(0.8)) as u8;
                image::GrayImage::from_raw(width, height, grey.iter().map(|&value| brighter(value)).collect()).unwrap()
            }
        };
        record.path = format!("{row}.jpg");
        // As JPEG of quality 75: equal pixels are out of the question.
        copy.save(dir.path().join(&record.path)).unwrap();
    }
    let subsets = [
        Subset { name: "train", role: Role::Train, manifest: &copies },
        Subset { name: "test", role: Role::Test, manifest: &originals },
    ];
    let report = cxr_data::check_leaks(&subsets);
    assert!(report.equal_images.is_empty());
    let found: Vec<_> = report.near_duplicates.iter().map(|near| near.images[0].path.clone()).collect();
    assert_eq!(found, (0..40).map(|row| format!("{row}.jpg")).collect::<Vec<_>>());
}

#[test]
fn a_missing_image_is_a_fault_and_its_row_still_counts() {
    let dir = sound();
    fs::remove_file(dir.path().join("train/0.png")).unwrap();
    let options = cxr_data::LoadOptions { keep_missing: true, ..Default::default() };
    let train = cxr_data::load_with(&dir.path().join("train"), Dataset::Folder, Part::All, &options).unwrap();
    let report = audit(&[Subset { name: "train", role: Role::Train, manifest: &train }], &[]).unwrap();
    assert!(!report.passes());
    assert_eq!((report.subsets[0].images, report.subsets[0].patients), (6, Some(6)));
    assert_eq!(report.faults().len(), 1);
    assert!(report.faults()[0].starts_with("unreadable: train 0.png: "), "{:?}", report.faults());
}

#[test]
fn the_synthetic_set_passes() {
    let dir = tempfile::tempdir().unwrap();
    let config = SynthConfig { train_patients: 40, valid_patients: 10, test_patients: 10, ..SynthConfig::default() };
    synth::write(&config, &dir.path().join("set")).unwrap();
    let roles =
        [("train", Role::Train, Part::Train), ("valid", Role::Valid, Part::Valid), ("test", Role::Test, Part::Test)];
    let sets = roles.map(|(.., part)| load(&dir.path().join("set"), Dataset::Auto, part).unwrap());
    let subsets: Vec<_> =
        roles.iter().zip(&sets).map(|(&(name, role, _), manifest)| Subset { name, role, manifest }).collect();
    let report = audit(&subsets, &label_policies()).unwrap();
    assert!(report.passes() && report.leaks.compared.len() == 3, "{report}");
    assert_eq!(report.subsets.iter().map(|subset| subset.patients).collect::<Vec<_>>(), [Some(40), Some(10), Some(10)]);
}
