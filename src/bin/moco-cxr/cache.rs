//! `moco-cxr cache`.

use std::path::PathBuf;

use clap::Args;
use moco_cxr::build_cache;

use crate::{Fault, bad_argument::BadArgument, data_settings::DataArguments};

/// Write decoded, resized images to one memory-mapped file, from which `pretrain --cache` takes them.
///
/// A cache that exists is completed: images that are new or have changed are decoded, all others stay.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  moco-cxr cache --data CheXpert-v1.0-small --preset moco-cxr --cache cache\n  moco-cxr cache --data CheXpert-v1.0-small --preset moco-cxr --cache cache --verify"
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    data: DataArguments,
    /// Folder of the cache; several sets and sizes may share one.
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Read every entry, and decode again what does not fit its checksum.
    #[arg(long)]
    verify: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Fault> {
    let mut settings = arguments.data.settings()?;
    if let Some(cache) = &arguments.cache {
        settings.data.cache = cache.clone();
    }
    if settings.data.cache.as_os_str().is_empty() {
        return Err(BadArgument::fault(
            "no cache: found neither --cache nor data.cache in --config, expected a folder",
        ));
    }
    let report = build_cache(&settings, arguments.verify, &mut |text| arguments.data.note(text))?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        println!("{}: {report}", settings.data.cache.display());
    }
    Ok(())
}
