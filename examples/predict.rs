//! Scores of unlabelled images by an exported classifier. Without `--weights` a small classifier is first trained on a
//! synthetic data set; without `--data` the test images of that set are scored, as a plain folder. Takes less than a minute
//! on two CPU cores; no download.
//!
//!     cargo run --release --example predict [-- --out runs/predict --weights FINETUNED --data FOLDER]

#![allow(clippy::print_stdout)]

use std::{
    error::Error,
    path::{Path, PathBuf},
};

use moco_cxr::{
    Existing, FineTuneSettings, Labels, Protocol, RunFolder, Scoring, Sources, Study, ValidFrom, Weights,
    backbones::Arch,
    cxr_data::{Dataset, OnBad, Part, synth},
    eval::Trained,
};

mod arguments;

fn main() -> Result<(), Box<dyn Error>> {
    let [out, weights, data] = arguments::values(["--out", "--weights", "--data"])?;
    let (out, data) = (PathBuf::from(out.as_deref().unwrap_or("runs/predict")), data.map(PathBuf::from));
    RunFolder::check(&out, Existing::Refuse)?;
    let drawn = out.join("data");
    if weights.is_none() || data.is_none() {
        let set = synth::SynthConfig { train_patients: 120, valid_patients: 60, size: 64, ..Default::default() };
        synth::write(&synth::SynthConfig { test_patients: 20, ..set }, &drawn)?;
    }
    let weights = match weights {
        Some(weights) => weights,
        None => train(&drawn, &out.join("finetune"))?,
    };
    let data = data.unwrap_or_else(|| drawn.join("CheXpert-v1.0-small/test"));

    // Image size, mean and standard deviation come with the weights.
    let mut sources = Sources::new(data);
    (sources.dataset, sources.on_bad) = (Dataset::Folder, OnBad::Skip);
    let watch = |text: &str| println!("{text}");
    let predicted = Study::predict(&sources, Part::All, &Weights::new(weights), &Scoring::default(), &watch)?;
    let file = out.join("scores.csv");
    predicted.write(&file)?;

    let scores = predicted.scores();
    println!("\nprobabilities of {} for the first of {} images:", scores.tasks().join(", "), scores.len());
    for (row, probabilities) in scores.rows().iter().zip(scores.scores().rows()).take(5) {
        let probabilities: Vec<String> = probabilities.iter().map(|p| format!("{p:.3}")).collect();
        println!("  {}: {}", row.path, probabilities.join("  "));
    }
    println!("all scores in {}", file.display());
    Ok(())
}

/// Trains a classifier of two findings for two epochs; returns its folder.
fn train(data: &Path, out: &Path) -> Result<String, Box<dyn Error>> {
    let mut sources = Sources::new(data);
    sources.valid = ValidFrom::HeldOut;
    let labels = Labels::new(["Pleural Effusion", "Cardiomegaly"]);
    let watch = |text: &str| println!("{text}");
    let weights = Weights::random(Arch::ResNet18, 32);
    let study = Study::open(&sources, &weights, &labels, &Protocol::default(), &watch)?;
    let mut settings = FineTuneSettings::new(Trained::All);
    (settings.epochs, settings.lr) = (Some(2), 3e-4);
    study.fine_tune(&settings)?.write(out)?;
    Ok(out.display().to_string())
}
