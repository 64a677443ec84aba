//! Checkpoints: resuming is exact, damage is seen and named, nothing is overwritten.
#![allow(clippy::unwrap_used)]

mod support;

use std::{fs, path::Path};

use burn::tensor::Device;
use moco_core::{
    Batch, BatchSource, BoxError, Checkpoints, Decay, End, EpochReport, Error, Keep, MocoConfig, Observer, OnlineProbe,
    OptimizerConfig, QueueInit, Request, Rule, RunState, Schedule, StepMetrics, TrainConfig, Trainer,
};
use ndarray::Array3;
use support::{Narrow, batch};

const BATCHES: usize = 5;

/// Batches that depend on epoch and number alone.
struct Source;

impl BatchSource for Source {
    fn batches_per_epoch(&self) -> usize {
        BATCHES
    }
    fn epoch(&mut self, epoch: u64, first: usize) -> Box<dyn Iterator<Item = Result<Batch, BoxError>> + '_> {
        Box::new((first..BATCHES).map(move |b| Ok(batch(epoch as usize * BATCHES + b).into())))
    }
}

/// Keeps the log without times; asks for something after given steps.
#[derive(Default)]
struct Log {
    lines: Vec<String>,
    checkpoint_at: Vec<u64>,
    stop_at: Option<u64>,
}

impl Observer for Log {
    fn on_step(&mut self, metrics: &StepMetrics) -> Request {
        let StepMetrics { step, epoch, batch, lr, measures, chance, .. } = metrics;
        self.lines.push(format!("{step} {epoch} {batch} {lr:?} {measures:?} {chance:?}"));
        match step {
            _ if self.stop_at == Some(*step) => Request::Stop,
            _ if self.checkpoint_at.contains(step) => Request::Checkpoint,
            _ => Request::Continue,
        }
    }
    fn on_epoch(&mut self, report: &EpochReport) -> Request {
        self.lines.push(format!("{report:?}"));
        Request::Continue
    }
}

fn config(rule: Rule) -> TrainConfig {
    let mut config = TrainConfig::default();
    (config.seed, config.epochs, config.batch_size, config.clip_norm) = (1, 3, support::N, Some(5.0));
    config.moco = MocoConfig::new();
    (config.moco.dim, config.moco.queue_size, config.moco.queue_init) = (6, 18, QueueInit::Masked);
    (config.moco.momentum, config.moco.groups, config.moco.mask_same_patient) = (0.9, 2, true);
    config.optimizer = OptimizerConfig::new(rule, 1e-4);
    config.schedule = Schedule::new(1e-2, Decay::Cosine);
    config.schedule.warmup_epochs = 0.5;
    config
}

fn trainer(config: &TrainConfig, folder: &Path) -> Trainer<Narrow> {
    let mut trainer = config.init(Narrow::new(2, &Device::flex())).unwrap();
    trainer.checkpoints = Some(Checkpoints::new(folder, Keep::default()));
    let images = Array3::from_shape_fn((8, 12, 12), |(n, y, x)| support::pixel(n * 144 + y * 12 + x));
    trainer.probe = Some(OnlineProbe::new(images, (0..8).map(|i| i % 2 == 0).collect(), (0..8).collect()).unwrap());
    trainer
}

/// Bytes of the files of a state: weights, optimizer, queue, position.
fn bytes(folder: &Path, step: u64) -> Vec<(String, Vec<u8>)> {
    let path = Checkpoints::new(folder, Keep::default()).path(step);
    let names = ["weights.safetensors", "optimizer.safetensors", "queue.safetensors", "position.json"];
    names.iter().map(|name| (name.to_string(), fs::read(path.join(name)).unwrap())).collect()
}

