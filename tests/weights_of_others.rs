//! Weights from other tools through the tool's own door: what is known of their images and what is assumed, the line to type
//! when a file does not fit as it is, checksums, and where `random` and `imagenet` are taken.
#![allow(clippy::unwrap_used, clippy::type_complexity, missing_docs, unreachable_pub)]

mod support;
#[path = "../crates/backbones/tests/support/torch_file.rs"]
#[allow(dead_code)]
mod torch_file;

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use backbones::Arch;
use moco_cxr::{DeviceChoice, Error, Weights};
use serde_json::{Value, json};
use support::{Ran, read_json, run, scratch, succeed, synth, tiny_config, tool};
use torch_file::{Item, Pickle, named, network, under};

static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| scratch("weights_of_others"));

/// A new folder of a test.
fn folder(name: &str) -> PathBuf {
    let folder = FOLDER.join(name);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// A file as PyTorch saves one, with its folder.
fn write(path: &Path, content: &Item) -> PathBuf {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, Pickle::zip(content)).unwrap();
    path.to_owned()
}

fn plain() -> Item {
    Item::Dict(network(Arch::ResNet18Narrow, 1.0))
}

/// What the library makes of a source: side, mean, deviation and notes; or the error.
fn load(source: &Path, ask: impl FnOnce(&mut Weights)) -> Result<(usize, [f64; 3], [f64; 3], Vec<String>), Error> {
    let mut weights = Weights::new(source.to_str().unwrap());
    weights.device = DeviceChoice::CPU;
    ask(&mut weights);
    let loaded = weights.load(&())?;
    let normalization = loaded.config.normalization;
    Ok((loaded.views.size, normalization.mean, normalization.std, loaded.notes))
}

const MOCO_CXR: ([f64; 3], [f64; 3]) = ([0.5020; 3], [0.085585; 3]);
const IMAGENET: ([f64; 3], [f64; 3]) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);

/// C47: an import that is told nothing writes assumptions, and the user's values are then accepted, each alone and all.
#[test]
fn an_assumption_stays_one_until_somebody_knows_better() {
    let folder = folder("assumed");
    let file = write(&folder.join("resnet18.pth"), &plain());
    let out = folder.join("imported");
    let ran = succeed(arguments!["import", file, "--out", out, "--quiet", "--json"]);
    assert!(ran.stderr.is_empty(), "{ran:?}");
    let config = read_json(&out.join("preprocessor_config.json"));
    assert_eq!(config["assumed"], json!(["size", "image_mean", "image_std"]));
    let card = fs::read_to_string(out.join("README.md")).unwrap();
    assert!(card.contains("Assumed, because nothing said it: size, image_mean, image_std."), "{card}");

    for source in [&file, &out] {
        let (size, mean, std, notes) = load(source, |_| ()).unwrap();
        assert_eq!((size, mean, std), (320, MOCO_CXR.0, MOCO_CXR.1));
        let note = &notes[0];
        assert!(note.contains("nothing says which images") && note.contains("320 px"), "{note}");
        assert!(note.contains("--image-size, --mean, --std to state others"), "{note}");
        let (size, mean, std, notes) = load(source, |weights| weights.image_size = Some(224)).unwrap();
        assert_eq!((size, mean, std), (224, MOCO_CXR.0, MOCO_CXR.1));
        assert!(notes[0].contains("--mean, --std to state others") && !notes[0].contains("320"), "{notes:?}");
        let all = |weights: &mut Weights| {
            weights.image_size = Some(224);
            (weights.mean, weights.std) = (Some(IMAGENET.0), Some(IMAGENET.1));
        };
        assert_eq!(load(source, all).unwrap(), (224, IMAGENET.0, IMAGENET.1, Vec::new()));
    }

    // An export, and an import of it, pass the assumption on.
    let again = folder.join("again");
    let ran = succeed(arguments!["export", out, "--out", again, "--mean", "0.449"]);
    assert!(ran.stderr.contains("assuming the importer's settings: images of 320 px"), "{ran:?}");
    let config = read_json(&again.join("preprocessor_config.json"));
    assert_eq!((&config["assumed"], &config["image_mean"][0]), (&json!(["size", "image_std"]), &json!(0.449)));
}

