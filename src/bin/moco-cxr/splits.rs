//! `moco-cxr splits`.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum, builder::RangedU64ValueParser};
use moco_cxr::{
    Existing, RunFolder,
    cxr_data::{
        Dataset, LoadOptions, Manifest, OnBad, Part, load_with,
        splits::{
            Draw, RowTable, check_fractions, check_shares, nested_fractions, paper_draws, patient_split,
            shenzhen_draws, shenzhen_split, write_draw,
        },
    },
};
use serde_json::json;

use crate::{
    Fault,
    bad_argument::{BadArgument, OrBadArgument, patient_regex},
};

/// Fractions and draws of the Shenzhen training part in the paper; beside them it reports the whole of it.
const SHENZHEN: [(f64, usize); 2] = [(0.0625, 8), (0.25, 4)];

/// Draw label fractions and splits, and write them as CSV files.
///
/// The paper's draws need a row count alone; all others need the images' patients.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  moco-cxr splits --rows 223414\n  moco-cxr splits --csv CheXpert-v1.0-small/train.csv --out draws\n  moco-cxr splits --kind nested --data CheXpert-v1.0-small --fraction 0.01 --fraction 0.1 --out nested\n  moco-cxr splits --kind patients --data images --patient-regex \"(p[0-9]+)\" --share 70 --share 10 --share 20 --out parts"
)]
pub(crate) struct Arguments {
    /// What is drawn.
    #[arg(long, value_enum, default_value_t = Kind::Paper)]
    kind: Kind,
    /// Number of rows to draw from (CheXpert's train.csv has 223414).
    #[arg(long, value_name = "N", conflicts_with_all = ["csv", "data"], value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    rows: Option<usize>,
    /// Table whose rows are drawn, such as CheXpert's train.csv; no image is looked for.
    #[arg(long, value_name = "FILE", conflicts_with = "data")]
    csv: Option<PathBuf>,
    /// Folder of the data set.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Layout of the data: auto, chexpert, shenzhen, montgomery, nih or folder.
    #[arg(long, default_value_t, conflicts_with_all = ["rows", "csv"])]
    dataset: Dataset,
    /// Part of the data: train, valid, test or all. [default: train, for patients and shenzhen all]
    #[arg(long, conflicts_with_all = ["rows", "csv"])]
    part: Option<Part>,
    /// For a set without patients: a pattern whose first group, in an image's path, is the patient.
    #[arg(long, value_name = "REGEX", value_parser = patient_regex, conflicts_with_all = ["rows", "csv"])]
    patient_regex: Option<String>,
    /// Fraction of the patients, for nested; may be repeated. [default: 0.01 0.1 0.5 1]
    #[arg(long = "fraction", value_name = "F")]
    fractions: Vec<f64>,
    /// Share of the patients in a part, for patients; may be repeated, scaled to their sum. [default: 70 10 20]
    #[arg(long = "share", value_name = "S")]
    shares: Vec<f64>,
    /// Seed of everything but the paper's draws, which have their own. [default: 0]
    #[arg(long)]
    seed: Option<u64>,
    /// New or empty folder for one CSV a split.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// No notes.
    #[arg(long, short)]
    quiet: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// The label fractions of the paper for CheXpert, bit for bit.
    Paper,
    /// Label fractions by patient, each within the next.
    Nested,
    /// Parts that share no patient.
    Patients,
    /// Shenzhen 65/15/20 with the paper's balance rule, and its label fractions.
    Shenzhen,
}

/// What the rows are drawn from.
enum Source {
    Count(usize),
    Table(RowTable),
    Images(Box<Manifest>),
}

/// A split under the name of its file.
struct Named {
    name: String,
    rows: Vec<usize>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Fault> {
    arguments.check()?;
    let source = arguments.source()?;
    let splits = arguments.draw(&source)?;
    if let Some(out) = &arguments.out {
        RunFolder::check(out, Existing::Refuse)?;
        std::fs::create_dir_all(out).map_err(|e| format!("{}: {e}", out.display()))?;
        for split in &splits {
            source.write(&out.join(format!("{}.csv", split.name)), &split.rows)?;
        }
    }
    let describe = |split: &Named| {
        json!({
            "name": split.name,
            "images": split.rows.len(),
            "patients": source.patients(&split.rows),
            "first": split.rows.iter().take(4).collect::<Vec<_>>(),
        })
    };
    if arguments.json {
        let splits: Vec<_> = splits.iter().map(describe).collect();
        println!("{}", serde_json::to_string_pretty(&json!({ "rows": source.len(), "splits": splits }))?);
        return Ok(());
    }
    println!("{} rows", source.len());
    for split in &splits {
        let patients = source.patients(&split.rows).map(|n| format!(" of {n} patients")).unwrap_or_default();
        println!("  {}: {} images{patients}", split.name, split.rows.len());
    }
    Ok(())
}

impl Arguments {
    /// Refuses options that this kind of split would not look at, and fractions that cannot be or share a file.
    fn check(&self) -> Result<(), Fault> {
        let options = [
            ("--fraction", !self.fractions.is_empty(), self.kind == Kind::Nested, "nested"),
            ("--share", !self.shares.is_empty(), self.kind == Kind::Patients, "patients"),
            ("--seed", self.seed.is_some(), self.kind != Kind::Paper, "nested, patients or shenzhen"),
        ];
        if let Some((option, _, _, kinds)) = options.into_iter().find(|(_, given, used, _)| *given && !used) {
            let kind = self.kind.to_possible_value().map(|kind| kind.get_name().to_owned()).unwrap_or_default();
            let fault =
                format!("{option}: found with --kind {kind}, which does not use it; expected with --kind {kinds}");
            return Err(BadArgument::fault(fault));
        }
        check_fractions(self.fractions()).or_bad_argument()?;
        check_shares(self.shares()).or_bad_argument()?;
        match self.fractions.iter().enumerate().find(|(at, fraction)| self.fractions[..*at].contains(fraction)) {
            Some((_, twice)) => Err(BadArgument::fault(format!("--fraction: found {twice} twice, expected each once"))),
            None => Ok(()),
        }
    }

