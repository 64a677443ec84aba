//! The synthetic set: its layout, that it is learnable by shape alone, and that no shortcut leads to the labels.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use cxr_data::synth::{Finding, SynthConfig, SynthPatient, SynthStudy, draw_patient, is_drawn, render_study, write};
use cxr_data::{Dataset, Error, Label, Part, Pixels, Radiograph, load};
use proptest::prelude::*;

fn small(seed: u64) -> SynthConfig {
    SynthConfig { seed, train_patients: 40, valid_patients: 6, test_patients: 8, size: 48, ..SynthConfig::default() }
}

fn grey(radiograph: Radiograph) -> Vec<f64> {
    match radiograph.into_pixels() {
        Pixels::U8(values) => values.into_iter().map(f64::from).collect(),
        Pixels::U16(_) => panic!("synthetic films have 8 bits"),
    }
}

/// Every file below a folder with its bytes.
fn files(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(root).unwrap().to_string_lossy().replace('\\', "/");
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    found
}

/// Area under the ROC curve by pairs, ties counting half.
fn auc(scores: &[f64], labels: &[bool]) -> f64 {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*a].total_cmp(&scores[*b]));
    let (mut below, mut wins, mut start) = (0.0, 0.0, 0);
    while start < order.len() {
        let mut end = start;
        while end < order.len() && scores[order[end]] == scores[order[start]] {
            end += 1;
        }
        let positives = order[start..end].iter().filter(|index| labels[**index]).count() as f64;
        let negatives = (end - start) as f64 - positives;
        wins += positives * (below + 0.5 * negatives);
        below += negatives;
        start = end;
    }
    let positives = labels.iter().filter(|label| **label).count() as f64;
    wins / (positives * (labels.len() as f64 - positives))
}

/// Deviation of an AUC of worthless scores (Mann-Whitney; ties make it smaller).
fn auc_deviation(labels: &[bool]) -> f64 {
    let positives = labels.iter().filter(|label| **label).count() as f64;
    let negatives = labels.len() as f64 - positives;
    ((positives + negatives + 1.0) / (12.0 * positives * negatives)).sqrt()
}

#[test]
fn a_written_set_is_a_chexpert_set() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("set");
    let config = small(3);
    let summary = write(&config, &out).unwrap();
    assert_eq!(summary.root, out.join("CheXpert-v1.0-small"));

    let header = "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Enlarged Cardiomediastinum,Cardiomegaly,Lung Opacity,\
                  Lung Lesion,Edema,Consolidation,Pneumonia,Atelectasis,Pneumothorax,Pleural Effusion,Pleural Other,\
                  Fracture,Support Devices";
    let mut seen = std::collections::HashMap::new();
    let mut images = 0;
    for (part, counts, patients) in [
        (Part::Train, &summary.train, config.train_patients),
        (Part::Valid, &summary.valid, config.valid_patients),
        (Part::Test, &summary.test, config.test_patients),
    ] {
        // both the folder that was named and the one within it can be given to the loader
        let manifest = load(&out, Dataset::Chexpert, part).unwrap();
        assert_eq!(manifest.records, load(&summary.root, Dataset::Chexpert, part).unwrap().records);
        let table = fs::read_to_string(summary.root.join(format!("{part:?}.csv").to_lowercase())).unwrap();
        assert_eq!(table.lines().next().unwrap(), header);
        assert_eq!(manifest.records.len(), counts.images);
        assert_eq!(counts.patients, patients as usize);
        images += counts.images;

        let column = |finding: Finding| manifest.tasks.iter().position(|task| task == finding.column()).unwrap();
        for record in &manifest.records {
            assert_eq!(
                *seen.entry(record.patient.clone()).or_insert(part),
                part,
                "patient {} in two parts",
                record.patient
            );
            let decoded = image::open(manifest.root.join(&record.path)).unwrap();
            assert_eq!(decoded.color(), image::ColorType::L8);
            assert_eq!((decoded.width(), decoded.height()), (48, 48));
            if part != Part::Train {
                assert!(record.labels.iter().all(|label| matches!(label, Label::Positive | Label::Negative)));
                let healthy = Finding::ALL.iter().all(|finding| record.labels[column(*finding)] == Label::Negative);
                let none = manifest.tasks.iter().position(|task| task == "No Finding").unwrap();
                assert_eq!(record.labels[none] == Label::Positive, healthy);
            }
        }
    }
    assert_eq!(files(&out).len(), images + 4, "images, three tables, the configuration");
    let described: SynthConfig = serde_json::from_slice(&fs::read(out.join("synth.json")).unwrap()).unwrap();
    assert_eq!(described, config);
    assert!(is_drawn(&out) && is_drawn(&out.join("CheXpert-v1.0-small")), "the set, and the folder with its tables");
    assert!(
        !is_drawn(folder.path()) && !is_drawn(&out.join("CheXpert-v1.0-small/train")) && !is_drawn(&out.join("none"))
    );
    let other = folder.path().join("synth.json");
    fs::write(&other, "{\"name\": \"of somebody's own\"}").unwrap();
    assert!(!is_drawn(folder.path()));
    fs::remove_file(other).unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside the set");
}

