//! A GPU backend computes what the CPU computes: features, loss, gradients and whole steps of momentum contrast.
//!
//! Needs the feature `wgpu` and an adapter; a software one (lavapipe of Mesa) will do. Without an adapter the tests are
//! skipped and say so, unless `MOCO_CXR_REQUIRE_GPU` is set.
#![cfg(feature = "wgpu")]
#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs)]

mod support;

use moco_cxr::{
    DeviceChoice,
    burn::{tensor::DType, tensor::Device, tensor::Tensor, tensor::TensorData},
    check::ParityReport,
    device::Backend,
    moco_core::{Negatives, PlaneBatch, PlaneView, info_nce},
};
use ndarray::Array2;
use support::{run, succeed};

fn adapter_is_there() -> bool {
    match Backend::Wgpu.adapters() {
        Ok(adapters) => {
            eprintln!("on {} ({})", adapters[0].name, adapters[0].compiler);
            true
        }
        Err(reason) => {
            assert!(std::env::var_os("MOCO_CXR_REQUIRE_GPU").is_none(), "no adapter: {reason}");
            eprintln!("skipped: {reason}");
            false
        }
    }
}

/// Through the binary, which runs it in a process of its own. The comparison derives its own bounds, see
/// `src/check/parity/mod.rs`; the status says whether they hold.
#[test]
fn steps_through_wgsl_equal_the_cpus() {
    if !adapter_is_there() {
        return;
    }
    let ran = succeed(["parity", "--self-test", "--device", "wgpu", "--json"]);
    eprintln!("{}", ran.stdout);
    let reports: Vec<ParityReport> = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(reports.len(), 1);
    assert_eq!((reports[0].device.as_str(), reports[0].compiler.as_str()), ("wgpu:0", "WGSL"));
    assert!(reports[0].passed());
    assert!(reports[0].gradients.mean > 0.0, "two devices that agree to the last bit of every gradient are one device");
}

/// Burn's fusion of operations (0.22.1) overwrites the positive's logit with the largest one as soon as its mean is asked
/// for, too: a loss of 1.9 instead of 8.7, and a gradient to match. Nothing shows while the positive is the largest.
#[test]
fn a_positive_that_loses_costs_what_it_costs_on_the_cpu() {
    if !adapter_is_there() {
        return;
    }
    let on = |device: &Device| {
        let rows = |n: usize, seed: usize| -> Tensor<2> {
            let values = (0..n * 16).map(|i| ((i * 7919 + seed * 3181) % 1009) as f32 / 1009.0 - 0.5);
            let rows: Tensor<2> = Tensor::from_data(TensorData::new(values.collect::<Vec<f32>>(), [n, 16]), device);
            let length = rows.clone().square().sum_dim(1).sqrt();
            rows / length
        };
        let q = rows(4, 0).autodiff().require_grad();
        let contrast =
            info_nce(q.clone(), rows(4, 50), Negatives { rows: rows(64, 100), excluded: None, batch: None }, 0.2);
        let gradient = q.grad(&contrast.loss.backward()).unwrap();
        [contrast.measures, gradient.reshape([-1])].map(|t| t.into_data().try_to_vec::<f32>().unwrap())
    };
    let (there, here) = (on(&DeviceChoice::On(Backend::Wgpu, 0).select().unwrap()), on(&Device::flex()));
    assert!(here[0][0] > 8.0 && here[0][2] == 0.0, "no positive is among the best five: {:?}", here[0]);
    // Logits up to 5 in f32, of which exponentials are taken: a few times 5 units in the last of 24 bits.
    for (there, here) in there.iter().zip(&here) {
        assert!(there.iter().zip(here).all(|(a, b)| (a - b).abs() < 5e-6), "{there:?} {here:?}");
    }
}

/// Places are whole numbers, negative ones too: not a pixel may differ. Grey levels are divided by 255, which a device may
/// round by a unit in the last of 24 bits.
#[test]
fn views_sampled_through_wgsl_are_the_cpus() {
    if !adapter_is_there() {
        return;
    }
    let view = |plane, start, across, down| PlaneView { plane, start, across, down };
    let batch = PlaneBatch {
        side: 33,
        planes: [(40, 37), (33, 48)]
            .map(|shape| Array2::from_shape_fn(shape, |(y, x)| (y * 41 + x * 7 + 1) as u8))
            .to_vec(),
        query: vec![
            view(0, [-400_000, 100_000], [64_540, 11_380], [-11_380, 64_540]),
            view(1, [3_100_000, -77_777], [-64_540, 11_380], [11_380, 64_540]),
        ],
        key: vec![view(1, [32_768, 32_768], [65_536, 0], [0, 65_536]), view(1, [-1, 65_535], [0, 65_536], [65_536, 0])],
        patients: vec![0, 1],
    };
    let gpu = DeviceChoice::On(Backend::Wgpu, 0).select().unwrap();
    let [there, here] = [&gpu, &Device::flex()].map(|device| batch.to_device(2, device).unwrap());
    for (there, here) in [(there.query, here.query), (there.key, here.key)] {
        let levels = |views: Tensor<4>| (views * 255.0).into_data().convert::<f32>().try_to_vec::<f32>().unwrap();
        let (there, here) = (levels(there), levels(here));
        assert!(here.contains(&0.0) && here.iter().any(|grey| *grey > 200.0));
        assert!(
            there.iter().zip(&here).all(|(a, b)| (a - b).abs() <= 255.0 * 2.0 * f32::EPSILON),
            "{there:?} {here:?}"
        );
    }
}

#[test]
fn a_precision_that_the_device_does_not_offer_is_refused() {
    if !adapter_is_there() || DeviceChoice::On(Backend::Wgpu, 0).select().unwrap().supports_dtype(DType::BF16) {
        return;
    }
    let options =
        ["--device", "wgpu", "--allow-software", "--no-selftest", "--precision", "bf16", "--image-size", "32"];
    let ran = run(["bench", "step"].iter().chain(&options));
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("found bf16, which this device does not offer, expected f32"), "{}", ran.stderr);
}

#[test]
fn a_software_adapter_is_used_only_on_request() {
    if !adapter_is_there() || !Backend::Wgpu.adapters().unwrap()[0].software {
        return;
    }
    let ran = run(["bench", "step", "--device", "wgpu", "--image-size", "32", "--batch-size", "2"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("--allow-software"), "{}", ran.stderr);
}
