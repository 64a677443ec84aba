//! What a network sees: query and key views side by side, byte for byte as in training, for several recipes.
//!
//!     cargo run --release --example show_views [-- --images MY-RADIOGRAPHS] [--out runs/views]
//!
//! Writes a contact sheet for each recipe. Look at them before a long run: both views should show the same chest, and a
//! finding should not be erased or cropped away in most of them.

#![allow(clippy::print_stdout)]

use std::{error::Error, path::PathBuf};

use moco_cxr::{
    cxr_data::{BatchLoader, BatchOptions, Operation, load, preview, synth},
    prelude::*,
};

fn main() -> Result<(), Box<dyn Error>> {
    let (mut images, mut out) = (None, PathBuf::from("runs/views"));
    let mut given = std::env::args().skip(1);
    while let Some(name) = given.next() {
        let value = PathBuf::from(given.next().ok_or_else(|| format!("{name} needs a value"))?);
        match name.as_str() {
            "--images" => images = Some(value),
            "--out" => out = value,
            _ => return Err(format!("unknown argument {name}; expected --images DIR or --out DIR").into()),
        }
    }
    RunFolder::open(&out, Existing::Refuse)?;
    let images = match images {
        Some(images) => images,
        None => {
            let few = synth::SynthConfig {
                train_patients: 20,
                valid_patients: 0,
                test_patients: 0,
                size: 256,
                ..Default::default()
            };
            synth::write(&few, &out.join("data"))?;
            out.join("data")
        }
    };
    let manifest = load(&images, Dataset::Auto, Part::Train)?;

    let (mut without_flip, mut equalised, mut noisy) =
        (ViewConfig::small(224), ViewConfig::moco_cxr(224), ViewConfig::moco_cxr(224));
    without_flip.flip = 0.0;
    equalised.clahe.probability = 1.0;
    noisy.noise = Operation { probability: 1.0, strength: 0.1 };
    let recipes = [
        ("paper", ViewConfig::moco_cxr(224)),
        ("small", ViewConfig::small(224)),
        ("without-flip", without_flip),
        ("equalised", equalised),
        ("noisy", noisy),
        ("evaluation", ViewConfig::eval(224)),
    ];
    for (name, views) in recipes {
        let options = BatchOptions { batch_size: manifest.records.len().min(12), ..Default::default() };
        let loader = BatchLoader::new(&manifest, views, options)?;
        let batch = loader.pairs::<u8>(0, 0)?.next().ok_or("found no images")??;
        let path = out.join(format!("{name}.png"));
        preview::pairs(&batch, 3)?.write_png(&path)?;
        println!("{}: three pairs a row, the query view left of its key view", path.display());
    }
    Ok(())
}
