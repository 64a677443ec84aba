//! `moco-cxr bench`.

use std::io::{self, Write};

use clap::{Args, ValueEnum};
use moco_cxr::{
    DeviceChoice,
    backbones::{Arch, Precision, cpu_times::Part},
    check::{KernelUse, Operations, Phase, StepBench, StepReport, WarmBench},
    eval::Table,
};

use crate::{
    Fault,
    flags::{
        bad_argument::OrBadArgument,
        device::DeviceArguments,
        output::{JsonArguments, print_json},
    },
    terminal::print::out,
};

/// Measure the speed of this machine.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  moco-cxr bench step --device cpu --batch-size 8 --steps 5 --by-operation
  RAYON_NUM_THREADS=1 moco-cxr bench step --device cpu --batch-size 8 --steps 5
  moco-cxr bench step --device cuda --arch resnet18 --image-size 224 --batch-size 256 --precision bf16 --json

On the CPU the kernels run on as many threads as there are processors, or as many as RAYON_NUM_THREADS says.")]
pub(crate) struct Arguments {
    /// step: one pretraining step (images per second, milliseconds of its parts, memory).
    what: What,
    #[command(flatten)]
    device: DeviceArguments,
    /// Architecture: resnet18, resnet34, resnet50, densenet121 or resnet18-narrow.
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
    /// On the CPU: also the time of each kind of operation, and the rate of each convolution beside that of a product of
    /// large matrices.
    #[arg(long)]
    by_operation: bool,
    /// On a GPU: also count the kernels that a step launches, and time each on the device.
    #[arg(long, conflicts_with = "turns")]
    trace: bool,
    /// Measure by turns: each line of standard input is a number of steps to make, each line of output the JSON of their
    /// measurement. For comparisons, such as benches/step.py.
    #[arg(long, conflicts_with_all = ["json", "steps"])]
    turns: bool,
    #[command(flatten)]
    output: JsonArguments,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum What {
    Step,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Fault> {
    let What::Step = arguments.what;
    let bench = arguments.bench()?;
    if arguments.turns {
        return take_turns(bench.start()?);
    }
    let report = bench.run()?;
    if arguments.output.json {
        return print_json(&report);
    }
    out!("{}", text(&report))
}

impl Arguments {
    fn bench(&self) -> Result<StepBench, Fault> {
        let device = DeviceChoice::Auto;
        let Self { arch, image_size, batch_size, moco_k, precision, warmup, steps, .. } = *self;
        let bench = StepBench {
            device,
            arch,
            image_size,
            batch_size,
            queue_size: moco_k,
            precision,
            warmup,
            steps,
            by_operation: false,
            trace: false,
        };
        bench.validate().or_bad_argument()?;
        let bench = StepBench {
            device: self.device.choose(device, false)?,
            by_operation: self.by_operation,
            trace: self.trace,
            ..bench
        };
        bench.validate().or_bad_argument()?;
        Ok(bench)
    }
}

/// Says that it is warm by an empty object, then answers requests until the input ends.
fn take_turns(mut bench: WarmBench) -> Result<(), Fault> {
    let mut out = io::stdout().lock();
    writeln!(out, "{{}}")?;
    out.flush()?;
    for line in io::stdin().lines() {
        let line = line?;
        let steps = line.trim().parse();
        let steps = steps.map_err(|_| format!("standard input: found {line:?}, expected a number of steps"))?;
        writeln!(out, "{}", serde_json::to_string(&bench.turn(steps)?)?)?;
        out.flush()?;
    }
    Ok(())
}

fn text(report: &StepReport) -> String {
    let StepReport { bench, adapter, measured, phases_ms: phases, .. } = report;
    let (least, most) = (measured.step_ms.iter().copied(), measured.step_ms.iter().copied());
    let (least, most) = (least.fold(f64::INFINITY, f64::min), most.fold(0.0, f64::max));
    let mut text = format!(
        "{:?}, {} px, batch {}, {adapter}: {:.1} images/s\nstep {:.1} ms (median of {}, from {least:.1} to {most:.1}); upload {:.1}, query \
         {:.1}, key {:.1}, loss and backward {:.1}, update {:.1} ms\n",
        bench.arch,
        bench.image_size,
        bench.batch_size,
        report.images_per_s,
        report.step_ms,
        measured.step_ms.len(),
        phases.upload,
        phases.forward_query,
        phases.forward_key,
        phases.backward,
        phases.update
    );
    if let (Some(busy), Some(faults), Some(peak)) = (measured.busy_cores, measured.minor_faults, measured.peak_bytes) {
        let (threads, peak) = (measured.threads, peak as f64 / 1e6);
        text += &format!(
            "{busy:.2} cores busy ({threads} threads), {faults:.0} page faults a step, at most {peak:.0} MB resident\n"
        );
    }
    if let Some(bytes) = report.device_bytes {
        text += &format!("{:.0} MB of the device's memory\n", bytes as f64 / 1e6);
    }
    if let Some(used) = &report.cudnn {
        let why = used.reason.as_ref().map_or(String::new(), |reason| format!(" ({reason})"));
        let (passes, elsewhere) = (used.passes, used.elsewhere);
        text += &format!("passes of convolutions: {passes} by cuDNN, {elsewhere} by this program's own kernels{why}\n");
    }
    if let Some(operations) = &measured.operations {
        text += &format!("\n{}\n{}", parts(operations, report.step_ms), convolutions(operations));
    }
    if report.bench.trace {
        text += &format!("\n{}", kernels(&report.kernels));
    }
    text
}

/// Kernels of a step in the order of its parts, those with the most launches first.
fn kernels(kernels: &[KernelUse]) -> String {
    let mut table = Table::new(["part", "launches", "ms of the device", "kernel"]);
    for phase in Phase::ALL {
        let mut of: Vec<_> = kernels.iter().filter(|kernel| kernel.phase == phase).collect();
        of.sort_by_key(|kernel| std::cmp::Reverse(kernel.launches));
        for kernel in of {
            let ms = kernel.device_ms.map_or(String::new(), |ms| format!("{ms:.3}"));
            table.push([format!("{phase:?}"), kernel.launches.to_string(), ms, kernel.kernel.clone()]);
        }
    }
    let all: u64 = kernels.iter().map(|kernel| kernel.launches).sum();
    format!("{all} launches a step\n\n{}", table.to_markdown())
}

fn parts(operations: &Operations, step_ms: f64) -> String {
    let mut table = Table::new(["part", "ms a step", "%", "calls", "rate"]);
    for part in &operations.parts {
        let unit = match part.part {
            Part::ConvForward | Part::ConvInputGrad | Part::ConvWeightGrad => "GFLOP/s",
            _ => "GB/s",
        };
        let rate = part.rate.map_or(String::new(), |rate| format!("{rate:.1} {unit}"));
        let (ms, percent) = (format!("{:.2}", part.ms), format!("{:.1}", part.percent));
        table.push([part.part.name().to_owned(), ms, percent, part.calls.to_string(), rate]);
    }
    let (ms, percent) = (operations.rest_ms, 100.0 * operations.rest_ms / step_ms);
    table.push(["rest".to_owned(), format!("{ms:.2}"), format!("{percent:.1}")]);
    format!("Memory (a copy of 67 MB, read and written): {:.1} GB/s\n\n{}", operations.copy_gbs, table.to_markdown())
}

fn convolutions(operations: &Operations) -> String {
    let mut table = Table::new(["convolution", "input", "pass", "calls", "ms a step", "GFLOP/s", "% of peak"]);
    for conv in &operations.convolutions {
        let ([kh, kw], [h, w], stride, n) = (conv.shape.kernel, conv.shape.side, conv.shape.stride, conv.shape.batch);
        let stride = if stride == 1 { String::new() } else { format!(", stride {stride}") };
        table.push([
            format!("{kh}x{kw}{stride}, {} to {}", conv.shape.input, conv.shape.output),
            format!("{n} x {} x {h} x {w}", conv.shape.input),
            conv.part.name().trim_start_matches("convolution, ").to_owned(),
            conv.calls.to_string(),
            format!("{:.2}", conv.ms),
            format!("{:.0}", conv.gflops),
            format!("{:.0}", conv.percent_of_peak),
        ]);
    }
    format!("Peak (product of two large matrices): {:.0} GFLOP/s\n\n{}", operations.peak_gflops, table.to_markdown())
}
