//! `moco-cxr report`.

use std::path::PathBuf;

use clap::Args;
use moco_cxr::{DeviceChoice, Report, ReportOptions, eval::Bootstrap, files::Claim};

use crate::{
    Fault,
    flags::{
        bad_argument::{BadArgument, OrBadArgument},
        new_name::new_name,
        output::QuietArguments,
        private::PrivateArguments,
        seed::SeedArguments,
    },
    terminal::print::outln,
};

/// Write the report of a run: settings, data, curves, and results with intervals in one self-contained HTML file.
///
/// The folder of the run is enough; for anything it lacks, the page shows the command that adds it. An earlier report is
/// replaced, any other file is not.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  moco-cxr report runs/first\n  moco-cxr report runs/first --eval runs/first/finetune --features --out first.html"
)]
pub(crate) struct Arguments {
    /// Folder of a pretraining run.
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// Folder of results from linear, knn or finetune; may be repeated. [default: eval, linear, knn and finetune in RUN]
    #[arg(long, value_name = "DIR")]
    eval: Vec<PathBuf>,
    /// Folder of images for sample views, feature map and heat maps. [default: the data of the run, for sample views only]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Also compute a map of the features and, for a fine-tuned network, heat maps.
    #[arg(long)]
    features: bool,
    /// Number of images in the feature map; those of the heat maps are chosen among them.
    #[arg(long, value_name = "N", default_value_t = ReportOptions::default().images)]
    images: usize,
    /// Number of bootstrap replicates for intervals and bands.
    #[arg(long, value_name = "N", default_value_t = ReportOptions::default().bootstrap.replicates)]
    replicates: usize,
    #[command(flatten)]
    seed: SeedArguments,
    /// Device to compute on: auto or cpu.
    #[arg(long, default_value_t)]
    device: DeviceChoice,
    #[command(flatten)]
    private: PrivateArguments,
    /// Heading of the page. [default: the name of the folder of the run, or none with --private]
    #[arg(long)]
    title: Option<String>,
    /// File to write. [default: RUN/report.html]
    #[arg(long, value_name = "FILE", value_parser = new_name())]
    out: Option<PathBuf>,
    #[command(flatten)]
    output: QuietArguments,
}

pub(crate) fn run(arguments: Arguments) -> Result<(), Fault> {
    let Arguments { run, eval, data, features, images, replicates, seed, device, private, title, out, output } =
        arguments;
    let bootstrap = Bootstrap { replicates, seed: seed.seed(), ..Bootstrap::default() };
    bootstrap.validate().or_bad_argument()?;
    if images == 0 {
        return Err(BadArgument::found("--images", 0, "at least 1"));
    }
    if !run.is_dir() {
        return Err(format!("{}: no such folder, expected that of a pretraining run", run.display()).into());
    }
    let out = out.unwrap_or_else(|| run.join("report.html"));
    let _claim = Claim::name(&out)?;
    let mut report = Report::read(
        &run,
        &ReportOptions { eval, data, features, images, bootstrap, device, private: private.private },
    )?;
    if let Some(title) = title {
        report.title = title;
    }
    report.write(&out)?;
    if !output.quiet {
        outln!("report: {}", out.display())?;
    }
    Ok(())
}
