//! `explain`, as a person runs it: the heat maps are those that the features before pooling and the exported head say.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use moco_cxr::{
    DeviceChoice, Weights,
    backbones::{Arch, Linear},
    burn::tensor::{Device, Tensor, TensorData},
    eval::{Scores, read_predictions},
    weights::export_weights,
};
use support::{Ran, names, npy, read_json, run, scratch, succeed, synth, table};

const TASKS: [&str; 2] = ["Pleural Effusion", "Cardiomegaly"];
const SIDE: u32 = 64; // maps of 2 x 2
/// Pixels between the pictures of a sheet.
const GAP: u32 = 4;
/// Further pixels between an image with its overlay and the next, and the side of a picture on a sheet.
const APART: u32 = 12;
const SHOWN: u32 = 2 * SIDE;
/// Pixels of a line of a caption, and from a row of pictures with so many lines to the next.
const LINE: u32 = 13;
const fn pitch(lines: u32) -> u32 {
    SHOWN + lines * LINE + 3 * GAP
}

/// A drawn set, a classifier that was never trained, and its scores of the test part; made once.
struct Made {
    folder: PathBuf,
    set: PathBuf,
    classifier: PathBuf,
    backbone: PathBuf,
    scores: Scores,
}

/// The weight of a task and a channel in the head.
fn weight(task: usize, channel: usize) -> f64 {
    ((channel * (2 * task + 1)) as f64 + task as f64).sin() / 8.0
}

fn made() -> &'static Made {
    static MADE: OnceLock<Made> = OnceLock::new();
    MADE.get_or_init(|| {
        let folder = scratch("explain_cli");
        let (set, _) = synth(&folder, "set", 6, [2, 0, 6]);
        let mut drawn = Weights::random(Arch::ResNet18, SIDE as usize);
        drawn.device = DeviceChoice::CPU;
        let mut network = drawn.load(&()).unwrap();
        let (backbone, classifier) = (folder.join("backbone"), folder.join("classifier"));
        export_weights(&network, &backbone, false).unwrap();
        let weights: Vec<f64> = (0..2 * 512).map(|place| weight(place / 512, place % 512)).collect();
        let device = Device::flex();
        let weights = Tensor::from_data(TensorData::new(weights, [2, 512]), &device);
        network.head = Some(Linear::new(weights, Tensor::from_data([0.25, -0.5], &device)));
        network.labels = TASKS.map(String::from).to_vec();
        export_weights(&network, &classifier, false).unwrap();
        let out = folder.join("scores.csv");
        succeed(arguments![
            "predict",
            "--data",
            set,
            "--weights",
            classifier,
            "--part",
            "test",
            "--out",
            out,
            "--quiet"
        ]);
        Made { scores: read_predictions(&out).unwrap(), folder, set, classifier, backbone }
    })
}

fn command(weights: &Path, out: &Path, more: &[&str]) -> Vec<OsString> {
    let words = arguments!["explain", "--data", made().set, "--weights", weights, "--out", out];
    words.into_iter().chain(more.iter().map(OsString::from)).collect()
}

fn explain(name: &str, more: &[&str]) -> (Ran, PathBuf, Vec<BTreeMap<String, String>>) {
    let out = made().folder.join(name);
    let ran = succeed(command(&made().classifier, &out, more));
    let lines = table(&out.join("explain.csv"));
    (ran, out, lines)
}

fn number(text: &str) -> f64 {
    text.parse().unwrap()
}