    fn fractions(&self) -> &[f64] {
        if self.fractions.is_empty() { &[0.01, 0.1, 0.5, 1.0] } else { &self.fractions }
    }

    fn shares(&self) -> &[f64] {
        if self.shares.is_empty() { &[70.0, 10.0, 20.0] } else { &self.shares }
    }

    fn source(&self) -> Result<Source, Fault> {
        match (self.kind, self.rows, &self.csv, &self.data) {
            (Kind::Paper, Some(rows), ..) => Ok(Source::Count(rows)),
            (Kind::Paper, _, Some(table), _) => Ok(Source::Table(RowTable::read(table)?)),
            (_, None, None, Some(data)) => {
                let whole = matches!(self.kind, Kind::Patients | Kind::Shenzhen);
                let part = self.part.unwrap_or(if whole { Part::All } else { Part::Train });
                let patient_regex = self.patient_regex.clone();
                let options = LoadOptions { on_bad: OnBad::Fail, patient_regex, ..LoadOptions::default() };
                let manifest = load_with(data, self.dataset, part, &options)?;
                if !self.quiet {
                    manifest.notes.iter().for_each(|note| eprintln!("note: {note}"));
                }
                Ok(Source::Images(Box::new(manifest)))
            }
            (Kind::Paper, ..) => {
                Err(BadArgument::fault("nothing to draw from: expected one of --rows, --csv and --data"))
            }
            _ => Err(BadArgument::fault(
                "this kind of split needs the patients of --data; found no --data, or --rows or --csv",
            )),
        }
    }

    fn draw(&self, source: &Source) -> Result<Vec<Named>, Fault> {
        let Source::Images(manifest) = source else { return Ok(named(paper_draws(source.len()))) };
        let seed = self.seed.unwrap_or(0);
        Ok(match self.kind {
            Kind::Paper => named(paper_draws(manifest.len())),
            Kind::Nested => {
                let rows = nested_fractions(manifest, self.fractions(), seed)?;
                let names = self.fractions().iter().map(|fraction| format!("nested_{fraction}"));
                names.zip(rows).map(|(name, rows)| Named { name, rows }).collect()
            }
            Kind::Patients => {
                let parts = patient_split(manifest, self.shares(), seed)?;
                let names: &[&str] = match parts.len() {
                    2 => &["train", "test"],
                    3 => &["train", "valid", "test"],
                    _ => &[],
                };
                let name = |at: usize| names.get(at).map_or_else(|| format!("part-{at}"), |&name| name.into());
                parts.into_iter().enumerate().map(|(at, rows)| Named { name: name(at), rows }).collect()
            }
            Kind::Shenzhen => {
                let split = shenzhen_split(manifest, seed)?;
                let mut all = Vec::new();
                for (fraction, count) in SHENZHEN {
                    all.extend(named(shenzhen_draws(manifest, &split.train, fraction, count, seed)?));
                }
                let parts = [("train", split.train), ("valid", split.valid), ("test", split.test)];
                parts.into_iter().map(|(name, rows)| Named { name: name.into(), rows }).chain(all).collect()
            }
        })
    }
}

/// Draws under the names that MedAug published them by.
fn named(draws: Vec<Draw>) -> Vec<Named> {
    let name = |draw: &Draw| format!("train_semi_{}-it{}", draw.fraction, draw.draw);
    draws.into_iter().map(|draw| Named { name: name(&draw), rows: draw.rows }).collect()
}

impl Source {
    fn len(&self) -> usize {
        match self {
            Self::Count(rows) => *rows,
            Self::Table(table) => table.len(),
            Self::Images(manifest) => manifest.len(),
        }
    }

    /// Number of patients among some rows, where patients are known.
    fn patients(&self, rows: &[usize]) -> Option<usize> {
        match self {
            Self::Images(manifest) if manifest.patients_known => Some(manifest.patients(rows).len()),
            _ => None,
        }
    }

    fn write(&self, path: &Path, rows: &[usize]) -> Result<(), Fault> {
        let fault = |e: std::io::Error| format!("{}: {e}", path.display());
        let mut file = std::io::BufWriter::new(File::create_new(path).map_err(fault)?);
        match self {
            Self::Count(_) => {
                use std::io::Write;
                writeln!(file, "row").map_err(fault)?;
                rows.iter().try_for_each(|row| writeln!(file, "{row}")).map_err(fault)?;
                file.flush().map_err(fault)?;
            }
            Self::Table(table) => table.write(file, path, rows)?,
            Self::Images(manifest) => write_draw(file, manifest, rows)?,
        }
        Ok(())
    }
}
