//! `moco-cxr report`: the page of a run that has everything, and of runs that lack things; in a browser, where there is one.
#![allow(clippy::unwrap_used, missing_docs, clippy::print_stderr)]

mod report_browser;
mod support;

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use moco_cxr::{
    PretrainSettings,
    backbones::{Arch, ExportInfo, NetworkConfig, Normalization, export},
    burn::tensor::Device,
};
use serde_json::{Value, json};
use support::{run, scratch, succeed, synth};

const SECTIONS: [&str; 13] = [
    "configuration",
    "data",
    "views",
    "pretraining",
    "similarities",
    "features",
    "alike",
    "fractions",
    "roc",
    "reliability",
    "subgroups",
    "grad-cam",
    "definitions",
];
const TASKS: [&str; 2] = ["Pleural Effusion", "Cardiomegaly"];

/// The folder of a run with every file that a report reads, written by hand: nothing is trained.
fn whole_run() -> &'static Path {
    static RUN: OnceLock<PathBuf> = OnceLock::new();
    RUN.get_or_init(|| {
        let folder = scratch("report");
        let (set, _) = synth(&folder, "set", 3, [12, 0, 30]);
        let run = folder.join("a run with <everything> & a long name");
        fs::create_dir(&run).unwrap();
        let mut settings = PretrainSettings::named("small", &set).unwrap().with_set("views.size=48").unwrap();
        (settings.arch, settings.channels) = (Arch::ResNet18, 1);
        fs::write(run.join("config.toml"), settings.to_toml().unwrap()).unwrap();
        let facts = json!({ "moco_cxr": "0.1.0", "device": "cpu", "seed": 3, "system": "linux x86_64", "git_commit": null,
            "data": { "dir": set, "images": 31234, "patients_known": true, "hash": "d5a0dd20f17e66e1fb58297980dcc291" } });
        fs::write(run.join("run.json"), facts.to_string()).unwrap();
        fs::write(run.join("metrics.jsonl"), metrics(6, 120)).unwrap();
        evaluation(&run.join("eval"));

        let config = NetworkConfig { arch: Arch::ResNet18, channels: 1, normalization: Normalization::MOCO_CXR };
        let device = Device::flex();
        let mut info = ExportInfo {
            name: "a test".into(),
            arch: config.arch,
            channels: 1,
            normalization: config.normalization,
            image_size: 48,
            assumed: Vec::new(),
            resample: "bilinear".into(),
            labels: Vec::new(),
            data: "drawn".into(),
            data_licence: "none".into(),
            label_policy: None,
            licence: "MIT".into(),
            steps: 1,
            metrics: Vec::new(),
        };
        export(&run.join("export"), &config.init(1, &device), &info).unwrap();
        info.labels = TASKS.map(str::to_owned).to_vec();
        let finetune = run.join("finetune");
        fs::create_dir(&finetune).unwrap();
        export(&finetune.join("export"), &config.init_classifier(2, 1, &device), &info).unwrap();
        run
    })
}

/// A log as `pretrain` writes it: a loss that falls, one step with an empty queue, a warning in the last epoch.
fn metrics(epochs: usize, steps: usize) -> String {
    let mut text = String::new();
    let mut line = |value: Value| writeln!(text, "{value}").unwrap();
    for epoch in 0..epochs {
        for batch in 1..=steps {
            let step = epoch * steps + batch;
            let wave = (step as f64 * 0.7).sin() * 0.15;
            line(json!({ "split": "train", "wall_s": step, "step": step, "epoch": epoch, "batch": batch,
                "lr": 1e-3 * (1.0 - step as f64 / (epochs * steps) as f64), "loss": 6.93 - 1.5 * (step as f64).ln() / 6.0 + wave,
                "top1": 0.1, "top5": 0.3, "positive": 0.5, "negative": 0.1, "chance": 6.932, "data_s": 0.02, "step_s": 0.4,
                "gradient_norm": if step == 1 { Value::Null } else { json!(1.0 + wave) } }));
        }
        let part = epoch as f64 / epochs as f64;
        let heap = |middle: f64| -> Vec<u64> {
            (0..50).map(|i| (1000.0 * (-((f64::from(i) / 25.0 - 0.98 - middle) / 0.15).powi(2)).exp()) as u64).collect()
        };
        let diagnoses: &[&str] = if epoch + 1 == epochs { &["queue-larger-than-data"] } else { &[] };
        line(
            json!({ "split": "epoch", "wall_s": 1.0, "epoch": epoch, "step": (epoch + 1) * steps, "loss": 6.9 - 1.4 * part,
            "chance": 6.932, "top1": 0.02 + 0.3 * part, "top5": 0.1 + 0.5 * part, "positive": 0.2 + 0.5 * part, "negative": 0.2,
            "alignment": 1.6 - part, "uniformity": -0.5 - 2.0 * part, "feature_std": 0.05, "effective_rank": 10.0 + 40.0 * part,
            "queue_written": 1024, "queue_age": 16.5, "lr": 1e-3, "gradient_norm": 0.7, "probe": null, "diagnoses": diagnoses,
            "similarities": { "positive": heap(0.2 + 0.5 * part), "negative": heap(0.2) } }),
        );
    }
    text
}

