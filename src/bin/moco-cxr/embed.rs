//! `moco-cxr embed`.

use std::path::PathBuf;

use clap::Args;
use moco_cxr::{Existing, RunFolder, Study};
use serde_json::json;

use crate::{
    Fault,
    flags::{images::ImageArguments, output::print_json},
    terminal::print::outln,
    terminal::watch::Terminal,
};

/// Write the features of images for other tools: features.npy, [N, D] in f32, and index.csv, with one line per row.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  moco-cxr embed --weights runs/first --data radiographs --out features")]
pub(crate) struct Arguments {
    #[command(flatten)]
    images: ImageArguments,
    /// New or empty folder; it appears whole or not at all.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Fault> {
    arguments.images.guarded(|| work(arguments))
}

fn work(arguments: &Arguments) -> Result<(), Fault> {
    let Arguments { images, out } = arguments;
    RunFolder::check(out, Existing::Refuse)?;
    let sources = images.sources()?;
    let watch = Terminal::new(images.output.quiet());
    let embedding = Study::embed(&sources, images.part, &images.weights()?, &watch)?;
    embedding.write(out)?;
    let [rows, columns] = [embedding.values().nrows(), embedding.values().ncols()];
    if images.output.json() {
        print_json(&json!({ "out": out, "rows": rows, "columns": columns, "weights": embedding.weights() }))?;
    } else if !images.output.quiet() {
        outln!("{}: {rows} x {columns}", out.join("features.npy").display())?;
    }
    Ok(())
}
