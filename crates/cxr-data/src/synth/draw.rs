//! Random streams keyed by (seed, patient, study, topic), so that a set is the same on any number of threads, and an
//! additional number drawn for one topic does not change another.
//!
//! Sampling is defined here, on the bits of ChaCha8, so that releases of a random-number crate cannot change a set.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What a stream is used for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Topic {
    /// Sex, age, number of studies (study 0).
    Patient = 1,
    /// Findings and devices of a study, independent of the patient.
    Findings = 2,
    /// Labels of a train row.
    Report = 3,
    /// The patient's body (study 0).
    Anatomy = 4,
    /// Position, inspiration and phase of a study.
    Pose = 5,
    /// Side, place and size of the findings.
    Lesions = 6,
    /// Tubes, leads and markers.
    Devices = 7,
    /// Exposure, window and noise.
    Film = 8,
}

/// A random stream, with the distributions used here.
#[derive(Debug)]
pub(super) struct Draw(ChaCha8Rng);

impl Draw {
    pub(super) fn new(seed: u64, patient: u32, study: u32, topic: Topic) -> Self {
        let mut key = [0u8; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..12].copy_from_slice(&patient.to_le_bytes());
        key[12..16].copy_from_slice(&study.to_le_bytes());
        key[16] = topic as u8;
        key[24..].copy_from_slice(b"cxrsynth");
        Self(ChaCha8Rng::from_seed(key))
    }

    /// Uniform in [low, high).
    pub(super) fn uniform(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.fraction() as f32
    }

    /// Standard normal (Box-Muller).
    pub(super) fn normal(&mut self) -> f32 {
        let radius = (-2.0 * (1.0 - self.fraction()).ln()).sqrt();
        (radius * (std::f64::consts::TAU * self.fraction()).cos()) as f32
    }

    /// Normal with this mean and deviation, clamped to two deviations.
    pub(super) fn around(&mut self, mean: f32, deviation: f32) -> f32 {
        mean + deviation * self.normal().clamp(-2.0, 2.0)
    }

    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.fraction() < probability
    }

    /// A side of the body: -1 (left of the image, the patient's right) or 1.
    pub(super) fn side(&mut self) -> f32 {
        if self.chance(0.5) { -1.0 } else { 1.0 }
    }

    /// A random index, with these weights.
    pub(super) fn weighted(&mut self, weights: &[f64]) -> usize {
        let mut left = self.fraction() * weights.iter().sum::<f64>();
        for (index, weight) in weights.iter().enumerate() {
            left -= weight;
            if left < 0.0 {
                return index;
            }
        }
        weights.len() - 1
    }

    /// Uniform in [0, 1), of 53 bits.
    fn fraction(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(super) fn bits(&mut self) -> u32 {
        self.0.next_u32()
    }
}
