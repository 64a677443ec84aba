//! `moco-cxr inspect`.

use std::path::PathBuf;

use clap::Args;
use moco_cxr::backbones::inspect;
use serde_json::json;

use crate::{
    Fault,
    flags::output::{JsonArguments, print_json},
    terminal::print::out,
};

/// List the tensors of a weight file and what kind of network they look like; nothing in the file is executed.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  moco-cxr inspect resnet18-5c106cde.pth")]
pub(crate) struct Arguments {
    /// A PyTorch file (zip, legacy or tar format) or a safetensors file.
    file: PathBuf,
    #[command(flatten)]
    output: JsonArguments,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Fault> {
    let found = inspect(&arguments.file)?;
    if arguments.output.json {
        let tensors: Vec<_> = found
            .tensors
            .iter()
            .map(|(name, dtype, shape)| json!({ "name": name, "dtype": dtype.to_string(), "shape": shape }))
            .collect();
        let scalars: Vec<_> =
            found.scalars.iter().map(|(name, value)| json!({ "name": name, "value": value.to_string() })).collect();
        print_json(&json!({
            "path": found.path,
            "format": found.format.to_string(),
            "looks_like": found.looks_like,
            "arch": found.arch,
            "tensors": tensors,
            "scalars": scalars,
        }))?;
    } else {
        out!("{found}")?;
    }
    Ok(())
}
