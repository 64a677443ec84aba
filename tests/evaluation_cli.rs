//! What is done with a network after its pretraining, as a person does it: `linear`, `knn`, `finetune`, `predict`,
//! `embed`, and what each leaves.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use moco_cxr::eval::{Scores, read_predictions};
use safetensors::SafeTensors;
use serde_json::Value;
use support::{Ran, files, names, npy, read_json, run, scratch, succeed, synth, tiny_config};

const TASKS: [&str; 2] = ["Pleural Effusion", "Cardiomegaly"];
const EPOCHS: usize = 2;
/// Length of the features of resnet18-narrow.
const FEATURES: usize = 128;

/// A set with all three parts, a run on it, and a fine-tuning of that; made once.
struct Made {
    folder: PathBuf,
    set: PathBuf,
    test_images: usize,
    valid_images: usize,
    run: PathBuf,
    tuned: PathBuf,
    printed: Value,
    said: String,
}

fn made() -> &'static Made {
    static MADE: OnceLock<Made> = OnceLock::new();
    MADE.get_or_init(|| {
        let folder = scratch("evaluation_cli");
        let (set, summary) = synth(&folder, "set", 1, [32, 16, 24]);
        let (run, tuned) = (folder.join("run"), folder.join("tuned"));
        let config = tiny_config(&folder);
        succeed(arguments!["pretrain", "--data", set, "--config", config, "--out", run, "--quiet"]);
        fs::remove_dir_all(run.join("checkpoints")).unwrap(); // the export is enough
        let ran = succeed(with(
            "finetune",
            &set,
            &run,
            &tuned,
            &["--epochs", "2", "--lr", "3e-4", "--checkpoint", "top10", "--from-linear", "--json"],
        ));
        let test_images = summary["test"]["images"].as_u64().unwrap() as usize;
        let valid_images = summary["valid"]["images"].as_u64().unwrap() as usize;
        let printed = serde_json::from_str(&ran.stdout).unwrap();
        Made { folder, set, test_images, valid_images, run, tuned, printed, said: ran.stderr }
    })
}

/// A subcommand on labelled data, for both tasks.
fn with(subcommand: &str, data: &Path, weights: &Path, out: &Path, more: &[&str]) -> Vec<OsString> {
    let [first, second] = TASKS;
    let common = arguments![subcommand, "--data", data, "--weights", weights, "--out", out];
    let tasks = arguments!["--task", first, "--task", second, "--workers", "2"];
    common.into_iter().chain(tasks).chain(more.iter().map(OsString::from)).collect()
}

fn tensors(file: &Path) -> BTreeMap<String, Vec<u8>> {
    let bytes = fs::read(file).unwrap();
    let model = SafeTensors::deserialize(&bytes).unwrap();
    model.tensors().into_iter().map(|(name, tensor)| (name, tensor.data().to_vec())).collect()
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four)).collect()
}

fn predict(weights: &Path, data: &Path, out: &Path, more: &[&str]) -> (Ran, Scores) {
    let arguments = arguments!["predict", "--weights", weights, "--data", data, "--out", out];
    let ran = succeed(arguments.into_iter().chain(more.iter().map(OsString::from)));
    (ran, read_predictions(out).unwrap())
}

fn says(ran: &Ran, words: &[&str]) {
    for word in words {
        assert!(ran.stderr.contains(word), "{word:?} is not in: {}", ran.stderr);
    }
}

