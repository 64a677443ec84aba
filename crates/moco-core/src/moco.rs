//! One step of momentum contrast (MoCo, arXiv:1911.05722, Algorithm 1; `moco/builder.py` of the reference).
//!
//! Letters: N batch, S image side, D embedding (the paper's C), K queue, n its filled part.

use std::sync::Arc;

use backbones::{
    Backbone, Mode,
    cpu_times::{self, Part},
};
use burn::{
    module::Module,
    tensor::{Device, Int, Tensor, TensorData},
};

use crate::{
    Alone, Collective, Encoder, Error, MocoConfig, NamedGradients, Negatives, Optimizer, Queue, Result, Views,
    ema::{ema_update, momentum_copy},
    loss,
    metrics::{Laps, Measures, Pending, StepTimes},
    random::permutation,
    ranks::{Exchanged, Keys, RunningBefore},
};

/// The two encoders and the queue.
#[derive(Debug)]
pub struct Moco<B: Backbone> {
    /// The query encoder, trained by gradients; on the autodiff device.
    pub encoder_q: Encoder<B>,
    /// The key encoder, a moving average of the query encoder; on the inner device, which has no gradients.
    pub encoder_k: Encoder<B>,
    /// Keys of past batches.
    pub queue: Queue,
    /// Similarities of the last batch that had negatives; on the device until the epoch's report reads them.
    pub(crate) similarities: Option<(Tensor<2>, Tensor<2>)>,
    /// Those who encode the other parts of a batch.
    pub(crate) ranks: Arc<dyn Collective>,
    config: MocoConfig,
    seed: u64,
    times: StepTimes,
}

impl MocoConfig {
    /// Adds a projection head to a backbone and creates the key encoder and the queue, on the backbone's device. All
    /// random numbers (head, queue, shuffling) are derived from `seed`.
    ///
    /// # Errors
    /// When the backbone has no tensors, or a field called `fc`, which is the name of the projection head.
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
        let encoder_q = Encoder::new(backbone, self, seed).train();
        let encoder_k = momentum_copy(&encoder_q);
        let device = encoder_q.devices().into_iter().next().unwrap_or_default();
        let queue = Queue::new(self.queue_size, self.dim, self.queue_init, seed, &device);
        let times = StepTimes::default();
        let ranks = Arc::new(Alone);
        Ok(Moco { encoder_q, encoder_k, queue, similarities: None, ranks, config: self.clone(), seed, times })
    }
}

impl<B: Backbone> Moco<B> {
    /// One optimizer step on a batch, given as one or several micro-batches whose gradients are averaged. A symmetric
    /// loss is the average over the two directions, each a pass of its own, so that it needs no more memory.
    ///
    /// On error the query encoder's weights and the queue are unchanged, but running statistics and the key encoder
    /// have been updated.
    ///
    /// # Errors
    /// [`Error::NonFinite`] for a loss or gradient that is not finite; [`Error::Device`] when the device fails.
    pub fn step(&mut self, batch: Vec<Views>, optimizer: &mut Optimizer, update: &Step) -> Result<Measures> {
        let mut work = self.contrast(batch, update)?;
        let mut clock = Laps::start();
        let measures = work.pending().read_among(&*self.ranks)?; // sync point: loss and gradient norm
        self.times.wait_s += clock.lap();
        if let (Some(norm), Some(max)) = (measures.gradient_norm, update.clip_norm) {
            work.gradients.clip(norm, max);
        }
        self.apply(work, optimizer, update);
        Ok(measures)
    }

    /// As [`Self::step`], without waiting for the device: the measurements are read later, while the device runs the
    /// next step. A loss that is not finite is then found only after weights have been updated with it; such weights
    /// must not be saved. The gradient is not clipped, because its norm is not known.
    pub(crate) fn launch(&mut self, batch: Vec<Views>, optimizer: &mut Optimizer, update: &Step) -> Result<Pending> {
        let work = self.contrast(batch, update)?;
        let pending = work.pending();
        self.apply(work, optimizer, update);
        Ok(pending)
    }

