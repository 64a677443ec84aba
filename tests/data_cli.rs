//! The commands of the tool that look at data: `splits`, `preview`, `cache`, `audit`, and what `pretrain` does with a
//! cache, a patient pattern and a file that vanishes.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

mod support;

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashSet},
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
    time::{Duration, SystemTime},
};

use moco_cxr::{
    Existing, PretrainSettings, TrainingWatch, Watch,
    cxr_data::{BatchLoader, BatchOptions, Dataset, OnBad, PairBatch, Part, decode, load, preview},
    moco_core::Observer,
    pretrain,
};
use serde_json::Value;
use support::{files, metrics, names, read_json, run, scratch, succeed, synth, tiny_config};
use tempfile::TempDir;

/// A set of 48 px and settings of a tiny run; made once.
struct Made {
    set: PathBuf,
    config: PathBuf,
    images: usize,
}

fn made() -> &'static Made {
    static MADE: OnceLock<Made> = OnceLock::new();
    MADE.get_or_init(|| {
        let folder = scratch("data_cli");
        let (set, summary) = synth(&folder, "set", 5, [20, 4, 6]);
        let images = summary["train"]["images"].as_u64().unwrap() as usize;
        Made { set, config: tiny_config(&folder), images }
    })
}

/// A copy of the set to spoil, and its folder of images and tables.
fn copy() -> (TempDir, PathBuf) {
    let copy = tempfile::tempdir().unwrap();
    for (name, bytes) in files(&made().set) {
        let path = copy.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    let root = copy.path().join("CheXpert-v1.0-small");
    (copy, root)
}

/// Images of a part, as paths below the root, in the order of its table.
fn images(root: &Path, part: Part) -> Vec<PathBuf> {
    let manifest = load(root, Dataset::Chexpert, part).unwrap();
    (0..manifest.len()).map(|row| manifest.image_path(row)).collect()
}

fn json(arguments: &[std::ffi::OsString]) -> Value {
    serde_json::from_str(&succeed(arguments).stdout).unwrap()
}

/// Path -> cells of a CSV with an unnamed first column.
fn rows(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().skip(1).map(|line| line.split(',').nth(1).unwrap().to_owned()).collect()
}

fn patient(path: &str) -> &str {
    path.split('/').find(|part| part.starts_with("patient")).unwrap()
}

// ---- splits ----

#[test]
fn the_papers_draws_come_from_a_row_count() {
    let found = json(&arguments!["splits", "--rows", "223414", "--json"]);
    let golden = read_json(&Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/splits/paper_draws.json"));
    let (found, expected) = (found["splits"].as_array().unwrap(), golden["draws"].as_array().unwrap());
    assert_eq!(found.len(), 21);
    for (found, expected) in found.iter().zip(expected) {
        let name = format!("train_semi_{}-it{}", expected["fraction"], expected["draw"]).replace("1.0-", "1-");
        assert_eq!(found["name"], name.as_str());
        assert_eq!([&found["images"], &found["first"]], [&expected["size"], &expected["first"]], "{name}");
    }
}

#[test]
fn the_papers_draws_of_a_table_are_its_rows() {
    let folder = tempfile::tempdir().unwrap();
    let (table, out) = (folder.path().join("train.csv"), folder.path().join("draws"));
    let row =
        |row: usize| format!("CheXpert-v1.0-small/train/patient{row:05}/study1/view1_frontal.jpg,Female,{row},,1.0\n");
    let text = (0..3000).fold("Path,Sex,Age,No Finding,Edema\n".to_owned(), |text, at| text + &row(at));
    fs::write(&table, text).unwrap();
    let command = arguments!["splits", "--csv", table, "--out", out];
    assert!(succeed(&command).stdout.contains("3000 rows"));
    assert_eq!(names(&out).len(), 21);
    let ten = fs::read_to_string(out.join("train_semi_0.1-it2.csv")).unwrap();
    assert!(ten.starts_with(",Path,Sex,Age,No Finding,Edema\n"), "{ten}");
    for line in ten.lines().skip(1) {
        let (number, cells) = line.split_once(',').unwrap();
        assert_eq!(format!("{cells}\n"), row(number.parse().unwrap()));
    }
    assert_eq!(rows(&out.join("train_semi_1-it0.csv")).len(), 3000);
    let again = run(&command);
    assert_eq!(again.code, Some(1));
    assert!(again.stderr.contains("draws"), "{}", again.stderr);
}

#[test]
fn nested_fractions_and_parts_go_by_patient() {
    let folder = tempfile::tempdir().unwrap();
    let (nested, parts) = (folder.path().join("nested"), folder.path().join("parts"));
    let set = &made().set;
    succeed(arguments![
        "splits",
        "--kind",
        "nested",
        "--data",
        set,
        "--fraction",
        "0.2",
        "--fraction",
        "0.5",
        "--out",
        nested,
        "--quiet"
    ]);
    let [small, large] = ["nested_0.2.csv", "nested_0.5.csv"].map(|name| rows(&nested.join(name)));
    let patients = |rows: &[String]| rows.iter().map(|row| patient(row).to_owned()).collect::<HashSet<_>>();
    assert_eq!([patients(&small).len(), patients(&large).len()], [4, 10]);
    assert!(patients(&small).is_subset(&patients(&large)));

    let found = json(&arguments![
        "splits", "--kind", "patients", "--data", set, "--part", "train", "--seed", "3", "--out", parts, "--quiet",
        "--json"
    ]);
    let parts = ["train.csv", "valid.csv", "test.csv"].map(|name| rows(&parts.join(name)));
    assert_eq!(parts.iter().map(Vec::len).sum::<usize>(), made().images);
    assert_eq!(parts.each_ref().map(|rows| patients(rows).len()), [14, 2, 4]);
    assert_eq!(parts.iter().flat_map(|rows| patients(rows)).collect::<HashSet<_>>().len(), 20);
    assert_eq!(found["splits"][0]["patients"], 14);
    let refused = run(["splits", "--kind", "nested", "--rows", "100"]);
    assert!(refused.code == Some(2) && refused.stderr.contains("--data"), "{}", refused.stderr);
}

/// An option without effect is a misunderstanding; the draws of the paper look like an answer to any question.
#[test]
fn splits_refuse_options_that_they_would_not_look_at() {
    let set = made().set.to_str().unwrap();
    let cases: [(&[&str], &str); 12] = [
        (&["--rows", "100", "--fraction", "0.3"], "--fraction: found with --kind paper"),
        (&["--rows", "100", "--share", "3"], "--share: found with --kind paper"),
        (&["--rows", "100", "--seed", "0"], "--seed: found with --kind paper"),
        (&["--kind", "nested", "--data", set, "--share", "3"], "--share: found with --kind nested"),
        (&["--kind", "patients", "--data", set, "--fraction", "0.5"], "expected with --kind nested"),
        (&["--kind", "shenzhen", "--data", set, "--share", "3"], "expected with --kind patients"),
        (&["--kind", "nested", "--data", set, "--fraction", "1.5"], "above 0 and at most 1, found 1.5"),
        (&["--kind", "nested", "--data", set, "--fraction", "0.5", "--fraction", "0.5"], "0.5 twice"),
        (&["--kind", "patients", "--data", set, "--share", "0"], "shares must be positive"),
        (&["--rows", "0"], "0 is not in 1.."),
        (&["--rows", "100", "--part", "train"], "cannot be used with"),
        (&["--rows", "100", "--dataset", "chexpert"], "cannot be used with"),
    ];
    for (arguments, words) in cases {
        let ran = run(["splits"].iter().chain(arguments));
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{arguments:?}: {ran:?}");
        assert!(ran.stderr.contains(words), "{arguments:?}: {words:?} is not in {}", ran.stderr);
    }
}

#[test]
fn shenzhen_is_split_by_the_papers_rules() {
    let folder = tempfile::tempdir().unwrap();
    let images = folder.path().join("ChinaSet_AllFiles/CXR_png");
    fs::create_dir_all(&images).unwrap();
    // No image is opened: names say it all. As many of each as there are.
    for at in 0..662 {
        fs::write(images.join(format!("CHNCXR_{at:04}_{}.png", u8::from(at >= 326))), b"").unwrap();
    }
    let out = folder.path().join("out");
    let found =
        json(&arguments!["splits", "--kind", "shenzhen", "--data", folder.path(), "--out", out, "--quiet", "--json"]);
    let sizes: BTreeMap<&str, u64> = found["splits"]
        .as_array()
        .unwrap()
        .iter()
        .map(|split| (split["name"].as_str().unwrap(), split["images"].as_u64().unwrap()))
        .collect();
    assert_eq!(sizes.len(), 3 + 8 + 4);
    assert_eq!(sizes["train"] + sizes["valid"] + sizes["test"], 662);
    assert!((95..=104).contains(&sizes["valid"]) && (127..=139).contains(&sizes["test"]), "{sizes:?}");
    let test = rows(&out.join("test.csv"));
    let ill = test.iter().filter(|path| path.ends_with("_1.png")).count() as f64;
    let ratio = (test.len() as f64 - ill) / ill;
    assert!(ratio > 0.9 && ratio < 1.2, "{ratio}");
}

// ---- preview ----

/// The sheet, cut into its views, is the batch that the same settings give the training loop.
#[test]
fn a_preview_is_what_training_sees() {
    let Made { set, config, .. } = made();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("views.png");
    let command = arguments![
        "preview", "--data", set, "--config", config, "--seed", "9", "--epoch", "1", "--batch", "2", "--out", out,
        "--quiet"
    ];
    succeed(&command);

    let settings = PretrainSettings::named("small", set).unwrap().with_file(config).unwrap();
    let manifest = load(set, Dataset::Auto, Part::Train).unwrap();
    let options = BatchOptions { batch_size: settings.train.batch_size, seed: 9, ..BatchOptions::default() };
    let loader = BatchLoader::new(&manifest, settings.views, options).unwrap();
    let batch: PairBatch = loader.pairs(1, 0).unwrap().nth(2).unwrap().unwrap();
    let expected = folder.path().join("expected.png");
    preview::pairs(&batch, 4).unwrap().write_png(&expected).unwrap();
    assert_eq!(decode::read(&out).unwrap(), decode::read(&expected).unwrap());
    assert_eq!(batch.query.dim(), (8, 32, 32));

    let occupied = run(&command);
    assert!(occupied.code == Some(1) && occupied.stderr.contains("already exists"), "{}", occupied.stderr);
    let beyond = run(arguments![
        "preview",
        "--data",
        set,
        "--config",
        config,
        "--batch",
        "999",
        "--out",
        folder.path().join("x.png")
    ]);
    assert!(beyond.code == Some(1) && beyond.stderr.contains("999"), "{}", beyond.stderr);
}

// ---- cache ----

fn cached(report: &Value) -> [u64; 4] {
    ["reused", "added", "stale", "damaged"].map(|field| report[field].as_u64().unwrap())
}

#[test]
fn a_cache_is_completed_and_mended() {
    let (copy, root) = copy();
    let folder = copy.path().join("cache");
    let n = made().images as u64;
    let cache = |more: &[&str]| {
        let command =
            arguments!["cache", "--data", root, "--config", made().config, "--cache", folder, "--json", "--quiet"];
        let more = more.iter().map(Into::into);
        serde_json::from_str(&succeed(command.into_iter().chain(more)).stdout).unwrap()
    };
    assert_eq!(cached(&cache(&[])), [0, n, 0, 0]);
    assert_eq!(cached(&cache(&["--verify"])), [n, 0, 0, 0]);

    let image = &images(&root, Part::Train)[3];
    let later = SystemTime::now() + Duration::from_secs(5);
    fs::File::options().write(true).open(image).unwrap().set_modified(later).unwrap();
    assert_eq!(cached(&cache(&[])), [n - 1, 0, 1, 0]);

    let data = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|e| e == "bin"));
    let data = data.unwrap();
    let mut bytes = fs::read(&data).unwrap();
    bytes[7] ^= 0x55;
    fs::write(&data, bytes).unwrap();
    assert_eq!(cached(&cache(&["--verify"])), [n - 1, 0, 0, 1]);
    assert_eq!(cached(&cache(&["--verify"])), [n, 0, 0, 0]);

    // A damaged image: an error, or counted.
    fs::write(image, b"").unwrap();
    let command = arguments!["cache", "--data", root, "--config", made().config, "--cache", folder];
    let failed = run(&command);
    assert!(failed.code == Some(1) && failed.stderr.contains("the file is empty"), "{}", failed.stderr);
    let report = cache(&["--on-bad-image", "skip"]);
    assert_eq!(report["unreadable"].as_array().unwrap().len(), 1);
}

