//! Reading weight files of every form; `golden/make_weights.py` made them and says what is in them.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::{fs, path::PathBuf};

use backbones::{Arch, Dtype, Error, Fate, Format, ImportOptions, Scalar, WeightFile, import_dict, inspect, layout};
use serde_json::Value;

fn golden(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../golden/weights")).join(name)
}

fn expected() -> Value {
    serde_json::from_str(&fs::read_to_string(golden("expected.json")).unwrap()).unwrap()
}

/// A folder with files this project did not write; tests that need it are skipped without it.
fn foreign(name: &str) -> Option<PathBuf> {
    let folder = std::env::var("MOCO_CXR_TEST_DATA")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data").to_owned());
    let path = PathBuf::from(folder).join("weights").join(name);
    if !path.exists() {
        println!("skipped: {} is not there (set MOCO_CXR_TEST_DATA)", path.display());
        return None;
    }
    Some(path)
}

/// Numbers of a tensor as f64, whatever they are stored as.
fn numbers(file: &WeightFile, name: &str) -> Vec<f64> {
    let info = file.tensors().iter().find(|t| t.name == name).unwrap();
    let data = file.tensor(info);
    data.convert::<f64>().try_to_vec().unwrap()
}

/// Widening changes no number; one unit in the last place of f64 is what the test's reader of JSON may err by.
#[test]
fn every_form_is_read_to_the_last_number() {
    for (name, tensors) in expected()["files"].as_object().unwrap() {
        let file = WeightFile::open(golden(name)).unwrap();
        let tensors = tensors.as_object().unwrap();
        assert_eq!(file.tensors().len(), tensors.len(), "{name}");
        for (key, tensor) in tensors {
            let info = file.tensors().iter().find(|t| t.name == *key).unwrap_or_else(|| panic!("{name}: no {key}"));
            let shape: Vec<usize> = serde_json::from_value(tensor["shape"].clone()).unwrap();
            let values: Vec<f64> = serde_json::from_value(tensor["values"].clone()).unwrap();
            assert_eq!(info.shape, shape, "{name}: {key}");
            for (found, expected) in numbers(&file, key).into_iter().zip(values) {
                assert!(
                    (found - expected).abs() <= f64::EPSILON * expected.abs(),
                    "{name}: {key}: {found}, {expected}"
                );
            }
            let dtype = match tensor["dtype"].as_str().unwrap() {
                "float64" => Dtype::F64,
                "float32" => Dtype::F32,
                "float16" => Dtype::F16,
                "bfloat16" => Dtype::BF16,
                "int64" => Dtype::I64,
                "int32" => Dtype::I32,
                "int16" => Dtype::I16,
                "int8" => Dtype::I8,
                "uint8" => Dtype::U8,
                _ => Dtype::Bool,
            };
            assert_eq!(info.dtype, dtype, "{name}: {key}");
        }
    }
}

#[test]
fn forms_are_recognised_by_content() {
    let forms = [
        ("moco_zip.pth.tar", Format::TorchZip),
        ("moco_legacy.pth.tar", Format::TorchLegacy),
        ("torchvision_2017.pth", Format::TorchTar),
        ("dtypes.safetensors", Format::Safetensors),
    ];
    for (name, format) in forms {
        assert_eq!(WeightFile::open(golden(name)).unwrap().format(), format);
    }
}

#[test]
fn numbers_and_texts_beside_the_tensors_are_kept() {
    let file = WeightFile::open(golden("moco_legacy.pth.tar")).unwrap();
    assert_eq!(file.scalar("epoch"), Some(&Scalar::Int(3)));
    assert_eq!(file.scalar("arch"), Some(&Scalar::Text("resnet18".to_owned())));
    assert_eq!(file.scalar("optimizer.param_groups.0.lr"), Some(&Scalar::Float(1e-4)));
    let file = WeightFile::open(golden("dtypes.safetensors")).unwrap();
    assert_eq!(file.scalar("format"), Some(&Scalar::Text("pt".to_owned())));
}

/// The tensors of the tiny network in the golden files.
fn tiny() -> Vec<(String, Vec<usize>)> {
    let norm = ["weight", "bias", "running_mean", "running_var"].map(|t| (format!("bn1.{t}"), vec![2]));
    let conv = [("conv1.weight", vec![2, 3, 3, 3]), ("layer1.0.conv1.weight", vec![2, 2, 3, 3])];
    norm.into_iter().chain(conv.map(|(name, shape)| (name.to_owned(), shape))).collect()
}

#[test]
fn a_moco_checkpoint_gives_its_query_encoder_and_names_everything_else() {
    for name in ["moco_zip.pth.tar", "moco_legacy.pth.tar"] {
        let file = WeightFile::open(golden(name)).unwrap();
        let (dict, report) = import_dict(&file, &tiny(), &ImportOptions::backbone(Arch::ResNet18)).unwrap();
        let expected = numbers(&file, "state_dict.module.encoder_q.conv1.weight");
        assert_eq!(dict["conv1.weight"].clone().convert::<f64>().try_to_vec::<f64>().unwrap(), expected);
        assert_eq!(report.prefix, "state_dict.module.encoder_q.");
        assert_eq!(report.tensors.len(), file.tensors().len());
        let fate = |name: &str| report.tensors.iter().find(|(n, _)| n == name).unwrap().1.clone();
        assert_eq!(fate("state_dict.module.queue"), Fate::Outside("state_dict.module.queue".to_owned()));
        assert_eq!(fate("state_dict.module.encoder_q.fc.2.bias"), Fate::Dropped("fc".to_owned()));
        let of = |module: &str| Fate::Outside(module.to_owned());
        assert_eq!(fate("state_dict.module.encoder_k.bn1.bias"), of("state_dict.module.encoder_k"));
        assert_eq!(fate("optimizer.state.0.exp_avg"), of("optimizer"));
        let counter = Fate::Dropped("num_batches_tracked".to_owned());
        assert_eq!(fate("state_dict.module.encoder_q.bn1.num_batches_tracked"), counter);
        assert!(format!("{report}").contains("6 tensors taken"), "{report}");
    }
}

