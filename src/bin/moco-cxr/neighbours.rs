//! `moco-cxr neighbours`.

use std::path::PathBuf;

use clap::Args;
use moco_cxr::{Study, cxr_data::Part, files::Claim, study::NeighbourSearch};
use serde_json::json;

use crate::{
    Fault,
    flags::{
        bad_argument::BadArgument,
        features::FeatureCacheArguments,
        images::{ImageArguments, PartArguments},
        new_name::new_name,
        output::print_json,
    },
    terminal::print::outln,
    terminal::watch::Terminal,
};

/// Show for some images which others a network finds most alike, to see what its features are about; labels are not needed.
///
/// OUT holds neighbours.csv, with one line per query and neighbour, and sheet.png, with a row for each query, which comes first.
/// Similarity is the cosine of the features, with the running statistics of the weights. Images of a query's own patient are left
/// out where patients are known, because they are alike for that reason alone. The sheet has at most
/// 32 pictures in a row and 64 million pixels; the table has all.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  moco-cxr neighbours --weights runs/first --data radiographs --out alike\n  moco-cxr neighbours --weights runs/first --data radiographs --query a/1.png --k 12 --out alike"
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    images: ImageArguments,
    #[command(flatten)]
    part: PartArguments,
    /// Query image, by its path in the data set, as index.csv of embed has it; may be repeated. [default: --queries images]
    #[arg(long = "query", value_name = "PATH", conflicts_with = "number")]
    named: Vec<String>,
    /// Number of queries, evenly spread over their part, without --query.
    #[arg(long = "queries", value_name = "N", default_value_t = NeighbourSearch::default().number)]
    number: usize,
    /// Part that the queries are from. [default: that of --part]
    #[arg(long, value_name = "PART")]
    query_part: Option<Part>,
    /// Neighbours of each query.
    #[arg(long, default_value_t = NeighbourSearch::default().k)]
    k: usize,
    /// Keep other images of a query's own patient.
    #[arg(long)]
    same_patient: bool,
    /// Name no image on sheet.png, so that it can be passed on; the tables keep their names. The sheet still shows radiographs.
    #[arg(long)]
    private: bool,
    #[command(flatten)]
    features: FeatureCacheArguments,
    /// New or empty folder; it appears whole or not at all.
    #[arg(long, value_name = "DIR", value_parser = new_name())]
    out: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Fault> {
    arguments.images.guarded(|| work(arguments))
}

fn work(arguments: &Arguments) -> Result<(), Fault> {
    let Arguments { images, part: PartArguments { part }, out, .. } = arguments;
    for (flag, value) in [("--k", arguments.k), ("--queries", arguments.number)] {
        if value == 0 {
            return Err(BadArgument::found(flag, 0, "at least 1"));
        }
    }
    images.check_outside(out)?;
    let sources = images.sources()?;
    let _claim = Claim::folder(out)?;
    let mut search = NeighbourSearch::default();
    (search.k, search.queries, search.number) = (arguments.k, arguments.named.clone(), arguments.number);
    (search.query_part, search.same_patient) = (arguments.query_part, arguments.same_patient);
    search.private = arguments.private;
    search.features = arguments.features.folder();
    let watch = Terminal::new(images.output.quiet());
    let found = Study::neighbours(&sources, *part, &images.weights()?, &search, &watch)?;
    found.write(out)?;
    let (queries, compared) = (found.queries(), found.compared());
    if images.output.json() {
        print_json(&json!({ "out": out, "queries": queries, "compared": compared, "weights": found.weights() }))?;
    } else if !images.output.quiet() {
        outln!("{}: {queries} queries among {compared} images", out.join("sheet.png").display())?;
    }
    Ok(())
}