/// Every loss to the last bit, with a cache and without, and a run that is told of it in one line.
#[test]
fn a_run_with_a_cache_is_the_run_without() {
    let Made { set, config, images } = made();
    let folder = tempfile::tempdir().unwrap();
    let (plain, from_cache) = (folder.path().join("plain"), folder.path().join("from_cache"));
    let cache = folder.path().join("cache");
    succeed(arguments!["pretrain", "--data", set, "--config", config, "--out", plain, "--quiet"]);
    let ran = succeed(arguments!["pretrain", "--data", set, "--config", config, "--cache", cache, "--out", from_cache]);
    assert!(ran.stderr.contains(&format!("{images} added")), "{}", ran.stderr);
    assert_eq!(
        cached(&json(&arguments!["cache", "--config", from_cache.join("config.toml"), "--json"])),
        [*images as u64, 0, 0, 0]
    );
    let losses = |run: &Path| -> Vec<Value> { metrics(run).into_iter().map(|line| line["loss"].clone()).collect() };
    assert_eq!(losses(&from_cache), losses(&plain));
}

// ---- patients by pattern ----

#[test]
fn a_pattern_supplies_the_patients_of_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let flat = folder.path().join("images");
    fs::create_dir(&flat).unwrap();
    for path in images(&made().set.join("CheXpert-v1.0-small"), Part::Train) {
        let name = path.to_string_lossy();
        let name = name[name.find("patient").unwrap()..].replace('/', "_");
        fs::copy(&path, flat.join(name)).unwrap();
    }
    let audit = |more: &[&str]| {
        let command = arguments!["audit", "--data", flat, "--json"];
        let report: Value =
            serde_json::from_str(&run(command.into_iter().chain(more.iter().map(Into::into))).stdout).unwrap();
        report["subsets"][0]["patients"].clone()
    };
    assert_eq!(audit(&[]), Value::Null);
    let pattern = "^(patient[0-9]+)_";
    assert_eq!(audit(&["--patient-regex", pattern]), 20);

    let out = folder.path().join("run");
    succeed(arguments![
        "pretrain",
        "--data",
        flat,
        "--config",
        made().config,
        "--patient-regex",
        pattern,
        "--out",
        out,
        "--quiet"
    ]);
    assert_eq!(read_json(&out.join("run.json"))["data"]["patients_known"], true);
    assert!(fs::read_to_string(out.join("config.toml")).unwrap().contains("patient_regex"));
    let whole = run(arguments!["audit", "--data", flat, "--patient-regex", "patient"]);
    assert!(whole.code == Some(2) && whole.stderr.contains("it has no group"), "{}", whole.stderr);
    let none = run(arguments!["audit", "--data", flat, "--patient-regex", "nobody([0-9]+)"]);
    assert!(none.code == Some(1) && none.stderr.contains("finds no patient"), "{}", none.stderr);
}

