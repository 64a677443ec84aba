//! What must never reach a result: rows that were fitted, chosen and reported on at once, images that weights were trained
//! on, scores of other images, conditions that nobody wrote down. The library first, then the tool.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::{
    cell::RefCell,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use moco_cxr::{
    Baseline, Error, FineTuneSettings, Labels, Protocol, Result, Scoring, Sources, Study, ValidFrom, Weights,
    backbones::Arch,
    burn::tensor::Device,
    cxr_data::{Part, Pixels, Radiograph, Role, ViewConfig},
    data::{Lineage, Parts, Pretraining},
    eval::{Knn, Trained},
    load_weights,
    weights::export_weights,
};
use support::{Ran, files, names, read_json, run, succeed};
use tempfile::TempDir;

/// An image of 40 x 36 pixels that depends on a number.
fn image(number: usize) -> Radiograph {
    let value = |at: usize| ((at * (number + 3)) % 251 + at / 40) as u8;
    Radiograph::new(40, 36, Pixels::U8((0..40 * 36).map(value).collect())).unwrap()
}

/// A plain folder of these images, a patient each (unless patients are unknown), every second one positive.
fn flat(folder: &Path, name: &str, numbers: impl IntoIterator<Item = usize>, patients: bool) -> PathBuf {
    let root = folder.join(name);
    fs::create_dir(&root).unwrap();
    let mut table = if patients { "path,effusion,patient\n" } else { "path,effusion\n" }.to_owned();
    for number in numbers {
        image(number).write_png(&root.join(format!("{number}.png"))).unwrap();
        let patient = if patients { format!(",p{number}") } else { String::new() };
        table += &format!("{number}.png,{}{patient}\n", number % 2);
    }
    fs::write(root.join("labels.csv"), table).unwrap();
    root
}

fn sources(train: &Path, valid: Option<&Path>, test: Option<&Path>) -> Sources {
    let mut sources = Sources::new(train);
    sources.valid = valid.map_or(ValidFrom::Nowhere, |dir| ValidFrom::Folder(dir.into()));
    sources.test = test.map(Into::into);
    sources
}

fn parts(train: &Path, valid: Option<&Path>, test: Option<&Path>) -> Result<Parts> {
    sources(train, valid, test).parts(1, None, &())
}

fn leaks<T: std::fmt::Debug>(outcome: Result<T>, words: &[&str]) {
    let message = outcome.unwrap_err().to_string();
    for word in words {
        assert!(message.contains(word), "{word:?} is not in: {message}");
    }
}

