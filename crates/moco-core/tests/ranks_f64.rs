//! Several ranks compute what one process with as many groups computes: in double precision, where only a real difference is
//! larger than the rounding of sums in another order. A binary of its own: a device's precision is set once a process.
#![allow(clippy::unwrap_used)]

mod support;

use std::{
    sync::{Arc, LazyLock},
    thread,
};

use burn::tensor::{Device, FloatDType};
use moco_core::{
    Alone, Batch, BatchSource, BoxError, Checkpoints, Collective, Decay, End, HostBatch, Keep, LocalGroup, MocoConfig,
    Observer, OptimizerConfig, QueueInit, Request, Rule, RunState, Schedule, StepMetrics, TrainConfig, Trainer,
};
use ndarray::Array3;
use support::{Narrow, numbers, pixel};

const N: usize = 16;
const S: usize = 12;
const BATCHES: usize = 10;

static DEVICE: LazyLock<Device> = LazyLock::new(|| {
    let mut device = Device::flex();
    device.configure(FloatDType::F64).unwrap();
    device
});

/// Two epochs of ten batches that depend on epoch and number alone.
struct Source;

fn batch(number: usize) -> HostBatch {
    let views = |view| {
        Array3::from_shape_fn((N, S, S), |(n, y, x)| pixel((number * 2 + view) * N * S * S + (n * S + y) * S + x))
    };
    // Two images of a patient in each batch, and patients that come again.
    let patients = (0..N).map(|i| ((i / 2 + number * 3) % 29) as u32).collect();
    HostBatch { query: views(0), key: views(1), patients }
}

impl BatchSource for Source {
    fn batches_per_epoch(&self) -> usize {
        BATCHES
    }
    fn epoch(&mut self, epoch: u64, first: usize) -> Box<dyn Iterator<Item = Result<Batch, BoxError>> + '_> {
        Box::new((first..BATCHES).map(move |b| Ok(batch(epoch as usize * BATCHES + b).into())))
    }
}

#[derive(Default)]
struct Log {
    steps: Vec<StepMetrics>,
    similarities: Vec<u64>,
    stop_at: Option<u64>,
}

impl Observer for Log {
    fn on_step(&mut self, metrics: &StepMetrics) -> Request {
        self.steps.push(metrics.clone());
        if self.stop_at == Some(metrics.step) { Request::Stop } else { Request::Continue }
    }
    fn on_epoch(&mut self, report: &moco_core::EpochReport) -> Request {
        self.similarities.extend(report.similarities.iter().flat_map(|s| s.positive.clone()));
        Request::Continue
    }
}

fn config(groups: usize) -> TrainConfig {
    let mut config = TrainConfig::default();
    (config.seed, config.epochs, config.batch_size) = (1, 2, N);
    config.moco = MocoConfig::new();
    (config.moco.dim, config.moco.queue_size, config.moco.groups) = (6, 72, groups);
    (config.moco.momentum, config.moco.mask_same_patient) = (0.9, true);
    config.optimizer = OptimizerConfig::new(Rule::SGD, 1e-4);
    config.schedule = Schedule::new(0.02, Decay::Cosine);
    config
}

/// The variants of the method, each with something else that ranks exchange.
fn variants(groups: usize) -> Vec<(&'static str, TrainConfig)> {
    let with = |name, change: fn(&mut TrainConfig)| {
        let mut config = config(groups);
        change(&mut config);
        (name, config)
    };
    vec![
        with("plain", |_| ()),
        with("adam, clipped, accumulated", |c| {
            c.optimizer = OptimizerConfig::new(Rule::ADAM, 1e-4);
            (c.clip_norm, c.accumulate, c.schedule) = (Some(0.5), 2, Schedule::new(1e-3, Decay::Cosine));
        }),
        with("symmetric, normed head", |c| (c.moco.symmetric, c.moco.head_norm) = (true, true)),
        with("batch negatives, masked queue", |c| {
            (c.moco.batch_negatives, c.moco.queue_init) = (true, QueueInit::Masked);
        }),
        with("keys in their order", |c| c.moco.shuffle_keys = false),
    ]
}

fn trainer(config: &TrainConfig, ranks: Arc<dyn Collective>) -> Trainer<Narrow> {
    // Other weights on every rank: they must get those of rank 0.
    config.init_among(Narrow::new(2 + ranks.rank() as u64, &DEVICE), ranks).unwrap()
}