#[test]
fn bytes_depend_on_the_seed_and_not_on_the_threads() {
    let folder = tempfile::tempdir().unwrap();
    let written = |name: &str, seed: u64, threads: usize| {
        let out = folder.path().join(name);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| write(&small(seed), &out)).unwrap();
        files(&out)
    };
    let one = written("one", 5, 1);
    assert!(one == written("four", 5, 4), "1 and 4 threads differ");
    let other = written("other", 6, 4);
    let image = "CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg";
    assert!(one[image] != other[image], "two seeds, one image");
}

#[test]
fn an_occupied_folder_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("set");
    fs::create_dir(&out).unwrap();
    write(&SynthConfig { train_patients: 1, valid_patients: 0, test_patients: 0, ..small(0) }, &out).unwrap();
    let before = files(&out);
    assert!(matches!(write(&small(0), &out), Err(Error::NotEmpty { path }) if path == out));
    assert!(before == files(&out));

    let file = folder.path().join("file");
    fs::write(&file, "kept").unwrap();
    assert!(matches!(write(&small(0), &file), Err(Error::NotEmpty { .. })));
    assert!(matches!(write(&small(0), &file.join("below")), Err(Error::Io { .. })));
    assert_eq!(fs::read_to_string(&file).unwrap(), "kept");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn values_out_of_range_are_named_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("set");
    let mut rates = small(0);
    rates.pneumothorax.uncertain = f64::NAN;
    let mut prevalence = small(0);
    prevalence.lung_lesion.prevalence = 1.0;
    for (config, field) in [
        (SynthConfig { size: 0, ..small(0) }, "size"),
        (SynthConfig { train_patients: 0, ..small(0) }, "train_patients"),
        (SynthConfig { test_patients: u32::MAX, ..small(0) }, "patients of all parts"),
        (SynthConfig { jpeg_quality: 0, ..small(0) }, "jpeg_quality"),
        (SynthConfig { study_weights: [0.0; 3], ..small(0) }, "study_weights"),
        (rates, "uncertain of Pneumothorax"),
        (prevalence, "prevalence of Lung Lesion"),
    ] {
        let message = write(&config, &out).unwrap_err().to_string();
        assert!(message.contains(&format!("synthetic set: {field} is ")), "{message}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// Within four binomial deviations: 20 checks on one fixed seed, P(any fails by chance) about 0.001.
#[test]
fn train_reports_have_the_configured_rates() {
    let folder = tempfile::tempdir().unwrap();
    let config = SynthConfig { train_patients: 1000, size: 32, ..small(11) };
    let summary = write(&config, &folder.path().join("set")).unwrap();
    for finding in Finding::ALL {
        let rates = config.rates(finding);
        let images = summary.train.images as f64;
        let [positive, negative, uncertain, blank] = summary.train.cells[finding as usize].map(|count| count as f64);
        let (p, certain) = (rates.prevalence, 1.0 - rates.uncertain);
        let expected = [
            certain * p * (1.0 - rates.blank_if_present),
            certain * (1.0 - p) * (1.0 - rates.blank_if_absent),
            rates.uncertain,
            certain * (p * rates.blank_if_present + (1.0 - p) * rates.blank_if_absent),
        ];
        for (found, rate) in [positive, negative, uncertain, blank].into_iter().zip(expected) {
            let bound = 4.0 * (rate * (1.0 - rate) / images).sqrt();
            assert!((found / images - rate).abs() <= bound, "{finding:?}: {found} of {images}, expected {rate}");
        }
        let present = summary.train.present[finding as usize] as f64 / images;
        assert!((present - p).abs() <= 4.0 * (p * (1.0 - p) / images).sqrt(), "{finding:?}: {present} present");
    }
}

/// Newton's method on the logistic likelihood of two standardised features and a constant.
fn logistic(features: &[[f64; 2]], labels: &[bool]) -> [f64; 3] {
    let mut weights = [0.0; 3];
    for _ in 0..25 {
        let mut gradient = [0.0; 3];
        let mut hessian = [[0.0; 3]; 3];
        for (feature, label) in features.iter().zip(labels) {
            let x = [1.0, feature[0], feature[1]];
            let z: f64 = x.iter().zip(&weights).map(|(x, w)| x * w).sum();
            let p = 1.0 / (1.0 + (-z).exp());
            for row in 0..3 {
                gradient[row] += x[row] * (f64::from(u8::from(*label)) - p);
                for column in 0..3 {
                    hessian[row][column] += x[row] * x[column] * p * (1.0 - p);
                }
            }
        }
        let step = solve(hessian, gradient);
        weights.iter_mut().zip(step).for_each(|(weight, step)| *weight += step);
    }
    weights
}

/// Cramer's rule.
fn solve(matrix: [[f64; 3]; 3], right: [f64; 3]) -> [f64; 3] {
    let determinant = |m: &[[f64; 3]; 3]| {
        m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1]) - m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0])
            + m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0])
    };
    let whole = determinant(&matrix);
    [0, 1, 2].map(|column| {
        let mut replaced = matrix;
        (0..3).for_each(|row| replaced[row][column] = right[row]);
        determinant(&replaced) / whole
    })
}

