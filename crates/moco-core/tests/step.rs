//! Fixed points and invariants of one step.
#![allow(clippy::unwrap_used)]

mod support;

use backbones::{Backbone, BatchNorm, Conv2d, Initializer, Linear, Mode, StateDict, TensorKind, state_dict};
use burn::{
    module::Module,
    tensor::{Device, Tensor, TensorData},
};
use moco_core::{
    Error, Moco, MocoConfig, NamedGradients, Negatives, OptimizerConfig, QueueInit, Rule, Step, Views, info_nce,
};
use support::{Narrow, batch, numbers, value};

const N: usize = support::N;

fn views(step: usize) -> Views {
    batch(step).to_device(N, &Device::flex()).unwrap()
}

fn new(change: impl FnOnce(&mut MocoConfig)) -> Moco<Narrow> {
    let mut config = MocoConfig::new();
    (config.dim, config.queue_size, config.momentum) = (6, 20, 0.9);
    change(&mut config);
    config.init(Narrow::new(3, &Device::flex()), 5).unwrap()
}

fn sgd() -> moco_core::Optimizer {
    OptimizerConfig::new(Rule::SGD, 1e-4).init()
}

fn step(index: u64) -> Step {
    Step { index, lr: 0.05, done: 0.0, clip_norm: None }
}

fn tensor(values: Vec<f64>, n: usize, d: usize) -> Tensor<2> {
    let values: Vec<f32> = values.into_iter().map(|v| v as f32).collect();
    Tensor::from_data(TensorData::new(values, [n, d]), &Device::flex())
}

fn parameters(dict: &StateDict, kind: TensorKind) -> StateDict {
    dict.iter().filter(|(name, _)| TensorKind::of(name) == kind).map(|(n, d)| (n.clone(), d.clone())).collect()
}

#[test]
fn parallel_embeddings_have_the_loss_of_guessing() {
    for (k, temperature) in [(1, 0.2), (65_536, 0.07), (24_576, 0.2)] {
        let row = |n: usize| tensor([0.6, 0.8].repeat(n), n, 2);
        let negatives = Negatives { rows: row(k), excluded: None, batch: None };
        let contrast = info_nce(row(3).autodiff().require_grad(), row(3), negatives, temperature);
        let measures = numbers(contrast.measures.into_data());
        let expected = (1.0 + k as f64).ln();
        // A sum of K equal f32 terms of relative error 6e-8 each, under a logarithm; observed 1e-6.
        assert!((measures[0] - expected).abs() < 1e-5, "K {k}: {} instead of {expected}", measures[0]);
        assert_eq!(measures[1..3], [0.0, if k < 5 { 1.0 } else { 0.0 }], "ties count against the positive");
    }
}

#[test]
fn a_double_loop_in_f64_gives_the_same_loss_and_ranks() {
    let (n, k, d, t) = (5, 11, 4, 0.1);
    let rows = |p: usize, n: usize| -> Vec<f64> { (0..n * d).map(|i| f64::from(value(p, i) as f32)).collect() };
    let (q, key, queue) = (rows(1, n), rows(2, n), rows(3, k));
    let mask: Vec<bool> = (0..n * k).map(|i| i % 7 == 3).collect();
    let dot = |a: &[f64], i: usize, b: &[f64], j: usize| (0..d).map(|c| a[i * d + c] * b[j * d + c]).sum::<f64>();
    let (mut loss, mut top1, mut top5) = (0.0, 0.0, 0.0);
    for i in 0..n {
        let positive = dot(&q, i, &key, i);
        let negatives: Vec<f64> = (0..k).filter(|j| !mask[i * k + j]).map(|j| dot(&q, i, &queue, j)).collect();
        let sum = (positive / t).exp() + negatives.iter().map(|s| (s / t).exp()).sum::<f64>();
        loss += sum.ln() - positive / t;
        let better = negatives.iter().filter(|&&s| s >= positive).count();
        top1 += f64::from(better < 1);
        top5 += f64::from(better < 5);
    }
    let excluded = Tensor::from_data(TensorData::new(mask, [n, k]), &Device::flex());
    let negatives = Negatives { rows: tensor(queue, k, d), excluded: Some(excluded), batch: None };
    let q = tensor(q, n, d).autodiff().require_grad();
    let contrast = info_nce(q.clone(), tensor(key, n, d), negatives, t);
    let found = numbers(contrast.measures.into_data());
    let n = n as f64;
    // Logits of order 20 in f32: relative error 1e-6 of them.
    assert!((found[0] - loss / n).abs() < 2e-5, "{} instead of {}", found[0], loss / n);
    assert!((found[1] - top1 / n).abs() < 1e-6 && (found[2] - top5 / n).abs() < 1e-6);
    let gradient = numbers(q.grad(&contrast.loss.backward()).unwrap().into_data());
    assert!(gradient.iter().all(|g| g.is_finite()), "excluded negatives must not make the gradient NaN");
}

