//! Everything in one command: a synthetic chest X-ray set, pretraining, and linear probes at 1, 10 and 100 % of the labels,
//! compared with the same network with random weights. Takes two minutes on two CPU cores; no download.
//!
//!     cargo run --release --example quickstart [-- --seed 0 --out runs/quickstart-0]
//!
//! The images are synthetic: the results show that the program works, and say nothing about patients.

#![allow(clippy::print_stdout)]

use std::{error::Error, path::PathBuf, time::Instant};

use moco_cxr::{
    Baseline, Existing, Labels, PretrainSettings, Protocol, Report, ReportOptions, RunFolder, Sources, Study,
    TrainingWatch, Watch, Weights,
    cxr_data::{Crop, Operation, synth},
    moco_core::Observer,
    pretrain,
};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| arguments.windows(2).find(|two| two[0] == name).map(|two| two[1].clone());
    let seed: u64 = value("--seed").map_or(Ok(0), |text| text.parse())?;
    let out = PathBuf::from(value("--out").unwrap_or_else(|| format!("runs/quickstart-{seed}")));
    let (data, run, mut watch) = (out.join("data"), out.join("run"), Print(Instant::now()));

    RunFolder::check(&out, Existing::Refuse)?;
    let set = synth::SynthConfig { seed, train_patients: 1200, valid_patients: 0, size: 80, ..Default::default() };
    synth::write(&set, &data)?;
    // The preset, at 64 px, for as many epochs as four minutes allow, which learn more from views that change less.
    let mut settings = PretrainSettings::named("small", &data)?.with_set("views.size=64")?;
    (settings.channels, settings.data.in_memory, settings.train.seed) = (1, true, seed);
    (settings.train.epochs, settings.train.batch_size) = (6, 32);
    settings.views.crop = Crop::Resized { min_area: 0.85, max_area: 1.0, max_aspect: 4.0 / 3.0 };
    (settings.views.rotation, settings.views.gamma) = (Operation { probability: 1.0, strength: 5.0 }, Operation::OFF);
    pretrain(&settings, &run, Existing::Refuse, &mut watch)?;

    let labels = Labels::new(synth::Finding::ALL.map(synth::Finding::column));
    let mut protocol = Protocol::seeded(seed);
    (protocol.fractions, protocol.draws, protocol.bootstrap) = (vec![0.01, 0.1, 1.0], 10, Default::default());
    let study =
        Study::open(&Sources::new(&data), &Weights::new(run.display().to_string()), &labels, &protocol, &watch)?;
    let found = study.linear(Baseline::Random)?;
    found.write(run.join("eval"))?;

    let summary = format!("Synthetic images, seed {seed}: the results say nothing about patients.");
    let mut report = Report::read(&run, &ReportOptions { features: true, ..Default::default() })?;
    (report.title, report.summary) = ("moco-cxr quickstart".into(), summary.clone());
    report.write(&run.join("report.html"))?;
    watch.line(&format!("{summary}\n\n{}", found.outcome().table().to_markdown()));
    watch.line(&format!("report: {}", run.join("report.html").display()));
    Ok(())
}

/// Prints notes and lines with the seconds since the start.
struct Print(Instant);

impl Watch for Print {
    fn note(&self, text: &str) {
        self.line(text);
    }

    fn line(&self, text: &str) {
        println!("[{:4.0} s] {text}", self.0.elapsed().as_secs_f64());
    }
}

impl Observer for Print {}

impl TrainingWatch for Print {}
