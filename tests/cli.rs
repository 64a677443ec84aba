//! The tool as a person uses it: a synthetic set, a pretraining, a linear probe, an evaluation, and what each leaves.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use safetensors::SafeTensors;
use serde_json::Value;
use support::{metrics, names, read_json, run, scratch, succeed, synth, tiny_config};

const TASKS: [&str; 2] = ["Pleural Effusion", "Cardiomegaly"];
const EPOCHS: usize = 2;
const BATCH: usize = 8;

/// A set and a run on it, made once.
struct Made {
    folder: PathBuf,
    set: PathBuf,
    images: usize,
    run: PathBuf,
    /// What the run said on standard error.
    said: String,
}

fn made() -> &'static Made {
    static MADE: OnceLock<Made> = OnceLock::new();
    MADE.get_or_init(|| {
        let folder = scratch("cli");
        let (set, summary) = synth(&folder, "set", 1, [40, 2, 24]);
        let run = folder.join("run");
        let ran = succeed(arguments![
            "pretrain",
            "--data",
            set,
            "--preset",
            "small",
            "--image-size",
            "32",
            "--epochs",
            EPOCHS.to_string(),
            "--batch-size",
            BATCH.to_string(),
            "--moco-k",
            "64",
            "--workers",
            "2",
            "--seed",
            "5",
            "--set",
            "train.moco.temperature=0.1",
            "--set",
            "checkpoints.keep.last=1",
            "--out",
            run,
        ]);
        assert!(ran.stdout.contains(&run.join("export").display().to_string()), "{}", ran.stdout);
        let reports = ran.stderr.lines().filter(|line| line.starts_with("epoch ")).count();
        assert_eq!(reports, EPOCHS, "one line an epoch:\n{}", ran.stderr);
        Made { folder, set, images: summary["train"]["images"].as_u64().unwrap() as usize, run, said: ran.stderr }
    })
}

/// The subcommands, as the tool lists them.
fn subcommands() -> Vec<String> {
    let all = succeed(["help"]).stdout;
    let (_, listed) = all.split_once("Commands:\n").unwrap();
    let listed = listed.lines().take_while(|line| !line.is_empty()).filter(|line| !line.starts_with("   "));
    let names = listed.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help");
    let names: Vec<String> = names.map(str::to_owned).collect();
    assert!(names.len() > 20, "{all}");
    names
}

/// Flags that mean the same wherever they appear.
const SHARED_FLAGS: [&str; 17] = [
    "--allow-software",
    "--by-row",
    "--config",
    "--dataset",
    "--device",
    "--json",
    "--key",
    "--mean",
    "--no-selftest",
    "--on-bad-image",
    "--patient-regex",
    "--per-image",
    "--preset",
    "--quiet",
    "--seed",
    "--weights",
    "--workers",
];
/// Flags that mean something else in these subcommands: a choice that may be repeated, a choice of two, a model that may be
/// a random one, a model for each arm.
const OTHER_MEANINGS: [(&str, &str); 4] =
    [("parity", "--device"), ("report", "--device"), ("parity", "--weights"), ("reproduce", "--weights")];

/// The flags of a `--help` and their texts, without line breaks.
fn flags(help: &str) -> BTreeMap<String, String> {
    let (_, options) = help.split_once("\nOptions:\n").unwrap();
    let mut flags: BTreeMap<String, String> = BTreeMap::new();
    let mut flag = String::new();
    for line in options.lines().take_while(|line| line.is_empty() || line.starts_with("  ")) {
        let mut words = line.split_whitespace().peekable();
        // Not the dash of a list of possible values.
        if line.trim_start().starts_with('-') && !line.trim_start().starts_with("- ") {
            flag = words.find(|word| word.starts_with("--")).unwrap().trim_end_matches("...").to_owned();
            while words.next_if(|word| word.starts_with(['<', '['])).is_some() {}
        }
        let text = flags.entry(flag.clone()).or_default();
        words.for_each(|word| {
            text.push(' ');
            text.push_str(word);
        });
    }
    flags
}

/// Flags are declared once for all subcommands that share them.
#[test]
fn a_flag_of_several_subcommands_has_the_same_help_in_all() {
    let mut texts: BTreeMap<&str, BTreeMap<String, Vec<String>>> = BTreeMap::new();
    for subcommand in subcommands() {
        let found = flags(&succeed([&subcommand, "--help"]).stdout);
        assert!(found.contains_key("--help"), "{found:?}");
        for flag in SHARED_FLAGS.into_iter().filter(|flag| !OTHER_MEANINGS.contains(&(subcommand.as_str(), flag))) {
            if let Some(text) = found.get(flag) {
                texts.entry(flag).or_default().entry(text.clone()).or_default().push(subcommand.clone());
            }
        }
    }
    for (flag, texts) in texts {
        assert_eq!(texts.len(), 1, "{flag} is described in different ways: {texts:#?}");
    }
}

