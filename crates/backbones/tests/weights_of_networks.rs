//! Weights in and out of the real networks.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;

use backbones::{
    Arch, Backbone, Error, ExportInfo, ImportOptions, Metric, Mode, NetworkConfig, Normalization, WeightFile, export,
    export_with_onnx, import, inspect, layout, safetensors_bytes, tensor_names,
};
use burn::tensor::{Device, Tensor, TensorData};

#[test]
fn networks_have_the_tensors_of_their_layout() {
    for arch in Arch::ALL {
        for channels in [1, 3] {
            let config = NetworkConfig { channels, ..NetworkConfig::new(arch) };
            let net = config.init_classifier(1000, 0, &Device::flex());
            let mut found: Vec<_> = tensor_names(&net).into_iter().map(|(name, _, shape)| (name, shape)).collect();
            let mut expected = layout(arch, channels, Some(1000));
            found.sort();
            expected.sort();
            assert_eq!(found, expected, "{arch}");
        }
    }
}

fn info(arch: Arch) -> ExportInfo {
    let config = NetworkConfig::new(arch);
    ExportInfo {
        name: "A test".to_owned(),
        arch,
        channels: config.channels,
        normalization: config.normalization,
        image_size: 224,
        assumed: Vec::new(),
        resample: "bilinear".to_owned(),
        labels: Vec::new(),
        data: "Synthetic radiographs.".to_owned(),
        data_licence: "CC0-1.0".to_owned(),
        label_policy: None,
        licence: "mit".to_owned(),
        steps: 12,
        metrics: vec![Metric { name: "AUROC".to_owned(), value: 0.8125, interval: Some((0.75, 0.875, 0.95)) }],
    }
}

