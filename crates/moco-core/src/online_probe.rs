//! The online probe: every few epochs, how well the nearest neighbours of an image predict its label.

use backbones::{Backbone, Mode};
use burn::tensor::{Device, Tensor, TensorData};
use ndarray::{Array2, Array3, Axis};
use serde::{Deserialize, Serialize};

use crate::{Encoder, Error, Result};

/// Images encoded at once.
const BATCH: usize = 32;
/// Temperature of the votes (Wu et al., arXiv:1805.01978).
const TEMPERATURE: f64 = 0.07;

/// A small labelled set, scored every few epochs. It does not influence the training.
#[derive(Debug, Clone)]
pub struct OnlineProbe {
    images: Array3<u8>,
    labels: Vec<bool>,
    patients: Vec<u32>,
    /// Number of neighbours that vote.
    pub neighbours: usize,
    /// Epochs from one probe to the next, at least 1.
    pub every_epochs: u64,
}

/// Area under the ROC curve of the neighbours' votes, with its interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ProbeResult {
    /// From 0 to 1; 0.5 is chance.
    pub auc: f64,
    /// Lower end of the 95 % interval (Hanley and McNeil, Radiology 1982).
    pub lower: f64,
    /// Upper end.
    pub upper: f64,
}

/// The best look so far. Part of every checkpoint: a field that is added has a serde default that means what this crate
/// did before.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Best {
    /// Its area under the curve.
    pub auc: f64,
    /// Steps done at that time; the checkpoint of that step is kept.
    pub step: u64,
}

impl OnlineProbe {
    /// Twenty neighbours, every epoch.
    ///
    /// # Shapes
    /// - images `[N, S, S]`, 0 to 255, without augmentation; labels and patients `[N]`
    ///
    /// # Errors
    /// When their lengths differ, or one of the two classes has fewer than two images.
    pub fn new(images: Array3<u8>, labels: Vec<bool>, patients: Vec<u32>) -> Result<Self> {
        let n = images.dim().0;
        let positive = labels.iter().filter(|&&l| l).count();
        if labels.len() != n || patients.len() != n || positive < 2 || n - positive.min(n) < 2 {
            let (l, p) = (labels.len(), patients.len());
            let found = format!("online probe: {n} images, {l} labels ({positive} positive), {p} patients");
            return Err(Error::Batch {
                found,
                expected: "as many of each, and at least 2 images of either class".into(),
            });
        }
        Ok(Self { images, labels, patients, neighbours: 20, every_epochs: 1 })
    }

    /// Whether the probe runs at the end of epoch `epoch` (from 0).
    pub(crate) fn is_due(&self, epoch: u64) -> bool {
        (epoch + 1).is_multiple_of(self.every_epochs.max(1))
    }

    /// Probes the features of the query encoder's backbone in eval mode; only images of other patients vote on an
    /// image.
    ///
    /// # Errors
    /// When the device fails.
    pub fn look<B: Backbone>(&self, encoder: &Encoder<B>, device: &Device) -> Result<ProbeResult> {
        let mut backbone = encoder.backbone.valid();
        let mut rows = Vec::new();
        let dim = backbone.feature_dim();
        for part in self.images.axis_chunks_iter(Axis(0), BATCH) {
            let (n, h, w) = part.dim();
            let values: Vec<f32> = part.iter().map(|&v| f32::from(v)).collect();
            let images = Tensor::<4>::from_data(TensorData::new(values, [n, 1, h, w]), device) / 255.0;
            let data = backbone.features(images, Mode::Eval).try_into_data().map_err(|e| e.to_string());
            let values = data.and_then(|d| d.convert::<f64>().try_to_vec::<f64>().map_err(|e| e.to_string()));
            rows.extend(values.map_err(|reason| Error::Device { what: "reading features", reason })?);
        }
        let failed = |reason: String| Error::Device { what: "reading features", reason };
        let features = Array2::from_shape_vec((self.labels.len(), dim), rows).map_err(|e| failed(e.to_string()))?;
        Ok(self.judge(features))
    }

    fn judge(&self, mut features: Array2<f64>) -> ProbeResult {
        for mut row in features.rows_mut() {
            let length = row.dot(&row).sqrt().max(1e-12);
            row /= length;
        }
        let similarity = features.dot(&features.t()); // [N, N]
        let votes: Vec<f64> =
            (0..self.labels.len()).map(|i| self.vote(i, similarity.row(i).as_slice().unwrap_or(&[]))).collect();
        let of = |class: bool| {
            let pairs = votes.iter().zip(&self.labels);
            pairs.filter(move |&(_, &l)| l == class).map(|(&v, _)| v).collect::<Vec<f64>>()
        };
        hanley_mcneil(&of(true), &of(false))
    }

