//! `moco-cxr export`.

use std::path::PathBuf;

use clap::Args;
use moco_cxr::{DeviceChoice, Weights, files::Claim, weights::export_weights};
use serde_json::json;

use crate::{
    Fault,
    flags::{
        new_name::new_name,
        output::{OutputArguments, print_json},
        private::PrivateArguments,
        seed::SeedArguments,
        weights::{ArchArguments, PreprocessingArguments},
    },
    terminal::{fetch::fetch, print::outln, watch::Terminal},
};

/// Export weights for other tools: safetensors with torchvision's names, configuration, model card, and ONNX on request.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  moco-cxr export runs/first --onnx --out exported")]
pub(crate) struct Arguments {
    /// Weights: the folder of a run or an export, a weight file, moco-cxr:NAME or, with --arch, imagenet or random.
    #[arg(value_name = "WEIGHTS")]
    weights: String,
    #[command(flatten)]
    arch: ArchArguments,
    #[command(flatten)]
    preprocessing: PreprocessingArguments,
    /// Also write model.onnx, with input pixel_values [batch, channels, height, width], normalised as
    /// preprocessor_config.json says, and outputs features and, for a classifier, logits.
    #[arg(long)]
    onnx: bool,
    #[command(flatten)]
    private: PrivateArguments,
    #[command(flatten)]
    seed: SeedArguments,
    /// New folder for the export.
    #[arg(long, value_name = "DIR", value_parser = new_name())]
    out: PathBuf,
    #[command(flatten)]
    output: OutputArguments,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Fault> {
    let Arguments { weights, arch, preprocessing, onnx, private, seed, out, output } = arguments;
    preprocessing.check()?;
    let _claim = Claim::name(out)?;
    fetch(weights, arch.arch, output.quiet())?;
    let mut request = Weights::new(weights);
    (request.arch, request.seed, request.device) = (arch.arch, seed.seed(), DeviceChoice::CPU);
    preprocessing.apply(&mut request);
    let mut loaded = request.load(&Terminal::new(output.quiet()))?;
    loaded.private = private.private;
    let files = export_weights(&loaded, out, *onnx)?;
    if output.json() {
        print_json(&json!({
            "out": out,
            "arch": loaded.config.arch.name(),
            "labels": loaded.labels,
            "weights": loaded.provenance,
            "files": files,
        }))?;
    } else {
        for path in &files {
            outln!("{}", path.display())?;
        }
    }
    Ok(())
}
