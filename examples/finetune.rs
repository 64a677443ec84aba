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
    Existing, FineTuneSettings, Labels, Protocol, RunFolder, Sources, Study, ValidFrom, Weights, backbones::Arch,
    cxr_data::synth, eval::Trained, study::CheckpointChoice,
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

    let weights = match weights.as_str() {
        "random" => Weights::random(Arch::ResNet18, 48),
        source => Weights::new(source),
    };
    let mut sources = Sources::new(data);
    sources.valid = ValidFrom::HeldOut;
    let labels = Labels::new(["Pleural Effusion", "Cardiomegaly"]);
    let watch = |text: &str| println!("{text}");
    let study = Study::open(&sources, &weights, &labels, &Protocol::default(), &watch)?;

    let mut settings = FineTuneSettings::new(Trained::All);
    (settings.epochs, settings.lr, settings.checkpoint) = (Some(4), 3e-4, CheckpointChoice::Top10);
    let tuned = study.fine_tune(&settings)?;
    let folder = out.join("finetune");
    tuned.write(&folder)?;

    println!("\nchosen after steps {:?}\n", tuned.runs()[0].chosen);
    print!("{}", tuned.outcome().table().to_markdown());
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