#[test]
fn what_nobody_named_is_an_error() {
    let file = WeightFile::open(golden("torchvision_2017.pth")).unwrap();
    let error = import_dict(&file, &tiny(), &ImportOptions::strict()).unwrap_err();
    let Error::Import(report) = &error else { panic!("{error}") };
    assert_eq!(report.left_over().collect::<Vec<_>>(), ["fc.weight", "fc.bias"]);
    assert!(error.to_string().contains("2 left over (fc.weight, fc.bias)"), "{error}");

    let mut more = tiny();
    more.push(("layer1.0.bn1.weight".to_owned(), vec![2]));
    let mut options = ImportOptions::backbone(Arch::ResNet18);
    let error = import_dict(&file, &more, &options).unwrap_err();
    assert!(error.to_string().contains("1 missing (layer1.0.bn1.weight)"), "{error}");
    options.allow_missing.push("layer1.0.bn1".to_owned());
    let (_, report) = import_dict(&file, &more, &options).unwrap();
    assert_eq!(report.allowed_missing, ["layer1.0.bn1.weight"]);

    let mut other = tiny();
    other[4].1 = vec![2, 1, 3, 3];
    let error = import_dict(&file, &other, &ImportOptions::backbone(Arch::ResNet18)).unwrap_err();
    assert!(error.to_string().contains("conv1.weight (found [2, 3, 3, 3], expected [2, 1, 3, 3])"), "{error}");
}

#[test]
fn old_densenet_names_are_mapped() {
    let file = WeightFile::open(golden("densenet_old_names.pth")).unwrap();
    let layer = "features.denseblock1.denselayer1";
    let norm = ["weight", "bias", "running_mean", "running_var"].map(|t| (format!("{layer}.norm1.{t}"), vec![2]));
    let mut names = norm.to_vec();
    names.push(("features.conv0.weight".to_owned(), vec![2, 3, 3, 3]));
    names.push((format!("{layer}.conv1.weight"), vec![2, 2, 1, 1]));
    let (dict, report) = import_dict(&file, &names, &ImportOptions::backbone(Arch::DenseNet121)).unwrap();
    assert_eq!(dict.len(), 6);
    assert!(format!("{report:#}").contains(&format!("{layer}.norm.1.weight as {layer}.norm1.weight")), "{report:#}");
}

/// The list was made by PyTorch from the published file.
#[test]
fn the_published_resnet18_has_exactly_our_tensors() {
    let Some(path) = foreign("resnet18-torchvision-keys.txt") else { return };
    let mut keys: Vec<String> = fs::read_to_string(path).unwrap().lines().map(|line| line.replace(",)", ")")).collect();
    let ours = layout(Arch::ResNet18, 3, Some(1000));
    let mut ours: Vec<String> = ours
        .into_iter()
        .map(|(name, shape)| format!("{name} ({})", shape.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")))
        .collect();
    keys.retain(|key| !key.is_empty());
    keys.sort();
    ours.sort();
    assert_eq!(keys, ours);
}

/// A legacy file with a `state_dict` wrapper and the `module.` prefix. PyTorch's sums, in f64: equal to the rounding of
/// a sum of at most 36,864 numbers.
#[test]
fn a_published_legacy_file_is_read_completely() {
    let Some(path) = foreign("resnet20-12fca82f.th") else { return };
    let file = WeightFile::open(&path).unwrap();
    let golden = expected();
    let golden = golden["resnet20"].as_object().unwrap();
    assert_eq!(file.tensors().len(), golden.len());
    for info in file.tensors() {
        let (shape, sum): (Vec<usize>, f64) = serde_json::from_value(golden[&info.name].clone()).unwrap();
        let found: f64 = numbers(&file, &info.name).iter().sum();
        assert_eq!(info.shape, shape, "{}", info.name);
        assert!((found - sum).abs() <= 1e-9 * (1.0 + sum.abs()), "{}: {found}, expected {sum}", info.name);
    }
    let inspection = inspect(&path).unwrap();
    assert_eq!(inspection.arch, None, "a CIFAR network of 20 layers");
    assert!(matches!(file.scalar("best_prec1"), Some(Scalar::Float(p)) if *p > 90.0), "{inspection}");
    assert!(inspection.to_string().contains("state_dict.module.layer3.2.conv2.weight"), "{inspection}");

    let error = import_dict(&file, &layout(Arch::ResNet18, 3, None), &ImportOptions::strict()).unwrap_err();
    assert!(error.to_string().contains("no architecture of this crate"), "{error}");
}
