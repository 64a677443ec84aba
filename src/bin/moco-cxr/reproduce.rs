//! `moco-cxr reproduce`.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};
use moco_cxr::{
    Cost, DrawRule, Existing, Fit, LinearData, LinearProtocol, NotMade, PaperTable, ProbeSettings, Reproduced,
    Reproduction, RunFolder, ValidFrom,
    cxr_data::{Dataset, LabelPolicy, OnBad},
    eval::{Bootstrap, write_new},
    reproduction_conditions, reproduction_table,
};

use crate::{Fault, bad_argument::BadArgument, device::DeviceArguments, fetch::fetch};

/// A table of the paper beside ours: the paper's value and interval, ours, and whether ours lies in it.
///
/// With --data, every model that --results lacks is trained and evaluated there, as far as --weights are known; an
/// interrupted run goes on where it was. Without, the table is filled from what is there. A cell that cannot be had says why.
///
/// table1: improvement over ImageNet, CheXpert. table2: rate of the pretraining, Shenzhen. app1: AUROC, CheXpert.
/// app2: AUROC, Shenzhen. app3: improvement, Shenzhen. app4: other CheXpert tasks, linear. app5: the same, end to end.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  moco-cxr reproduce table1 --results results --data CheXpert-v1.0-small --test-data CheXpert-test --weights resnet18-moco=runs/first --out table1"
)]
pub(crate) struct Arguments {
    /// Which table.
    #[arg(value_enum)]
    table: Which,
    /// Folder with a folder a model: resnet18-moco-linear, densenet121-imagenet-finetune, ...
    #[arg(long, value_name = "DIR")]
    results: PathBuf,
    /// Make what is missing with this data set: CheXpert, or Shenzhen for table2, app2 and app3.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Folder whose valid part is chosen on; nothing is reported on it. [default: the valid part of --data]
    #[arg(long, value_name = "DIR", requires = "data")]
    valid_data: Option<PathBuf>,
    /// Folder whose test part is reported on. [default: that of --data]
    #[arg(long, value_name = "DIR", requires = "data")]
    test_data: Option<PathBuf>,
    /// Layout of the data.
    #[arg(long, default_value_t, requires = "data")]
    dataset: Dataset,
    /// What models begin from, as resnet18-moco=RUN, resnet18-moco-lr1e-3=FILE, densenet121-moco=moco-cxr:d1w-00001; may be
    /// repeated. ImageNet's are found without.
    #[arg(long, value_name = "MODEL=WEIGHTS", requires = "data", value_parser = named)]
    weights: Vec<(String, String)>,
    /// How linear models are fitted: faithful, as the paper, or standard, on features computed once.
    #[arg(long, value_enum, default_value_t = Protocol::Faithful, requires = "data")]
    protocol: Protocol,
    /// Whose labels are drawn: paper (its own draws), or patients (whole ones).
    #[arg(long, value_name = "RULE", default_value_t = DrawRule::Paper, requires = "data")]
    label_draws: DrawRule,
    /// Passes over the labelled images. [default: the paper's]
    #[arg(long, requires = "data")]
    epochs: Option<usize>,
    /// Side of the images in pixels, where weights do not say it. [default: 320 for MoCo's, 224 for ImageNet's]
    #[arg(long, value_name = "PX", requires = "data")]
    image_size: Option<usize>,
    /// What becomes of labels, as uncertain=ignore,not-mentioned=negative,views=all.
    #[arg(long, default_value_t, requires = "data")]
    policy: LabelPolicy,
    /// Go on when the pretraining images are gone and cannot be checked for test patients.
    #[arg(long, requires = "data")]
    unchecked_pretraining: bool,
    /// Threads that decode; 0 for one per core.
    #[arg(long, short = 'j', default_value_t = 0)]
    workers: usize,
    #[command(flatten)]
    device: DeviceArguments,
    /// Print which models are missing and what the table costs; compute nothing.
    #[arg(long)]
    dry_run: bool,
    /// Images a second that one network sees on your machine, for the hours of --dry-run.
    #[arg(long, value_name = "RATE", requires = "dry_run")]
    images_per_second: Option<f64>,
    /// Patient-clustered percentile intervals instead of the paper's.
    #[arg(long)]
    clustered: bool,
    /// Seed of splits, draws, heads, order and bootstrap.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// New or empty folder for the table as Markdown, CSV, HTML and JSON.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// No progress.
    #[arg(long, short)]
    quiet: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Which {
    Table1,
    Table2,
    App1,
    App2,
    App3,
    App4,
    App5,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Protocol {
    Faithful,
    Standard,
}

fn named(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, source)) if !name.is_empty() && !source.is_empty() => Ok((name.to_owned(), source.to_owned())),
        _ => Err("expected MODEL=WEIGHTS, as resnet18-moco=runs/first".to_owned()),
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Fault> {
    let table = PaperTable::ALL[arguments.table as usize];
    let Arguments { results, data, out, .. } = arguments;
    check_names(table, &arguments.weights)?;
    if arguments.epochs == Some(0) {
        return Err(BadArgument::fault("--epochs: found 0, expected at least 1"));
    }
    if let Some(out) = out {
        RunFolder::check(out, Existing::Refuse)?;
    }
    let missing: Vec<Fit> = table.fits().into_iter().filter(|fit| !fit.is_made(results)).collect();
    if arguments.dry_run {
        dry_run(table, &missing, arguments);
        return Ok(());
    }
    let not_made = match data {
        Some(data) => make(table, data, &missing, arguments)?,
        None if results.is_dir() => Vec::new(),
        None => return Err(format!("{}: no such folder of results", results.display()).into()),
    };
    let bootstrap = match arguments.clustered {
        true => Bootstrap { seed: arguments.seed, ..Bootstrap::default() },
        false => Bootstrap::paper(arguments.seed),
    };
    let mut cells = table.reproduce(results, &bootstrap)?;
    explain(&mut cells, &not_made);
    let conditions = reproduction_conditions(&cells);
    let printed = reproduction_table(&cells);
    let text = match conditions.is_empty() {
        true => printed.to_markdown(),
        false => format!("{}\nOurs:\n\n- {}\n", printed.to_markdown(), conditions.join("\n- ")),
    };
    if let Some(out) = out {
        RunFolder::open(out, Existing::Refuse)?;
        let file = |ending: &str| out.join(format!("{}.{ending}", table.name()));
        write_new(&file("md"), format!("# {}\n\n{text}", table.title()).as_bytes())?;
        write_new(&file("csv"), printed.to_csv().as_bytes())?;
        write_new(&file("html"), printed.to_html().as_bytes())?;
        write_new(&file("json"), serde_json::to_string_pretty(&cells)?.as_bytes())?;
    }
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&cells)?);
        return Ok(());
    }
    println!("{}\n\n{text}", table.title());
    let (had, inside) = (
        cells.iter().filter(|cell| cell.ours.is_some()).count(),
        cells.iter().filter(|cell| cell.inside == Some(true)).count(),
    );
    println!("{had} of {} cells, {inside} of them inside the paper's interval", cells.len());
    if data.is_none() && !missing.is_empty() {
        print_command(table, &missing, arguments);
    }
    Ok(())
}

