//! Compares a device with the CPU: features, and everything that a few steps of momentum contrast change.
//!
//! Drivers and shader compilers have bugs, and a wrong gradient trains without an error. The same network and batch go
//! through both devices. The allowed difference is not a fixed number. It is measured on the CPU, by perturbing every
//! weight by the rounding of the device's arithmetic: ten times the change in the results is allowed (three times in
//! bf16), because activations are rounded too, in every layer. The perturbation is repeated with other signs: in a deep
//! network with a small batch, a single ReLU that switches changes gradients by a tenth, and the direction of rounding
//! decides whether it does.

mod compute;
mod tiny;

use backbones::{Backbone, Precision};
use burn::tensor::Device;
use moco_core::HostBatch;
use serde::{Deserialize, Deserializer, Serialize};

use crate::{
    check::step::synthetic_batch,
    device::{Backend, DeviceChoice, guard},
    error::Result,
};
use compute::{Computed, compute, shaken};

/// Allowed difference, as a multiple of the change that perturbed weights cause.
const ALLOWED: f64 = 10.0;
/// The same where the CPU computes in bf16, too: it rounds activations in the same places, and a device differs where a sum in
/// another order rounds to the next number.
const ALLOWED_IN_BF16: f64 = 3.0;

/// Number of perturbations.
const SHAKES: u32 = 6;

/// Difference of one result between two devices, relative to the largest absolute value of the reference.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// Largest difference; NaN if a result is.
    #[serde(deserialize_with = "number_or_nan")]
    pub max: f64,
    /// Mean difference.
    #[serde(deserialize_with = "number_or_nan")]
    pub mean: f64,
    /// Largest difference allowed.
    #[serde(deserialize_with = "number_or_nan")]
    pub bound: f64,
}

impl Difference {
    /// Whether the difference is within its bound; NaN never is, nor anything within a bound that is not finite.
    pub fn passed(&self) -> bool {
        self.max <= self.bound && self.bound.is_finite()
    }
}

/// JSON writes NaN and infinity as null.
fn number_or_nan<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<f64, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or(f64::NAN))
}

/// Comparison of a device with the CPU.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ParityReport {
    /// As `--device` takes it.
    pub device: String,
    /// Name of the adapter.
    pub adapter: String,
    /// Shader compiler in use.
    pub compiler: String,
    /// Of the network's activations, on both devices.
    #[serde(default)] // reports of 0.1.0
    pub precision: Precision,
    /// Relative rounding of its arithmetic, from which the bounds are derived.
    pub rounding: f64,
    /// Features in eval mode.
    pub features: Difference,
    /// Losses of three steps.
    pub loss: Difference,
    /// Mean similarities of positives and of negatives in these steps.
    pub similarities: Difference,
    /// Gradients of all parameters of the query encoder in the first step.
    pub gradients: Difference,
    /// Norms of the gradients of all steps, computed on the device.
    pub gradient_norm: Difference,
    /// Keys that the steps wrote into the queue.
    pub keys: Difference,
    /// Changes of the query encoder in two steps of Adam.
    pub weights: Difference,
    /// Changes of the key encoder, a moving average, in these steps.
    pub average: Difference,
    /// Changes of the running statistics of both encoders.
    pub statistics: Difference,
}

impl ParityReport {
    /// Whether every difference is within its bound, see [`Difference::passed`].
    pub fn passed(&self) -> bool {
        self.parts().iter().all(|(_, difference)| difference.passed())
    }