#[test]
fn a_resumed_run_equals_an_uninterrupted_one_bit_for_bit() {
    let mut accumulating = config(Rule::ADAM);
    accumulating.accumulate = 2;
    let mut all_options = config(Rule::ADAM);
    (all_options.schedule.warmup_epochs, all_options.schedule.warmup_share) = (0.0, 0.2);
    let moco = &mut all_options.moco;
    (moco.head_norm, moco.batch_negatives, moco.symmetric, moco.momentum_end) = (true, true, true, Some(1.0));
    for (config, stops) in [
        (config(Rule::SGD), vec![1, 4, 5, 8, 14]),
        (config(Rule::ADAM), vec![2, 5, 7]),
        (config(Rule::LARS), vec![6]),
        (accumulating, vec![1, 2, 3, 4]),
        (all_options, vec![1, 4, 7]),
    ] {
        let whole = tempfile::tempdir().unwrap();
        let mut log = Log::default();
        let mut straight = trainer(&config, whole.path());
        assert_eq!(straight.run(&mut Source, &mut log).unwrap(), End::Finished);
        let end = straight.position().step;
        for &stop in &stops {
            let parts = tempfile::tempdir().unwrap();
            let mut first = Log { stop_at: Some(stop), ..Log::default() };
            assert_eq!(trainer(&config, parts.path()).run(&mut Source, &mut first).unwrap(), End::Stopped);

            // A new process: other random weights, all of which the checkpoint must replace.
            let mut resumed = config.init(Narrow::new(99, &Device::flex())).unwrap();
            let fresh = trainer(&config, parts.path());
            (resumed.checkpoints, resumed.probe) = (fresh.checkpoints, fresh.probe);
            assert!(resumed.resume_newest().unwrap().ignored.is_empty());
            assert_eq!(resumed.position().step, stop);
            let mut second = Log::default();
            resumed.run(&mut Source, &mut second).unwrap();
            for ((name, a), (_, b)) in bytes(whole.path(), end).into_iter().zip(bytes(parts.path(), end)) {
                assert!(a == b, "{:?}, stopped at {stop}: {name} differs", config.optimizer.rule);
            }
            assert_eq!([first.lines, second.lines].concat(), log.lines, "the log, stopped at {stop}");
        }
    }
}

#[test]
fn steps_in_flight_change_when_a_loss_is_read_and_nothing_else() {
    let mut config = config(Rule::ADAM);
    config.clip_norm = None;
    let run = |in_flight, stop_at| {
        let folder = tempfile::tempdir().unwrap();
        let mut log = Log { stop_at, ..Log::default() };
        let mut trainer = trainer(&config, folder.path());
        trainer.in_flight = in_flight;
        let end = trainer.run(&mut Source, &mut log).unwrap();
        (bytes(folder.path(), trainer.position().step), log.lines, end)
    };
    let at_once = run(0, None);
    for in_flight in [1, 3, 100] {
        assert!(run(in_flight, None) == at_once, "{in_flight} in flight");
    }
    // Asked to stop at 7 while 8 and 9 are under way: these are landed and kept, so that the log is whole.
    let (state, lines, end) = run(2, Some(7));
    assert_eq!(end, End::Stopped);
    assert!(state == run(0, Some(9)).0);
    assert!(lines.last().unwrap().starts_with("9 1 "), "{lines:?}");
}

#[test]
fn a_checkpoint_cut_or_changed_anywhere_is_never_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(Rule::ADAM);
    let mut log = Log { checkpoint_at: vec![3], stop_at: Some(6), ..Log::default() };
    trainer(&config, folder.path()).run(&mut Source, &mut log).unwrap();
    let checkpoints = Checkpoints::new(folder.path(), Keep::default());
    let newest = checkpoints.path(6);
    let older = checkpoints.find().unwrap().newest.unwrap().position.step;
    assert_eq!(older, 6);
    for file in fs::read_dir(&newest).unwrap() {
        let path = file.unwrap().path();
        let whole = fs::read(&path).unwrap();
        let cuts = (0..40).map(|i| i * whole.len() / 40).chain([whole.len() - 1]);
        let cut = cuts.map(|n| whole[..n].to_vec());
        let flipped = (0..20).map(|i| {
            let mut bytes = whole.clone();
            bytes[i * (whole.len() - 1) / 19] ^= 0x10;
            bytes
        });
        for bytes in cut.chain(flipped) {
            fs::write(&path, &bytes).unwrap();
            let found = checkpoints.find().unwrap();
            assert_eq!(found.newest.unwrap().position.step, 5, "the one before is used");
            assert_eq!(found.ignored.len(), 1);
            assert_eq!(found.ignored[0].path, newest, "and this one named");
            assert!(
                matches!(RunState::read(&newest), Err(Error::Checkpoint { .. })),
                "{path:?}, {} bytes",
                bytes.len()
            );
        }
        fs::remove_file(&path).unwrap();
        assert!(matches!(RunState::read(&newest), Err(Error::Checkpoint { .. })), "{path:?} missing");
        fs::write(&path, &whole).unwrap();
        assert_eq!(RunState::read(&newest).unwrap().position.step, 6);
    }
}

#[test]
fn an_interrupted_write_is_ignored_named_and_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(Rule::SGD);
    let mut first = trainer(&config, folder.path());
    first.run(&mut Source, &mut Log { stop_at: Some(2), ..Log::default() }).unwrap();
    // What a kill leaves: a temporary directory, half written.
    let partial = folder.path().join(".step-00000005.partial");
    fs::create_dir(&partial).unwrap();
    fs::write(partial.join("weights.safetensors"), b"half").unwrap();
    let mut second = trainer(&config, folder.path());
    let found = second.resume_newest().unwrap();
    assert_eq!(found.newest.unwrap().position.step, 2);
    assert_eq!(found.ignored[0].path, partial);
    second.run(&mut Source, &mut ()).unwrap();
    assert!(!partial.exists(), "the write that was interrupted was made good");
    let latest = fs::read_to_string(folder.path().join("latest")).unwrap();
    assert_eq!(latest.trim(), "step-00000015");
}