#[test]
fn named_images_have_an_overlay_for_each_task_and_the_maps_of_the_formula() {
    let Made { folder, set, scores, .. } = made();
    let rows = scores.rows();
    let more = ["--image", &rows[3].path, "--image", &rows[0].path, "--image", &rows[3].path];
    let (ran, out, lines) = explain("named", &more);
    assert!(ran.stdout.contains("4 heat maps of 2 images"), "{}", ran.stdout);
    let pictures: Vec<String> = lines.iter().map(|line| line["file"].clone()).collect();
    let expected =
        ["0001-pleural-effusion.png", "0002-cardiomegaly.png", "0003-pleural-effusion.png", "0004-cardiomegaly.png"];
    assert_eq!(pictures, expected);
    assert_eq!(names(&out), [&expected[..], &["explain.csv", "explain.json", "maps.npy", "sheet.png"]].concat());

    let dense = folder.join("dense");
    succeed(arguments![
        "embed",
        "--data",
        set,
        "--weights",
        made().classifier,
        "--part",
        "test",
        "--dense",
        "--out",
        dense,
        "--quiet"
    ]);
    let (shape, features) = npy(&dense.join("features_dense.npy"));
    assert_eq!(shape[1..], [512, 2, 2]);
    let (shape, maps) = npy(&out.join("maps.npy"));
    assert_eq!(shape, [4, 2, 2]);
    for (line, (place, task)) in [(3, 0), (3, 1), (0, 0), (0, 1)].into_iter().enumerate() {
        let cells = &lines[line];
        assert_eq!((&*cells["image"], &*cells["task"], &*cells["chosen"]), (&*rows[place].path, TASKS[task], "named"));
        let probability = number(&cells["probability"]);
        // f32, other sizes of batches.
        assert!((probability - scores.scores()[[place, task]]).abs() < 1e-5, "{cells:?}");
        assert!((probability - 1.0 / (1.0 + (-number(&cells["logit"])).exp())).abs() < 1e-12);
        let label = scores.labels()[[place, task]];
        let known =
            if label.is_nan() { cells["label"] == "-1" } else { number(&format!("0{}", cells["label"])) == label };
        assert!(known, "{cells:?}, {label}");
        // The head is linear in the mean over the four positions, so that the weight of a channel is a quarter of the head's.
        for position in 0..4 {
            let at = |channel: usize| f64::from(features[(place * 512 + channel) * 4 + position]);
            let products: Vec<f64> = (0..512).map(|channel| weight(task, channel) / 4.0 * at(channel)).collect();
            let tolerance = 1e-5 * products.iter().map(|product| product.abs()).sum::<f64>() + 1e-6;
            let found = f64::from(maps[line * 4 + position]);
            assert!(
                (found - products.iter().sum::<f64>().max(0.0)).abs() < tolerance,
                "line {line}, {position}: {found}"
            );
        }
    }

    let open = |name: &str| image::open(out.join(name)).unwrap().into_rgb8();
    let overlays: Vec<_> = expected.iter().map(|name| open(name)).collect();
    assert!(overlays.iter().all(|picture| picture.dimensions() == (SIDE, SIDE)), "the size of the view");
    assert_ne!(overlays[0], overlays[1], "another task");
    assert_ne!(overlays[0], overlays[2], "another image");
    let sheet = open("sheet.png");
    assert_eq!(sheet.width(), 4 * (SHOWN + GAP) - GAP + APART);
    let above = above(&sheet, 2 * pitch(4));
    let part = |row: u32, column: u32| {
        let (left, top) = (column * (SHOWN + GAP) + column / 2 * APART, above + row * pitch(4));
        image::RgbImage::from_fn(SIDE, SIDE, |x, y| {
            let of = |dx, dy| *sheet.get_pixel(left + 2 * x + dx, top + 2 * y + dy);
            assert!(of(0, 0) == of(1, 0) && of(0, 0) == of(0, 1) && of(0, 0) == of(1, 1), "each pixel takes four");
            of(0, 0)
        })
    };
    assert_eq!([part(0, 1), part(0, 3), part(1, 1), part(1, 3)].as_slice(), overlays);
    assert!(part(0, 0) == part(0, 2) && part(0, 0).pixels().all(|p| p[0] == p[1] && p[1] == p[2]), "the image in grey");
    // Below each pair four lines: two of what it is, two of its path, which a private sheet does not have.
    let (_, out_private, _) = explain("named-private", &[&more[..], &["--private"]].concat());
    let private = image::open(out_private.join("sheet.png")).unwrap().into_rgb8();
    assert_eq!(sheet.height() - private.height(), 2 * 2 * LINE);
    let lines = |sheet: &image::RgbImage, (row, lines): (u32, u32), column: u32| -> Vec<usize> {
        let (left, top) = (column * (SHOWN + GAP) + column / 2 * APART, above + row * pitch(lines) + SHOWN + GAP);
        let white = |x: u32, y: u32| sheet.get_pixel(x, y).0 == [255; 3];
        let line = |line: u32| {
            (top + line * LINE..top + (line + 1) * LINE).flat_map(|y| (left..left + 2 * SHOWN).map(move |x| (x, y)))
        };
        (0..lines).map(|n| line(n).filter(|&(x, y)| white(x, y)).count()).collect()
    };
    for (row, column) in [(0, 0), (0, 2), (1, 0), (1, 2)] {
        let [open, private] = [lines(&sheet, (row, 4), column), lines(&private, (row, 2), column)];
        // A letter has some ten pixels; the shortest line is "with the finding" or a name such as "patient00005".
        assert!(open[..3].iter().all(|&white| white > 60), "{open:?}");
        assert_eq!(private, open[..2], "the same, without names");
    }
    let (one, ..) = explain("one", &["--image", &rows[3].path, "--task", "Cardiomegaly"]);
    assert!(one.stdout.ends_with("sheet.png: 1 heat map of 1 image\n"), "{}", one.stdout);
    let about = read_json(&out.join("explain.json"));
    assert!(about["method"].as_str().unwrap().starts_with("Grad-CAM"), "{about}");
}