#[test]
fn a_cache_that_is_a_file_is_left_alone() {
    let Made { set, config, .. } = made();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine");
    fs::write(&file, "mine").unwrap();
    let ran = run(arguments!["cache", "--data", set, "--config", config, "--cache", file]);
    assert_eq!((ran.code, fs::read_to_string(&file).unwrap().as_str()), (Some(1), "mine"));
    assert!(ran.stderr.contains("mine, which is a file, expected the folder of a cache"), "{}", ran.stderr);
}

// ---- audit ----

/// Runs the audit, which must object in one line with these words.
fn objects(root: &Path, words: &[&str]) {
    let ran = run(arguments!["audit", "--data", root]);
    assert_eq!(ran.code, Some(1), "{}", ran.stdout);
    for word in words {
        assert!(ran.stderr.contains(word), "{word:?} is not in: {}", ran.stderr);
    }
    assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
}

#[test]
fn an_audit_passes_the_synthetic_set_and_finds_what_is_planted() {
    succeed(arguments!["audit", "--data", made().set]);

    // A patient of the test part among the training rows.
    let (_copy, root) = copy();
    let (train, valid) = (images(&root, Part::Train), images(&root, Part::Valid));
    let table = root.join("valid.csv");
    let [stolen, own] = [&train[0], &valid[0]].map(|path| patient(path.to_str().unwrap()).to_owned());
    fs::rename(root.join("valid").join(&own), root.join("valid").join(&stolen)).unwrap();
    fs::write(&table, fs::read_to_string(&table).unwrap().replace(&own, &stolen)).unwrap();
    objects(&root, &["leak", &stolen]);

    // The same pixels under two patients.
    let (_copy, root) = copy();
    let train = images(&root, Part::Train);
    let last = train.last().unwrap();
    fs::copy(&train[0], last).unwrap();
    objects(&root, &["duplicate", patient(last.to_str().unwrap())]);

    // Across parts.
    let (_copy, root) = copy();
    fs::copy(&images(&root, Part::Train)[0], &images(&root, Part::Valid)[0]).unwrap();
    objects(&root, &["leak", "pixel for pixel"]);

    // A file that is not there.
    let (_copy, root) = copy();
    let missing = &images(&root, Part::Train)[3];
    fs::remove_file(missing).unwrap();
    objects(&root, &["unreadable: train train/", patient(missing.to_str().unwrap())]);

    // A row that was copied.
    let (_copy, root) = copy();
    let table = root.join("train.csv");
    let text = fs::read_to_string(&table).unwrap();
    fs::write(&table, format!("{text}{}\n", text.lines().nth(3).unwrap())).unwrap();
    objects(&root, &["train.csv line", "every image once (line 4 lists it too)"]);

    // A file that ends early.
    let (_copy, root) = copy();
    let bad = &images(&root, Part::Train)[2];
    let bytes = fs::read(bad).unwrap();
    fs::write(bad, &bytes[..bytes.len() / 2]).unwrap();
    objects(&root, &["unreadable", patient(bad.to_str().unwrap())]);
}

