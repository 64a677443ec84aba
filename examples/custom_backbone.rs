//! Your own backbone: pretrains a network of four convolutions, saves it and loads it again.
//!
//!     cargo run --release --example custom_backbone [-- --out runs/custom]
//!
//! Takes a minute or less, on synthetic images. A network must implement one trait with two functions; the trainer adds the
//! projection head, the key encoder and the queue.

#![allow(clippy::print_stdout)]

use std::{error::Error, path::PathBuf};

use burn::{module::Module, tensor::activation::relu};
use moco_cxr::{
    LoaderSource,
    backbones::{BatchNorm, Conv2d, ImportOptions, Initializer, WeightFile, import, safetensors_bytes, state_dict},
    cxr_data::{BatchLoader, BatchOptions, load, synth},
    prelude::*,
};

mod arguments;

/// Convolutions that halve the image, then the mean of each channel.
#[derive(Module, Debug)]
struct Plain {
    convs: Vec<Conv2d>,
    norms: Vec<BatchNorm>,
}

impl Plain {
    const WIDTHS: [usize; 5] = [1, 16, 32, 64, 128];

    fn new(seed: u64, device: &Device) -> Self {
        let mut init = Initializer::new(seed, device);
        let convs = Self::WIDTHS.windows(2).map(|w| init.conv2d(w[0], w[1], 3, 2, 1)).collect();
        let norms = Self::WIDTHS[1..].iter().map(|&width| init.batch_norm(width)).collect();
        Self { convs, norms }
    }
}

impl Backbone for Plain {
    fn feature_dim(&self) -> usize {
        Self::WIDTHS[4]
    }

    fn features(&mut self, images: Tensor<4>, mode: Mode) -> Tensor<2> {
        let mut x = (images - 0.5) * 4.0; // grey values in [0, 1]; [B, 1, S, S]
        for (conv, norm) in self.convs.iter().zip(&mut self.norms) {
            x = relu(norm.forward(conv.forward(x), mode)); // [B, width, S/2, S/2], S/4, ...
        }
        x.mean_dims(&[2, 3]).reshape([-1, 128]) // [B, 128]
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let [out] = arguments::values(["--out"])?;
    let out = PathBuf::from(out.as_deref().unwrap_or("runs/custom"));
    RunFolder::open(&out, Existing::Refuse)?;

    let set =
        synth::SynthConfig { train_patients: 300, valid_patients: 0, test_patients: 0, size: 80, ..Default::default() };
    synth::write(&set, &out.join("data"))?;
    let images = load(&out.join("data"), Dataset::Auto, Part::Train)?;
    let options = BatchOptions { batch_size: 32, ..Default::default() };
    let mut source = LoaderSource(BatchLoader::new(&images, ViewConfig::moco_cxr(64), options)?);

    let mut config = PretrainSettings::named("small", out.join("data"))?.train;
    (config.epochs, config.batch_size) = (6, 32);
    config.moco.queue_size = 128;
    config.schedule.lr = 3e-3;
    let device = DeviceChoice::Auto.select()?;
    let mut trainer = config.init(Plain::new(0, &device))?;
    trainer.run(&mut source, &mut Lines)?;

    // Tensors are named by their fields: convs.0.weight, norms.0.running_mean, ...
    let path = out.join("plain.safetensors");
    std::fs::write(&path, safetensors_bytes(&state_dict(&trainer.moco.encoder_q.backbone)?, 0)?)?;
    let (mut again, report) = import(&WeightFile::open(&path)?, Plain::new(1, &device), &ImportOptions::strict())?;
    let features = again.features(Tensor::ones([1, 1, 64, 64], &device), Mode::Eval);
    println!("{} tensors in {}; features {:?}", report.taken(), path.display(), features.dims());
    Ok(())
}

struct Lines;

impl Observer for Lines {
    fn on_epoch(&mut self, report: &EpochReport) -> Request {
        println!("{}", report.line());
        Request::Continue
    }
}
