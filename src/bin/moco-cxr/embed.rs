//! `moco-cxr embed`.

use std::path::{Path, PathBuf};

use clap::Args;
use moco_cxr::{Study, files::Claim, study::Embedding};
use serde_json::json;

use crate::{
    Fault,
    flags::{
        images::{ImageArguments, PartArguments},
        new_name::new_name,
        output::print_json,
        shard::{ShardArguments, record_shard, write_shard},
    },
    terminal::print::outln,
    terminal::watch::Terminal,
};

/// Write the features of images for other tools: features.npy, [N, D] in f32, and index.csv, with one line per row.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  moco-cxr embed --weights runs/first --data radiographs --out features\n  moco-cxr embed --weights runs/first --data radiographs --part test --dense --out dense"
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    images: ImageArguments,
    #[command(flatten)]
    part: PartArguments,
    /// New or empty folder; it appears whole or not at all.
    #[arg(long, value_name = "DIR", value_parser = new_name())]
    out: PathBuf,
    /// Write features_dense.npy, too: the features before pooling, [N, D, h, w] in f32, whose mean over h and w is
    /// features.npy. h and w are a 32nd of an image's side: at 320 px 0.2 MB an image for a ResNet18 and 0.8 MB for a
    /// ResNet50, 20 and 82 GB for 100,000 images. The size is said before the network runs.
    #[arg(long)]
    dense: bool,
    #[command(flatten)]
    shard: ShardArguments,
}

impl Arguments {
    /// Whether only a part of the images is meant.
    pub(crate) fn is_shard(&self) -> bool {
        self.shard.shard.is_some()
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Fault> {
    arguments.images.guarded(|| work(arguments))
}

fn work(arguments: &Arguments) -> Result<(), Fault> {
    let Arguments { images, part: PartArguments { part }, out, dense, shard: ShardArguments { shard } } = arguments;
    let mut sources = images.sources()?;
    let _claim = Claim::folder(out)?;
    sources.reading.shard = *shard;
    let watch = Terminal::new(images.output.quiet());
    let weights = images.weights()?;
    let embedding = match (dense, shard) {
        (true, _) => {
            let record = |embedding: &Embedding, folder: &Path| match shard {
                Some(shard) => record_shard("embed", *shard, embedding.place(), folder),
                None => Ok(()),
            };
            Study::embed_dense_with(&sources, *part, &weights, out, record, &watch)?
        }
        (false, None) => {
            let embedding = Study::embed(&sources, *part, &weights, &watch)?;
            embedding.write(out)?;
            embedding
        }
        (false, Some(shard)) => {
            let embedding = Study::embed(&sources, *part, &weights, &watch)?;
            write_shard("embed", *shard, embedding.place(), out, |folder| Ok(embedding.write_into(folder)?))?;
            embedding
        }
    };
    let [rows, columns] = [embedding.values().nrows(), embedding.values().ncols()];
    if images.output.json() {
        let mut about = json!({ "out": out, "rows": rows, "columns": columns, "weights": embedding.weights() });
        if let Some(shape) = embedding.dense() {
            about["dense"] = json!(shape);
        }
        print_json(&about)?;
    } else if !images.output.quiet() {
        outln!("{}: {rows} x {columns}", out.join("features.npy").display())?;
        if let Some([n, d, h, w]) = embedding.dense() {
            outln!("{}: {n} x {d} x {h} x {w}", out.join("features_dense.npy").display())?;
        }
    }
    Ok(())
}