#[test]
fn an_audit_has_no_section_of_a_part_that_is_not_there() {
    let folder = scratch("data_cli_empty");
    let (set, _) = synth(&folder, "set", 2, [4, 0, 2]);
    let text = succeed(arguments!["audit", "--data", set]).stdout;
    let section = |part: &str| text.split("\n## ").find(|section| section.starts_with(&format!("{part}\n")));
    assert!(section("valid").is_none(), "{text}");
    assert!(section("test").is_some_and(|test| test.contains("| Pleural Effusion |")), "{text}");
}

#[test]
fn many_faults_are_counted_in_one_short_line() {
    let (_copy, root) = copy();
    let train = images(&root, Part::Train);
    for image in [0, 1, 2, 3] {
        fs::write(&train[image], b"").unwrap();
    }
    let ran = run(arguments!["audit", "--data", root]);
    assert_eq!((ran.code, ran.stderr.lines().count()), (Some(1), 1), "{}", ran.stderr);
    assert!(ran.stderr.contains("; and 3 more faults, see the report"), "{}", ran.stderr);
    assert_eq!(ran.stderr.matches("unreadable").count(), 1, "{}", ran.stderr);
    assert_eq!(ran.stdout.lines().filter(|line| line.starts_with("- unreadable")).count(), 4, "{}", ran.stdout);
}

