//! AUROC and other statistics, with intervals, from a file of labels and scores; no network, no images.
//!
//!     cargo run --release --example score_csv [-- predictions.csv]
//!
//! The file has a row for each image: `path`, `patient`, `study`, and `label_TASK` (1, 0 or empty) and `score_TASK` for each
//! task; patient and study are optional. Without an argument, a file with 300 simulated studies is used.

#![allow(clippy::print_stdout)]

use std::{error::Error, fmt::Write, path::PathBuf};

use moco_cxr::eval::{Bootstrap, Evaluation, Metric, fold_studies, read_predictions, read_stamp_beside};

fn main() -> Result<(), Box<dyn Error>> {
    let path = match std::env::args().nth(1) {
        Some(path) => PathBuf::from(path),
        None => simulated()?,
    };
    let images = read_predictions(&path)?;
    // As in the paper, the score of a study is the highest of its images.
    let studies = fold_studies(&images)?;

    // All statistics, resampling patients.
    let evaluation =
        Evaluation { bootstrap: Bootstrap { replicates: 1000, ..Bootstrap::default() }, ..Evaluation::default() };
    let results = evaluation.run(std::slice::from_ref(&studies), read_stamp_beside(&path)?)?;
    println!("{}", results.table().to_markdown());

    // A single AUROC: as above, and as in the paper (rows resampled 500 times, order statistics).
    for (column, task) in studies.tasks().iter().enumerate() {
        let (cohort, scores) = studies.cohort(column)?;
        let scores = [scores];
        let ours = Bootstrap::default().interval(&cohort, &scores, Metric::Auroc)?;
        let paper = Bootstrap::paper(0).interval(&cohort, &scores, Metric::Auroc)?;
        println!("{task}: AUROC {ours} with patients resampled, {paper} as in the paper");
    }
    Ok(())
}

/// Writes scores that are mostly higher for patients with the finding.
fn simulated() -> Result<PathBuf, Box<dyn Error>> {
    let mut text = String::from("path,patient,study,label_Pleural Effusion,score_Pleural Effusion\n");
    let mut state = 7_u64;
    let mut uniform = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / (1_u64 << 31) as f64
    };
    for study in 0..300 {
        let (patient, sick) = (study / 2, uniform() < 0.4);
        let score = 0.6 * uniform() + if sick { 0.3 } else { 0.0 };
        let (patient, study) = (format!("patient{patient:03}"), format!("patient{patient:03}/study{study}"));
        writeln!(text, "{study}/view1.jpg,{patient},{study},{},{score:.4}", u8::from(sick))?;
    }
    let path = std::env::temp_dir().join(format!("moco-cxr-predictions-{}.csv", std::process::id()));
    std::fs::write(&path, text)?;
    Ok(path)
}