#[test]
fn a_fine_tuning_leaves_results_and_a_classifier_that_describes_itself() {
    let Made { tuned, printed, said, valid_images, .. } = made();
    let left = ["cardiomegaly", "ensemble", "export", "finetune.json", "history.csv", "pleural-effusion", "run.json"];
    assert_eq!(names(tuned), left);
    assert_eq!(*printed, read_json(&tuned.join("finetune.json")));
    assert_eq!(printed[0]["tasks"].as_array().unwrap().len(), 3, "two tasks and their mean");
    for epoch in 1..=EPOCHS {
        assert!(said.contains(&format!("epoch {epoch} of {EPOCHS}: AUROC")), "{said}");
    }

    let history = fs::read_to_string(tuned.join("history.csv")).unwrap();
    assert_eq!(history.lines().next().unwrap(), "fraction,draw,images,epoch,step,loss,valid_auroc,chosen,valid_images");
    let mut measured: Vec<(f64, usize)> = Vec::new();
    for line in history.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        assert!(cells[5].parse::<f64>().unwrap() > 0.0, "{line}");
        measured.push((cells[6].parse().unwrap(), cells[7].parse().unwrap()));
        // A part of fewer than 500 images is used whole, but for images without a certain label.
        let scored: usize = cells[8].parse().unwrap();
        assert!(scored > valid_images / 2 && scored <= *valid_images, "{scored} of {valid_images}");
    }
    assert_eq!(measured.len(), EPOCHS);
    measured.sort_by_key(|(_, place)| *place);
    assert!(measured[0].0 >= measured[1].0, "the best on validation rows is chosen first: {measured:?}");

    for (task, name) in [("pleural-effusion", 0), ("cardiomegaly", 1)] {
        let folder = tuned.join(task);
        assert_eq!(names(&folder), ["fraction-1", "predictions.csv", "results.csv", "results.json", "roc.svg"]);
        let written = read_json(&folder.join("results.json"));
        assert_eq!(written["rows"][0]["interval"]["estimate"], printed[0]["tasks"][name]["auroc"]["estimate"]);
        assert_eq!(written["rows"][0]["patients"], 24, "results are those of the test part");
        let stamp = &written["stamp"];
        assert!(stamp["split"].as_str().unwrap().contains("chosen on valid, reported on test"), "{stamp}");
        assert!(stamp["protocol"].as_str().unwrap().contains("checkpoint top10"), "{stamp}");
        assert_eq!((&stamp["patients"], &stamp["pretraining"]), (&"known".into(), &"checked".into()));
        let read = succeed(arguments!["evaluate", folder.join("predictions.csv"), "--json"]).stdout;
        assert_eq!(serde_json::from_str::<Value>(&read).unwrap(), written);
        let scores = read_predictions(&folder.join("predictions.csv")).unwrap();
        assert!(scores.scores().iter().all(|p| (0.0..=1.0).contains(p)), "probabilities");
    }

    let export = tuned.join("export");
    assert_eq!(
        names(&export),
        ["README.md", "config.json", "model.safetensors", "preprocessor_config.json", "trained_on.json"]
    );
    // What it was trained on, in the run and beside the weights: the pretraining on the same rows covers the training.
    let trained_on = read_json(&export.join("trained_on.json"));
    let hashes = |lineage: &Value| -> Vec<Value> {
        lineage["seen"].as_array().unwrap().iter().map(|seen| seen["hash"].clone()).collect()
    };
    assert_eq!(hashes(&trained_on), hashes(&read_json(&tuned.join("run.json"))["trained_on"]));
    assert_eq!(trained_on["complete"], true);
    let seen: Vec<_> = trained_on["seen"].as_array().unwrap().iter().map(|s| (&s["role"], &s["part"])).collect();
    assert_eq!(seen, [(&"pretrain".into(), &"train".into()), (&"valid".into(), &"valid".into())]);
    let config = read_json(&export.join("config.json"));
    assert_eq!((&config["id2label"]["0"], &config["id2label"]["1"]), (&TASKS[0].into(), &TASKS[1].into()));
    let model = tensors(&export.join("model.safetensors"));
    assert_eq!(floats(&model["fc.weight"]).len(), 2 * FEATURES);
    let card = fs::read_to_string(export.join("README.md")).unwrap();
    let auroc = printed[0]["tasks"][0]["auroc"].clone();
    let interval = format!("| {:.3} | {:.3} to", auroc["estimate"].as_f64().unwrap(), auroc["lower"].as_f64().unwrap());
    for words in ["Classifier `resnet18-narrow`", "AUROC, Pleural Effusion, 24 patients", "uncertain=ignore", &interval]
    {
        assert!(card.contains(words), "{words:?} is not in {card}");
    }
    assert_eq!(names(&tuned.join("ensemble")).len(), EPOCHS + 1, "the networks and their index");
}

