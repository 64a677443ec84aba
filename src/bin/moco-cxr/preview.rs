//! `moco-cxr preview`.

use std::path::PathBuf;

use clap::Args;
use moco_cxr::{cxr_data::preview::pairs, preview};

use crate::{Fault, bad_argument::BadArgument, data_settings::DataArguments};

/// Write a contact sheet of the views that a pretraining with the same settings sees, byte for byte.
///
/// Each query view has its key view to the right.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  moco-cxr preview --data CheXpert-v1.0-small --preset small --set views.flip=0 --out views.png\n  moco-cxr preview --config runs/first/config.toml --epoch 3 --batch 7 --out views.png"
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    data: DataArguments,
    /// Seed of everything.
    #[arg(long)]
    seed: Option<u64>,
    /// Epoch, from 0.
    #[arg(long, default_value_t = 0)]
    epoch: u64,
    /// Batch of the epoch, from 0.
    #[arg(long, default_value_t = 0)]
    batch: usize,
    /// Pairs in a row of the sheet.
    #[arg(long, default_value_t = 4)]
    columns: usize,
    /// PNG file to write; must not exist.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Fault> {
    if arguments.columns == 0 {
        return Err(BadArgument::fault("--columns: found 0, expected at least 1"));
    }
    let out = &arguments.out;
    if out.exists() {
        return Err(format!("{}: already exists; expected the name of a new file", out.display()).into());
    }
    let mut settings = arguments.data.settings()?;
    settings.train.seed = arguments.seed.unwrap_or(settings.train.seed);
    let batch = preview(&settings, arguments.epoch, arguments.batch, &mut |text| arguments.data.note(text))?;
    pairs(&batch, arguments.columns)?.write_png(out)?;
    if !arguments.data.quiet {
        let (n, side, _) = batch.query.dim();
        println!("{}: {n} pairs of views of {side} x {side} pixels", out.display());
    }
    Ok(())
}
