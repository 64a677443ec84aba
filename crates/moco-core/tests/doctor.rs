//! The run doctor: each diagnosis provoked by its real cause, and a healthy run without any.
#![allow(clippy::unwrap_used)]

mod support;

use backbones::{Backbone, BatchNorm, Conv2d, Initializer, Mode, TensorKind, state_dict};
use burn::{
    module::Module,
    tensor::{Device, Tensor, TensorData, activation::relu},
};
use moco_core::{
    Batch, BatchSource, BoxError, Decay, Diagnosis, Encoder, EpochReport, Forecast, HostBatch, MocoConfig, Observer,
    OptimizerConfig, QueueInit, Request, Rule, Schedule, TrainConfig,
};
use ndarray::Array3;
use support::pixel;

const N: usize = 16;
const S: usize = 16;
const BATCHES: usize = 12;

/// Large enough to tell 192 images apart: it keeps positions.
#[derive(Module, Debug)]
struct Positions {
    conv1: Conv2d,
    bn1: BatchNorm,
    conv2: Conv2d,
    bn2: BatchNorm,
}

impl Positions {
    fn new() -> Self {
        let mut init = Initializer::new(1, &Device::flex());
        let (conv1, bn1) = (init.conv2d(1, 8, 3, 2, 1), init.batch_norm(8));
        let (conv2, bn2) = (init.conv2d(8, 8, 3, 2, 1), init.batch_norm(8));
        Self { conv1, bn1, conv2, bn2 }
    }
}

impl Backbone for Positions {
    fn feature_dim(&self) -> usize {
        128
    }
    fn features(&mut self, images: Tensor<4>, mode: Mode) -> Tensor<2> {
        let x = relu(self.bn1.forward(self.conv1.forward(images), mode)); // [B, 8, 8, 8]
        relu(self.bn2.forward(self.conv2.forward(x), mode)).reshape([-1, 128]) // [B, 8·4·4]
    }
}

/// What the two views of an image have in common.
#[derive(Clone, Copy, PartialEq)]
enum Data {
    /// The same structure under different brightness and noise.
    Augmented,
    /// Everything: no augmentation at all.
    Identical,
    /// Nothing: the key is a view of another image.
    Mismatched,
    /// Blank images, as from a broken decoder.
    Blank,
}

/// A number in `[0, 1)`, a hash of the arguments.
fn noise(a: usize, b: usize) -> f64 {
    f64::from(pixel(a.wrapping_mul(7919).wrapping_add(b))) / 256.0
}

/// A view of an image: bars and blobs that belong to the image; brightness and noise that belong to the view.
fn view(image: usize, draw: usize, augmented: bool) -> impl Fn(usize, usize) -> u8 {
    let trait_of = move |i| noise(image, i);
    let (gain, offset) = if augmented { (0.85 + 0.3 * noise(draw, 1), 20.0 * noise(draw, 2)) } else { (1.0, 10.0) };
    move |y, x| {
        let (y, x) = (y as f64, x as f64);
        let bars = (x * (0.3 + trait_of(1) * 2.0) + y * (0.3 + trait_of(2) * 2.0) + 6.0 * trait_of(3)).sin();
        let (dy, dx) = (y - 15.0 * trait_of(4), x - 15.0 * trait_of(5));
        let blob = (-(dy * dy + dx * dx) / (2.0 + 20.0 * trait_of(6))).exp();
        let grain = if augmented { 10.0 * noise(draw, 100 + (y * 16.0 + x) as usize) } else { 0.0 };
        let grey = (60.0 + 100.0 * trait_of(7)) + 50.0 * bars * trait_of(8) + 60.0 * blob;
        (grey * gain + offset + grain).clamp(0.0, 255.0) as u8
    }
}

