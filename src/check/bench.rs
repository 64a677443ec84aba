//! What one pretraining step costs on a device, and where the time goes.

use std::time::Instant;

use backbones::{Arch, Mode, Network, NetworkConfig, Precision};
use burn::tensor::Device;
use moco_core::{HostBatch, Moco, MocoConfig, Optimizer, OptimizerConfig, Rule, Step, Views, info_nce};
use serde::Serialize;

use crate::{
    check::ParityBatch,
    device::{DeviceChoice, guard},
    error::{Error, Result},
};

/// What is measured.
#[derive(Debug, Clone, Serialize)]
pub struct StepBench {
    /// Where.
    pub device: DeviceChoice,
    /// Architecture.
    pub arch: Arch,
    /// Side of a view in pixels.
    pub image_size: usize,
    /// Images of a batch; each has two views.
    pub batch_size: usize,
    /// Negatives.
    pub queue_size: usize,
    /// Arithmetic of the activations.
    pub precision: Precision,
    /// Steps before the clock starts: kernels are compiled and tuned in them.
    pub warmup: usize,
    /// Steps measured.
    pub steps: usize,
}

/// What was measured.
#[derive(Debug, Clone, Serialize)]
pub struct StepReport {
    /// What was asked for.
    #[serde(flatten)]
    pub bench: StepBench,
    /// Name of the adapter.
    pub adapter: String,
    /// Shader compiler in use.
    pub compiler: String,
    /// Images per second: batch size over the mean time of a step.
    pub images_per_s: f64,
    /// Mean milliseconds of a whole step, with the upload of its batch and the reading of its loss.
    pub step_ms: f64,
    /// Milliseconds of the parts, each measured alone with the device waited for at both ends.
    pub phases_ms: Phases,
    /// Bytes the device's allocator holds after the steps, the most it needed; `None` where it does not say.
    pub device_bytes: Option<u64>,
    /// Seconds of the first step, in which kernels are compiled and tuned.
    pub first_step_s: f64,
}

/// Milliseconds of the parts of a step.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Phases {
    /// Host to device, both views.
    pub upload: f64,
    /// Query encoder, forward, with its tape.
    pub forward_query: f64,
    /// Key encoder, forward.
    pub forward_key: f64,
    /// Loss and backward pass.
    pub backward: f64,
    /// The rest of a whole step: average of the key encoder, optimiser, queue, reading the loss.
    pub update: f64,
}

impl StepBench {
    /// Checks what can be checked without the device.
    ///
    /// # Errors
    /// No steps, fewer than two images, images too small.
    pub fn validate(&self) -> Result<()> {
        if self.steps == 0 || self.batch_size < 2 || self.image_size < 32 {
            let found = format!("{} steps of {} images of {} px", self.steps, self.batch_size, self.image_size);
            let expected = "at least 1 step, 2 images, 32 px".to_owned();
            return Err(Error::Setting { key: "bench".into(), found, expected });
        }
        Ok(())
    }

    /// Runs it.
    ///
    /// # Errors
    /// Settings out of range, a device that cannot be had, runs out of memory or does not offer the precision.
    pub fn run(&self) -> Result<StepReport> {
        self.validate()?;
        let adapter = self.device.adapter()?;
        self.precision.check(&adapter.device)?;
        guard(self.device, || {
            let mut bench = Running::new(self, &adapter.device)?;
            let first_step_s = bench.step()? / 1e3;
            for _ in 1..self.warmup.max(1) {
                bench.step()?;
            }
            let times = (0..self.steps).map(|_| bench.step()).collect::<Result<Vec<f64>>>()?;
            let step_ms = times.iter().sum::<f64>() / self.steps as f64;
            let phases_ms = bench.phases(step_ms)?;
            Ok(StepReport {
                bench: self.clone(),
                adapter: adapter.name.clone(),
                compiler: adapter.compiler.clone(),
                images_per_s: 1e3 * self.batch_size as f64 / step_ms,
                step_ms,
                phases_ms,
                device_bytes: adapter.device.memory_pool_usage().map(|usage| usage.bytes_reserved),
                first_step_s,
            })
        })
    }
}

/// A model at work.
struct Running {
    device: Device,
    host: HostBatch,
    moco: Moco<Network>,
    optimizer: Optimizer,
    done: u64,
}

impl Running {
    fn new(bench: &StepBench, device: &Device) -> Result<Self> {
        let mut network = NetworkConfig::new(bench.arch).init(0, device);
        network.set_precision(bench.precision);
        let config = MocoConfig { queue_size: bench.queue_size, ..MocoConfig::new() };
        let ParityBatch { query, key } = ParityBatch::synthetic(bench.batch_size, bench.image_size);
        let patients = (0..bench.batch_size as u32).collect();
        Ok(Self {
            device: device.clone(),
            host: HostBatch { query, key, patients },
            moco: config.init(network, 0)?,
            optimizer: OptimizerConfig::new(Rule::Sgd { momentum: 0.9, nesterov: false }, 1e-4).init(),
            done: 0,
        })
    }

    /// Milliseconds of a whole step.
    fn step(&mut self) -> Result<f64> {
        let start = Instant::now();
        let views = self.upload()?;
        let update = Step { index: self.done, lr: 1e-5, clip_norm: None };
        self.moco.step(vec![views], &mut self.optimizer, &update)?;
        self.wait()?;
        self.done += 1;
        Ok(start.elapsed().as_secs_f64() * 1e3)
    }

    fn upload(&self) -> Result<Views> {
        Ok(self.host.to_device(self.host.patients.len(), &self.device)?)
    }

    /// Until everything asked for is computed.
    fn wait(&self) -> Result<()> {
        let failed = |e: String| moco_core::Error::Device { what: "waiting for the device", reason: e };
        Ok(self.device.sync().map_err(|e| failed(e.to_string()))?)
    }

    /// The parts one after the other, three times; the smallest of each.
    fn phases(&mut self, whole: f64) -> Result<Phases> {
        let mode = Mode::Train { groups: 1 };
        let mut best = [f64::INFINITY; 4];
        for _ in 0..3 {
            let mut times = [0.0; 4];
            let start = Instant::now();
            let views = self.upload()?;
            self.wait()?;
            times[0] = start.elapsed().as_secs_f64();

            let start = Instant::now();
            let q = self.moco.encoder_q.encode(views.query, mode);
            self.wait()?;
            times[1] = start.elapsed().as_secs_f64();

            let start = Instant::now();
            let k = self.moco.encoder_k.encode(views.key, mode);
            self.wait()?;
            times[2] = start.elapsed().as_secs_f64();

            let start = Instant::now();
            let negatives = self.moco.queue.negatives(&views.patients, false);
            let contrast = info_nce(q, k, negatives, self.moco.config().temperature);
            drop(contrast.loss.backward());
            self.wait()?;
            times[3] = start.elapsed().as_secs_f64();
            for (best, time) in best.iter_mut().zip(times) {
                *best = best.min(time * 1e3);
            }
        }
        let [upload, forward_query, forward_key, backward] = best;
        let update = (whole - upload - forward_query - forward_key - backward).max(0.0);
        Ok(Phases { upload, forward_query, forward_key, backward, update })
    }
}