#[test]
fn predictions_of_an_exported_classifier_are_those_it_was_reported_with() {
    let Made { folder, set, tuned, test_images, .. } = made();
    let reported = |task: &str| read_predictions(&tuned.join(task).join("predictions.csv")).unwrap();
    let more = ["--part", "test", "--study-max", "--ensemble", "--json"];
    let (ran, together) = predict(tuned, set, &folder.join("together.csv"), &more);
    let summary: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((summary["of"].as_str(), summary["networks"].as_u64()), (Some("studies"), Some(EPOCHS as u64)));
    for (task, folder) in [(0, "pleural-effusion"), (1, "cardiomegaly")] {
        let same = reported(folder).align(&together.select_tasks(&[TASKS[task]]).unwrap()).unwrap();
        for (a, b) in same.scores().iter().zip(reported(folder).scores()) {
            // The same networks from their files, on the same images: f32, batches of the same size.
            assert!((a - b).abs() < 1e-6, "{a} and {b}");
        }
    }

    // One network gives other scores, and one line an image.
    let (_, alone) = predict(tuned, set, &folder.join("alone.csv"), &["--part", "test", "--quiet"]);
    assert_eq!(alone.len(), *test_images);
    assert!(alone.labels().iter().all(|label| !label.is_nan()), "the data's own labels stand beside the scores");

    // Without labels, from anywhere: the same scores of the same images.
    let plain = folder.join("plain");
    fs::create_dir(&plain).unwrap();
    for (i, row) in alone.rows().iter().take(3).enumerate() {
        let below = row.path.trim_start_matches("CheXpert-v1.0-small/");
        fs::copy(set.join("CheXpert-v1.0-small").join(below), plain.join(format!("{i}.jpg"))).unwrap();
    }
    let (_, unlabelled) = predict(&tuned.join("export"), &plain, &folder.join("plain.csv"), &["--batch-size", "2"]);
    assert_eq!(unlabelled.len(), 3);
    assert!(unlabelled.labels().iter().all(|label| label.is_nan()));
    for (a, b) in unlabelled.scores().iter().zip(alone.scores()) {
        // f32, other sizes of batches.
        assert!((a - b).abs() < 1e-5, "{a} and {b}");
    }
}

#[test]
fn embedded_features_through_the_exported_head_are_the_scores() {
    let Made { folder, set, tuned, test_images, .. } = made();
    let out = folder.join("features");
    let ran = succeed(arguments!["embed", "--weights", tuned, "--data", set, "--part", "test", "--out", out, "--json"]);
    let summary: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(
        (summary["rows"].as_u64(), summary["columns"].as_u64()),
        (Some(*test_images as u64), Some(FEATURES as u64))
    );
    assert_eq!(names(&out), ["embed.json", "features.npy", "index.csv"]);

    let (shape, features) = npy(&out.join("features.npy"));
    assert_eq!(shape, [*test_images, FEATURES]);

    let (_, scores) = predict(tuned, set, &folder.join("beside.csv"), &["--part", "test"]);
    let index = fs::read_to_string(out.join("index.csv")).unwrap();
    assert_eq!(index.lines().next().unwrap(), "path,patient,study");
    for (line, row) in index.lines().skip(1).zip(scores.rows()) {
        assert_eq!(line, format!("{},{},{}", row.path, row.patient, row.study));
    }
    let model = tensors(&tuned.join("export/model.safetensors"));
    let (weight, bias) = (floats(&model["fc.weight"]), floats(&model["fc.bias"]));
    for (image, features) in features.chunks(FEATURES).enumerate() {
        for task in 0..2 {
            let products: Vec<f64> =
                features.iter().zip(&weight[task * FEATURES..]).map(|(x, w)| f64::from(*x) * f64::from(*w)).collect();
            let logit = products.iter().sum::<f64>() + f64::from(bias[task]);
            let found = scores.scores()[[image, task]];
            // 128 products summed in f32 (6e-8 each, at worst all one way) against f64; the sigmoid is no steeper than 1/4.
            let tolerance = FEATURES as f64 * 6e-8 / 4.0 * products.iter().map(|p| p.abs()).sum::<f64>() + 1e-7;
            assert!((found - 1.0 / (1.0 + (-logit).exp())).abs() < tolerance, "image {image}: {found}, {logit}");
        }
    }
}