fn moments(values: &[f64]) -> [f64; 2] {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64;
    [mean, variance.sqrt()]
}

/// Issue: "a logistic regression on mean and deviation of the pixels stays under AUC 0.6 for each finding". Fitted on
/// one half of the patients, measured on the other (600 of one study each; 0.6 is then 4 deviations from 0.5).
#[test]
fn mean_and_deviation_of_the_pixels_do_not_give_the_findings_away() {
    for seed in 0..3 {
        let config = SynthConfig { train_patients: 1200, study_weights: [1.0, 0.0, 0.0], size: 64, ..small(seed) };
        let patients: Vec<SynthPatient> = (1..=1200).map(|number| draw_patient(&config, number)).collect();
        let mut features: Vec<[f64; 2]> = {
            use rayon::prelude::*;
            let render = |patient: &SynthPatient| moments(&grey(render_study(&config, patient, &patient.studies[0])));
            patients.par_iter().map(render).collect()
        };
        for column in 0..2 {
            let [mean, deviation] = moments(&features.iter().map(|feature| feature[column]).collect::<Vec<_>>());
            assert!(deviation > 3.0, "exposure varies");
            features.iter_mut().for_each(|feature| feature[column] = (feature[column] - mean) / deviation);
        }
        for finding in Finding::ALL {
            let labels: Vec<bool> = patients.iter().map(|patient| patient.studies[0].has(finding)).collect();
            let weights = logistic(&features[..600], &labels[..600]);
            let scores: Vec<f64> =
                features[600..].iter().map(|x| weights[0] + weights[1] * x[0] + weights[2] * x[1]).collect();
            let area = auc(&scores, &labels[600..]);
            assert!(area < 0.6, "seed {seed}, {finding:?}: AUC {area:.3} from mean and deviation");
        }
    }
}

