//! Training with labels, step by step: only the head of a network, or all of it.
//!
//! MoCo-CXR's supervised pipeline (`chexpert-model/train.py`) is one program for both: the linear probe is the
//! fine-tuning run with `requires_grad = False` on the backbone, whose batch normalisation stays in train mode. Its
//! running statistics therefore keep moving towards the labelled images, and the features change a little while the
//! head is trained on them (`docs/deviations.md`). [`Trained::Head`] does exactly that. To probe a network that does
//! not change at all, use [`crate::extract_features`] with [`crate::LinearProbeConfig`].

use backbones::optim::{NamedGradients, Optimizer, OptimizerConfig, Rule};
use backbones::{Backbone, Classifier, Linear, Mode};
use burn::{
    module::Module,
    tensor::{Device, Tensor, TensorData},
};
use ndarray::{Array2, Array3, ArrayView2};

use super::bce::masked_bce;
use super::frozen::{Frozen, MayMove};
use super::images::{BatchError, check_batch, device_of, read, upload};
use crate::error::{Error, Result};
use crate::probe::LinearProbe;

/// The part of a network that is trained with labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trained {
    /// The last layer; in the backbone only running statistics change (the paper's linear evaluation).
    Head,
    /// Everything (fine-tuning end to end).
    All,
}

/// Settings of training with labels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SupervisedConfig {
    /// The part that is trained.
    pub trained: Trained,
    /// Step size of Adam, constant (betas 0.9 and 0.999, epsilon 1e-8, no weight decay).
    pub lr: f64,
}

impl SupervisedConfig {
    /// The paper's step size, 3e-5.
    pub fn new(trained: Trained) -> Self {
        Self { trained, lr: 3e-5 }
    }

    /// Starts the training of a copy of `model`.
    ///
    /// # Errors
    /// A step size that is not above zero; a device that fails.
    pub fn init<B: Backbone>(&self, model: &Classifier<B>) -> Result<Supervised<B>> {
        if !(self.lr > 0.0 && self.lr.is_finite()) {
            let expected = "a finite number above 0";
            return Err(Error::Setting { name: "lr", found: self.lr.to_string(), expected });
        }
        let frozen = match self.trained {
            Trained::Head => Some(Frozen::of(&model.backbone)?),
            Trained::All => None,
        };
        let mut model = model.valid();
        let device = device_of(&model.backbone)?;
        // A backbone on the plain device cannot be trained, and no tape is kept of it.
        match self.trained {
            Trained::Head => model.head = model.head.train(),
            Trained::All => model = model.train(),
        }
        let optimizer = OptimizerConfig::new(Rule::ADAM, 0.0).init();
        Ok(Supervised { model, device, optimizer, lr: self.lr, frozen, steps: 0 })
    }
}

/// A network being trained with labels.
#[derive(Debug)]
pub struct Supervised<B> {
    model: Classifier<B>,
    device: Device,
    optimizer: Optimizer,
    lr: f64,
    /// Hashes of the backbone's tensors, if only the head is trained.
    frozen: Option<Frozen>,
    steps: u64,
}

impl<B: Backbone> Supervised<B> {
    /// One step: batch normalisation with batch statistics, masked binary cross-entropy, Adam. Returns the loss before
    /// the update, or `None` (and changes nothing) if no image of the batch is labelled.
    ///
    /// # Shapes
    /// - images `[B, S, S]` u8; targets `[B, T]`: 0, 1, or NaN where masked
    ///
    /// # Errors
    /// Shapes that do not fit; [`Error::NonFiniteLoss`]; a device that fails.
    pub fn step(&mut self, images: &Array3<u8>, targets: ArrayView2<'_, f64>) -> Result<Option<f64>> {
        check_batch(images, targets.nrows())?;
        if targets.iter().all(|target| target.is_nan()) {
            return Ok(None);
        }
        let logits = match self.frozen {
            Some(_) => {
                let features = self.model.backbone.features(upload(images, &self.device), Mode::TRAIN); // [B, D]
                self.model.head.forward(features.autodiff()) // [B, T]
            }
            None => self.model.forward(upload(images, &self.device.clone().autodiff()), Mode::TRAIN),
        };
        let Some(loss) = masked_bce(logits, targets)? else { return Ok(None) };
        let value = read(loss.clone().inner(), "reading the loss")?[0]; // sync point
        if !value.is_finite() {
            return Err(Error::NonFiniteLoss { step: self.steps, loss: value });
        }
        let gradients = loss.backward();
        if self.frozen.is_some() {
            let gradients = NamedGradients::take(&self.model.head, gradients);
            self.optimizer.step_in_place(&mut self.model.head, gradients, self.lr);
        } else {
            let gradients = NamedGradients::take(&self.model, gradients);
            self.optimizer.step_in_place(&mut self.model, gradients, self.lr);
        }
        self.steps += 1;
        Ok(Some(value))
    }

    /// Steps taken.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The current network, on the plain device.
    ///
    /// # Errors
    /// [`Error::Moved`] if only the head is trained and more than running statistics changed in the backbone.
    pub fn model(&self) -> Result<Classifier<B>> {
        let model = self.model.valid();
        if let Some(frozen) = &self.frozen {
            frozen.check(&model.backbone, MayMove::RunningStatistics)?;
        }
        Ok(model)
    }
}

/// Logits of all images in eval mode, and their rows.
///
/// # Shapes
/// - each batch: images `[B, S, S]` u8 and their B row numbers
/// - returns `[N, T]` and N rows, in the order the batches came
///
/// # Errors
/// [`Error::Batches`] with the error of a batch; no images; a logit that is not finite; a device that fails.
pub fn predict<B: Backbone, E: Into<BatchError>>(
    model: &Classifier<B>,
    batches: impl IntoIterator<Item = Result<(Array3<u8>, Vec<usize>), E>>,
) -> Result<(Array2<f64>, Vec<usize>)> {
    let mut model = model.valid();
    let device = device_of(&model.backbone)?;
    let (mut values, mut rows, mut tasks) = (Vec::new(), Vec::new(), 0);
    for batch in batches {
        let (images, batch_rows) = batch.map_err(|e| Error::Batches(e.into()))?;
        check_batch(&images, batch_rows.len())?;
        let logits = model.forward(upload(&images, &device), Mode::Eval); // [B, T]
        tasks = logits.dims()[1];
        let logits = read(logits, "reading logits")?;
        if let Some(place) = logits.iter().position(|z| !z.is_finite()) {
            return Err(Error::NonFiniteScore { row: batch_rows[place / tasks], value: logits[place], task: None });
        }
        values.extend(logits);
        rows.extend(batch_rows);
    }
    let found = values.len();
    if found == 0 {
        return Err(Error::Setting { name: "batches", found: "none".to_owned(), expected: "at least one image" });
    }
    let logits = Array2::from_shape_vec((rows.len(), tasks), values);
    Ok((logits.map_err(|_| Error::Length { what: "logits", found, expected: rows.len() * tasks })?, rows))
}

impl LinearProbe {
    /// The probe as a layer after its backbone, from which fine-tuning starts (linear probing first keeps fine-tuning
    /// from distorting good features, Kumar et al., arXiv:2202.10054).
    pub fn head(&self, device: &Device) -> Linear {
        let (weight, bias) = self.layer();
        let shape = [weight.nrows(), weight.ncols()];
        Linear::new(
            Tensor::from_data(TensorData::new(weight.iter().copied().collect::<Vec<f64>>(), shape), device),
            Tensor::from_data(TensorData::new(bias, [shape[0]]), device),
        )
    }
}