/// What is declared at the import is known ever after.
#[test]
fn what_the_user_declares_is_known() {
    let folder = folder("declared");
    let file = write(&folder.join("resnet18.pth"), &plain());
    let out = folder.join("imported");
    let flags = ["--image-size", "224", "--mean", "0.485,0.456,0.406", "--std", "0.229,0.224,0.225"];
    let import = arguments!["import", file, "--out", out].into_iter().chain(flags.map(Into::into));
    let ran = succeed(import);
    assert!(ran.stderr.is_empty(), "{ran:?}");
    assert_eq!(read_json(&out.join("preprocessor_config.json"))["assumed"], Value::Null);
    assert_eq!(load(&out, |_| ()).unwrap(), (224, IMAGENET.0, IMAGENET.1, Vec::new()));

    let fault = load(&out, |weights| weights.image_size = Some(320)).unwrap_err().to_string();
    assert!(
        fault.contains("image size: found 320, expected 224") && fault.contains("preprocessor_config.json"),
        "{fault}"
    );
    let fault = load(&out, |weights| weights.mean = Some([0.5; 3])).unwrap_err().to_string();
    // The advice of the message does what it says.
    let other = folder.join("other");
    follow(&fault, &other);
    let (size, mean, ..) = load(&other, |weights| weights.mean = Some([0.5; 3])).unwrap();
    assert_eq!((size, mean), (224, [0.5; 3]));
    // And to say the same once more is no contradiction.
    assert!(load(&out, |weights| (weights.image_size, weights.std) = (Some(224), Some(IMAGENET.1))).is_ok());

    for (flag, value, said) in [
        ("--image-size", "16", "--image-size: found 16, expected 32 to 4096"),
        ("--std", "0", "--std: found 0, expected numbers from 1e-6"),
        ("--std", "nan", "--std: found NaN, expected numbers from 1e-6"),
        ("--mean", "1.5", "--mean: found 1.5, expected numbers from 0 to 1"),
    ] {
        let ran = run(arguments!["import", file, flag, value, "--out", folder.join("refused")]);
        assert!(ran.code == Some(2) && ran.stderr.contains(said), "{ran:?}");
    }
    let ran = run(arguments!["import", file, "--mean", "1,2", "--out", folder.join("refused")]);
    assert!(ran.code == Some(2) && ran.stderr.contains("three with commas"), "{ran:?}");
}

