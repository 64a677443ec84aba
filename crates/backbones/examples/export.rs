//! Exports a network with random weights, with an image and its features, for `golden/check_interop.py`.
//!
//! `cargo run --release -p moco-cxr-backbones --example export -- resnet18 FOLDER`

use std::{env, error::Error, fs, path::PathBuf};

use backbones::{Arch, Backbone, ExportInfo, Mode, NetworkConfig, export_with_onnx};
use burn::tensor::{Device, Tensor, TensorData};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let arch: Arch = arguments.next().ok_or("which architecture?")?.parse()?;
    let folder = PathBuf::from(arguments.next().ok_or("into which folder?")?);
    let device = Device::flex();
    let config = NetworkConfig::new(arch);
    let mut net = config.init(1, &device);

    // Training passes, so that running statistics are not those of a new network.
    let pixels: Vec<f32> = (0..2 * 3 * 64 * 96).map(|i| ((i * 2654435761_u64 % 1000) as f32) / 500.0 - 1.0).collect();
    let images = Tensor::<4>::from_data(TensorData::new(pixels.clone(), [2, 3, 64, 96]), &device);
    (0..20).for_each(|_| drop(net.features(images.clone(), Mode::TRAIN)));

    let info = ExportInfo {
        name: format!("{arch} with random weights"),
        arch,
        channels: config.channels,
        normalization: config.normalization,
        image_size: 224,
        assumed: Vec::new(),
        resample: "bilinear".to_owned(),
        labels: Vec::new(),
        data: "None.".to_owned(),
        data_licence: "none".to_owned(),
        label_policy: None,
        licence: "mit".to_owned(),
        steps: 20,
        metrics: Vec::new(),
    };
    export_with_onnx(&folder, &net, &info)?;
    let features = net.features(images, Mode::Eval).into_data().try_to_vec::<f32>()?;
    let floats = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    fs::write(folder.join("images.f32"), floats(&pixels))?;
    fs::write(folder.join("features.f32"), floats(&features))?;
    Ok(())
}
