//! A GPU backend computes what the CPU computes: features, loss, gradients and one whole step of momentum contrast.
//!
//! Needs the feature `wgpu` and an adapter; a software one (lavapipe of Mesa) will do. Without an adapter the tests are
//! skipped and say so, unless `MOCO_CXR_REQUIRE_GPU` is set.
#![cfg(feature = "wgpu")]
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use moco_cxr::{Backend, DeviceChoice, self_test};
use serde_json::Value;
use support::{run, scratch, tool};

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

/// Bounds are made by the comparison itself, see `src/parity/mod.rs`.
#[test]
fn one_step_through_wgsl_equals_the_cpus() {
    if !adapter_is_there() {
        return;
    }
    let report = self_test(DeviceChoice::On(Backend::Wgpu, 0)).unwrap();
    eprintln!("{}", serde_json::to_string_pretty(&report).unwrap());
    assert!(report.passed());
    // The loss of guessing among 65 candidates is 4.2: zeros on both sides would be equal, too.
    assert!(report.gradients.mean > 0.0, "two devices that agree to the last bit of every gradient are one device");
}

#[test]
fn a_software_adapter_is_used_only_on_request_and_only_after_its_self_test() {
    if !adapter_is_there() || !Backend::Wgpu.adapters().unwrap()[0].software {
        return;
    }
    let step = ["bench", "step", "--device", "wgpu", "--image-size", "32", "--batch-size", "2"];
    let ran = run(step);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("--allow-software"), "{}", ran.stderr);

    let cache = scratch("parity-cache");
    let test = || {
        let out = tool(["parity", "--in-process", "--self-test", "--json", "--device", "wgpu"])
            .env("MOCO_CXR_CACHE", &cache)
            .output()
            .unwrap();
        serde_json::from_slice::<Value>(&out.stdout).unwrap()
    };
    assert_eq!(test()["device"], "wgpu:0");
}