/// Configurations of transformers, timm and lightly beside a file, and timm's arguments in it.
#[test]
fn what_other_tools_say_of_the_images_is_known() {
    let resnet18 = Pickle::zip(&plain());
    let transformers = |more: Value| {
        let mut config = json!({ "image_mean": IMAGENET.0, "image_std": IMAGENET.1 });
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        config.to_string()
    };
    let timm = json!({ "input_size": [3, 224, 224], "mean": IMAGENET.0, "std": IMAGENET.1, "interpolation": "bicubic", "crop_pct": 0.95 });
    let in_cfg = json!({ "architecture": "resnet18", "num_classes": 2, "num_features": 512, "pretrained_cfg": timm });
    let mut flat = timm.clone();
    flat["architecture"] = json!("resnet18");
    let arguments = "img_size: null\ninput_size:\n- 3\n- 224\n- 224\nmean:\n- 0.485\n- 0.456\n- 0.406\nstd:\n- 0.229\n- 0.224\n- 0.225\n";
    let preprocessor = "preprocessor_config.json";
    let cases = [
        ("a side", preprocessor, transformers(json!({ "size": 224 }))),
        ("sides", preprocessor, transformers(json!({ "size": { "height": 224, "width": 224 } }))),
        (
            "the shortest side",
            preprocessor,
            transformers(json!({ "size": { "shortest_edge": 224 }, "crop_pct": 0.875 })),
        ),
        (
            "a crop",
            preprocessor,
            transformers(
                json!({ "size": { "shortest_edge": 256 }, "do_center_crop": true, "crop_size": { "height": 224, "width": 224 } }),
            ),
        ),
        ("no crop", preprocessor, transformers(json!({ "size": 224, "do_center_crop": false, "crop_size": 192 }))),
        ("timm", "config.json", in_cfg.to_string()),
        ("older timm", "config.json", flat.to_string()),
        ("timm's arguments", "args.yaml", arguments.to_owned()),
    ];
    for (name, beside, text) in cases {
        let folder = folder("configurations").join(name);
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join("model.safetensors.pth");
        fs::write(&file, &resnet18).unwrap();
        fs::write(folder.join(beside), text).unwrap();
        assert_eq!(load(&file, |_| ()).unwrap(), (224, IMAGENET.0, IMAGENET.1, Vec::new()), "{name}");
        let fault = load(&file, |weights| weights.image_size = Some(320)).unwrap_err().to_string();
        assert!(fault.contains("expected 224") && fault.contains(beside), "{name}: {fault}");
    }
    let folder = folder("lightly");
    let file = folder.join("lightly_epoch_99.ckpt");
    fs::write(&file, &resnet18).unwrap();
    fs::create_dir_all(folder.join(".hydra")).unwrap();
    fs::write(folder.join(".hydra/config.yaml"), "model:\n  name: resnet-18\ncollate:\n  input_size: 64\n").unwrap();
    let (size, mean, _, notes) = load(&file, |_| ()).unwrap();
    // lightly's configuration does not say mean and deviation.
    assert_eq!((size, mean, notes.len()), (64, MOCO_CXR.0, 1));
    assert!(!notes[0].contains("px") && notes[0].contains("--mean, --std to state others"), "{notes:?}");

    // Another tool's config.json says nothing, and one that cannot be understood is named.
    fs::write(folder.join("config.json"), r#"{"model_type": "resnet", "hidden_sizes": [64]}"#).unwrap();
    assert_eq!(load(&file, |_| ()).unwrap().0, 64);
    fs::write(folder.join(preprocessor), r#"{"size": {"height": 224, "width": 256}}"#).unwrap();
    let fault = load(&file, |_| ()).unwrap_err().to_string();
    assert!(fault.contains(preprocessor) && fault.contains("expected square ones"), "{fault}");

    let list = |values: &[f64]| Item::List(values.iter().map(|v| Item::Float(*v)).collect());
    let arguments = Item::dict(vec![
        ("model", Item::Text("resnet18".to_owned())),
        ("img_size", Item::Int(224)),
        ("mean", list(&IMAGENET.0)),
        ("std", list(&IMAGENET.1)),
    ]);
    let arguments = Item::Object("argparse", "Namespace", Box::new(arguments));
    let content = Item::dict(vec![("state_dict", plain()), ("args", arguments)]);
    let file = write(&FOLDER.join("timm-checkpoint/last.pth.tar"), &content);
    assert_eq!(load(&file, |_| ()).unwrap(), (224, IMAGENET.0, IMAGENET.1, Vec::new()));
}

/// C44: its state dict is taken as it is, with the settings of the library that wrote it, as an assumption; its whole model
/// is refused with the lines that help.
#[test]
fn torchxrayvision_is_known_by_its_thresholds() {
    let folder = folder("torchxrayvision");
    let mut tensors = network(Arch::DenseNet121, 1.0);
    tensors.iter_mut().filter(|(name, _)| name == "features.conv0.weight").for_each(|(_, item)| {
        *item = Item::Tensor(vec![64, 1, 7, 7], 1.0, Vec::new());
    });
    tensors.extend(named(&[("classifier.weight", &[18, 1024], 1.0), ("classifier.bias", &[18], 1.0)]));
    let mut thresholds = named(&[("op_threshs", &[18], 0.5)]);
    thresholds[0].1.set(3, f32::NAN);
    tensors.extend(thresholds);
    let file = write(&folder.join("state_dict.pt"), &Item::Dict(tensors));
    let out = folder.join("imported");
    let ran = succeed(arguments!["import", file, "--out", out]);
    assert!(
        ran.stdout.contains("dropped    op_threshs")
            && ran.stderr.contains("torchxrayvision's settings: images of 224 px"),
        "{ran:?}"
    );
    let (size, mean, std, notes) = load(&out, |_| ()).unwrap();
    assert_eq!((size, mean, std, notes.len()), (224, [0.5; 3], [1.0 / 2048.0; 3], 1));
    // Thresholds that do not exist are no fault of the network.
    let ran = succeed(arguments!["inspect", file]);
    assert!(ran.stdout.contains("op_threshs: NaN at place 3 of 18"), "{}", ran.stdout);

    let whole = Item::Object("torchxrayvision.models", "DenseNet", Box::new(plain()));
    let file = write(&folder.join("densenet121-best.pt"), &whole);
    let ran = run(arguments!["import", file, "--out", folder.join("whole")]);
    assert!(ran.code == Some(1) && ran.stderr.lines().count() == 1, "{ran:?}");
    for word in ["a whole pickled model (torchxrayvision.models.DenseNet)", "`import torch`", "state_dict.pt\")`"] {
        assert!(ran.stderr.contains(word), "{ran:?}");
    }
    let file =
        write(&folder.join("m-25012018-104001.pth.tar"), &Item::dict(vec![("epoch", Item::Int(3)), ("model", whole)]));
    let ran = run(arguments!["import", file, "--out", folder.join("whole")]);
    assert!(ran.stderr.contains("cpu\", weights_only=False)[\"model\"].state_dict()"), "{ran:?}");
}

/// Runs the commands that a message advises, with `out` in place of DIR, and returns where each wrote.
fn follow(message: &str, out: &Path) -> Vec<PathBuf> {
    let advised = message.split('`').skip(1).step_by(2).filter_map(|command| command.strip_prefix("moco-cxr "));
    let advised: Vec<&str> = advised.filter(|command| command.starts_with("import ")).collect();
    assert!(!advised.is_empty(), "{message}");
    let mut written = Vec::new();
    for (number, command) in advised.iter().enumerate() {
        let mut words = words(command);
        let last = words.last_mut().unwrap();
        let place = if number == 0 { out.to_owned() } else { out.with_file_name(format!("advised-{number}")) };
        if last == "DIR" || number > 0 {
            *last = place.to_str().unwrap().to_owned();
        }
        let at = PathBuf::from(words.last().unwrap());
        let ran = run(&words);
        assert_eq!(ran.code, Some(0), "{words:?}: {ran:?}");
        written.push(at);
    }
    written
}

/// The words of a command, as a shell divides it.
fn words(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in command.chars() {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            c => words.last_mut().unwrap().push(c),
        }
    }
    words
}

/// The number that a network of [`network`] is full of.
fn number(export: &Path) -> f32 {
    let file = backbones::WeightFile::open(export.join("model.safetensors")).unwrap();
    let info = file.tensors().iter().find(|t| t.name == "bn1.bias").unwrap();
    file.tensor(info).try_to_vec::<f32>().unwrap()[0]
}

/// Where one option would do, the error says the very line: at the import, and wherever else weights are taken.
#[test]
fn the_line_to_type_is_printed_and_works() {
    let folder = folder("advice");
    let (set, _) = synth(&folder, "set", 1, [4, 2, 2]);
    let resnet = |value: f32| network(Arch::ResNet18Narrow, value);
    let extra = |name: &str| named(&[(name, &[4, 512], 2.0)]);
    let cases: Vec<(&str, Item, &[f32], &str)> = vec![
        (
            "beside",
            Item::Dict([resnet(1.0), extra("head.weight"), extra("aux.1.weight")].concat()),
            &[1.0],
            "--drop aux head",
        ),
        (
            "inside",
            Item::Dict(under("net.", [resnet(1.0), extra("my head.weight")].concat())),
            &[1.0],
            "--drop 'my head'",
        ),
        (
            "views",
            Item::Dict([under("frontal.", resnet(1.0)), under("lateral.", resnet(2.0))].concat()),
            &[1.0, 2.0],
            "--dictionary frontal",
        ),
        (
            "prefixes",
            Item::dict(vec![(
                "state_dict",
                Item::Dict([under("a.net.", resnet(1.0)), under("b.net.", resnet(2.0))].concat()),
            )]),
            &[1.0, 2.0],
            "--prefix state_dict.a.net.",
        ),
        (
            "best",
            Item::dict(vec![("model", Item::Dict(resnet(1.0))), ("best", Item::Dict(resnet(2.0)))]),
            &[1.0, 2.0],
            "--dictionary best",
        ),
    ];
    for (name, content, values, flag) in cases {
        let file = write(&folder.join(name).join("weights.pth"), &content);
        let out = folder.join(name).join("out");
        let ran = run(arguments!["import", file, "--out", out, "--quiet"]);
        assert!(ran.code == Some(1) && ran.stderr.contains(flag) && ran.stderr.lines().count() == 1, "{name}: {ran:?}");
        let written = follow(&ran.stderr, &out);
        assert_eq!(written.iter().map(|out| number(out)).collect::<Vec<_>>(), values, "{name}");

        let images = arguments!["--data", set, "--out", folder.join("never"), "--quiet"];
        let embed = run(arguments!["embed", "--weights", file].into_iter().chain(images.clone()));
        let from =
            run(arguments!["pretrain", "--init", file, "--arch", "resnet18-narrow", "--config", tiny_config(&folder)]
                .into_iter()
                .chain(images));
        for (command, ran) in [("embed", embed), ("pretrain", from)] {
            assert!(ran.code == Some(1) && ran.stderr.contains(flag), "{name}: {command}: {ran:?}");
            let out = folder.join(name).join(command).join("out");
            fs::create_dir_all(out.parent().unwrap()).unwrap();
            follow(&ran.stderr, &out);
        }
        assert!(!folder.join("never").exists());
    }
    // A network with more in its blocks is another one: to drop that is no advice.
    let file = write(&folder.join("se.pth"), &Item::Dict([resnet(1.0), extra("layer1.0.se.fc1.weight")].concat()));
    let ran = run(arguments!["import", file, "--out", folder.join("se"), "--quiet"]);
    assert!(ran.stderr.contains("1 left over (layer1.0.se.fc1.weight)") && !ran.stderr.contains('`'), "{ran:?}");
}

/// C38, C41: of a network and its average, what was taken is said, also where no report is printed.
#[test]
fn which_network_was_taken_is_said() {
    let folder = folder("taken");
    let (trained, average) = (network(Arch::ResNet18Narrow, 1.0), network(Arch::ResNet18Narrow, 2.0));
    let tensors = [under("backbone.", trained), under("backbone_momentum.", average)].concat();
    let file = write(&folder.join("tutorial.ckpt"), &Item::dict(vec![("state_dict", Item::Dict(tensors))]));
    let (.., notes) = load(&file, |_| ()).unwrap();
    let said = "took the network under \"state_dict.backbone.\", not \"state_dict.backbone_momentum.\"";
    assert!(notes.iter().any(|note| note.contains(said) && note.contains("import --prefix")), "{notes:?}");
    let out = folder.join("average");
    let ran = succeed(arguments!["import", file, "--prefix", "backbone_momentum", "--out", out, "--json"]);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(report["others"], json!([{ "prefix": "state_dict.backbone.", "same": false }]));
    assert_eq!(number(&out), 2.0);
    let ran = run(arguments!["import", file, "--prefix", "teacher", "--out", folder.join("none")]);
    assert!(
        ran.stderr.contains("under \"teacher\"") && ran.stderr.contains("\"state_dict.backbone.\" (resnet18-narrow)"),
        "{ran:?}"
    );
    let (set, _) = synth(&folder, "set", 1, [16, 2, 2]);
    let pretrain = arguments![
        "pretrain",
        "--init",
        file,
        "--arch",
        "resnet18-narrow",
        "--data",
        set,
        "--config",
        tiny_config(&folder)
    ];
    succeed(pretrain.into_iter().chain(arguments!["--out", folder.join("run")]));
    let log = fs::read_to_string(folder.join("run/train.log")).unwrap();
    assert!(log.contains(said), "{log}");
}

/// C48, at every door.
#[test]
fn weights_that_are_not_finite_are_refused_by_name() {
    let folder = folder("not_finite");
    let (set, _) = synth(&folder, "set", 1, [4, 2, 2]);
    let mut tensors = network(Arch::ResNet18Narrow, 1.0);
    for (name, item) in &mut tensors {
        match name.as_str() {
            "layer4.1.conv2.weight" => item.set(0, f32::NAN),
            "layer3.0.bn1.running_var" => item.set(3, f32::INFINITY),
            "layer2.0.bn1.running_var" => item.set(5, -0.5),
            _ => {}
        }
    }
    let file = write(&folder.join("diverged.pth.tar"), &Item::dict(vec![("state_dict", Item::Dict(tensors))]));
    let out = folder.join("out");
    let images = arguments!["--data", set, "--out", out, "--quiet"];
    let config = tiny_config(&folder);
    let commands = [
        arguments!["import", file, "--out", out].to_vec(),
        arguments!["export", file, "--out", out].to_vec(),
        [&arguments!["embed", "--weights", file][..], &images].concat(),
        [&arguments!["pretrain", "--init", file, "--arch", "resnet18-narrow", "--config", config][..], &images]
            .concat(),
        arguments!["inspect", file].to_vec(),
    ];
    for command in commands {
        let ran = run(&command);
        assert!(ran.code == Some(1) && ran.stderr.lines().count() == 1 && !out.exists(), "{command:?}: {ran:?}");
        let tensors = [
            "layer4.1.conv2.weight: NaN at place 0",
            "layer3.0.bn1.running_var: inf at place 3",
            "layer2.0.bn1.running_var: -0.5 at place 5",
        ];
        assert!(tensors.iter().all(|tensor| ran.stderr.contains(tensor)), "{command:?}: {ran:?}");
    }
}

/// One flipped byte in the numbers, the names or the shapes is noticed by every command; an export of an earlier version,
/// without a checksum, is read, and that is said.
#[test]
fn a_damaged_export_is_noticed() {
    let folder = folder("damaged");
    let (set, _) = synth(&folder, "set", 1, [4, 2, 2]);
    let export = folder.join("export");
    succeed(arguments!["export", "random", "--arch", "resnet18-narrow", "--out", export, "--quiet"]);
    let path = export.join("model.safetensors");
    let whole = fs::read(&path).unwrap();
    let embed = |out: &str| {
        run(arguments!["embed", "--weights", export, "--data", set, "--image-size", "64", "--out", folder.join(out)])
    };
    let ran = embed("whole");
    assert!(ran.code == Some(0) && !ran.stderr.contains("checksum"), "{ran:?}");
    for (place, at) in [0.3, 0.7, 0.999].map(|part| (whole.len() as f64 * part) as usize).into_iter().enumerate() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::write(&path, bytes).unwrap();
        let out = folder.join(format!("damaged-{place}"));
        let commands = [
            arguments!["inspect", path].to_vec(),
            arguments!["import", path, "--out", out].to_vec(),
            arguments!["export", export, "--out", out].to_vec(),
        ];
        let rans = commands.iter().map(run).chain([embed(&format!("damaged-{place}"))]);
        for ran in rans {
            assert!(ran.code == Some(1) && ran.stderr.contains("damaged: the tensors have the checksum"), "{ran:?}");
        }
        assert!(!out.exists());
    }
    // As an earlier version wrote it.
    let tensors = safetensors::SafeTensors::deserialize(&whole).unwrap();
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    fs::write(&path, safetensors::serialize(tensors.tensors(), Some(metadata)).unwrap()).unwrap();
    let ran = embed("old");
    assert!(ran.code == Some(0) && ran.stderr.contains("an export without a checksum"), "{ran:?}");
    assert_eq!(
        fs::read(folder.join("whole/features.npy")).unwrap(),
        fs::read(folder.join("old/features.npy")).unwrap()
    );
}