/// What `linear` leaves: two fractions, two tasks and their mean, predictions with sex, age and projection.
fn evaluation(folder: &Path) {
    let interval = |estimate: f64| {
        json!({ "estimate": estimate, "lower": estimate - 0.04, "upper": estimate + 0.03, "level": 0.95, "method": "percentile",
            "unit": "patient", "observed": estimate, "standard_error": 0.02, "replicates": 2000, "redrawn": 0, "n": 300,
            "positives": 90, "patients": 200, "seed": 0 })
    };
    let task = |name: &str, auroc: f64| {
        json!({ "task": name, "auroc": interval(auroc), "baseline": interval(auroc - 0.1),
        "difference": interval(0.1) })
    };
    let fraction = |fraction: f64, auroc: f64| {
        let tasks = [task(TASKS[0], auroc), task(TASKS[1], auroc + 0.05), task("mean", auroc + 0.025)];
        json!({ "fraction": fraction, "draws": 5, "images": 2177.0 * fraction, "tasks": tasks })
    };
    for (t, name) in TASKS.iter().enumerate() {
        let mut text = format!("path,patient,study,view,sex,age,projection,label_{name},score_{name}\n");
        for i in 0..240_usize {
            let label = usize::from((i * 7 + t) % 10 < 3);
            // A logit: the label and a wave of a period of its own.
            let score = 1.6 * label as f64 - 1.5 + (i as f64 * 12.9898 + t as f64).sin() * 1.4;
            let (sex, projection) = (["Female", "Male"][i % 2], ["AP", "PA"][i / 3 % 2]);
            writeln!(
                text,
                "test/p{0}/s{i},p{0},p{0}/s{i},frontal,{sex},{1},{projection},{label},{score}",
                i / 2,
                20 + i % 70
            )
            .unwrap();
        }
        let folder = folder.join(name.to_lowercase().replace(' ', "-"));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("predictions.csv"), text).unwrap();
    }
    let fractions = json!([fraction(0.01, 0.62), fraction(0.1, 0.71), fraction(1.0, 0.78)]);
    fs::write(folder.join("linear.json"), fractions.to_string()).unwrap();
}

fn page() -> &'static str {
    static PAGE: OnceLock<String> = OnceLock::new();
    PAGE.get_or_init(|| {
        let run = whole_run();
        let said = succeed(arguments!["report", run, "--features", "--images", "40", "--replicates", "200"]);
        assert!(said.stdout.contains("report.html"), "{}", said.stdout);
        fs::read_to_string(run.join("report.html")).unwrap()
    })
}

/// Values of an attribute, in the order of the page.
fn values<'a>(html: &'a str, attribute: &str) -> Vec<&'a str> {
    html.split(&format!(" {attribute}=\"")).skip(1).map(|rest| rest.split('"').next().unwrap()).collect()
}

#[test]
fn a_whole_run_fills_every_section() {
    let html = page();
    for id in SECTIONS {
        assert!(html.contains(&format!("<section id=\"{id}\">")), "{id}");
    }
    assert!(!html.contains("class=\"absent\"") && !html.contains("could not be read"), "something is missing");
    // Four images with four neighbours each.
    assert_eq!((html.matches("<b>the image</b>").count(), html.matches("alt=\"Radiograph: ").count()), (4, 20));
    for word in [
        "a run with &lt;everything&gt; &amp; a long name",
        "31,234",
        "<title>Synthetic data: a run with &lt;everything&gt; &amp; a long name \u{b7} resnet18, 31,234 images, 100 epochs, seed 0",
        "class=\"stamp\"",
        "InfoNCE",
        "From epoch 6",
        "100 %",
        "0.805",
        "Female",
        "60-79",
        "not labelled with the finding, highest score",
        "not a medical device",
    ] {
        assert!(html.contains(word), "{word}");
    }
}

