//! `moco-cxr cache`.

use std::path::PathBuf;

use clap::Args;
use moco_cxr::pretrain::build_cache;

use crate::{
    Fault,
    flags::{
        bad_argument::BadArgument,
        output::{OutputArguments, print_json},
        settings::{SettingsArguments, set},
    },
    terminal::print::outln,
    terminal::watch::Terminal,
};

/// Decode and resize images into one memory-mapped file, from which `pretrain --cache` reads them.
///
/// An existing cache is updated: new and changed images are decoded, all others are kept.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  moco-cxr cache --data CheXpert-v1.0-small --preset moco-cxr --cache cache\n  moco-cxr cache --data CheXpert-v1.0-small --preset moco-cxr --cache cache --verify"
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    settings: SettingsArguments,
    /// Folder of the cache; several data sets and image sizes can share one.
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Read every entry, and decode again those that do not match their checksum.
    #[arg(long)]
    verify: bool,
    #[command(flatten)]
    output: OutputArguments,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Fault> {
    let Arguments { cache, verify, output, .. } = arguments;
    let settings = arguments.settings.resolve(None, |settings| set(&mut settings.data.cache, cache.clone()))?;
    if settings.data.cache.as_os_str().is_empty() {
        return Err(BadArgument::found("--cache", "neither --cache nor data.cache in --config", "a folder"));
    }
    let report = build_cache(&settings, *verify, &Terminal::new(output.quiet()))?;
    if output.json() {
        print_json(&report)?;
    } else {
        outln!("{}: {report}", settings.data.cache.display())?;
    }
    Ok(())
}
