//! `moco-cxr cache`.

use std::path::PathBuf;

use clap::Args;
use moco_cxr::{
    files::{Claim, NewFolder},
    pretrain::{build_cache, build_cache_shard},
    shards::Shard,
};

use crate::{
    Fault,
    flags::{
        bad_argument::BadArgument,
        new_name::new_name,
        output::{OutputArguments, print_json},
        settings::{SettingsArguments, set},
        shard::{ShardArguments, record_shard},
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
    #[arg(long, value_name = "DIR", value_parser = new_name())]
    cache: Option<PathBuf>,
    /// Read every entry, and decode again those that do not match their checksum.
    #[arg(long)]
    verify: bool,
    #[command(flatten)]
    shard: ShardArguments,
    /// With --shard: new or empty folder for this part, instead of --cache.
    #[arg(long, value_name = "DIR", requires = "shard", conflicts_with_all = ["cache", "verify"], value_parser = new_name())]
    out: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArguments,
}

impl Arguments {
    /// Whether only a part of the images is meant.
    pub(crate) fn is_shard(&self) -> bool {
        self.shard.shard.is_some()
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Fault> {
    if let Some(shard) = arguments.shard.shard {
        return run_shard(arguments, shard);
    }
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

/// A cache of a part of the images, in a folder of its own.
fn run_shard(arguments: &Arguments, shard: Shard) -> Result<(), Fault> {
    let Some(out) = &arguments.out else {
        return Err(BadArgument::found("--out", "nothing", "a new or empty folder for this shard"));
    };
    let settings = arguments.settings.resolve(None, |_| ())?;
    let _claim = Claim::folder(out)?;
    let folder = NewFolder::begin(out)?;
    let watch = Terminal::new(arguments.output.quiet());
    let (report, place) = build_cache_shard(&settings, shard, folder.path(), &watch)?;
    record_shard("cache", shard, place, folder.path())?;
    folder.finish()?;
    if arguments.output.json() {
        print_json(&report)?;
    } else {
        outln!("{}: {report}", out.display())?;
    }
    Ok(())
}
