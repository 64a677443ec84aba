//! What a run will need: memory by counting, time by trying.

use std::time::Instant;

use backbones::{Arch, NetworkConfig, layout};
use moco_core::{
    Batch, BatchSource, BoxError, Decay, HostBatch, Observer, Request, Rule, Schedule, StepMetrics, TrainConfig,
};
use ndarray::Array3;
use serde::Serialize;

use crate::{device::guard, error::Result, pretrain::PretrainSettings};

/// Bytes of a number.
const F32: u64 = 4;
/// Images of the step that is timed, at most.
const IMAGES: usize = 32;

/// The program with its loader and buffers: what was left of the measured peaks below.
const PROGRAM: u64 = 150_000_000;

/// What a run holds in memory at its fullest, in bytes; an estimate. On a GPU `checkpoint` and `program` are the host's, and
/// the backend's reserves come on top.
///
/// Against the peak of whole runs on the CPU, at 128 px: ResNet18 with 8 images 607 MB (measured 613), with 32 images 733 MB
/// (753); DenseNet121 with 16 images 2,077 MB (2,086, which its factor was taken from).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct MemoryEstimate {
    /// Parameters of the query encoder with its head. (The key encoder has as many.)
    pub parameters: u64,
    /// Both encoders.
    pub weights: u64,
    /// A gradient for each parameter of the query encoder.
    pub gradients: u64,
    /// State of the optimiser: two numbers a parameter for Adam, one for momentum.
    pub optimizer: u64,
    /// Keys.
    pub queue: u64,
    /// What the backward pass needs of the query's forward pass: input and output of every convolution (of a DenseNet, whose
    /// concatenations are held too, 3.6 times that, as measured). Then logits, their exponentials and gradients.
    pub activations: u64,
    /// Weights and optimiser once more on the host, while a checkpoint is written.
    pub checkpoint: u64,
    /// The rest.
    pub program: u64,
}

impl MemoryEstimate {
    /// For these settings.
    pub fn of(settings: &PretrainSettings) -> Self {
        let PretrainSettings { arch, channels, train, .. } = settings;
        let (dim, moco) = (arch.feature_dim() as u64, &train.moco);
        let out = moco.dim as u64;
        let head = if moco.mlp { dim * dim + dim } else { 0 } + dim * out + out;
        let tensors = layout(*arch, *channels, None);
        let learned = tensors.iter().filter(|(name, _)| !name.contains("running_"));
        let parameters = head + learned.map(|(_, shape)| shape.iter().product::<usize>() as u64).sum::<u64>();
        let states = match train.optimizer.rule {
            Rule::Sgd { momentum: 0.0, .. } => 0,
            Rule::Sgd { .. } | Rule::Lars { .. } => 1,
            _ => 2,
        };
        let (n, k) = (train.batch_size as u64, moco.queue_size as u64);
        let held = if *arch == Arch::DenseNet121 { 3.6 } else { 1.0 };
        let maps = (held * maps(*arch, *channels, settings.views.size as u64) as f64) as u64;
        Self {
            parameters,
            weights: 2 * F32 * parameters,
            gradients: F32 * parameters,
            optimizer: states * F32 * parameters,
            queue: F32 * k * out,
            activations: F32 * n * (maps + 3 * (1 + k)),
            checkpoint: (2 + states) * F32 * parameters,
            program: PROGRAM,
        }
    }

    /// All of it.
    pub fn total(&self) -> u64 {
        self.weights + self.gradients + self.optimizer + self.queue + self.activations + self.checkpoint + self.program
    }
}

/// Numbers that go into and come out of the convolutions, for one image.
fn maps(arch: Arch, channels: usize, side: u64) -> u64 {
    // The first convolution takes one plane whatever its weight has.
    let of = |name: &str, shape: &[usize]| {
        let [output, input, ..] = *shape else { return 0 };
        let stage = name.split('.').find_map(|part| {
            ["layer", "denseblock", "transition"].iter().find_map(|kind| part.strip_prefix(kind)?.parse::<u32>().ok())
        });
        let planes = output as u64 + if stage.is_none() { 1 } else { input as u64 };
        planes * side.div_ceil(2 << stage.unwrap_or(0)).pow(2)
    };
    layout(arch, channels, None).iter().map(|(name, shape)| of(name, shape)).sum()
}

/// A step that was tried.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct StepEstimate {
    /// Images of the step that was timed.
    pub images: usize,
    /// Its seconds.
    pub seconds: f64,
    /// Seconds of an optimiser step of the run, in proportion to its images.
    pub step_s: f64,
}

