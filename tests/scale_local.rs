//! Several ranks and several shards are one run: threads as ranks, and shards put together again.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    thread,
};

use moco_cxr::{
    Existing, LoaderSource, PretrainSettings, Ranks, TrainingWatch, Watch,
    burn::tensor::{Device, TensorData},
    cxr_data::{BatchLoader, BatchOptions, Dataset, Part, SameGroup, ViewConfig, load},
    moco_core::{BatchSource, Collective, End, LocalGroup, Observer, RunState, Share},
    pretrain::{PlaneSource, pretrain_among},
};
use serde_json::Value;
use support::{files, metrics, names, run, scratch, succeed, synth};

struct Made {
    folder: PathBuf,
    set: PathBuf,
}

fn made() -> &'static Made {
    static MADE: OnceLock<Made> = OnceLock::new();
    MADE.get_or_init(|| {
        let folder = scratch("scale_local");
        let set = synth(&folder, "set", 6, [100, 0, 0]).0;
        Made { folder, set }
    })
}

fn settings() -> PretrainSettings {
    let mut settings = PretrainSettings::named("small", &made().set).unwrap();
    for set in [
        "arch=resnet18-narrow",
        "views.size=64",
        "device=cpu",
        "workers=1",
        "train.epochs=2",
        "train.batch_size=16",
        "train.moco.queue_size=64",
        "train.moco.mask_same_patient=true",
        // A new network on parts of a batch of 4 to 8 images amplifies: a rate that is larger by 3e-6 gives another loss at the fifth
        // step, in one process, too. So steps are short here; crates/moco-core/tests/ranks_f64.rs takes large ones in f64.
        "train.optimizer.rule={ name = \"sgd\" }",
        "train.schedule.lr=2e-8",
    ] {
        settings = settings.with_set(set).unwrap();
    }
    settings
}

/// Keeps notes, and may stop after a step.
#[derive(Default)]
struct Ear {
    notes: std::sync::Mutex<Vec<String>>,
    stop_at: Option<u64>,
}

impl Watch for Ear {
    fn note(&self, text: &str) {
        self.notes.lock().unwrap().push(text.to_owned());
    }
}

impl Observer for Ear {
    fn on_step(&mut self, metrics: &moco_cxr::moco_core::StepMetrics) -> moco_cxr::moco_core::Request {
        use moco_cxr::moco_core::Request;
        if self.stop_at == Some(metrics.step) { Request::Stop } else { Request::Continue }
    }
}

impl TrainingWatch for Ear {}

/// A run on ranks that are threads; what rank 0 was told. The others see no folder.
fn on_ranks(
    settings: &PretrainSettings,
    size: usize,
    out: &Path,
    existing: Existing,
    stop_at: Option<u64>,
) -> Vec<String> {
    let run = |member: LocalGroup| {
        let first = member.rank() == 0;
        let mut ear = Ear { stop_at: stop_at.filter(|_| first), ..Ear::default() };
        let folder = if first { out.to_owned() } else { PathBuf::from("/nowhere") };
        let ran = pretrain_among(settings, &folder, existing, &Ranks::member(Arc::new(member)), &mut ear).unwrap();
        assert_eq!(ran.end, if stop_at.is_some() { End::Stopped } else { End::Finished });
        (first, ear.notes.into_inner().unwrap())
    };
    thread::scope(|scope| {
        let ranks: Vec<_> = LocalGroup::new(size).into_iter().map(|member| scope.spawn(|| run(member))).collect();
        let notes = ranks.into_iter().map(|rank| rank.join().unwrap()).find(|(first, _)| *first);
        notes.unwrap().1
    })
}

fn last_state(run: &Path) -> RunState {
    let latest = fs::read_to_string(run.join("checkpoints/latest")).unwrap();
    RunState::read(&run.join("checkpoints").join(latest.trim())).unwrap()
}

