//! `moco-cxr report`.

use std::path::PathBuf;

use clap::Args;
use moco_cxr::{DeviceChoice, Report, ReportOptions, eval::Bootstrap};

use crate::{Fault, bad_argument::OrBadArgument};

/// One HTML file of a run: settings, data, curves, results with intervals. It is complete in itself and loads nothing.
///
/// What the run's folder holds is enough; what it lacks is said on the page, with the command that adds it. A report made
/// before is replaced, any other file is not.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  moco-cxr report runs/first\n  moco-cxr report runs/first --eval runs/first/finetune --features --out first.html"
)]
pub(crate) struct Arguments {
    /// Folder of a pretraining run.
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// Folder that linear or finetune left; may be repeated. [default: eval, linear, knn and finetune in RUN]
    #[arg(long, value_name = "DIR")]
    eval: Vec<PathBuf>,
    /// Folder of images for sample views, the map of the features and heat maps. [default: the run's own, without the last
    /// two]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Compute the map of the features and, for a fine-tuned network, heat maps.
    #[arg(long)]
    features: bool,
    /// Images of the map of the features, and among which those of the heat maps are chosen.
    #[arg(long, value_name = "N", default_value_t = ReportOptions::default().images)]
    images: usize,
    /// Bootstrap replicates of intervals and bands.
    #[arg(long, value_name = "N", default_value_t = ReportOptions::default().bootstrap.replicates)]
    replicates: usize,
    /// Seed of the bootstrap.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// auto or cpu.
    #[arg(long, default_value_t)]
    device: DeviceChoice,
    /// Heading of the page. [default: the name of the run's folder]
    #[arg(long)]
    title: Option<String>,
    /// The file. [default: RUN/report.html]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print nothing.
    #[arg(long, short)]
    quiet: bool,
}

pub(crate) fn run(arguments: Arguments) -> Result<(), Fault> {
    let Arguments { run, eval, data, features, images, replicates, seed, device, title, out, quiet } = arguments;
    let bootstrap = Bootstrap { replicates, seed, ..Bootstrap::default() };
    bootstrap.validate().or_bad_argument()?;
    let mut report = Report::read(&run, &ReportOptions { eval, data, features, images, bootstrap, device })?;
    if let Some(title) = title {
        report.title = title;
    }
    let out = out.unwrap_or_else(|| run.join("report.html"));
    report.write(&out)?;
    if !quiet {
        println!("report: {}", out.display());
    }
    Ok(())
}
