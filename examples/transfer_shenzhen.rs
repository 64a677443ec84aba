//! Transfer: a network pretrained on one set, probed on another, the paper's second experiment. The films are divided
//! 65 / 15 / 20 by the rules of the paper's script; heads are fitted on 6.25, 25 and 100 % of the training films, their
//! penalty chosen on the 15 %, and the numbers are those of the 20 %, beside the same network with random weights. A minute
//! or two on two CPU cores; no download.
//!
//!     cargo run --release --example transfer_shenzhen [-- --out runs/transfer --data ChinaSet_AllFiles --weights RUN|FILE]
//!
//! Without `--data` a stand-in is drawn: films named as the Shenzhen set's, "tuberculosis" being a drawn effusion. Without
//! `--weights` a network is pretrained for two epochs on another drawn set.

#![allow(clippy::print_stdout)]

use std::{
    error::Error,
    path::{Path, PathBuf},
};

use moco_cxr::{
    Arm, Existing, LinearData, Parts, PretrainSettings, ProbeSettings, RunFolder, ValidFrom, adapt_statistics,
    burn::tensor::Device,
    cxr_data::{Dataset, Label, OnBad, Part, load, synth},
    eval::Stamp,
    linear, load_weights, pretrain, results_table,
};

fn main() -> Result<(), Box<dyn Error>> {
    let Arguments { out, data, weights, seed } = arguments()?;
    RunFolder::check(&out, Existing::Refuse)?;
    let data = match data {
        Some(data) => data,
        None => draw_films(&out)?,
    };
    let weights = match weights {
        Some(weights) => weights,
        None => pretrained(&out)?,
    };
    let loaded = load_weights(&weights, None, 0, &Device::flex())?;
    println!("{}", loaded.provenance);

    let source = LinearData {
        train: data.clone(),
        test: None,
        dataset: Dataset::Shenzhen,
        on_bad: OnBad::Fail,
        patient_regex: None,
    };
    let mut note = |text: &str| println!("{text}");
    let parts = source.load_parts(&ValidFrom::HeldOut(seed), seed, 2, &mut note)?;
    let split = parts.split();
    let Parts { train, valid, test, .. } = parts;
    let valid = valid.ok_or("no valid part")?;
    let mut probe = ProbeSettings::new(vec!["Tuberculosis".into()]);
    (probe.fractions, probe.draws, probe.seed) = (vec![0.0625, 0.25, 1.0], 4, seed);
    let labels = [train.labelled(&probe)?, valid.labelled(&probe)?, test.labelled(&probe)?];

    let views = loaded.views;
    let arm = |network| -> Result<Arm, moco_cxr::Error> {
        let [train, valid, test] = &labels;
        Arm::of(network, views, train, test, &probe)?.choosing_on(valid, network, views, &probe)
    };
    let mut random = loaded.config.init(seed, &Device::flex());
    adapt_statistics(&mut random, &train.manifest, &train.rows, views, &probe)?;
    let outcome = linear(&labels[0], &labels[2], &arm(&loaded.network)?, Some(&arm(&random)?), &probe)?;
    let stamp = Stamp::new(probe.policy.to_string(), split, "linear, standard: L2 chosen on valid");
    outcome.write(&out.join("transfer"), &loaded, &probe, &stamp)?;

    println!("\n{} test films, one of each patient; intervals resample patients\n", test.rows.len());
    print!("{}", results_table(&outcome.outcome.results).to_markdown());
    println!("\nfiles in {}", out.join("transfer").display());
    Ok(())
}

/// A network that has seen another drawn set, without labels.
fn pretrained(out: &Path) -> Result<String, Box<dyn Error>> {
    let set = out.join("pretraining-set");
    let config = synth::SynthConfig { seed: 1, train_patients: 240, valid_patients: 1, size: 64, ..Default::default() };
    synth::write(&config, &set)?;
    let mut settings = PretrainSettings::named("small", &set)?.with_set("views.size=48")?;
    settings.train.epochs = 2;
    let run = out.join("run");
    pretrain(&settings, &run, Existing::Refuse, &mut ())?;
    Ok(run.display().to_string())
}

/// Films under the names of the Shenzhen set, one of each patient.
fn draw_films(out: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let set = out.join("drawn");
    let config = synth::SynthConfig { seed: 2, train_patients: 1, valid_patients: 1, size: 64, ..Default::default() };
    synth::write(&synth::SynthConfig { test_patients: 300, ..config }, &set)?;
    let drawn = load(&set, Dataset::Chexpert, Part::Test)?;
    let effusion = drawn.task_indices(&["Pleural Effusion"])?[0];
    let films = out.join("ChinaSet_AllFiles/CXR_png");
    std::fs::create_dir_all(&films)?;
    let rows: Vec<usize> = (0..drawn.len()).collect();
    let first = drawn.patients(&rows).into_iter().map(|images| images[0]);
    let (ill, well): (Vec<usize>, Vec<usize>) =
        first.partition(|&row| drawn.records[row].labels[effusion] == Label::Positive);
    // As many of each, as in the set itself.
    for (number, (&ill, &well)) in ill.iter().zip(&well).enumerate() {
        for (row, suffix) in [(ill, 1), (well, 0)] {
            let name = format!("CHNCXR_{:04}_{suffix}.jpg", 2 * number + suffix + 1);
            std::fs::copy(drawn.image_path(row), films.join(name))?;
        }
    }
    Ok(out.join("ChinaSet_AllFiles"))
}

struct Arguments {
    out: PathBuf,
    data: Option<PathBuf>,
    weights: Option<String>,
    seed: u64,
}

fn arguments() -> Result<Arguments, Box<dyn Error>> {
    let mut found = Arguments { out: PathBuf::from("runs/transfer"), data: None, weights: None, seed: 0 };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--out" => found.out = value.into(),
            "--data" => found.data = Some(value.into()),
            "--weights" => found.weights = Some(value),
            "--seed" => found.seed = value.parse().map_err(|e| format!("--seed {value}: {e}"))?,
            _ => return Err(format!("unknown argument {name}; expected --out, --data, --weights or --seed").into()),
        }
    }
    Ok(found)
}