#[test]
fn the_page_is_complete_in_itself_and_accessible() {
    let html = page();
    for forbidden in ["<script", "http://", "https://", "url(", "@import", "<iframe", "<object"] {
        assert!(!html.contains(forbidden), "{forbidden}");
    }
    assert!(values(html, "src").iter().all(|src| src.starts_with("data:image/png;base64,iVBOR")));
    assert!(
        values(html, "alt").len() == values(html, "src").len() && values(html, "alt").iter().all(|alt| alt.len() > 20)
    );
    let ids = values(html, "id");
    let unique: std::collections::BTreeSet<&&str> = ids.iter().collect();
    assert_eq!(unique.len(), ids.len(), "ids twice: {ids:?}");
    let links = values(html, "href").into_iter().filter_map(|href| href.strip_prefix('#'));
    for link in links {
        assert!(ids.contains(&link), "a link to #{link}");
    }
    assert_eq!(html.matches("<h1>").count(), 1);
    assert_eq!(html.matches("<svg").count(), html.matches("role=\"img\"").count());
    assert!(html.matches("<th").count() - html.matches("<thead").count() == html.matches("<th scope=").count());
    // Images are letters too.
    let after = |(place, part): (usize, &str)| match place {
        0 => part.to_owned(),
        _ => part.split_once('"').map_or_else(String::new, |(_, rest)| rest.to_owned()),
    };
    let shown: String = html.split("base64,").enumerate().map(after).collect();
    for wrong in ["NaN", ">inf", "Infinity", "Some(", "None"] {
        assert!(!shown.contains(wrong), "{wrong}");
    }
}

#[test]
fn what_a_run_lacks_is_said_with_the_command_that_adds_it() {
    let run_folder = scratch("report_bare");
    fs::write(run_folder.join("metrics.jsonl"), metrics(1, 30)).unwrap();
    fs::create_dir(run_folder.join("eval")).unwrap();
    fs::write(run_folder.join("eval/linear.json"), "[{\"fraction\": ").unwrap();
    let out = run_folder.join("page.html");
    succeed(arguments!["report", run_folder, "--out", out, "--title", "Bare", "--quiet"]);
    let html = fs::read_to_string(&out).unwrap();
    for id in SECTIONS.iter().filter(|id| !["pretraining", "similarities", "definitions"].contains(id)) {
        assert!(html.contains(&format!("<section id=\"{id}\" class=\"absent\">")), "{id}");
    }
    assert!(html.contains("<h1>Bare</h1>") && html.contains("moco-cxr linear") && html.contains("moco-cxr finetune"));
    assert!(html.contains("What could not be read") && html.contains("linear.json: "), "the damaged file is named");
}

#[test]
fn folders_and_files_that_will_not_do_are_refused() {
    let folder = scratch("report_refused");
    let failed = run(arguments!["report", folder]);
    assert_eq!(failed.code, Some(1), "{failed:?}");
    assert!(failed.stderr.contains("no run.json"), "{}", failed.stderr);
    fs::write(folder.join("metrics.jsonl"), "").unwrap();
    fs::write(folder.join("report.html"), "<p>my own notes</p>").unwrap();
    let failed = run(arguments!["report", folder]);
    assert!(failed.code == Some(1) && failed.stderr.contains("not a report"), "{failed:?}");
    assert_eq!(fs::read_to_string(folder.join("report.html")).unwrap(), "<p>my own notes</p>");
    let failed = run(arguments!["report", folder, "--data", folder.join("none")]);
    assert!(failed.code == Some(1) && failed.stderr.contains("no such folder"), "{failed:?}");
    assert_eq!(run(arguments!["report", folder, "--replicates", "many"]).code, Some(2));
}

/// At a desk's and a phone's width, light and dark: nothing in the console, every section and picture there, nothing wider
/// than the page, no letters too small or on top of each other. The screenshots stay in the folder of the tests.
#[test]
fn a_browser_shows_it_at_every_width_and_in_both_themes() {
    let Some(browser) = report_browser::browser() else { return };
    let folder = scratch("report_screenshots");
    let mut grounds = Vec::new();
    for (width, dark) in [(1280, false), (1280, true), (390, false), (390, true)] {
        let name = format!("{width}-{}.png", if dark { "dark" } else { "light" });
        let found = report_browser::measure(&browser, page(), width, dark, &folder.join(&name));
        assert_eq!(found["width"], width, "{name}");
        assert_eq!(found["dark"], dark, "{name}");
        assert!(
            found["scroll_width"].as_u64() <= Some(width.into()),
            "{name} is wider than the page: {}",
            found["wide"]
        );
        for (what, why) in [
            ("wide", "reaches beyond the page"),
            ("absent", "section is absent"),
            ("broken_images", "picture is not shown"),
            ("overlaps", "chart has text on text"),
            ("cut", "chart has text beyond its edge"),
            ("unmarked", "box scrolls and does not show it"),
        ] {
            assert_eq!(found[what], json!([]), "{name}: {why}");
        }
        assert_eq!(found["sections"], json!(SECTIONS), "{name}");
        let labels = found["scrolling"].as_array().unwrap().contains(&json!("Labels by image"));
        assert_eq!(labels, width == 390, "{name}: {}", found["scrolling"]);
        // Text of 13 units is some 15 high; scaled to a phone it must stay readable.
        assert!(found["smallest_letters"].as_f64() > Some(11.0), "{name}: {}", found["smallest_letters"]);
        grounds.push(found["ground"].as_str().unwrap().to_owned());
    }
    assert!(grounds[0] == grounds[2] && grounds[1] == grounds[3] && grounds[0] != grounds[1], "{grounds:?}");
}