impl BatchSource for Data {
    fn batches_per_epoch(&self) -> usize {
        BATCHES
    }
    fn epoch(&mut self, epoch: u64, first: usize) -> Box<dyn Iterator<Item = Result<Batch, BoxError>> + '_> {
        let data = *self;
        Box::new((first..BATCHES).map(move |b| {
            let make = |side: usize| {
                Array3::from_shape_fn((N, S, S), |(n, y, x)| {
                    let draw = ((epoch as usize * BATCHES + b) * N + n) * 2 + side;
                    // Another order in every epoch, so that a batch has other company each time: the factor shares no
                    // divisor with the 192 images.
                    let image = (b * N + n) * (6 * epoch as usize + 1) % (BATCHES * N);
                    match data {
                        Data::Augmented => view(image, draw, true)(y, x),
                        Data::Identical => view(image, draw, false)(y, x),
                        Data::Mismatched => view(draw * 31 + 5, draw, true)(y, x),
                        Data::Blank => 0,
                    }
                })
            };
            Ok(HostBatch { query: make(0), key: make(1), patients: vec![0; N] }.into())
        }))
    }
}

#[derive(Default)]
struct Reports(Vec<EpochReport>);

impl Observer for Reports {
    fn on_epoch(&mut self, report: &EpochReport) -> Request {
        self.0.push(report.clone());
        Request::Continue
    }
}

fn config() -> TrainConfig {
    let mut config = TrainConfig::default();
    (config.epochs, config.batch_size) = (5, N);
    config.moco = MocoConfig::new();
    (config.moco.dim, config.moco.queue_size, config.moco.queue_init) = (16, 64, QueueInit::Masked);
    (config.moco.momentum, config.moco.temperature) = (0.99, 0.2);
    config.optimizer = OptimizerConfig::new(Rule::ADAM, 1e-4);
    config.schedule = Schedule::constant(2e-3);
    config
}

fn reports(config: &TrainConfig, mut data: Data) -> Vec<EpochReport> {
    let mut reports = Reports::default();
    config.init(Positions::new()).unwrap().run(&mut data, &mut reports).unwrap();
    reports.0
}

#[test]
fn a_healthy_run_raises_nothing_and_learns() {
    let reports = reports(&config(), Data::Augmented);
    for report in &reports {
        assert!(report.diagnoses.is_empty(), "{}", report.line());
        assert!(report.line().starts_with(&format!("epoch {}: loss", report.epoch)));
    }
    let (first, last) = (&reports[0], &reports[reports.len() - 1]);
    let share = |report: &EpochReport| report.loss / report.chance;
    // Observed 0.62 and 0.44.
    assert!(share(last) < 0.8 * share(first) && last.top1 > 0.4, "{}\n{}", first.line(), last.line());
    assert!(last.effective_rank > 3.0 && last.feature_std > 0.1, "{}", last.line());
    assert_eq!((last.queue_written, last.step), (64, 60));
    // 64 slots of batches of 16: keys of the last four steps, 1 to 4 steps old.
    assert_eq!(last.queue_age, 2.5);
    // Every coordinate of the 64 keys is counted once, and unit vectors have a mean square of 1/D.
    assert_eq!(last.coordinates.iter().sum::<u64>(), 64 * 16);
    let square = |bin: usize| (-4.0 + (bin as f64 + 0.5) / 8.0).powi(2);
    let mean = last.coordinates.iter().enumerate().map(|(bin, &n)| square(bin) * n as f64).sum::<f64>() / 1024.0;
    // The middle of a bin is off by 1/16 at most, 0.04 in the root of the mean square by Cauchy-Schwarz.
    assert!((mean.sqrt() - 1.0).abs() < 1.0 / 16.0, "{mean}");
}

#[test]
fn pairs_that_do_not_belong_together_stay_at_chance() {
    let reports = reports(&config(), Data::Mismatched);
    let last = reports.last().unwrap();
    assert_eq!(last.diagnoses, [Diagnosis::StuckAtChance], "{}", last.line());
}

