//! Imports a PyTorch checkpoint: lists the tensors in the file, reports what was done with each, and computes features.
//!
//!     cargo run --release --example import_pytorch [-- resnet18-f37072fd.pth]
//!
//! Reads files of `torch.save` (zip, legacy and tar format), torchvision's files, checkpoints of MoCo and MoCo-CXR, and
//! safetensors. No code in a file is executed. Without an argument, a file with torchvision's tensor names is written first.

#![allow(clippy::print_stdout)]

use std::{error::Error, path::PathBuf};

use moco_cxr::{
    backbones::{ImportOptions, WeightFile, import, inspect, safetensors_bytes, state_dict},
    prelude::*,
};

fn main() -> Result<(), Box<dyn Error>> {
    let device = DeviceChoice::Auto.select()?;
    let path = match std::env::args().nth(1) {
        Some(path) => PathBuf::from(path),
        None => stand_in(&device)?,
    };

    // Names and shapes only; `moco-cxr inspect FILE` prints the same.
    let found = inspect(&path)?;
    println!("{}: {}, {} tensors: {}", path.display(), found.format, found.tensors.len(), found.looks_like);
    let arch = found.arch.ok_or("no known architecture in the file, expected one of `Arch::ALL`")?;

    // Strict: a tensor that is missing, left over or of another shape is an error that names it. Everything else in a
    // checkpoint (classifier, key encoder, queue, optimiser) is dropped by name.
    let network = NetworkConfig::new(arch).init(0, &device);
    let (mut network, report) = import(&WeightFile::open(&path)?, network, &ImportOptions::backbone(arch))?;
    println!("{report}");

    // Grey values in [0, 1]; the network normalises them, and adapts a three-channel first layer to one channel.
    let images = Tensor::<4>::from_data([[[[0.5_f32; 64]; 64]]; 2], &device);
    let features = network.features(images, Mode::Eval);
    let first: Vec<f32> = features.clone().slice([0..1, 0..4]).into_data().try_to_vec()?;
    println!("features {:?}, the first values {first:.3?}", features.dims());
    Ok(())
}

fn stand_in(device: &Device) -> Result<PathBuf, Box<dyn Error>> {
    let path = std::env::temp_dir().join(format!("moco-cxr-stand-in-{}.safetensors", std::process::id()));
    let network = NetworkConfig::new(Arch::ResNet18).init(1, device);
    std::fs::write(&path, safetensors_bytes(&state_dict(&network)?, 0)?)?;
    println!("no file given; wrote random weights with torchvision's names to {}", path.display());
    Ok(path)
}
