//! What the golden tests share: the narrow network, the formulas of `golden/make_moco.py`, and its files.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::collections::BTreeMap;

use backbones::{Backbone, BatchNorm, Conv2d, Initializer, Mode, StateDict, TensorKind, load_state_dict, tensor_names};
use burn::{
    module::Module,
    tensor::{Device, Tensor, TensorData, activation::relu},
};
use moco_core::{HostBatch, Moco, MocoConfig, OptimizerConfig, Rule, Schedule, Step, TrainConfig, Trainer};
use ndarray::Array3;
use serde_json::Value;

pub const N: usize = 4;
pub const S: usize = 12;
pub const D: usize = 6;
pub const K: usize = 20;
pub const STEPS: u64 = 10;

/// `Encoder` of the script without its head.
#[derive(Module, Debug)]
pub struct Narrow {
    conv1: Conv2d,
    bn1: BatchNorm,
    conv2: Conv2d,
    bn2: BatchNorm,
}

impl Narrow {
    pub fn new(seed: u64, device: &Device) -> Self {
        let mut init = Initializer::new(seed, device);
        Self {
            conv1: init.conv2d(1, 4, 3, 2, 1),
            bn1: init.batch_norm(4),
            conv2: init.conv2d(4, 8, 3, 2, 1),
            bn2: init.batch_norm(8),
        }
    }
}

impl Backbone for Narrow {
    fn feature_dim(&self) -> usize {
        8
    }
    fn features(&mut self, images: Tensor<4>, mode: Mode) -> Tensor<2> {
        let x = relu(self.bn1.forward(self.conv1.forward(images), mode));
        let x = relu(self.bn2.forward(self.conv2.forward(x), mode));
        x.mean_dims(&[2, 3]).reshape([-1, 8])
    }
}

/// `value` of the script.
pub fn value(p: usize, i: usize) -> f64 {
    let (p, i) = (p as f64, i as f64);
    (1.3 * i + 0.7 * p + 0.05 * p * i).sin()
}

/// `pixel` of the script.
pub fn pixel(i: usize) -> u8 {
    let mut h = (i as u32).wrapping_mul(2_654_435_761);
    h ^= h >> 15;
    h = h.wrapping_mul(2_246_822_519);
    h ^= h >> 13;
    (h >> 24) as u8
}

pub fn batch(step: usize) -> HostBatch {
    let views =
        |view| Array3::from_shape_fn((N, S, S), |(n, y, x)| pixel((step * 2 + view) * N * S * S + (n * S + y) * S + x));
    HostBatch { query: views(0), key: views(1), patients: (0..N as u32).collect() }
}

/// `fill` of the script: its tensors are numbered in the order of their names, where ours have `backbone.` before.
pub fn fill<M: Module>(module: M, first: usize) -> M {
    let mut parameters: Vec<_> = tensor_names(&module).into_iter().collect();
    parameters.sort_by_key(|(name, ..)| name.trim_start_matches("backbone.").to_owned());
    let mut dict = StateDict::new();
    let mut p = first;
    for (name, kind, shape) in parameters {
        let n: usize = shape.iter().product();
        let scale = name.contains("bn") && name.ends_with("weight") || name == "fc.1.weight";
        let values: Vec<f64> = match kind {
            TensorKind::Buffer => vec![if name.ends_with("var") { 1.0 } else { 0.0 }; n],
            TensorKind::Parameter => {
                (0..n).map(|i| 0.5 * value(p, i)).map(|v| if scale { 1.0 + 0.2 * v } else { v }).collect()
            }
        };
        p += usize::from(kind == TensorKind::Parameter);
        dict.insert(name, TensorData::new(values, shape));
    }
    load_state_dict(module, &dict).unwrap()
}

/// The script's settings of the method, with a queue of `k`.
pub fn moco_config(k: usize) -> MocoConfig {
    let mut config = MocoConfig::new();
    (config.dim, config.queue_size, config.momentum, config.temperature) = (D, k, 0.9, 0.2);
    config
}

/// The script's encoders and queue.
pub fn moco(device: &Device) -> Moco<Narrow> {
    moco_of(&moco_config(K), device)
}

