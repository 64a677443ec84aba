//! Where weights come from, as a user of the library sees it.
#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    fs,
    path::{Path, PathBuf},
};

use moco_cxr::{
    backbones::{Arch, Backbone, ExportInfo, Mode, Network, NetworkConfig, Normalization, export},
    burn::{module::Module, tensor::Device, tensor::Tensor, tensor::TensorData},
    load_weights,
};

fn info(config: &NetworkConfig, labels: &[&str]) -> ExportInfo {
    ExportInfo {
        name: "A test".to_owned(),
        arch: config.arch,
        channels: config.channels,
        normalization: config.normalization,
        image_size: 64,
        assumed: Vec::new(),
        resample: "bilinear".to_owned(),
        labels: labels.iter().map(|&l| l.to_owned()).collect(),
        data: "None.".to_owned(),
        data_licence: "none".to_owned(),
        label_policy: None,
        licence: "mit".to_owned(),
        steps: 0,
        metrics: Vec::new(),
    }
}

fn write<M: Module>(folder: &Path, config: &NetworkConfig, module: &M, labels: &[&str]) -> PathBuf {
    let out = folder.join("export");
    export(&out, module, &info(config, labels)).unwrap();
    out
}

fn features(network: &mut Network) -> TensorData {
    network.features(Tensor::ones([1, 1, 32, 32], &Device::flex()) * 0.25, Mode::Eval).into_data()
}

fn load(source: &Path) -> moco_cxr::Result<moco_cxr::LoadedNetwork> {
    load_weights(source.to_str().unwrap(), None, 0, &Device::flex())
}

#[test]
fn a_run_its_export_and_the_file_in_it_are_the_same_weights() {
    let folder = tempfile::tempdir().unwrap();
    let normalization = Normalization { mean: [0.3; 3], std: [0.2; 3] };
    let config = NetworkConfig { normalization, channels: 1, arch: Arch::ResNet18 };
    let mut network = config.init(5, &Device::flex());
    let export = write(folder.path(), &config, &network, &[]);
    fs::write(folder.path().join("run.json"), "{}").unwrap();
    let expected = features(&mut network);
    for source in [folder.path(), &export, &export.join("model.safetensors")] {
        let loaded = load(source).unwrap();
        assert_eq!(features(&mut loaded.network().clone()), expected);
        assert_eq!((loaded.config, loaded.views.size), (config, 64));
        assert!(loaded.notes.is_empty() && loaded.head.is_none() && loaded.labels.is_empty(), "{:?}", loaded.notes);
        assert!(loaded.provenance.contains("resnet18") && loaded.provenance.contains("SHA-256"), "{loaded:?}");
        assert_eq!(loaded.run, Some(folder.path().canonicalize().unwrap()));
    }
}

#[test]
fn a_lone_file_is_recognised_and_what_is_assumed_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let config = NetworkConfig { normalization: Normalization::IMAGENET, ..NetworkConfig::new(Arch::DenseNet121) };
    let classifier = config.init_classifier(14, 5, &Device::flex());
    let export = write(folder.path(), &config, &classifier, &[]);
    let lone = folder.path().join("weights.safetensors");
    fs::copy(export.join("model.safetensors"), &lone).unwrap();
    let loaded = load(&lone).unwrap();
    assert_eq!((loaded.config, loaded.views.size), (NetworkConfig::new(Arch::DenseNet121), 320));
    assert_eq!(loaded.run, None);
    let [assumed, dropped] = &loaded.notes[..] else { panic!("{:?}", loaded.notes) };
    assert!(assumed.contains("MoCo-CXR's") && assumed.contains("320 px") && assumed.contains("0.502"), "{assumed}");
    assert!(dropped.contains("14 classes is not used"), "{dropped}");

    // What another tool wrote beside it is followed.
    fs::write(
        folder.path().join("preprocessor_config.json"),
        r#"{"size": {"shortest_edge": 96}, "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}"#,
    )
    .unwrap();
    let loaded = load(&lone).unwrap();
    assert_eq!((loaded.config, loaded.views.size, loaded.notes.len()), (config, 96, 1));

    let wrong = load_weights(lone.to_str().unwrap(), Some(Arch::ResNet34), 0, &Device::flex()).unwrap_err().to_string();
    assert!(wrong.contains("looks like torchvision densenet121 with 14 classes"), "{wrong}");
}

#[test]
fn an_exported_classifier_keeps_its_head_and_labels() {
    let folder = tempfile::tempdir().unwrap();
    let config = NetworkConfig::new(Arch::ResNet18);
    let mut classifier = config.init_classifier(2, 5, &Device::flex());
    let export = write(folder.path(), &config, &classifier, &["Edema", "Cardiomegaly"]);
    let loaded = load(&export).unwrap();
    assert_eq!(loaded.labels, ["Edema", "Cardiomegaly"]);
    let image = Tensor::ones([1, 1, 32, 32], &Device::flex()) * 0.25;
    let [ours, theirs] =
        [&mut loaded.classifier().unwrap(), &mut classifier].map(|c| c.forward(image.clone(), Mode::Eval).into_data());
    assert_eq!(ours, theirs);

    // What says what the numbers mean belongs to them: another label or another mean would give other results.
    for (name, was, is) in [
        ("config.json", "\"num_classes\": 2", "\"num_classes\": 3"),
        ("config.json", "Edema", "Edemb"),
        ("preprocessor_config.json", "0.502", "0.542"),
    ] {
        let path = export.join(name);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(was), "{text}");
        fs::write(&path, text.replace(was, is)).unwrap();
        let fault = load(&export).unwrap_err().to_string();
        assert!(fault.contains(path.to_str().unwrap()) && fault.contains("changed since it was exported"), "{fault}");
        fs::write(&path, text).unwrap();
    }
    // An export that has lost one of them would be read otherwise; copied alone, the weights can be read without them.
    let lost = export.join("preprocessor_config.json");
    fs::remove_file(&lost).unwrap();
    let fault = load(&export).unwrap_err().to_string();
    assert!(fault.contains(lost.to_str().unwrap()) && fault.contains("missing, though it was exported"), "{fault}");
    let alone = folder.path().join("alone");
    fs::create_dir(&alone).unwrap();
    fs::copy(export.join("model.safetensors"), alone.join("model.safetensors")).unwrap();
    assert!(load(&alone).unwrap().labels.is_empty(), "labels are those of config.json");
}

#[test]
fn what_is_no_source_of_weights_is_said() {
    let device = Device::flex();
    let fault = |source: &str| load_weights(source, None, 0, &device).unwrap_err().to_string();
    assert!(fault("random").contains("expected one of resnet18"), "{}", fault("random"));
    let random = load_weights("random", Some(Arch::ResNet34), 3, &device).unwrap();
    assert_eq!(random.provenance, "random resnet34, seed 3");

    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let absent = fault(&path("absent.pth"));
    assert!(absent.contains("no such file or folder") && absent.contains("a weight file"), "{absent}");
    let empty = fault(&path(""));
    assert!(empty.contains("neither export/model.safetensors nor model.safetensors"), "{empty}");
    fs::write(path("empty.pth"), "").unwrap();
    assert!(fault(&path("empty.pth")).contains("is an empty file"), "{}", fault(&path("empty.pth")));
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/golden/weights/dtypes.safetensors");
    let other = fault(golden);
    assert!(other.contains("no architecture of this crate") && other.contains("moco-cxr inspect"), "{other}");
}
