//! Label draws by the paper's rule, as a linear evaluation takes them.
#![allow(clippy::unwrap_used, missing_docs)]

use cxr_data::{Dataset, Label, LabelPolicy, Manifest, Record, splits};
use moco_cxr::{DrawRule, Labelled, ProbeSettings, label_draws, plain_draws};

/// One image a patient, every second positive; nothing of it lies on disk.
fn manifest(dataset: Dataset, task: &str, images: usize) -> Manifest {
    let record = |i: usize| Record {
        path: format!("patient{i:05}/study1/view1_frontal.jpg"),
        patient: format!("patient{i:05}"),
        study: format!("patient{i:05}/study1"),
        view: None,
        projection: None,
        sex: None,
        age: None,
        labels: vec![if i.is_multiple_of(2) { Label::Positive } else { Label::Negative }],
    };
    Manifest {
        root: "nowhere".into(),
        dataset,
        tasks: vec![task.to_owned()],
        records: (0..images).map(record).collect(),
        patients_known: true,
        notes: Vec::new(),
    }
}

fn settings(task: &str, draws: usize) -> ProbeSettings {
    ProbeSettings { draws, draw_rule: DrawRule::Paper, ..ProbeSettings::new(vec![task.to_owned()]) }
}

#[test]
fn on_chexpert_they_are_the_draws_of_the_paper_without_the_rows_that_cannot_be_used() {
    let manifest = manifest(Dataset::Chexpert, "Edema", 3000);
    let settings = settings("Edema", 5);
    let readable: Vec<usize> = (0..3000).filter(|row| row % 7 != 0).collect();
    let train = Labelled::new(&manifest, &readable, &settings.tasks, LabelPolicy::default()).unwrap();
    for fraction in [0.01, 0.1, 0.5] {
        let draws = label_draws(&train, fraction, &settings).unwrap();
        let paper: Vec<_> = splits::paper_draws(3000).into_iter().filter(|draw| draw.fraction == fraction).collect();
        assert_eq!(draws.len(), 5);
        for (draw, paper) in draws.iter().zip(paper) {
            let rows: Vec<usize> = draw.places.iter().map(|&place| train.rows()[place]).collect();
            let expected: Vec<usize> = paper.rows.into_iter().filter(|row| row % 7 != 0).collect();
            assert_eq!(rows, expected);
        }
    }
    assert_eq!(label_draws(&train, 1.0, &settings).unwrap()[0].places.len(), readable.len());
    // The paper has neither a sixth draw nor a fraction of 20 %; at 0.1 % nobody can choose a penalty among three images,
    // but a network can be trained on them.
    let six = ProbeSettings { draws: 6, ..settings.clone() };
    for (fraction, settings) in [(0.1, &six), (0.2, &settings)] {
        let fault = plain_draws(&train, fraction, settings).unwrap_err().to_string();
        assert!(fault.contains("as the paper has them"), "{fault}");
    }
    assert!(label_draws(&train, 0.001, &settings).unwrap_err().to_string().contains("two patients of each class"));
    assert_eq!(plain_draws(&train, 0.001, &settings).unwrap().len(), 5);
}

#[test]
fn on_shenzhen_they_are_balanced_and_follow_from_the_seed() {
    let manifest = manifest(Dataset::Shenzhen, "Tuberculosis", 430);
    let settings = settings("Tuberculosis", 8);
    let rows: Vec<usize> = (0..430).collect();
    let train = Labelled::new(&manifest, &rows, &settings.tasks, LabelPolicy::default()).unwrap();
    let draws = plain_draws(&train, 0.0625, &settings).unwrap();
    assert_eq!(draws.len(), 8);
    for draw in &draws {
        let positive = draw.places.iter().filter(|&&place| place % 2 == 0).count();
        let balance = (draw.places.len() - positive) as f64 / positive as f64;
        assert!(0.9 < balance && balance < 1.2, "{balance}"); // `shenzhen_mutiple_split.py`
    }
    assert_eq!(draws, plain_draws(&train, 0.0625, &settings).unwrap());
    let other = ProbeSettings { seed: 1, ..settings };
    assert_ne!(draws, plain_draws(&train, 0.0625, &other).unwrap());
}
