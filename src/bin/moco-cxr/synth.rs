//! `moco-cxr synth`.

use std::path::PathBuf;

use clap::Args;
use moco_cxr::cxr_data::synth::{SynthConfig, write};

use crate::{Fault, bad_argument::OrBadArgument};

/// Write a synthetic chest X-ray set in CheXpert layout.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  moco-cxr synth --out synth --train-patients 500 --size 96 --seed 1")]
pub(crate) struct Arguments {
    /// New or empty folder.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Patients of the train part (one to three images each).
    #[arg(long, default_value_t = SynthConfig::default().train_patients)]
    train_patients: u32,
    /// Patients of the valid part.
    #[arg(long, default_value_t = SynthConfig::default().valid_patients)]
    valid_patients: u32,
    /// Patients of the test part.
    #[arg(long, default_value_t = SynthConfig::default().test_patients)]
    test_patients: u32,
    /// Side of the images in pixels.
    #[arg(long, value_name = "PX", default_value_t = SynthConfig::default().size)]
    size: u32,
    /// Seed of everything.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Print a JSON summary.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Fault> {
    let &Arguments { train_patients, valid_patients, test_patients, size, seed, .. } = arguments;
    let config = SynthConfig { seed, train_patients, valid_patients, test_patients, size, ..Default::default() };
    config.validate().or_bad_argument()?;
    let summary = write(&config, &arguments.out)?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&summary)?);
        return Ok(());
    }
    println!("{}", summary.root.display());
    for (name, part) in [("train", &summary.train), ("valid", &summary.valid), ("test", &summary.test)] {
        println!("  {name}: {} images of {} patients", part.images, part.patients);
    }
    Ok(())
}