/// Every command that takes weights takes random and ImageNet ones.
#[test]
fn random_and_imagenet_weights_are_taken_everywhere() {
    let folder = folder("everywhere");
    let (set, _) = synth(&folder, "set", 1, [40, 12, 12]);
    let hub = folder.join("hub");
    let repository = hub.join("models--timm--resnet18.tv_in1k");
    let snapshot = repository.join("snapshots/1");
    succeed(arguments!["export", "random", "--arch", "resnet18", "--out", folder.join("made"), "--quiet"]);
    fs::create_dir_all(&snapshot).unwrap();
    fs::copy(folder.join("made/model.safetensors"), snapshot.join("model.safetensors")).unwrap();
    fs::create_dir_all(repository.join("refs")).unwrap();
    fs::write(repository.join("refs/main"), "1").unwrap();
    let data = ["--data", set.to_str().unwrap(), "--image-size", "32"].map(str::to_owned);
    let task = ["--task", "Pleural Effusion"].map(str::to_owned);
    let config = tiny_config(&folder);
    let commands: Vec<(&str, &str, Vec<String>)> = vec![
        ("embed", "--weights", data.to_vec()),
        ("linear", "--weights", [&data[..], &task].concat()),
        ("knn", "--weights", [&data[..], &task, &["--k", "5"].map(str::to_owned)].concat()),
        ("finetune", "--weights", [&data[..], &task, &["--epochs", "1"].map(str::to_owned)].concat()),
        ("pretrain", "--init", [&data[..2], &["--config", config.to_str().unwrap()].map(str::to_owned)].concat()),
        ("export", "", Vec::new()),
    ];
    for source in ["random", "imagenet"] {
        for (command, flag, more) in &commands {
            let out = folder.join(format!("{command}-{source}"));
            let words = [*command, *flag, source, "--arch", "resnet18", "--quiet", "--out", out.to_str().unwrap()];
            let words =
                words.into_iter().filter(|word| !word.is_empty()).map(str::to_owned).chain(more.iter().cloned());
            let mut tool = tool(words);
            tool.env("HF_HUB_CACHE", &hub)
                .env("MOCO_CXR_CACHE", folder.join("cache"))
                .env("HF_ENDPOINT", "http://127.0.0.1:9");
            let output = tool.output().unwrap();
            assert!(output.status.success(), "{command} {source}: {}", String::from_utf8_lossy(&output.stderr));
        }
        // Scores need a classifier, which neither has; that is what is said.
        let words = ["predict", "--weights", source, "--arch", "resnet18", "--out", "never.csv"].map(str::to_owned);
        let mut tool = tool(words.into_iter().chain(data.clone()));
        tool.env("HF_HUB_CACHE", &hub).env("MOCO_CXR_CACHE", folder.join("cache"));
        let output = tool.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && said.contains("which has no scores"), "{said}");
    }
    // Without an architecture there is no saying what they are.
    for source in ["random", "imagenet"] {
        let ran = run(arguments!["embed", "--weights", source, "--data", set, "--out", folder.join("never")]);
        says(&ran, 2, &["--arch: found none", "one of resnet18, resnet34, resnet50, densenet121"]);
        assert_eq!(ran.stderr.contains("resnet18-narrow"), source == "random", "{ran:?}");
    }
    // The one that torchvision does not have has none of its weights.
    let out = folder.join("never");
    let words = arguments!["embed", "--weights", "imagenet", "--arch", "resnet18-narrow", "--data", set, "--out", out];
    says(&run(words), 2, &["--arch: found resnet18-narrow", "one of resnet18, resnet34, resnet50, densenet121"]);
    let words = arguments!["pretrain", "--init", "imagenet", "--arch", "resnet18-narrow", "--data", set, "--out", out];
    says(&run(words), 1, &["resnet18-narrow", "or initial weights `random`"]);
    assert!(!out.exists());
}

fn says(ran: &Ran, code: i32, words: &[&str]) {
    assert_eq!(ran.code, Some(code), "{ran:?}");
    words.iter().for_each(|word| assert!(ran.stderr.contains(word), "no {word:?} in {}", ran.stderr));
}