#[test]
fn every_subcommand_is_listed_and_its_example_uses_options_it_has() {
    for subcommand in subcommands() {
        let help = succeed([&subcommand, "--help"]).stdout;
        let (options, example) = help.split_once("Example").expect("an example");
        assert!(example.contains(&format!("moco-cxr {subcommand}")), "{example}");
        for flag in example.split_whitespace().filter(|word| word.starts_with("--")) {
            assert!(options.split_whitespace().any(|word| word == flag), "{subcommand} has no {flag}");
        }
    }
}

#[test]
fn without_a_subcommand_the_help_is_shown_and_the_status_is_that_of_bad_arguments() {
    let ran = run(Vec::<String>::new());
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("Usage:"), "{}", ran.stderr);
}

#[test]
fn a_run_leaves_the_folder_of_the_design() {
    let Made { run, images, set, .. } = made();
    let expected =
        ["checkpoints", "config.toml", "export", "images.txt", "metrics.jsonl", "run.json", "tb", "train.log"];
    assert_eq!(names(run), expected);
    assert_eq!(
        names(&run.join("export")),
        ["README.md", "config.json", "model.safetensors", "preprocessor_config.json", "trained_on.json"]
    );

    let steps = EPOCHS * (images / BATCH);
    let facts = read_json(&run.join("run.json"));
    assert_eq!((facts["seed"].as_u64(), facts["device"].as_str()), (Some(5), Some("cpu")));
    assert_eq!(facts["moco_cxr"], env!("CARGO_PKG_VERSION"));
    assert_eq!(facts["data"]["images"], *images);
    assert_eq!(facts["data"]["dir"], set.to_str().unwrap());
    assert!(facts["data"]["hash"].as_str().is_some_and(|hash| hash.len() == 32), "{facts}");

    let latest = format!("step-{steps:08}");
    assert_eq!(names(&run.join("checkpoints")), ["latest", latest.as_str()]);
    assert_eq!(fs::read_to_string(run.join("checkpoints/latest")).unwrap().trim(), latest);
    assert_eq!(
        names(&run.join("checkpoints").join(&latest)),
        ["complete.json", "optimizer.safetensors", "position.json", "queue.safetensors", "weights.safetensors"]
    );
}

#[test]
fn the_log_for_people_holds_what_they_were_told_with_the_time() {
    let Made { run, said, images, .. } = made();
    let log = fs::read_to_string(run.join("train.log")).unwrap();
    let (times, lines): (Vec<&str>, Vec<&str>) = log.lines().map(|line| line.split_once(' ').unwrap()).unzip();
    assert!(times.iter().all(|time| time.len() == 20 && time.ends_with('Z')), "{times:?}");
    assert!(times.is_sorted());
    for line in said.lines().filter(|line| !line.starts_with("step ")) {
        assert!(lines.contains(&line), "{line:?} is not in {log}");
    }
    assert_eq!(lines.last(), Some(&format!("finished at step {}", EPOCHS * (images / BATCH)).as_str()));
}

#[test]
fn tensorboard_finds_scalars_histograms_and_the_views() {
    let tb = made().run.join("tb");
    let [events, views] = &names(&tb)[..] else { panic!("{:?}", names(&tb)) };
    assert_eq!(views, "views.png");
    let (events, png) = (fs::read(tb.join(events)).unwrap(), fs::read(tb.join(views)).unwrap());
    let holds = |part: &[u8]| events.windows(part.len()).any(|window| window == part);
    for tag in ["train/loss", "train/top1", "epoch/effective_rank", "embedding/coordinates", "speed/images_per_s"] {
        assert!(holds(tag.as_bytes()), "{tag}");
    }
    // Two rows of four pairs of 32 px with gaps of 4: the first batch.
    let size = [284_u32, 68].map(u32::to_be_bytes).concat();
    assert_eq!((&png[1..4], &png[16..24]), (&b"PNG"[..], &size[..]));
    assert!(holds(&png), "the contact sheet");
}

#[test]
fn a_run_names_the_commit_it_was_built_from() {
    let commit = &read_json(&made().run.join("run.json"))["git_commit"];
    if Path::new(env!("CARGO_MANIFEST_DIR")).join(".git").exists() {
        let (sha, rest) = commit.as_str().expect("a commit").split_at(40);
        assert!(sha.chars().all(|c| c.is_ascii_hexdigit()) && matches!(rest, "" | "-dirty"), "{commit}");
    } else {
        assert!(commit.is_null() || commit.as_str().is_some_and(|sha| sha.len() == 40), "{commit}");
    }
}

