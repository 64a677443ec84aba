//! The time of one pretraining step on a device, and of its parts.

use std::time::Instant;

use backbones::{Arch, Mode, Network, NetworkConfig, Precision};
use moco_core::{HostBatch, MocoConfig, OptimizerConfig, Rule, info_nce};
use serde::Serialize;

use crate::{
    check::step::{Stepper, synthetic_batch, upload},
    device::{DeviceChoice, guard},
    error::{Error, Result},
};

/// A benchmark of pretraining steps on synthetic images.
#[derive(Debug, Clone, Serialize)]
pub struct StepBench {
    /// Device to measure.
    pub device: DeviceChoice,
    /// Architecture.
    pub arch: Arch,
    /// Side of a view in pixels.
    pub image_size: usize,
    /// Images of a batch; each has two views.
    pub batch_size: usize,
    /// Negatives, the paper's K.
    pub queue_size: usize,
    /// Precision of the activations.
    pub precision: Precision,
    /// Steps before the clock starts, in which kernels are compiled and tuned.
    pub warmup: usize,
    /// Steps to measure.
    pub steps: usize,
}

/// The result of a [`StepBench`].
#[derive(Debug, Clone, Serialize)]
pub struct StepReport {
    /// The benchmark.
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
    /// Milliseconds of the parts, each measured alone, from an idle device to an idle device.
    pub phases_ms: Phases,
    /// Bytes the device's allocator holds after the steps, which is its peak; `None` where it is not reported.
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
    /// The rest of a whole step: moving average of the key encoder, optimiser, queue, reading the loss.
    pub update: f64,
}

impl StepBench {
    /// Checks everything that can be checked without the device.
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

    /// Runs the benchmark.
    ///
    /// # Errors
    /// Settings out of range; a device that is not available, fails, runs out of memory or does not offer the precision.
    pub fn run(&self) -> Result<StepReport> {
        self.validate()?;
        let adapter = self.device.adapter()?;
        guard(self.device, || {
            let mut moco = MocoConfig::new();
            moco.queue_size = self.queue_size;
            let (network, optimizer) = (NetworkConfig::new(self.arch), OptimizerConfig::new(Rule::SGD, 1e-4));
            let mut stepper = Stepper::random(&network, self.precision, &moco, optimizer, &adapter.device)?;
            let batch = synthetic_batch(self.batch_size, self.image_size);
            let mut step_s = || stepper.timed(&batch, 1e-5, None);
            let first_step_s = step_s()?;
            for _ in 1..self.warmup.max(1) {
                step_s()?;
            }
            let times = (0..self.steps).map(|_| step_s()).collect::<Result<Vec<f64>>>()?;
            let step_ms = 1e3 * times.iter().sum::<f64>() / self.steps as f64;
            let phases_ms = phases(&mut stepper, &batch, step_ms)?;
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

/// The parts one after the other, three times; the smallest of each. `step_ms` is a whole step.
fn phases(stepper: &mut Stepper<Network>, batch: &HostBatch, step_ms: f64) -> Result<Phases> {
    let mode = Mode::Train { groups: 1 };
    let mut best = [f64::INFINITY; 4];
    for _ in 0..3 {
        let mut times = [0.0; 4];
        let start = Instant::now();
        let views = upload(batch, &stepper.device)?;
        stepper.wait()?;
        times[0] = start.elapsed().as_secs_f64();

        let start = Instant::now();
        let q = stepper.moco.encoder_q.encode(views.query, mode);
        stepper.wait()?;
        times[1] = start.elapsed().as_secs_f64();

        let start = Instant::now();
        let k = stepper.moco.encoder_k.encode(views.key, mode);
        stepper.wait()?;
        times[2] = start.elapsed().as_secs_f64();

        let start = Instant::now();
        let negatives = stepper.moco.queue.negatives(&views.patients, false);
        let contrast = info_nce(q, k, negatives, stepper.moco.config().temperature);
        drop(contrast.loss.backward());
        stepper.wait()?;
        times[3] = start.elapsed().as_secs_f64();
        for (best, time) in best.iter_mut().zip(times) {
            *best = best.min(time * 1e3);
        }
    }
    let [upload, forward_query, forward_key, backward] = best;
    let update = (step_ms - upload - forward_query - forward_key - backward).max(0.0);
    Ok(Phases { upload, forward_query, forward_key, backward, update })
}
