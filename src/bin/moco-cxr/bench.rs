//! `moco-cxr bench`.

use clap::{Args, ValueEnum};
use moco_cxr::{
    DeviceChoice,
    backbones::{Arch, Precision},
    check::{StepBench, StepReport},
};

use crate::{
    Fault,
    flags::{bad_argument::OrBadArgument, device::DeviceArguments, output::print_json},
};

/// Measure the speed of this machine; prints JSON.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  moco-cxr bench step --device cuda --arch resnet18 --image-size 224 --batch-size 256 --precision bf16"
)]
pub(crate) struct Arguments {
    /// step: one pretraining step (images per second, milliseconds of its parts, memory).
    what: What,
    #[command(flatten)]
    device: DeviceArguments,
    /// Architecture: resnet18, resnet34, resnet50 or densenet121.
    #[arg(long, short, default_value = "resnet18")]
    arch: Arch,
    /// Side of a view in pixels.
    #[arg(long, value_name = "PX", default_value_t = 224)]
    image_size: usize,
    /// Images per batch, each with two views.
    #[arg(long, short, default_value_t = 64)]
    batch_size: usize,
    /// Queue length, K.
    #[arg(long, default_value_t = 24_576)]
    moco_k: usize,
    /// Precision of the activations: f32 or bf16.
    #[arg(long, default_value_t)]
    precision: Precision,
    /// Number of steps before the measurement.
    #[arg(long, default_value_t = 5)]
    warmup: usize,
    /// Number of measured steps.
    #[arg(long, default_value_t = 20)]
    steps: usize,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum What {
    Step,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Fault> {
    let What::Step = arguments.what;
    print_json(&arguments.step()?)
}

impl Arguments {
    fn step(&self) -> Result<StepReport, Fault> {
        let device = DeviceChoice::Auto;
        let Self { arch, image_size, batch_size, moco_k, precision, warmup, steps, .. } = *self;
        let bench = StepBench { device, arch, image_size, batch_size, queue_size: moco_k, precision, warmup, steps };
        bench.validate().or_bad_argument()?;
        Ok(StepBench { device: self.device.choose(device, false)?, ..bench }.run()?)
    }
}
