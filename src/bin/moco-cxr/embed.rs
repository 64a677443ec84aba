//! `moco-cxr embed`.

use std::path::PathBuf;

use clap::Args;
use moco_cxr::{Existing, RunFolder, embed};
use serde_json::json;

use crate::{Fault, unlabelled::UnlabelledArguments};

/// Write the features of images for other tools: features.npy, [N, D] in f32, and index.csv, a line a row.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  moco-cxr embed --weights runs/first --data radiographs --out features")]
pub(crate) struct Arguments {
    #[command(flatten)]
    images: UnlabelledArguments,
    /// New or empty folder; it appears whole or not at all.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Fault> {
    let shared = &arguments.images;
    shared.device.guarded(shared.quiet, || work(arguments))
}

fn work(arguments: &Arguments) -> Result<(), Fault> {
    let Arguments { images, out } = arguments;
    RunFolder::check(out, Existing::Refuse)?;
    let loaded = images.weights()?;
    let settings = images.settings(&[]);
    let part = images.images(&settings)?;
    let features = embed(&loaded, &part, &settings, out)?;
    let [rows, columns] = [features.nrows(), features.ncols()];
    if images.json {
        println!("{:#}", json!({ "out": out, "rows": rows, "columns": columns, "weights": loaded.provenance }));
    } else if !images.quiet {
        println!("{}: {rows} x {columns}", out.join("features.npy").display());
    }
    Ok(())
}
