//! One step of momentum contrast (MoCo, arXiv:1911.05722, Algorithm 1; `moco/builder.py` of the reference).
//!
//! Letters: N batch, S image side, D embedding (the paper's C), K queue, n its filled part.

use backbones::{Backbone, Mode};
use burn::{
    module::Module,
    tensor::{Device, Int, Tensor, TensorData},
};

use crate::{
    Encoder, Error, MocoConfig, NamedGradients, Optimizer, Queue, Result, Views,
    ema::{ema_update, momentum_copy},
    loss::info_nce,
    metrics::{Laps, Measures, StepTimes},
    random::permutation,
};

/// The two encoders and the queue.
#[derive(Debug)]
pub struct Moco<B: Backbone> {
    /// Trained by gradients; on the autodiff device.
    pub encoder_q: Encoder<B>,
    /// Its slow average, which makes the keys; on the inner device, where there are no gradients.
    pub encoder_k: Encoder<B>,
    /// Keys of past batches.
    pub queue: Queue,
    /// Similarities of the last batch that had negatives, on the device until the epoch's report reads them.
    pub(crate) similarities: Option<(Tensor<2>, Tensor<2>)>,
    config: MocoConfig,
    seed: u64,
    times: StepTimes,
}

impl MocoConfig {
    /// Adds a projection head to a backbone and makes the key encoder and the queue, on the backbone's device. All
    /// random numbers (head, queue, shuffling) follow from `seed`.
    ///
    /// # Errors
    /// When the backbone has no tensors, or a field called `fc` that the head's names would collide with.
    pub fn init<B: Backbone>(&self, backbone: B, seed: u64) -> Result<Moco<B>> {
        self.validate(2 * self.groups.max(1))?;
        let names = backbones::tensor_names(&backbone);
        if names.is_empty() {
            return Err(Error::Backbone("it has no float tensor, so there is nothing to train".into()));
        }
        if let Some((name, ..)) = names.iter().find(|(name, ..)| name == "fc" || name.starts_with("fc.")) {
            return Err(Error::Backbone(format!(
                "its tensor {name} has the name of the projection head; rename the field"
            )));
        }
        let encoder_q = Encoder::new(backbone, self.dim, self.mlp, seed).train();
        let encoder_k = momentum_copy(&encoder_q);
        let device = encoder_q.devices().into_iter().next().unwrap_or_default();
        let queue = Queue::new(self.queue_size, self.dim, self.queue_init, seed, &device);
        let times = StepTimes::default();
        Ok(Moco { encoder_q, encoder_k, queue, similarities: None, config: self.clone(), seed, times })
    }
}

impl<B: Backbone> Moco<B> {
    /// One optimizer step on a batch, given as one or several micro-batches whose gradients are averaged.
    ///
    /// On error the query's weights and the queue are those of the step before; running statistics and the key encoder have
    /// moved on.
    ///
    /// # Errors
    /// [`Error::NonFinite`] when loss or gradient is; [`Error::Device`] when the device fails.
    pub fn step(&mut self, batch: Vec<Views>, optimizer: &mut Optimizer, update: &Step) -> Result<Measures> {
        let (mut clock, mut times) = (Laps::start(), StepTimes::default());
        // From the query's weights before this step's update, as `forward` of the reference does.
        self.encoder_k = ema_update(self.encoder_k.clone(), &self.encoder_q, self.config.momentum);
        times.update_s += clock.lap();
        let parts = batch.len();
        let (mut gradients, mut measures, mut written) = (NamedGradients::default(), Vec::new(), Vec::new());
        for (part, views) in batch.into_iter().enumerate() {
            let q = self.encoder_q.encode(views.query, self.mode()); //                            [N, D]
            let k = self.keys(views.key, update.index, part as u64); //                            [N, D], no tape
            let negatives = self.queue.negatives(&views.patients, self.config.mask_same_patient); // [n, D]
            if self.queue.filled() > 0 {
                let contrast = info_nce(q, k.clone(), negatives, self.config.temperature); // [N, 1+n] logits
                times.forward_s += clock.lap();
                gradients.add(NamedGradients::take(&self.encoder_q, contrast.loss.backward()));
                times.backward_s += clock.lap();
                measures.push(contrast.measures);
                self.similarities = Some(contrast.similarities);
            }
            written.push((k, views.patients));
            times.forward_s += clock.lap();
        }
        gradients.scale(1.0 / parts as f64);
        let measures = Measures::read(measures, gradients.norm(), update.index)?; // sync point: loss and gradient norm
        times.wait_s += clock.lap();
        if let Some(norm) = measures.gradient_norm {
            if let Some(max) = update.clip_norm {
                gradients.clip(norm, max);
            }
            self.encoder_q = optimizer.step(self.encoder_q.clone(), gradients, update.lr);
        }
        for (k, patients) in written {
            self.queue.enqueue(k, &patients, update.index);
        }
        times.update_s += clock.lap();
        self.times = times;
        Ok(measures)
    }

    /// Embeddings of the key views, with batch statistics and without a tape. With several groups the batch is shuffled
    /// before, so that a key shares its statistics with other images than its query does, and put back in order after.
    fn keys(&mut self, images: Tensor<4>, step: u64, part: u64) -> Tensor<2> {
        let mode = self.mode();
        if self.config.groups == 1 || !self.config.shuffle_keys {
            return self.encoder_k.encode(images, mode);
        }
        let (forward, inverse) = permutation(self.seed, step, part, images.dims()[0]);
        let device = images.device();
        let images = images.select(0, indices(&forward, &device));
        self.encoder_k.encode(images, mode).select(0, indices(&inverse, &device))
    }

    fn mode(&self) -> Mode {
        Mode::Train { groups: self.config.groups }
    }

    /// Where the seconds of the last step went, without the upload.
    pub fn times(&self) -> StepTimes {
        self.times
    }

    /// What it was made from.
    pub fn config(&self) -> &MocoConfig {
        &self.config
    }

    /// Where the encoders live, without autodiff.
    pub fn device(&self) -> Device {
        self.encoder_k.devices().into_iter().next().unwrap_or_default()
    }
}

/// What an optimizer step needs besides the batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Number of the step, from 0.
    pub index: u64,
    /// Learning rate.
    pub lr: f64,
    /// Largest norm of the gradient, over all tensors; none does not clip.
    pub clip_norm: Option<f64>,
}

fn indices(order: &[usize], device: &Device) -> Tensor<1, Int> {
    let order: Vec<i64> = order.iter().map(|&i| i as i64).collect();
    let n = order.len();
    Tensor::from_data(TensorData::new(order, [n]), device)
}
