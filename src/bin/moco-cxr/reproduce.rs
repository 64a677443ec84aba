//! `moco-cxr reproduce`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use moco_cxr::{
    Existing, PaperTable, RunFolder,
    eval::{Bootstrap, write_new},
    reproduction_table,
};

use crate::Fault;

/// A table of the paper beside ours: the paper's value and interval, ours, and whether ours lies in it.
///
/// Ours come from --results, a folder with one folder a model, each written by `linear` or `finetune`; a cell that cannot
/// be had says why, and which command makes it.
///
/// table1: improvement over ImageNet, CheXpert. table2: rate of the pretraining, Shenzhen. app1: AUROC, CheXpert.
/// app2: AUROC, Shenzhen. app3: improvement, Shenzhen. app4: other CheXpert tasks, linear. app5: the same, end to end.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  moco-cxr reproduce app1 --results results/chexpert --out app1\n  moco-cxr reproduce table1 --results results/chexpert --dry-run"
)]
pub(crate) struct Arguments {
    /// Which table.
    #[arg(value_enum)]
    table: Which,
    /// Folder with a folder a model: resnet18-moco-linear, densenet121-imagenet-finetune, ...
    #[arg(long, value_name = "DIR")]
    results: PathBuf,
    /// Print what is missing, the commands that make it, and what the whole table costs; compute nothing.
    #[arg(long)]
    dry_run: bool,
    /// Images a second that one network sees on your machine, for the hours of --dry-run.
    #[arg(long, value_name = "RATE", requires = "dry_run")]
    images_per_second: Option<f64>,
    /// Patient-clustered percentile intervals instead of the paper's.
    #[arg(long)]
    clustered: bool,
    /// Seed of the bootstrap.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// New or empty folder for the table as Markdown, CSV, HTML and JSON.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
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

pub(crate) fn run(arguments: Arguments) -> Result<(), Fault> {
    let table = PaperTable::ALL[arguments.table as usize];
    if !arguments.results.is_dir() && !arguments.dry_run {
        return Err(format!("{}: no such folder of results", arguments.results.display()).into());
    }
    if let Some(out) = &arguments.out {
        RunFolder::check(out, Existing::Refuse)?;
    }
    let bootstrap = match arguments.clustered {
        true => Bootstrap { seed: arguments.seed, ..Bootstrap::default() },
        false => Bootstrap::paper(arguments.seed),
    };
    let cells = table.reproduce(&arguments.results, &bootstrap)?;
    let mut commands: Vec<&str> = Vec::new();
    for command in cells.iter().flat_map(|cell| &cell.commands) {
        if !commands.contains(&command.as_str()) {
            commands.push(command);
        }
    }
    if arguments.dry_run {
        dry_run(table, &commands, arguments.images_per_second);
        return Ok(());
    }
    let printed = reproduction_table(&cells);
    if let Some(out) = &arguments.out {
        RunFolder::open(out, Existing::Refuse)?;
        let file = |ending: &str| out.join(format!("{}.{ending}", table.name()));
        write_new(&file("md"), format!("# {}\n\n{}", table.title(), printed.to_markdown()).as_bytes())?;
        write_new(&file("csv"), printed.to_csv().as_bytes())?;
        write_new(&file("html"), printed.to_html().as_bytes())?;
        write_new(&file("json"), serde_json::to_string_pretty(&cells)?.as_bytes())?;
    }
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&cells)?);
        return Ok(());
    }
    println!("{}\n\n{}", table.title(), printed.to_markdown());
    let (had, inside) = (
        cells.iter().filter(|cell| cell.ours.is_some()).count(),
        cells.iter().filter(|cell| cell.inside == Some(true)).count(),
    );
    println!("{had} of {} cells, {inside} of them inside the paper's interval", cells.len());
    print_commands(&commands);
    Ok(())
}

fn print_commands(commands: &[&str]) {
    if !commands.is_empty() {
        println!("\nMissing models are made by (capitals are yours to fill in):");
        commands.iter().for_each(|command| println!("  {command}"));
    }
}

/// What the whole table takes on the set the paper used, with the images of its training and validation parts.
fn dry_run(table: PaperTable, commands: &[&str], images_per_second: Option<f64>) {
    let shenzhen = matches!(table, PaperTable::Table2 | PaperTable::App2 | PaperTable::App3);
    let (set, images, valid) = if shenzhen { ("Shenzhen", 430.0, 99.0) } else { ("CheXpert", 223_414.0, 234.0) };
    let cost = table.cost(images, valid);
    println!("{}\n", table.title());
    println!(
        "{} fits on {set} ({images} training and {valid} validation images): {:.1} million images through a network by the paper's epochs",
        cost.fits,
        cost.images / 1e6
    );
    match images_per_second {
        Some(rate) => println!("about {:.1} hours at {rate} images a second", cost.images / rate / 3600.0),
        None => println!("give --images-per-second to see hours"),
    }
    println!("linear models by the standard protocol see every image once instead");
    print_commands(commands);
}
