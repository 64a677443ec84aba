//! Steps of momentum contrast on synthetic images, which `bench` and `estimate` time and `parity` compares.

use std::time::Instant;

use backbones::{Backbone, Network, NetworkConfig, Precision};
use burn::tensor::Device;
use moco_core::{HostBatch, Measures, Moco, MocoConfig, Optimizer, OptimizerConfig, Step, Views};
use ndarray::Array3;

use crate::error::Result;

/// Two views of `n` images of `size` pixels a side: smooth waves with some noise, different in each image and the same on
/// every machine. Every image has a patient of its own.
///
/// # Shapes
/// - query and key `[n, size, size]`
pub fn synthetic_batch(n: usize, size: usize) -> HostBatch {
    let view = |shift: usize| {
        Array3::from_shape_fn((n, size, size), |(i, y, x)| {
            let (fy, fx) = (y as f64 / size as f64, x as f64 / size as f64);
            let wave = ((i + 2) as f64 * (fx + 0.6 * fy) + 0.1 * shift as f64).sin();
            let noise = ((i * size + y) * size + x + 97 * shift).wrapping_mul(2_654_435_761) >> 8 & 0x3f;
            (96.0 + 64.0 * wave + noise as f64) as u8
        })
    };
    HostBatch { query: view(0), key: view(1), patients: (0..n as u32).collect() }
}

/// Uploads a batch.
pub(super) fn upload(batch: HostBatch, device: &Device) -> Result<Views> {
    let images = batch.patients.len();
    Ok(batch.into_device(images, device)?)
}

/// Waits until a device has computed everything asked of it.
///
/// # Errors
/// When the device fails.
pub(super) fn wait(device: &Device) -> Result<()> {
    let failed = |e: String| moco_core::Error::Device { what: "waiting for the device", reason: e };
    Ok(device.sync().map_err(|e| failed(e.to_string()))?)
}

/// A model with its optimiser on a device.
#[derive(Debug)]
pub(super) struct Stepper<B: Backbone> {
    pub(super) moco: Moco<B>,
    pub(super) optimizer: Optimizer,
    pub(super) device: Device,
    /// Steps made.
    done: u64,
}

impl Stepper<Network> {
    /// A network with random weights.
    ///
    /// # Errors
    /// A precision that the device does not offer, or as [`MocoConfig::init`].
    pub(super) fn random(
        network: &NetworkConfig,
        precision: Precision,
        moco: &MocoConfig,
        optimizer: OptimizerConfig,
        device: &Device,
    ) -> Result<Self> {
        precision.check(device)?;
        let mut network = network.init(0, device);
        network.set_precision(precision);
        Self::new(network, moco, 0, optimizer)
    }
}

impl<B: Backbone> Stepper<B> {
    /// A given backbone, on its own device. Head, queue and shuffling follow from `seed`.
    ///
    /// # Errors
    /// As [`MocoConfig::init`].
    pub(super) fn new(backbone: B, moco: &MocoConfig, seed: u64, optimizer: OptimizerConfig) -> Result<Self> {
        let moco = moco.init(backbone, seed)?;
        let device = moco.device();
        Ok(Self { moco, optimizer: optimizer.init(), device, done: 0 })
    }

    /// Makes a step.
    ///
    /// # Errors
    /// As [`Moco::step`].
    pub(super) fn step(&mut self, views: Views, lr: f64, clip_norm: Option<f64>) -> Result<Measures> {
        let update = Step { index: self.done, lr, done: 0.0, clip_norm };
        let measures = self.moco.step(vec![views], &mut self.optimizer, &update)?;
        self.done += 1;
        Ok(measures)
    }

    /// Seconds of a whole step, from the upload of its batch until everything is computed.
    ///
    /// # Errors
    /// As [`Self::step`] and [`wait`].
    pub(super) fn timed(&mut self, batch: &HostBatch, lr: f64, clip_norm: Option<f64>) -> Result<f64> {
        // A loader hands over a batch of its own.
        let batch = batch.clone();
        let start = Instant::now();
        let views = upload(batch, &self.device)?;
        self.step(views, lr, clip_norm)?;
        wait(&self.device)?;
        Ok(start.elapsed().as_secs_f64())
    }
}
