//! Shared by the examples of the paper's tables: compares a folder of results with the paper, or makes one in a smoke run.
#![allow(clippy::print_stdout)]

use std::{
    collections::{BTreeMap, btree_map::Entry},
    error::Error,
    path::{Path, PathBuf},
};

use moco_cxr::{
    DeviceChoice, Existing, PretrainSettings, Protocol, RunFolder, Sources, ValidFrom,
    cxr_data::{LabelPolicy, synth},
    eval::Bootstrap,
    pretrain,
    reproduce::{Fit, Init, LinearProtocol, PaperTable, Reproduction, Tuning, reproduction_table},
};

use crate::drawn_films;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// Side of the images of a smoke run, in pixels.
const SIDE: usize = 32;

pub(crate) fn run(table: PaperTable, arguments: &[String]) -> Outcome {
    let results = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--results", folder] => PathBuf::from(folder),
        ["--smoke"] => smoke(table, &PathBuf::from(format!("runs/smoke-{}", table.name())))?,
        ["--smoke", "--out", folder] => smoke(table, Path::new(folder))?,
        _ => return Err("expected --results DIR, or --smoke [--out DIR]".into()),
    };
    let cells = table.reproduce(&results, &Bootstrap::paper(0))?;
    println!("{}\n\n{}", table.title(), reproduction_table(&cells).to_markdown());
    Ok(())
}

/// Generates a synthetic set and trains the linear ResNet18 models of the table, at fractions that a few hundred images allow.
fn smoke(table: PaperTable, out: &Path) -> Outcome<PathBuf> {
    println!("A smoke run on synthetic images: the numbers under \"ours\" do not reproduce the paper.\n");
    RunFolder::check(out, Existing::Refuse)?;
    let data = out.join("data");
    let set = synth::SynthConfig {
        train_patients: 300,
        valid_patients: 40,
        test_patients: 100,
        size: 48,
        ..Default::default()
    };
    synth::write(&set, &data)?;
    let shenzhen = table.fits().iter().any(|fit| fit.task == "Tuberculosis");
    let mut sources = Sources::new(if shenzhen { drawn_films::draw(out)? } else { data.clone() });
    sources.valid = ValidFrom::HeldOut;
    let possible = |fit: &Fit| fit.arm.arch == "resnet18" && fit.arm.tuning == Tuning::Linear && fit.fraction >= 0.1;
    let fits: Vec<Fit> = table.fits().into_iter().filter(possible).collect();
    let mut weights = BTreeMap::new();
    for fit in &fits {
        if let Entry::Vacant(start) = weights.entry(fit.arm.start()) {
            start.insert(network(fit.arm.init, &data, out)?);
        }
    }
    let reproduction = Reproduction {
        table,
        results: out.join("results"),
        weights,
        sources,
        policy: LabelPolicy::default(),
        protocol: Protocol::default(),
        linear: LinearProtocol::Standard,
        epochs: None,
        image_size: Some(SIDE),
        device: DeviceChoice::Auto,
        features: None,
    };
    reproduction.make_fits(&fits, &|text: &str| println!("{text}"))?;
    println!();
    Ok(reproduction.results)
}

/// Pretrains for one epoch, or returns random weights in place of ImageNet's.
fn network(init: Init, data: &Path, out: &Path) -> Outcome<String> {
    let rate = match init {
        Init::MoCo => "1e-4",
        Init::MoCoRate(rate) => rate,
        Init::ImageNet => return Ok("random".into()),
    };
    let mut settings = PretrainSettings::named("small", data)?.with_set(&format!("views.size={SIDE}"))?;
    (settings.channels, settings.data.in_memory) = (1, true);
    (settings.train.epochs, settings.train.schedule.lr) = (1, rate.parse()?);
    settings.train.schedule.warmup_share = 0.0;
    let run = out.join(format!("moco-{rate}"));
    pretrain(&settings, &run, Existing::Refuse, &mut ())?;
    Ok(run.display().to_string())
}