/// Makes what is missing, on a device that is chosen only if there is something to do.
fn make(table: PaperTable, data: &Path, missing: &[Fit], arguments: &Arguments) -> Result<Vec<NotMade>, Fault> {
    if missing.is_empty() {
        return Ok(Vec::new());
    }
    let mut probe = ProbeSettings::new(Vec::new());
    (probe.policy, probe.seed, probe.draw_rule) = (arguments.policy, arguments.seed, arguments.label_draws);
    probe.bootstrap.seed = arguments.seed;
    if arguments.workers > 0 {
        probe.workers = arguments.workers;
    }
    let reproduction = Reproduction {
        table,
        results: arguments.results.clone(),
        weights: arguments.weights.iter().cloned().collect::<BTreeMap<_, _>>(),
        data: LinearData {
            train: data.to_owned(),
            test: arguments.test_data.clone(),
            dataset: arguments.dataset,
            on_bad: OnBad::Fail,
            patient_regex: None,
        },
        valid: arguments.valid_data.clone().map_or(ValidFrom::HeldOut(arguments.seed), ValidFrom::Folder),
        probe,
        linear: match arguments.protocol {
            Protocol::Faithful => LinearProtocol::Faithful,
            Protocol::Standard => LinearProtocol::Standard,
        },
        epochs: arguments.epochs,
        image_size: arguments.image_size,
        unchecked_pretraining: arguments.unchecked_pretraining,
    };
    let quiet = arguments.quiet;
    let mut not_made = Vec::new();
    arguments.device.guarded(quiet, || {
        for fits in missing.chunk_by(|one, other| one.arm == other.arm) {
            let arm = fits[0].arm;
            // One that cannot be had leaves the cells of its models empty, with the reason.
            if let Some(source) = reproduction.source(arm)
                && let Err(fault) = fetch(source, arm.arch.parse().ok(), quiet)
                && !quiet
            {
                eprintln!("note: {}: {fault}", arm.start());
            }
        }
        let device = arguments.device.select()?;
        not_made = reproduction.make(&device, &mut |text| {
            if !quiet {
                eprintln!("note: {text}");
            }
        })?;
        Ok(())
    })?;
    Ok(not_made)
}

