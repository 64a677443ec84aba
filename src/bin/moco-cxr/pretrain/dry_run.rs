//! `moco-cxr pretrain --dry-run`.

use std::time::Duration;

use indicatif::HumanDuration;
use moco_cxr::{
    PretrainSettings,
    check::{MemoryEstimate, StartValues, StepEstimate, available_memory},
};
use serde_json::json;

use crate::{
    Fault,
    flags::output::print_json,
    terminal::print::{out, outln},
};

/// Prints the settings as TOML and the estimates as comments, so that the output can be used as a `--config`.
pub(crate) fn run(settings: &PretrainSettings, as_json: bool) -> Result<(), Fault> {
    settings.validate()?;
    let images = settings.count_images()?;
    let given = settings;
    let by_size = given.train.moco.queue_size == 0;
    let settings = &settings.for_images(images);
    let (batch, train) = (settings.train.batch_size, &settings.train);
    let steps = train.steps_per_epoch(images);
    let problems = settings.forecast(images);
    let memory = MemoryEstimate::of(settings);
    let step = StepEstimate::measure(settings)?;
    let seconds = step.step_s * (steps * train.epochs) as f64;
    let device = settings.device.resolved();
    // A GPU's memory is not known beforehand.
    let there = if settings.device.is_cpu() { available_memory() } else { None };
    let start = StartValues::propose(given, images, &step, there);
    if as_json {
        return print_json(&json!({
            "settings": settings,
            "images": images,
            "steps_per_epoch": steps,
            "steps": steps * train.epochs,
            "problems": problems,
            "parameters": memory.parameters,
            "memory": { "bytes": memory.total(), "parts": memory },
            "time": { "seconds": seconds, "step_s": step.step_s, "timed": step, "device": device },
            "start_values": start.as_ref().map(|start| json!({ "proposed": start, "flags": start.flags(given) })),
        }));
    }
    out!("{}", settings.to_toml()?)?;
    let mb = |bytes: u64| format!("{:.0} MB", bytes as f64 / 1e6);
    outln!("\n# parameters  {:.2} million in the query encoder with its head", memory.parameters as f64 / 1e6)?;
    outln!(
        "# memory      about {}, estimated: weights {}, gradients {}, optimiser {}, queue {}, activations {}, checkpoint {}, program {}",
        mb(memory.total()),
        mb(memory.weights),
        mb(memory.gradients),
        mb(memory.optimizer),
        mb(memory.queue),
        mb(memory.activations),
        mb(memory.checkpoint),
        mb(memory.program)
    )?;
    outln!("# data        {images} images, {steps} steps per epoch, {} in total", steps * train.epochs)?;
    if by_size {
        outln!("# queue       {} keys, by the size of the set", train.moco.queue_size)?;
    }
    outln!(
        "# time        about {}, estimated: {:.2} s per step, measured with {} random images per step on {device}, without reading images",
        lasting(seconds),
        step.step_s,
        step.images,
    )?;
    if images < batch {
        outln!("# problem     fewer images than one batch of {batch}")?;
    }
    for problem in problems {
        outln!("# problem     {problem}")?;
    }
    start.map_or(Ok(()), |start| proposals(&start, given, images))
}

/// Values to begin with, beside those that are set, and how to take them.
fn proposals(start: &StartValues, given: &PretrainSettings, images: usize) -> Result<(), Fault> {
    outln!("#\n# proposed for {images} images on this machine, not used by itself:")?;
    for proposal in &start.proposals {
        let set = if proposal.differs() { format!("(set: {})", proposal.set) } else { "(as set)".to_owned() };
        let value = format!("{} {}", proposal.flag, proposal.value);
        outln!("#   {value:<19} {set:<12} {}", proposal.reason)?;
    }
    match start.flags(given).as_str() {
        "" => outln!("# all of it is set"),
        flags => outln!("# to take it: {flags}   (about {})", lasting(start.seconds)),
    }
}

fn lasting(seconds: f64) -> HumanDuration {
    HumanDuration(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}
