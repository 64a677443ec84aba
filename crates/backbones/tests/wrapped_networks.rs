//! Networks in the wrappings of other tools: found under any prefix, chosen by the rule, and read to the last number.
//! `golden/make_wrapped.py` made the files with PyTorch; others are written here.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::{fs, path::PathBuf};

use backbones::{Arch, Error, Fate, ImportOptions, Report, StateDict, WeightFile, import_dict, inspect, layout};
use serde_json::Value;
use support::torch_file::{Item, Pickle, named, network, under};

fn golden(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../golden/wrapped")).join(name)
}

/// The tensors of the tiny network in the golden files.
fn tiny() -> Vec<(String, Vec<usize>)> {
    let norm = ["weight", "bias", "running_mean", "running_var"].map(|t| (format!("bn1.{t}"), vec![2]));
    let conv = [("conv1.weight", vec![2, 3, 3, 3]), ("layer1.0.conv1.weight", vec![2, 2, 3, 3])];
    norm.into_iter().chain(conv.map(|(name, shape)| (name.to_owned(), shape))).collect()
}

fn values(dict: &StateDict, name: &str) -> Vec<f64> {
    dict[name].clone().convert::<f64>().try_to_vec().unwrap()
}

/// Equal to the last bit: f32 widened to f64 on both sides; one unit of f64 is what the reader of JSON may err by.
#[test]
fn what_pytorch_wraps_is_unwrapped() {
    let expected: Value = serde_json::from_str(&fs::read_to_string(golden("expected.json")).unwrap()).unwrap();
    let files = expected["files"].as_object().unwrap();
    assert_eq!(files.len(), 7);
    for (name, network) in files {
        let file = WeightFile::open(golden(name)).unwrap();
        let (dict, report) = import_dict(&file, &tiny(), &ImportOptions::backbone(Arch::ResNet18))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(report.prefix, network["prefix"], "{name}");
        for (tensor, numbers) in network["values"].as_object().unwrap() {
            let numbers: Vec<f64> = serde_json::from_value(numbers.clone()).unwrap();
            for (found, expected) in values(&dict, tensor).into_iter().zip(numbers) {
                let close = (found - expected).abs() <= f64::EPSILON * expected.abs();
                assert!(close, "{name}: {tensor}: {found}, {expected}");
            }
        }
        assert_eq!(dict.len(), 6, "{name}");
    }
}

/// The average is there for whoever asks; PyTorch made it of the same network plus 1.
#[test]
fn an_average_is_taken_on_request() {
    let file = WeightFile::open(golden("averaged.pth")).unwrap();
    let import = |options: ImportOptions| {
        let drop = ImportOptions::backbone(Arch::ResNet18).drop;
        import_dict(&file, &tiny(), &ImportOptions { drop, ..options })
    };
    let (trained, report) = import(ImportOptions::default()).unwrap();
    assert_eq!(
        report.others.iter().map(|o| (&o.prefix[..], o.same)).collect::<Vec<_>>(),
        [("model_ema.module.", false)]
    );
    let with = |prefix: Option<&str>, dictionary: Option<&str>| {
        let (prefix, dictionary) = (prefix.map(str::to_owned), dictionary.map(str::to_owned));
        import(ImportOptions { prefix, dictionary, ..ImportOptions::default() })
    };
    for (prefix, dictionary) in [
        (None, Some("model_ema")),
        (Some("model_ema.module."), None),
        (Some("model_ema.module"), None),
        (Some("module"), None),
    ] {
        let (average, report) = with(prefix, dictionary).unwrap();
        assert_eq!(report.prefix, "model_ema.module.");
        let plus_one: Vec<f64> = values(&trained, "bn1.bias").iter().map(|v| v + 1.0).collect();
        // One rounding to f32 in PyTorch.
        let pairs = values(&average, "bn1.bias").into_iter().zip(plus_one);
        pairs.for_each(|(found, expected)| assert!((found - expected).abs() <= 1e-7 * expected.abs()));
    }
    let error = with(None, Some("ema")).unwrap_err().to_string();
    assert!(error.contains("under \"ema\"") && error.contains("\"model_ema.module.\""), "{error}");
}