impl StepEstimate {
    /// Takes three steps with the network of the settings, from random weights, on random images that are there already,
    /// and times the last two. Loading is not in it.
    ///
    /// # Errors
    /// Settings out of range, or a device that cannot be had or fails.
    pub fn measure(settings: &PretrainSettings) -> Result<Self> {
        settings.validate()?;
        guard(settings.device, || Self::timed(settings))
    }

    fn timed(settings: &PretrainSettings) -> Result<Self> {
        let device = settings.device.select()?;
        let PretrainSettings { arch, channels, normalization, .. } = *settings;
        let groups = settings.train.moco.groups;
        let images = (IMAGES / groups).max(2) * groups;
        let images = images.min(settings.train.batch_size);
        let train = TrainConfig {
            epochs: 1,
            batch_size: images,
            accumulate: 1,
            schedule: Schedule { warmup_epochs: 0.0, decay: Decay::Constant, ..settings.train.schedule.clone() },
            ..settings.train.clone()
        };
        let mut network = NetworkConfig { arch, channels, normalization }.init(0, &device);
        settings.precision.check(&device)?;
        network.set_precision(settings.precision);
        let mut trainer = train.init(network)?;
        let mut timed = Timed { begun: None, seconds: 0.0 };
        trainer.run(&mut Noise { images, side: settings.views.size }, &mut timed)?;
        let all = settings.train.batch_size * settings.train.accumulate;
        Ok(Self { images, seconds: timed.seconds, step_s: timed.seconds * all as f64 / images as f64 })
    }
}

struct Timed {
    begun: Option<Instant>,
    seconds: f64,
}

impl Observer for Timed {
    fn on_step(&mut self, metrics: &StepMetrics) -> Request {
        // The first step allocates, and has no negatives in a masked queue.
        match self.begun {
            None => self.begun = Some(Instant::now()),
            Some(begun) => self.seconds = begun.elapsed().as_secs_f64() / (metrics.step - 1) as f64,
        }
        Request::Continue
    }
}

/// Three batches of random images.
struct Noise {
    images: usize,
    side: usize,
}

impl BatchSource for Noise {
    fn batches_per_epoch(&self) -> usize {
        3
    }

    fn epoch(&mut self, _: u64, first: usize) -> Box<dyn Iterator<Item = std::result::Result<Batch, BoxError>> + '_> {
        let mut state = 1_u32;
        let Self { images, side } = *self;
        let mut views = move || {
            Array3::from_shape_simple_fn((images, side, side), || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223); // Numerical Recipes' generator
                (state >> 24) as u8
            })
        };
        let batches: Vec<_> = (first..3)
            .map(|_| Ok(HostBatch { query: views(), key: views(), patients: (0..images as u32).collect() }.into()))
            .collect();
        Box::new(batches.into_iter())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use backbones::{Mode, TensorKind};
    use burn::tensor::{Device, Tensor};

    use super::*;

    #[test]
    fn parameters_are_those_of_the_encoder() {
        for mlp in [true, false] {
            let mut settings = PretrainSettings::named("small", "data").unwrap();
            settings.train.moco.mlp = mlp;
            let network = NetworkConfig::new(settings.arch).init(0, &Device::flex());
            let moco = settings.train.moco.init(network, 0).unwrap();
            let learned = backbones::tensor_names(&moco.encoder_q).into_iter().filter(|t| t.1 == TensorKind::Parameter);
            let count: usize = learned.map(|(.., shape)| shape.iter().product::<usize>()).sum();
            assert_eq!(MemoryEstimate::of(&settings).parameters, count as u64);
        }
    }

    #[test]
    fn maps_shrink_as_the_stages_of_the_network_do() {
        let mut network = NetworkConfig::new(Arch::ResNet18).init(0, &Device::flex());
        let stages = network.stages(Tensor::zeros([1, 1, 64, 64], &Device::flex()), Mode::Eval);
        let sides: Vec<usize> = stages.iter().map(|map| map.dims()[2]).collect();
        // ResNet18 by hand: its convolutions, input and output planes, at the side of their output.
        let convs: [&[(u64, u64)]; 5] = [
            &[(1, 64)],
            &[(64, 64); 4],
            &[(64, 128), (128, 128), (64, 128), (128, 128), (128, 128)],
            &[(128, 256), (256, 256), (128, 256), (256, 256), (256, 256)],
            &[(256, 512), (512, 512), (256, 512), (512, 512), (512, 512)],
        ];
        let by_hand: u64 = convs
            .iter()
            .zip([32, 16, 8, 4, 2_u64])
            .map(|(convs, side)| convs.iter().map(|(i, o)| (i + o) * side * side).sum::<u64>())
            .sum();
        assert_eq!(sides, [16, 16, 8, 4, 2], "the first is behind the pooling");
        assert_eq!(maps(Arch::ResNet18, 3, 64), by_hand);
    }
}
