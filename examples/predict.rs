//! Scores of images nobody labelled, by an exported classifier. Without `--weights` a small one is trained first on a drawn
//! set; without `--data` the images are those of its test part, as a plain folder. Under a minute on two CPU cores; no
//! download.
//!
//!     cargo run --release --example predict [-- --out runs/predict --weights FINETUNED --data FOLDER]

#![allow(clippy::print_stdout)]

use std::{
    error::Error,
    path::{Path, PathBuf},
};

use moco_cxr::{
    AskedPreprocessing, Existing, FineTuneSettings, LinearData, ProbeSettings, RunFolder, Scorer, ValidFrom,
    backbones::Arch,
    burn::tensor::Device,
    cxr_data::{Dataset, LoadOptions, OnBad, Part, synth},
    eval::{Stamp, Trained, write_predictions},
    fine_tune, load_images, load_weights,
};

fn main() -> Result<(), Box<dyn Error>> {
    let (out, weights, data) = arguments()?;
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

    // Size, mean and deviation come with the weights.
    let scorer = Scorer::new(load_weights(&weights, None, 0, &Device::flex())?)?;
    let mut note = |text: &str| println!("{text}");
    let options = LoadOptions { on_bad: OnBad::Skip, ..LoadOptions::default() };
    let images = load_images(&data, Dataset::Folder, Part::All, &options, 2, &mut note)?;
    let mut settings = ProbeSettings::new(scorer.labels().to_vec());
    settings.fold_studies = false; // one line an image
    let scores = scorer.score(&images, &settings)?;
    let file = out.join("scores.csv");
    write_predictions(&file, &scores)?;

    println!("\nprobabilities of {}, the first of {} images:", scorer.labels().join(", "), scores.len());
    for (row, probabilities) in scores.rows().iter().zip(scores.scores().rows()).take(5) {
        let probabilities: Vec<String> = probabilities.iter().map(|p| format!("{p:.3}")).collect();
        println!("  {}: {}", row.path, probabilities.join("  "));
    }
    println!("all in {}", file.display());
    Ok(())
}

/// A classifier of two findings, trained for two epochs; returns its folder.
fn train(data: &Path, out: &Path) -> Result<String, Box<dyn Error>> {
    let asked = AskedPreprocessing { size: Some(32), ..AskedPreprocessing::default() };
    let random = load_weights("random", Some(Arch::ResNet18), 0, &Device::flex())?;
    let start = asked.apply(random, "random")?;
    let source = LinearData {
        train: data.into(),
        test: None,
        dataset: Dataset::Chexpert,
        on_bad: OnBad::Fail,
        patient_regex: None,
    };
    let parts = source.load_parts(&ValidFrom::HeldOut(0), 0, 2, &mut |_| {})?;
    let split = parts.split();
    let probe = ProbeSettings::new(vec!["Pleural Effusion".into(), "Cardiomegaly".into()]);
    let valid = parts.valid.as_ref().ok_or("no rows to choose a checkpoint on")?;
    let settings = FineTuneSettings { epochs: Some(2), lr: 3e-4, ..FineTuneSettings::new(Trained::All) };
    let [train, valid, test] = [&parts.train, valid, &parts.test].map(|part| part.labelled(&probe));
    let mut watch = |text: &str| println!("{text}");
    let tuned = fine_tune(&start, [&train?, &valid?, &test?], &probe, &settings, &mut watch)?;
    let stamp = Stamp::new(probe.policy.to_string(), split, settings.protocol());
    tuned.write(out, "finetune", &start, &probe, &settings, &stamp)?;
    Ok(out.display().to_string())
}

type Arguments = (PathBuf, Option<String>, Option<PathBuf>);

fn arguments() -> Result<Arguments, Box<dyn Error>> {
    let (mut out, mut weights, mut data) = (PathBuf::from("runs/predict"), None, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--out" => out = value.into(),
            "--weights" => weights = Some(value),
            "--data" => data = Some(value.into()),
            _ => return Err(format!("unknown argument {name}; expected --out, --weights or --data").into()),
        }
    }
    Ok((out, weights, data))
}