/// Two runs of the same steps, computed in another order of sums: f32 rounds at 6e-8, and some twenty steps carry it on.
fn assert_near(found: &Path, expected: &Path) {
    let losses = |run: &Path| -> Vec<f64> {
        metrics(run).iter().filter(|line| line["split"] == "train").map(|line| line["loss"].as_f64().unwrap()).collect()
    };
    let (ours, theirs) = (losses(found), losses(expected));
    assert!(ours.len() == theirs.len() && ours.len() >= 20, "{} and {} steps", ours.len(), theirs.len());
    for (step, (a, b)) in ours.iter().zip(&theirs).enumerate().take(20) {
        assert!((a - b).abs() <= 1e-5, "step {step}: loss {a} and {b}");
    }
    let (ours, theirs) = (last_state(found), last_state(expected));
    let numbers = |data: &TensorData| data.clone().convert::<f64>().try_to_vec::<f64>().unwrap();
    for (name, data) in &theirs.weights {
        let bound = if name.contains("running") { 1e-5 } else { 1e-4 };
        for (a, b) in numbers(&ours.weights[name]).into_iter().zip(numbers(data)) {
            assert!((a - b).abs() <= bound * (1.0 + b.abs()), "{name}: {a} and {b}");
        }
    }
    for name in ["queue_ptr", "filled", "patients", "written_at"] {
        assert_eq!(ours.queue()[name], theirs.queue()[name], "{name}");
    }
    for (a, b) in numbers(&ours.queue()["queue"]).into_iter().zip(numbers(&theirs.queue()["queue"])) {
        assert!((a - b).abs() <= 1e-4, "the queue has {a}, expected {b}");
    }
}

#[test]
fn ranks_that_load_their_parts_equal_one_process_with_as_many_groups() {
    let Made { folder, .. } = made();
    // Parts of the batch of at least 32 values a channel in the last stage, so that statistics are no coin tosses: of 4 x 2 x 2 one
    // batch in twenty made losses 1e-5 different (AVX2), and the others 1e-7 to 5e-6.
    for (size, views) in [(2, "views.size=64"), (4, "views.size=80")] {
        let one = folder.join(format!("groups-{size}"));
        let settings = settings().with_set(views).unwrap();
        let grouped = settings.with_set(&format!("train.moco.groups={size}")).unwrap();
        on_ranks(&grouped, 1, &one, Existing::Refuse, None);
        // With one group in the settings the ranks make their own, and say so.
        let several = folder.join(format!("ranks-{size}"));
        let notes = on_ranks(&settings, size, &several, Existing::Refuse, None);
        let told = format!("(train.moco.groups 1 -> {size}, one for each rank)");
        assert_eq!(notes.iter().filter(|note| note.contains(&told)).count(), 1, "{notes:?}");
        assert_near(&several, &one);
        assert_eq!(names(&several), names(&one));
        let record = |run: &Path| support::read_json(&run.join("run.json"))["ranks"].clone();
        assert_eq!([record(&several), record(&one)], [Value::from(size), Value::from(1)]);
    }
}

