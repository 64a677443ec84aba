//! The whole way in one command: a synthetic chest X-ray set, pretraining, linear probes at 1, 10 and 100 % of the labels,
//! beside the same network with random weights. About five minutes on two CPU cores; no download.
//!
//!     cargo run --release --example quickstart [-- --seed 0 --out runs/quickstart-0]
//!
//! The numbers are those of drawn images: they show that the machinery works, nothing about patients.

#![allow(clippy::print_stdout)]

use std::{error::Error, path::PathBuf, time::Instant};

use moco_cxr::{
    Arm, Existing, Labelled, LinearData, PretrainSettings, ProbeSettings, Report, ReportOptions, Watch,
    backbones::NetworkConfig,
    cxr_data::{Dataset, OnBad, synth},
    eval::Stamp,
    linear, load_run,
    moco_core::{EpochReport, Observer, Request},
    pretrain, results_table,
};

fn main() -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let (seed, out) = arguments()?;
    let said = |what: &str| println!("[{:4.0} s] {what}", start.elapsed().as_secs_f64());

    let data = out.join("data");
    moco_cxr::RunFolder::check(&out, Existing::Refuse)?;
    let set = synth::SynthConfig { seed, train_patients: 1200, valid_patients: 0, size: 80, ..Default::default() };
    synth::write(&set, &data)?;
    said(&format!("drew a synthetic set in {}", data.display()));

    // The preset for a few thousand images, at 64 px; epochs are what five minutes allow. Four groups keep the batch
    // statistics of a query from those of its key.
    let mut settings = PretrainSettings::named("small", &data)?.with_set("views.size=64")?;
    settings.channels = 1;
    settings.data.in_memory = true;
    settings.train.seed = seed;
    settings.train.epochs = 6;
    settings.train.schedule.lr = 1e-3;
    settings.train.schedule.warmup_epochs = 0.5;
    settings.train.moco.groups = 4;
    let mut watch = Epochs(start);
    let run = pretrain(&settings, &out.join("run"), Existing::Refuse, &mut watch)?;
    said("pretrained; computing features");

    let source =
        LinearData { train: data, test: None, dataset: Dataset::Chexpert, on_bad: OnBad::Fail, patient_regex: None };
    let (train, test) = source.load(2, &mut |note| println!("{note}"))?;
    let mut probe = ProbeSettings::new(synth::Finding::ALL.map(|f| f.column().to_owned()).to_vec());
    probe.fractions = vec![0.01, 0.1, 1.0];
    probe.seed = seed;
    let train_labels = Labelled::new(&train.manifest, &train.rows, &probe.tasks, probe.policy)?;
    let test_labels = Labelled::new(&test.manifest, &test.rows, &probe.tasks, probe.policy)?;

    let views = moco_cxr::cxr_data::ViewConfig::eval(settings.views.size);
    let moco = Arm::of(&run.network, views, &train_labels, &test_labels, &probe)?;
    let config =
        NetworkConfig { arch: settings.arch, channels: settings.channels, normalization: settings.normalization };
    let device = settings.device.select()?;
    let random = Arm::random(&config, seed, &device, &train, views, (&train_labels, &test_labels), &probe)?;
    said("fitting probes");
    let outcome = linear(&train_labels, &test_labels, &moco, Some(&random), &probe)?;

    let stamp = Stamp::new(probe.policy.to_string(), format!("synthetic, seed {seed}"), "standard linear probe");
    outcome.write(&run.folder.join("eval"), &load_run(run.folder.path(), &device)?, &probe, &stamp)?;
    let summary = format!(
        "{} on {} synthetic images, {} epochs, seed {seed}; tested on {} patients never seen in training.",
        settings.arch,
        train.rows.len(),
        settings.train.epochs,
        test.manifest.patient_count(),
    );
    let mut report = Report::read(run.folder.path(), &ReportOptions { features: true, ..Default::default() })?;
    (report.title, report.summary) = ("moco-cxr quickstart".into(), summary.clone());
    let page = run.folder.join("report.html");
    report.write(&page)?;
    println!("\n{summary}\n\n{}", results_table(&outcome.outcome.results).to_markdown());
    said(&format!("report: {}", page.display()));
    Ok(())
}

/// Prints a line an epoch.
struct Epochs(Instant);

impl Observer for Epochs {
    fn on_epoch(&mut self, report: &EpochReport) -> Request {
        println!("[{:4.0} s] {}", self.0.elapsed().as_secs_f64(), report.line());
        Request::Continue
    }
}

impl Watch for Epochs {}

fn arguments() -> Result<(u64, PathBuf), Box<dyn Error>> {
    let (mut seed, mut out) = (0, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--seed" => seed = value.parse().map_err(|e| format!("--seed {value}: {e}"))?,
            "--out" => out = Some(PathBuf::from(value)),
            _ => return Err(format!("unknown argument {name}; expected --seed N or --out DIR").into()),
        }
    }
    Ok((seed, out.unwrap_or_else(|| PathBuf::from(format!("runs/quickstart-{seed}")))))
}