#[test]
fn the_mean_of_dense_features_over_positions_is_the_pooled_features() {
    let folder = scratch("dense_cli");
    let (set, summary) = synth(&folder, "set", 3, [6, 0, 0]);
    let images = summary["train"]["images"].as_u64().unwrap() as usize;
    // 72 px: h and w are rounded up to 3.
    let network = ["--weights", "random", "--arch", "resnet18-narrow", "--image-size", "72", "--batch-size", "4"];
    let embed = |out: &Path, more: &[&str]| {
        let words = arguments!["embed", "--data", set, "--out", out].into_iter();
        succeed(words.chain(network.iter().chain(more).map(OsString::from)))
    };
    let (pooled, dense) = (folder.join("pooled"), folder.join("dense"));
    embed(&pooled, &[]);
    let ran = embed(&dense, &["--dense"]);
    let bytes = images * FEATURES * 9 * 4;
    says(&ran, &[&format!("{images} x {FEATURES} x 3 x 3 numbers, {:.1} MB", bytes as f64 / 1e6)]);
    assert!(ran.stdout.contains(&format!("features_dense.npy: {images} x {FEATURES} x 3 x 3")), "{}", ran.stdout);
    assert_eq!(names(&dense), ["embed.json", "features.npy", "features_dense.npy", "index.csv"]);
    for file in ["embed.json", "index.csv", "features.npy"] {
        assert!(fs::read(dense.join(file)).unwrap() == fs::read(pooled.join(file)).unwrap(), "{file}");
    }
    let (shape, maps) = npy(&dense.join("features_dense.npy"));
    let (_, features) = npy(&dense.join("features.npy"));
    assert_eq!(shape, [images, FEATURES, 3, 3]);
    let mut spread = 0.0_f64;
    for (map, pooled) in maps.chunks(9).zip(&features) {
        let mean = map.iter().map(|&x| f64::from(x)).sum::<f64>() / 9.0;
        assert!((mean - f64::from(*pooled)).abs() < 1e-5 * mean.abs().max(1.0), "{mean} and {pooled}");
        spread = map.iter().fold(spread, |most, &x| most.max((f64::from(x) - mean).abs()));
    }
    assert!(spread > 1e-3, "positions differ: {spread}");

    let about = embed(&folder.join("again"), &["--dense", "--json", "--quiet"]);
    let about: Value = serde_json::from_str(&about.stdout).unwrap();
    assert_eq!(about["dense"], serde_json::json!([images, FEATURES, 3, 3]));
    let words = arguments!["embed", "--data", set, "--out", dense, "--dense"].into_iter();
    let full = run(words.chain(network.iter().map(OsString::from)));
    says(&full, &["found a folder that is not empty"]);
}