#[test]
fn a_stopped_run_goes_on_on_any_number_of_ranks() {
    let Made { folder, .. } = made();
    let (whole, parts) = (folder.join("whole"), folder.join("parts"));
    let copied = |name: &str| {
        let copy = folder.join(name);
        for (path, bytes) in files(&parts) {
            let path = copy.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        copy
    };
    on_ranks(&settings(), 2, &whole, Existing::Refuse, None);
    on_ranks(&settings(), 2, &parts, Existing::Refuse, Some(7));
    let same = copied("again-2");
    let notes = on_ranks(&settings(), 2, &same, Existing::Resume, None);
    assert!(!notes.iter().any(|note| note.contains("batch normalisation")), "{notes:?}");
    let (ours, theirs) = (last_state(&same), last_state(&whole));
    assert!(ours.weights == theirs.weights && ours.queue() == theirs.queue(), "the same ranks, the same bits");

    let alone = copied("again-1");
    on_ranks(&settings(), 1, &alone, Existing::Resume, None);
    assert_near(&alone, &whole);

    let notes = on_ranks(&settings(), 4, &copied("again-4"), Existing::Resume, None);
    let told = "batch normalisation over 4 images at a time instead of 8 (train.moco.groups 2 -> 4";
    assert!(notes.iter().any(|note| note.starts_with(told)), "{notes:?}");
}

#[test]
fn what_ranks_cannot_divide_is_refused() {
    let settings = settings().with_set("train.batch_size=15").unwrap();
    let refuse = |member: LocalGroup| {
        let ranks = Ranks::member(Arc::new(member));
        pretrain_among(&settings, &made().folder.join("refused"), Existing::Refuse, &ranks, &mut ())
            .unwrap_err()
            .to_string()
    };
    let texts: Vec<String> = thread::scope(|scope| {
        let ranks: Vec<_> = LocalGroup::new(2).into_iter().map(|member| scope.spawn(|| refuse(member))).collect();
        ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
    });
    assert!(texts[0].contains("train.batch_size: found 15 for 2 ranks"), "{texts:?}");
    assert!(texts[1].contains("rank 0 has ended"), "{texts:?}");
    assert!(!made().folder.join("refused").exists());
}

#[test]
fn a_part_of_a_batch_has_the_bytes_of_the_whole() {
    let manifest = load(&made().set, Dataset::Auto, Part::Train).unwrap();
    let options = BatchOptions { batch_size: 6, workers: 2, ..BatchOptions::default() };
    let rows: Vec<usize> = (0..manifest.len()).collect();
    let pairs = Arc::new(SameGroup::patient(&manifest, &rows));
    let loader = BatchLoader::new(&manifest, ViewConfig::moco_cxr(32), options).unwrap().with_pairs(pairs);
    let share = Share { query: vec![2, 3, 5], key: vec![5, 0, 4] };
    let of = {
        let Share { query, key } = share.clone();
        moco_cxr::cxr_data::Share { query, key }
    };
    let whole = LoaderSource(loader.clone()).epoch(1, 2).next().unwrap().unwrap().cut(&share);
    let part = loader.pairs_of::<u8>(1, 2, {
        let of = of.clone();
        move |_| of.clone()
    });
    let part = part.unwrap().next().unwrap().unwrap();
    let moco_cxr::moco_core::Batch::Views(whole) = whole else { panic!("views") };
    assert!(part.query == whole.query && part.key == whole.key && part.patients == whole.patients);

    // Sampled on a device: from other planes, the same views.
    let device = Device::flex();
    let whole = PlaneSource(loader.clone()).epoch(1, 2).next().unwrap().unwrap().cut(&share);
    let views = whole.to_device(3, &device).unwrap();
    let host = moco_cxr::moco_core::HostBatch { query: part.query, key: part.key, patients: part.patients };
    let host = host.to_device(3, &device).unwrap();
    host.query.into_data().assert_eq(&views.query.into_data(), true);
    host.key.into_data().assert_eq(&views.key.into_data(), true);
    let planes = loader.planes_of(1, 2, move |_| of.clone()).unwrap().next().unwrap().unwrap();
    assert!(planes.query.len() == 3 && planes.planes.len() <= 10, "{} planes", planes.planes.len());
}

#[test]
fn sixteen_shards_are_one_run_byte_for_byte() {
    let Made { folder, set } = made();
    let network = ["--weights", "random", "--arch", "resnet18-narrow", "--image-size", "32", "--batch-size", "4"];
    let embed = |out: &Path, more: &[&str]| {
        let mut words = arguments!["embed", "--data", set, "--out", out, "--quiet"].to_vec();
        words.extend(network.iter().chain(more).map(Into::into));
        words
    };
    let whole = folder.join("embedded");
    succeed(embed(&whole, &["--dense"]));
    let parts: Vec<PathBuf> = (1..=16).map(|i| folder.join(format!("part-{i}"))).collect();
    for (i, part) in parts.iter().enumerate() {
        succeed(embed(part, &["--dense", "--shard", &format!("{}/16", i + 1), "--workers", "1"]));
    }
    let merge = |parts: &[PathBuf], out: &Path| {
        let mut words = arguments!["merge", "--out", out].to_vec();
        words.extend(parts.iter().map(Into::into));
        run(words)
    };
    let merged = folder.join("merged");
    let ran = merge(&parts.iter().rev().cloned().collect::<Vec<_>>(), &merged);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let (ours, theirs) = (files(&merged), files(&whole));
    assert!(ours.keys().eq(theirs.keys()) && ours.len() == 4, "{:?}", ours.keys());
    for (name, bytes) in &ours {
        assert!(*bytes == theirs[name], "{}", name.display());
    }

    let refused = |parts: &[PathBuf], expected: &str| {
        let out = folder.join("not-merged");
        let ran = merge(parts, &out);
        assert!(ran.code == Some(1) && ran.stderr.contains(expected) && !out.exists(), "{}", ran.stderr);
    };
    refused(&parts[..15], "16/16 missing");
    refused(&[&parts[..], &parts[3..4]].concat(), "4/16 given more than once");
    let other = folder.join("other");
    succeed(embed(&other, &["--dense", "--shard", "2/16", "--seed", "5"]));
    refused(&[&parts[..1], &[other][..], &parts[2..]].concat(), "arguments [");
    let damaged = parts[4].join("index.csv");
    fs::write(&damaged, "path,patient,study\n").unwrap();
    refused(&parts, "run this shard again");
    refused(&[folder.join("embedded")], "shard.json");
}

#[test]
fn shards_of_a_prediction_are_one_run_byte_for_byte() {
    let folder = &made().folder;
    let set = synth(folder, "labelled", 6, [40, 0, 20]).0;
    let heads = folder.join("heads");
    let mut words =
        arguments!["linear", "--data", set, "--out", heads, "--quiet", "--task", "Pleural Effusion"].to_vec();
    let network = "--weights random --arch resnet18-narrow --image-size 32 --batch-size 4 --task Cardiomegaly";
    words.extend(network.split_whitespace().map(Into::into));
    succeed(words);
    let predict = |out: &Path, more: &[&str]| {
        let common =
            arguments!["predict", "--weights", heads, "--data", set, "--out", out, "--batch-size", "4", "--quiet"];
        let mut words = common.to_vec();
        words.extend(more.iter().map(Into::into));
        words
    };
    // More shards of the test part than batches, so that some are empty.
    for (part, of) in [("train", 3), ("test", 5)] {
        let whole = folder.join(format!("{part}.csv"));
        succeed(predict(&whole, &["--part", part]));
        let shards: Vec<PathBuf> = (1..=of).map(|i| folder.join(format!("{part}-{i}"))).collect();
        for (i, shard) in shards.iter().enumerate() {
            let number = format!("{}/{of}", i + 1);
            succeed(predict(shard, &["--part", part, "--shard", &number, "--workers", "1"]));
        }
        let merge = |shards: &[PathBuf], out: &Path| {
            let mut words = arguments!["merge", "--quiet", "--out", out].to_vec();
            words.extend(shards.iter().rev().map(Into::into));
            run(words)
        };
        let merged = folder.join(format!("{part}-merged.csv"));
        let ran = merge(&shards, &merged);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert!(fs::read(&merged).unwrap() == fs::read(&whole).unwrap(), "the scores of {part} differ");
        let there = folder.join("there.csv");
        fs::write(&there, "mine").unwrap();
        assert_eq!(merge(&shards, &there).code, Some(1));
        assert_eq!(fs::read_to_string(&there).unwrap(), "mine");
        let missing = merge(&shards[1..], &folder.join("not-merged.csv"));
        assert!(missing.stderr.contains(&format!("1/{of} missing")), "{}", missing.stderr);
    }
    let left = names(folder).into_iter().find(|name| name.contains("merging"));
    assert_eq!(left, None, "what merging leaves");
    let ran = run(predict(&folder.join("studies"), &["--part", "test", "--study-max", "--shard", "1/2"]));
    assert!(ran.code == Some(1) && ran.stderr.contains("a part of a study"), "{}", ran.stderr);
}

#[test]
fn shards_of_a_cache_and_of_an_audit_are_one_run() {
    let Made { folder, set } = made();
    let words = |command: &str, more: &[&str]| {
        let mut words = arguments![command, "--data", set].to_vec();
        words.extend(more.iter().map(Into::into));
        words
    };
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let size = ["--preset", "small", "--image-size", "32"];
    let whole = path("cache");
    succeed(words("cache", &[&size[..], &["--cache", &whole]].concat()));
    let parts: Vec<String> = (1..=3).map(|i| path(&format!("cache-{i}"))).collect();
    for (i, part) in parts.iter().enumerate() {
        succeed(words("cache", &[&size[..], &["--shard", &format!("{}/3", i + 1), "--out", part]].concat()));
    }
    let merged = path("cache-merged");
    succeed(arguments!["merge", parts[2], parts[0], parts[1], "--out", merged]);
    assert!(files(Path::new(&merged)) == files(Path::new(&whole)), "the caches differ");
    let again = succeed(words("cache", &[&size[..], &["--cache", &merged]].concat())).stdout;
    assert!(again.contains("0 added, 0 changed and 0 damaged"), "{again}");

    let parts: Vec<String> = (1..=4).map(|i| path(&format!("audit-{i}"))).collect();
    for (i, part) in parts.iter().enumerate() {
        let ran = run(words("audit", &["--shard", &format!("{}/4", i + 1), "--out", part]));
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    }
    let (one, several) = (run(words("audit", &[])), run(arguments!["merge", parts[1], parts[0], parts[3], parts[2]]));
    assert!(one.stdout.len() > 500);
    assert_eq!((several.stdout, several.stderr, several.code), (one.stdout, one.stderr, one.code));
    let missing = run(arguments!["merge", parts[0], parts[1], parts[3]]);
    assert!(missing.stderr.contains("3/4 missing"), "{}", missing.stderr);
}
