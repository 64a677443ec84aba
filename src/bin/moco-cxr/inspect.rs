//! `moco-cxr inspect`.

use std::path::PathBuf;

use clap::Args;
use moco_cxr::backbones::{TensorFault, WeightFile, printable};
use serde_json::json;

use crate::{
    Fault,
    flags::output::{JsonArguments, print_json},
    terminal::print::{out, outln},
};

/// List the tensors of a weight file and what kind of network they look like; nothing in the file is executed.
///
/// Numbers that are not finite are listed with their tensors. If the network itself has such, the exit status is 1.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  moco-cxr inspect resnet18-5c106cde.pth")]
pub(crate) struct Arguments {
    /// A PyTorch file (zip, legacy or tar format) or a safetensors file.
    file: PathBuf,
    #[command(flatten)]
    output: JsonArguments,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Fault> {
    let file = WeightFile::open(&arguments.file)?;
    let (found, faults) = (file.inspect(), file.faults());
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
            "networks": found.networks.iter().map(|n| json!({ "prefix": n.prefix, "arch": n.arch, "classes": n.classes })).collect::<Vec<_>>(),
            "not_finite": faults.iter().map(|f| json!({ "name": f.name, "fault": f.fault })).collect::<Vec<_>>(),
            "not_read": found.objects.iter().map(|(name, class)| json!({ "name": name, "class": class })).collect::<Vec<_>>(),
            "tensors": tensors,
            "scalars": scalars,
        }))?;
    } else {
        out!("{found}")?;
        for TensorFault { name, fault, .. } in &faults {
            outln!("not finite, or a variance below 0: {}: {fault}", printable(name))?;
        }
    }
    let of_network: Vec<String> =
        faults.iter().filter(|f| f.in_network).map(|f| format!("{}: {}", printable(&f.name), f.fault)).collect();
    if of_network.is_empty() {
        return Ok(());
    }
    Err(moco_cxr::backbones::Error::NotFinite { path: arguments.file.clone(), found: of_network }.into())
}
