//! `moco-cxr inspect`.

use std::path::PathBuf;

use clap::Args;
use moco_cxr::backbones::inspect;

use crate::Fault;

/// List the tensors of a weight file and what it looks like; nothing in the file is executed.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  moco-cxr inspect resnet18-5c106cde.pth")]
pub(crate) struct Arguments {
    /// A PyTorch file (zip, legacy or tar form) or a safetensors file.
    file: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Fault> {
    print!("{}", inspect(&arguments.file)?);
    Ok(())
}
