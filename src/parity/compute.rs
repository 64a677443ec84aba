//! What is computed on each device.

use backbones::{Backbone, Mode, StateDict, TensorKind, load_state_dict, state_dict};
use burn::tensor::{Device, TensorData};
use moco_core::{HostBatch, MocoConfig, OptimizerConfig, QueueInit, Rule, Step};

use super::ParityBatch;
use crate::{Error, Result};

/// Results on the host.
pub(super) struct Computed {
    pub(super) features: Vec<f32>,
    pub(super) loss: Vec<f32>,
    pub(super) gradients: Vec<f32>,
    pub(super) keys: Vec<f32>,
}

/// Features in eval mode, then one whole step of momentum contrast. Plain SGD without momentum or decay makes gradients
/// readable from outside: `(before - after) / lr`.
pub(super) fn compute<B: Backbone>(network: B, batch: &ParityBatch, device: &Device) -> Result<Computed> {
    let n = batch.query.dim().0;
    let host = HostBatch { query: batch.query.clone(), key: batch.key.clone(), patients: (0..n as u32).collect() };
    let views = host.to_device(n, device)?;
    let features = network.clone().features(views.query.clone(), Mode::Eval);
    let features = floats(features.try_into_data().map_err(|e| failed(e.to_string()))?)?;

    let config = MocoConfig { dim: 16, queue_size: 64, queue_init: QueueInit::Random, ..MocoConfig::new() };
    let mut moco = config.init(network, 3)?;
    let rule = Rule::Sgd { momentum: 0.0, nesterov: false };
    let mut optimizer = OptimizerConfig::new(rule, 0.0).init();
    let before = state_dict(&moco.encoder_q)?;
    let lr = 1.0;
    let measures = moco.step(vec![views], &mut optimizer, &Step { index: 0, lr, clip_norm: None })?;
    let after = state_dict(&moco.encoder_q)?;
    let keys = moco.queue.newest(n).try_into_data().map_err(|e| failed(e.to_string()))?;
    Ok(Computed {
        features,
        loss: vec![measures.loss as f32],
        gradients: gradients(before, after, lr as f32)?,
        keys: floats(keys)?,
    })
}

fn gradients(before: StateDict, mut after: StateDict, lr: f32) -> Result<Vec<f32>> {
    let mut all = Vec::new();
    for (name, before) in before {
        let Some(after) = after.remove(&name).filter(|_| TensorKind::of(&name) == TensorKind::Parameter) else {
            continue;
        };
        all.extend(floats(before)?.into_iter().zip(floats(after)?).map(|(b, a)| (b - a) / lr));
    }
    Ok(all)
}

/// The network with every weight changed by the factor `1 ± rounding`, up and down in turn.
pub(super) fn shaken<B: Backbone>(network: &B, rounding: f64) -> Result<B> {
    let mut dict = state_dict(network)?;
    for data in dict.values_mut() {
        let shape = data.shape().clone();
        // The bits of a value decide its direction: as good as a coin, and the same in every run.
        let shake = |v: f32| {
            let up = v.to_bits().wrapping_mul(2_654_435_761) >> 31 == 0;
            (f64::from(v) * if up { 1.0 + rounding } else { 1.0 - rounding }) as f32
        };
        *data = TensorData::new(floats(data.clone())?.into_iter().map(shake).collect::<Vec<f32>>(), shape);
    }
    Ok(load_state_dict(network.clone(), &dict)?)
}

fn floats(data: TensorData) -> Result<Vec<f32>> {
    data.convert::<f32>().try_to_vec().map_err(|e| failed(e.to_string()))
}

fn failed(reason: String) -> Error {
    Error::Moco(moco_core::Error::Device { what: "comparing devices", reason })
}
