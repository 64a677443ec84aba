//! A training run with labels: epochs, validation, and the networks that are kept.

use std::path::Path;

use backbones::{Backbone, Classifier, state_dict};
use ndarray::{Array2, Array3};

use super::checkpoints::{Checkpoint, TopCheckpoints, ensemble};
use super::images::BatchError;
use super::supervised::Supervised;
use crate::auroc::auroc;
use crate::error::{Error, Result, Undefined};
use crate::scores::Scores;

/// Length of a run and number of networks to keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FineTune {
    /// Passes over the labelled images.
    pub epochs: usize,
    /// Steps between measurements on the validation rows; there is always one after the last batch of an epoch.
    pub evaluate_every: Option<u64>,
    /// Number of best networks to keep; the reference's ensemble has 10.
    pub keep: usize,
}

impl FineTune {
    /// Measures once an epoch and keeps the best ten.
    pub fn new(epochs: usize) -> Self {
        Self { epochs, evaluate_every: None, keep: 10 }
    }

    /// Trains for all epochs (there is no early stopping in the paper) and keeps the best networks on the host.
    ///
    /// `train` returns the batches of an epoch (counted from 0) in the order of their use: images `[B, S, S]` and
    /// targets `[B, T]`. `validate` measures a network, usually with [`crate::predict`], [`crate::fold_studies`] and
    /// [`mean_auroc`]; its rows must not be those that are reported ([`crate::check_disjoint`]).
    ///
    /// # Errors
    /// No epochs or nothing to keep; an epoch without labelled batches; any error of training, `train` or `validate`.
    pub fn run<B, I, E>(
        &self,
        training: Supervised<B>,
        train: impl FnMut(usize) -> I,
        validate: impl FnMut(&Classifier<B>) -> Result<f64>,
    ) -> Result<FineTuned<B>>
    where
        B: Backbone,
        I: IntoIterator<Item = Result<(Array3<u8>, Array2<f64>), E>>,
        E: Into<BatchError>,
    {
        self.train(TopCheckpoints::new(self.keep), training, train, validate)
    }

    /// As [`Self::run`], with the best networks kept in the new folder `folder`: host memory holds one network at a time,
    /// and [`read_checkpoints`](crate::read_checkpoints) finds them later. The folder appears when the run is done.
    ///
    /// # Errors
    /// As [`Self::run`]; a folder that exists or cannot be written.
    pub fn run_in<B, I, E>(
        &self,
        folder: &Path,
        training: Supervised<B>,
        train: impl FnMut(usize) -> I,
        validate: impl FnMut(&Classifier<B>) -> Result<f64>,
    ) -> Result<FineTuned<B>>
    where
        B: Backbone,
        I: IntoIterator<Item = Result<(Array3<u8>, Array2<f64>), E>>,
        E: Into<BatchError>,
    {
        self.train(TopCheckpoints::in_folder(self.keep, folder)?, training, train, validate)
    }

    fn train<B, I, E>(
        &self,
        mut top: TopCheckpoints,
        mut training: Supervised<B>,
        mut train: impl FnMut(usize) -> I,
        mut validate: impl FnMut(&Classifier<B>) -> Result<f64>,
    ) -> Result<FineTuned<B>>
    where
        B: Backbone,
        I: IntoIterator<Item = Result<(Array3<u8>, Array2<f64>), E>>,
        E: Into<BatchError>,
    {
        let every = self.evaluate_every.unwrap_or(1);
        let counts =
            [("epochs", self.epochs as u64), ("checkpoints to keep", self.keep as u64), ("evaluate_every", every)];
        for (name, value) in counts {
            if value == 0 {
                return Err(Error::Setting { name, found: "0".to_owned(), expected: "at least 1" });
            }
        }
        let mut history = Vec::new();
        for epoch in 0..self.epochs {
            let (mut sum, mut count, mut measured) = (0.0, 0_u32, true);
            let mut measure = |training: &Supervised<B>, loss: f64| -> Result<()> {
                let (step, model) = (training.steps(), training.model()?);
                let auroc = validate(&model)?;
                if !auroc.is_finite() {
                    let (found, expected) = (auroc.to_string(), "a finite number");
                    return Err(Error::Setting { name: "the AUROC from validate", found, expected });
                }
                top.offer(step, auroc, || Ok(state_dict(&model)?))?;
                history.push(Measured { step, epoch, loss, auroc });
                Ok(())
            };
            for batch in train(epoch) {
                let (images, targets) = batch.map_err(|e| Error::Batches(e.into()))?;
                let Some(loss) = training.step(&images, targets.view())? else { continue };
                (sum, count) = (sum + loss, count + 1);
                measured = self.evaluate_every.is_some_and(|every| training.steps().is_multiple_of(every));
                if measured {
                    measure(&training, sum / f64::from(count))?;
                }
            }
            if count == 0 {
                let expected = "at least one batch with a label";
                return Err(Error::Setting { name: "batches of an epoch", found: "none".to_owned(), expected });
            }
            if !measured {
                measure(&training, sum / f64::from(count))?;
            }
        }
        Ok(FineTuned { last: training.model()?, top: top.finish()?, history })
    }
}

/// A validation measurement.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// Steps taken.
    pub step: u64,
    /// 0-based epoch.
    pub epoch: usize,
    /// Mean training loss of the epoch so far.
    pub loss: f64,
    /// Mean AUROC on the validation rows.
    pub auroc: f64,
}

/// The outcome of a run.
#[derive(Debug)]
pub struct FineTuned<B> {
    /// The network after the last step.
    pub last: Classifier<B>,
    /// The best networks, best first.
    pub top: Vec<Checkpoint>,
    /// Every measurement in order.
    pub history: Vec<Measured>,
}

impl<B: Backbone> FineTuned<B> {
    /// The network that was best on the validation rows.
    ///
    /// # Errors
    /// When its file is missing or damaged.
    pub fn best(&self) -> Result<Classifier<B>> {
        match self.top.first() {
            Some(checkpoint) => checkpoint.load(self.last.clone()),
            None => Ok(self.last.clone()),
        }
    }

    /// The ensemble of all kept networks, see [`ensemble`].
    ///
    /// # Shapes
    /// - `logits` gives `[N, T]` each time; returns probabilities `[N, T]`
    ///
    /// # Errors
    /// As [`ensemble`].
    pub fn ensemble(&self, logits: impl FnMut(&Classifier<B>) -> Result<Array2<f64>>) -> Result<Array2<f64>> {
        ensemble(&self.last, &self.top, logits)
    }
}

/// Mean AUROC over the tasks that have both classes; checkpoints are chosen by it (`chexpert-model/eval/evaluator.py`).
///
/// # Errors
/// [`Error::Undefined`] if no task has both classes.
pub fn mean_auroc(scores: &Scores) -> Result<f64> {
    let (mut sum, mut count) = (0.0, 0_u32);
    let mut why = Undefined::NoLabelledRows;
    for (truth, column) in scores.labels().columns().into_iter().zip(scores.scores().columns()) {
        let (rows, labels) = crate::probe::labelled(truth);
        let column: Vec<f64> = rows.iter().map(|&row| column[row]).collect();
        match Error::or_reason(auroc(&labels, &column, None))? {
            Ok(value) => (sum, count) = (sum + value, count + 1),
            Err(reason) => why = reason,
        }
    }
    if count == 0 {
        return Err(Error::undefined("the mean AUROC over tasks", why));
    }
    Ok(sum / f64::from(count))
}