#[test]
fn momentum_one_keeps_the_key_encoder_and_zero_copies_the_query() {
    for momentum in [1.0, 0.0] {
        let mut moco = new(|c| c.momentum = momentum);
        let mut optimizer = sgd();
        moco.step(vec![views(0)], &mut optimizer, &step(0)).unwrap();
        let (query, key) = (state_dict(&moco.encoder_q).unwrap(), state_dict(&moco.encoder_k).unwrap());
        moco.step(vec![views(1)], &mut optimizer, &step(1)).unwrap();
        let after = state_dict(&moco.encoder_k).unwrap();
        // From the query weights *before* this step's update: with m = 0 exactly those seen above.
        let expected = if momentum == 1.0 { &key } else { &query };
        assert_eq!(parameters(&after, TensorKind::Parameter), parameters(expected, TensorKind::Parameter));
        let now = state_dict(&moco.encoder_q).unwrap();
        assert_ne!(
            parameters(&now, TensorKind::Parameter),
            parameters(&query, TensorKind::Parameter),
            "the query moved"
        );
        for (name, buffer) in parameters(&after, TensorKind::Buffer) {
            assert_ne!(buffer, key[&name], "running statistics of the key encoder come from its own batches: {name}");
            assert_ne!(buffer, query[&name], "and are not the query's: {name}");
        }
    }
}

#[test]
fn key_statistics_are_those_of_key_batches_alone() {
    // Two runs that differ in their query views only.
    let run = |query: usize| {
        let mut moco = new(|c| c.momentum = 1.0);
        let views = Views { query: views(query).query, ..views(0) };
        moco.step(vec![views], &mut sgd(), &step(0)).unwrap();
        let buffers = |e| parameters(&state_dict(e).unwrap(), TensorKind::Buffer);
        (buffers(&moco.encoder_q), buffers(&moco.encoder_k))
    };
    let ((query_a, key_a), (query_b, key_b)) = (run(0), run(1));
    assert_eq!(key_a, key_b, "shared or averaged statistics would carry the query's over");
    assert_ne!(query_a, query_b);
}

#[test]
fn keys_are_normalised_with_batch_statistics() {
    // The key of image 0 must change when the other images do; with running statistics it would not.
    let key_of_first = |others: usize| {
        let mut moco = new(|c| c.momentum = 1.0);
        let key = Tensor::cat(vec![views(0).key.narrow(0, 0, 1), views(others).key.narrow(0, 1, N - 1)], 0);
        moco.step(vec![Views { key, ..views(0) }], &mut sgd(), &step(0)).unwrap();
        numbers(moco.queue.newest(N).narrow(0, 0, 1).into_data())
    };
    let (a, b) = (key_of_first(0), key_of_first(1));
    assert!(support::gap(&a, &b) > 1e-3, "{a:?} {b:?}");

    // And is exactly what a separate pass with batch statistics gives.
    let mut moco = new(|c| c.momentum = 1.0);
    let mut copy = moco.encoder_k.valid();
    moco.step(vec![views(0)], &mut sgd(), &step(0)).unwrap();
    let expected = copy.encode(views(0).key, Mode::TRAIN);
    assert_eq!(numbers(moco.queue.newest(N).into_data()), numbers(expected.into_data()));
}

