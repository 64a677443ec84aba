//! Query and key views side by side, exactly as in training, for several augmentation recipes.
//!
//!     cargo run --release --example show_views [-- --images MY-RADIOGRAPHS] [--out runs/views]
//!
//! Writes a contact sheet for each recipe. Look at them before a long run: both views should show the same chest, and most
//! should not erase or crop away a finding.

#![allow(clippy::print_stdout)]

use std::{error::Error, path::PathBuf};

use moco_cxr::{
    cxr_data::{BatchLoader, BatchOptions, Operation, load, preview, synth},
    prelude::*,
};

mod arguments;

fn main() -> Result<(), Box<dyn Error>> {
    let [images, out] = arguments::values(["--images", "--out"])?;
    let out = PathBuf::from(out.as_deref().unwrap_or("runs/views"));
    RunFolder::open(&out, Existing::Refuse)?;
    let images = match images {
        Some(images) => images.into(),
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
        println!("{}: three pairs per row, query view on the left, key view on the right", path.display());
    }
    Ok(())
}