/// C52, C44, and a model within a checkpoint, as PyTorch writes them.
#[test]
fn a_whole_model_is_refused_with_the_lines_that_help() {
    let fault = |name: &str| WeightFile::open(golden(name)).unwrap_err().to_string();
    let whole = fault("whole_model.pt");
    assert!(whole.contains("a whole pickled model (") && whole.contains(".Tiny)"), "{whole}");
    assert!(whole.contains("nothing was executed") && whole.contains("`import torch`"), "{whole}");
    assert!(whole.contains("weights_only=False).state_dict(), \"state_dict.pt\")"), "{whole}");
    let script = fault("torchscript.pt");
    assert!(script.contains("TorchScript") && script.contains("torch.jit.load("), "{script}");

    let file = WeightFile::open(golden("whole_model_in_checkpoint.pt")).unwrap();
    assert!(file.tensors().is_empty());
    let [(name, class)] = file.objects() else { panic!("{:?}", file.objects()) };
    assert!(name == "model" && class.ends_with(".Tiny"), "{name} {class}");
    let inspected = file.inspect();
    assert!(inspected.looks_like.contains("not read: \"model\", a pickled"), "{}", inspected.looks_like);
}

/// Numbers of kinds that are not read, and objects, do not matter where no tensor of the network hangs on them.
#[test]
fn what_is_not_read_stops_nothing_unless_it_is_needed() {
    let file = WeightFile::open(golden("beside_objects.pth")).unwrap();
    let objects: Vec<&str> = file.objects().iter().map(|(name, _)| name.as_str()).collect();
    assert!(objects.contains(&"object"), "{objects:?}");
    assert_eq!(file.scalar("counts.a"), Some(&backbones::Scalar::Int(1)));

    let mut more = tiny();
    more.push(("object.weight".to_owned(), vec![3]));
    let error = import_dict(&file, &more, &ImportOptions::backbone(Arch::ResNet18)).unwrap_err().to_string();
    assert!(error.contains("1 missing (object.weight)") && error.contains("not read: object, a pickled"), "{error}");
}

/// A network of these tensors whose numbers are all `value`.
fn import_of(file: &WeightFile, options: &ImportOptions) -> Result<(f64, Report), Error> {
    let (dict, report) = import_dict(file, &layout(Arch::ResNet18, 3, None), options)?;
    Ok((values(&dict, "bn1.bias")[0], report))
}

fn backbone() -> ImportOptions {
    ImportOptions::backbone(Arch::ResNet18)
}

