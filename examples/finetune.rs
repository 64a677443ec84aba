//! Fine-tuning as the paper does it, on a drawn set: all weights are trained, the checkpoint is chosen on the valid part by
//! AUROC, the numbers are those of the test part, and the classifier is exported. A minute or two on two CPU cores; no
//! download.
//!
//!     cargo run --release --example finetune [-- --out runs/finetune --weights RUN|FILE|random]
//!
//! Without `--weights` it begins from random ones, which at the paper's step size (3e-5) learn little in a few epochs;
//! hence the larger one here.

#![allow(clippy::print_stdout)]

use std::{error::Error, path::PathBuf};

use moco_cxr::{
    AskedPreprocessing, CheckpointChoice, Existing, FineTuneSettings, LinearData, Parts, ProbeSettings, RunFolder,
    ValidFrom,
    backbones::Arch,
    burn::tensor::Device,
    cxr_data::{Dataset, OnBad, synth},
    eval::{Stamp, Trained},
    fine_tune, load_weights, results_table,
};

fn main() -> Result<(), Box<dyn Error>> {
    let (out, weights) = arguments()?;
    RunFolder::check(&out, Existing::Refuse)?;
    let data = out.join("data");
    let set = synth::SynthConfig {
        train_patients: 240,
        valid_patients: 80,
        test_patients: 120,
        size: 64,
        ..Default::default()
    };
    synth::write(&set, &data)?;

    let arch = (weights == "random").then_some(Arch::ResNet18);
    let asked = AskedPreprocessing { size: arch.map(|_| 48), ..AskedPreprocessing::default() };
    let start = asked.apply(load_weights(&weights, arch, 0, &Device::flex())?, &weights)?;
    println!("{}", start.provenance);

    let source =
        LinearData { train: data, test: None, dataset: Dataset::Chexpert, on_bad: OnBad::Fail, patient_regex: None };
    let parts = source.load_parts(&ValidFrom::HeldOut(0), 0, 2, &mut |text| println!("{text}"))?;
    let split = parts.split();
    let Parts { train, valid, test, .. } = parts;
    let valid = valid.ok_or("no rows to choose a checkpoint on")?;
    let probe = ProbeSettings::new(vec!["Pleural Effusion".into(), "Cardiomegaly".into()]);
    let [train, valid, test] = [train.labelled(&probe)?, valid.labelled(&probe)?, test.labelled(&probe)?];

    let settings = FineTuneSettings {
        epochs: Some(4),
        lr: 3e-4,
        checkpoint: CheckpointChoice::Top10,
        ..FineTuneSettings::new(Trained::All)
    };
    let mut watch = |text: &str| println!("{text}");
    let tuned = fine_tune(&start, [&train, &valid, &test], &probe, &settings, &mut watch)?;
    let folder = out.join("finetune");
    let stamp = Stamp::new(probe.policy.to_string(), split, settings.protocol());
    tuned.write(&folder, "finetune", &start, &probe, &settings, &stamp)?;

    println!("\nchosen after steps {:?}\n", tuned.runs[0].chosen);
    print!("{}", results_table(&tuned.outcome.results).to_markdown());
    println!("\nclassifier in {}; drawn images say nothing about patients", folder.join("export").display());
    Ok(())
}

fn arguments() -> Result<(PathBuf, String), Box<dyn Error>> {
    let (mut out, mut weights) = (PathBuf::from("runs/finetune"), "random".to_owned());
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--out" => out = value.into(),
            "--weights" => weights = value,
            _ => return Err(format!("unknown argument {name}; expected --out DIR or --weights SOURCE").into()),
        }
    }
    Ok((out, weights))
}