/// Runs on local ranks; the state at the end and the log of every rank.
fn on_ranks(size: usize, work: impl Fn(Arc<dyn Collective>) -> (RunState, Log) + Sync) -> Vec<(RunState, Log)> {
    thread::scope(|scope| {
        let threads: Vec<_> =
            LocalGroup::new(size).into_iter().map(|member| scope.spawn(|| work(Arc::new(member)))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn straight(config: &TrainConfig, ranks: Arc<dyn Collective>) -> (RunState, Log) {
    let (mut trainer, mut log) = (trainer(config, ranks), Log::default());
    assert_eq!(trainer.run(&mut Source, &mut log).unwrap(), End::Finished);
    (trainer.state().unwrap(), log)
}

/// Sums of a step are taken in another order: some 1e-16, and twenty steps with statistics over four values carry it on. The
/// random rows of the queue are single, and the same.
fn near(found: &RunState, expected: &RunState, case: &str) {
    for (name, data) in &expected.weights {
        for (a, b) in numbers(found.weights[name].clone()).into_iter().zip(numbers(data.clone())) {
            assert!((a - b).abs() <= 1e-10 * (1.0 + b.abs()), "{case}: {name}: {a} and {b}");
        }
    }
    let (found, expected) = (found.queue(), expected.queue());
    for name in ["queue_ptr", "filled", "patients", "written_at"] {
        assert_eq!(found[name], expected[name], "{case}: {name}");
    }
    for (a, b) in numbers(found["queue"].clone()).into_iter().zip(numbers(expected["queue"].clone())) {
        assert!((a - b).abs() <= 1e-10, "{case}: the queue has {a}, expected {b}");
    }
}

#[test]
fn ranks_equal_groups_of_one_process() {
    for size in [2, 4] {
        for (name, config) in variants(size) {
            let case = format!("{size} ranks, {name}");
            let (expected, alone) = straight(&config, Arc::new(Alone));
            let found = on_ranks(size, |ranks| straight(&config, ranks));
            let steps = alone.steps.len();
            assert_eq!(steps, if config.accumulate == 2 { 10 } else { 20 });
            for (state, log) in &found {
                near(state, &expected, &case);
                assert_eq!(log.steps.len(), steps);
                for (a, b) in log.steps.iter().zip(&alone.steps) {
                    let (a, b) = (a.measures, b.measures);
                    assert!((a.loss - b.loss).abs() <= 1e-10, "{case}: loss {} and {}", a.loss, b.loss);
                    assert!(
                        (a.positive - b.positive).abs() <= 1e-10 && (a.negative - b.negative).abs() <= 1e-10,
                        "{case}"
                    );
                    assert!((a.top1 - b.top1).abs() <= 1.5 / N as f64, "{case}: a near tie at most");
                    assert_eq!(a.young.is_some(), b.young.is_some(), "{case}");
                }
                let counts = |log: &Log| log.similarities.iter().sum::<u64>();
                assert_eq!(counts(log), counts(&alone), "{case}: similarities of the whole batch");
                // The ranks themselves: bit for bit.
                assert!(state.weights == found[0].0.weights && state.queue() == found[0].0.queue(), "{case}");
            }
        }
    }
}

/// More groups than ranks: each normalises several.
#[test]
fn a_rank_may_have_several_groups() {
    let config = config(4);
    let (expected, _) = straight(&config, Arc::new(Alone));
    let found = on_ranks(2, |ranks| straight(&config, ranks));
    near(&found[1].0, &expected, "2 ranks, 4 groups");
}

#[test]
fn a_run_on_four_ranks_goes_on_on_any_number() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(4);
    let go = |ranks: Arc<dyn Collective>, stop_at: Option<u64>, root: &std::path::Path, config: &TrainConfig| {
        let first = ranks.rank() == 0;
        let (mut trainer, mut log) = (trainer(config, ranks), Log::default());
        trainer.regroup = true;
        if first {
            trainer.checkpoints = Some(Checkpoints::new(root, Keep::default()));
            trainer.resume_newest().unwrap();
            log.stop_at = stop_at; // the others stop because rank 0 does
        }
        let end = trainer.run(&mut Source, &mut log).unwrap();
        assert_eq!(end, if stop_at.is_some() { End::Stopped } else { End::Finished });
        (trainer.state().unwrap(), log)
    };
    let stopped = on_ranks(4, |ranks| go(ranks, Some(7), folder.path(), &config));
    assert!(stopped.iter().all(|(state, log)| state.position.step == 7 && log.steps.len() == 7));
    let whole = on_ranks(4, |ranks| straight(&config, ranks)).remove(0).0;
    for size in [4, 1, 2, 8] {
        let copy = tempfile::tempdir().unwrap();
        let from = Checkpoints::new(folder.path(), Keep::default()).find().unwrap().newest.unwrap();
        Checkpoints::new(copy.path(), Keep::default()).save(&from).unwrap();
        let mut config = config.clone();
        config.moco.groups = config.moco.groups.max(size);
        let found = on_ranks(size, |ranks| go(ranks, None, copy.path(), &config)).remove(0).0;
        match size {
            // The same number: the same bits.
            4 => assert!(found.weights == whole.weights && found.queue() == whole.queue()),
            8 => assert_eq!(found.position, whole.position, "eight groups, which is another computation"),
            _ => near(&found, &whole, &format!("{size} ranks go on")),
        }
    }
}

#[test]
fn what_ranks_cannot_share_is_refused_and_a_lost_rank_ends_the_others() {
    let mut members = LocalGroup::new(3);
    let refuse = |config: &TrainConfig, ranks| {
        config.init_among(Narrow::new(0, &DEVICE), Arc::new(ranks)).unwrap_err().to_string()
    };
    let text = refuse(&config(3), members.remove(0));
    assert!(text.contains("batch_size is 16") && text.contains("number of ranks"), "{text}");
    let mut twelve = config(4);
    twelve.batch_size = 12;
    let text = refuse(&twelve, members.remove(0));
    assert!(text.contains("moco.groups is 4"), "{text}");

    let mut members = LocalGroup::new(2);
    let (second, first) = (members.remove(1), members.remove(0));
    let config = config(2);
    thread::scope(|scope| {
        let lost = scope.spawn(|| {
            let mut log = Log { stop_at: Some(3), ..Log::default() };
            // It ends without a word to the other after three steps.
            struct Gone<'a>(&'a mut Log);
            impl Observer for Gone<'_> {
                fn on_step(&mut self, metrics: &StepMetrics) -> Request {
                    assert!(self.0.on_step(metrics) == Request::Continue, "on purpose");
                    Request::Continue
                }
            }
            trainer(&config, Arc::new(second)).run(&mut Source, &mut Gone(&mut log)).map(|_| ())
        });
        let text = trainer(&config, Arc::new(first)).run(&mut Source, &mut ()).unwrap_err().to_string();
        assert!(lost.join().is_err() && text.contains("rank 1 has ended"), "{text}");
    });
}
