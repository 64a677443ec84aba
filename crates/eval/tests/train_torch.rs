//! Training equals PyTorch's in f64 (`golden/make_probe.py`). A binary of its own: a device's precision is set once a process.
#![allow(clippy::unwrap_used, missing_docs)]

mod tiny;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::LazyLock;

use backbones::{Classifier, StateDict, load_state_dict, state_dict};
use burn::tensor::{Device, FloatDType, Tensor, TensorData};
use eval::{SupervisedConfig, Trained, estimate_running_statistics, grad_cam, masked_bce, predict};
use ndarray::{Array2, Array3, Axis};
use serde_json::Value;
use tiny::Tiny;

static DEVICE: LazyLock<Device> = LazyLock::new(|| {
    let mut device = Device::flex();
    device.configure(FloatDType::F64).unwrap();
    device
});

/// The bound that is asked for: f64, 20 steps, 1e-8. Seen: at most 1e-15.
const TOLERANCE: f64 = 1e-8;

fn golden(name: &str) -> Value {
    let path = format!("{}/../../golden/probe/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// `null` is a masked label.
fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap_or(f64::NAN)).collect()
}

fn size(value: &Value, name: &str) -> usize {
    value[name].as_u64().unwrap() as usize
}

fn states(value: &Value) -> StateDict {
    let tensor = |value: &Value| {
        let shape: Vec<usize> = numbers(&value["shape"]).iter().map(|&x| x as usize).collect();
        TensorData::new(numbers(&value["values"]), shape)
    };
    value.as_object().unwrap().iter().map(|(name, value)| (name.clone(), tensor(value))).collect()
}

fn assert_close(found: &[f64], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let worst = found.iter().zip(expected).map(|(f, e)| (f - e).abs()).fold(0.0, f64::max);
    assert!(worst <= TOLERANCE, "{what}: off by {worst:.1e}");
}

fn assert_states(found: &StateDict, expected: &StateDict) {
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (name, expected) in expected {
        let values = |data: &TensorData| data.clone().try_into_vec_as::<f64>().unwrap();
        assert_close(&values(&found[name]), &values(expected), name);
    }
}

struct Training {
    images: Array3<u8>,
    targets: Array2<f64>,
    batches: Vec<Vec<usize>>,
    model: Classifier<Tiny>,
    golden: Value,
}

fn training() -> Training {
    let golden = golden("training");
    let (n, side, tasks) = (size(&golden, "count"), size(&golden, "side"), size(&golden, "tasks"));
    let pixels = numbers(&golden["pixels"]).into_iter().map(|x| x as u8).collect();
    let batches = golden["batches"].as_array().unwrap().iter();
    let model = Tiny::classifier(0, tasks, &DEVICE);
    Training {
        images: Array3::from_shape_vec((n, side, side), pixels).unwrap(),
        targets: Array2::from_shape_vec((n, tasks), numbers(&golden["targets"])).unwrap(),
        batches: batches.map(|rows| numbers(rows).into_iter().map(|x| x as usize).collect()).collect(),
        model: load_state_dict(model, &states(&golden["start"])).unwrap(),
        golden,
    }
}

/// `train(model, images, targets, batches, frozen)` and what it leaves behind.
fn first_twenty_steps(trained: Trained, name: &str) {
    let Training { images, targets, batches, model, golden } = training();
    let mut supervised = SupervisedConfig::new(trained).init(&model).unwrap();
    let losses: Vec<f64> = batches
        .iter()
        .map(|rows| {
            let (images, targets) = (images.select(Axis(0), rows), targets.select(Axis(0), rows));
            supervised.step(&images, targets.view()).unwrap().unwrap()
        })
        .collect();
    let expected = &golden[name];
    assert_close(&losses, &numbers(&expected["losses"]), "losses");
    let model = supervised.model().unwrap();
    assert_states(&state_dict(&model).unwrap(), &states(&expected["state"]));
    let all = Ok::<_, Infallible>((images.clone(), (0..images.len_of(Axis(0))).collect()));
    let (logits, _) = predict(&model, [all]).unwrap();
    assert_close(logits.as_slice().unwrap(), &numbers(&expected["scores"]), "scores in eval mode");
}

#[test]
fn faithful_probe_equals_pytorch() {
    first_twenty_steps(Trained::Head, "frozen");
}

#[test]
fn fine_tuning_equals_pytorch() {
    first_twenty_steps(Trained::All, "all");
}

#[test]
fn training_moves_weights_far_more_than_the_tolerance() {
    let Training { golden, .. } = training();
    for (name, tensors) in [("frozen", vec!["fc.weight"]), ("all", vec!["fc.weight", "conv1.weight", "bn2.bias"])] {
        let (start, end) = (states(&golden["start"]), states(&golden[name]["state"]));
        for tensor in tensors {
            let values = |states: &StateDict| states[tensor].clone().try_into_vec_as::<f64>().unwrap();
            let moved = values(&start).iter().zip(values(&end)).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(moved > 1e4 * TOLERANCE, "{name}: {tensor} moved by {moved:.1e}");
        }
    }
}