#[test]
fn images_that_are_not_named_are_the_surest_hits_and_the_worst_errors() {
    let Made { scores, .. } = made();
    let (_, out, lines) = explain("chosen", &["--task", "cardiomegaly", "--images", "3", "--json"]);
    let of = |wanted: f64| {
        let places = (0..scores.rows().len()).filter(|&place| scores.labels()[[place, 1]] == wanted);
        let mut found: Vec<(f64, &str)> =
            places.map(|place| (scores.scores()[[place, 1]], &*scores.rows()[place].path)).collect();
        found.sort_by(|a, b| b.0.total_cmp(&a.0));
        found
    };
    let (positive, negative) = (of(1.0), of(0.0));
    assert!(positive.len() > 1 && !negative.is_empty(), "{positive:?}");
    let found: Vec<(&str, &str)> = lines.iter().map(|line| (&*line["image"], &*line["chosen"])).collect();
    let expected = [
        (positive[0].1, "with the finding"),
        (positive[positive.len() - 1].1, "with the finding, lowest score"),
        (negative[0].1, "not labelled with the finding, highest score"),
    ];
    assert_eq!(found, expected);
    assert!(lines.iter().all(|line| line["task"] == "Cardiomegaly"));
    let sheet = image::open(out.join("sheet.png")).unwrap().into_rgb8();
    assert_eq!(sheet.width(), 6 * (SHOWN + GAP) - GAP + 2 * APART);
    above(&sheet, pitch(4));
}

/// Pixels above the pictures, whose rows and captions take so many: some lines of text.
fn above(sheet: &image::RgbImage, pictures: u32) -> u32 {
    let above = sheet.height() + GAP - pictures;
    assert!(above > 2 * GAP && (above - 2 * GAP).is_multiple_of(LINE) && above < SHOWN, "{above}");
    above
}

#[test]
fn what_cannot_be_explained_is_refused_and_leaves_nothing() {
    let Made { folder, set, classifier, backbone, scores } = made();
    let out = folder.join("never");
    let refused = |weights: &Path, code: i32, more: &[&str], words: &[&str]| {
        let ran = run(command(weights, &out, more));
        assert_eq!(ran.code, Some(code), "{more:?}: {}", ran.stderr);
        assert!(words.iter().all(|word| ran.stderr.contains(word)), "{more:?}: {}", ran.stderr);
        assert!(!out.exists(), "{more:?}");
    };
    let advice = ["has no scores", "an exported classifier", "`moco-cxr linear` and `finetune`"];
    refused(backbone, 1, &[], &advice);
    refused(classifier, 1, &["--task", "Cardiomegally"], &["unknown", "Cardiomegally", "Cardiomegaly"]);
    let misspelt = scores.rows()[0].path.replace("view1", "view7");
    refused(classifier, 1, &["--image", &misspelt], &["image: found", "view7", "such as", "view1"]);
    let train = &["--part", "train", "--image", &scores.rows()[0].path];
    refused(classifier, 1, train, &["which none of the", "images is called"]);
    refused(classifier, 2, &["--images", "0"], &["--images: found 0, expected at least 1"]);
    refused(classifier, 2, &["--images", "2", "--image", "a.jpg"], &["cannot be used with"]);
    refused(classifier, 1, &["--image-size", "32"], &["image size: found 32, expected 64"]);
    let words = arguments!["explain", "--data", folder.join("gone"), "--weights", classifier, "--out", out];
    let gone = run(words);
    assert!(gone.code == Some(1) && gone.stderr.contains("expected the folder of a data set"), "{}", gone.stderr);
    let inside = set.join("heat");
    let ran = run(command(classifier, &inside, &[]));
    assert_eq!((ran.code, inside.exists()), (Some(2), false), "{}", ran.stderr);
    assert!(ran.stderr.contains("would count as one of them"), "{}", ran.stderr);
    let taken = folder.join("taken");
    fs::create_dir(&taken).unwrap();
    fs::write(taken.join("mine"), "").unwrap();
    let full = run(command(classifier, &taken, &[]));
    assert!(full.code == Some(1) && full.stderr.contains("not empty"), "{}", full.stderr);
}
