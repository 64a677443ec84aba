//! `moco-cxr merge`.

use std::path::PathBuf;

use clap::Args;
use moco_cxr::{
    files::Claim,
    shards::{merge, together},
};
use serde_json::json;

use crate::{
    Fault, audit,
    flags::{
        bad_argument::BadArgument,
        new_name::new_name,
        output::{OutputArguments, print_json},
    },
    terminal::print::outln,
};

/// Put the shards of a command together: what one run without --shard would have written, byte for byte.
///
/// All shards must be there, unchanged, and of the same command line, version and data. Of an audit the report is printed.
#[derive(Debug, Args)]
#[command(
    after_help = "A folder is what a command with a shard, such as 3/4, was told to write.\n\nExample:\n  moco-cxr merge parts/1 parts/2 parts/3 parts/4 --out features"
)]
pub(crate) struct Arguments {
    /// Folders of all shards, in any order.
    #[arg(required = true, value_name = "FOLDER")]
    shards: Vec<PathBuf>,
    /// What the command without --shard would write: a new or empty folder for embed and cache, a new CSV file for predict. Not
    /// for an audit.
    #[arg(long, value_name = "OUT", value_parser = new_name())]
    out: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArguments,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Fault> {
    let Arguments { shards, out, output } = arguments;
    let shards = together(shards)?;
    let (command, rows) = (&shards.first.command, shards.first.of);
    if command == "audit" {
        return audit::run_recorded(&shards, output.json());
    }
    let Some(out) = out else {
        return Err(BadArgument::found("--out", "nothing", format!("what {command} without --shard would write")));
    };
    let _claim = if command == "predict" { Claim::file(out) } else { Claim::folder(out) }?;
    merge(&shards, out)?;
    if output.json() {
        print_json(&json!({ "out": out, "command": command, "shards": shards.folders.len(), "rows": rows }))?;
    } else if !output.quiet() {
        outln!("{}: {rows} rows of {} shards of {command}", out.display(), shards.folders.len())?;
    }
    Ok(())
}
