//! `import`, `export` and `inspect`, driven as a user drives them, bad input included.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use serde_json::{Value, json};
use support::{Ran, files, run, scratch, succeed, synth, tiny_config, tool};

/// An exported ResNet18 with random weights; the folder of all tests is above it.
static EXPORT: LazyLock<PathBuf> = LazyLock::new(|| {
    let out = scratch("weights_cli").join("resnet18");
    let ran = succeed(arguments!["export", "random", "--arch", "resnet18", "--seed", "3", "--onnx", "--out", out]);
    assert_eq!(ran.stdout.lines().count(), 5, "{ran:?}");
    assert!(ran.stderr.contains("random weights; assuming MoCo-CXR's settings: images of 320 px"), "{ran:?}");
    out
});

fn model() -> PathBuf {
    EXPORT.join("model.safetensors")
}

/// A path beside the export.
fn beside(name: &str) -> PathBuf {
    EXPORT.with_file_name(name)
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/weights").join(name)
}

/// The tool fails with one line that says all of this, and leaves nothing at `out`.
fn refused(ran: &Ran, out: &Path, words: &[&str]) {
    assert_eq!((ran.code, ran.stderr.lines().count()), (Some(1), 1), "{ran:?}");
    words.iter().for_each(|word| assert!(ran.stderr.contains(word), "no {word:?} in {}", ran.stderr));
    assert!(!out.exists());
}

#[test]
fn what_is_imported_is_what_was_exported() {
    let out = beside("again");
    let ran = succeed(arguments!["import", model(), "--out", out]);
    assert!(ran.stdout.contains("  taken      layer4.1.bn2.running_var\n"), "{ran:?}");
    assert!(ran.stdout.contains("100 tensors taken, 20 dropped as \"num_batches_tracked\""), "{ran:?}");
    let (before, after) = (files(&EXPORT), files(&out));
    for name in ["model.safetensors", "config.json", "preprocessor_config.json"] {
        assert!(before[Path::new(name)] == after[Path::new(name)], "{name}");
    }
    let card = fs::read_to_string(out.join("README.md")).unwrap();
    assert!(card.contains("SHA-256"), "{card}");
    let inspected = succeed(arguments!["inspect", out.join("model.safetensors")]);
    assert!(inspected.stdout.contains("looks like: a backbone resnet18 without classifier"), "{inspected:?}");

    let model = fs::read(EXPORT.join("model.onnx")).unwrap();
    // 11,186,112 numbers of f32: 11,176,512 parameters and 9,600 running statistics.
    assert!((4 * 11_186_112..4 * 11_186_112 + 30_000).contains(&model.len()), "{} bytes", model.len());

    // Nothing is overwritten.
    let ran = run(arguments!["import", self::model(), "--out", out]);
    assert!(ran.code == Some(1) && ran.stderr.contains("already exists"), "{ran:?}");
    assert!(files(&out) == after);
}

#[test]
fn a_classifier_is_kept_with_its_labels_and_no_other_number_of_them() {
    let with_head = beside("with_head");
    let labels = ["--label", "Edema", "--label", "Cardiomegaly", "--quiet"];
    let one = arguments!["import", model(), "--out", with_head];
    let ran = run(one.iter().cloned().chain(labels.map(Into::into)));
    refused(&ran, &with_head, &["2 missing (fc.weight, fc.bias)", "looks like a backbone resnet18"]);
    let ran = succeed(one.into_iter().chain(labels.map(Into::into)).chain(arguments!["--allow-missing", "fc"]));
    assert!(ran.stdout.contains("2 missing as allowed (fc.weight, fc.bias)"), "{ran:?}");
    let config: Value = serde_json::from_slice(&fs::read(with_head.join("config.json")).unwrap()).unwrap();
    assert_eq!(config["id2label"]["1"], "Cardiomegaly");

    let out = beside("three_labels");
    let file = with_head.join("model.safetensors");
    let ran = run(arguments!["import", file, "--label", "a", "--label", "b", "--label", "c", "--out", out]);
    refused(&ran, &out, &["fc.weight (found [2, 512], expected [3, 512])", "resnet18 with 2 classes"]);
    assert!(ran.stdout.contains("  misshapen  fc.weight: found [2, 512], expected [3, 512]"), "{ran:?}");

    // Exported again, it is still a classifier.
    let out = beside("with_head_again");
    succeed(arguments!["export", with_head, "--out", out, "--quiet"]);
    let model = Path::new("model.safetensors");
    assert!(files(&out)[model] == files(&with_head)[model]);
}

#[test]
fn json_says_what_became_of_every_tensor() {
    let out = beside("json");
    let parse = |ran: &Ran| serde_json::from_str::<Value>(&ran.stdout).unwrap();
    let found = parse(&succeed(arguments!["import", model(), "--out", out, "--json"]));
    assert_eq!((&found["out"], &found["taken"]), (&Value::from(out.to_str().unwrap()), &Value::from(100)));
    let tensors = found["tensors"].as_array().unwrap();
    let fate = |name: &str| tensors.iter().find(|t| t["name"] == name).unwrap();
    assert_eq!(tensors.len(), 120);
    assert_eq!(fate("conv1.weight"), &json!({ "name": "conv1.weight", "fate": "taken", "as": "conv1.weight" }));
    let counter = "bn1.num_batches_tracked";
    assert_eq!(fate(counter), &json!({ "name": counter, "fate": "dropped", "named": "num_batches_tracked" }));

    let exported = beside("json_exported");
    let found = parse(&succeed(arguments!["export", out, "--out", exported, "--json", "--quiet"]));
    assert_eq!((&found["arch"], found["files"].as_array().unwrap().len()), (&Value::from("resnet18"), 4), "{found}");

    // What does not fit is listed, too; nothing is written then.
    let out = beside("json_refused");
    let ran = run(arguments!["import", model(), "--arch", "resnet34", "--out", out, "--json"]);
    refused(&ran, &out, &["80 missing"]);
    let found = parse(&ran);
    assert_eq!((&found["out"], found["missing"].as_array().unwrap().len()), (&Value::Null, 80), "{found}");
}

