//! `moco-cxr export`.

use std::path::PathBuf;

use clap::Args;
use moco_cxr::{DeviceChoice, backbones::Arch, export_weights, load_weights};
use serde_json::json;

use crate::{Fault, fetch::fetch};

/// Write weights for other tools: safetensors with torchvision's names, configuration, model card, and ONNX.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  moco-cxr export runs/first --onnx --out exported")]
pub(crate) struct Arguments {
    /// Folder of a pretraining run or of an export, a weight file, moco-cxr:NAME, or imagenet or random (with --arch).
    #[arg(value_name = "WEIGHTS")]
    weights: String,
    /// resnet18, resnet34, resnet50 or densenet121. [default: recognised by the tensors]
    #[arg(long, short)]
    arch: Option<Arch>,
    /// Also write model.onnx: input pixel_values [batch, channels, height, width], normalised as
    /// preprocessor_config.json says; outputs features and, of a classifier, logits.
    #[arg(long)]
    onnx: bool,
    /// Seed of random weights.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// New folder.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// No notes.
    #[arg(long, short)]
    quiet: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Fault> {
    let Arguments { weights, arch, onnx, seed, out, json, quiet } = arguments;
    fetch(weights, *arch, *quiet)?;
    let loaded = load_weights(weights, *arch, *seed, &DeviceChoice::CPU.select()?)?;
    if !quiet {
        loaded.notes.iter().for_each(|note| eprintln!("note: {note}"));
    }
    let files = export_weights(&loaded, out, *onnx)?;
    if *json {
        let result = json!({
            "out": out,
            "arch": loaded.config.arch.name(),
            "labels": loaded.labels,
            "weights": loaded.provenance,
            "files": files,
        });
        println!("{result:#}");
    } else {
        files.iter().for_each(|path| println!("{}", path.display()));
    }
    Ok(())
}