/// Issue: "patient identity does not predict findings". Bounds are four deviations of the statistic under
/// independence; one pair or one held-out study a patient, so that the terms are independent.
#[test]
fn a_patients_studies_share_no_finding_beyond_chance() {
    let config = SynthConfig { train_patients: 60_000, ..small(2) };
    let patients: Vec<SynthPatient> = (1..=60_000).map(|number| draw_patient(&config, number)).collect();
    for finding in Finding::ALL {
        let p = config.rates(finding).prevalence;
        let pairs: Vec<bool> = patients
            .iter()
            .filter(|patient| patient.studies.len() > 1)
            .map(|patient| patient.studies[0].has(finding) == patient.studies[1].has(finding))
            .collect();
        let expected = p * p + (1.0 - p) * (1.0 - p);
        let agreement = pairs.iter().filter(|agree| **agree).count() as f64 / pairs.len() as f64;
        let bound = 4.0 * (expected * (1.0 - expected) / pairs.len() as f64).sqrt();
        assert!((agreement - expected).abs() < bound, "{finding:?}: agreement {agreement}, by chance {expected}");

        // the last study's finding, predicted from those of the others
        let (others, held_out): (Vec<f64>, Vec<bool>) = patients
            .iter()
            .filter_map(|patient| {
                let (last, others) = patient.studies.split_last()?;
                let found = others.iter().filter(|study| study.has(finding)).count();
                (!others.is_empty()).then(|| (found as f64 / others.len() as f64, last.has(finding)))
            })
            .unzip();
        let area = auc(&others, &held_out);
        assert!((area - 0.5).abs() < 4.0 * auc_deviation(&held_out), "{finding:?}: AUC {area} from other studies");

        // nor do age, sex, projection or devices
        let first: Vec<bool> = patients.iter().map(|patient| patient.studies[0].has(finding)).collect();
        let bound = 4.0 * auc_deviation(&first);
        type Recorded = (&'static str, fn(&SynthPatient) -> f64);
        let recorded: [Recorded; 4] = [
            ("age", |patient| f64::from(patient.age)),
            ("sex", |patient| f64::from(u8::from(patient.sex == cxr_data::Sex::Male))),
            ("projection", |patient| f64::from(u8::from(patient.studies[0].projection == cxr_data::Projection::Ap))),
            ("devices", |patient| f64::from(u8::from(patient.studies[0].support_devices))),
        ];
        for (name, value) in recorded {
            let area = auc(&patients.iter().map(value).collect::<Vec<_>>(), &first);
            assert!((area - 0.5).abs() < bound, "{finding:?}: AUC {area} from {name}");
        }
    }
}

/// The study with one finding switched, everything else drawn the same.
fn toggled(study: &SynthStudy, finding: Finding, present: bool) -> SynthStudy {
    let mut findings = [false; 4];
    findings[finding as usize] = present;
    SynthStudy { findings, ..*study }
}

/// At 64 px, the smallest size that is trained on, switching a finding alone must move pixels by more than the noise:
/// the exposure is drawn the same, so that only the finding and the rescaling to the same mean and deviation differ.
#[test]
fn every_finding_shows_at_64_pixels() {
    let config = SynthConfig { size: 64, ..small(4) };
    for finding in Finding::ALL {
        for number in 1..=40 {
            let patient = draw_patient(&config, number);
            let study = &patient.studies[0];
            let without = grey(render_study(&config, &patient, &toggled(study, finding, false)));
            let with = grey(render_study(&config, &patient, &toggled(study, finding, true)));
            // the rescaling moves every pixel a little: count those that move a lot
            let deviation = moments(&without)[1];
            let changed = without.iter().zip(&with).filter(|(a, b)| (*a - *b).abs() > 0.25 * deviation).count();
            // the smallest lesion, radius 0.14 of some 1.24 in 32 px, covers 41 pixels, the outer half of them fainter
            assert!(changed >= 20, "{finding:?} of patient {number} changes {changed} pixels of 4096");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Any study renders, is no flat plane, and comes out the same again.
    #[test]
    fn any_study_renders_reproducibly(seed: u64, number in 1_u32..99_999, size in 32_u32..80) {
        let config = SynthConfig { seed, size, ..small(0) };
        let patient = draw_patient(&config, number);
        prop_assert!((18..=90).contains(&patient.age));
        prop_assert!((1..=3).contains(&patient.studies.len()));
        for study in &patient.studies {
            let image = render_study(&config, &patient, study);
            prop_assert_eq!(&image, &render_study(&config, &patient, study));
            let [mean, deviation] = moments(&grey(image));
            // drawn from 110..165 and 48..72; clipping is corrected for, rounding and bright films leave a little
            prop_assert!((100.0..175.0).contains(&mean), "mean {}", mean);
            prop_assert!((43.0..77.0).contains(&deviation), "deviation {}", deviation);
        }
    }
}
