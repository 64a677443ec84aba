//! A PyTorch checkpoint into a network: what the file holds, what became of each tensor, and features from it.
//!
//!     cargo run --release --example import_pytorch [-- resnet18-f37072fd.pth]
//!
//! Takes what `torch.save` writes (zip, legacy and tar form), torchvision's files, checkpoints of MoCo and MoCo-CXR, and
//! safetensors. Nothing in a file is executed. Without an argument a file with torchvision's names is written first, so
//! that there is one to read.

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

    // Names and shapes alone; `moco-cxr inspect FILE` prints the same.
    let found = inspect(&path)?;
    println!("{}: {}, {} tensors: {}", path.display(), found.format, found.tensors.len(), found.looks_like);
    let arch = found.arch.ok_or("found no architecture of this project in it, expected one of `Arch::ALL`")?;

    // Strict: a tensor that is missing, left over or of another shape is an error that names it. What a checkpoint holds
    // beside the backbone (classifier, key encoder, queue, optimiser) is dropped by name.
    let network = NetworkConfig::new(arch).init(0, &device);
    let (mut network, report) = import(&WeightFile::open(&path)?, network, &ImportOptions::backbone(arch))?;
    println!("{report}");

    // Grey values in [0, 1]; the network normalises, and folds a three-channel stem to the one plane.
    let images = Tensor::<4>::from_data([[[[0.5_f32; 64]; 64]]; 2], &device);
    let features = network.features(images, Mode::Eval);
    let first: Vec<f32> = features.clone().slice([0..1, 0..4]).into_data().try_to_vec()?;
    println!("features {:?}, the first of them {first:.3?}", features.dims());
    Ok(())
}

fn stand_in(device: &Device) -> Result<PathBuf, Box<dyn Error>> {
    let path = std::env::temp_dir().join(format!("moco-cxr-stand-in-{}.safetensors", std::process::id()));
    let network = NetworkConfig::new(Arch::ResNet18).init(1, device);
    std::fs::write(&path, safetensors_bytes(&state_dict(&network)?, 0)?)?;
    println!("no file given; random weights under torchvision's names are in {}", path.display());
    Ok(path)
}
