//! `moco-cxr synth`.

use std::path::PathBuf;

use clap::Args;
use moco_cxr::{
    cxr_data::{synth::SynthConfig, synth::write},
    files::Claim,
};

use crate::{
    Fault,
    flags::{
        bad_argument::OrBadArgument,
        new_name::new_name,
        output::{JsonArguments, print_json},
        seed::SeedArguments,
    },
    terminal::print::outln,
};

/// Write a synthetic chest X-ray data set in the layout of CheXpert.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  moco-cxr synth --out synth --train-patients 500 --size 96 --seed 1")]
pub(crate) struct Arguments {
    /// New or empty folder for the data set.
    #[arg(long, value_name = "DIR", value_parser = new_name())]
    out: PathBuf,
    /// Patients in the train part (one to three images each).
    #[arg(long, default_value_t = SynthConfig::default().train_patients)]
    train_patients: u32,
    /// Patients in the valid part.
    #[arg(long, default_value_t = SynthConfig::default().valid_patients)]
    valid_patients: u32,
    /// Patients in the test part.
    #[arg(long, default_value_t = SynthConfig::default().test_patients)]
    test_patients: u32,
    /// Image side in pixels.
    #[arg(long, value_name = "PX", default_value_t = SynthConfig::default().size)]
    size: u32,
    #[command(flatten)]
    seed: SeedArguments,
    #[command(flatten)]
    output: JsonArguments,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Fault> {
    let &Arguments { train_patients, valid_patients, test_patients, size, .. } = arguments;
    let config = SynthConfig {
        seed: arguments.seed.seed(),
        train_patients,
        valid_patients,
        test_patients,
        size,
        ..Default::default()
    };
    config.validate().or_bad_argument()?;
    let _claim = Claim::name(&arguments.out)?;
    let summary = write(&config, &arguments.out)?;
    if arguments.output.json {
        return print_json(&summary);
    }
    outln!("{}", summary.root.display())?;
    for (name, part) in [("train", &summary.train), ("valid", &summary.valid), ("test", &summary.test)] {
        outln!("  {name}: {} images of {} patients", part.images, part.patients)?;
    }
    Ok(())
}