#[test]
fn an_audit_passes_real_sets() {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let data = std::env::var_os("MOCO_CXR_TEST_DATA").map_or(default, PathBuf::from);
    if !data.is_dir() {
        println!("skipped: no real images (MOCO_CXR_TEST_DATA names their folder)");
        return;
    }
    for (set, images) in [("chexpert-layout/CheXpert-v1.0-small", 806), ("shenzhen-128", 200), ("shenzhen-sample", 11)]
    {
        let report = json(&arguments!["audit", "--data", data.join(set), "--json"]);
        assert_eq!(report["subsets"][0]["images"], images, "{set}");
    }
}

// ---- during a run ----

/// Deletes an image, or puts another in its place, once the run has looked at all of them, and keeps the remarks.
struct Vanishing {
    image: PathBuf,
    by: Option<Vec<u8>>,
    notes: RefCell<Vec<String>>,
}

impl Observer for Vanishing {}

impl Watch for Vanishing {
    fn note(&self, text: &str) {
        self.notes.borrow_mut().push(text.to_owned());
    }
}

impl TrainingWatch for Vanishing {
    fn start(&mut self, _: u64, _: u64) {
        match &self.by {
            None => fs::remove_file(&self.image).unwrap(),
            Some(bytes) => fs::write(&self.image, bytes).unwrap(),
        }
    }
}