#[test]
fn the_faithful_probe_trains_the_head_and_moves_running_statistics_alone() {
    let Made { folder, set, run, .. } = made();
    let out = folder.join("faithful");
    let more = ["--protocol", "faithful", "--epochs", "1", "--fraction", "0.5", "--draws", "2", "--json"];
    let ran = succeed(with("linear", set, run, &out, &more));
    let printed: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(printed, read_json(&out.join("linear.json")));
    assert_eq!(printed[0]["draws"], 2);
    assert!(ran.stderr.contains("fraction 0.5, draw 2 of 2, epoch 1 of 1"), "{}", ran.stderr);
    let stamp = &read_json(&out.join("cardiomegaly/results.json"))["stamp"];
    assert!(stamp["protocol"].as_str().unwrap().starts_with("linear, faithful"), "{stamp}");

    let before = tensors(&run.join("export/model.safetensors"));
    let after = tensors(&out.join("export/model.safetensors"));
    let counter = |name: &&String| !name.ends_with("num_batches_tracked");
    let (mut moved, mut stayed) = (0, 0);
    for (name, value) in before.iter().filter(|(name, _)| counter(name)) {
        match (name.contains("running_"), after[name] == *value) {
            (true, false) => moved += 1,
            (false, true) => stayed += 1,
            (running, equal) => panic!("{name}: running statistic {running}, equal {equal}"),
        }
    }
    assert_eq!((moved, stayed), (40, 60), "20 layers of batch norm, 20 convolutions");
    assert!(after.contains_key("fc.weight") && after.contains_key("fc.bias"));
}

#[test]
fn a_probe_with_validation_data_says_so_and_gives_other_penalties_a_chance() {
    let Made { folder, set, run, .. } = made();
    let out = folder.join("validated");
    succeed(with("linear", set, run, &out, &["--valid-data", set.to_str().unwrap(), "--quiet"]));
    let stamp = &read_json(&out.join("pleural-effusion/results.json"))["stamp"];
    assert!(stamp["protocol"].as_str().unwrap().contains("L2 chosen on valid"), "{stamp}");
    assert!(stamp["split"].as_str().unwrap().contains("chosen on valid, reported on test"), "{stamp}");
    assert_eq!(names(&out), ["cardiomegaly", "export", "linear.json", "pleural-effusion", "run.json"]);
}

/// What is said of images that the weights were trained on is said of what the command makes of them.
#[test]
fn images_of_the_pretraining_are_counted_in_the_words_of_the_command() {
    let Made { folder, set, run, tuned, .. } = made();
    for (command, weights, made_of_them) in [
        ("neighbours", run, "neighbours"),
        ("embed", run, "features"),
        ("explain", tuned, "heat maps"),
        ("predict", tuned, "scores"),
    ] {
        let out = folder.join(format!("words-{command}"));
        let ran = succeed(arguments![command, "--data", set, "--part", "train", "--weights", weights, "--out", out]);
        let note = ran.stderr.lines().find(|line| line.contains("the weights were trained on")).expect("a note");
        assert!(note.contains(&format!("whose {made_of_them} say nothing about new images")), "{command}: {note}");
        assert_eq!(note.contains("scores"), command == "predict", "{command}: {note}");
    }
}

/// A safetensors file without what its exporter says of it, as other tools write it.
fn without_metadata(path: &Path) -> Vec<u8> {
    let mut bytes = fs::read(path).unwrap();
    let end = 8 + usize::try_from(u64::from_le_bytes(bytes[..8].try_into().unwrap())).unwrap();
    let mut header: Value = serde_json::from_slice(&bytes[8..end]).unwrap();
    header.as_object_mut().unwrap().remove("__metadata__").unwrap();
    let text = header.to_string();
    bytes[8..end].fill(b' ');
    bytes[8..8 + text.len()].copy_from_slice(text.as_bytes());
    bytes
}