/// Weights in a new folder that say they were trained on these images; nobody knows on which, without.
fn trained_on(folder: &Path, lineage: Option<&Lineage>) -> Weights {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let out = folder.join(format!("weights-{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
    let random = load_weights("random", Some(Arch::ResNet18Narrow), 0, &Device::flex()).unwrap();
    assert_eq!(random.lineage(), &Lineage::none());
    export_weights(&random, &out, false).unwrap();
    match lineage {
        Some(lineage) => fs::write(out.join("trained_on.json"), serde_json::to_string(lineage).unwrap()).unwrap(),
        None => fs::remove_file(out.join("trained_on.json")).unwrap(),
    }
    Weights::new(out.display().to_string())
}

/// Random weights for images of 32 pixels.
fn small() -> Weights {
    Weights::random(Arch::ResNet18Narrow, 32)
}

#[test]
fn rows_are_fitted_chosen_or_reported_on_and_never_two_of_these() {
    let folder = tempfile::tempdir().unwrap();
    for patients in [false, true] {
        let name = |letter: &str| format!("{letter}-{patients}");
        let a = flat(folder.path(), &name("a"), 0..12, patients);
        let b = flat(folder.path(), &name("b"), 20..26, patients);
        let c = flat(folder.path(), &name("c"), 30..36, patients);
        assert_eq!(parts(&a, Some(&b), Some(&c)).unwrap().test().readable().len(), 6);
        leaks(parts(&a, Some(&b), Some(&b)), &["leak: test and valid share 6"]);
        leaks(parts(&a, None, Some(&a)), &["leak: train and test share 12"]);
        leaks(parts(&a, Some(&a), Some(&c)), &["leak: train and valid share 12"]);
        // The set itself by another path: its own share to choose on, not all of it.
        let again = b.join("..").join(name("a"));
        let divided = parts(&a, Some(&again), None).unwrap();
        assert_eq!(
            [divided.train(), divided.valid().unwrap(), divided.test()]
                .map(|rows| rows.readable().len())
                .iter()
                .sum::<usize>(),
            12
        );

        // One image of the test part is also a training image, under another name and patient.
        let d = flat(folder.path(), &name("d"), 40..46, patients);
        image(3).write_png(&d.join("44.png")).unwrap();
        leaks(
            parts(&a, Some(&b), Some(&d)),
            &["leak: train and test share 1 image(s), pixel for pixel: 3.png = 44.png"],
        );
    }
}

#[test]
fn weights_are_not_evaluated_on_what_they_were_trained_on() {
    let folder = tempfile::tempdir().unwrap();
    let seen = flat(folder.path(), "seen", 0..8, false);
    let other = flat(folder.path(), "other", 10..18, true);
    let test = flat(folder.path(), "test", 20..26, true);
    let of = |dir: &Path| Sources::new(dir).rows(Part::Train, &ViewConfig::eval(32), &()).unwrap().origin().clone();
    let trained = |role, dir: &Path| trained_on(folder.path(), Some(&Lineage::none().then(role, Some(&of(dir)))));
    let evaluated = |test: &Path, weights: &Weights| {
        let notes = RefCell::new(Vec::new());
        let watch = |text: &str| notes.borrow_mut().push(text.to_owned());
        let study = Study::open(
            &sources(&other, None, Some(test)),
            weights,
            &Labels::new(["effusion"]),
            &Protocol::default(),
            &watch,
        );
        let found = study.map(|study| study.pretraining());
        found.map(|found| (found, notes.borrow().join("\n")))
    };

    let loaded = trained(Role::Pretrain, &seen);
    let (found, notes) = evaluated(&test, &loaded).unwrap();
    assert_eq!(found, Pretraining::Checked);
    assert!(notes.contains("8 images are decoded to compare them"), "patients are unknown: {notes}");
    // The same pixels under another name, in a folder that knows its patients.
    image(5).write_png(&test.join("22.png")).unwrap();
    leaks(evaluated(&test, &loaded), &["leak: pretraining and test share 1 image(s)", "5.png = 22.png"]);
    image(22).write_png(&test.join("22.png")).unwrap();

    // Where patients are known on both sides, their ids are enough, and no image is opened.
    let known = flat(folder.path(), "known", 50..54, true);
    let by_patients = trained(Role::Pretrain, &known);
    fs::write(known.join("50.png"), "no image").unwrap();
    let (found, notes) = evaluated(&test, &by_patients).unwrap();
    assert_eq!(found, Pretraining::Checked);
    assert!(!notes.contains("are decoded"), "{notes}");

    // Roles: what a checkpoint was chosen on may be chosen on again, but not reported on.
    let chosen = trained(Role::Valid, &test);
    leaks(evaluated(&test, &chosen), &["leak: the choice of the weights and test share 6 patient(s)"]);
    let fitted = trained(Role::Train, &test);
    leaks(evaluated(&test, &fitted), &["leak: the training of the weights and test share 6 patient(s)"]);

    // Rows taken out of the table afterwards: nobody can say any more which they were. Nor when the folder is gone.
    let table = fs::read_to_string(seen.join("labels.csv")).unwrap();
    fs::write(seen.join("labels.csv"), table.replace("5.png,1\n", "")).unwrap();
    leaks(evaluated(&test, &loaded), &["seen", "changed rows", "--unchecked-pretraining"]);
    fs::write(seen.join("labels.csv"), table).unwrap();
    fs::write(seen.join("5.png"), "").unwrap();
    leaks(evaluated(&test, &loaded), &["1 images that cannot be read", "5.png", "--unchecked-pretraining"]);
    fs::remove_dir_all(&seen).unwrap();
    leaks(evaluated(&test, &loaded), &["seen", "--unchecked-pretraining"]);

    // Weights that began from somebody's file, and random ones.
    let foreign = trained_on(folder.path(), None);
    let (found, notes) = evaluated(&test, &foreign).unwrap();
    assert_eq!(found, Pretraining::Unchecked);
    assert!(notes.contains("not checked"), "{notes}");
    let (found, notes) = evaluated(&test, &small()).unwrap();
    assert_eq!(found, Pretraining::None);
    assert!(!notes.contains("not checked"), "{notes}");
}

/// A set that was divided was divided the same way when its weights were fine-tuned.
#[test]
fn the_shares_of_a_divided_set_are_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let all = flat(folder.path(), "all", 0..20, true);
    let sources = sources(&all, Some(&all), None);
    let parts = sources.parts(3, None, &()).unwrap();
    let lineage = Lineage::none().then(Role::Train, Some(parts.train().origin()));
    let lineage = lineage.then(Role::Valid, parts.valid().map(|valid| valid.origin()));
    assert!(lineage.complete && lineage.seen.len() == 2);
    let weights = trained_on(folder.path(), Some(&lineage));
    let study = |seed| {
        let protocol = Protocol::seeded(seed);
        Study::open(&sources, &weights, &Labels::new(["effusion"]), &protocol, &()).map(|study| study.pretraining())
    };
    assert_eq!(study(3).unwrap(), Pretraining::Checked);
    leaks(study(4), &["leak: the ", " of the weights and test share"]);
}

/// Whatever asks for a number comes through the study, and the study refuses a pretrained patient in its test part.
#[test]
fn no_method_reports_on_a_pretrained_patient() {
    let folder = tempfile::tempdir().unwrap();
    let a = flat(folder.path(), "a", 0..24, true);
    let test = flat(folder.path(), "test", 30..42, true);
    let seen = Sources::new(&a).rows(Part::Train, &ViewConfig::eval(32), &()).unwrap().origin().clone();
    let mut weights = trained_on(folder.path(), Some(&Lineage::none().then(Role::Pretrain, Some(&seen))));
    weights.image_size = None;
    let (labels, protocol) = (Labels::new(["effusion"]), Protocol::default());
    let mut sources = sources(&a, None, Some(&test));
    sources.valid = ValidFrom::HeldOut;
    let open = || Study::open(&sources, &weights, &labels, &protocol, &());
    assert!(open().is_ok(), "the training part may be the pretraining set");
    // A patient of the pretraining set among those reported on, under another file and other pixels.
    let table = fs::read_to_string(test.join("labels.csv")).unwrap();
    fs::write(test.join("labels.csv"), table.replace(",p33", ",p3")).unwrap();
    let fault = open().unwrap_err().to_string();
    assert!(fault.contains("leak: ") && fault.contains("share 1 patient(s)"), "{fault}");
}

/// An image is decoded once, so that it may go after the study was opened; an image that goes before is named.
#[test]
fn images_are_those_that_were_checked() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (flat(folder.path(), "a", 0..12, true), flat(folder.path(), "b", 20..32, true));
    let (sources, labels) = (sources(&a, None, Some(&b)), Labels::new(["effusion"]));
    let open = || Study::open(&sources, &small(), &labels, &Protocol::default(), &());
    let scores = |study: Study<'_>| study.knn(Knn::default()).unwrap().scores()[0][0].scores().to_owned();
    let all = scores(open().unwrap());
    let study = open().unwrap();
    fs::remove_file(b.join("23.png")).unwrap();
    assert_eq!(scores(study), all);
    leaks(open(), &["23.png"]);
}

