//! A linear probe of a pretrained network beside nearest neighbours and beside random weights, on a drawn set: the penalty
//! of the probe is chosen on the valid part, the numbers are those of the test part. A minute or two on two CPU cores; no
//! download.
//!
//!     cargo run --release --example linear_probe [-- --out runs/linear_probe --weights RUN|FILE|random]
//!
//! Without `--weights` a network is pretrained first, for two epochs.

#![allow(clippy::print_stdout)]

use std::{error::Error, path::PathBuf};

use moco_cxr::{
    Baseline, Existing, Labels, PretrainSettings, Protocol, RunFolder, Sources, Study, ValidFrom, Weights,
    backbones::Arch, cxr_data::synth, eval::Knn, pretrain,
};

const SIDE: usize = 48;

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

    let weights = match weights {
        Some(weights) => weights,
        None => {
            let run = out.join("run");
            let mut settings = PretrainSettings::named("small", &data)?.with_set(&format!("views.size={SIDE}"))?;
            settings.train.epochs = 2;
            pretrain(&settings, &run, Existing::Refuse, &mut ())?;
            run.display().to_string()
        }
    };
    let weights = match weights.as_str() {
        "random" => Weights::random(Arch::ResNet18, SIDE),
        source => Weights::new(source),
    };

    // The penalty is chosen on the valid part, the numbers are those of the test part. That no two parts share a patient, and
    // that no patient chosen or reported on was pretrained on, is checked.
    let mut sources = Sources::new(&data);
    sources.valid = ValidFrom::Folder(data);
    let labels = Labels::new(["Pleural Effusion", "Cardiomegaly"]);
    let mut protocol = Protocol::default();
    (protocol.fractions, protocol.draws) = (vec![0.25, 1.0], 3);
    let watch = |text: &str| println!("{text}");
    let study = Study::open(&sources, &weights, &labels, &protocol, &watch)?;

    let linear = study.linear(Baseline::Random)?;
    linear.write(out.join("linear"))?;
    println!("\nlinear probe, beside the same network with random weights\n");
    print!("{}", linear.outcome().table().to_markdown());

    let neighbours = study.knn(Knn::default())?;
    println!("\n200 nearest neighbours, nothing trained\n");
    print!("{}", neighbours.table().to_markdown());
    println!("\nfiles in {}; drawn images, so these numbers say nothing about patients", out.display());
    Ok(())
}

fn arguments() -> Result<(PathBuf, Option<String>), Box<dyn Error>> {
    let (mut out, mut weights) = (PathBuf::from("runs/linear_probe"), None);
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--out" => out = value.into(),
            "--weights" => weights = Some(value),
            _ => return Err(format!("unknown argument {name}; expected --out DIR or --weights SOURCE").into()),
        }
    }
    Ok((out, weights))
}