/// Weights of an export whose record of the training images was lost, or was not copied: nobody forgot to record them.
#[test]
fn an_export_that_has_lost_its_record_is_named_with_the_way_out() {
    let Made { folder, set, run, .. } = made();
    let (lost, alone) = (folder.join("lost"), folder.join("alone"));
    for copy in [&lost, &alone] {
        fs::create_dir(copy).unwrap();
    }
    for name in ["config.json", "preprocessor_config.json", "README.md", "model.safetensors"] {
        fs::copy(run.join("export").join(name), lost.join(name)).unwrap();
    }
    fs::copy(run.join("export/model.safetensors"), alone.join("mine.safetensors")).unwrap();
    let of_file = alone.join("mine.safetensors");
    for (command, weights, record) in [
        ("linear", &lost, lost.join("trained_on.json")),
        ("knn", &lost, lost.join("trained_on.json")),
        ("knn", &of_file, alone.join("trained_on.json")),
    ] {
        let out = tempfile::tempdir().unwrap();
        let size: &[&str] = if weights == &lost { &[] } else { &["--image-size", "32"] };
        let ran = succeed(with(command, set, weights, &out.path().join("out"), size));
        let said = ran.stderr.lines().find(|line| line.contains("not checked")).expect("a note");
        assert!(!said.contains("no run recorded"), "{said}");
        for words in [
            format!("{} is missing", record.display()),
            "says which images they were trained on".into(),
            "copy it from where the weights were exported, or give the folder of the run as the weights".into(),
            "the results are marked as not checked".into(),
        ] {
            assert!(said.contains(&words), "{words:?} is not in {said}");
        }
    }
    // The way out: with the record it is checked.
    fs::copy(run.join("export/trained_on.json"), lost.join("trained_on.json")).unwrap();
    let out = tempfile::tempdir().unwrap();
    let ran = succeed(with("knn", set, &lost, &out.path().join("out"), &[]));
    assert!(!ran.stderr.contains("not checked"), "{}", ran.stderr);
    // An import that knows nothing writes that down, so that it has lost nothing.
    let (foreign, imported) = (folder.join("of-others.safetensors"), folder.join("imported"));
    fs::write(&foreign, without_metadata(&run.join("export/model.safetensors"))).unwrap();
    succeed(arguments!["import", foreign, "--image-size", "32", "--out", imported, "--quiet"]);
    let ran = succeed(with("knn", set, &imported, &out.path().join("imported"), &[]));
    assert!(ran.stderr.contains("no run recorded which images these were"), "{}", ran.stderr);
}

#[test]
fn nearest_neighbours_vote_with_shares_and_random_weights_need_no_file() {
    let Made { folder, set, run, .. } = made();
    let out = folder.join("knn");
    let ran = succeed(with("knn", set, run, &out, &["--k", "1", "--json", "--quiet"]));
    assert_eq!(serde_json::from_str::<Value>(&ran.stdout).unwrap(), read_json(&out.join("knn.json")));
    let scores = read_predictions(&out.join("cardiomegaly/predictions.csv")).unwrap();
    assert!(scores.scores().iter().all(|s| *s == 0.0 || *s == 1.0), "the label of the nearest");

    // Weights without a record of what they were trained on can be used, and the results say so.
    let (foreign, out) = (folder.join("foreign.safetensors"), folder.join("knn-foreign"));
    fs::write(&foreign, without_metadata(&run.join("export/model.safetensors"))).unwrap();
    let ran = succeed(with("knn", set, &foreign, &out, &["--image-size", "32"]));
    assert!(ran.stderr.contains("no run recorded which images these were"), "{}", ran.stderr);
    assert_eq!(read_json(&out.join("cardiomegaly/results.json"))["stamp"]["pretraining"], "not checked");
    // Compared they may be: the data are the same.
    let of = |out: &str| folder.join(out).join("cardiomegaly/predictions.csv");
    let compared =
        succeed(arguments!["compare", of("knn"), of("knn-foreign"), "--compare-despite-differences", "--json"]);
    let compared: Value = serde_json::from_str(&compared.stdout).unwrap();
    assert_eq!(compared["differences"].as_array().unwrap().len(), 1, "k alone: {}", compared["differences"]);

    let out = folder.join("knn-random");
    let random = ["--arch", "resnet18-narrow", "--image-size", "32", "--no-feature-cache"];
    let ran = succeed(with("knn", set, Path::new("random"), &out, &random));
    says(&ran, &["running statistics of the random network are estimated on ", " training images, not augmented"]);
    assert!(ran.stdout.contains("Cardiomegaly"), "{}", ran.stdout);
    // The set is drawn, and without the file that says so it would be taken for radiographs.
    let remark =
        "\nSynthetic images (drawn by moco-cxr synth, not radiographs): these results say nothing about patients.\n";
    assert!(ran.stdout.ends_with(remark), "{}", ran.stdout);
}