/// The names are those of the tools: C37 to C50 of the cases, and others of the same kinds. Numbers of the network to be
/// taken are 1, of all others 2.
#[test]
fn networks_are_found_under_any_prefix() {
    let resnet = |value: f32| network(Arch::ResNet18, value);
    let head = |name: &str, inputs| {
        named(&[(&format!("{name}.weight"), &[2, inputs], 2.0), (&format!("{name}.bias"), &[2], 2.0)])
    };
    let mlp = |name: &str| [head(&format!("{name}.0"), 512), head(&format!("{name}.2"), 512)].concat();
    let state =
        |tensors: Vec<(String, Item)>| Item::dict(vec![("epoch", Item::Int(3)), ("state_dict", Item::Dict(tensors))]);
    let flat = Item::Dict;
    let cases: Vec<(&str, Item, &str)> = vec![
        // C37 torch.compile.
        ("compiled", flat(under("_orig_mod.", resnet(1.0))), "_orig_mod."),
        (
            "compiled, parallel",
            Item::dict(vec![("model", flat(under("module._orig_mod.", resnet(1.0))))]),
            "model.module._orig_mod.",
        ),
        ("compiled, Lightning", state(under("model._orig_mod.", resnet(1.0))), "state_dict.model._orig_mod."),
        ("compiled inside", state(under("net.backbone._orig_mod.", resnet(1.0))), "state_dict.net.backbone._orig_mod."),
        // C38 timm.
        (
            "timm",
            Item::dict(vec![
                ("state_dict", flat(resnet(1.0))),
                ("state_dict_ema", flat(under("module.", resnet(2.0)))),
            ]),
            "state_dict.",
        ),
        ("average first", Item::dict(vec![("ema", flat(resnet(2.0))), ("model", flat(resnet(1.0)))]), "model."),
        (
            "swa",
            Item::dict(vec![("swa_model", flat(under("module.", resnet(2.0)))), ("net", flat(resnet(1.0)))]),
            "net.",
        ),
        // C39 Lightning.
        ("Lightning", state([under("net.", resnet(1.0)), head("head", 512)].concat()), "state_dict.net."),
        (
            "Lightning, two heads",
            state([head("aux.1", 512), under("extractor.", resnet(1.0)), head("net.head", 512)].concat()),
            "state_dict.extractor.",
        ),
        // C41 lightly: numbered, and its benchmark, whose `backbone` is the average of `query_backbone`.
        (
            "lightly",
            state(
                [
                    under("backbone.", numbered(resnet(1.0))),
                    mlp("projection_head.layers"),
                    under("backbone_momentum.", numbered(resnet(2.0))),
                ]
                .concat(),
            ),
            "state_dict.backbone.",
        ),
        (
            "lightly benchmark",
            state(
                [
                    under("backbone.", resnet(2.0)),
                    under("query_backbone.", resnet(1.0)),
                    head("online_classifier.online_classifier", 512),
                ]
                .concat(),
            ),
            "state_dict.query_backbone.",
        ),
        (
            "fastai",
            Item::dict(vec![("model", flat([under("0.", numbered(resnet(1.0))), head("1.4", 512)].concat()))]),
            "model.0.",
        ),
        // C45 heads of their own.
        (
            "MoCo v3",
            state(
                [
                    under("module.base_encoder.", [resnet(1.0), mlp("fc")].concat()),
                    under("module.momentum_encoder.", [resnet(2.0), mlp("fc")].concat()),
                    mlp("module.predictor"),
                ]
                .concat(),
            ),
            "state_dict.module.base_encoder.",
        ),
        (
            "a head per finding",
            state([under("backbone.", resnet(1.0)), head("fc_0", 512), head("fc_1", 512)].concat()),
            "state_dict.backbone.",
        ),
        // C50 prefixes of one's own, DINO, BYOL, solo-learn.
        (
            "own prefix",
            state(under("feature_extractor.cnn.", [resnet(1.0), head("fc", 512)].concat())),
            "state_dict.feature_extractor.cnn.",
        ),
        (
            "DINO",
            Item::dict(vec![
                ("student", flat([under("module.backbone.", resnet(1.0)), mlp("module.head.mlp")].concat())),
                ("teacher", flat([under("backbone.", resnet(2.0)), mlp("head.mlp")].concat())),
            ]),
            "student.module.backbone.",
        ),
        (
            "BYOL",
            flat(
                [
                    under("net.", resnet(1.0)),
                    under("online_encoder.net.", resnet(1.0)),
                    mlp("online_encoder.projector.net"),
                    under("target_encoder.net.", resnet(2.0)),
                ]
                .concat(),
            ),
            "online_encoder.net.",
        ),
        (
            "solo-learn",
            state(
                [
                    under("backbone.", resnet(1.0)),
                    under("momentum_backbone.", resnet(2.0)),
                    mlp("projector"),
                    mlp("momentum_projector"),
                    head("classifier", 512),
                ]
                .concat(),
            ),
            "state_dict.backbone.",
        ),
        (
            "older solo-learn",
            state([under("momentum_encoder.", resnet(2.0)), under("encoder.", resnet(1.0))].concat()),
            "state_dict.encoder.",
        ),
        ("words that mean nothing", flat(under("keyboard.targeted.x-1.é.", resnet(1.0))), "keyboard.targeted.x-1.é."),
        ("transformers", flat([transformers(resnet(1.0)), head("classifier.1", 512)].concat()), "resnet."),
    ];
    for (name, content, prefix) in cases {
        let file = WeightFile::from_bytes(name, Pickle::zip(&content)).unwrap();
        let (value, report) = import_of(&file, &backbone()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((value, report.prefix.as_str()), (1.0, prefix), "{name}");
        let inspected = file.inspect();
        assert_eq!((inspected.arch, inspected.channels), (Some(Arch::ResNet18), Some(3)), "{name}");
        // Nothing is lost: every tensor has a fate, and what is outside is counted by its module.
        assert_eq!(report.tensors.len(), file.tensors().len(), "{name}");
        assert!(report.tensors.iter().all(|(name, fate)| name.starts_with(prefix) != matches!(fate, Fate::Outside(_))));
    }
}

/// DenseNets: CheXNet's old names, torchxrayvision's thresholds and single channel, `features` alone.
#[test]
fn densenets_are_found_under_any_prefix() {
    let densenet = network(Arch::DenseNet121, 1.0);
    let old = |tensors: &[(String, Item)]| -> Vec<(String, Item)> {
        let rename = |name: &str| {
            if !name.contains("denselayer") {
                return name.to_owned();
            }
            [("norm1", "norm.1"), ("conv1", "conv.1"), ("norm2", "norm.2"), ("conv2", "conv.2")]
                .iter()
                .fold(name.to_owned(), |name, (new, old)| name.replace(new, old))
        };
        tensors.iter().map(|(name, item)| (rename(name), item.clone())).collect()
    };
    let only: Vec<_> = densenet.iter().map(|(n, t)| (n.replacen("features.", "", 1), t.clone())).collect();
    let thresholds = named(&[("op_threshs", &[18], 0.5), ("classifier.weight", &[18, 1024], 2.0)]);
    let cases = [
        ("CheXNet", under("state_dict.module.densenet121.", old(&densenet)), "state_dict.module.densenet121."),
        ("torchxrayvision", [densenet.clone(), thresholds].concat(), ""),
        ("features alone", under("encoder.", only), "encoder."),
        (
            "in a Sequential",
            under("backbone.", densenet.iter().map(|(n, t)| (n.replacen("features", "0", 1), t.clone())).collect()),
            "backbone.",
        ),
    ];
    for (name, tensors, prefix) in cases {
        let file = WeightFile::from_bytes(name, Pickle::zip(&Item::Dict(tensors))).unwrap();
        let expected = layout(Arch::DenseNet121, 3, None);
        let (dict, report) = import_dict(&file, &expected, &ImportOptions::backbone(Arch::DenseNet121))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((dict.len(), report.prefix.as_str()), (expected.len(), prefix), "{name}");
        assert_eq!(file.inspect().arch, Some(Arch::DenseNet121), "{name}");
    }
}

#[test]
fn networks_that_are_as_good_are_not_chosen_from() {
    let (one, two) = (network(Arch::ResNet18, 1.0), network(Arch::ResNet18, 2.0));
    let both = |a: &str, b: &str| {
        let content = Item::Dict([under(a, one.clone()), under(b, two.clone())].concat());
        WeightFile::from_bytes("both.pth", Pickle::zip(&content)).unwrap()
    };
    for (a, b) in [("frontal.", "lateral."), ("model.net.", "best_model.net."), ("teacher.", "model_ema.")] {
        let file = both(a, b);
        let Err(Error::Ambiguous { networks, .. }) = import_of(&file, &backbone()) else { panic!("{a} {b}") };
        assert_eq!(networks.iter().map(|(prefix, _)| prefix.as_str()).collect::<Vec<_>>(), [a, b]);
        assert!(matches!(file.find(&ImportOptions::strict()), Err(Error::Ambiguous { .. })));
        assert!(file.inspect().looks_like.starts_with("2 networks: resnet18 under"), "{}", file.inspect().looks_like);
        let take = |prefix: &str| import_of(&file, &ImportOptions { prefix: Some(prefix.to_owned()), ..backbone() });
        assert_eq!(take(a).unwrap().0, 1.0);
        assert_eq!(take(b).unwrap().0, 2.0);
        // What is dropped is not meant.
        let drop = [backbone().drop, vec![a.trim_end_matches('.').to_owned()]].concat();
        assert_eq!(import_of(&file, &ImportOptions { drop, ..backbone() }).unwrap().0, 2.0);
    }
    // Of networks with the same numbers any will do.
    let content = Item::Dict([under("a.", one.clone()), under("b.", one.clone())].concat());
    let file = WeightFile::from_bytes("same.pth", Pickle::zip(&content)).unwrap();
    let (value, report) = import_of(&file, &backbone()).unwrap();
    assert_eq!((value, report.others.len(), report.others[0].same), (1.0, 1, true));
    assert!(report.to_string().contains("the network under \"b.\", with the same numbers"), "{report}");

    // A large teacher and its small student.
    let content = Item::Dict([under("teacher.", network(Arch::ResNet34, 2.0)), under("student.", one)].concat());
    let file = WeightFile::from_bytes("distilled.pth", Pickle::zip(&content)).unwrap();
    let found = file.find(&ImportOptions::strict()).unwrap().unwrap();
    assert_eq!((found.arch, found.prefix.as_str()), (Arch::ResNet18, "student."));
    assert_eq!(import_of(&file, &backbone()).unwrap().0, 1.0);
}

#[test]
fn what_is_inside_the_prefix_must_be_known() {
    let inside = |extra: &str| {
        let content = Item::Dict([under("net.", network(Arch::ResNet18, 1.0)), named(&[(extra, &[4], 2.0)])].concat());
        let file = WeightFile::from_bytes("extra.pth", Pickle::zip(&content)).unwrap();
        let Err(Error::Import(report)) = import_of(&file, &backbone()) else { panic!("{extra}") };
        let drop = report.droppable();
        if let Some(names) = &drop {
            let drop = [backbone().drop, names.clone()].concat();
            assert_eq!(import_of(&file, &ImportOptions { drop, ..backbone() }).unwrap().0, 1.0, "{extra}");
        }
        drop
    };
    assert_eq!(inside("net.aux_head.1.weight"), Some(vec!["aux_head".to_owned()]));
    assert_eq!(inside("net.scale"), Some(vec!["scale".to_owned()]));
    // A network with attention in its blocks is another network; to drop that is no advice.
    assert_eq!(inside("net.layer1.0.se.fc1.weight"), None);
    assert_eq!(inside("net.conv1.bias"), None);
}

/// Missing tensors are named for the place where most of the network lies.
#[test]
fn the_closest_place_is_reported() {
    let mut tensors = under("trunk.", network(Arch::ResNet18, 1.0));
    tensors.retain(|(name, _)| !name.contains("layer4.1.bn2"));
    let content = Item::Dict([under("other.", network(Arch::ResNet18, 1.0))[..9].to_vec(), tensors].concat());
    let file = WeightFile::from_bytes("partial.pth", Pickle::zip(&content)).unwrap();
    let error = import_of(&file, &backbone()).unwrap_err().to_string();
    assert!(error.contains("4 missing (layer4.1.bn2.weight"), "{error}");
    let like = file.inspect().looks_like;
    assert!(like.contains("closest is resnet18 under \"trunk.\", of which 4 tensors are missing"), "{like}");
}

/// C48: not a number, infinite, and a negative variance, in each number format; and what is outside does not matter.
#[test]
fn numbers_that_no_network_can_run_with_are_refused_by_tensor() {
    for (tensor, value, said) in [
        ("layer4.1.conv2.weight", f32::NAN, "NaN at place 7 of 2359296"),
        ("layer3.0.bn1.running_var", f32::INFINITY, "inf at place 7 of 256"),
        ("layer2.0.bn1.running_var", -0.5, "-0.5 at place 7 of 128"),
        ("fc.bias", f32::NEG_INFINITY, ""),
    ] {
        let mut tensors = network(Arch::ResNet18, 1.0);
        tensors.extend(named(&[("fc.weight", &[9, 512], 1.0), ("fc.bias", &[9], 1.0)]));
        for (name, item) in &mut tensors {
            if name == tensor {
                item.set(7, value);
            }
        }
        let file = WeightFile::from_bytes("diverged.pth", Pickle::zip(&Item::Dict(tensors))).unwrap();
        let faults = file.faults();
        assert_eq!((faults.len(), faults[0].name.as_str(), faults[0].in_network), (1, tensor, !said.is_empty()));
        match import_of(&file, &backbone()) {
            Err(error @ Error::NotFinite { .. }) => {
                assert!(error.to_string().contains(&format!("diverged.pth: found {tensor}: {said}")), "{error}");
            }
            other => assert!(said.is_empty(), "{other:?}"),
        }
    }
    // A mean may be negative.
    let mut tensors = network(Arch::ResNet18, 1.0);
    tensors.iter_mut().filter(|(name, _)| name == "bn1.running_mean").for_each(|(_, item)| item.set(0, -3.0));
    let file = WeightFile::from_bytes("fine.pth", Pickle::zip(&Item::Dict(tensors))).unwrap();
    assert!(file.faults().is_empty() && import_of(&file, &backbone()).is_ok());
}

#[test]
fn names_that_command_a_terminal_are_escaped() {
    let mut tensors = under("a\u{1b}[2J.", network(Arch::ResNet18, 1.0));
    tensors.extend(named(&[("a\u{1b}[2J.x\u{7}\u{202e}", &[1], 0.0)]));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("escape.pth");
    fs::write(&path, Pickle::zip(&Item::dict(vec![("note\u{1b}]0;", Item::Int(1)), ("net", Item::Dict(tensors))])))
        .unwrap();
    let shown = inspect(&path).unwrap().to_string();
    let error = import_of(&WeightFile::open(&path).unwrap(), &backbone()).unwrap_err();
    let Error::Import(report) = &error else { panic!("{error}") };
    for text in [shown, error.to_string(), format!("{report:#}")] {
        assert!(!text.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{text:?}");
        assert!(text.contains("\\u{1b}"), "{text}");
    }
}

/// Names in an `nn.Sequential` of the network's children, as lightly makes it.
fn numbered(tensors: Vec<(String, Item)>) -> Vec<(String, Item)> {
    let places = [("conv1", "0"), ("bn1", "1"), ("layer1", "4"), ("layer2", "5"), ("layer3", "6"), ("layer4", "7")];
    let rename = |name: String| {
        let (part, rest) = name.split_once('.').unwrap();
        let place = places.iter().find(|(name, _)| *name == part).unwrap().1;
        format!("{place}.{rest}")
    };
    tensors.into_iter().map(|(name, item)| (rename(name), item)).collect()
}

/// Names of `transformers.ResNetForImageClassification`.
fn transformers(tensors: Vec<(String, Item)>) -> Vec<(String, Item)> {
    let rename = |name: String| {
        let parts: Vec<&str> = name.split('.').collect();
        let kind = |part: &str| if part.starts_with("bn") { "normalization" } else { "convolution" };
        let number = |part: &str| part[part.len() - 1..].parse::<usize>().unwrap() - 1;
        match parts[..] {
            [first @ ("conv1" | "bn1"), tensor] => format!("resnet.embedder.embedder.{}.{tensor}", kind(first)),
            [stage, block, "downsample", place, tensor] => {
                let kind = if place == "0" { "convolution" } else { "normalization" };
                format!("resnet.encoder.stages.{}.layers.{block}.shortcut.{kind}.{tensor}", number(stage))
            }
            [stage, block, layer, tensor] => format!(
                "resnet.encoder.stages.{}.layers.{block}.layer.{}.{}.{tensor}",
                number(stage),
                number(layer),
                kind(layer)
            ),
            _ => panic!("{name}"),
        }
    };
    tensors.into_iter().map(|(name, item)| (rename(name), item)).collect()
}

/// Any byte of a safetensors file of ours, flipped, is an error or changes no tensor; every reader verifies the checksum.
#[test]
fn a_flipped_byte_changes_no_number() {
    use backbones::safetensors_bytes;
    use burn::tensor::TensorData;
    let dict = StateDict::from([
        ("bn1.running_mean".to_owned(), TensorData::new(vec![0.5_f32, -1.0, 2.0], [3])),
        ("conv1.weight".to_owned(), TensorData::new((0..12).map(|n| n as f32).collect::<Vec<_>>(), [2, 2, 3])),
        ("fc.bias".to_owned(), TensorData::new(vec![1.0_f64], [1])),
    ]);
    let whole = safetensors_bytes(&dict, 7).unwrap();
    let open = |bytes: Vec<u8>| WeightFile::from_bytes("ours.safetensors", bytes);
    let tensors =
        |file: &WeightFile| -> Vec<_> { file.tensors().iter().map(|t| (t.name.clone(), file.tensor(t))).collect() };
    let before = open(whole.clone()).unwrap();
    assert!(before.is_checked());
    let mut noticed = 0;
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << bit;
            match open(bytes) {
                Err(_) => noticed += 1,
                Ok(file) => assert!(tensors(&file) == tensors(&before), "byte {at}, bit {bit}"),
            }
        }
    }
    // What is not noticed lies in the key of the checksum, in another of the metadata, or in the padding.
    assert!(noticed > 8 * whole.len() * 9 / 10, "{noticed} of {}", 8 * whole.len());
}