#[test]
fn a_warm_up_is_not_taken_for_a_run_that_learns_nothing() {
    let mut config = config();
    (config.epochs, config.schedule.warmup_epochs) = (8, 1.5);
    let stuck: Vec<bool> = reports(&config, Data::Mismatched)
        .iter()
        .map(|report| report.diagnoses.contains(&Diagnosis::StuckAtChance))
        .collect();
    // Two epochs hold steps of the warm-up, and one at the full rate is given after it. An epoch has few steps, so that a later
    // one may rank well by luck.
    assert!(stuck.iter().position(|&stuck| stuck).is_some_and(|first| first >= 3), "{stuck:?}");
}

#[test]
fn blank_images_collapse() {
    let reports = reports(&config(), Data::Blank);
    let last = reports.last().unwrap();
    assert_eq!(last.diagnoses, [Diagnosis::Collapsed], "{}", last.line());
}

#[test]
fn views_without_augmentation_solve_the_task() {
    let mut config = config();
    (config.moco.queue_size, config.epochs) = (16, 8);
    let reports = reports(&config, Data::Identical);
    let last = reports.last().unwrap();
    assert_eq!(last.diagnoses, [Diagnosis::TaskSolved], "{}", last.line());
    assert!(last.line().contains("strengthen the augmentation"));
}

/// At a high temperature the loss cannot leave chance, while queries find their keys.
#[test]
fn a_loss_at_chance_alone_is_not_stuck() {
    let mut config = config();
    config.moco.temperature = 20.0;
    let reports = reports(&config, Data::Augmented);
    let last = reports.last().unwrap();
    assert!(last.loss > 0.97 * last.chance && last.top5 > 4.0 * 5.0 / 65.0, "{}", last.line());
    assert!(last.diagnoses.is_empty(), "{}", last.line());
}

/// What is known before a run, of one kind.
fn forecast(config: &TrainConfig, diagnosis: Diagnosis) -> Option<Forecast> {
    config.forecast(BATCHES * N).into_iter().find(|found| found.diagnosis == diagnosis)
}

/// The settings with the value that a forecast names, set as a person would; nothing of that kind is known of them.
fn cured(config: &TrainConfig, diagnosis: Diagnosis) -> TrainConfig {
    let found = forecast(config, diagnosis).unwrap_or_else(|| panic!("{diagnosis:?} is not foreseen"));
    let mut settings = serde_json::to_value(config).unwrap();
    *settings.pointer_mut(&format!("/{}", found.setting.replace('.', "/"))).unwrap() =
        serde_json::from_str(&found.value).unwrap();
    let config = serde_json::from_value(settings).unwrap();
    assert_eq!(forecast(&config, diagnosis), None, "{found}");
    config
}

#[test]
fn a_queue_too_long_for_the_set_is_foreseen_named_and_cured() {
    let mut config = config();
    (config.epochs, config.moco.queue_size) = (1, BATCHES * N / 2 + 1);
    let named = |config: &TrainConfig| {
        let last = reports(config, Data::Augmented).pop().unwrap();
        last.diagnoses.contains(&Diagnosis::QueueLargerThanData)
    };
    assert!(named(&config));
    let cured = cured(&config, Diagnosis::QueueLargerThanData);
    assert!(!named(&cured), "{}", cured.moco.queue_size);
    config.moco.queue_size -= 1;
    assert!(!named(&config) && forecast(&config, Diagnosis::QueueLargerThanData).is_none(), "half the set");
}

/// All parameters of an encoder.
fn parameters(encoder: &Encoder<Positions>) -> Vec<f64> {
    let kept = |(name, _): &(String, TensorData)| TensorKind::of(name) == TensorKind::Parameter;
    state_dict(encoder).unwrap().into_iter().filter(kept).flat_map(|(_, data)| support::numbers(data)).collect()
}

/// Length of the way from the first weights to the last, of the key encoder as a share of the query encoder's.
fn followed(config: &TrainConfig) -> f64 {
    let mut trainer = config.init(Positions::new()).unwrap();
    let start = parameters(&trainer.moco.encoder_q);
    trainer.run(&mut Data::Augmented.clone(), &mut ()).unwrap();
    let way = |now: Vec<f64>| now.iter().zip(&start).map(|(now, then)| (now - then).powi(2)).sum::<f64>().sqrt();
    way(parameters(&trainer.moco.encoder_k)) / way(parameters(&trainer.moco.encoder_q))
}

