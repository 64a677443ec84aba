//! Features, the frozen check, and training runs on the CPU backend.
#![allow(clippy::unwrap_used, missing_docs)]

mod tiny;

use std::convert::Infallible;

use backbones::{Arch, Backbone, Classifier, Mode, NetworkConfig, state_dict};
use burn::{
    module::Module,
    tensor::{Device, Tensor, TensorData},
};
use eval::{
    Error, FineTune, Frozen, LinearProbeConfig, MayMove, Row, Scores, Selection, SupervisedConfig, Trained,
    estimate_running_statistics, extract_features, mean_auroc, predict, read_checkpoints,
};
use ndarray::{Array2, Array3, Axis};
use rand::RngExt;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use tiny::Tiny;

type Batch<E = Infallible> = Result<(Array3<u8>, Vec<usize>), E>;

/// Grey noise of `side` pixels; a positive image has its left half brighter by `contrast`, a negative one its right half.
fn images(n: usize, side: usize, contrast: u8, seed: u64) -> (Array3<u8>, Array2<f64>) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let targets = Array2::from_shape_fn((n, 1), |(row, _)| f64::from(u8::from(row % 2 == 0)));
    let images = Array3::from_shape_fn((n, side, side), |(row, _, x)| {
        let bright = (x < side / 2) == (targets[[row, 0]] == 1.0);
        rng.random_range(60..160_u8) + if bright { contrast } else { 0 }
    });
    (images, targets)
}

fn batches(images: &Array3<u8>, size: usize) -> Vec<Batch> {
    let rows: Vec<usize> = (0..images.len_of(Axis(0))).collect();
    rows.chunks(size).map(|rows| Ok((images.select(Axis(0), rows), rows.to_vec()))).collect()
}

#[test]
fn features_are_those_of_a_forward_pass_and_the_network_stays() {
    let (images, _) = images(5, 32, 0, 1);
    for device in [Device::flex(), Device::flex().autodiff()] {
        let mut network = NetworkConfig::new(Arch::ResNet18).init(3, &device);
        estimate_running_statistics(&mut network, batches(&images, 5)).unwrap();
        let before = Frozen::of(&network).unwrap();
        let features = extract_features(&network, batches(&images, 2)).unwrap();
        before.check(&network, MayMove::Nothing).unwrap();
        assert_eq!((features.values.dim(), features.rows), ((5, 512), vec![0, 1, 2, 3, 4]));

        let values: Vec<f32> = images.iter().map(|&x| f32::from(x) / 255.0).collect();
        let input = Tensor::<4>::from_data(TensorData::new(values, [5, 1, 32, 32]), &Device::flex());
        let direct = network.valid().features(input, Mode::Eval).into_data().try_into_vec::<f32>().unwrap();
        let largest = direct.iter().fold(0.0_f32, |m, x| m.max(x.abs()));
        // In f32 a product may sum in another order for another batch size: 20 layers of 6e-8, seen below 1e-6.
        let off = features.values.iter().zip(&direct).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(off < 1e-5 * largest, "{off} of {largest}");
    }
}

#[test]
fn running_statistics_of_one_batch_make_eval_mode_equal_train_mode() {
    let (images, _) = images(16, 32, 40, 2);
    let device = Device::flex();
    let mut network = NetworkConfig::new(Arch::ResNet18).init(3, &device);
    let raw = extract_features(&network, batches(&images, 16)).unwrap().values;
    estimate_running_statistics(&mut network, batches(&images, 16)).unwrap();
    let estimated = extract_features(&network, batches(&images, 16)).unwrap().values;
    let values: Vec<f32> = images.iter().map(|&x| f32::from(x) / 255.0).collect();
    let input = Tensor::<4>::from_data(TensorData::new(values, [16, 1, 32, 32]), &device);
    let train = network.valid().features(input, Mode::TRAIN).into_data().try_into_vec::<f32>().unwrap();
    let off = |found: &Array2<f32>| -> f32 {
        found.iter().zip(&train).map(|(a, b)| (a - b).powi(2)).sum::<f32>() / train.iter().map(|x| x * x).sum::<f32>()
    };
    // They differ by n / (n - 1) of the unbiased variance: at the last stage n is 16 (one position), so 3 % a layer there.
    assert!(off(&estimated) < 0.05, "{}", off(&estimated));
    assert!(off(&raw) > 0.5, "{}", off(&raw));
}