#[test]
fn neither_tape_nor_gradient_reaches_the_key_branch() {
    let mut moco = new(|_| ());
    for index in 0..2 {
        moco.step(vec![views(index)], &mut sgd(), &step(index as u64)).unwrap();
        let device = moco.encoder_k.devices();
        assert!(device.iter().all(|d| !d.is_autodiff()), "the key encoder is off the autodiff device");
        let keys = moco.encoder_k.encode(views(0).key, Mode::TRAIN);
        assert!(!keys.is_autodiff() && !keys.is_tracked() && !moco.queue.newest(1).is_autodiff());
        assert!(moco.encoder_q.devices().iter().all(Device::is_autodiff), "the query encoder is on it");
    }
    // A loss through the key encoder finds no parameter to give a gradient to.
    let q = moco.encoder_q.encode(views(0).query, Mode::TRAIN);
    let k = moco.encoder_k.encode(views(0).key, Mode::TRAIN);
    let gradients = NamedGradients::take(&moco.encoder_k, (q * k).sum().backward());
    assert!(gradients.norm().is_none());
}

#[test]
fn groups_equal_separate_normalisations() {
    let device = Device::flex();
    let layer = |channels: usize| {
        let row = |p| (0..channels).map(|i| 1.0 + 0.3 * value(p, i) as f32).collect::<Vec<_>>();
        let tensor = |p| Tensor::<1>::from_data(TensorData::new(row(p), [channels]), &device);
        BatchNorm::new(tensor(1), tensor(2), tensor(3), tensor(4))
    };
    let x: Vec<f32> = (0..6 * 3 * 4 * 4).map(|i| value(5, i) as f32).collect();
    let x = Tensor::<4>::from_data(TensorData::new(x, [6, 3, 4, 4]), &device);
    for groups in [1, 2, 3] {
        let (mut whole, mut parts) = (layer(3), layer(3));
        let found = whole.forward(x.clone(), Mode::Train { groups });
        let parts_out = x.clone().chunk(groups, 0).into_iter().map(|part| parts.forward(part, Mode::TRAIN)).collect();
        let expected = Tensor::cat(parts_out, 0);
        // The same sums in another order, f32.
        assert!(support::gap(&numbers(found.into_data()), &numbers(expected.into_data())) < 1e-5, "{groups} groups");
        for (a, b) in [(&whole.running_mean, &parts.running_mean), (&whole.running_var, &parts.running_var)] {
            assert!(support::gap(&numbers(a.val().into_data()), &numbers(b.val().into_data())) < 1e-6);
        }
    }
}

#[test]
fn shuffled_keys_come_back_in_order_and_meet_other_images() {
    let keys = |groups, shuffle_keys, index| {
        let mut moco = new(|c| (c.groups, c.shuffle_keys, c.momentum) = (groups, shuffle_keys, 1.0));
        moco.step(vec![views(0)], &mut sgd(), &step(index)).unwrap();
        numbers(moco.queue.newest(N).into_data())
    };
    // Four images in two groups can be paired in three ways; each gives other statistics, so other keys.
    let paired = |order: [usize; N]| {
        let images = Tensor::cat(order.iter().map(|&i| views(0).key.narrow(0, i, 1)).collect(), 0);
        let rows = numbers(new(|_| ()).encoder_k.encode(images, Mode::Train { groups: 2 }).into_data());
        let mut keys = vec![Vec::new(); N];
        order.iter().zip(rows.chunks(rows.len() / N)).for_each(|(&i, row)| keys[i] = row.to_vec());
        keys.concat()
    };
    let ways = [paired([0, 1, 2, 3]), paired([0, 2, 1, 3]), paired([0, 3, 1, 2])];
    let mut seen = [0; 3];
    for index in 0..12 {
        let found = keys(2, true, index);
        // f32 sums in another order; the ways differ by more than 1e-3.
        let matches: Vec<_> = (0..3).filter(|&way| support::gap(&found, &ways[way]) < 1e-5).collect();
        assert_eq!(matches.len(), 1, "the keys, in order, of one way to pair the images");
        seen[matches[0]] += 1;
    }
    assert!(seen.iter().all(|&n| n > 0), "twelve steps shuffle in all three ways: {seen:?}");
    assert_eq!(keys(2, true, 3), keys(2, true, 3), "the same step shuffles the same way");
    assert!(support::gap(&keys(2, false, 0), &ways[0]) < 1e-5);
    assert_eq!(keys(1, true, 0), keys(1, false, 0), "with one group there is nothing to shuffle");
}