#[test]
fn a_weight_file_is_listed_as_text_and_as_json() {
    let file = made().run.join("export/model.safetensors");
    let result: Value = serde_json::from_str(&succeed(arguments!["inspect", file, "--json"]).stdout).unwrap();
    assert_eq!(result["arch"], "resnet18");
    let tensors = result["tensors"].as_array().unwrap();
    let conv = tensors.iter().find(|tensor| tensor["name"] == "conv1.weight").unwrap();
    assert_eq!(conv["shape"], serde_json::json!([64, 3, 7, 7]));
    let text = succeed(arguments!["inspect", file]).stdout;
    assert!(tensors.iter().all(|tensor| text.contains(tensor["name"].as_str().unwrap())), "{text}");
}

#[test]
fn every_line_of_the_metrics_says_where_it_stands() {
    let Made { run, images, .. } = made();
    let (mut steps, mut epochs, mut wall) = (Vec::new(), Vec::new(), 0.0);
    for line in metrics(run) {
        for number in ["step", "epoch", "loss", "lr", "chance", "wall_s"] {
            assert!(line[number].is_number(), "{number} in {line}");
        }
        let now = line["wall_s"].as_f64().unwrap();
        assert!(now >= wall, "time goes backwards at {line}");
        wall = now;
        match line["split"].as_str().unwrap() {
            "train" => steps.push((line["epoch"].as_u64().unwrap(), line["step"].as_u64().unwrap())),
            "epoch" => epochs.push((line["epoch"].as_u64().unwrap(), line["step"].as_u64().unwrap())),
            other => panic!("split {other}"),
        }
    }
    let per_epoch = (images / BATCH) as u64;
    let expected: Vec<(u64, u64)> = (0..EPOCHS as u64 * per_epoch).map(|step| (step / per_epoch, step + 1)).collect();
    assert_eq!(steps, expected);
    assert_eq!(epochs, [(0, per_epoch), (1, 2 * per_epoch)]);
}

#[test]
fn the_export_has_torchvisions_names_and_describes_itself() {
    let export = made().run.join("export");
    let bytes = fs::read(export.join("model.safetensors")).unwrap();
    let model = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(model.tensor("conv1.weight").unwrap().shape(), [64, 3, 7, 7]);
    assert_eq!(model.tensor("layer4.1.bn2.running_var").unwrap().shape(), [512]);
    assert!(model.names().iter().all(|name| !name.starts_with("fc") && !name.contains("encoder")));
    let config = read_json(&export.join("config.json"));
    assert_eq!((config["model_type"].as_str(), config["image_size"].as_u64()), (Some("resnet18"), Some(32)));
    let preprocessing = read_json(&export.join("preprocessor_config.json"));
    assert_eq!(preprocessing["size"]["height"], 32);
    assert_eq!((&preprocessing["image_mean"][0], &preprocessing["image_std"][0]), (&0.5020.into(), &0.085585.into()));
    let card = fs::read_to_string(export.join("README.md")).unwrap();
    assert!(card.contains("not a medical device") && card.contains("2 epochs"), "{card}");
}

#[test]
fn the_settings_of_a_run_make_the_same_run_again() {
    let Made { folder, run, .. } = made();
    let again = folder.join("again");
    // One worker instead of two: the bytes do not depend on it.
    succeed(arguments!["pretrain", "--config", run.join("config.toml"), "--workers", "1", "--out", again, "--quiet"]);
    let model = |run: &Path| fs::read(run.join("export/model.safetensors")).unwrap();
    assert!(model(run) == model(&again), "the weights differ");
    let settings =
        |run: &Path| fs::read_to_string(run.join("config.toml")).unwrap().replace("workers = 2", "workers = 1");
    assert_eq!(settings(run), settings(&again));
    fs::remove_dir_all(again).unwrap();
}

