//! `moco-cxr import`.

use std::path::PathBuf;

use clap::Args;
use moco_cxr::{
    DeviceChoice, Error,
    backbones::{self, Fate, Report},
    files::Claim,
    weights::{ImportSettings, Imported, import_weights},
};
use serde_json::{Value, json};

use crate::{
    Fault,
    flags::{
        new_name::new_name,
        output::{OutputArguments, print_json},
        weights::{ArchArguments, PreprocessingArguments},
    },
    terminal::fetch::fetch,
    terminal::print::outln,
};

/// Convert a PyTorch or safetensors weight file into an export folder; every tensor must be accounted for.
///
/// Prints what happened to every tensor: taken, outside of the network, dropped, missing or left over; with --quiet, only a
/// summary. The network is found under any prefix; of a network and its average (MoCo's query and key encoder, a student and
/// its teacher) the one that was trained is taken, unless --prefix or --dictionary says another. The classifier or projection
/// head is dropped, unless --label names its outputs.
///
/// What the images of the network are like is taken from --image-size, --mean and --std, else from a configuration beside the
/// file (preprocessor_config.json, or timm's config.json and args.yaml, or lightly's), and else assumed and written down as
/// an assumption.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  moco-cxr import r8w-00001.pth.tar --out weights/r8w-00001\n  \
                  moco-cxr import timm.pth.tar --dictionary state_dict_ema --image-size 224 --mean 0.485,0.456,0.406 \
                  --std 0.229,0.224,0.225 --out weights/timm\n  \
                  moco-cxr import finetuned.pth --label Edema --label Cardiomegaly --onnx --out weights/finetuned")]
pub(crate) struct Arguments {
    /// Weight file, moco-cxr:NAME or, with --arch, imagenet.
    #[arg(value_name = "FILE")]
    file: String,
    #[command(flatten)]
    arch: ArchArguments,
    /// What stands before the names of the network's tensors, or the last parts of it (encoder_k). [default: wherever the
    /// whole network is found; of several the one that was trained, not its average]
    #[arg(long, value_name = "PREFIX")]
    prefix: Option<String>,
    /// Dictionary of the file in which the network lies, such as state_dict_ema. [default: any]
    #[arg(long, value_name = "KEY")]
    dictionary: Option<String>,
    #[command(flatten)]
    preprocessing: PreprocessingArguments,
    /// Drop the tensors whose names begin with any of these.
    #[arg(long, value_name = "NAME", num_args = 1..)]
    drop: Vec<String>,
    /// Allow tensors whose names begin with any of these to be missing; they are initialised as in a new network.
    #[arg(long, value_name = "NAME", num_args = 1..)]
    allow_missing: Vec<String>,
    /// Keep the classifier and name its outputs: once per output, in order.
    #[arg(long = "label", value_name = "NAME")]
    labels: Vec<String>,
    /// Also write model.onnx.
    #[arg(long)]
    onnx: bool,
    /// New folder for the weights and their description.
    #[arg(long, value_name = "DIR", value_parser = new_name())]
    out: PathBuf,
    #[command(flatten)]
    output: OutputArguments,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Fault> {
    let Arguments { file, arch, prefix, dictionary, preprocessing, drop, allow_missing, labels, onnx, out, output } =
        arguments;
    preprocessing.check()?;
    let _claim = Claim::name(out)?;
    fetch(file, arch.arch, output.quiet())?;
    let settings = ImportSettings {
        source: file.clone(),
        arch: arch.arch,
        prefix: prefix.clone(),
        dictionary: dictionary.clone(),
        image_size: preprocessing.image_size,
        mean: preprocessing.mean.map(|mean| mean.0),
        std: preprocessing.std.map(|std| std.0),
        drop: drop.clone(),
        allow_missing: allow_missing.clone(),
        labels: labels.clone(),
        onnx: *onnx,
    };
    let (report, failed) = match import_weights(&settings, out, &DeviceChoice::CPU.select()?) {
        Ok(Imported { report, notes, .. }) => {
            notes.iter().for_each(|text| output.note(text));
            (report, None)
        }
        // The report is printed also if the file does not fit, which is when it is needed most.
        Err(error) => match &error {
            Error::Weights { fault: backbones::Error::Import(report), .. } => ((**report).clone(), Some(error)),
            _ => return Err(error.into()),
        },
    };
    if output.json() {
        print_json(&as_json(&report, failed.is_none().then_some(out)))?;
    } else if !output.quiet() {
        outln!("{report:#}")?;
    } else if failed.is_none() {
        outln!("{report}")?;
    }
    if let Some(error) = failed {
        return Err(error.into());
    }
    if !output.json() {
        outln!("weights: {}", out.display())?;
    }
    Ok(())
}

/// The report as JSON; `out` is null if the file does not fit.
fn as_json(report: &Report, out: Option<&PathBuf>) -> Value {
    let tensor = |(name, fate): &(String, Fate)| match fate {
        Fate::Taken(as_name) => json!({ "name": name, "fate": "taken", "as": as_name }),
        Fate::Dropped(by) => json!({ "name": name, "fate": "dropped", "named": by }),
        Fate::Outside(module) => json!({ "name": name, "fate": "outside", "of": module }),
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
        "others": report.others.iter().map(|other| json!({ "prefix": other.prefix, "same": other.same })).collect::<Vec<_>>(),
        "taken": report.taken(),
        "tensors": report.tensors.iter().map(tensor).collect::<Vec<_>>(),
        "missing": report.missing,
        "allowed_missing": report.allowed_missing,
    })
}