#[test]
fn what_is_exported_comes_back_bit_for_bit() {
    let device = Device::flex();
    for arch in [Arch::ResNet18, Arch::DenseNet121] {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("export");
        let mut net = NetworkConfig::new(arch).init(1, &device);
        let files = export(&out, &net, &info(arch)).unwrap();
        assert_eq!(files.len(), 4);
        let file = WeightFile::open(out.join("model.safetensors")).unwrap();
        let (mut back, report) =
            import(&file, NetworkConfig::new(arch).init(2, &device), &ImportOptions::strict()).unwrap();
        assert!(report.is_complete(), "{report}");
        let x = Tensor::ones([1, 1, 32, 32], &device);
        let [ours, theirs] = [&mut net, &mut back].map(|n| n.features(x.clone(), Mode::Eval).into_data());
        assert_eq!(ours, theirs);
        assert_eq!(inspect(out.join("model.safetensors")).unwrap().arch, Some(arch));
        let card = fs::read_to_string(out.join("README.md")).unwrap();
        assert!(card.contains("| AUROC | 0.812 | 0.750 to 0.875 (95 %) |"), "{card}");

        // Nothing is overwritten, and no partial folder stays behind.
        assert!(matches!(export(&out, &net, &info(arch)), Err(Error::Io { .. })));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}

/// The code of a model card under a heading.
fn code(card: &str, heading: &str) -> String {
    let (_, rest) = card.split_once(heading).unwrap();
    rest.split("```").nth(1).unwrap().split_once('\n').unwrap().1.to_owned()
}

#[test]
fn the_model_card_says_how_to_load_what_lies_beside_it() {
    let device = Device::flex();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("classifier");
    let mut net = NetworkConfig::new(Arch::ResNet18).init_classifier(2, 1, &device);
    let labels = vec!["Edema".to_owned(), "Cardiomegaly".to_owned()];
    export_with_onnx(&out, &net, &ExportInfo { labels, ..info(Arch::ResNet18) }).unwrap();
    let card = fs::read_to_string(out.join("README.md")).unwrap();
    assert_eq!(
        code(&card, "PyTorch:"),
        "import safetensors.torch, torch, torchvision\n\n\
         net = torchvision.models.resnet18(num_classes=2)\n\
         net.load_state_dict(safetensors.torch.load_file(\"model.safetensors\"), strict=True)\n\
         net.eval()\n"
    );
    assert_eq!(
        code(&card, "ONNX Runtime:"),
        "import numpy, onnxruntime\n\n\
         session = onnxruntime.InferenceSession(\"model.onnx\", providers=[\"CPUExecutionProvider\"])\n\
         images = numpy.zeros((1, 3, 224, 224), numpy.float32)  # yours, normalised as above\n\
         features, logits = session.run(None, {\"pixel_values\": images})\n"
    );
    assert_eq!(
        code(&card, "Rust (crate `moco-cxr-backbones`):"),
        "use backbones::{Arch, ImportOptions, Mode, NetworkConfig, Normalization, WeightFile, import};\n\n\
         let normalization = Normalization { mean: [0.502, 0.502, 0.502], std: [0.085585, 0.085585, 0.085585] };\n\
         let arch: Arch = \"resnet18\".parse()?;\n\
         let config = NetworkConfig { arch, channels: 3, normalization };\n\
         let file = WeightFile::open(\"model.safetensors\")?;\n\
         let (mut net, report) = import(&file, config.init_classifier(2, 0, &device), &ImportOptions::strict())?;\n\
         let logits = net.forward(images, Mode::Eval);\n"
    );
    // That code, compiled. The Python code is run by `golden/check_interop.py`.
    let images = Tensor::ones([1, 1, 32, 32], &device);
    let expected = net.forward(images.clone(), Mode::Eval).into_data();
    let normalization = Normalization { mean: [0.502, 0.502, 0.502], std: [0.085585, 0.085585, 0.085585] };
    let arch: Arch = "resnet18".parse().unwrap();
    let config = NetworkConfig { arch, channels: 3, normalization };
    let file = WeightFile::open(out.join("model.safetensors")).unwrap();
    let (mut net, report) = import(&file, config.init_classifier(2, 0, &device), &ImportOptions::strict()).unwrap();
    assert!(report.is_complete(), "{report}");
    assert_eq!(net.forward(images, Mode::Eval).into_data(), expected);

    // One channel, no classifier, no ONNX model.
    let out = folder.path().join("backbone");
    let config = NetworkConfig { channels: 1, ..NetworkConfig::new(Arch::DenseNet121) };
    export(&out, &config.init(1, &device), &ExportInfo { channels: 1, ..info(Arch::DenseNet121) }).unwrap();
    let card = fs::read_to_string(out.join("README.md")).unwrap();
    let python = code(&card, "PyTorch:");
    let stem = "\nnet.features.conv0 = torch.nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False)\n";
    assert!(python.contains(stem) && python.contains("\nnet.classifier = torch.nn.Identity()"), "{python}");
    let rust = code(&card, "Rust (crate `moco-cxr-backbones`):");
    assert!(rust.contains("Backbone") && rust.contains("channels: 1") && rust.contains("config.init(0, &device)"));
    assert!(rust.ends_with("let features = net.features(images, Mode::Eval);\n"), "{rust}");
    assert!(!card.contains("onnx"), "{card}");

    // Of the network that torchvision does not have.
    let out = folder.path().join("narrow");
    let config = NetworkConfig { channels: 1, ..NetworkConfig::new(Arch::ResNet18Narrow) };
    let about = ExportInfo {
        channels: 1,
        labels: ["Edema", "Effusion"].map(String::from).to_vec(),
        ..info(Arch::ResNet18Narrow)
    };
    export(&out, &config.init_classifier(2, 1, &device), &about).unwrap();
    let python = code(&fs::read_to_string(out.join("README.md")).unwrap(), "PyTorch:");
    let lines = ["def resnet18_narrow(num_classes=1000):", "net = resnet18_narrow(num_classes=2)", "Conv2d(1, 16, 7, "];
    assert!(lines.iter().all(|line| python.contains(line)) && !python.contains("models.resnet18-narrow"), "{python}");
    assert!(
        WeightFile::open(out.join("model.safetensors"))
            .unwrap()
            .inspect()
            .to_string()
            .contains("looks like: resnet18-narrow with 2 classes")
    );
}

/// Every tensor of ResNet18 is one of ResNet34 as well, with the same shape.
#[test]
fn each_architecture_is_recognised_by_its_tensors() {
    for arch in Arch::ALL {
        let zeros = |(name, shape): (String, Vec<usize>)| (name, TensorData::zeros::<f32, _>(shape));
        let dict = layout(arch, 1, Some(7)).into_iter().map(zeros).collect();
        let file = WeightFile::from_bytes("zeros", safetensors_bytes(&dict, 0).unwrap()).unwrap();
        let found = file.inspect();
        assert_eq!((found.arch, found.channels, found.classes), (Some(arch), Some(1), Some(7)), "{found}");
    }
}

#[test]
fn another_architecture_is_refused_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("export");
    let device = Device::flex();
    export(&out, &NetworkConfig::new(Arch::ResNet18).init(0, &device), &info(Arch::ResNet18)).unwrap();
    let file = WeightFile::open(out.join("model.safetensors")).unwrap();
    let net = NetworkConfig::new(Arch::ResNet50).init(0, &device);
    let error = import(&file, net, &ImportOptions::backbone(Arch::ResNet50)).unwrap_err().to_string();
    assert!(error.contains("looks like a backbone resnet18"), "{error}");
}