#[test]
fn a_set_without_parts_is_divided_by_patient_and_one_without_a_valid_part_lends_patients() {
    let Made { folder, set, run, .. } = made();
    // All images as a folder with one table: no parts.
    let (root, one) = (set.join("CheXpert-v1.0-small"), folder.join("one"));
    let mut table = String::new();
    for (name, bytes) in files(&root) {
        if name.extension().is_some_and(|extension| extension == "jpg") {
            // Folders named for parts would be parts.
            let name = format!("films-of-{}", name.display());
            fs::create_dir_all(one.join(&name).parent().unwrap()).unwrap();
            fs::write(one.join(&name), bytes).unwrap();
        }
    }
    for part in ["train", "valid", "test"] {
        let text = fs::read_to_string(root.join(format!("{part}.csv"))).unwrap();
        let (header, rows) = text.split_once('\n').unwrap();
        if table.is_empty() {
            table = format!("{header},Patient\n");
        }
        for row in rows.lines() {
            let patient = row.split('/').find(|part| part.starts_with("patient")).unwrap();
            table.push_str(&format!("{},{patient}\n", row.replacen("CheXpert-v1.0-small/", "films-of-", 1)));
        }
    }
    fs::write(one.join("labels.csv"), table).unwrap();
    let out = folder.join("divided");
    let more = ["--dataset", "folder", "--epochs", "1", "--unchecked-pretraining", "--policy", "uncertain=ones"];
    let ran = succeed(with("finetune", &one, run, &out, &more));
    says(&ran, &["no published parts: divided by patient", "not checked"]);
    let results = read_json(&out.join("cardiomegaly/results.json"));
    assert_eq!(results["stamp"]["pretraining"], "not checked");
    let patients = &results["rows"][0]["patients"];
    assert_eq!(*patients, 14, "a fifth of 72, rounded");
    assert_eq!(names(&out).iter().filter(|name| *name == "ensemble").count(), 0, "one network was chosen");

    // Train and valid alone: valid is reported on, and a fifth of the training patients is held out.
    let two = folder.join("two");
    for (name, bytes) in files(set) {
        if !name.to_str().unwrap().contains("test") {
            fs::create_dir_all(two.join(&name).parent().unwrap()).unwrap();
            fs::write(two.join(&name), bytes).unwrap();
        }
    }
    let out = folder.join("lent");
    let ran = succeed(with("finetune", &two, run, &out, &["--epochs", "1"]));
    says(&ran, &["no test part", "6 of 32 training patients are held out"]);
    let results = read_json(&out.join("cardiomegaly/results.json"));
    assert_eq!(results["rows"][0]["patients"], 16);
    let split = results["stamp"]["split"].as_str().unwrap();
    assert!(split.contains("chosen on patients held out of train, reported on valid"), "{split}");
}

/// Runs what must fail with one line, and leave nothing: status 1, or 2 where the arguments alone are at fault.
fn refused(code: i32, arguments: Vec<OsString>, out: &Path) -> Ran {
    let ran = run(&arguments);
    assert_eq!(ran.code, Some(code), "{arguments:?}: {ran:?}");
    assert!(!out.exists(), "{arguments:?} left something");
    assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
    ran
}

