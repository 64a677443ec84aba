//! Devices as a person meets them: what there is, what is missing and how to get it, and what a step costs.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use serde_json::Value;
use support::{run, succeed};

const GPUS: [(&str, bool); 5] = [
    ("cuda", cfg!(feature = "cuda")),
    ("rocm", cfg!(feature = "rocm")),
    ("metal", cfg!(feature = "metal")),
    ("vulkan", cfg!(feature = "vulkan")),
    ("wgpu", cfg!(feature = "wgpu")),
];

#[test]
fn every_backend_is_there_or_says_why_not() {
    let listed: Vec<Value> = serde_json::from_str(&succeed(["devices", "--json"]).stdout).unwrap();
    assert_eq!(listed.len(), GPUS.len() + 1);
    let of = |name: &str| listed.iter().find(|report| report["backend"] == name).unwrap();
    assert_eq!(of("cpu")["adapters"].as_array().unwrap().len(), 1);
    for (name, compiled) in GPUS {
        let (report, there) = (of(name), !of(name)["adapters"].as_array().unwrap().is_empty());
        let reason = report["unavailable"].as_str().unwrap_or_default();
        if compiled {
            assert!(there || reason.contains("found"), "{report}");
        } else {
            assert!(!there && reason.contains(&format!("--features {name}")), "{report}");
        }
    }
    let text = succeed(["devices"]).stdout;
    assert!(text.contains("cpu") && text.contains("auto takes"), "{text}");
}

#[test]
fn a_device_that_is_not_there_is_an_error_with_the_remedy() {
    for (name, compiled) in GPUS {
        let ran = run(["bench", "step", "--device", &format!("{name}:7"), "--image-size", "32", "--batch-size", "2"]);
        assert_eq!(ran.code, Some(1), "{}", ran.stderr);
        let expected = if compiled { "found" } else { "--features" };
        assert!(ran.stderr.contains(name) && ran.stderr.contains(expected), "{}", ran.stderr);
        assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
    }
    let ran = run(["bench", "step", "--device", "tpu"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("expected auto, cpu, cuda"), "{}", ran.stderr);
}

#[test]
fn the_step_benchmark_accounts_for_its_time() {
    let small = ["--image-size", "32", "--batch-size", "4", "--moco-k", "16", "--warmup", "1", "--steps", "2"];
    let ran = succeed(["bench", "step", "--device", "cpu"].into_iter().chain(small));
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    let number = |value: &Value| value.as_f64().unwrap();
    let step = number(&report["step_ms"]);
    assert!((number(&report["images_per_s"]) - 4e3 / step).abs() < 1e-6 * 4e3 / step);
    let phases = report["phases_ms"].as_object().unwrap();
    assert_eq!(phases.len(), 5);
    assert!(phases.values().all(|p| number(p) >= 0.0) && number(&phases["backward"]) > 0.0, "{report}");
    assert_eq!((&report["device"], &report["precision"]), (&"cpu".into(), &"f32".into()));
}