#[test]
fn keys_that_hardly_move_are_foreseen_and_follow_at_the_value_named() {
    let mut config = config();
    config.moco.momentum = 0.999;
    let (before, after) = (followed(&config), followed(&cured(&config, Diagnosis::KeysHardlyMove)));
    // 60 steps at 0.999: at most 1 - 0.999^60, 6 %, of any weight's way.
    assert!(before < 0.06 && after > 0.5, "{before} and {after}");
}

#[test]
fn groups_too_small_are_foreseen_and_cured() {
    let mut config = config();
    // Of two numbers batch norm leaves only which is larger: behind the last layer every coordinate is 1 or -1.
    (config.epochs, config.moco.head_norm, config.moco.groups) = (2, true, N / 2);
    let signs_only = |config: &TrainConfig| {
        let last = reports(config, Data::Augmented).pop().unwrap();
        // Coordinates times the root of their number: -1 is bin 24 of 64 from -4 to 4, and 1 is bin 40; rounding
        // may put either into the bin below.
        let at_signs: u64 = [23, 24, 39, 40].iter().map(|&bin| last.coordinates[bin]).sum();
        at_signs as f64 / last.coordinates.iter().sum::<u64>() as f64
    };
    let (before, after) = (signs_only(&config), signs_only(&cured(&config, Diagnosis::GroupsTooSmall)));
    assert!(before > 0.9 && after < 0.5, "{before} and {after}");
}

/// A key encoder that follows at once, at a high rate: the embeddings drift, and the newest key is found by its age.
#[test]
fn keys_told_apart_by_age_are_named_and_cured_by_the_remedy() {
    let mut config = config();
    (config.epochs, config.moco.momentum) = (12, 0.9);
    config.schedule = Schedule::new(2e-2, Decay::Cosine);
    let drifting = reports(&config, Data::Augmented);
    let lines = |reports: &[EpochReport]| reports.iter().map(|r| r.line() + "\n").collect::<String>();
    let by_age = |r: &EpochReport| (r.young.unwrap() - r.old.unwrap()) / (r.positive - r.old.unwrap());
    let (first, last) = (&drifting[0], &drifting[11]);
    assert_eq!(first.diagnoses, [Diagnosis::AgeShortcut], "{}", lines(&drifting));
    assert!(by_age(first) > 0.6 && first.top1 > 0.5, "{}", lines(&drifting));
    // It ends where it does not belong: what was found goes with the rate.
    assert!(last.loss > drifting[1].loss && last.effective_rank < 6.0, "{}", lines(&drifting));
    assert!(last.diagnoses.contains(&Diagnosis::AgeShortcut), "{}", lines(&drifting));
    for word in ["batch_negatives = true", "head_norm = true"] {
        assert!(Diagnosis::AgeShortcut.remedy().contains(word));
    }

    (config.moco.batch_negatives, config.moco.head_norm) = (true, true);
    let cured = reports(&config, Data::Augmented);
    let last = &cured[11];
    for report in &cured {
        assert!(!report.diagnoses.contains(&Diagnosis::AgeShortcut), "{}", lines(&cured));
        assert!(by_age(report).abs() < 0.1, "{}", lines(&cured));
    }
    assert!(last.loss < 0.6 * cured[0].loss && last.effective_rank > 10.0, "{}", lines(&cured));
}

#[test]
fn a_run_too_short_is_foreseen_and_learns_at_the_length_named() {
    let config = config();
    let last = |config: &TrainConfig| reports(config, Data::Augmented).pop().unwrap();
    let (before, after) = (last(&config), last(&cured(&config, Diagnosis::TooFewSteps)));
    assert!(after.step >= 300 && after.loss < 0.8 * before.loss, "{}\n{}", before.line(), after.line());
}
