//! Devices as a person meets them: what there is, what is missing and how to get it, and what a step costs.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::{io::Write, process::Stdio};

use serde_json::Value;
use support::{run, succeed, tool};

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
    let ran = succeed(["bench", "step", "--device", "cpu", "--by-operation", "--json"].into_iter().chain(small));
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    let number = |value: &Value| value.as_f64().unwrap();
    let step = number(&report["step_ms"]);
    assert!((number(&report["images_per_s"]) - 4e3 / step).abs() < 1e-6 * 4e3 / step);
    let phases = report["phases_ms"].as_object().unwrap();
    assert_eq!(phases.len(), 5);
    assert!(phases.values().all(|p| number(p) >= 0.0) && number(&phases["backward"]) > 0.0, "{report}");
    assert_eq!((&report["device"], &report["precision"]), (&"cpu".into(), &"f32".into()));
    let operations = &report["measured"]["operations"];
    let parts: Vec<&str> =
        operations["parts"].as_array().unwrap().iter().map(|part| part["part"].as_str().unwrap()).collect();
    let every = ["conv_forward", "conv_input_grad", "conv_weight_grad", "norm", "pooling"];
    let every = every.into_iter().chain(["gradient_norm", "optimizer", "average", "loss"]);
    assert!(every.clone().all(|part| parts.contains(&part)), "{parts:?}");
    let calls = |part: &str| {
        let known = operations["parts"].as_array().unwrap().iter().find(|known| known["part"] == part);
        known.unwrap()["calls"].as_u64().unwrap()
    };
    // ResNet18 has 20 convolutions, and the stem one more for the border of the normalised image (`stem.rs`); the inputs
    // of these two have no gradient.
    assert_eq!(["conv_forward", "conv_input_grad", "conv_weight_grad"].map(calls), [42, 19, 21]);
    assert_eq!(["gradient_norm", "optimizer", "average"].map(calls), [1, 1, 1]);
    assert!(number(&operations["rest_ms"]) >= 0.0 && number(&operations["rest_ms"]) < step, "{operations}");
}

#[test]
fn a_benchmark_by_turns_answers_each_line() {
    let small = ["--image-size", "32", "--batch-size", "4", "--moco-k", "16", "--warmup", "1", "--turns"];
    let arguments: Vec<&str> = ["bench", "step", "--device", "cpu"].into_iter().chain(small).collect();
    let ran = |input: &str| {
        let mut command = tool(arguments.iter().copied());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, stdout, stderr) = ran("1\n2\n");
    let lines: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let steps = lines.iter().map(|line| line["step_ms"].as_array().map_or(0, Vec::len));
    assert_eq!((code, steps.collect::<Vec<_>>()), (Some(0), vec![0, 1, 2]), "{stderr}");
    assert_eq!(cfg!(target_os = "linux"), lines[2]["busy_cores"].is_number());
    let (code, _, stderr) = ran("many\n");
    assert_eq!(code, Some(1));
    assert!(stderr.contains("many") && stderr.contains("number of steps"), "{stderr}");
}
