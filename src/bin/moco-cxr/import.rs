//! `moco-cxr import`.

use std::path::PathBuf;

use clap::Args;
use moco_cxr::{
    DeviceChoice, Error, ImportSettings,
    backbones::{self, Arch, Fate, Report},
    import_weights,
};
use serde_json::{Value, json};

use crate::{Fault, fetch::fetch};

/// Turn a weight file of PyTorch or safetensors into an export folder; every tensor must be accounted for.
///
/// Prints what became of every tensor: taken, dropped because named, missing, left over. The classifier or projection
/// head is dropped, unless --label says what its scores mean; of a MoCo checkpoint the query encoder is taken.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  moco-cxr import r8w-00001.pth.tar --out weights/r8w-00001\n  \
                  moco-cxr import finetuned.pth --label Edema --label Cardiomegaly --onnx --out weights/finetuned")]
pub(crate) struct Arguments {
    /// A weight file; or imagenet (with --arch), or moco-cxr:NAME.
    #[arg(value_name = "FILE")]
    file: String,
    /// resnet18, resnet34, resnet50 or densenet121. [default: recognised by the tensors]
    #[arg(long, short)]
    arch: Option<Arch>,
    /// Beginnings of names of tensors that are not wanted.
    #[arg(long, value_name = "NAME", num_args = 1..)]
    drop: Vec<String>,
    /// Beginnings of names of tensors that may be missing, and are then as in a new network.
    #[arg(long, value_name = "NAME", num_args = 1..)]
    allow_missing: Vec<String>,
    /// Keep the classifier, whose next score means this; once for each score, in their order.
    #[arg(long = "label", value_name = "NAME")]
    labels: Vec<String>,
    /// Also write model.onnx.
    #[arg(long)]
    onnx: bool,
    /// New folder for the weights and their description.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Print JSON, every tensor included.
    #[arg(long)]
    json: bool,
    /// The summary only.
    #[arg(long, short)]
    quiet: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Fault> {
    let Arguments { file, arch, drop, allow_missing, labels, onnx, out, json, quiet } = arguments;
    fetch(file, *arch, *quiet)?;
    let settings = ImportSettings {
        source: file.clone(),
        arch: *arch,
        drop: drop.clone(),
        allow_missing: allow_missing.clone(),
        labels: labels.clone(),
        onnx: *onnx,
    };
    let (report, failed) = match import_weights(&settings, out, &DeviceChoice::CPU.select()?) {
        Ok(report) => (report, None),
        // All of it is wanted most when something does not fit.
        Err(Error::Backbone(backbones::Error::Import(report))) => {
            (*report.clone(), Some(Error::Backbone(backbones::Error::Import(report))))
        }
        Err(error) => return Err(error.into()),
    };
    if *json {
        println!("{:#}", as_json(&report, failed.is_none().then_some(out)));
    } else if !quiet {
        println!("{report:#}");
    } else if failed.is_none() {
        println!("{report}");
    }
    if let Some(error) = failed {
        return Err(error.into());
    }
    if !json {
        println!("weights: {}", out.display());
    }
    Ok(())
}

/// `out` is null where the file does not fit.
fn as_json(report: &Report, out: Option<&PathBuf>) -> Value {
    let tensor = |(name, fate): &(String, Fate)| match fate {
        Fate::Taken(as_name) => json!({ "name": name, "fate": "taken", "as": as_name }),
        Fate::Dropped(by) => json!({ "name": name, "fate": "dropped", "named": by }),
        Fate::Misshapen { name: as_name, found, expected } => {
            json!({ "name": name, "fate": "misshapen", "as": as_name, "found": found, "expected": expected })
        }
        _ => json!({ "name": name, "fate": "left over" }),
    };
    json!({
        "out": out,
        "file": report.path,
        "format": report.format.to_string(),
        "prefix": report.prefix,
        "taken": report.taken(),
        "tensors": report.tensors.iter().map(tensor).collect::<Vec<_>>(),
        "missing": report.missing,
        "allowed_missing": report.allowed_missing,
    })
}