#[test]
fn the_frozen_check_tells_weights_from_running_statistics() {
    let (images, targets) = images(8, 8, 60, 3);
    let model = Tiny::classifier(1, 1, &Device::flex());
    let before = Frozen::of(&model.backbone).unwrap();

    let mut supervised = SupervisedConfig::new(Trained::Head).init(&model).unwrap();
    supervised.step(&images, targets.view()).unwrap();
    let probed = supervised.model().unwrap().backbone;
    before.check(&probed, MayMove::RunningStatistics).unwrap();
    let Err(Error::Moved { tensors }) = before.check(&probed, MayMove::Nothing) else { panic!("statistics moved") };
    assert_eq!(tensors, ["bn1.running_mean", "bn1.running_var", "bn2.running_mean", "bn2.running_var"]);

    let mut supervised = SupervisedConfig::new(Trained::All).init(&model).unwrap();
    supervised.step(&images, targets.view()).unwrap();
    let tuned = supervised.model().unwrap().backbone;
    let error = before.check(&tuned, MayMove::RunningStatistics).unwrap_err().to_string();
    assert!(error.contains("bn1.bias") && !error.contains("running"), "{error}");
    before.check(&model.backbone, MayMove::Nothing).unwrap(); // the caller's network is untouched
}

#[test]
fn faults_of_batches_are_passed_on_or_named() {
    let network = Tiny::new(1, &Device::flex());
    let broken: [Batch<String>; 1] = [Err("p17/s3.png is cut short".to_owned())];
    let error = extract_features(&network, broken).unwrap_err().to_string();
    assert!(error.contains("p17/s3.png"), "{error}");
    let short: [Batch; 1] = [Ok((Array3::zeros((2, 8, 8)), vec![0]))];
    assert!(matches!(extract_features(&network, short), Err(Error::Length { found: 1, expected: 2, .. })));
    let error = extract_features(&network, Vec::<Batch>::new()).unwrap_err().to_string();
    assert!(error.contains("batches is none"), "{error}");
    let mut network = network;
    let single: [Batch; 1] = [Ok((Array3::zeros((1, 8, 8)), vec![0]))];
    let error = estimate_running_statistics(&mut network, single).unwrap_err().to_string();
    assert!(error.contains("images in a batch is 1"), "{error}");
}

fn valid_auroc(model: &Classifier<Tiny>, images: &Array3<u8>, targets: &Array2<f64>) -> eval::Result<f64> {
    let (logits, rows) = predict(model, batches(images, 16))?;
    let rows = rows.iter().map(|row| Row { path: row.to_string(), ..Row::default() }).collect();
    mean_auroc(&Scores::new(vec!["left".to_owned()], rows, targets.clone(), logits)?)
}