/// As [`moco`], with other settings of the method.
pub fn moco_of(config: &MocoConfig, device: &Device) -> Moco<Narrow> {
    let mut moco = config.init(Narrow::new(0, device), 0).unwrap();
    moco.encoder_q = fill(moco.encoder_q.clone(), 1);
    moco.encoder_k = fill(moco.encoder_k.clone(), 31);
    let mut record = moco.queue.to_record().unwrap();
    let rows = (0..K).flat_map(|k| {
        let row: Vec<f64> = (0..D).map(|d| value(100, k * D + d)).collect();
        let length = row.iter().map(|x| x * x).sum::<f64>().sqrt();
        row.into_iter().map(move |x| x / length)
    });
    record.insert("queue".into(), TensorData::new(rows.collect::<Vec<f64>>(), [K, D]));
    moco.queue.load_record(&record).unwrap();
    moco
}

pub fn optimizer(name: &str) -> (OptimizerConfig, f64) {
    match name {
        "sgd" => (OptimizerConfig::new(Rule::SGD, 1e-4), 0.05),
        _ => (OptimizerConfig::new(Rule::ADAM, 1e-4), 1e-3),
    }
}

/// Ten steps; quantities by the names of the script.
pub fn run(name: &str, device: &Device) -> BTreeMap<String, Vec<f64>> {
    run_with(name, &moco_config(K), |_| [0, 1, 2, 3], device)
}

/// As [`run`], with other settings of the method, on images of these patients in each step.
pub fn run_with(
    name: &str,
    moco: &MocoConfig,
    patients: fn(u64) -> [u32; N],
    device: &Device,
) -> BTreeMap<String, Vec<f64>> {
    let mut moco = moco_of(moco, device);
    let (config, lr) = optimizer(name);
    let mut optimizer = config.init();
    let mut found: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for index in 0..STEPS {
        let views =
            HostBatch { patients: patients(index).to_vec(), ..batch(index as usize) }.to_device(N, device).unwrap();
        let step = Step { index, lr, done: index as f64 / STEPS as f64, clip_norm: None };
        let measures = moco.step(vec![views], &mut optimizer, &step).unwrap();
        found.entry("loss".into()).or_default().push(measures.loss);
        found.entry("gradient_norm".into()).or_default().push(measures.gradient_norm.unwrap());
    }
    found.extend(state(&moco));
    found
}

/// Both encoders and the queue, by the names of the script.
pub fn state(moco: &Moco<Narrow>) -> BTreeMap<String, Vec<f64>> {
    let mut found = BTreeMap::new();
    for (side, encoder) in [("encoder_q", &moco.encoder_q), ("encoder_k", &moco.encoder_k)] {
        for (name, data) in backbones::state_dict(encoder).unwrap() {
            found.insert(format!("{side}.{}", name.trim_start_matches("backbone.")), numbers(data));
        }
    }
    found.insert("queue".into(), numbers(moco.queue.to_record().unwrap()["queue"].clone()));
    found
}

/// A trainer with the script's settings and a queue of `k`, at its beginning.
pub fn trainer(optimizer_name: &str, k: usize, device: &Device) -> Trainer<Narrow> {
    let (optimizer, lr) = optimizer(optimizer_name);
    let mut config = TrainConfig::default();
    (config.epochs, config.batch_size, config.moco) = (1, N, moco_config(k));
    (config.optimizer, config.schedule) = (optimizer, Schedule::constant(lr));
    config.init(Narrow::new(0, device)).unwrap()
}

pub fn numbers(data: TensorData) -> Vec<f64> {
    data.convert::<f64>().try_to_vec().unwrap()
}

/// A file of `golden/moco/`.
pub fn golden(topic: &str) -> Value {
    let path = format!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../golden/moco/{}.json"), topic);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    serde_json::from_str::<Value>(&text).unwrap()[topic].clone()
}

pub fn list(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

/// Largest absolute difference.
pub fn gap(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    found
        .iter()
        .zip(expected)
        .map(|(f, e)| (f - e).abs())
        .fold(0.0, |a, b| if b.is_nan() { f64::NAN } else { a.max(b) })
}