#[test]
fn an_image_that_vanishes_ends_the_run_or_is_replaced_and_named() {
    let (copy, root) = copy();
    let mut settings = PretrainSettings::named("small", &root).unwrap().with_file(&made().config).unwrap();
    settings.train.epochs = 2;
    // One batch holds all, so that the image is met in every epoch.
    settings.train.batch_size = made().images;
    settings.train.moco.groups = 1;
    let image = images(&root, Part::Train)[1].clone();
    let whole = fs::read(&image).unwrap();
    let mut watch = Vanishing { image: image.clone(), by: None, notes: RefCell::default() };
    let fault = pretrain(&settings, &copy.path().join("failed"), Existing::Refuse, &mut watch).unwrap_err().to_string();
    assert!(fault.contains(image.file_name().unwrap().to_str().unwrap()), "{fault}");

    fs::write(&image, whole).unwrap();
    settings.data.on_bad = OnBad::Skip;
    pretrain(&settings, &copy.path().join("run"), Existing::Refuse, &mut watch).unwrap();
    let name = image.strip_prefix(&root).unwrap().display().to_string();
    let named = watch.notes.borrow().iter().any(|note| note.contains(&name) && note.contains("2 times"));
    assert!(named, "{:?}", watch.notes);
}

/// Another radiograph under the name of one that was looked at: never trained on without a word, and seen at a resume, too.
#[test]
fn an_image_that_is_replaced_ends_the_run_and_a_resume() {
    let (copy, root) = copy();
    let mut settings = PretrainSettings::named("small", &root).unwrap().with_file(&made().config).unwrap();
    settings.train.epochs = 1;
    settings.train.batch_size = made().images;
    settings.train.moco.groups = 1;
    let train = images(&root, Part::Train);
    let (image, other) = (train[1].clone(), fs::read(&train[2]).unwrap());
    let whole = fs::read(&image).unwrap();
    let name = image.file_name().unwrap().to_str().unwrap();
    let run_to = |settings: &PretrainSettings, out: &str, existing, by: Option<&[u8]>| {
        let out = copy.path().join(out);
        // A run that nothing is done to writes its image as it is.
        let by = by.unwrap_or(&fs::read(&image).unwrap()).to_vec();
        let mut watch = Vanishing { image: image.clone(), by: Some(by), notes: RefCell::default() };
        let fault = pretrain(settings, &out, existing, &mut watch).err().map(|fault| fault.to_string());
        (fault.unwrap_or_default(), watch.notes.into_inner().join("\n"))
    };

    let (fault, _) = run_to(&settings, "swapped", Existing::Refuse, Some(&other));
    assert!(fault.contains(name) && fault.contains("was replaced while it was in use: it was"), "{fault}");
    assert!(fault.contains(&format!("is {} bytes, last changed", other.len())), "{fault}");

    // Images in memory are not read again, and a touched file is the same image.
    fs::write(&image, &whole).unwrap();
    settings.data.in_memory = true;
    assert_eq!(run_to(&settings, "in-memory", Existing::Refuse, Some(&other)).0, "");
    fs::write(&image, &whole).unwrap();
    settings.data.in_memory = false;
    assert_eq!(run_to(&settings, "run", Existing::Refuse, None).0, "");

    // Between the run and its resume, with a cache and without.
    settings.train.epochs = 2;
    fs::write(&image, &other).unwrap();
    for cache in [None, Some(copy.path().join("cache"))] {
        settings.data.cache = cache.unwrap_or_default();
        let (fault, _) = run_to(&settings, "run", Existing::Resume, None);
        assert!(fault.contains(name) && fault.contains(&format!("it was {} bytes", whole.len())), "{fault}");
    }
    settings.data.cache = PathBuf::new();
    fs::write(&image, &whole).unwrap();
    let (fault, notes) = run_to(&settings, "run", Existing::Resume, None);
    assert_eq!(fault, "");
    assert!(!notes.contains("not what they were"), "{notes}");

    // Damaged, it says so and goes on.
    settings.train.epochs = 3;
    fs::write(copy.path().join("run/images.txt"), "moco-cxr images 1\n").unwrap();
    let (fault, notes) = run_to(&settings, "run", Existing::Resume, None);
    assert_eq!(fault, "");
    assert!(notes.contains("not checked: whether images were replaced"), "{notes}");
}