/// A misspelt model would be one whose weights are never used.
fn check_names(table: PaperTable, weights: &[(String, String)]) -> Result<(), Fault> {
    let mut starts: Vec<String> = table.fits().iter().map(|fit| fit.arm.start()).collect();
    starts.dedup();
    match weights.iter().find(|(name, _)| !starts.contains(name)) {
        Some((name, _)) => {
            starts.sort();
            starts.dedup();
            let expected = format!("one of {} for {}", starts.join(", "), table.name());
            Err(BadArgument::fault(format!("--weights: found {name:?}, expected {expected}")))
        }
        None => Ok(()),
    }
}

/// Where a cell has no number because a fit could not be made, that is why.
fn explain(cells: &mut [Reproduced], not_made: &[NotMade]) {
    for cell in cells.iter_mut().filter(|cell| cell.ours.is_none()) {
        let models = cell.models.iter().map(|model| &model.folder).collect::<Vec<_>>();
        let of_cell =
            |fit: &Fit| fit.fraction == cell.fraction && fit.task == cell.task && models.contains(&&fit.arm.folder());
        let mut reasons: Vec<&str> =
            not_made.iter().filter(|made| of_cell(&made.fit)).map(|made| made.reason.as_str()).collect();
        reasons.dedup();
        if !reasons.is_empty() {
            cell.missing = Some(reasons.join("; "));
        }
    }
}

/// The command that makes the missing models, with what the user knows in capitals.
fn print_command(table: PaperTable, missing: &[Fit], arguments: &Arguments) {
    let mut starts: Vec<String> =
        missing.iter().map(|fit| fit.arm.start()).filter(|start| !start.ends_with("-imagenet")).collect();
    starts.sort();
    starts.dedup();
    let weights: String = starts
        .iter()
        .map(|start| format!(" --weights {start}={}_RUN", start.to_uppercase().replace('-', "_")))
        .collect();
    let results = arguments.results.display();
    println!("\nMissing models are made by (capitals are yours to fill in):");
    println!("  moco-cxr reproduce {} --results {results} --data DATA{}{weights}", table.name(), test_data(table));
}

/// CheXpert's test part lies in a folder of its own.
fn test_data(table: PaperTable) -> &'static str {
    if is_shenzhen(table) { "" } else { " --test-data TEST_DATA" }
}

fn is_shenzhen(table: PaperTable) -> bool {
    matches!(table, PaperTable::Table2 | PaperTable::App2 | PaperTable::App3)
}

/// What is missing takes on the set the paper used, with the images of its training and validation parts and the studies of
/// its test part.
fn dry_run(table: PaperTable, missing: &[Fit], arguments: &Arguments) {
    /// Of a row of scores, in bytes: path, patient, study, label, score.
    const ROW: f64 = 120.0;
    let (set, images, valid, test) = match is_shenzhen(table) {
        true => ("Shenzhen", 430.0, 99.0, 133.0),
        false => ("CheXpert", 223_414.0, 234.0, 500.0),
    };
    let (all, cost) = (Cost::of(&table.fits(), images, valid), Cost::of(missing, images, valid));
    println!("{}\n", table.title());
    println!(
        "{} of {} fits are missing, on {set} ({images} training and {valid} validation images): {:.1} million images through a network by the paper's epochs",
        cost.fits,
        all.fits,
        cost.images / 1e6
    );
    match arguments.images_per_second {
        Some(rate) => println!("about {:.1} hours at {rate} images a second", cost.images / rate / 3600.0),
        None => println!("give --images-per-second to see hours"),
    }
    println!("about {:.1} MB of scores on disk", cost.fits as f64 * test * ROW / 1e6);
    println!("linear models by the standard protocol see every image once for all fractions instead");
    if !missing.is_empty() && arguments.data.is_none() {
        print_command(table, missing, arguments);
    }
}