#[test]
fn micro_batches_are_averaged() {
    let run = |batch: Vec<Views>| {
        let mut moco = new(|_| ());
        let measures = moco.step(batch, &mut sgd(), &step(0)).unwrap();
        (moco, measures)
    };
    let (once, measures_once) = run(vec![views(0)]);
    let (twice, measures_twice) = run(vec![views(0), views(0)]);
    let weights = |m: &Moco<Narrow>| parameters(&state_dict(&m.encoder_q).unwrap(), TensorKind::Parameter);
    for ((name, a), b) in weights(&once).into_iter().zip(weights(&twice).into_values()) {
        // (g + g) / 2 = g up to f32 rounding; a sum instead of a mean would move the weights by a gradient more.
        assert!(support::gap(&numbers(a), &numbers(b)) < 1e-6, "{name}");
    }
    assert!((measures_once.loss - measures_twice.loss).abs() < 1e-6);
    assert!((measures_once.gradient_norm.unwrap() - measures_twice.gradient_norm.unwrap()).abs() < 1e-5);
    assert_eq!((once.queue.written(), twice.queue.written()), (N, 2 * N));
}

#[test]
fn clipping_bounds_the_first_step() {
    let moved = |clip_norm| {
        let mut moco = new(|_| ());
        let before = state_dict(&moco.encoder_q).unwrap();
        let optimizer = OptimizerConfig::new(Rule::Sgd { momentum: 0.0, nesterov: false }, 0.0);
        let measures =
            moco.step(vec![views(0)], &mut optimizer.init(), &Step { lr: 1.0, clip_norm, ..step(0) }).unwrap();
        let after = state_dict(&moco.encoder_q).unwrap();
        let change = |(name, old): (&String, &TensorData)| -> f64 {
            let (old, new) = (numbers(old.clone()), numbers(after[name].clone()));
            old.iter().zip(new).map(|(a, b)| (a - b) * (a - b)).sum()
        };
        let squares = before.iter().filter(|(n, _)| TensorKind::of(n) == TensorKind::Parameter).map(change);
        (squares.sum::<f64>().sqrt(), measures.gradient_norm.unwrap())
    };
    let (free, norm) = moved(None);
    assert!((free - norm).abs() < 1e-4 * norm, "without clipping the step is the gradient");
    let (clipped, same_norm) = moved(Some(norm / 4.0));
    assert_eq!(norm, same_norm, "the norm is measured before clipping");
    assert!((clipped - norm / 4.0).abs() < 1e-4 * norm);
}

#[test]
fn a_masked_queue_begins_without_an_optimizer_step() {
    let mut moco = new(|c| c.queue_init = QueueInit::Masked);
    let before = parameters(&state_dict(&moco.encoder_q).unwrap(), TensorKind::Parameter);
    let mut optimizer = sgd();
    let first = moco.step(vec![views(0)], &mut optimizer, &step(0)).unwrap();
    assert_eq!((first.loss, first.gradient_norm), (0.0, None));
    assert_eq!(parameters(&state_dict(&moco.encoder_q).unwrap(), TensorKind::Parameter), before);
    assert_eq!(moco.queue.filled(), N);
    let second = moco.step(vec![views(1)], &mut optimizer, &step(1)).unwrap();
    assert!(second.loss > 0.0 && second.gradient_norm.is_some());
    assert_ne!(parameters(&state_dict(&moco.encoder_q).unwrap(), TensorKind::Parameter), before);
}

#[test]
fn masking_leaves_out_negatives_of_the_same_patient() {
    // All images belong to one patient: with masking and a queue of their keys alone, nothing is left to tell apart.
    let loss = |mask_same_patient| {
        let mut moco = new(|c| (c.queue_init, c.mask_same_patient) = (QueueInit::Masked, mask_same_patient));
        let mut optimizer = sgd();
        let of_one = |step| Views { patients: vec![7; N], ..views(step) };
        moco.step(vec![of_one(0)], &mut optimizer, &step(0)).unwrap();
        moco.step(vec![of_one(1)], &mut optimizer, &step(1)).unwrap().loss
    };
    // The logarithm of exactly one term, f32.
    assert!(loss(true).abs() < 1e-6, "{}", loss(true));
    assert!(loss(false) > 0.1);
}

