//! The examples that report a number refuse weights that were pretrained on a patient of their test part.
#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use moco_cxr::{
    Labels, Protocol, Sources, Study, Weights,
    backbones::Arch,
    burn::tensor::Device,
    cxr_data::{Dataset, Part, Pixels, Radiograph, Role, ViewConfig, synth},
    data::Lineage,
    load_weights,
    weights::export_weights,
};

/// Runs an example, which Cargo builds with the tests.
fn example(name: &str, arguments: &[&Path]) -> Output {
    let built = std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().join("examples").join(name);
    assert!(built.is_file(), "{} is not there: cargo build --release --examples", built.display());
    Command::new(built).args(arguments).output().unwrap()
}

/// Weights in `folder` that say they were pretrained on a part of a data set.
fn pretrained_on(folder: &Path, dir: &Path, dataset: Dataset, part: Part) -> PathBuf {
    let mut sources = Sources::new(dir);
    sources.dataset = dataset;
    let seen = sources.rows(part, &ViewConfig::eval(32), &()).unwrap();
    let lineage = Lineage::none().then(Role::Pretrain, Some(seen.origin()));
    let out = folder.join("weights");
    let random = load_weights("random", Some(Arch::ResNet18), 0, &Device::flex()).unwrap();
    export_weights(&random, &out, false).unwrap();
    fs::write(out.join("trained_on.json"), serde_json::to_string(&lineage).unwrap()).unwrap();
    out
}

/// A copy of the set that `linear_probe` and `finetune` draw: the same patients.
fn drawn(folder: &Path) -> PathBuf {
    let set = synth::SynthConfig {
        train_patients: 240,
        valid_patients: 80,
        test_patients: 120,
        size: 64,
        ..Default::default()
    };
    synth::write(&set, &folder.join("copy")).unwrap();
    folder.join("copy")
}

fn refused(name: &str, arguments: &[&Path], results: &Path) {
    let ran = example(name, arguments);
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(!ran.status.success() && said.contains("leak: pretraining and"), "{name}: {said}");
    assert!(!results.exists(), "{name} wrote {}", results.display());
}

#[test]
fn probe_and_fine_tuning_refuse_a_pretrained_test_patient() {
    let folder = tempfile::tempdir().unwrap();
    let weights = pretrained_on(folder.path(), &drawn(folder.path()), Dataset::Chexpert, Part::Test);
    for (name, results) in [("linear_probe", "linear"), ("finetune", "finetune")] {
        let out = folder.path().join(name);
        let arguments = [Path::new("--out"), &out, Path::new("--weights"), &weights];
        refused(name, &arguments, &out.join(results));
    }
}

#[test]
fn transfer_refuses_weights_pretrained_on_its_films() {
    let folder = tempfile::tempdir().unwrap();
    let films = folder.path().join("ChinaSet_AllFiles");
    fs::create_dir_all(films.join("CXR_png")).unwrap();
    for number in 0..40 {
        let pixels = (0..48 * 48).map(|at: usize| ((at * (number + 3)) % 251 + at / 48) as u8 % 250).collect();
        let image = Radiograph::new(48, 48, Pixels::U8(pixels)).unwrap();
        image.write_png(&films.join(format!("CXR_png/CHNCXR_{:04}_{}.png", number + 1, number % 2))).unwrap();
    }
    let weights = pretrained_on(folder.path(), &films, Dataset::Shenzhen, Part::Train);
    let out = folder.path().join("transfer");
    let arguments = [Path::new("--out"), &out, Path::new("--data"), &films, Path::new("--weights"), &weights];
    refused("transfer_shenzhen", &arguments, &out.join("transfer"));
}

/// The quickstart pretrains on the training part of its own set; here a patient of the test part was among them.
#[test]
fn the_quickstarts_study_refuses_a_pretrained_test_patient() {
    let folder = tempfile::tempdir().unwrap();
    let set =
        synth::SynthConfig { train_patients: 40, valid_patients: 0, test_patients: 30, size: 48, ..Default::default() };
    let data = folder.path().join("data");
    synth::write(&set, &data).unwrap();
    let labels = Labels::new(synth::Finding::ALL.map(synth::Finding::column));
    let open = |part| {
        let folder = tempfile::tempdir().unwrap();
        let weights = pretrained_on(folder.path(), &data, Dataset::Auto, part);
        let weights = Weights::new(weights.display().to_string());
        Study::open(&Sources::new(&data), &weights, &labels, &Protocol::default(), &())
            .map(|study| study.pretraining().to_string())
    };
    assert_eq!(open(Part::Train).unwrap(), "checked", "as the quickstart does");
    let fault = open(Part::All).unwrap_err().to_string();
    assert!(fault.contains("leak: pretraining and test share"), "{fault}");
}

/// Every example that reports a number goes through the study, and none makes a stamp of its own.
#[test]
fn no_example_stamps_its_results_itself() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut through = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let file = if entry.is_dir() { entry.join("mod.rs") } else { entry };
        let text = fs::read_to_string(&file).unwrap();
        assert!(!text.contains("Stamp"), "{}", file.display());
        if ["Study::open", "make_fits", "Quickstart::"].iter().any(|through| text.contains(through)) {
            through.push(
                file.iter().nth_back(usize::from(file.ends_with("mod.rs"))).unwrap().to_string_lossy().into_owned(),
            );
        }
    }
    through.sort();
    let expected =
        ["finetune.rs", "linear_probe.rs", "paper_tables", "predict.rs", "quickstart.rs", "transfer_shenzhen.rs"];
    assert_eq!(through, expected);
    let quickstart = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/quickstart/mod.rs")).unwrap();
    assert!(quickstart.contains("Study::open") && !quickstart.contains("Stamp"));
    let code = quickstart.lines().filter(|line| !line.trim_start().starts_with("//"));
    assert!(code.count() <= 120, "the quickstart is to be read in a minute");
}