    /// The step up to the gradients.
    fn contrast(&mut self, batch: Vec<Views>, update: &Step) -> Result<Work> {
        let ranks = Arc::clone(&self.ranks);
        let mut exchanged = Exchanged::new(&*ranks);
        let (mut clock, mut times) = (Laps::start(), StepTimes::default());
        // With the query encoder's weights before this step's update, as in `forward` of the reference.
        self.average_keys(update.done);
        times.update_s += clock.lap();
        let batch = match (self.config.symmetric, ranks.size()) {
            (false, _) => batch,
            (true, 1) => batch.into_iter().flat_map(both_ways).collect(),
            (true, _) => batch.into_iter().flat_map(halves).collect(),
        };
        let mut running = self.running();
        let parts = batch.len();
        let (mut gradients, mut measures, mut written) = (NamedGradients::default(), Vec::new(), Vec::new());
        for (part, views) in batch.into_iter().enumerate() {
            let q = self.encoder_q.encode(views.query, self.mode()); //                            [N, D]
            let k = self.keys(views.key, views.patients, (update.index, part as u64), &mut exchanged)?; // [N, D], no tape
            running.iter_mut().for_each(|[q, k]| (q.passed(&self.encoder_q), k.passed(&self.encoder_k)).0);
            if self.negatives(k.patients.len()) > 0 {
                let negatives = self.negatives_of(&k); //                                          [n, D]
                let (temperature, keys) = (self.config.temperature, (k.of_queries(), k.all.clone()));
                let contrast = loss::measured(q, keys, negatives, temperature, Some(&self.queue)); // [N, 1+n] logits
                times.forward_s += clock.lap();
                let tape = {
                    let _t = cpu_times::time_until_next(Part::Loss);
                    contrast.loss.backward()
                };
                gradients.add(NamedGradients::take(&self.encoder_q, tape));
                times.backward_s += clock.lap();
                measures.push(contrast.measures);
                self.similarities = contrast.similarities.or(self.similarities.take());
            }
            written.push((k.all, k.patients));
            times.forward_s += clock.lap();
        }
        gradients.scale(1.0 / parts as f64);
        times.forward_s -= exchanged.seconds(); // of the keys
        if ranks.size() > 1 {
            let before = exchanged.seconds();
            exchanged.average(&mut gradients)?;
            let groups = self.groups_here();
            if let Some([q, k]) = running {
                q.blend(&mut self.encoder_q, &mut exchanged, groups)?;
                k.blend(&mut self.encoder_k, &mut exchanged, groups)?;
            }
            times.wait_s += clock.lap() - (exchanged.seconds() - before);
        }
        (times.late_s, times.exchange_s) = (exchanged.waited_s, exchanged.exchange_s);
        self.times = times;
        Ok(Work { gradients, measures, written, step: update.index })
    }

    /// Moves the key encoder towards the query encoder, which every step does first; `done` is as in [`Step`].
    pub fn average_keys(&mut self, done: f64) {
        ema_update(&mut self.encoder_k, &self.encoder_q, self.config.momentum_at(done));
    }

    /// Updates the query encoder and enqueues the keys.
    fn apply(&mut self, work: Work, optimizer: &mut Optimizer, update: &Step) {
        let mut clock = Laps::start();
        if !work.measures.is_empty() {
            optimizer.step_in_place(&mut self.encoder_q, work.gradients, update.lr);
        }
        for (k, patients) in work.written {
            self.queue.enqueue(k, &patients, update.index);
        }
        self.times.update_s += clock.lap();
    }

    fn negatives_of(&self, keys: &Keys) -> Negatives {
        let (masked, own) = (self.config.mask_same_patient, keys.first..keys.first + keys.own);
        match self.config.batch_negatives {
            true => self.queue.negatives_with_part(&keys.patients, own, masked),
            false => self.queue.negatives(&keys.patients[own], masked),
        }
    }

    /// The running statistics of both encoders, where other ranks have others.
    fn running(&self) -> Option<[RunningBefore; 2]> {
        if self.ranks.size() == 1 {
            return None;
        }
        Some([RunningBefore::of(&self.encoder_q)?, RunningBefore::of(&self.encoder_k)?])
    }

