//! What the examples of the paper's tables share: a folder of results beside the paper, or a smoke run that makes one.
#![allow(clippy::print_stdout)]

use std::{
    error::Error,
    path::{Path, PathBuf},
};

use moco_cxr::{
    Existing, Init, Labelled, LinearData, LoadedPart, PaperArm, PaperTable, PretrainSettings, ProbeSettings, RunFolder,
    Tuning, adapt_statistics,
    backbones::{Network, NetworkConfig},
    cxr_data::{Dataset, OnBad, ViewConfig, synth},
    eval::{Bootstrap, Scores, Stamp},
    fit_draws, label_draws, pretrain, reproduction_table, scores, write_draws,
};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

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

/// A synthetic set, and the linear ResNet18 models of the table at the fractions that a few hundred images allow.
fn smoke(table: PaperTable, out: &Path) -> Outcome<PathBuf> {
    println!("A smoke run on drawn images: the numbers under \"ours\" are no reproduction of anything.\n");
    RunFolder::check(out, Existing::Refuse)?;
    let (data, results) = (out.join("data"), out.join("results"));
    let set = synth::SynthConfig {
        train_patients: 300,
        valid_patients: 0,
        test_patients: 100,
        size: 48,
        ..Default::default()
    };
    synth::write(&set, &data)?;
    let source = LinearData {
        train: data.clone(),
        test: None,
        dataset: Dataset::Chexpert,
        on_bad: OnBad::Fail,
        patient_regex: None,
    };
    let parts = source.load(2, &mut |note| println!("note: {note}"))?;

    let cells: Vec<_> = table.cells().into_iter().filter(|cell| cell.fraction >= 0.1).collect();
    let mut made: Vec<PaperArm> = Vec::new();
    for arm in cells.iter().flat_map(|cell| cell.quantity.arms()) {
        if made.contains(&arm) || arm.arch != "resnet18" || arm.tuning != Tuning::Linear {
            continue;
        }
        let mut wanted: Vec<(f64, &str)> = Vec::new();
        for cell in cells.iter().filter(|cell| cell.quantity.arms().contains(&arm)) {
            if !wanted.contains(&(cell.fraction, cell.task)) {
                wanted.push((cell.fraction, cell.task));
            }
        }
        let network = network(arm.init, &data, out, &parts.0)?;
        linear_model(&network, &wanted, &parts, &results.join(arm.folder()))?;
        println!("made {}", arm.folder());
        made.push(arm);
    }
    println!();
    Ok(results)
}

fn views() -> ViewConfig {
    ViewConfig::eval(32)
}

/// Pretrained for one epoch, or of random weights where the paper has ImageNet's.
fn network(init: Init, data: &Path, out: &Path, train: &LoadedPart) -> Outcome<Network> {
    let rate = match init {
        Init::MoCo => "1e-4",
        Init::MoCoRate(rate) => rate,
        Init::ImageNet => "random",
    };
    let mut settings = PretrainSettings::named("small", data)?.with_set("views.size=32")?;
    settings.channels = 1;
    settings.data.in_memory = true;
    if init == Init::ImageNet {
        let config =
            NetworkConfig { arch: settings.arch, channels: settings.channels, normalization: settings.normalization };
        let mut network = config.init(0, &settings.device.select()?);
        let probe = ProbeSettings::new(vec!["Pleural Effusion".to_owned()]);
        adapt_statistics(&mut network, &train.manifest, &train.rows, views(), &probe)?;
        return Ok(network);
    }
    (settings.train.epochs, settings.train.schedule.lr) = (1, rate.parse()?);
    settings.train.schedule.warmup_epochs = 0.0;
    Ok(pretrain(&settings, &out.join(format!("moco-{rate}")), Existing::Refuse, &mut ())?.network)
}

/// Heads on the label draws of every fraction, their scores kept as those of the task beside it.
fn linear_model(
    network: &Network,
    wanted: &[(f64, &str)],
    (train, test): &(LoadedPart, LoadedPart),
    folder: &Path,
) -> Outcome {
    let settings = ProbeSettings::new(vec!["Pleural Effusion".to_owned()]);
    let train = Labelled::new(&train.manifest, &train.rows, &settings.tasks, settings.policy)?;
    let test = Labelled::new(&test.manifest, &test.rows, &settings.tasks, settings.policy)?;
    let (x, held_out) = (train.features(network, views(), &settings)?, test.features(network, views(), &settings)?);
    let stamp = Stamp::new(settings.policy.to_string(), "synthetic", "linear, standard");
    for &(fraction, task) in wanted {
        let draws = label_draws(&train, fraction, &settings)?;
        let named = |scores: Scores| {
            let rows = scores.rows().to_vec();
            Scores::new(vec![task.to_owned()], rows, scores.labels().to_owned(), scores.scores().to_owned())
        };
        let logits = fit_draws(&train, &x, &held_out, &draws, &settings)?;
        let draws: Vec<Scores> =
            logits.iter().map(|logits| Ok(named(scores(&test, &settings, logits)?)?)).collect::<Outcome<_>>()?;
        write_draws(folder, fraction, &draws, &settings.bootstrap, &stamp)?;
    }
    Ok(())
}
