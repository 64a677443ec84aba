//! Pretraining on a folder of radiographs (PNG, JPEG), without labels or a table.
//!
//!     cargo run --release --example pretrain_folder [-- --images MY-RADIOGRAPHS] [--out runs/folder]
//!
//! Without `--images` it generates a hundred small synthetic images, and the run takes less than a minute, too short to
//! learn anything. The settings are the preset `small` with a few values changed for a folder of that size.

#![allow(clippy::print_stdout)]

use std::{error::Error, path::PathBuf};

use moco_cxr::{
    cxr_data::{synth::SynthConfig, synth::draw_patient, synth::render_study},
    prelude::*,
};

mod arguments;

fn main() -> Result<(), Box<dyn Error>> {
    let [images, out] = arguments::values(["--images", "--out"])?;
    let out = PathBuf::from(out.as_deref().unwrap_or("runs/folder"));
    RunFolder::check(&out, Existing::Refuse)?;
    let images = match images {
        Some(images) => images.into(),
        None => draw(&out.join("images"))?,
    };

    let mut settings = PretrainSettings::named("small", images)?;
    settings.data.dataset = Dataset::Folder;
    // Set values by name, as with `moco-cxr pretrain --set`, or as fields.
    for setting in ["views.size=64", "train.batch_size=16", "train.moco.queue_size=64"] {
        settings = settings.with_set(setting)?;
    }
    settings.train.epochs = 3;
    settings.train.schedule.lr = 5e-4;

    let run = pretrain(&settings, &out.join("run"), Existing::Refuse, &mut Lines)?;
    println!("{} steps; weights in {}", run.step, run.folder.join("export").display());
    Ok(())
}

/// Prints the loss of each epoch, and notes.
struct Lines;

impl Observer for Lines {
    fn on_epoch(&mut self, report: &EpochReport) -> Request {
        // `Request::Stop` would write a checkpoint and end the run.
        println!("loss {:.3} ({:.3} for guessing)", report.loss, report.chance);
        Request::Continue
    }
}

impl Watch for Lines {
    fn note(&self, text: &str) {
        println!("note: {text}");
    }
}

impl TrainingWatch for Lines {}

/// Generates PNG files of synthetic radiographs.
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
