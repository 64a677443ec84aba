//! `moco-cxr reproduce`.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};
use moco_cxr::{
    DeviceChoice, Error, Protocol, Ranks, Sources, ValidFrom, Weights,
    data::DrawRule,
    eval::{Bootstrap, write_new},
    files::{Claim, NewFolder},
    reproduce::{
        Cost, Fit, LinearProtocol, NotMade, PaperTable, Reproduced, Reproduction, reproduction_conditions,
        reproduction_table,
    },
};

use crate::{
    Fault,
    flags::{
        bad_argument::{BadArgument, OrBadArgument},
        device::DeviceArguments,
        features::FeatureCacheArguments,
        labels::PolicyArguments,
        new_name::new_name,
        output::{OutputArguments, print_json},
        ranks::{SignArguments, as_rank, together},
        reading::WorkerArguments,
        seed::SeedArguments,
        source::OptionalSourceArguments,
    },
    terminal::print::outln,
    terminal::{fetch::fetch, watch::Terminal},
};

/// A table of the paper beside ours: the paper's value and interval, ours, and whether ours lies in it.
///
/// With --data, every model that --results lacks is trained and evaluated there, as far as --weights are known; an
/// interrupted run goes on where it was. Without, the table is filled from what is there. A cell that cannot be had says why.
///
/// Started by mpirun or srun as several processes, they share the models, one device each (a build with the feature mpi;
/// docs/scale.md).
///
/// table1: improvement over ImageNet, CheXpert. table2: rate of the pretraining, Shenzhen. app1: AUROC, CheXpert.
/// app2: AUROC, Shenzhen. app3: improvement, Shenzhen. app4: other CheXpert tasks, linear. app5: the same, end to end.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  moco-cxr reproduce table1 --results results --data CheXpert-v1.0-small --test-data CheXpert-test --weights resnet18-moco=runs/first --out table1"
)]
pub(crate) struct Arguments {
    /// Table of the paper.
    // `table` is the option of a data set.
    #[arg(value_enum, id = "which", value_name = "TABLE")]
    table: Which,
    /// Folder with one folder per model: resnet18-moco-linear, densenet121-imagenet-finetune, ...
    #[arg(long, value_name = "DIR", value_parser = new_name())]
    results: PathBuf,
    // CheXpert, or Shenzhen for table2, app2 and app3.
    #[command(flatten)]
    source: OptionalSourceArguments,
    /// Folder whose valid part is used to choose a penalty or a checkpoint; nothing is reported on it. [default: the valid
    /// part of --data]
    #[arg(long, value_name = "DIR", requires = "data")]
    valid_data: Option<PathBuf>,
    /// Folder whose test part is reported on. [default: that of --data]
    #[arg(long, value_name = "DIR", requires = "data")]
    test_data: Option<PathBuf>,
    /// Initial weights of the models, such as resnet18-moco=RUN, resnet18-moco-lr1e-3=FILE or
    /// densenet121-moco=moco-cxr:d1w-00001; may be repeated. ImageNet weights need not be given.
    #[arg(long, value_name = "MODEL=WEIGHTS", requires = "data", value_parser = named)]
    weights: Vec<(String, String)>,
    /// How linear models are fitted: faithful, as in the paper, or standard, on features computed once.
    #[arg(long, value_enum, default_value_t = Kind::Faithful, requires = "data")]
    protocol: Kind,
    /// How labels are drawn: paper (the paper's own draws), or patients (whole patients).
    #[arg(long, value_name = "RULE", default_value_t = DrawRule::Paper, requires = "data")]
    label_draws: DrawRule,
    /// Number of epochs. [default: the paper's]
    #[arg(long, requires = "data")]
    epochs: Option<usize>,
    /// Image side in pixels, for weights that do not state it. [default: 320 for MoCo weights, 224 for ImageNet weights]
    #[arg(long, value_name = "PX", requires = "data")]
    image_size: Option<usize>,
    #[command(flatten)]
    policy: PolicyArguments,
    /// Continue without the pretraining-overlap check; results are marked unchecked.
    #[arg(long, requires = "data")]
    unchecked_pretraining: bool,
    #[command(flatten)]
    workers: WorkerArguments,
    /// Folder of a cache of decoded, resized images, created or completed as needed; several data sets and image sizes share
    /// one.
    #[arg(long, value_name = "DIR", requires = "data", value_parser = new_name())]
    cache: Option<PathBuf>,
    #[command(flatten)]
    features: FeatureCacheArguments,
    #[command(flatten)]
    device: DeviceArguments,
    #[command(flatten)]
    signs: SignArguments,
    /// Print which models are missing and what the table costs; compute nothing.
    #[arg(long)]
    dry_run: bool,
    /// Images per second of one network on your machine, for the hours of --dry-run.
    #[arg(long, value_name = "RATE", requires = "dry_run")]
    images_per_second: Option<f64>,
    /// Use patient-clustered percentile intervals instead of the paper's.
    #[arg(long)]
    clustered: bool,
    #[command(flatten)]
    seed: SeedArguments,
    /// New or empty folder for the table as Markdown, CSV, HTML and JSON.
    #[arg(long, value_name = "DIR", value_parser = new_name())]
    out: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArguments,
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
enum Kind {
    Faithful,
    Standard,
}

fn named(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, source)) if !name.is_empty() && !source.is_empty() => Ok((name.to_owned(), source.to_owned())),
        _ => Err("expected MODEL=WEIGHTS, as resnet18-moco=runs/first".to_owned()),
    }
}

