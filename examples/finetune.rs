//! Fine-tuning as in the paper, on a synthetic data set: trains all weights, chooses the checkpoint by AUROC on the valid
//! part, reports results on the test part, and exports the classifier. Takes a minute or two on two CPU cores; no download.
//!
//!     cargo run --release --example finetune [-- --out runs/finetune --weights RUN|FILE|random]
//!
//! Without `--weights` it starts from random weights, which learn little in a few epochs at the paper's learning rate (3e-5),
//! so a larger one is used.

#![allow(clippy::print_stdout)]

use std::{error::Error, path::PathBuf};

use moco_cxr::{
    Existing, FineTuneSettings, Labels, Protocol, RunFolder, Sources, Study, ValidFrom, Weights, backbones::Arch,
    cxr_data::synth, eval::Trained, study::CheckpointChoice,
};

mod arguments;

fn main() -> Result<(), Box<dyn Error>> {
    let [out, weights] = arguments::values(["--out", "--weights"])?;
    let out = PathBuf::from(out.as_deref().unwrap_or("runs/finetune"));
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

    let weights = match weights.as_deref() {
        None | Some("random") => Weights::random(Arch::ResNet18, 48),
        Some(source) => Weights::new(source),
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
    println!(
        "\nclassifier in {}; results on synthetic images say nothing about patients",
        folder.join("export").display()
    );
    Ok(())
}
