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
    Baseline, Existing, Labels, PretrainSettings, Protocol, RunFolder, Sources, Study, ValidFrom, Weights,
    cxr_data::{Dataset, synth},
    pretrain,
};

mod drawn_films;

fn main() -> Result<(), Box<dyn Error>> {
    let Arguments { out, data, weights, seed } = arguments()?;
    RunFolder::check(&out, Existing::Refuse)?;
    let data = match data {
        Some(data) => data,
        None => drawn_films::draw(&out)?,
    };
    let weights = match weights {
        Some(weights) => weights,
        None => pretrained(&out)?,
    };
    let mut sources = Sources::new(data);
    (sources.dataset, sources.valid) = (Dataset::Shenzhen, ValidFrom::HeldOut);
    let mut protocol = Protocol::default();
    (protocol.fractions, protocol.draws, protocol.seed) = (vec![0.0625, 0.25, 1.0], 4, seed);
    let watch = |text: &str| println!("{text}");
    let study = Study::open(&sources, &Weights::new(weights), &Labels::new(["Tuberculosis"]), &protocol, &watch)?;
    let found = study.linear(Baseline::Random)?;
    found.write(out.join("transfer"))?;

    let films = study.parts().test().readable().len();
    println!("\n{films} test films, one of each patient; intervals resample patients\n");
    print!("{}", found.outcome().table().to_markdown());
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