pub(crate) fn run(mut arguments: Arguments) -> Result<(), Fault> {
    together(arguments.signs.deadline(), |ranks| {
        as_rank(ranks, DeviceChoice::Auto, &mut arguments.device, &mut arguments.output);
        work(&arguments, ranks)?;
        // Who ends earlier is taken for one that was lost. The first is the last to come.
        Ok(ranks.together().barrier("rank 0 writes the table", !ranks.is_first()).map_err(Error::from)?)
    })
}

fn work(arguments: &Arguments, ranks: &Ranks) -> Result<(), Fault> {
    let table = PaperTable::ALL[arguments.table as usize];
    let Arguments { results, out, .. } = arguments;
    let data = arguments.source.data.first().map(PathBuf::as_path);
    check_names(table, &arguments.weights)?;
    if let Some(epochs) = arguments.epochs.filter(|epochs| !(1..=10_000_000).contains(epochs)) {
        return Err(BadArgument::found("--epochs", epochs, "at least 1 and at most 10000000"));
    }
    if let Some(rate) = arguments.images_per_second.filter(|rate| !(rate.is_finite() && *rate > 0.0)) {
        return Err(BadArgument::found("--images-per-second", rate, "a number above 0"));
    }
    let mut asked = Weights::new("");
    asked.image_size = arguments.image_size;
    asked.validate().or_bad_argument()?;
    // Rank 0 alone writes it.
    let _claim = out.as_deref().filter(|_| ranks.is_first()).map(Claim::folder).transpose()?;
    let missing: Vec<Fit> = table.fits().into_iter().filter(|fit| !fit.is_made(results)).collect();
    if arguments.dry_run {
        return if ranks.is_first() { dry_run(table, &missing, arguments) } else { Ok(()) };
    }
    let not_made = match data {
        Some(data) => make(table, data, &missing, arguments, ranks)?,
        None if results.is_dir() => Vec::new(),
        None => return Err(format!("{}: no such folder of results", results.display()).into()),
    };
    if !ranks.is_first() {
        return Ok(());
    }
    let bootstrap = match arguments.clustered {
        true => Bootstrap { seed: arguments.seed.seed(), ..Bootstrap::default() },
        false => Bootstrap::paper(arguments.seed.seed()),
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
        let folder = NewFolder::begin(out)?;
        let file = |ending: &str| folder.path().join(format!("{}.{ending}", table.name()));
        write_new(&file("md"), format!("# {}\n\n{text}", table.title()).as_bytes())?;
        write_new(&file("csv"), printed.to_csv().as_bytes())?;
        write_new(&file("html"), printed.to_html().as_bytes())?;
        write_new(&file("json"), serde_json::to_string_pretty(&cells)?.as_bytes())?;
        folder.finish()?;
    }
    if arguments.output.json() {
        return print_json(&cells);
    }
    outln!("{}\n\n{text}", table.title())?;
    let (had, inside) = (
        cells.iter().filter(|cell| cell.ours.is_some()).count(),
        cells.iter().filter(|cell| cell.inside == Some(true)).count(),
    );
    outln!("{had} of {} cells, {inside} of them inside the paper's interval", cells.len())?;
    if data.is_none() && !missing.is_empty() {
        print_command(table, &missing, arguments)?;
    }
    Ok(())
}

