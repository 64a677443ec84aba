//! `moco-cxr splits`.

mod source;

use std::path::PathBuf;

use clap::{Args, ValueEnum, builder::RangedU64ValueParser};
use moco_cxr::{
    cxr_data::{
        LoadOptions, OnBad, Part, load_together, load_with, splits::Draw, splits::RowTable, splits::check_fractions,
        splits::check_shares, splits::nested_fractions, splits::paper_draws, splits::patient_split,
        splits::shenzhen_draws, splits::shenzhen_split,
    },
    files::{Claim, NewFolder},
};
use serde_json::json;

use self::source::Source;
use crate::{
    Fault,
    flags::{
        bad_argument::{BadArgument, OrBadArgument},
        new_name::new_name,
        output::{OutputArguments, print_json},
        seed::SeedArguments,
        source::OptionalSourceArguments,
    },
    terminal::print::outln,
};

/// Most rows of `--rows`, forty times those of CheXpert: all draws are held in memory.
const MOST_ROWS: usize = 10_000_000;

/// The paper's fractions of the Shenzhen training part and their numbers of draws; it also uses the whole part.
const SHENZHEN: [(f64, usize); 2] = [(0.0625, 8), (0.25, 4)];

/// Draw label fractions and splits, and write them as CSV files.
///
/// The paper's draws need only a row count and have seeds of their own; all others need the patients of the images. Parts are
/// also written as one table with all that is known of the images, parts.csv: every command takes it as `--data DIR --table
/// parts.csv` and has the parts as published ones.
#[derive(Debug, Args)]
#[command(
    mut_arg("dataset", |arg| arg.conflicts_with_all(["rows", "csv"])),
    mut_arg("patient_regex", |arg| arg.conflicts_with_all(["rows", "csv"])),
    after_help = "Example:\n  moco-cxr splits --rows 223414\n  moco-cxr splits --csv CheXpert-v1.0-small/train.csv --out draws\n  moco-cxr splits --kind nested --data CheXpert-v1.0-small --fraction 0.01 --fraction 0.1 --out nested\n  moco-cxr splits --kind patients --data images --patient-regex \"(p[0-9]+)\" --share 70 --share 10 --share 20 --out parts"
)]
pub(crate) struct Arguments {
    /// Kind of split.
    #[arg(long, value_enum, default_value_t = Kind::Paper)]
    kind: Kind,
    /// Number of rows to draw from (CheXpert's train.csv has 223414).
    #[arg(long, value_name = "N", conflicts_with_all = ["csv", "data"], value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    rows: Option<usize>,
    /// Table whose rows are drawn, such as CheXpert's train.csv; its images are not needed.
    #[arg(long, value_name = "FILE", conflicts_with = "data")]
    csv: Option<PathBuf>,
    #[command(flatten)]
    source: OptionalSourceArguments,
    /// Part of the data set: train, valid, test or all. [default: train; all for patients and shenzhen]
    #[arg(long, conflicts_with_all = ["rows", "csv"])]
    part: Option<Part>,
    /// Label that your own table has as a column or as a word, or a folder of a class; may be repeated.
    #[arg(long = "task", value_name = "NAME", conflicts_with_all = ["rows", "csv"])]
    tasks: Vec<String>,
    /// Fraction of the patients (nested only); may be repeated. [default: 0.01 0.1 0.5 1]
    #[arg(long = "fraction", value_name = "F")]
    fractions: Vec<f64>,
    /// Share of the patients in a part (patients only), relative to the sum of all shares; may be repeated. [default: 70 10 20]
    #[arg(long = "share", value_name = "S")]
    shares: Vec<f64>,
    #[command(flatten)]
    seed: SeedArguments,
    /// New or empty folder, for one CSV file per split, and parts.csv for parts.
    #[arg(long, value_name = "DIR", value_parser = new_name())]
    out: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArguments,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// The paper's label fractions of CheXpert, bit for bit.
    Paper,
    /// Label fractions by patient, each contained in the next.
    Nested,
    /// Parts that share no patients.
    Patients,
    /// Shenzhen 65/15/20 with the paper's balance rule, and its label fractions.
    Shenzhen,
}

