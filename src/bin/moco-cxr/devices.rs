//! `moco-cxr devices`.

use clap::Args;
use moco_cxr::{
    DeviceChoice,
    device::{Adapter, Backend, cudnn, devices, idle_gpu},
};

use crate::{
    Fault,
    flags::output::{JsonArguments, print_json},
    terminal::print::outln,
};

/// List the available devices, and why others are not available.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  moco-cxr devices")]
pub(crate) struct Arguments {
    #[command(flatten)]
    output: JsonArguments,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Fault> {
    let reports = devices();
    if arguments.output.json {
        return print_json(&reports);
    }
    for report in &reports {
        for adapter in &report.adapters {
            outln!("{}", line(adapter))?;
        }
        if let Some(reason) = &report.unavailable {
            outln!("{:<9} not available: {reason}", report.backend.name())?;
        }
    }
    let first = DeviceChoice::Auto.adapter()?;
    outln!("\nauto takes {}, if it passes its self-test", DeviceChoice::On(first.backend, first.index))?;
    idle_gpu().map_or(Ok(()), |text| outln!("{text}"))
}

fn line(adapter: &Adapter) -> String {
    let mut parts = vec![adapter.name.clone()];
    parts.extend(adapter.memory_mib.map(|mib| format!("{mib} MiB")));
    parts.extend(adapter.driver.as_ref().map(|driver| format!("driver {driver}")));
    parts.push(format!("compiler {}", adapter.compiler));
    if let (Backend::Cuda, Some(found)) = (adapter.backend, cudnn()) {
        parts.push(match found {
            Ok(version) => format!("convolutions by cuDNN {version}"),
            Err(reason) => format!("no cuDNN ({reason})"),
        });
    }
    if adapter.software {
        parts.push("software, needs --allow-software".into());
    }
    format!("{:<9} {}", DeviceChoice::On(adapter.backend, adapter.index).to_string(), parts.join("; "))
}