/// The exported classifier is the one whose scores were reported, running statistics of random weights included.
#[test]
fn the_exported_network_gives_the_reported_scores() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (flat(folder.path(), "a", 0..24, true), flat(folder.path(), "b", 30..42, true));
    let (sources, labels) = (sources(&a, None, Some(&b)), Labels::new(["effusion"]));
    let study = Study::open(&sources, &small(), &labels, &Protocol::default(), &()).unwrap();
    let found = study.linear(Baseline::None).unwrap();
    let out = folder.path().join("linear");
    found.write(&out).unwrap();
    let reported = found.outcome().scores()[0][0].scores().mapv(|logit| 1.0 / (1.0 + (-logit).exp()));
    let weights = Weights::new(out.join("export").display().to_string());
    let images = Sources::new(&b);
    let predicted = Study::predict(&images, Part::All, &weights, &Scoring::default(), &()).unwrap();
    let predicted = predicted.scores().scores();
    assert_eq!(predicted.dim(), reported.dim());
    // The head is a regression in f64 there and a layer in f32 here.
    for (predicted, reported) in predicted.iter().zip(&reported) {
        assert!((predicted - reported).abs() < 1e-4, "{predicted}, reported {reported}");
    }
}

/// The words that decide whether results may be compared say what was run.
#[test]
fn the_stamp_is_that_of_the_method() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (flat(folder.path(), "a", 0..24, true), flat(folder.path(), "b", 30..42, true));
    let (labels, protocol) = (Labels::new(["effusion"]), Protocol::default());
    let mut held_out = sources(&a, None, Some(&b));
    let protocol_of = |sources: &Sources, run: &dyn Fn(&Study<'_>) -> String| {
        run(&Study::open(sources, &small(), &labels, &protocol, &()).unwrap())
    };
    let linear = |study: &Study<'_>| study.linear(Baseline::None).unwrap().outcome().stamp().protocol.clone().unwrap();
    assert_eq!(
        protocol_of(&held_out, &linear),
        "linear, standard: eval mode, running statistics of training images, nested choice of L2 (10 below 50 labels)"
    );
    held_out.valid = ValidFrom::HeldOut;
    assert_eq!(
        protocol_of(&held_out, &linear),
        "linear, standard: eval mode, running statistics of training images, L2 chosen on valid"
    );
    let knn = |study: &Study<'_>| study.knn(Knn::default()).unwrap().stamp().protocol.clone().unwrap();
    assert_eq!(
        protocol_of(&held_out, &knn),
        "nearest neighbours: k 200, temperature 0.07, running statistics of training images"
    );
    let tuned = |study: &Study<'_>| {
        let mut settings = FineTuneSettings::new(Trained::Head);
        settings.epochs = Some(1);
        study.fine_tune(&settings).unwrap().outcome().stamp().protocol.clone().unwrap()
    };
    let words =
        "linear, faithful: head by Adam, batch norm in train mode; lr 3e-5, batches of 16, epochs 1, checkpoint best";
    assert_eq!(protocol_of(&held_out, &tuned), words);
    // Without rows to choose a checkpoint on there is no training by steps.
    held_out.valid = ValidFrom::Nowhere;
    let study = Study::open(&held_out, &small(), &labels, &protocol, &()).unwrap();
    let fault = study.fine_tune(&FineTuneSettings::new(Trained::Head)).unwrap_err();
    assert!(matches!(&fault, Error::Setting { .. }) && fault.to_string().contains("--valid-data"), "{fault}");
}