    /// All differences with their names.
    pub fn parts(&self) -> [(&'static str, Difference); 9] {
        [
            ("features", self.features),
            ("loss", self.loss),
            ("similarities", self.similarities),
            ("gradients", self.gradients),
            ("gradient norm", self.gradient_norm),
            ("keys", self.keys),
            ("weights", self.weights),
            ("average", self.average),
            ("statistics", self.statistics),
        ]
    }
}

/// Runs `network` with `batch` on the CPU and on a device, and compares the results. `precision` is that of the network's
/// activations, which `network` must have been set to; the bounds depend on it. In bf16 the bounds of a deep network can be
/// above 1, and then say no more than that its results are finite; those of [`self_test`] are not.
///
/// # Errors
/// A device that is not available, does not offer the precision, or fails, or a build without the feature `flex`.
pub fn parity<B: Backbone>(
    network: &B,
    batch: &HostBatch,
    choice: DeviceChoice,
    precision: Precision,
) -> Result<ParityReport> {
    let adapter = choice.adapter()?;
    precision.check(&adapter.device)?;
    let cpu = DeviceChoice::CPU.select()?;
    let rounding = rounding(adapter.backend, precision);
    let allowed = if precision == Precision::Bf16 { ALLOWED_IN_BF16 } else { ALLOWED };
    let on = |device: &Device, network: &B| compute(network.clone().to_device(device), batch, device);
    let reference = on(&cpu, network)?;
    let shaken = (0..SHAKES).map(|seed| on(&cpu, &shaken(network, rounding, seed)?)).collect::<Result<Vec<_>>>()?;
    let found = guard(choice, || on(&adapter.device, network))?;
    let difference = |part: fn(&Computed) -> &[f32]| {
        let (max, mean) = apart(part(&reference), part(&found));
        let bound = allowed * farthest(part(&reference), shaken.iter().map(part), rounding);
        Difference { max, mean, bound }
    };
    Ok(ParityReport {
        device: DeviceChoice::On(adapter.backend, adapter.index).to_string(),
        adapter: adapter.name,
        compiler: adapter.compiler,
        precision,
        rounding,
        features: difference(|c| &c.features),
        loss: difference(|c| &c.loss),
        similarities: difference(|c| &c.similarities),
        gradients: difference(|c| &c.gradients),
        gradient_norm: difference(|c| &c.gradient_norm),
        keys: difference(|c| &c.keys),
        weights: difference(|c| &c.weights),
        average: difference(|c| &c.average),
        statistics: difference(|c| &c.statistics),
    })
}

/// As [`parity`], with a network of two convolutions with normalisation and pooling. It takes seconds, and is done (in f32)
/// before anything is trained on a device.
///
/// # Errors
/// As [`parity`].
pub fn self_test(choice: DeviceChoice, precision: Precision) -> Result<ParityReport> {
    let cpu = DeviceChoice::CPU.select()?;
    parity(&tiny::Tiny::new(precision, &cpu), &synthetic_batch(4, 48), choice, precision)
}

/// Relative rounding of a backend. Burn multiplies f32 on NVIDIA's tensor cores as TF32, with 10 bits of mantissa. Elsewhere
/// it is f32, whose sums of thousands of products in another order differ by some units in the last of 24 bits. Rounding to
/// the 7 bits of mantissa of bf16 changes a number by 2^-8 at most; the CPU rounds in the same places, but sums in another order.
fn rounding(backend: Backend, precision: Precision) -> f64 {
    match (precision, backend) {
        (Precision::Bf16, _) => 2f64.powi(-8),
        (Precision::F32, Backend::Cuda) => 2f64.powi(-10),
        (Precision::F32, _) => 2f64.powi(-20),
    }
}

/// The largest change from the reference in the results with perturbed weights, at least the rounding.
fn farthest<'a>(reference: &[f32], shaken: impl Iterator<Item = &'a [f32]>, rounding: f64) -> f64 {
    shaken.map(|shaken| apart(reference, shaken).0).fold(rounding, f64::max)
}

