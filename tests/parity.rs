//! A GPU backend computes what the CPU computes: features, loss, gradients and one whole step of momentum contrast.
//!
//! Needs the feature `wgpu` and an adapter; a software one (lavapipe of Mesa) will do. Without an adapter the tests are
//! skipped and say so, unless `MOCO_CXR_REQUIRE_GPU` is set.
#![cfg(feature = "wgpu")]
#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs)]

mod support;

use moco_cxr::{Backend, ParityReport};
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

/// Through the binary, which runs it in a process of its own. Bounds are made by the comparison itself, see
/// `src/parity/mod.rs`; the status says whether they hold.
#[test]
fn one_step_through_wgsl_equals_the_cpus() {
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

#[test]
fn a_software_adapter_is_used_only_on_request() {
    if !adapter_is_there() || !Backend::Wgpu.adapters().unwrap()[0].software {
        return;
    }
    let ran = run(["bench", "step", "--device", "wgpu", "--image-size", "32", "--batch-size", "2"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("--allow-software"), "{}", ran.stderr);
}