#[test]
fn fine_tuning_learns_keeps_its_best_and_averages_the_ensemble() {
    let (train, train_targets) = images(64, 8, 40, 4);
    let (valid, valid_targets) = images(64, 8, 40, 5);
    let model = Tiny::classifier(2, 1, &Device::flex());
    let config = SupervisedConfig { lr: 1e-2, ..SupervisedConfig::new(Trained::All) };
    let run = FineTune { keep: 3, evaluate_every: Some(3), ..FineTune::new(6) };
    let mut order: Vec<usize> = Vec::new();
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("checkpoints");
    let tuned = run
        .run_in(
            &folder,
            config.init(&model).unwrap(),
            |epoch| {
                order.push(epoch);
                let parts: Vec<_> = batches(&train, 16).into_iter().map(Result::unwrap).collect();
                let targets = train_targets.clone();
                parts
                    .into_iter()
                    .map(move |(images, rows)| Ok::<_, Infallible>((images, targets.select(Axis(0), &rows))))
            },
            |model| valid_auroc(model, &valid, &valid_targets),
        )
        .unwrap();
    assert_eq!(order, [0, 1, 2, 3, 4, 5]);
    // Four steps an epoch, measured every three and at the end of an epoch.
    let steps: Vec<u64> = tuned.history.iter().map(|m| m.step).collect();
    assert_eq!(steps, [3, 4, 6, 8, 9, 12, 15, 16, 18, 20, 21, 24]);

    let start = valid_auroc(&model, &valid, &valid_targets).unwrap();
    let best = valid_auroc(&tuned.best().unwrap(), &valid, &valid_targets).unwrap();
    let most = tuned.history.iter().map(|m| m.auroc).fold(0.0, f64::max);
    assert_eq!((best, tuned.top.len()), (most, 3));
    assert!(tuned.top.is_sorted_by(|a, b| a.auroc >= b.auroc));
    assert!(best > 0.95 && best > start, "{start} to {best}");

    let mut each = Vec::new();
    let ensemble = tuned.ensemble(|model| {
        let (logits, _) = predict(model, batches(&valid, 16))?;
        each.push(logits.clone());
        Ok(logits)
    });
    let mean = each.iter().map(|z| z.mapv(|z| 1.0 / (1.0 + (-z).exp()))).reduce(|a, b| a + b).unwrap() / 3.0;
    assert_eq!(each.len(), 3);
    // The same three numbers added in the same order.
    assert!((ensemble.unwrap() - mean).iter().all(|d| d.abs() < 1e-15));
    assert!((&each[0] - &each[2]).iter().any(|d| d.abs() > 1e-6)); // three networks, not one three times

    // Another program finds the same networks in the folder.
    let kept = read_checkpoints(&folder).unwrap();
    let other = kept[0].load(Tiny::classifier(9, 1, &Device::flex())).unwrap();
    assert_eq!(valid_auroc(&other, &valid, &valid_targets).unwrap(), best);
    assert_eq!(state_dict(&other).unwrap(), state_dict(&tuned.best().unwrap()).unwrap());
}

#[test]
fn fine_tuning_after_the_probe_starts_from_the_probe() {
    let (images, targets) = images(60, 8, 30, 6);
    let mut backbone = Tiny::new(3, &Device::flex());
    estimate_running_statistics(&mut backbone, batches(&images, 20)).unwrap();
    let features = extract_features(&backbone, batches(&images, 20)).unwrap().values;
    let probe = LinearProbeConfig::default().fit(features.view(), targets.view(), Selection::Fixed(1.0)).unwrap();
    let model = Classifier::new(backbone, probe.head(&Device::flex()), "fc");
    let (logits, _) = predict(&model, batches(&images, 20)).unwrap();
    let expected = probe.logits(features.view()).unwrap();
    let largest = expected.iter().fold(1.0_f64, |m, z| m.max(z.abs()));
    // The layer multiplies in f32 what the probe multiplies standardised in f64.
    assert!((&logits - &expected).iter().all(|d| d.abs() < 1e-4 * largest), "{}", &logits - &expected);
    assert!(logits.std(0.0) > 0.1, "{logits}"); // a probe that says something
}

#[test]
fn a_loss_that_is_no_number_stops_the_run() {
    let (images, targets) = images(8, 8, 30, 7);
    let model = Tiny::classifier(4, 1, &Device::flex());
    let mut weights = state_dict(&model).unwrap();
    weights.insert("fc.bias".to_owned(), TensorData::from([f32::NAN]));
    let model = backbones::load_state_dict(model, &weights).unwrap();
    let mut supervised = SupervisedConfig::new(Trained::Head).init(&model).unwrap();
    let error = supervised.step(&images, targets.view()).unwrap_err();
    assert!(matches!(error, Error::NonFiniteLoss { step: 0, .. }), "{error}");
}