/// Largest and mean difference, relative to the largest absolute value of the reference.
fn apart(reference: &[f32], found: &[f32]) -> (f64, f64) {
    if reference.len() != found.len() || reference.is_empty() {
        return (f64::INFINITY, f64::INFINITY);
    }
    let scale = reference.iter().fold(0.0, |m: f64, v| m.max(f64::from(v.abs()))).max(f64::MIN_POSITIVE);
    let differences = reference.iter().zip(found).map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs() / scale);
    // `max` of floats drops NaN; a sum keeps it.
    let (max, sum) =
        differences.fold((0.0, 0.0), |(m, s): (f64, f64), d| (if d > m || d.is_nan() { d } else { m }, s + d));
    if sum.is_nan() { (f64::NAN, f64::NAN) } else { (max, sum / reference.len() as f64) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Weights off by a thousandth stand for a driver that is slightly wrong.
    #[cfg(feature = "flex")]
    #[test]
    fn a_thousandth_is_found_where_the_last_bits_are_not() {
        let cpu = Device::flex();
        let (network, batch) = (tiny::Tiny::new(Precision::F32, &cpu), synthetic_batch(4, 48));
        let on =
            |rounding, seed| compute(shaken(&network, rounding, seed).expect("a copy"), &batch, &cpu).expect("the CPU");
        let reference = compute(network.clone(), &batch, &cpu).expect("the CPU");
        let rounded: Vec<_> = (0..SHAKES).map(|seed| on(2f64.powi(-20), seed)).collect();
        let (near, far) = (on(2f64.powi(-22), 99), on(1e-3, 99));
        let parts: [fn(&Computed) -> &[f32]; 8] = [
            |c| &c.features,
            |c| &c.similarities,
            |c| &c.gradients,
            |c| &c.gradient_norm,
            |c| &c.keys,
            |c| &c.weights,
            |c| &c.average,
            |c| &c.statistics,
        ];
        for part in parts {
            let bound = ALLOWED * farthest(part(&reference), rounded.iter().map(part), 2f64.powi(-20));
            assert!(apart(part(&reference), part(&near)).0 <= bound);
            assert!(apart(part(&reference), part(&far)).0 > bound);
        }
    }

    /// On the CPU alone, which bf16 is emulated on: a device that gave zeros or NaN would be found out.
    #[cfg(feature = "flex")]
    #[test]
    fn the_bounds_of_the_self_test_in_bf16_say_something() {
        let report = self_test(DeviceChoice::CPU, Precision::Bf16).expect("the CPU");
        for (name, difference) in report.parts() {
            assert!(difference.max == 0.0 && difference.bound < 1.0, "{name}: {difference:?}");
        }
        assert_eq!((report.precision, report.rounding), (Precision::Bf16, 2f64.powi(-8)));
        let f32 = self_test(DeviceChoice::CPU, Precision::F32).expect("the CPU");
        assert!(f32.features.bound < report.features.bound / 100.0, "{f32:?}");
    }

    #[test]
    fn differences_are_relative_and_nan_never_passes() {
        assert_eq!(apart(&[1.0, -4.0], &[1.0, -3.0]), (0.25, 0.125));
        assert!(apart(&[1.0, 2.0], &[f32::NAN, 2.0]).0.is_nan());
        assert!(apart(&[1.0], &[1.0, 2.0]).0.is_infinite());
        let same = Difference { max: 0.0, mean: 0.0, bound: 1e-6 };
        let report = |loss| ParityReport {
            device: "cpu".into(),
            adapter: String::new(),
            compiler: String::new(),
            precision: Precision::F32,
            rounding: 0.0,
            features: same,
            loss,
            similarities: same,
            gradients: same,
            gradient_norm: same,
            keys: same,
            weights: same,
            average: same,
            statistics: same,
        };
        assert!(report(same).passed());
        let nan = report(Difference { max: f64::NAN, ..same });
        assert!(!nan.passed());
        let read: ParityReport = serde_json::from_str(&serde_json::to_string(&nan).expect("JSON")).expect("a report");
        assert!(read.loss.max.is_nan() && !read.passed());
        assert!(!report(Difference { max: 1.0, ..same }).passed());
    }
}
