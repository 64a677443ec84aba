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
    Arm, AskedPreprocessing, Existing, LinearData, Parts, PretrainSettings, ProbeSettings, RunFolder, ValidFrom,
    adapt_statistics,
    backbones::Arch,
    burn::tensor::Device,
    cxr_data::{Dataset, OnBad, synth},
    eval::{Knn, Stamp},
    knn, linear, load_weights, pretrain, results_table,
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
    let arch = (weights == "random").then_some(Arch::ResNet18);
    let asked = AskedPreprocessing { size: arch.map(|_| SIDE), ..AskedPreprocessing::default() };
    let loaded = asked.apply(load_weights(&weights, arch, 0, &Device::flex())?, &weights)?;
    println!("{}", loaded.provenance);

    // The valid part is chosen on, the test part reported on; that the two and train share no patient is checked.
    let source = LinearData {
        train: data.clone(),
        test: None,
        dataset: Dataset::Chexpert,
        on_bad: OnBad::Fail,
        patient_regex: None,
    };
    let mut note = |text: &str| println!("{text}");
    let Parts { train, valid, test, .. } = source.load_parts(&ValidFrom::Folder(data), 0, 2, &mut note)?;
    let valid = valid.ok_or("no valid part")?;
    let mut probe = ProbeSettings::new(vec!["Pleural Effusion".into(), "Cardiomegaly".into()]);
    (probe.fractions, probe.draws) = (vec![0.25, 1.0], 3);
    let [train_labels, valid_labels, test_labels] =
        [train.labelled(&probe)?, valid.labelled(&probe)?, test.labelled(&probe)?];

    let views = loaded.views;
    let arm = |network| -> Result<Arm, moco_cxr::Error> {
        Arm::of(network, views, &train_labels, &test_labels, &probe)?.choosing_on(&valid_labels, network, views, &probe)
    };
    let mut random = loaded.config.init(0, &Device::flex());
    adapt_statistics(&mut random, &train.manifest, &train.rows, views, &probe)?;
    let (features, baseline) = (arm(&loaded.network)?, arm(&random)?);

    let outcome = linear(&train_labels, &test_labels, &features, Some(&baseline), &probe)?;
    let stamp = Stamp::new(probe.policy.to_string(), "synthetic, seed 0", "linear, standard: L2 chosen on valid");
    outcome.write(&out.join("linear"), &loaded, &probe, &stamp)?;
    println!("\nlinear probe, beside the same network with random weights\n");
    print!("{}", results_table(&outcome.outcome.results).to_markdown());

    let neighbours = knn(&train_labels, &test_labels, &features, Knn::default(), &probe)?;
    println!("\n200 nearest neighbours, nothing trained\n");
    print!("{}", results_table(&neighbours.results).to_markdown());
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
