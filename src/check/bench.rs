//! The time of a pretraining step on a device, and of its parts.

use std::time::Instant;

use backbones::{Arch, Network, NetworkConfig, Precision, cpu_times};
use moco_core::{HostBatch, MocoConfig, OptimizerConfig, Rule};
use serde::Serialize;

use crate::{
    check::{
        MemoryEstimate, available_memory,
        bench_operations::{Machine, Operations, median},
        bench_process::Process,
        launches::{self, KernelUse},
        phase::{LR, by_phase},
        step::{Stepper, synthetic_batch, wait},
    },
    device::{Adapter, Backend, CudnnUse, DeviceChoice, cudnn_use, guard},
    error::{Error, Result},
    pretrain::PretrainSettings,
};

/// Most steps, images of a batch and pixels of a side.
const MOST_STEPS: usize = 1_000_000;
const MOST_IMAGES: usize = 65_536;
const MOST_PX: usize = 4096;

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
    /// Whether the time is also measured by operation, on the CPU only.
    pub by_operation: bool,
    /// Whether the kernels that a step launches are counted and timed, on a GPU only.
    pub trace: bool,
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
    /// Images per second: batch size over the median time of a step.
    pub images_per_s: f64,
    /// Median milliseconds of a whole step, with the upload of its batch and the reading of its loss.
    pub step_ms: f64,
    /// Milliseconds of the parts, measured in further steps, from an idle device to an idle device.
    pub phases_ms: Phases,
    /// What was measured of the steps.
    pub measured: Turn,
    /// Bytes the device's allocator holds after the steps, which is its peak; `None` where it is not reported.
    pub device_bytes: Option<u64>,
    /// Seconds of the first step, in which kernels are compiled and tuned.
    pub first_step_s: f64,
    /// The kernels of a step, if they were asked for, in the order of the parts.
    pub kernels: Vec<KernelUse>,
    /// How far convolutions went through cuDNN, in all steps; `None` without the feature `cudnn`, and on devices other than CUDA's.
    pub cudnn: Option<CudnnUse>,
}

/// Milliseconds of the parts of a step, medians over the same steps.
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
    /// Moving average of the key encoder, gradient norm, optimiser, queue.
    pub update: f64,
}

/// Some steps made one after the other.
#[derive(Debug, Clone, Serialize)]
pub struct Turn {
    /// Milliseconds of each step.
    pub step_ms: Vec<f64>,
    /// Threads of the CPU's kernels.
    pub threads: usize,
    /// Processor seconds of all threads over wall seconds; `None` where the system does not tell (it is read on Linux).
    pub busy_cores: Option<f64>,
    /// Minor page faults a step; `None` as above.
    pub minor_faults: Option<f64>,
    /// The largest resident memory of the process so far, in bytes; `None` as above.
    pub peak_bytes: Option<u64>,
    /// Time by operation, if it was asked for.
    pub operations: Option<Operations>,
}

impl StepBench {
    /// Checks everything that can be checked without the device.
    ///
    /// # Errors
    /// No steps, fewer than two images, images too small, more than any device takes of these, operations of another device than the CPU, kernels of the CPU.
    pub fn validate(&self) -> Result<()> {
        let Self { steps, warmup, batch_size, image_size, .. } = *self;
        let in_range = (1..=MOST_STEPS).contains(&steps)
            && warmup <= MOST_STEPS
            && (2..=MOST_IMAGES).contains(&batch_size)
            && (32..=MOST_PX).contains(&image_size);
        if !in_range {
            let found = format!("{steps} steps of {batch_size} images of {image_size} px after {warmup}");
            let expected = format!(
                "at least 1 step, 2 images, 32 px, and at most {MOST_STEPS} steps, {MOST_IMAGES} images, {MOST_PX} px"
            );
            return Err(Error::Setting { key: "bench".into(), found, expected });
        }
        let mut moco = MocoConfig::new();
        moco.queue_size = self.queue_size;
        moco.validate(batch_size)?;
        if self.by_operation && !self.device.is_cpu() {
            let (found, expected) = (format!("by operation on device {}", self.device), "device cpu".to_owned());
            return Err(Error::Setting { key: "bench".into(), found, expected });
        }
        if self.trace && self.device.is_cpu() {
            let (found, expected) = ("a trace of kernels on device cpu".to_owned(), "the device of a GPU".to_owned());
            return Err(Error::Setting { key: "bench".into(), found, expected });
        }
        Ok(())
    }

