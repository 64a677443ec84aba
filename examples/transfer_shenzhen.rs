//! Transfer, the paper's second experiment: a network pretrained on one data set is probed on another. The radiographs are
//! divided 65 / 15 / 20 by the rules of the paper's script; heads are fitted on 6.25, 25 and 100 % of the training part, the
//! penalty is chosen on the 15 %, and results are for the 20 %, compared with the same network with random weights. Takes a
//! minute or two on two CPU cores; no download.
//!
//!     cargo run --release --example transfer_shenzhen [-- --out runs/transfer --data ChinaSet_AllFiles --weights RUN|FILE]
//!
//! Without `--data`, synthetic radiographs are named like those of the Shenzhen set, with effusions in place of tuberculosis.
//! Without `--weights`, a network is pretrained for two epochs on another synthetic set.

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

mod arguments;
mod drawn_films;

fn main() -> Result<(), Box<dyn Error>> {
    let [out, data, weights, seed] = arguments::values(["--out", "--data", "--weights", "--seed"])?;
    let out = PathBuf::from(out.as_deref().unwrap_or("runs/transfer"));
    let seed: u64 = seed.map_or(Ok(0), |seed| seed.parse().map_err(|e| format!("--seed {seed}: {e}")))?;
    RunFolder::check(&out, Existing::Refuse)?;
    let data = match data {
        Some(data) => data.into(),
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
    println!("\n{films} test radiographs, one per patient; intervals resample patients\n");
    print!("{}", found.outcome().table().to_markdown());
    println!("\nfiles in {}", out.join("transfer").display());
    Ok(())
}

/// Pretrains a network on another synthetic set, without labels.
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
