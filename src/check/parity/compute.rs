//! The results that are compared between devices.

use backbones::{Backbone, Mode, StateDict, TensorKind, load_state_dict, state_dict};
use burn::tensor::{Device, TensorData};
use moco_core::{HostBatch, Measures, MocoConfig, OptimizerConfig, Rule};
use ndarray::{Array3, Axis};

use crate::{
    check::step::{Stepper, upload},
    error::{Error, Result},
};

/// Results on the host.
#[derive(Default)]
pub(super) struct Computed {
    pub(super) features: Vec<f32>,
    pub(super) loss: Vec<f32>,
    pub(super) similarities: Vec<f32>,
    pub(super) gradients: Vec<f32>,
    pub(super) gradient_norm: Vec<f32>,
    pub(super) keys: Vec<f32>,
    pub(super) weights: Vec<f32>,
    pub(super) average: Vec<f32>,
    pub(super) statistics: Vec<f32>,
}

impl Computed {
    fn record(&mut self, step: &Measures) {
        self.loss.push(step.loss as f32);
        self.similarities.extend([step.positive as f32, step.negative as f32]);
        self.gradient_norm.extend(step.gradient_norm.map(|norm| norm as f32));
    }
}

/// Features in eval mode, then three steps of momentum contrast.
///
/// The first step yields the gradients: with plain gradient descent and a rate of 1 they are `before - after`. Such a step is
/// too large to continue from, so the weights are restored. The other two are steps of a training with Adam, except that the
/// positive is the key of another image. The image's own key, in the queue since the first step, is then more similar
/// than the positive, and only where the positive loses does the loss depend on all of its inputs. Adam's `eps` is 1, because
/// with a small one the sign of a gradient that is only rounding error would decide the update.
pub(super) fn compute<B: Backbone>(network: B, batch: &HostBatch, device: &Device) -> Result<Computed> {
    let n = batch.patients.len();
    let rolled = HostBatch { key: rolled(&batch.key), ..batch.clone() };
    let (own, others) = (upload(batch.clone(), device)?, upload(rolled, device)?);
    let features = network.clone().features(own.query.clone(), Mode::Eval);
    let mut found = Computed {
        features: floats(features.try_into_data().map_err(|e| failed(e.to_string()))?)?,
        ..Computed::default()
    };

    let mut config = MocoConfig::new();
    (config.dim, config.queue_size, config.momentum) = (16, 64.max(4 * n), 0.5);
    let plain = OptimizerConfig::new(Rule::Sgd { momentum: 0.0, nesterov: false }, 0.0);
    let mut stepper = Stepper::new(network, &config, 3, plain)?;
    let (query, key) = (state_dict(&stepper.moco.encoder_q)?, state_dict(&stepper.moco.encoder_k)?);
    found.record(&stepper.step(own, 1.0, None)?);
    let moved = changes(&query, &state_dict(&stepper.moco.encoder_q)?, TensorKind::Parameter)?;
    found.gradients = moved.into_iter().map(|change| -change).collect();
    stepper.moco.encoder_q = load_state_dict(stepper.moco.encoder_q, &query)?;
    stepper.optimizer = OptimizerConfig::new(Rule::Adam { betas: (0.9, 0.999), eps: 1.0 }, 1e-4).init();
    for _ in 0..2 {
        found.record(&stepper.step(others.clone(), 0.3, None)?);
    }

    let moco = stepper.moco;
    found.keys = floats(moco.queue.newest(3 * n).try_into_data().map_err(|e| failed(e.to_string()))?)?;
    for (before, after, moved) in [
        (&query, state_dict(&moco.encoder_q)?, &mut found.weights),
        (&key, state_dict(&moco.encoder_k)?, &mut found.average),
    ] {
        *moved = changes(before, &after, TensorKind::Parameter)?;
        found.statistics.extend(changes(before, &after, TensorKind::Buffer)?);
    }
    Ok(found)
}

/// The images shifted by one place.
fn rolled(images: &Array3<u8>) -> Array3<u8> {
    let order: Vec<usize> = (0..images.dim().0).map(|i| (i + 1) % images.dim().0).collect();
    images.select(Axis(0), &order)
}

/// `after - before` of all parameters or all buffers, concatenated.
fn changes(before: &StateDict, after: &StateDict, kind: TensorKind) -> Result<Vec<f32>> {
    let mut all = Vec::new();
    for (name, before) in before.iter().filter(|(name, _)| TensorKind::of(name) == kind) {
        let after = after.get(name).cloned().ok_or_else(|| failed(format!("{name} is gone")))?;
        all.extend(floats(before.clone())?.into_iter().zip(floats(after)?).map(|(b, a)| a - b));
    }
    Ok(all)
}

/// The network with every weight multiplied by `1 + rounding` or `1 - rounding`; `seed` decides which.
pub(super) fn shaken<B: Backbone>(network: &B, rounding: f64, seed: u32) -> Result<B> {
    let mut dict = state_dict(network)?;
    for data in dict.values_mut() {
        let shape = data.shape().clone();
        // A hash of the value decides the direction: as good as random, and the same in every run.
        let shake = |v: f32| {
            let up = (v.to_bits() ^ seed.wrapping_mul(0x9e37_79b9)).wrapping_mul(2_654_435_761) >> 31 == 0;
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
