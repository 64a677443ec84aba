//! Pretraining on a folder of radiographs: PNG, JPEG, no labels, no table.
//!
//!     cargo run --release --example pretrain_folder [-- --images MY-RADIOGRAPHS] [--out runs/folder]
//!
//! Without `--images` a hundred small pictures are drawn first, and the run is over within a minute, too short to learn
//! anything. Settings are the preset `small` with a few of its numbers changed, as one would for a folder of that size.

#![allow(clippy::print_stdout)]

use std::{error::Error, path::PathBuf};

use moco_cxr::{
    cxr_data::{synth::SynthConfig, synth::draw_patient, synth::render_study},
    prelude::*,
};

fn main() -> Result<(), Box<dyn Error>> {
    let [images, out] = arguments(["--images", "--out"])?;
    let out = out.unwrap_or_else(|| PathBuf::from("runs/folder"));
    RunFolder::check(&out, Existing::Refuse)?;
    let images = match images {
        Some(images) => images,
        None => draw(&out.join("images"))?,
    };

    let mut settings = PretrainSettings::named("small", images)?;
    settings.data.dataset = Dataset::Folder;
    // Values by name, as `moco-cxr pretrain --set` takes them, or as fields.
    for setting in ["views.size=64", "train.batch_size=16", "train.moco.queue_size=64"] {
        settings = settings.with_set(setting)?;
    }
    settings.train.epochs = 3;
    settings.train.schedule.warmup_epochs = 1.0;

    let run = pretrain(&settings, &out.join("run"), Existing::Refuse, &mut Lines)?;
    println!("{} steps; weights in {}", run.step, run.folder.join("export").display());
    Ok(())
}

/// Prints what a run says.
struct Lines;

impl Observer for Lines {
    fn on_epoch(&mut self, report: &EpochReport) -> Request {
        // A run can be ended from here: `Request::Stop` writes a checkpoint first.
        println!("loss {:.3} of {:.3} for guessing", report.loss, report.chance);
        Request::Continue
    }
}

impl Watch for Lines {
    fn note(&self, text: &str) {
        println!("note: {text}");
    }
}

impl TrainingWatch for Lines {}

/// PNG files of drawn radiographs, as a stand-in for a folder of one's own.
fn draw(folder: &std::path::Path) -> Result<PathBuf, Box<dyn Error>> {
    std::fs::create_dir_all(folder)?;
    let config =
        SynthConfig { train_patients: 60, valid_patients: 0, test_patients: 0, size: 80, ..Default::default() };
    for number in 1..=config.train_patients {
        let patient = draw_patient(&config, number);
        for (study, content) in patient.studies.iter().enumerate() {
            let image = render_study(&config, &patient, content);
            image.write_png(&folder.join(format!("patient{number:03}-{study}.png")))?;
        }
    }
    Ok(folder.to_owned())
}

fn arguments<const N: usize>(names: [&str; N]) -> Result<[Option<PathBuf>; N], String> {
    let mut values = [const { None }; N];
    let mut given = std::env::args().skip(1);
    while let Some(name) = given.next() {
        let place = names.iter().position(|known| *known == name);
        let place = place.ok_or_else(|| format!("unknown argument {name}; expected one of {}", names.join(", ")))?;
        values[place] = Some(given.next().ok_or_else(|| format!("{name} needs a value"))?.into());
    }
    Ok(values)
}
