//! A step of momentum contrast part by part, for what measures its parts.

use backbones::{Mode, Network};
use burn::tensor::Device;
use moco_core::{HostBatch, NamedGradients, info_nce};
use serde::Serialize;

use crate::{
    check::step::{Stepper, upload},
    error::Result,
};

/// Learning rate: small, so that the weights stay what they are.
pub(super) const LR: f64 = 1e-5;

/// A part of a step that is measured from an idle device to an idle device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Host to device, both views.
    Upload,
    /// Query encoder, forward, with its tape.
    ForwardQuery,
    /// Key encoder, forward.
    ForwardKey,
    /// Loss and backward pass.
    Backward,
    /// Moving average of the key encoder, gradient norm, optimiser, queue.
    Update,
}

impl Phase {
    /// All parts, in their order.
    pub const ALL: [Self; 5] = [Self::Upload, Self::ForwardQuery, Self::ForwardKey, Self::Backward, Self::Update];
}

/// Makes a step part by part, and calls `ended` after each. It takes the batch, as a step takes the loader's: a copy of one of
/// many megabytes costs several times what its upload does.
pub(super) fn by_phase(
    stepper: &mut Stepper<Network>,
    batch: HostBatch,
    index: u64,
    mut ended: impl FnMut(Phase, &Device) -> Result<()>,
) -> Result<()> {
    let mode = Mode::Train { groups: 1 };
    let device = stepper.device.clone();
    let views = upload(batch, &device)?;
    ended(Phase::Upload, &device)?;
    let q = stepper.moco.encoder_q.encode(views.query, mode);
    ended(Phase::ForwardQuery, &device)?;
    let k = stepper.moco.encoder_k.encode(views.key, mode);
    ended(Phase::ForwardKey, &device)?;
    let negatives = stepper.moco.queue.negatives(&views.patients, false);
    let contrast = info_nce(q, k.clone(), negatives, stepper.moco.config().temperature);
    let gradients = NamedGradients::take(&stepper.moco.encoder_q, contrast.loss.backward());
    ended(Phase::Backward, &device)?;
    drop(gradients.norm());
    stepper.moco.average_keys(0.0);
    stepper.optimizer.step_in_place(&mut stepper.moco.encoder_q, gradients, LR);
    stepper.moco.queue.enqueue(k, &views.patients, index);
    ended(Phase::Update, &device)
}