#[test]
fn a_step_that_is_not_finite_changes_no_weight_and_names_itself() {
    let mut moco = new(|_| ());
    let mut optimizer = sgd();
    moco.step(vec![views(0)], &mut optimizer, &step(0)).unwrap();
    let weights = |m: &Moco<Narrow>| parameters(&state_dict(&m.encoder_q).unwrap(), TensorKind::Parameter);
    let (before, queue) = (weights(&moco), moco.queue.to_record().unwrap());
    let broken = Views { query: views(1).query * f32::NAN, ..views(1) };
    let error = moco.step(vec![broken], &mut optimizer, &step(41)).unwrap_err();
    assert!(matches!(error, Error::NonFinite { step: 41, what: "loss", .. }), "{error}");
    assert!(error.to_string().contains("step 41"));
    assert_eq!(weights(&moco), before);
    assert_eq!(moco.queue.to_record().unwrap(), queue);
}

#[test]
fn a_gradient_that_is_not_finite_is_found_though_the_loss_is() {
    /// A square root at exactly 0, where its slope is infinite.
    #[derive(Module, Debug)]
    struct Root {
        conv: Conv2d,
    }
    impl Backbone for Root {
        fn feature_dim(&self) -> usize {
            2
        }
        fn features(&mut self, images: Tensor<4>, _: Mode) -> Tensor<2> {
            self.conv.forward(images).mean_dims(&[2, 3]).reshape([-1, 2]).sqrt()
        }
    }
    let weight = Tensor::<4>::from_floats([[[[0.0]]], [[[1.0]]]], &Device::flex());
    let mut config = MocoConfig::new();
    (config.dim, config.queue_size) = (6, 20);
    let mut moco = config.init(Root { conv: Conv2d::new(weight, 1, 0) }, 0).unwrap();
    let before = state_dict(&moco.encoder_q).unwrap();
    let error = moco.step(vec![views(0)], &mut sgd(), &step(7)).unwrap_err();
    assert!(matches!(error, Error::NonFinite { step: 7, what: "gradient norm", .. }), "{error}");
    assert_eq!(state_dict(&moco.encoder_q).unwrap(), before);
}

#[test]
fn recomputing_activations_gives_the_same_steps() {
    let losses = |device: Device| {
        let mut config = MocoConfig::new();
        (config.dim, config.queue_size) = (6, 20);
        let mut moco = config.init(Narrow::new(3, &device), 5).unwrap();
        let mut optimizer = sgd();
        (0..3).map(|i| moco.step(vec![views(i)], &mut optimizer, &step(i as u64)).unwrap().loss).collect::<Vec<_>>()
    };
    // Every parameter must stay on the same checkpointing strategy, or Burn panics. Kernels may differ between the two, so
    // the losses agree to f32 rounding only.
    let recomputed = losses(Device::flex().autodiff().gradient_checkpointing());
    assert!(support::gap(&losses(Device::flex()), &recomputed) < 1e-5, "{recomputed:?}");
}

#[test]
fn a_backbone_that_collides_with_the_head_is_refused() {
    #[derive(Module, Debug)]
    struct Classifier {
        fc: Linear,
    }
    impl Backbone for Classifier {
        fn feature_dim(&self) -> usize {
            4
        }
        fn features(&mut self, images: Tensor<4>, _: Mode) -> Tensor<2> {
            self.fc.forward(images.reshape([-1, 4]))
        }
    }
    let fc = Initializer::new(0, &Device::flex()).linear(4, 4);
    let error = MocoConfig::new().init(Classifier { fc }, 0).unwrap_err().to_string();
    assert!(error.contains("fc.weight") && error.contains("projection head"), "{error}");
}

#[test]
fn the_linear_head_of_version_one_trains() {
    let mut moco = new(|c| c.mlp = false);
    let names: Vec<_> = state_dict(&moco.encoder_q).unwrap().into_keys().filter(|n| n.starts_with("fc")).collect();
    assert_eq!(names, ["fc.bias", "fc.weight"]);
    let names: Vec<_> =
        state_dict(&new(|_| ()).encoder_q).unwrap().into_keys().filter(|n| n.starts_with("fc")).collect();
    assert_eq!(names, ["fc.0.bias", "fc.0.weight", "fc.2.bias", "fc.2.weight"]);
    assert!(moco.step(vec![views(0)], &mut sgd(), &step(0)).unwrap().loss.is_finite());
}

#[test]
fn a_batch_of_another_size_is_refused() {
    let error = batch(0).to_device(N + 1, &Device::flex()).unwrap_err().to_string();
    assert!(error.contains("[4, 12, 12]") || error.contains("(4, 12, 12)"), "{error}");
}
