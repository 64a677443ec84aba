//! `moco-cxr explain`.

use std::path::PathBuf;

use clap::Args;
use moco_cxr::{Study, cxr_data::Part, files::Claim, study::Explaining};
use serde_json::json;

use crate::{
    Fault,
    flags::{bad_argument::BadArgument, images::ImageArguments, new_name::new_name, output::print_json},
    terminal::print::outln,
    terminal::watch::Terminal,
};

/// Draw heat maps (Grad-CAM) of a trained and exported classifier on chosen images.
///
/// OUT holds a picture for each image and task, sheet.png with these side by side, maps.npy ([N, h, w] in f32) and explain.csv,
/// with one line per map. A heat map shows what the network used, not where a disease is; maps and a radiologist's outlines
/// often differ. An image without colour shows no evidence for the finding. The sheet has at most 16 images, each with its map,
/// in a row, and 64 million pixels; a line says how many of the maps are on it, if not all are.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  moco-cxr explain --weights runs/first/finetune --data radiographs --task \"Pleural Effusion\" --out heat\n  moco-cxr explain --weights runs/first/finetune --data radiographs --image a/1.png --image a/2.png --out heat"
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    images: ImageArguments,
    /// Part of the data set: train, valid, test or all. [default: all with --image; otherwise test, or else valid or train]
    #[arg(long)]
    part: Option<Part>,
    /// Label of the classifier; may be repeated. [default: all of them]
    #[arg(long = "task", value_name = "NAME")]
    tasks: Vec<String>,
    /// Image, by its path in the data set, as index.csv of embed has it; may be repeated. [default: for each task the images
    /// with the finding that score highest and lowest, and the highest of the others]
    #[arg(long = "image", value_name = "PATH", conflicts_with = "number")]
    named: Vec<String>,
    /// Most images for each task, without --image.
    #[arg(long = "images", value_name = "N", default_value_t = Explaining::default().most)]
    number: usize,
    /// Name no image on sheet.png, so that it can be passed on; the tables keep their names. The sheet still shows radiographs.
    #[arg(long)]
    private: bool,
    /// New or empty folder; it appears whole or not at all.
    #[arg(long, value_name = "DIR", value_parser = new_name())]
    out: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Fault> {
    arguments.images.guarded(|| work(arguments))
}

fn work(arguments: &Arguments) -> Result<(), Fault> {
    let Arguments { images, part, tasks, named, number, private, out } = arguments;
    if *number == 0 {
        return Err(BadArgument::found("--images", 0, "at least 1"));
    }
    images.check_outside(out)?;
    let sources = images.sources()?;
    let _claim = Claim::folder(out)?;
    let mut explaining = Explaining::default();
    (explaining.tasks, explaining.images) = (tasks.clone(), named.clone());
    (explaining.most, explaining.part, explaining.private) = (*number, *part, *private);
    let watch = Terminal::new(images.output.quiet());
    let explanation = Study::explain(&sources, &images.weights()?, &explaining, &watch)?;
    let on_sheet = explanation.write(out)?;
    let (maps, shown) = (explanation.maps(), explanation.images());
    if images.output.json() {
        let weights = explanation.weights();
        print_json(&json!({ "out": out, "maps": maps, "on_sheet": on_sheet, "images": shown, "weights": weights }))?;
    } else if !images.output.quiet() {
        let sheet = out.join("sheet.png");
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        let left_out = match on_sheet < maps {
            true => format!("; {on_sheet} of them are on the sheet, which is full, and all are in {}", out.display()),
            false => String::new(),
        };
        let (maps_are, images_are) = (plural(maps), plural(shown));
        outln!("{}: {maps} heat map{maps_are} of {shown} image{images_are}{left_out}", sheet.display())?;
    }
    Ok(())
}
