//! `moco-cxr parity`.

use clap::Args;
use moco_cxr::{
    Backend, DeviceChoice, ParityReport,
    backbones::{Arch, NetworkConfig},
    devices, load_weights, parity, self_test, synthetic_batch,
};

use crate::{
    Fault,
    bad_argument::BadArgument,
    device::{describe, in_child},
};

/// Compare every device with the CPU: the same network and batch, features and three steps of momentum contrast.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  moco-cxr parity --weights runs/first\n\nExits with 1 when a difference exceeds its bound. A bound is ten times what rounding every weight to the device's\nprecision changes on the CPU."
)]
pub(crate) struct Arguments {
    /// Folder of a run or an export, a weight file, or random (a ResNet18).
    #[arg(long, value_name = "RUN|FILE|random", default_value = "random")]
    weights: String,
    /// Compare this device only; may be repeated. [default: all but software adapters]
    #[arg(long = "device", value_name = "DEVICE")]
    devices: Vec<DeviceChoice>,
    /// Software adapters too.
    #[arg(long)]
    allow_software: bool,
    /// Side of the images in pixels.
    #[arg(long, value_name = "PX", default_value_t = 64)]
    image_size: usize,
    /// Images of the batch.
    #[arg(long, short, default_value_t = 8)]
    batch_size: usize,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// In this process and not in one of its own for each device.
    #[arg(long, hide = true)]
    in_process: bool,
    /// With the smallest network that has a convolution and a normalisation.
    #[arg(long, hide = true)]
    self_test: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Fault> {
    if arguments.batch_size < 2 || arguments.image_size < 32 {
        let found = format!("{} images of {} px", arguments.batch_size, arguments.image_size);
        return Err(BadArgument::fault(format!(
            "--batch-size, --image-size: found {found}, expected at least 2 of 32 px"
        )));
    }
    if arguments.in_process {
        let [choice] = arguments.devices[..] else { return Err("expected one --device with --in-process".into()) };
        println!("{}", serde_json::to_string(&arguments.compare(choice)?)?);
        return Ok(());
    }
    let choices = arguments.choices();
    if choices.is_empty() {
        return Err(
            "no device besides the CPU was found; see moco-cxr devices (software adapters need --allow-software)"
                .into(),
        );
    }
    let (size, batch) = (arguments.image_size.to_string(), arguments.batch_size.to_string());
    let mut options = vec!["--weights", &arguments.weights, "--image-size", &size, "--batch-size", &batch];
    options.extend(arguments.self_test.then_some("--self-test"));
    let (mut reports, mut faults) = (Vec::new(), Vec::new());
    for choice in choices {
        match in_child(&options, choice) {
            Ok(report) => reports.push(report),
            Err(fault) => faults.push(fault.to_string()),
        }
    }
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&reports)?);
    } else {
        reports.iter().for_each(|report| println!("{}", table(report)));
    }
    let far = reports.iter().filter(|r| !r.passed()).map(|r| format!("{} differs: {}", r.device, describe(r)));
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
        wanted.map(|a| DeviceChoice::On(a.backend, a.index)).collect()
    }

    fn compare(&self, choice: DeviceChoice) -> Result<ParityReport, Fault> {
        if self.self_test {
            return Ok(self_test(choice)?);
        }
        let cpu = DeviceChoice::CPU.select()?;
        let network = match self.weights.as_str() {
            "random" => NetworkConfig::new(Arch::ResNet18).init(0, &cpu),
            weights => load_weights(weights, None, 0, &cpu)?.network,
        };
        Ok(parity(&network, &synthetic_batch(self.batch_size, self.image_size), choice)?)
    }
}

fn table(report: &ParityReport) -> String {
    let ParityReport { device, adapter, compiler, rounding, .. } = report;
    let mut text =
        format!("{device}: {adapter}, {compiler}; relative to the largest value on the CPU, rounding {rounding:.1e}\n");
    text += &format!("{:<14} {:>9} {:>9} {:>9}\n", "", "largest", "mean", "allowed");
    for (name, d) in report.parts() {
        text += &format!("{name:<14} {:>9.1e} {:>9.1e} {:>9.1e}\n", d.max, d.mean, d.bound);
    }
    text
}
