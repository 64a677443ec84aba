//! `moco-cxr preview`.

use std::path::PathBuf;

use clap::Args;
use moco_cxr::{cxr_data::preview::pairs, files::Claim, pretrain::preview};

use crate::{
    Fault,
    flags::{
        bad_argument::BadArgument,
        new_name::new_name,
        output::QuietArguments,
        seed::SeedArguments,
        settings::{SettingsArguments, set},
        source::outside_images,
    },
    terminal::print::outln,
    terminal::watch::Terminal,
};

/// Write a contact sheet of the views that a pretraining with the same settings sees, pixel for pixel.
///
/// The key view is to the right of its query view.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  moco-cxr preview --data CheXpert-v1.0-small --preset small --set views.flip=0 --out views.png\n  moco-cxr preview --config runs/first/config.toml --epoch 3 --batch 7 --out views.png"
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    settings: SettingsArguments,
    #[command(flatten)]
    seed: SeedArguments,
    /// Epoch, counted from 0.
    #[arg(long, default_value_t = 0)]
    epoch: u64,
    /// Batch of the epoch, counted from 0.
    #[arg(long, default_value_t = 0)]
    batch: usize,
    /// Pairs per row of the sheet.
    #[arg(long, default_value_t = 4)]
    per_row: usize,
    /// PNG file to write; must not exist.
    #[arg(long, value_name = "FILE", value_parser = new_name())]
    out: PathBuf,
    #[command(flatten)]
    output: QuietArguments,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Fault> {
    if arguments.per_row == 0 {
        return Err(BadArgument::found("--per-row", 0, "at least 1"));
    }
    let Arguments { out, output, .. } = arguments;
    let settings = arguments.settings.resolve(None, |settings| set(&mut settings.train.seed, arguments.seed.seed))?;
    outside_images(out, &settings.data.dir)?;
    let _claim = Claim::file(out)?;
    let batch = preview(&settings, arguments.epoch, arguments.batch, &Terminal::new(output.quiet))?;
    pairs(&batch, arguments.per_row)?.write_png(out)?;
    if !output.quiet {
        let (n, side, _) = batch.query.dim();
        outln!("{}: {n} pairs of views of {side} x {side} pixels", out.display())?;
    }
    Ok(())
}