#[test]
fn a_probe_and_an_evaluation_of_its_predictions_give_the_same_numbers() {
    let Made { folder, set, run, .. } = made();
    let out = folder.join("eval");
    let [first, second] = TASKS;
    let ran = succeed(arguments![
        "linear",
        "--data",
        set,
        "--weights",
        run,
        "--task",
        first,
        "--task",
        second,
        "--baseline-random",
        "--json",
        "--quiet",
        "--out",
        out,
    ]);
    let results: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(results, read_json(&out.join("linear.json")));
    assert_eq!(names(&out), ["cardiomegaly", "export", "linear.json", "pleural-effusion", "run.json"]);

    let rows = results[0]["tasks"].as_array().unwrap();
    assert_eq!(rows.iter().map(|row| row["task"].as_str().unwrap()).collect::<Vec<_>>(), [first, second, "mean"]);
    let number = |row: &Value, arm: &str, name: &str| row[arm][name].as_f64().unwrap();
    for row in rows {
        for arm in ["auroc", "baseline", "difference"] {
            assert!(number(row, arm, "lower") <= number(row, arm, "estimate"), "{row}");
            assert!(number(row, arm, "estimate") <= number(row, arm, "upper"), "{row}");
        }
        let difference = number(row, "auroc", "estimate") - number(row, "baseline", "estimate");
        // Sums of a few dozen ranks in f64, in another order.
        assert!((number(row, "difference", "estimate") - difference).abs() < 1e-12, "{row}");
    }
    let mean = (number(&rows[0], "auroc", "estimate") + number(&rows[1], "auroc", "estimate")) / 2.0;
    assert!((number(&rows[2], "auroc", "estimate") - mean).abs() < 1e-12);

    for (row, name) in rows.iter().zip(["pleural-effusion", "cardiomegaly"]) {
        let folder = out.join(name);
        assert_eq!(names(&folder), ["fraction-1", "predictions.csv", "results.csv", "results.json", "roc.svg"]);
        let written = read_json(&folder.join("results.json"));
        assert_eq!(written["rows"][0]["metric"], "auroc");
        assert_eq!(written["rows"][0]["interval"]["estimate"], row["auroc"]["estimate"]);
        let read = succeed(arguments!["evaluate", folder.join("predictions.csv"), "--json"]).stdout;
        assert_eq!(serde_json::from_str::<Value>(&read).unwrap(), written, "all statistics, and the conditions");
        let table = succeed(arguments!["evaluate", folder.join("predictions.csv")]).stdout;
        assert!(table.contains(&format!("{:.3}", number(row, "auroc", "estimate"))), "{table}");
    }
}

#[test]
fn the_heads_of_a_linear_evaluation_score_other_images() {
    let Made { folder, set, run, .. } = made();
    let (out, scores) = (folder.join("heads"), folder.join("heads.csv"));
    let [first, second] = TASKS;
    let ran = succeed(arguments![
        "linear",
        "--data",
        set,
        "--weights",
        run,
        "--task",
        first,
        "--task",
        second,
        "--fraction",
        "0.5",
        "--fraction",
        "1",
        "--draws",
        "1",
        "--per-image",
        "--out",
        out,
    ]);
    let said = ran.stderr.lines().filter(|line| line.contains("recognised as the data set")).count();
    assert_eq!(said, 1, "the note on the data set is printed once:\n{}", ran.stderr);
    let card = fs::read_to_string(out.join("export/README.md")).unwrap();
    assert!(card.contains(first) && card.contains("linear heads"), "{card}");

    succeed(arguments!["predict", "--weights", out, "--data", set, "--part", "test", "--out", scores]);
    let column = |file: &Path, name: &str| -> Vec<(String, f64)> {
        let mut reader = csv::Reader::from_path(file).unwrap();
        let headers = reader.headers().unwrap().clone();
        let place = |name: &str| headers.iter().position(|header| header == name).unwrap();
        let (path, score) = (place("path"), place(name));
        reader
            .records()
            .map(|row| row.unwrap())
            .map(|row| (row[path].to_owned(), row[score].parse().unwrap()))
            .collect()
    };
    for (task, name) in [(first, "pleural-effusion"), (second, "cardiomegaly")] {
        let score = format!("score_{task}");
        // Those of the largest fraction.
        let (logits, probabilities) =
            (column(&out.join(name).join("predictions.csv"), &score), column(&scores, &score));
        assert_eq!(logits.len(), probabilities.len());
        for ((path, logit), (same, probability)) in logits.iter().zip(&probabilities) {
            assert_eq!(path, same);
            // Features are of order 1; the weights of a head, rounded to f32 and summed over 512 of them, lose 1e-4 at most.
            assert!((1.0 / (1.0 + (-logit).exp()) - probability).abs() < 1e-4, "{path}: logit {logit}, {probability}");
        }
    }
}