#[test]
fn what_cannot_be_done_is_refused_before_anything_is_written() {
    let Made { folder, set, run: weights, tuned, .. } = made();
    let out = folder.join("refused");
    let refused_with = |code: i32, subcommand: &str, more: &[&str]| {
        let more: Vec<&str> = more.iter().copied().chain(["--quiet"]).collect();
        refused(code, with(subcommand, set, weights, &out, &more), &out)
    };
    let labelled = |subcommand: &str, more: &[&str]| refused_with(1, subcommand, more);
    let bad_arguments = |subcommand: &str, more: &[&str]| refused_with(2, subcommand, more);
    says(&labelled("linear", &["--task", "Cardiomegali"]), &["Cardiomegali", "Cardiomegaly"]);
    says(&bad_arguments("knn", &["--k", "0"]), &["k is 0", "at least 1"]);
    says(&bad_arguments("finetune", &["--epochs", "0"]), &["epochs", "found 0"]);
    says(&bad_arguments("finetune", &["--batch-size", "1"]), &["--batch-size", "found 1", "at least 2"]);
    says(&bad_arguments("finetune", &["--lr", "0"]), &["lr", "above 0"]);
    // The synthetic set never draws a fracture.
    says(&labelled("finetune", &["--task", "Fracture"]), &["test labels", "0 positive", "Fracture", "both classes"]);
    says(&labelled("finetune", &["--image-size", "64"]), &["image size: found 64, expected 32", "trained with"]);
    says(&bad_arguments("linear", &["--epochs", "3"]), &["--epochs", "standard", "faithful"]);
    says(
        &bad_arguments("linear", &["--protocol", "faithful", "--baseline-random"]),
        &["--baseline-random", "standard"],
    );
    // Rows that are reported on are never chosen on.
    let two = folder.join("only-valid");
    for (name, bytes) in
        files(&set.join("CheXpert-v1.0-small")).into_iter().filter(|(name, _)| name.to_str().unwrap().contains("valid"))
    {
        fs::create_dir_all(two.join(&name).parent().unwrap()).unwrap();
        fs::write(two.join(&name), bytes).unwrap();
    }
    let both = ["--valid-data", set.to_str().unwrap(), "--test-data", two.to_str().unwrap()];
    says(&labelled("finetune", &both), &["valid", "test", "patient"]);
    // Nor are those on which the checkpoint of the weights was chosen.
    let refused_weights = with("knn", set, tuned, &out, &["--test-data", two.to_str().unwrap(), "--quiet"]);
    says(&refused(1, refused_weights, &out), &["leak: the choice of the weights and test share 16 patient(s)"]);

    let unlabelled = |subcommand: &str, weights: &Path, more: &[&str]| {
        let arguments = arguments![subcommand, "--weights", weights, "--data", set, "--out", out, "--quiet"];
        refused(1, arguments.into_iter().chain(more.iter().map(OsString::from)).collect(), &out)
    };
    says(&unlabelled("predict", weights, &[]), &["has no scores", "expected an exported classifier"]);
    says(&unlabelled("predict", tuned, &["--image-size", "64"]), &["image size: found 64, expected 32"]);
    says(&unlabelled("predict", tuned, &["--mean", "0.4"]), &["mean: found [0.4, 0.4, 0.4], expected [0.502"]);
    says(&unlabelled("predict", &tuned.join("export"), &["--ensemble"]), &["no ensemble/", "--checkpoint top10"]);
    says(&unlabelled("embed", tuned, &["--std", "0.2"]), &["std: found [0.2, 0.2, 0.2]"]);

    // In use, or not to be had.
    let full = run(with("finetune", set, weights, tuned, &["--quiet"]));
    says(&full, &["found a folder that is not empty, expected a new or empty one"]);
    assert!(!full.stderr.contains("--resume"), "an option that finetune lacks: {}", full.stderr);
    let taken = folder.join("taken.csv");
    fs::write(&taken, "mine").unwrap();
    let ran = run(arguments!["predict", "--weights", tuned, "--data", set, "--out", taken]);
    assert_eq!((ran.code, fs::read_to_string(&taken).unwrap().as_str()), (Some(1), "mine"));
    let ran = run(with("finetune", set, weights, &out, &["--device", "cuda"]));
    let expected = if cfg!(feature = "cuda") { "found" } else { "--features cuda" };
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    says(&ran, &["cuda:0", expected]);
}