/// A split and the name of its file.
struct Named {
    name: String,
    rows: Vec<usize>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Fault> {
    arguments.check()?;
    let _claim = arguments.out.as_deref().map(Claim::folder).transpose()?;
    let source = arguments.source()?;
    let splits = arguments.draw(&source)?;
    if let Some(out) = &arguments.out {
        let folder = NewFolder::begin(out)?;
        for split in &splits {
            source.write(&folder.path().join(format!("{}.csv", split.name)), &split.rows)?;
        }
        let part = |name: &str| splits.iter().find(|split| split.name == name).map(|split| &split.rows[..]);
        let parts: Vec<(&str, &[usize])> =
            ["train", "valid", "test"].into_iter().filter_map(|name| Some((name, part(name)?))).collect();
        if parts.len() > 1 {
            if let Some(unlabelled) = source.unlabelled().filter(|images| *images > 0) {
                arguments.output.note(&format!(
                    "{unlabelled} images have no labels at all; parts.csv keeps them, with blank labels and \"no\" in its column \
                     \"labelled\", so that no command takes the blanks for labels"
                ));
            }
            source.write_parts(&folder.path().join("parts.csv"), &parts)?;
        }
        folder.finish()?;
    }
    let describe = |split: &Named| {
        json!({
            "name": split.name,
            "images": split.rows.len(),
            "patients": source.patients(&split.rows),
            "first": split.rows.iter().take(4).collect::<Vec<_>>(),
        })
    };
    if arguments.output.json() {
        let splits: Vec<_> = splits.iter().map(describe).collect();
        return print_json(&json!({ "rows": source.len(), "splits": splits }));
    }
    outln!("{} rows", source.len())?;
    for split in &splits {
        let patients = source.patients(&split.rows).map(|n| format!(" of {n} patients")).unwrap_or_default();
        outln!("  {}: {} images{patients}", split.name, split.rows.len())?;
    }
    Ok(())
}

impl Arguments {
    /// Refuses flags that this kind of split does not use, and fractions that are impossible or would share a file.
    fn check(&self) -> Result<(), Fault> {
        let flags = [
            ("--fraction", !self.fractions.is_empty(), self.kind == Kind::Nested, "nested"),
            ("--share", !self.shares.is_empty(), self.kind == Kind::Patients, "patients"),
            ("--seed", self.seed.seed.is_some(), self.kind != Kind::Paper, "nested, patients or shenzhen"),
        ];
        if let Some((flag, _, _, kinds)) = flags.into_iter().find(|(_, given, used, _)| *given && !used) {
            let kind = self.kind.to_possible_value().map(|kind| kind.get_name().to_owned()).unwrap_or_default();
            return Err(BadArgument::found(flag, format!("with --kind {kind}"), format!("with --kind {kinds}")));
        }
        check_fractions(self.fractions()).or_bad_argument()?;
        check_shares(self.shares()).or_bad_argument()?;
        match self.fractions.iter().enumerate().find(|(at, fraction)| self.fractions[..*at].contains(fraction)) {
            Some((_, twice)) => Err(BadArgument::found("--fraction", format!("{twice} twice"), "each once")),
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
        match (self.kind, self.rows, &self.csv, self.source.data.first()) {
            (Kind::Paper, Some(rows), ..) if rows > MOST_ROWS => {
                Err(BadArgument::found("--rows", rows, format!("at most {MOST_ROWS}")))
            }
            (Kind::Paper, Some(rows), ..) => Ok(Source::Count(rows)),
            (Kind::Paper, _, Some(table), _) => Ok(Source::Table(RowTable::read(table)?)),
            (_, None, None, Some(data)) => {
                let whole = matches!(self.kind, Kind::Patients | Kind::Shenzhen);
                let part = self.part.unwrap_or(if whole { Part::All } else { Part::Train });
                let layout = &self.source.layout;
                let tasks = Some(self.tasks.clone()).filter(|tasks| !tasks.is_empty());
                let options = LoadOptions { tasks, ..layout.load_options(OnBad::Fail) };
                let manifest = match self.source.data.len() {
                    1 => load_with(data, layout.dataset(), part, &options)?,
                    _ => load_together(&self.source.data, layout.dataset(), part, &options)?,
                };
                manifest.notes.iter().for_each(|note| self.output.note(note));
                Ok(Source::Images(Box::new(manifest)))
            }
            (Kind::Paper, ..) => {
                Err(BadArgument::found("--rows, --csv, --data", "nothing to draw from", "one of them"))
            }
            _ => {
                let expected = "a folder, because this kind of split needs the patients of --data";
                Err(BadArgument::found("--data", "none", expected))
            }
        }
    }

    fn draw(&self, source: &Source) -> Result<Vec<Named>, Fault> {
        let Source::Images(manifest) = source else { return Ok(named(paper_draws(source.len()))) };
        let seed = self.seed.seed();
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

/// Draws with the names under which MedAug published them.
fn named(draws: Vec<Draw>) -> Vec<Named> {
    let name = |draw: &Draw| format!("train_semi_{}-it{}", draw.fraction, draw.draw);
    draws.into_iter().map(|draw| Named { name: name(&draw), rows: draw.rows }).collect()
}