/// `BatchNorm2d` with `momentum = None` after one pass in batches of 8.
#[test]
fn running_statistics_equal_pytorchs_cumulative_average() {
    let Training { images, model, golden, .. } = training();
    let mut backbone = model.backbone.clone();
    let batches = images.axis_chunks_iter(Axis(0), 8).map(|part| Ok::<_, Infallible>((part.to_owned(), vec![0; 8])));
    estimate_running_statistics(&mut backbone, batches).unwrap();
    let found = state_dict(&backbone).unwrap();
    let expected = states(&golden["running"]);
    assert_eq!(expected.len(), 4);
    for (name, data) in &expected {
        let values = |data: &TensorData| data.clone().try_into_vec_as::<f64>().unwrap();
        assert_close(&values(&found[name]), &values(data), name);
    }
    let weights = |states: StateDict| -> BTreeMap<String, Vec<u8>> {
        let weights = states.into_iter().filter(|(name, _)| !expected.contains_key(name));
        weights.map(|(name, data)| (name, data.as_bytes().to_vec())).collect()
    };
    assert_eq!(weights(found), weights(state_dict(&model.backbone).unwrap()));
}

/// `(bce * mask).sum() / mask.sum()` and its gradient.
#[test]
fn masked_loss_and_its_gradient_equal_pytorchs() {
    for case in golden("loss").as_array().unwrap() {
        let shape = [size(case, "rows"), size(case, "tasks")];
        let targets = Array2::from_shape_vec(shape, numbers(&case["targets"])).unwrap();
        let data = TensorData::new(numbers(&case["logits"]), shape);
        let logits = Tensor::<2>::from_data(data, &DEVICE.clone().autodiff()).require_grad();
        let loss = masked_bce(logits.clone(), targets.view()).unwrap().unwrap();
        let gradient = logits.grad(&loss.backward()).unwrap();
        let read = |data: TensorData| data.try_into_vec_as::<f64>().unwrap();
        // A handful of operations on numbers of at most 40: 1e-14 is some fifty units in the last place.
        let close = |found: &[f64], expected: &[f64]| {
            assert!(found.iter().zip(expected).all(|(f, e)| (f - e).abs() < 1e-14), "{found:?} {expected:?}");
        };
        close(&read(loss.inner().into_data()), &[case["loss"].as_f64().unwrap()]);
        let gradient = read(gradient.into_data());
        close(&gradient, &numbers(&case["gradient"]));
        assert!(gradient.iter().zip(&targets).all(|(g, t)| !t.is_nan() || *g == 0.0));
    }
}

#[test]
fn a_batch_without_labels_changes_nothing() {
    let Training { images, targets, model, .. } = training();
    let mut supervised = SupervisedConfig::new(Trained::All).init(&model).unwrap();
    let masked = targets.mapv(|_| f64::NAN);
    assert_eq!(supervised.step(&images, masked.view()).unwrap(), None);
    assert_eq!(supervised.steps(), 0);
    assert_states(&state_dict(&supervised.model().unwrap()).unwrap(), &state_dict(&model).unwrap());
}

/// The heat maps of Grad-CAM by `torch.autograd.grad` with respect to the last maps.
#[test]
fn heat_maps_equal_pytorchs() {
    let golden = golden("grad_cam");
    let (n, side, tasks) = (size(&golden, "count"), size(&golden, "side"), size(&golden, "tasks"));
    let pixels = numbers(&golden["pixels"]).into_iter().map(|x| x as u8).collect();
    let images = Array3::from_shape_vec((n, side, side), pixels).unwrap();
    let model = load_state_dict(Tiny::classifier(0, tasks, &DEVICE), &states(&golden["state"])).unwrap();
    for task in 0..tasks {
        let found = grad_cam(&model, &images, task).unwrap();
        assert_eq!(found.maps.dim(), (n, side / 4, side / 4));
        // One forward pass and one small gradient in f64: 1e-12 is far above rounding, far below the maps (about 0.1).
        let close = |found: &[f64], expected: &Value| {
            let expected = numbers(expected);
            assert_eq!(found.len(), expected.len());
            assert!(found.iter().zip(&expected).all(|(f, e)| (f - e).abs() < 1e-12), "{found:?} {expected:?}");
        };
        close(found.maps.as_slice().unwrap(), &golden["maps"][task]);
        close(&found.logits, &golden["logits"][task]);
    }
    let error = grad_cam(&model, &images, tasks).unwrap_err().to_string();
    assert!(error.contains("2 of a network with 2"), "{error}");
}