#[test]
fn what_does_not_fit_is_said() {
    let out = beside("refused");
    let import = |file: &Path, more: &[&str]| {
        run(arguments!["import", file, "--out", out].into_iter().chain(more.iter().map(Into::into)))
    };
    let other = import(&model(), &["--arch", "resnet34"]);
    refused(&other, &out, &["80 missing (layer1.2.conv1.weight", "looks like a backbone resnet18"]);
    assert!(other.stdout.contains("  missing    layer3.5.bn2.running_var\n"), "{}", other.stdout);
    let folder = out.with_file_name("an empty folder");
    fs::create_dir_all(&folder).unwrap();
    refused(&import(&folder, &[]), &out, &["a folder with neither", "expected random, imagenet"]);
    let empty = beside("empty.pth");
    fs::write(&empty, "").unwrap();
    refused(&import(&empty, &[]), &out, &["empty.pth is an empty file, expected weights"]);
    let hostile = import(&golden("hostile.pth"), &[]);
    refused(&hostile, &out, &["not read: \"state_dict.conv1.weight\", a pickled", "print (nothing was executed)"]);
    assert_eq!(hostile.stdout, "");
    let unknown = import(&golden("layouts_zip.pt"), &[]);
    refused(&unknown, &out, &["no architecture of this crate", "moco-cxr inspect"]);
    refused(&import(&out.with_file_name("absent.pth"), &[]), &out, &["no such file or folder"]);
    assert_eq!(import(&model(), &["--arch", "vgg16"]).code, Some(2));
}

#[test]
fn published_weights_that_are_not_here_are_named_with_their_place() {
    let out = beside("published");
    let cache = beside("cache");
    let import = |arguments: &[&str]| {
        let mut tool = tool(arguments!["import", "--out", out].into_iter().chain(arguments.iter().map(Into::into)));
        tool.env("MOCO_CXR_CACHE", &cache).env("HF_HOME", cache.join("hf"));
        // No server is asked: with the feature `hub`, nobody listens at port 9.
        tool.env("HF_ENDPOINT", "http://127.0.0.1:9").env_remove("HF_HUB_CACHE");
        let output = tool.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    };
    refused(&import(&["moco-cxr:r8w-1"]), &out, &["expected moco-cxr: and one of r8w-00001", "d1w-00001"]);
    refused(&import(&["imagenet"]), &out, &["arch", "one of resnet18"]);
    if cfg!(feature = "hub") {
        return; // `tests/hub.rs`
    }
    let words =
        ["resnet18-f37072fd.pth or resnet18-5c106cde.pth", "https://download.pytorch.org/models", "MOCO_CXR_CACHE"];
    refused(&import(&["imagenet", "--arch", "resnet18"]), &out, &words);
    let words = ["r8w-00001.pth.tar", "https://storage.googleapis.com/moco-cxr/r8w-00001.pth.tar", "cache"];
    refused(&import(&["moco-cxr:r8w-00001"]), &out, &words);

    // A file put there is found, and held to what it was.
    fs::create_dir_all(&cache).unwrap();
    let file = cache.join("r8w-00001.pth.tar");
    fs::copy(model(), &file).unwrap();
    assert_eq!(import(&["moco-cxr:r8w-00001", "--quiet"]).code, Some(0));
    let sums = fs::read_to_string(cache.join("checksums.txt")).unwrap();
    assert!(sums.ends_with("  r8w-00001.pth.tar\n") && sums.find(' ') == Some(64), "{sums}");
    fs::remove_dir_all(&out).unwrap();
    let mut bytes = fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&file, bytes).unwrap();
    refused(&import(&["moco-cxr:r8w-00001"]), &out, &["found SHA-256", "when it was first used", "checksums.txt"]);
    // torchvision's name holds the beginning of the checksum.
    fs::copy(model(), cache.join("resnet18-f37072fd.pth")).unwrap();
    refused(&import(&["imagenet", "--arch", "resnet18"]), &out, &["expected f37072fd", "not torchvision's"]);
}

#[test]
fn a_pretraining_begins_with_any_weights() {
    let folder = beside("pretrain");
    fs::create_dir_all(&folder).unwrap();
    let (set, _) = synth(&folder, "set", 1, [16, 2, 2]);
    let config = tiny_config(&folder);
    let pretrain = |out: &Path, more: &[&str]| {
        let common = arguments!["pretrain", "--data", set, "--config", config, "--arch", "resnet18", "--quiet"];
        let rest = arguments!["--init", EXPORT.as_os_str(), "--out", out];
        run(common.into_iter().chain(rest).chain(more.iter().map(Into::into)))
    };
    let out = folder.join("run");
    let ran = pretrain(&out, &[]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let run: Value = serde_json::from_slice(&fs::read(out.join("run.json")).unwrap()).unwrap();
    let init = run["init"].as_str().unwrap();
    assert!(init.contains("a backbone resnet18") && init.contains("SHA-256"), "{init}");

    let out = folder.join("refused");
    let ran = pretrain(&out, &["--init-moco"]);
    refused(&ran, &out, &["resnet18", "expected a checkpoint of MoCo"]);
}
