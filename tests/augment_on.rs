//! Views sampled on the device are those that the host makes, and a run with them is the same run.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use moco_cxr::{
    LoaderSource,
    burn::{tensor::Device, tensor::Tensor},
    cxr_data::{BatchLoader, BatchOptions, Dataset, Part, ViewConfig, load},
    moco_core::{BatchSource, Views},
    pretrain::PlaneSource,
};
use serde_json::Value;
use support::{metrics, run, scratch, succeed, synth, tiny_config};

/// The paper's views at 40 px of 48 px images, resized like the 320 px of larger ones: first and second epoch, from the
/// second batch on. Whole numbers on both sides, so no pixel may differ, where one grey level would do.
#[test]
fn the_papers_views_are_the_hosts_to_the_last_pixel() {
    let folder = scratch("augment-on-views");
    let (set, _) = synth(&folder, "set", 6, [12, 0, 0]);
    let manifest = load(&set, Dataset::Auto, Part::Train).unwrap();
    let options = BatchOptions { batch_size: 5, workers: 2, seed: 3, ..BatchOptions::default() };
    let loader = BatchLoader::new(&manifest, ViewConfig::moco_cxr(40), options).unwrap();
    let all = |source: &mut dyn BatchSource, epoch| -> Vec<Views> {
        source.epoch(epoch, 1).map(|batch| batch.unwrap().to_device(5, &Device::flex()).unwrap()).collect()
    };
    for epoch in [0, 1] {
        let host = all(&mut LoaderSource(loader.clone()), epoch);
        let device = all(&mut PlaneSource(loader.clone()), epoch);
        assert!(host.len() > 1 && host.len() == device.len());
        for (host, device) in host.into_iter().zip(device) {
            assert_eq!(host.patients, device.patients);
            let bytes = |views: Tensor<4>| views.into_data().try_to_vec::<f32>().unwrap();
            let (query, key) = (bytes(host.query), bytes(host.key));
            assert!(query.contains(&0.0) && query != key, "rotation leaves black corners, two views differ");
            assert!(query == bytes(device.query) && key == bytes(device.key), "epoch {epoch}");
        }
    }
    let small = BatchLoader::new(&manifest, ViewConfig::strong(40), options).unwrap();
    let fault = PlaneSource(small).epoch(0, 0).next().unwrap().unwrap_err().to_string();
    assert!(fault.contains("crop is resized"), "{fault}");
}

/// Two epochs on the host; the same on the device; and on the device with a stop after the first epoch, which then goes on
/// on the host. All end with the same weights, byte for byte, after the same losses.
#[test]
fn a_run_is_the_same_wherever_its_views_are_sampled() {
    let folder = scratch("augment-on");
    let (set, _) = synth(&folder, "set", 4, [20, 0, 0]);
    let config = tiny_config(&folder);
    let pretrain = |out: &str, epochs: &str, place: &str, resume: bool| {
        let out = folder.join(out);
        let paper = ["--preset", "moco-cxr", "--init", "random", "--device", "cpu", "--quiet"];
        let mut command = arguments!["pretrain", "--data", set, "--config", config, "--out", out].to_vec();
        command.extend(arguments!["--epochs", epochs, "--augment-on", place]);
        command.extend(paper.map(Into::into));
        command.extend(resume.then(|| "--resume".into()));
        succeed(command);
        out
    };
    let host = pretrain("host", "2", "host", false);
    let device = pretrain("device", "2", "device", false);
    let both = pretrain("both", "1", "device", false);
    assert!(std::fs::read_to_string(both.join("config.toml")).unwrap().contains("augment_on = \"device\""));
    pretrain("both", "2", "host", true);
    let losses = |run| -> Vec<Value> { metrics(run).into_iter().map(|mut line| line["loss"].take()).collect() };
    let weights = |run: &std::path::Path| std::fs::read(run.join("export/model.safetensors")).unwrap();
    assert!(losses(&host).len() > 6);
    for other in [&device, &both] {
        assert_eq!(losses(&host), losses(other));
        assert!(weights(&host) == weights(other), "weights of {}", other.display());
    }
}

#[test]
fn views_that_are_more_than_moved_and_turned_are_refused_by_name() {
    let refused = |arguments: &[&str]| {
        let fixed = ["pretrain", "--data", ".", "--out", "never-made", "--device", "cpu", "--augment-on"];
        let ran = run(fixed.iter().chain(arguments));
        assert_eq!(ran.code, Some(2), "{}", ran.stderr);
        ran.stderr
    };
    let crop = refused(&["device", "--preset", "small"]);
    assert!(crop.contains("views.crop: found resized") && crop.contains("augment_on"), "{crop}");
    let blur = refused(&["device", "--preset", "moco-cxr", "--set", "views.blur={probability=0.5,strength=1.0}"]);
    assert!(
        blur.contains("views.blur.probability: found 0.5, expected 0 where views are sampled on the device"),
        "{blur}"
    );
    let moon = refused(&["moon"]);
    assert!(moon.contains("expected host or device"), "{moon}");
}