#[test]
fn other_settings_are_refused_by_name_but_more_epochs_are_fine() {
    let folder = tempfile::tempdir().unwrap();
    let base = config(Rule::ADAM);
    trainer(&base, folder.path()).run(&mut Source, &mut ()).unwrap();
    let mut other = base.clone();
    (other.seed, other.moco.queue_size, other.moco.temperature) = (2, 24, 0.07);
    let mut resumed = trainer(&other, folder.path());
    let error = resumed.resume_newest().unwrap_err();
    let Error::ResumeDiffers { differences } = &error else { panic!("{error}") };
    assert_eq!(
        differences,
        &["moco.queue_size: was 18, is 24", "moco.temperature: was 0.2, is 0.07", "seed: was 1, is 2"]
    );
    assert_eq!(resumed.position().step, 0, "the refused run is untouched");

    let mut longer = base;
    longer.epochs = 4;
    let mut resumed = trainer(&longer, folder.path());
    resumed.resume_newest().unwrap();
    let mut log = Log::default();
    assert_eq!(resumed.run(&mut Source, &mut log).unwrap(), End::Finished);
    assert_eq!(resumed.position().step, 20);
    assert_eq!(log.lines.len(), BATCHES + 1);
}

#[test]
fn old_checkpoints_go_and_chosen_ones_stay() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(Rule::SGD);
    config.epochs = 6;
    let mut trainer = trainer(&config, folder.path());
    let mut keep = Keep::default(); // the last two
    keep.every_epochs = Some(2);
    trainer.checkpoints = Some(Checkpoints::new(folder.path(), keep));
    let mut log = Log { checkpoint_at: vec![3, 11, 22], ..Log::default() };
    trainer.run(&mut Source, &mut log).unwrap();
    let best = trainer.best().unwrap().step;
    let mut expected = vec![10, 20, 25, 30, best];
    expected.sort_unstable();
    expected.dedup();
    let names = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut steps: Vec<u64> = names.filter_map(|n| n.strip_prefix("step-")?.parse().ok()).collect();
    steps.sort_unstable();
    assert_eq!(steps, expected);
    let named = fs::read_to_string(folder.path().join("best")).unwrap();
    assert_eq!(named.trim(), format!("step-{best:08}"));
}

#[test]
fn a_folder_with_another_runs_checkpoints_is_refused_untouched() {
    let folder = tempfile::tempdir().unwrap();
    trainer(&config(Rule::ADAM), folder.path()).run(&mut Source, &mut ()).unwrap();
    let before = bytes(folder.path(), 15);
    let mut log = Log::default();
    let error = trainer(&config(Rule::SGD), folder.path()).run(&mut Source, &mut log).unwrap_err();
    assert!(error.to_string().contains("belongs to another run"), "{error}");
    assert!(log.lines.is_empty(), "before the first step");
    assert_eq!(bytes(folder.path(), 15), before);
}

#[test]
fn files_name_tensors_as_the_reference_does() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = Log { stop_at: Some(3), ..Log::default() };
    trainer(&config(Rule::ADAM), folder.path()).run(&mut Source, &mut log).unwrap();
    let files = bytes(folder.path(), 3);
    let names = |file: usize| {
        let tensors = safetensors::SafeTensors::deserialize(&files[file].1).unwrap();
        let mut names: Vec<String> = tensors.names().into_iter().map(str::to_owned).collect();
        names.sort();
        names
    };
    let layers = ["bn1", "bn2", "conv1", "conv2", "fc.0", "fc.2"];
    let parameters = |layer: &str| if layer.starts_with("conv") { vec!["weight"] } else { vec!["bias", "weight"] };
    let (mut weights, mut states) = (Vec::new(), Vec::new());
    for layer in layers {
        for side in ["encoder_q", "encoder_k"] {
            weights.extend(parameters(layer).iter().map(|name| format!("{side}.{layer}.{name}")));
            if layer.starts_with("bn") {
                weights.extend(["running_mean", "running_var"].map(|name| format!("{side}.{layer}.{name}")));
            }
        }
        for name in parameters(layer) {
            states.extend(["exp_avg", "exp_avg_sq", "step"].map(|slot| format!("encoder_q.{layer}.{name}/{slot}")));
        }
    }
    weights.sort();
    states.sort();
    assert_eq!(names(0), weights);
    assert_eq!(names(1), states);
    assert_eq!(names(2), ["filled", "patients", "queue", "queue_ptr", "written_at"]);
}