    /// Runs the benchmark.
    ///
    /// # Errors
    /// Settings out of range; a device that is not available, fails, runs out of memory or does not offer the precision.
    pub fn run(&self) -> Result<StepReport> {
        let mut warm = self.start()?;
        let measured = warm.turn(self.steps)?;
        guard(self.device, || {
            let step_ms = median(measured.step_ms.clone());
            Ok(StepReport {
                bench: self.clone(),
                adapter: warm.adapter.name.clone(),
                compiler: warm.adapter.compiler.clone(),
                images_per_s: 1e3 * self.batch_size as f64 / step_ms,
                step_ms,
                phases_ms: phases(&mut warm.stepper, &warm.batch, self.steps.min(5))?,
                measured,
                kernels: if self.trace { launches::trace(&mut warm.stepper, &warm.batch)? } else { Vec::new() },
                device_bytes: warm.adapter.device.memory_pool_usage().map(|usage| usage.bytes_reserved),
                first_step_s: warm.first_step_s,
                cudnn: if warm.adapter.backend == Backend::Cuda { cudnn_use() } else { None },
            })
        })
    }

    /// Refuses what a CPU has no memory for, which would end the process. A GPU says it itself, after the batch was made.
    fn check_memory(&self) -> Result<()> {
        let mut settings = PretrainSettings::named("small", "")?;
        (settings.arch, settings.views.size) = (self.arch, self.image_size);
        (settings.train.batch_size, settings.train.moco.queue_size) = (self.batch_size, self.queue_size);
        let batch = 2 * self.batch_size as u64 * (self.image_size as u64).pow(2);
        let needed = if self.device.is_cpu() { MemoryEstimate::of(&settings).total() } else { batch };
        match available_memory() {
            Some(there) if needed > there => Err(Error::Setting {
                key: "bench".into(),
                found: format!("steps that need about {:.1} GB", needed as f64 / 1e9),
                expected: format!("at most the {:.1} GB that are available", there as f64 / 1e9),
            }),
            _ => Ok(()),
        }
    }

    /// Makes the steps before the measurement.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn start(&self) -> Result<WarmBench> {
        self.validate()?;
        self.check_memory()?;
        let adapter = self.device.adapter()?;
        guard(self.device, || {
            // First, lest its memory count as that of the steps.
            let machine = self.by_operation.then(|| Machine::measure(&adapter.device));
            let mut moco = MocoConfig::new();
            moco.queue_size = self.queue_size;
            let (network, optimizer) = (NetworkConfig::new(self.arch), OptimizerConfig::new(Rule::SGD, 1e-4));
            let mut stepper = Stepper::random(&network, self.precision, &moco, optimizer, &adapter.device)?;
            let batch = synthetic_batch(self.batch_size, self.image_size);
            let first_step_s = stepper.timed(&batch, LR, None)?;
            for _ in 1..self.warmup.max(1) {
                stepper.timed(&batch, LR, None)?;
            }
            Ok(WarmBench { bench: self.clone(), adapter, stepper, batch, first_step_s, machine })
        })
    }
}

/// A benchmark after its first steps, ready to measure.
#[derive(Debug)]
pub struct WarmBench {
    bench: StepBench,
    adapter: Adapter,
    stepper: Stepper<Network>,
    batch: HostBatch,
    first_step_s: f64,
    machine: Option<Machine>,
}

impl WarmBench {
    /// Makes and measures some steps, at least one.
    ///
    /// # Errors
    /// A device that fails or runs out of memory.
    pub fn turn(&mut self, steps: usize) -> Result<Turn> {
        let Self { bench, stepper, batch, machine, .. } = self;
        guard(bench.device, || {
            cpu_times::record(bench.by_operation);
            cpu_times::take();
            let (mut step_ms, mut operations) = (Vec::new(), Vec::new());
            let (before, start) = (Process::now(), Instant::now());
            for _ in 0..steps.max(1) {
                step_ms.push(1e3 * stepper.timed(batch, LR, None)?);
                operations.extend(bench.by_operation.then(cpu_times::take));
            }
            let wall = start.elapsed().as_secs_f64();
            let after = Process::now();
            cpu_times::record(false);
            let used = before.zip(after);
            let n = step_ms.len() as f64;
            Ok(Turn {
                operations: machine.map(|machine| Operations::of(&step_ms, &operations, machine)),
                step_ms,
                threads: rayon::current_num_threads(),
                busy_cores: used.map(|(a, b)| (b.processor_s - a.processor_s) / wall),
                minor_faults: used.map(|(a, b)| (b.minor_faults - a.minor_faults) as f64 / n),
                peak_bytes: after.map(|after| after.peak_bytes),
            })
        })
    }
}

/// Medians of the parts of `steps` steps, made part by part with a wait after each.
fn phases(stepper: &mut Stepper<Network>, batch: &HostBatch, steps: usize) -> Result<Phases> {
    let mut times: [Vec<f64>; 5] = Default::default();
    for index in 0..steps as u64 {
        let batch = batch.clone();
        let mut start = Instant::now();
        by_phase(stepper, batch, index, |phase, device| {
            wait(device)?;
            let now = Instant::now();
            times[phase as usize].push(1e3 * now.duration_since(start).as_secs_f64());
            start = now;
            Ok(())
        })?;
    }
    let [upload, forward_query, forward_key, backward, update] = times.map(median);
    Ok(Phases { upload, forward_query, forward_key, backward, update })
}
