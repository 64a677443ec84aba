//! What leaves the house names no patient and no path, and in private no folder and no file (`docs/privacy.md`).
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use support::{files, read_json, scratch, succeed, synth, tiny_config};

/// The folder of the data, which names a hospital, and the folder above it, which names a person.
const HOSPITAL: &str = "Saint-Mary-Hospital";
const PERSON: &str = "jane-doe";
/// Patients of a synthetic set are `patient00001` and so on.
const PATIENT: &str = "patient0";
/// What a run keeps for itself.
const STAYS: [&str; 3] = ["config.toml", "run.json", "train.log"];

struct Made {
    folder: PathBuf,
    set: PathBuf,
    private: PathBuf,
    open: PathBuf,
}

/// A set, and the same pretraining in private and not, each with linear heads.
fn made() -> &'static Made {
    static MADE: OnceLock<Made> = OnceLock::new();
    MADE.get_or_init(|| {
        let folder = scratch("privacy").join(PERSON);
        fs::create_dir(&folder).unwrap();
        let (set, _) = synth(&folder, HOSPITAL, 5, [24, 0, 24]);
        let config = tiny_config(&folder);
        let [private, open] = ["private", "open"].map(|name| {
            let run = folder.join(format!("run-{name}"));
            let flag: &[&str] = if name == "private" { &["--private"] } else { &[] };
            let words = arguments!["pretrain", "--data", set, "--config", config, "--out", run, "--quiet"];
            succeed(words.into_iter().chain(flag.iter().map(Into::into)));
            let words = arguments![
                "linear",
                "--data",
                set,
                "--weights",
                run,
                "--task",
                "Cardiomegaly",
                "--out",
                run.join("linear"),
                "--quiet"
            ];
            succeed(words.into_iter().chain(flag.iter().map(Into::into)));
            run
        });
        Made { folder, set, private, open }
    })
}

fn holds(bytes: &[u8], words: &str) -> bool {
    bytes.windows(words.len()).any(|window| window == words.as_bytes())
}

/// Files that hold any of these words.
fn that_hold(files: &BTreeMap<PathBuf, Vec<u8>>, words: &[&str]) -> Vec<String> {
    let found = files.iter().filter(|(_, bytes)| words.iter().any(|words| holds(bytes, words)));
    found.map(|(name, _)| name.display().to_string()).collect()
}

fn file(path: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    [(path.to_owned(), fs::read(path).unwrap())].into()
}

#[test]
fn a_private_run_names_its_data_only_where_it_stays() {
    let run = &made().private;
    let mut all = files(run);
    // Scores are of images, and stay.
    all.retain(|name, _| !name.starts_with("linear") || name.starts_with("linear/export"));
    assert!(all.len() > 15, "{:?}", all.keys());
    all.retain(|name, _| !STAYS.contains(&name.to_str().unwrap()));
    assert_eq!(that_hold(&all, &[PATIENT, HOSPITAL, PERSON, "run-private"]), Vec::<String>::new());
    let seen = read_json(&run.join("export/trained_on.json"))["seen"][0].clone();
    assert_eq!((&seen["dir"], seen["hash"].as_str().unwrap().len()), (&"".into(), 32));
}

#[test]
fn without_the_flag_there_is_the_name_of_the_folder_and_no_path() {
    let run = &made().open;
    for export in ["export", "linear/export"] {
        let all = files(&run.join(export));
        assert_eq!(that_hold(&all, &[PATIENT, PERSON]), Vec::<String>::new());
        assert!(that_hold(&all, &[HOSPITAL]).contains(&"trained_on.json".to_owned()));
    }
    let page = run.join("report.html");
    succeed(arguments!["report", run, "--replicates", "100", "--quiet"]);
    assert_eq!(that_hold(&file(&page), &[PATIENT, PERSON]), Vec::<String>::new());
    let html = fs::read_to_string(page).unwrap();
    assert!(html.contains(HOSPITAL) && html.contains("data:image"));
}

#[test]
fn a_private_report_shows_numbers_alone() {
    let Made { private: run, .. } = made();
    let page = run.join("report.html");
    // An audit names images and patients.
    let audit = succeed(arguments!["audit", "--data", made().set, "--json"]).stdout;
    fs::write(run.join("audit.json"), audit).unwrap();
    succeed(arguments!["report", run, "--private", "--features", "--images", "8", "--replicates", "100", "--quiet"]);
    let names = [PATIENT, HOSPITAL, PERSON, "run-private", "data:image"];
    for name in names {
        assert_eq!(that_hold(&file(&page), &[name]), Vec::<String>::new(), "{name}");
    }
    assert!(fs::read_to_string(&page).unwrap().contains("AUROC"));
    fs::remove_file(&page).unwrap();
    fs::remove_file(run.join("audit.json")).unwrap();
}

/// Weights that were copied away know nothing of their folder; this machine does, and so may the user.
#[test]
fn the_leak_check_works_without_a_path() {
    let Made { folder, set, private, .. } = made();
    let exported = folder.join("exported");
    succeed(arguments!["export", private, "--private", "--out", exported, "--quiet"]);
    assert_eq!(that_hold(&files(&exported), &[HOSPITAL, PERSON, PATIENT, "run-private"]), Vec::<String>::new());
    let (other, _) = synth(folder, "elsewhere", 6, [4, 0, 6]);
    let linear = |data: &Path, cache: &str, more: &[&Path]| {
        let out = folder.join("linear-of-exported");
        let words = arguments![
            "linear",
            "--data",
            data,
            "--weights",
            exported,
            "--task",
            "Cardiomegaly",
            "--out",
            out,
            "--quiet"
        ];
        let mut command = support::tool(words);
        command.args(more).env("MOCO_CXR_CACHE", folder.join(cache));
        let output = command.output().unwrap();
        let stamp = out.join("cardiomegaly/results.json");
        let stamp = stamp.is_file().then(|| read_json(&stamp)["stamp"]["pretraining"].clone());
        if out.exists() {
            fs::remove_dir_all(&out).unwrap();
        }
        (String::from_utf8(output.stderr).unwrap(), stamp)
    };
    // Nobody knows where: an error that says what can be done.
    let (said, _) = linear(&other, "unknown", &[]);
    assert!(said.contains("no folder with these rows") && said.contains("--pretraining-data DIR"), "{said}");
    // The evaluation is of the same set, or the folder is named: patients of the other set have the same names.
    assert_eq!(linear(set, "unknown", &[]).1, Some("checked".into()));
    let named = linear(&other, "unknown-too", &[Path::new("--pretraining-data"), set]).0;
    assert!(named.contains("leak: pretraining and test share 6 patient(s)"), "{named}");
    // As the machine that exported it: it remembers.
    let record = read_json(&exported.join("trained_on.json"));
    let hash = record["seen"][0]["hash"].as_str().unwrap();
    let remembered = folder.join("known/places").join(hash);
    fs::create_dir_all(&remembered).unwrap();
    let places = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache/places").join(hash);
    files(&places).iter().for_each(|(name, bytes)| fs::write(remembered.join(name), bytes).unwrap());
    let known = linear(&other, "known", &[]).0;
    assert!(known.contains("leak: pretraining and test share 6 patient(s)"), "{known}");
}