#[test]
fn watching_with_a_probe_changes_nothing_of_the_training() {
    let weights = |watched: bool| {
        let folder = tempfile::tempdir().unwrap();
        let mut trainer = trainer(&config(Rule::ADAM), folder.path());
        if !watched {
            trainer.probe = None;
        }
        trainer.run(&mut Source, &mut ()).unwrap();
        trainer.state().unwrap().weights
    };
    assert_eq!(weights(true), weights(false));
}

#[test]
fn a_run_that_explodes_stops_names_the_step_and_keeps_its_last_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(Rule::SGD);
    config.clip_norm = None;
    // Each step multiplies the weights by 1 - 1e6 * 1, which leaves the range of f32 within seven.
    (config.schedule, config.optimizer) = (Schedule::constant(1e6), OptimizerConfig::new(Rule::SGD, 1.0));
    let mut trainer = trainer(&config, folder.path());
    let mut log = Log { checkpoint_at: vec![1], ..Log::default() };
    let error = trainer.run(&mut Source, &mut log).unwrap_err();
    let Error::NonFinite { step, .. } = error else { panic!("{error}") };
    assert_eq!(step, trainer.position().step, "the step that failed is the one after those done");
    assert_eq!(moco_core::Diagnosis::of(&error), Some(moco_core::Diagnosis::NonFinite));
    let found = Checkpoints::new(folder.path(), Keep::default()).find().unwrap();
    assert_eq!(found.newest.unwrap().position.step, 1);
}

#[test]
fn faults_of_the_source_name_epoch_and_batch() {
    struct Broken;
    impl BatchSource for Broken {
        fn batches_per_epoch(&self) -> usize {
            BATCHES
        }
        fn epoch(&mut self, _: u64, first: usize) -> Box<dyn Iterator<Item = Result<Batch, BoxError>> + '_> {
            Box::new((first..3).map(|b| if b == 2 { Err("a.png: truncated".into()) } else { Ok(batch(b).into()) }))
        }
    }
    struct Short;
    impl BatchSource for Short {
        fn batches_per_epoch(&self) -> usize {
            BATCHES
        }
        fn epoch(&mut self, _: u64, first: usize) -> Box<dyn Iterator<Item = Result<Batch, BoxError>> + '_> {
            Box::new((first..2).map(|b| Ok(batch(b).into())))
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let error = trainer(&config(Rule::SGD), folder.path()).run(&mut Broken, &mut ()).unwrap_err();
    assert_eq!(error.to_string(), "data, epoch 0, batch 2: a.png: truncated");
    let error = trainer(&config(Rule::SGD), folder.path()).run(&mut Short, &mut ()).unwrap_err();
    assert_eq!(error.to_string(), "data, epoch 0: the source ended after 2 batches, it announced 5");
}

/// `old_checkpoint/` was written by version 0.1.0 after 7 of 15 steps of `config(Rule::ADAM)`. The losses are those that it
/// computed when it went on from there, through the rest of the epoch.
#[test]
fn a_checkpoint_of_version_0_1_0_is_resumed() {
    const STEP: &str = "step-00000007";
    const LOSSES: [f64; 3] = [2.58141827583313, 2.688121795654297, 2.5743050575256348];
    let old = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/old_checkpoint").join(STEP);
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join(STEP)).unwrap();
    for file in fs::read_dir(&old).unwrap().map(Result::unwrap) {
        fs::copy(file.path(), folder.path().join(STEP).join(file.file_name())).unwrap();
    }

    struct Losses(Vec<f64>);
    impl Observer for Losses {
        fn on_step(&mut self, metrics: &StepMetrics) -> Request {
            self.0.push(metrics.measures.loss);
            if self.0.len() == LOSSES.len() { Request::Stop } else { Request::Continue }
        }
    }

    let mut resumed = trainer(&config(Rule::ADAM), folder.path());
    assert!(resumed.resume_newest().unwrap().ignored.is_empty());
    let position = resumed.position();
    assert_eq!((position.step, position.epoch, position.batch), (7, 1, 2));
    assert_eq!(resumed.best().map(|best| (best.auc, best.step)), Some((0.0625, 5)));
    let mut losses = Losses(Vec::new());
    resumed.run(&mut Source, &mut losses).unwrap();
    assert_eq!(losses.0.len(), LOSSES.len());
    // CPUs differ in the last of 24 bits.
    assert!(losses.0.iter().zip(LOSSES).all(|(found, old)| (found / old - 1.0).abs() < 1e-6), "{:?}", losses.0);
}
