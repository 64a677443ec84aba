//! `moco-cxr pretrain --dry-run`.

use std::time::Duration;

use indicatif::HumanDuration;
use moco_cxr::{
    PretrainSettings,
    check::{MemoryEstimate, StepEstimate},
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
    let by_size = settings.train.moco.queue_size == 0;
    let settings = &settings.for_images(images);
    let (batch, train) = (settings.train.batch_size, &settings.train);
    let steps = train.steps_per_epoch(images);
    let problems = settings.forecast(images);
    let memory = MemoryEstimate::of(settings);
    let step = StepEstimate::measure(settings)?;
    let seconds = step.step_s * (steps * train.epochs) as f64;
    let device = settings.device.resolved();
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
        HumanDuration(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)),
        step.step_s,
        step.images,
    )?;
    if images < batch {
        outln!("# problem     fewer images than one batch of {batch}")?;
    }
    for problem in problems {
        outln!("# problem     {problem}")?;
    }
    Ok(())
}
