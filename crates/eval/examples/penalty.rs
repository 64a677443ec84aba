//! Which penalty a linear probe should have with few labels: cross-validation within the draw against fixed penalties.
//!
//! `cargo run --release -p moco-cxr-eval --no-default-features --example penalty -- FEATURES...` with folders that
//! `moco-cxr embed` wrote for the train part and for the test part of a set in CheXpert's layout, four arguments a set:
//! features and table of the train part, features and table of the test part. Prints the mean AUROC over sets, findings and
//! draws: of folds, and of each fixed penalty.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::{collections::HashMap, path::Path};

use eval::{LinearProbeConfig, Selection, auroc};
use ndarray::{Array2, Axis};
use rand::seq::SliceRandom;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

/// Draws of each number of labels.
const DRAWS: u64 = 20;
const SIZES: [usize; 6] = [10, 20, 30, 40, 50, 75];
const FINDINGS: [&str; 5] = ["Cardiomegaly", "Lung Lesion", "Pneumothorax", "Pleural Effusion", "Pneumonia"];

/// Features, patients, and the labels of the findings that the table has with both classes.
struct Part {
    features: Array2<f32>,
    patients: Vec<u64>,
    labels: Vec<Option<Vec<bool>>>,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let sets: Vec<(Part, Part)> =
        arguments.chunks(4).map(|four| (part(&four[0], &four[1]), part(&four[2], &four[3]))).collect();
    let config = LinearProbeConfig { few: None, ..LinearProbeConfig::default() };
    let fixed = config.penalties.clone();
    let header: Vec<String> = fixed.iter().map(|l2| format!("{l2:e}")).collect();
    println!("| labels | folds | {} | fits |\n|{}", header.join(" | "), "---|".repeat(fixed.len() + 3));
    for size in SIZES {
        let mut sums = vec![0.0; fixed.len() + 1];
        let mut fits = 0;
        for (train, test) in &sets {
            for task in 0..FINDINGS.len() {
                let (Some(labels), Some(truth)) = (&train.labels[task], &test.labels[task]) else { continue };
                for draw in 0..DRAWS {
                    let Some((rows, folds)) = drawn(labels, &train.patients, size, draw) else { continue };
                    let x = train.features.select(Axis(0), &rows);
                    let y = Array2::from_shape_fn((rows.len(), 1), |(i, _)| f64::from(u8::from(labels[rows[i]])));
                    let patients: Vec<u64> = rows.iter().map(|&row| train.patients[row]).collect();
                    let config = LinearProbeConfig { folds, ..config.clone() };
                    let score = |how| -> Option<f64> {
                        let probe = config.fit(x.view(), y.view(), how).ok()?;
                        let logits = probe.logits(test.features.view()).unwrap();
                        auroc(truth, &logits.column(0).to_vec(), None).ok()
                    };
                    let given = fixed.iter().map(|&l2| score(Selection::Fixed(l2)));
                    let found: Option<Vec<f64>> =
                        std::iter::once(score(Selection::Nested(&patients))).chain(given).collect();
                    let Some(found) = found else { continue };
                    sums.iter_mut().zip(found).for_each(|(sum, value)| *sum += value);
                    fits += 1;
                }
            }
        }
        let cells: Vec<String> = sums.iter().map(|sum| format!("{:.4}", sum / f64::from(fits))).collect();
        println!("| {size} | {} | {fits} |", cells.join(" | "));
    }
}

/// `size` rows of whole patients, ascending, and the folds that the rarer class allows; `None` below two patients of a class.
fn drawn(labels: &[bool], patients: &[u64], size: usize, seed: u64) -> Option<(Vec<usize>, usize)> {
    let mut order: Vec<u64> = patients.to_vec();
    order.dedup();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    let place: HashMap<u64, usize> = order.iter().enumerate().map(|(place, &patient)| (patient, place)).collect();
    let mut rows: Vec<usize> = (0..labels.len()).collect();
    rows.sort_by_key(|&row| place[&patients[row]]);
    rows.truncate(size);
    rows.sort_unstable();
    let of = |class: bool| {
        let mut found: Vec<u64> = rows.iter().filter(|&&row| labels[row] == class).map(|&row| patients[row]).collect();
        found.dedup();
        found
    };
    let positive = of(true);
    let negative = of(false).into_iter().filter(|patient| !positive.contains(patient)).count();
    let rarest = positive.len().min(negative);
    (rarest >= 2).then(|| (rows, rarest.min(5)))
}

fn part(features: &str, table: &str) -> Part {
    let values = npy(&Path::new(features).join("features.npy"));
    let mut reader = csv::Reader::from_path(table).unwrap();
    let columns = reader.headers().unwrap().clone();
    let column = |name: &str| columns.iter().position(|column| column == name);
    let rows: HashMap<String, csv::StringRecord> = reader
        .records()
        .map(|record| record.unwrap())
        .map(|record| (record[0].split_once('/').unwrap().1.to_owned(), record))
        .collect();
    let mut numbers = HashMap::new();
    let (mut patients, mut paths) = (Vec::new(), Vec::new());
    for record in csv::Reader::from_path(Path::new(features).join("index.csv")).unwrap().records() {
        let record = record.unwrap();
        let next = numbers.len() as u64;
        patients.push(*numbers.entry(record[1].to_owned()).or_insert(next));
        paths.push(record[0].to_owned());
    }
    let labels = FINDINGS.map(|finding| {
        let column = column(finding)?;
        let labels: Vec<bool> = paths.iter().map(|path| rows[path][column].starts_with('1')).collect();
        (labels.contains(&true) && labels.contains(&false)).then_some(labels)
    });
    Part { features: values, patients, labels: labels.into() }
}

/// The array of a file by `moco-cxr embed`: version 1.0, f32, rows by columns.
fn npy(path: &Path) -> Array2<f32> {
    let bytes = std::fs::read(path).unwrap();
    let start = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = std::str::from_utf8(&bytes[10..start]).unwrap();
    let shape = header.split_once("'shape': (").unwrap().1.split_once(')').unwrap().0;
    let shape: Vec<usize> = shape.split(',').map(|n| n.trim().parse().unwrap()).collect();
    let values = bytes[start..].as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four)).collect();
    Array2::from_shape_vec((shape[0], shape[1]), values).unwrap()
}
