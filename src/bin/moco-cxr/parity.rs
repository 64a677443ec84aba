//! `moco-cxr parity`.

use std::ops::RangeInclusive;

use clap::Args;
use moco_cxr::{
    DeviceChoice,
    backbones::{Arch, NetworkConfig, Precision},
    check::{ParityReport, parity, self_test, synthetic_batch},
    cxr_data::ViewConfig,
    device::{Backend, cudnn, cudnn_use, devices},
    load_weights,
};

use crate::{
    Fault,
    flags::{
        CUDNN_NOTE,
        bad_argument::BadArgument,
        describe, in_child,
        output::{JsonArguments, print_json},
    },
    terminal::{
        fetch::fetch,
        print::{self, errln, outln},
    },
};

/// Compare every device with the CPU: features of the same network and batch, and three steps of momentum contrast.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  moco-cxr parity --weights runs/first\n\nThe exit status is 1 if a difference exceeds its bound: ten times the change on the CPU when every weight is rounded\nto the precision of the device (three times with --precision bf16)."
)]
pub(crate) struct Arguments {
    /// Weights: the folder of a run or an export, a weight file, moco-cxr:NAME, imagenet or random, of the architecture that
    /// --arch says.
    #[arg(long, value_name = "RUN|FILE|NAME", default_value = "random")]
    weights: String,
    /// Architecture: resnet18, resnet34, resnet50, densenet121 or resnet18-narrow. [default: detected from the tensors;
    /// resnet18 if random]
    #[arg(long, short)]
    arch: Option<Arch>,
    /// Compare only this device; may be repeated. [default: all except software adapters, and with --precision bf16 those of WGSL,
    /// which does not have it]
    #[arg(long = "device", value_name = "DEVICE")]
    devices: Vec<DeviceChoice>,
    /// Allow software adapters, which emulate a GPU on the CPU.
    #[arg(long)]
    allow_software: bool,
    /// Image side in pixels.
    #[arg(long, value_name = "PX", default_value_t = 64)]
    image_size: usize,
    /// Images in the batch.
    #[arg(long, short, default_value_t = 8)]
    batch_size: usize,
    /// Precision of the activations, on the CPU and on the device: f32 or bf16.
    #[arg(long, value_name = "PRECISION", default_value_t = Precision::F32)]
    precision: Precision,
    #[command(flatten)]
    output: JsonArguments,
    /// Run in this process instead of one child process per device.
    #[arg(long, hide = true)]
    in_process: bool,
    /// Compare a network of two convolutions instead, as before anything is trained on a device: little amplifies rounding there.
    #[arg(long, conflicts_with_all = ["weights", "arch", "image_size", "batch_size"])]
    self_test: bool,
}

/// Sides of an image in pixels, and images of a batch.
const SIDES: RangeInclusive<usize> = 32..=ViewConfig::MAX_SIZE;
const MOST_IMAGES: usize = 4096;