    /// Number of negatives of a query in a batch of `batch_size` images, without regard to patients.
    pub(crate) fn negatives(&self, batch_size: usize) -> usize {
        self.queue.filled() + if self.config.batch_negatives { batch_size.saturating_sub(1) } else { 0 }
    }

    /// Embeddings of the key views, with batch statistics and without a tape. With several groups the batch is shuffled
    /// first, so that a key is normalised with other images than its query, and its order is restored afterwards. Of several
    /// ranks each is given the views that the shuffle deals to it ([`Shares`](crate::Shares)), and all keys are gathered.
    fn keys(
        &mut self,
        images: Tensor<4>,
        patients: Vec<u32>,
        (step, part): (u64, u64),
        exchanged: &mut Exchanged<'_>,
    ) -> Result<Keys> {
        let (mode, size) = (self.mode(), self.ranks.size());
        let n = patients.len();
        let shuffled = self.config.groups > 1 && self.config.shuffle_keys;
        let order = shuffled.then(|| permutation(self.seed, step, part, n * size));
        if size > 1 {
            let made = self.encoder_k.encode(images, mode);
            return exchanged.keys(made, &patients, order.as_ref().map(|(_, inverse)| &inverse[..]));
        }
        let all = match order {
            None => self.encoder_k.encode(images, mode),
            Some((forward, inverse)) => {
                let device = images.device();
                let images = images.select(0, indices(&forward, &device));
                self.encoder_k.encode(images, mode).select(0, indices(&inverse, &device))
            }
        };
        Ok(Keys { all, patients, first: 0, own: n })
    }

    fn mode(&self) -> Mode {
        Mode::Train { groups: self.groups_here() }
    }

    /// Groups of a batch that this rank normalises.
    fn groups_here(&self) -> usize {
        self.config.groups / self.ranks.size()
    }

    /// Seconds of each part of the last step, without the upload.
    pub fn times(&self) -> StepTimes {
        self.times
    }

    /// The configuration it was made from.
    pub fn config(&self) -> &MocoConfig {
        &self.config
    }

    /// The device of the encoders, without autodiff.
    pub fn device(&self) -> Device {
        self.encoder_k.devices().into_iter().next().unwrap_or_default()
    }
}

/// The result of a step before its update.
struct Work {
    gradients: NamedGradients,
    /// `[5]` or `[7]` of each micro-batch; empty while there are no negatives, when there is no update.
    measures: Vec<Tensor<1>>,
    /// Keys and patients of each micro-batch.
    written: Vec<(Tensor<2>, Vec<u32>)>,
    step: u64,
}

impl Work {
    fn pending(&self) -> Pending {
        Pending { measures: self.measures.clone(), norm: self.gradients.norm(), step: self.step }
    }
}

/// Inputs of an optimizer step besides the batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Number of the step, from 0.
    pub index: u64,
    /// Learning rate.
    pub lr: f64,
    /// Share of the run's steps that are done before this one, which the momentum's schedule follows; from 0 to below 1.
    pub done: f64,
    /// Largest norm of the gradient, over all tensors; `None` does not clip.
    pub clip_norm: Option<f64>,
}

/// Both views as query, one after the other.
fn both_ways(views: Views) -> [Views; 2] {
    let Views { query, key, patients } = views.clone();
    [views, Views { query: key, key: query, patients }]
}

/// The two passes of a symmetric loss, as [`Shares`](crate::Shares) deals them: one half of the views for each.
fn halves(views: Views) -> [Views; 2] {
    let Views { query, key, patients } = views;
    let n = patients.len() / 2;
    let half = |views: &Tensor<4>, second: bool| views.clone().narrow(0, if second { n } else { 0 }, n);
    let patients = patients[..n].to_vec();
    [
        Views { query: half(&query, false), key: half(&key, false), patients: patients.clone() },
        Views { query: half(&key, true), key: half(&query, true), patients },
    ]
}

fn indices(order: &[usize], device: &Device) -> Tensor<1, Int> {
    let order: Vec<i64> = order.iter().map(|&i| i as i64).collect();
    let n = order.len();
    Tensor::from_data(TensorData::new(order, [n]), device)
}