#[test]
fn the_split_of_a_stamp_is_that_of_all_parts() {
    let folder = tempfile::tempdir().unwrap();
    let [a, more, b, c] = [("a", 0..12), ("more", 0..13), ("b", 20..26), ("c", 30..36)]
        .map(|(name, numbers)| flat(folder.path(), name, numbers, true));
    let split = |train: &Path, valid: Option<&Path>, test| parts(train, valid, Some(test)).unwrap().split();
    let first = split(&a, Some(&b), &c);
    assert_ne!(first, split(&more, Some(&b), &c), "one training image more");
    assert_ne!(first, split(&a, Some(&c), &b), "valid and test exchanged");
    assert_ne!(split(&a, None, &c), split(&more, None, &c));
    let divided = |seed| sources(&more, None, None).parts(seed, None, &()).unwrap().split();
    assert_ne!(divided(1), divided(2), "another seed of the division");
    // The same data elsewhere.
    let moved = folder.path().join("moved");
    fs::create_dir(&moved).unwrap();
    files(&a).iter().for_each(|(name, bytes)| fs::write(moved.join(name), bytes).unwrap());
    assert_eq!(first, split(&moved, Some(&b), &c));
}

#[test]
fn a_file_that_is_not_what_its_name_says_is_read_and_said() {
    let folder = tempfile::tempdir().unwrap();
    let a = flat(folder.path(), "a", 0..4, true);
    fs::rename(a.join("2.png"), a.join("2.jpg")).unwrap();
    let table = fs::read_to_string(a.join("labels.csv")).unwrap();
    fs::write(a.join("labels.csv"), table.replace("2.png", "2.jpg")).unwrap();
    let notes = RefCell::new(Vec::new());
    let watch = |text: &str| notes.borrow_mut().push(text.to_owned());
    let part = Sources::new(&a).rows(Part::All, &ViewConfig::eval(32), &watch).unwrap();
    assert_eq!(part.readable().len(), 4);
    let said = "1 of 4 images have another format than their file name says; they were read in their actual format (the first: 2.jpg)";
    assert!(notes.borrow().iter().any(|note| note == said), "{notes:?}");
}