pub(crate) fn run(arguments: &Arguments) -> Result<(), Fault> {
    if !(2..=MOST_IMAGES).contains(&arguments.batch_size) || !SIDES.contains(&arguments.image_size) {
        let found = format!("{} images of {} px", arguments.batch_size, arguments.image_size);
        return Err(BadArgument::found(
            "--batch-size, --image-size",
            found,
            format!("2 to {MOST_IMAGES} of {} to {} px", SIDES.start(), SIDES.end()),
        ));
    }
    if arguments.in_process {
        let [choice] = arguments.devices[..] else { return Err("expected one --device with --in-process".into()) };
        print::json(&serde_json::to_string(&arguments.compare(choice)?)?)?;
        note_cudnn();
        return Ok(());
    }
    let choices = arguments.choices();
    if choices.is_empty() {
        if DeviceChoice::Auto.is_cpu() {
            return Err("this build has no GPU backend; see docs/devices.md for the features that have one".into());
        }
        let which = if arguments.precision == Precision::Bf16 { " that may offer bf16 (WGSL does not)" } else { "" };
        let hint = if arguments.allow_software { "" } else { " (software adapters need --allow-software)" };
        return Err(format!("no device other than the CPU{which} was found; see moco-cxr devices{hint}").into());
    }
    let (size, batch) = (arguments.image_size.to_string(), arguments.batch_size.to_string());
    let precision = arguments.precision.to_string();
    let mut options = vec!["--precision", &precision];
    if arguments.self_test {
        options.push("--self-test");
    } else {
        options.extend(["--weights", &arguments.weights, "--image-size", &size, "--batch-size", &batch]);
        options.extend(arguments.arch.iter().flat_map(|arch| ["--arch", arch.name()]));
    }
    let (mut reports, mut faults) = (Vec::new(), Vec::new());
    for choice in choices {
        match in_child(&options, choice) {
            Ok(report) => reports.push(report),
            Err(fault) => faults.push(fault.to_string()),
        }
    }
    if arguments.output.json {
        print_json(&reports)?;
    } else {
        for report in &reports {
            outln!("{}", table(report))?;
        }
    }
    if reports.iter().any(|report| report.device == "cpu") {
        errln!("note: the CPU was compared with itself");
    }
    let far =
        reports.iter().filter(|r| !r.passed()).map(|r| format!("{} differs from the CPU: {}", r.device, describe(r)));
    faults.extend(far);
    if faults.is_empty() { Ok(()) } else { Err(faults.join("\n").into()) }
}

impl Arguments {
    fn choices(&self) -> Vec<DeviceChoice> {
        if !self.devices.is_empty() {
            return self.devices.clone();
        }
        let adapters = devices().into_iter().flat_map(|report| report.adapters);
        let wanted = adapters.filter(|a| a.backend != Backend::Cpu && (self.allow_software || !a.software));
        // Shaders in WGSL have no bf16: named, such a device is refused.
        let wanted = wanted.filter(|a| a.compiler != "WGSL" || self.precision == Precision::F32);
        wanted.map(|a| DeviceChoice::On(a.backend, a.index)).collect()
    }

    fn compare(&self, choice: DeviceChoice) -> Result<ParityReport, Fault> {
        if self.self_test {
            return Ok(self_test(choice, self.precision)?);
        }
        let cpu = DeviceChoice::CPU.select()?;
        let mut network = match self.weights.as_str() {
            "random" => NetworkConfig::new(self.arch.unwrap_or(Arch::ResNet18)).init(0, &cpu),
            weights => {
                fetch(weights, self.arch, true)?;
                load_weights(weights, self.arch, 0, &cpu)?.into_network()
            }
        };
        network.set_precision(self.precision);
        Ok(parity(&network, &synthetic_batch(self.batch_size, self.image_size), choice, self.precision)?)
    }
}

/// Says it if cuDNN is there and did not take every convolution. Where it is not there, the choice of the device says so.
fn note_cudnn() {
    if let (Some(Ok(_)), Some(used)) = (cudnn(), cudnn_use())
        && let Some(reason) = used.reason
    {
        let (elsewhere, all) = (used.elsewhere, used.passes + used.elsewhere);
        errln!("{CUDNN_NOTE} {elsewhere} of {all} passes went through this program's own kernels: {reason}");
    }
}

fn table(report: &ParityReport) -> String {
    let ParityReport { device, adapter, compiler, precision, rounding, .. } = report;
    let mut text = format!(
        "{device}: {adapter}, {compiler}, {precision}; relative to the largest value on the CPU, rounding {rounding:.1e}\n"
    );
    text += &format!("{:<14} {:>9} {:>9} {:>9}\n", "", "largest", "mean", "allowed");
    for (name, d) in report.parts() {
        text += &format!("{name:<14} {:>9.1e} {:>9.1e} {:>9.1e}\n", d.max, d.mean, d.bound);
    }
    text
}
