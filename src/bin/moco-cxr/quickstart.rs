//! `moco-cxr quickstart`.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use clap::Args;
use moco_cxr::{DeviceChoice, Error, Quickstart, files::Claim, quickstart::FirstResult};
use serde_json::json;

use crate::{
    Fault,
    flags::{
        device::DeviceArguments,
        new_name::new_name,
        output::{OutputArguments, print_json},
        seed::SeedArguments,
    },
    terminal::print::outln,
    terminal::{interrupt::Interrupt, progress::Progress},
};

/// Try everything on a synthetic set, in a minute and a half on two cores with AVX-512: no images, no labels and no download are
/// needed.
///
/// Draws a chest X-ray set, pretrains a ResNet18 on it without labels, and fits linear probes with 1 %, 10 % and 100 % of the
/// labels, beside the same network with random weights. Prints AUROC with 95 % intervals, where the report is, and what to do
/// next. The images are synthetic: the results show that the program works, and say nothing about patients.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  moco-cxr quickstart --out runs/quickstart-0")]
pub(crate) struct Arguments {
    /// New or empty folder for the set, the run and the report. [default: runs/quickstart-SEED]
    #[arg(long, value_name = "DIR", value_parser = new_name())]
    out: Option<PathBuf>,
    #[command(flatten)]
    seed: SeedArguments,
    #[command(flatten)]
    device: DeviceArguments,
    #[command(flatten)]
    output: OutputArguments,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Fault> {
    let begun = Instant::now();
    let (quiet, seed) = (arguments.output.quiet(), arguments.seed.seed());
    let out = arguments.out.clone().unwrap_or_else(|| PathBuf::from(format!("runs/quickstart-{seed}")));
    let mut quickstart = Quickstart::default();
    quickstart.seed = seed;
    quickstart.device = arguments.device.choose(DeviceChoice::Auto, quiet)?;
    // It is over in minutes and not worth a checkpoint: Ctrl-C ends it, and takes away what there is.
    let mut progress = Progress::new(quiet, false, 32, Interrupt::ends_at_once(), None);
    let _claim = Claim::name(&out)?;
    let found = quickstart.run(&out, &mut progress).map_err(|error| match error {
        Error::NotEmpty { .. } => Fault::from(format!("{error} (--out DIR for another, or delete it)")),
        other => other.into(),
    })?;
    progress.finish();
    let Some(found) = found else { return Ok(()) };
    let FirstResult { data, run, report, results, .. } = &found;
    if arguments.output.json() {
        let (seconds, results) = (begun.elapsed().as_secs_f64(), results.outcome().results());
        return print_json(
            &json!({ "data": data, "run": run, "report": report, "seconds": seconds, "results": results }),
        );
    }
    outln!("\n{}\n", found.summary)?;
    outln!("{}", results.outcome().table().to_markdown())?;
    outln!("{:.0} s; the report, for a browser: {}\n", begun.elapsed().as_secs_f64(), report.display())?;
    let (run, data, alike, heat) = (word(run), word(data), word(&out.join("alike")), word(&out.join("heat")));
    outln!("Which images the network finds alike, and where its heads look:")?;
    outln!("  moco-cxr neighbours --weights {run} --data {data} --out {alike}")?;
    outln!("  moco-cxr explain --weights {} --data {data} --out {heat}", word(&found.run.join("eval")))?;
    outln!("With radiographs of your own: what there is, and what a pretraining would take:")?;
    outln!("  moco-cxr audit --data FOLDER")?;
    outln!("  moco-cxr pretrain --data FOLDER --dry-run")
}

/// A path as a word for a shell.
fn word(path: &Path) -> String {
    let path = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@".contains(c);
    if path.chars().all(plain) { path } else { format!("'{}'", path.replace('\'', "'\\''")) }
}