// ---- the tool ----

/// `knn --weights random` into a new folder.
fn knn(folder: &TempDir, data: &Path, more: &[&str]) -> (Ran, PathBuf) {
    let out = folder.path().join(format!("out-{}", fs::read_dir(folder.path()).unwrap().count()));
    let common = arguments!["knn", "--data", data, "--weights", "random", "--arch", "resnet18-narrow", "--out", out];
    let common = common.into_iter().chain(arguments!["--image-size", "32", "--task", "effusion", "--quiet"]);
    (run(common.chain(more.iter().map(OsString::from))), out)
}

#[test]
fn unknown_patients_are_stamped_and_never_written_as_patients() {
    let folder = tempfile::tempdir().unwrap();
    let unknown = flat(folder.path(), "unknown", 0..40, false);
    let (ran, out) = knn(&folder, &unknown, &[]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let results = read_json(&out.join("effusion/results.json"));
    assert_eq!(results["stamp"]["patients"], "unknown in train, test");
    assert_eq!(results["stamp"]["pretraining"], "none", "random weights saw no image");
    assert_eq!(results["patient_source"], "row");
    let table = fs::read_to_string(out.join("effusion/results.csv")).unwrap();
    assert!(table.lines().next().unwrap().ends_with(",rows,patients_known,pretraining_images"), "{table}");
    assert!(table.lines().nth(1).unwrap().ends_with(r#""unknown in train, test",none"#), "{table}");
    let predictions = out.join("effusion/predictions.csv");
    let header = fs::read_to_string(&predictions).unwrap().lines().next().unwrap().to_owned();
    assert_eq!(header, "path,study,view,label_effusion,score_effusion");
    let said = succeed(arguments!["evaluate", predictions]).stderr;
    assert!(said.contains("every row counts as a patient of its own"), "{said}");

    let known = flat(folder.path(), "known", 0..40, true);
    let (_, out) = knn(&folder, &known, &[]);
    let results = read_json(&out.join("effusion/results.json"));
    assert_eq!((&results["stamp"]["patients"], &results["patient_source"]), (&"known".into(), &"column".into()));

    // Features: no patient, and a word on it.
    let weights = folder.path().join("weights");
    export_weights(&small().load(&()).unwrap(), &weights, false).unwrap();
    let out = folder.path().join("features");
    succeed(arguments!["embed", "--weights", weights, "--data", unknown, "--out", out, "--quiet"]);
    assert_eq!(names(&out), ["embed.json", "features.npy", "index.csv"]);
    let about = read_json(&out.join("embed.json"));
    assert_eq!((&about["patients"], &about["trained_on"]["complete"]), (&"unknown".into(), &true.into()));
    let index = fs::read_to_string(out.join("index.csv")).unwrap();
    assert_eq!(index.lines().nth(1), Some("0.png,,0.png"));
}

#[test]
fn an_option_that_would_do_nothing_is_a_bad_argument() {
    let folder = tempfile::tempdir().unwrap();
    let a = flat(folder.path(), "a", 0..4, true);
    let (ran, out) = knn(&folder, &a, &["--valid-data", a.to_str().unwrap()]);
    assert_eq!((ran.code, out.exists()), (Some(2), false), "{ran:?}");
    assert!(ran.stderr.starts_with("error: --valid-data: found with knn"), "{}", ran.stderr);
}