/// Makes what is missing, on a device that is chosen only if there is something to do.
fn make(
    table: PaperTable,
    data: &Path,
    missing: &[Fit],
    arguments: &Arguments,
    ranks: &Ranks,
) -> Result<Vec<NotMade>, Fault> {
    // As rank 0 sees it.
    let left = if missing.is_empty() { "" } else { "some" };
    if ranks.text_of_first(left.to_owned(), "whether a fit is missing")?.is_empty() {
        return Ok(Vec::new());
    }
    let quiet = arguments.output.quiet();
    let mut sources = Sources::new(data);
    sources.test = arguments.test_data.clone();
    sources.valid = arguments.valid_data.clone().map_or(ValidFrom::HeldOut, ValidFrom::Folder);
    sources.dataset = arguments.source.layout.dataset();
    sources.patient_regex = arguments.source.layout.patient_regex.clone();
    sources.read = arguments.source.read_as().unwrap_or_default();
    sources.cache = arguments.cache.clone();
    sources.reading.workers = arguments.workers.count().unwrap_or(sources.reading.workers);
    let mut protocol = Protocol::seeded(arguments.seed.seed());
    protocol.draw_rule = arguments.label_draws;
    protocol.unchecked_pretraining = arguments.unchecked_pretraining;
    let mut not_made = Vec::new();
    arguments.device.guarded(quiet, || {
        let reproduction = Reproduction {
            table,
            results: arguments.results.clone(),
            weights: arguments.weights.iter().cloned().collect::<BTreeMap<_, _>>(),
            sources,
            policy: arguments.policy.policy,
            protocol,
            linear: match arguments.protocol {
                Kind::Faithful => LinearProtocol::Faithful,
                Kind::Standard => LinearProtocol::Standard,
            },
            epochs: arguments.epochs,
            image_size: arguments.image_size,
            device: arguments.device.choose(DeviceChoice::Auto, quiet)?,
            features: arguments.features.folder(),
        };
        ranks.in_turn("published weights are fetched", || {
            for fits in missing.chunk_by(|one, other| one.arm == other.arm) {
                let arm = fits[0].arm;
                // One that cannot be had leaves the cells of its models empty, with the reason.
                if let Some(source) = reproduction.source(arm)
                    && let Err(fault) = fetch(source, arm.arch.parse().ok(), quiet)
                {
                    arguments.output.note(&format!("{}: {fault}", arm.start()));
                }
            }
            Ok(())
        })?;
        not_made = reproduction.make_fits_among(missing, ranks, &Terminal::new(quiet))?;
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
fn print_command(table: PaperTable, missing: &[Fit], arguments: &Arguments) -> Result<(), Fault> {
    let mut starts: Vec<String> =
        missing.iter().map(|fit| fit.arm.start()).filter(|start| !start.ends_with("-imagenet")).collect();
    starts.sort();
    starts.dedup();
    let weights: String = starts
        .iter()
        .map(|start| format!(" --weights {start}={}_RUN", start.to_uppercase().replace('-', "_")))
        .collect();
    let results = arguments.results.display();
    outln!("\nMissing models are made by (capitals are yours to fill in):")?;
    outln!("  moco-cxr reproduce {} --results {results} --data DATA{}{weights}", table.name(), test_data(table))
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
fn dry_run(table: PaperTable, missing: &[Fit], arguments: &Arguments) -> Result<(), Fault> {
    /// Of a row of scores, in bytes: path, patient, study, label, score.
    const ROW: f64 = 120.0;
    let (set, images, valid, test) = match is_shenzhen(table) {
        true => ("Shenzhen", 430.0, 99.0, 133.0),
        false => ("CheXpert", 223_414.0, 234.0, 500.0),
    };
    let (all, cost) = (Cost::of(&table.fits(), images, valid), Cost::of(missing, images, valid));
    outln!("{}\n", table.title())?;
    outln!(
        "{} of {} fits are missing, on {set} ({images} training and {valid} validation images): {:.1} million images through a network by the paper's epochs",
        cost.fits,
        all.fits,
        cost.images / 1e6
    )?;
    match arguments.images_per_second {
        Some(rate) => outln!("about {:.1} hours at {rate} images a second", cost.images / rate / 3600.0)?,
        None => outln!("give --images-per-second to see hours")?,
    }
    outln!("about {:.1} MB of scores on disk", cost.fits as f64 * test * ROW / 1e6)?;
    outln!("linear models by the standard protocol see every image once for all fractions instead")?;
    if !missing.is_empty() && arguments.source.data.is_empty() {
        print_command(table, missing, arguments)?;
    }
    Ok(())
}