    /// Fraction of positive votes among the nearest images of other patients, weighted by `exp(similarity / T)`.
    fn vote(&self, image: usize, similarity: &[f64]) -> f64 {
        let others = similarity.iter().zip(&self.labels).zip(&self.patients);
        let mut others: Vec<(f64, bool)> =
            others.filter(|&(_, &p)| p != self.patients[image]).map(|((&s, &l), _)| (s, l)).collect();
        others.sort_by(|a, b| b.0.total_cmp(&a.0)); // stable, so ties are in the order of the images
        let weight = |s: f64| ((s - 1.0) / TEMPERATURE).exp();
        let (mut positive, mut total) = (0.0, 0.0);
        for &(s, label) in others.iter().take(self.neighbours.max(1)) {
            total += weight(s);
            positive += if label { weight(s) } else { 0.0 };
        }
        if total > 0.0 { positive / total } else { 0.5 }
    }
}

/// AUC, with ties counted as half, with the interval of Hanley and McNeil.
fn hanley_mcneil(positive: &[f64], negative: &[f64]) -> ProbeResult {
    let pairs = positive.iter().flat_map(|p| negative.iter().map(move |n| (p, n)));
    let wins: f64 = pairs
        .map(|(p, n)| {
            if p > n {
                1.0
            } else if p == n {
                0.5
            } else {
                0.0
            }
        })
        .sum();
    let (np, nn) = (positive.len() as f64, negative.len() as f64);
    let auc = wins / (np * nn);
    let (q1, q2) = (auc / (2.0 - auc), 2.0 * auc * auc / (1.0 + auc));
    let variance = (auc * (1.0 - auc) + (np - 1.0) * (q1 - auc * auc) + (nn - 1.0) * (q2 - auc * auc)) / (np * nn);
    let half = 1.959_963_984_540_054 * variance.max(0.0).sqrt();
    ProbeResult { auc, lower: (auc - half).max(0.0), upper: (auc + half).min(1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(labels: &[bool], patients: &[u32]) -> OnlineProbe {
        OnlineProbe::new(Array3::zeros((labels.len(), 2, 2)), labels.to_vec(), patients.to_vec()).expect("valid")
    }

    #[test]
    fn neighbours_tell_two_clusters_apart() {
        let labels: Vec<bool> = (0..20).map(|i| i % 2 == 0).collect();
        let mut probe = probe(&labels, &(0..20).collect::<Vec<_>>());
        probe.neighbours = 3;
        let features = Array2::from_shape_fn((20, 2), |(i, j)| if i % 2 == j { 1.0 } else { 0.01 * i as f64 });
        assert_eq!(probe.judge(features).auc, 1.0);
        let same = probe.judge(Array2::ones((20, 2)));
        assert!(same.auc < 0.6 && same.lower < 0.5, "identical features tell nothing: {same:?}");
    }

    #[test]
    fn images_of_the_same_patient_do_not_vote() {
        // Both images of a pair have the same features and label; features of different pairs differ.
        let labels = [true, true, false, false];
        let features = ndarray::arr2(&[[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]);
        assert_eq!(probe(&labels, &[1, 2, 3, 4]).judge(features.clone()).auc, 1.0);
        assert_eq!(probe(&labels, &[1, 1, 2, 2]).judge(features).auc, 0.0);
    }

    #[test]
    fn the_interval_is_hanley_and_mcneils() {
        // Their formula by hand for AUC 0.75 with 4 and 4: Q1 = .6, Q2 = .642857; SE = sqrt((.1875 + 3·.0375 + 3·.080357)/16).
        let r = hanley_mcneil(&[1.0, 2.0, 3.0, 4.0], &[0.0, 0.5, 2.5, 3.5]);
        assert_eq!(r.auc, 0.6875);
        let r = hanley_mcneil(&[1.0, 3.0, 3.0, 4.0], &[0.0, 0.5, 2.5, 3.5]);
        assert_eq!(r.auc, 0.75);
        let se = ((0.1875 + 3.0 * 0.0375 + 3.0 * (2.0 * 0.5625 / 1.75 - 0.5625)) / 16.0_f64).sqrt();
        assert!((r.auc - r.lower - 1.959_963_984_540_054 * se).abs() < 1e-12);
    }

    #[test]
    fn one_class_is_refused() {
        let error = OnlineProbe::new(Array3::zeros((3, 2, 2)), vec![true; 3], vec![0; 3]).expect_err("one class");
        assert!(error.to_string().contains("3 positive"), "{error}");
    }
}
