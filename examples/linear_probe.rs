//! A linear probe of a pretrained network, compared with nearest neighbours and random weights, on a synthetic data set. The
//! penalty is chosen on the valid part, and results are for the test part. Takes a minute or two on two CPU cores; no
//! download.
//!
//!     cargo run --release --example linear_probe [-- --out runs/linear_probe --weights RUN|FILE|random]
//!
//! Without `--weights` a network is first pretrained for two epochs.

#![allow(clippy::print_stdout)]

use std::{error::Error, path::PathBuf};

use moco_cxr::{
    Baseline, Existing, Labels, PretrainSettings, Protocol, RunFolder, Sources, Study, ValidFrom, Weights,
    backbones::Arch, cxr_data::synth, eval::Knn, pretrain,
};

mod arguments;

const SIDE: usize = 48;

fn main() -> Result<(), Box<dyn Error>> {
    let [out, weights] = arguments::values(["--out", "--weights"])?;
    let out = PathBuf::from(out.as_deref().unwrap_or("runs/linear_probe"));
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

    // The penalty is chosen on the valid part; results are for the test part. `Study::open` checks that no two parts share a
    // patient, and that no validation or test patient was pretrained on.
    let mut sources = Sources::new(&data);
    sources.valid = ValidFrom::Folder(data);
    let labels = Labels::new(["Pleural Effusion", "Cardiomegaly"]);
    let mut protocol = Protocol::default();
    (protocol.fractions, protocol.draws) = (vec![0.25, 1.0], 3);
    let watch = |text: &str| println!("{text}");
    let study = Study::open(&sources, &weights, &labels, &protocol, &watch)?;

    let linear = study.linear(Baseline::Random)?;
    linear.write(out.join("linear"))?;
    println!("\nlinear probe, compared with the same network with random weights\n");
    print!("{}", linear.outcome().table().to_markdown());

    let neighbours = study.knn(Knn::default())?;
    println!("\n200 nearest neighbours, without training\n");
    print!("{}", neighbours.table().to_markdown());
    println!("\nfiles in {}; results on synthetic images say nothing about patients", out.display());
    Ok(())
}
