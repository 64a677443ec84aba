//! Estimates of a run's memory, by counting, and of its time, by making a few steps.

use backbones::{Arch, NetworkConfig, layout};
use moco_core::Rule;
use serde::Serialize;

use crate::{
    check::step::{Stepper, synthetic_batch},
    device::guard,
    error::Result,
    pretrain::PretrainSettings,
};

/// Bytes of a value.
const F32: u64 = 4;
/// Most images of a step that is timed.
const IMAGES: usize = 32;

/// Bytes of the program with its loader and buffers: the rest of the peaks measured below.
const PROGRAM: u64 = 150_000_000;

/// An estimate of a run's peak memory, in bytes. On a GPU, `checkpoint` and `program` are in the host's memory, and the
/// backend's reserves come on top.
///
/// Checked against the peak of whole runs on the CPU, at 128 px: ResNet18 with 8 images 607 MB (measured 613), with 32 images
/// 733 MB (753); DenseNet121 with 16 images 2,077 MB (2,086, from which its factor was taken).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct MemoryEstimate {
    /// Parameters of the query encoder with its head. (The key encoder has as many.)
    pub parameters: u64,
    /// Weights of both encoders.
    pub weights: u64,
    /// A gradient for each parameter of the query encoder.
    pub gradients: u64,
    /// State of the optimiser: two values per parameter for Adam, one for momentum.
    pub optimizer: u64,
    /// Keys of past batches.
    pub queue: u64,
    /// Tensors of the query's forward pass that the backward pass needs: input and output of every convolution (for a
    /// DenseNet, whose concatenations are held too, 3.6 times that, as measured); logits, their exponentials and gradients.
    pub activations: u64,
    /// Copy of weights and optimiser state on the host, while a checkpoint is written.
    pub checkpoint: u64,
    /// The program itself.
    pub program: u64,
}

impl MemoryEstimate {
    /// The estimate for a run with these settings.
    pub fn of(settings: &PretrainSettings) -> Self {
        let PretrainSettings { arch, channels, train, .. } = settings;
        let (dim, moco) = (arch.feature_dim() as u64, &train.moco);
        let out = moco.dim as u64;
        let head = match (moco.mlp, moco.head_norm) {
            (false, _) => dim * out + out,
            (true, false) => dim * dim + dim + dim * out + out,
            (true, true) => dim * dim + 2 * dim + dim * out, // batch norm in place of biases
        };
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

    /// The sum of all parts.
    pub fn total(&self) -> u64 {
        self.weights + self.gradients + self.optimizer + self.queue + self.activations + self.checkpoint + self.program
    }
}

/// Values that go into and come out of the convolutions, for one image.
fn maps(arch: Arch, channels: usize, side: u64) -> u64 {
    // The first convolution takes one plane, however many channels its weight has.
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

/// The measured time of a step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct StepEstimate {
    /// Images of the step that was timed.
    pub images: usize,
    /// Seconds it took.
    pub seconds: f64,
    /// Seconds of an optimiser step of the run, in proportion to its number of images.
    pub step_s: f64,
}

impl StepEstimate {
    /// Makes three steps with the network of the settings, from random weights and on synthetic images, and times the last
    /// two. Loading of images is not included.
    ///
    /// # Errors
    /// Settings out of range; a device that is not available, fails or does not offer the precision.
    pub fn measure(settings: &PretrainSettings) -> Result<Self> {
        settings.validate()?;
        guard(settings.device, || Self::timed(settings))
    }

    fn timed(settings: &PretrainSettings) -> Result<Self> {
        let device = settings.device.select()?;
        let PretrainSettings { arch, channels, normalization, precision, ref train, .. } = *settings;
        let groups = train.moco.groups;
        let images = ((IMAGES / groups).max(2) * groups).min(train.batch_size);
        let network = NetworkConfig { arch, channels, normalization };
        let mut stepper = Stepper::random(&network, precision, &train.moco, train.optimizer, &device)?;
        let batch = synthetic_batch(images, settings.views.size);
        let mut step_s = || stepper.timed(&batch, train.schedule.lr, train.clip_norm);
        step_s()?; // the first one allocates, and has no negatives in a masked queue
        let seconds = (step_s()? + step_s()?) / 2.0;
        let all = train.batch_size * train.accumulate;
        Ok(Self { images, seconds, step_s: seconds * all as f64 / images as f64 })
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