#[test]
fn images_without_patients_get_them_by_a_pattern_wherever_the_advice_is_given() {
    let Made { folder, set, run, .. } = made();
    let images = set.join("CheXpert-v1.0-small/test");
    let embed = |name: &str, more: &[&str]| {
        let common = arguments!["embed", "--weights", run, "--data", images, "--out", folder.join(name)];
        succeed(common.into_iter().chain(more.iter().map(Into::into)))
    };
    let unknown = embed("without-patients", &[]).stderr;
    assert!(unknown.contains("patients: unknown") && unknown.contains("--patient-regex"), "{unknown}");
    let known = embed("with-patients", &["--patient-regex", "(patient[0-9]+)"]).stderr;
    assert!(!known.contains("patients: unknown"), "{known}");
    let index = fs::read_to_string(folder.join("with-patients/index.csv")).unwrap();
    let row = index.lines().nth(1).unwrap();
    let [path, patient, ..] = row.split(',').collect::<Vec<_>>()[..] else { panic!("{row}") };
    assert_eq!(path.split('/').next(), Some(patient), "{row}");
}

#[test]
fn a_size_that_is_asked_for_is_the_one_that_is_said() {
    let Made { folder, set, .. } = made();
    let ran = succeed(arguments![
        "knn",
        "--data",
        set,
        "--weights",
        "random",
        "--arch",
        "resnet18",
        "--image-size",
        "32",
        "--task",
        TASKS[0],
        "--out",
        folder.join("asked"),
    ]);
    assert!(ran.stderr.contains("images of 32 px as asked") && !ran.stderr.contains("320 px"), "{}", ran.stderr);
}

/// A full disk behind standard output, and a reader that has gone away (`| head`), for every command that prints at once.
#[test]
#[cfg(target_os = "linux")]
fn output_that_cannot_be_written_is_an_error_and_no_panic() {
    let folder = scratch("unwritten");
    let (set, _) = synth(&folder, "set", 3, [12, 4, 6]);
    let config = tiny_config(&folder);
    let scores = folder.join("scores.csv");
    std::fs::write(&scores, "path,patient,label_A,score_A\na,1,1,0.9\nb,2,0,0.1\nc,3,1,0.4\nd,4,0,0.6\n").unwrap();
    let weights = folder.join("weights.safetensors");
    std::fs::write(&weights, safetensors::serialize::<&str, safetensors::tensor::TensorView<'_>, _>([], None).unwrap())
        .unwrap();
    let commands: [&[&std::ffi::OsStr]; 12] = [
        &["--help".as_ref()],
        &["--version".as_ref()],
        &["pretrain".as_ref(), "--help".as_ref()],
        &["devices".as_ref()],
        &["completions".as_ref(), "bash".as_ref()],
        &["audit".as_ref(), "--data".as_ref(), set.as_ref()],
        &["audit".as_ref(), "--data".as_ref(), set.as_ref(), "--json".as_ref()],
        &["inspect".as_ref(), weights.as_ref()],
        &["evaluate".as_ref(), scores.as_ref()],
        &["compare".as_ref(), scores.as_ref(), scores.as_ref()],
        &["splits".as_ref(), "--kind".as_ref(), "paper".as_ref(), "--rows".as_ref(), "1000".as_ref()],
        &[
            "pretrain".as_ref(),
            "--dry-run".as_ref(),
            "--data".as_ref(),
            set.as_ref(),
            "--config".as_ref(),
            config.as_ref(),
        ],
    ];
    for command in commands {
        assert_eq!(support::tool(command).output().unwrap().status.code(), Some(0), "{command:?}");
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let ran = support::tool(command).stdout(full).output().unwrap();
        let fault = String::from_utf8(ran.stderr).unwrap();
        assert_eq!(ran.status.code(), Some(1), "{command:?}: {fault}");
        assert!(fault.contains("standard output: No space left on device"), "{command:?}: {fault}");

        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let ran = support::tool(command).stdout(writer).output().unwrap();
        let fault = String::from_utf8(ran.stderr).unwrap();
        assert_eq!(ran.status.code(), Some(1), "{command:?}: {fault}");
        assert!(!fault.contains("panicked") && !fault.contains("Broken pipe"), "{command:?}: {fault}");
    }
}

/// A name from elsewhere must not be obeyed by the terminal.
#[test]
fn names_with_control_characters_are_printed_as_text() {
    let folder = scratch("escapes");
    let name = "\u{1b}[2Jgone\u{7}.safetensors";
    let path = folder.join(name);
    std::fs::write(&path, "nothing").unwrap();
    let ran = run(arguments!["inspect", path]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("\\u{1b}[2Jgone\\u{7}.safetensors"), "{:?}", ran.stderr);
    assert!(!ran.stderr.contains(['\u{1b}', '\u{7}']), "{:?}", ran.stderr);
}
