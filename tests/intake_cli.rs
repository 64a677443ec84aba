//! Folders as people have them, through the tool: nothing enters or leaves a set unsaid, and every way out that a message
//! names can be taken.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
};

use moco_cxr::cxr_data::{Pixels, Radiograph};
use support::{Ran, read_json, run, scratch, succeed, tiny_config};

fn image(seed: usize) -> Radiograph {
    let pixels = (0..48 * 40).map(|at: usize| ((at * (3 + seed) + at / 48 * (7 + seed)) % 251) as u8).collect();
    Radiograph::new(48, 40, Pixels::U8(pixels)).unwrap()
}

/// A folder of `patients` with two images each, and a table of them.
fn films(folder: &Path, name: &str, patients: usize) -> PathBuf {
    let root = folder.join(name);
    fs::create_dir_all(root.join("img")).unwrap();
    let mut table = "path,patient,followup,Effusion\n".to_owned();
    for number in 0..2 * patients {
        // Other images under another name.
        image(number + 100 * name.len()).write_png(&root.join(format!("img/{number}.png"))).unwrap();
        table.push_str(&format!("img/{number}.png,p{},{number},{}\n", number / 2, number / 2 % 2));
    }
    fs::write(root.join("labels.csv"), table).unwrap();
    root
}

fn says(ran: &Ran, words: &[&str]) {
    let text = format!("{}{}", ran.stdout, ran.stderr);
    words.iter().for_each(|word| assert!(text.contains(word), "{word:?} in\n{text}"));
}

/// C11, C12, C24, C35 through the audit; `--json` has the account.
#[test]
fn c12_c24_the_audit_says_what_it_did_not_use() {
    let folder = scratch("intake-audit");
    let root = films(&folder, "films", 4);
    fs::write(root.join("metadata.csv"), "path,age\nimg/0.png,50\n").unwrap();
    fs::write(root.join("scan.gif"), b"GIF89a").unwrap();
    let ran = run(arguments!["audit", "--data", root]);
    assert_eq!(ran.code, Some(1));
    says(&ran, &["--table FILE"]);
    let ran = run(arguments!["audit", "--data", root.join("labels.csv")]);
    says(&ran, &["expected the folder of a data set", "--table labels.csv"]);
    let ran = succeed(arguments!["audit", "--data", root, "--table", "labels.csv"]);
    says(
        &ran,
        &[
            "- 8 taken as images",
            "- read: labels.csv",
            "not used: 1 images of kinds that are not read (gif): scan.gif",
            "labels.csv is read; --table takes this one): metadata.csv",
            "columns not read: followup",
        ],
    );
    let ran = succeed(arguments!["audit", "--data", root, "--table", "labels.csv", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(report["account"]["images"], 8);
    assert_eq!(report["account"]["left_out"].as_array().unwrap().len(), 2);
    says(
        &run(arguments!["audit", "--data", root, "--table", "labels.csv", "--task", "followup"]),
        &["column \"followup\": found \"2\""],
    );
    let ran = succeed(arguments!["audit", "--data", root, "--table", "labels.csv", "--columns", "patient=followup"]);
    says(&ran, &["images 8, patients 8"]);
}

/// Pipes, sockets, devices and links to them are no files of a set: they are counted, and never opened, which would wait for ever.
#[test]
#[cfg(target_os = "linux")]
fn what_is_no_file_is_accounted_for_and_not_opened() {
    let folder = scratch("intake-special");
    let root = films(&folder, "films", 4);
    let pipe =
        |name: &str| assert!(std::process::Command::new("mkfifo").arg(root.join(name)).status().unwrap().success());
    pipe("img/pipe.png");
    pipe("table.csv");
    std::os::unix::fs::symlink("pipe.png", root.join("img/link.png")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", root.join("img/zero.dcm")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(root.join("img/socket")).unwrap();
    let audit = |more: &[&str]| {
        let words = arguments!["audit", "--data", root].into_iter().chain(more.iter().map(Into::into));
        let mut child = support::tool(words).stdout(std::process::Stdio::piped()).spawn().unwrap();
        let begun = std::time::Instant::now();
        while child.try_wait().unwrap().is_none() {
            if begun.elapsed() > std::time::Duration::from_secs(120) {
                child.kill().unwrap();
                panic!("it waits for a pipe");
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
    };
    let report: serde_json::Value = serde_json::from_str(&audit(&["--json"])).unwrap();
    let left = report["account"]["left_out"].as_array().unwrap();
    let special = left.iter().find(|left| left["reason"].as_str().unwrap().starts_with("pipes")).expect("counted");
    assert_eq!((&special["files"], &special["warning"]), (&5.into(), &true.into()), "{special}");
    assert_eq!(report["account"]["images"], 8);
    assert!(audit(&[]).contains("not used: 5 pipes, sockets and devices, or links to them"), "{}", audit(&[]));

    // Of a row that names one the image cannot be read; nothing waits.
    let table = fs::read_to_string(root.join("labels.csv")).unwrap() + "img/pipe.png,p9,9,1\nimg/zero.dcm,p10,9,0\n";
    fs::write(root.join("labels.csv"), table).unwrap();
    let said = audit(&[]);
    assert_eq!(said.matches("cannot be decoded: it is no regular file").count(), 2, "{said}");
}

/// C23: a picture is not written among the images, and a run folder among them is none of them, so that it can be resumed.
#[test]
fn c23_outputs_among_the_images() {
    let folder = scratch("intake-outputs");
    let root = films(&folder, "films", 8);
    fs::remove_file(root.join("labels.csv")).unwrap();
    let config = tiny_config(&folder);
    let ran = run(arguments!["preview", "--data", root, "--config", config, "--out", root.join("views.png")]);
    assert_eq!(ran.code, Some(2));
    says(&ran, &["outside of the folder of images"]);
    let out = root.join("run");
    succeed(arguments!["pretrain", "--data", root, "--config", config, "--out", out, "--quiet"]);
    assert!(out.join("tb/views.png").is_file());
    assert_eq!(read_json(&out.join("run.json"))["data"]["account"]["images"], 16);
    succeed(arguments!["pretrain", "--resume", "--epochs", "2", "--out", out, "--quiet"]);
    says(&succeed(arguments!["audit", "--data", root]), &["images 16", "folders that moco-cxr wrote itself: run/"]);
}

/// C35: sixteen black images train to nothing, and that is said before.
#[test]
fn c35_images_that_are_all_equal_are_refused() {
    let folder = scratch("intake-blank");
    let root = folder.join("blank");
    fs::create_dir_all(&root).unwrap();
    for number in 0..16 {
        let black = Radiograph::new(48, 40, Pixels::U8(vec![0; 48 * 40])).unwrap();
        black.write_png(&root.join(format!("{number}.png"))).unwrap();
    }
    let out = folder.join("run");
    let ran = run(arguments!["pretrain", "--data", root, "--config", tiny_config(&folder), "--out", out]);
    assert_eq!(ran.code, Some(1));
    says(&ran, &["16 images that are all equal, pixel for pixel", "16 of 16: images of one grey"]);
    assert!(!out.exists());
    says(&run(arguments!["audit", "--data", root]), &["looks: train, 16 images of one grey"]);
}

/// README's commands in their order, on one folder: each runs to its end. Returns what all of them said.
fn sequence(folder: &Path, root: &Path, task: &str) -> String {
    let config = tiny_config(folder);
    let [run, eval, tuned, scores] =
        ["run", "run/eval", "run/finetune", "scores.csv"].map(|name| folder.join("out").join(name));
    let mut said = String::new();
    let mut then = |ran: Ran| said.push_str(&format!("{}{}", ran.stdout, ran.stderr));
    then(succeed(arguments!["audit", "--data", root]));
    then(succeed(arguments!["pretrain", "--data", root, "--part", "train", "--config", config, "--out", run]));
    then(succeed(arguments!["linear", "--data", root, "--weights", run, "--task", task, "--out", eval]));
    let tuning =
        arguments!["finetune", "--data", root, "--weights", run, "--task", task, "--epochs", "1", "--out", tuned];
    then(succeed(tuning));
    then(succeed(arguments!["predict", "--data", root, "--weights", tuned, "--out", scores]));
    let of_task = eval.join(task.to_lowercase()).join("predictions.csv");
    then(succeed(arguments!["evaluate", of_task]));
    then(succeed(arguments!["evaluate", scores]));
    then(succeed(arguments!["report", run]));
    said
}

fn page(folder: &Path) -> String {
    fs::read_to_string(folder.join("out/run/report.html")).unwrap()
}

/// Films of which every second one is brighter, as `name(number, is_brighter)`.
fn write_films(root: &Path, number: usize, name: impl Fn(usize, bool) -> String) {
    for film in 0..number {
        let path = root.join(name(film, film % 2 == 1));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        image(film + 1000).write_png(&path).unwrap();
    }
}

#[test]
fn the_sequence_on_the_tuberculosis_sets() {
    for (set, prefix) in [("MontgomerySet", "MCUCXR"), ("ChinaSet_AllFiles", "CHNCXR")] {
        let folder = scratch(&format!("intake-sequence-{prefix}"));
        let root = folder.join("set");
        write_films(&root, 80, |film, ill| format!("{set}/CXR_png/{prefix}_{film:04}_{}.png", u8::from(ill)));
        let said = sequence(&folder, &root, "Tuberculosis");
        for words in [
            "the train share of the division by patient with seed 0",
            "no published parts (80 images in all)",
            // The scores of images that were trained on are no results.
            "of these 80 images the weights were trained on 5",
        ] {
            assert!(said.contains(words), "{words:?} in {said}");
        }
        // The page counts the images as the run divided them.
        let page = page(&folder);
        assert!(page.contains("train share") && page.contains("test share"), "{page}");
        assert!(!page.contains("What could not be read"), "{page}");
    }
}

#[test]
fn the_sequence_on_a_folder_with_a_table_of_words() {
    let folder = scratch("intake-sequence-table");
    let root = folder.join("set");
    write_films(&root, 80, |film, _| format!("films/scan{film:02}.png"));
    let mut table = "Export of the archive;;;\r\n\r\nFilm;Pat-Nr;Alter;Befund\r\n".to_owned();
    for film in 0..80 {
        table.push_str(&format!(
            "scan{film:02};P{};058Y;{}\r\n",
            film / 2,
            if film % 4 < 2 { "normal" } else { "Pneumonia" }
        ));
    }
    fs::write(root.join("befunde.csv"), table).unwrap();
    let said = sequence(&folder, &root, "Pneumonia");
    assert!(
        said.contains("\"Befund\" is not read as labels; --task with one of its words (Pneumonia, normal)"),
        "{said}"
    );
    assert!(said.contains("\"Befund\" is read as labels, by its words Pneumonia, normal"), "{said}");
    // Columns that are not in English are named, and the option that takes them.
    assert!(said.contains("--columns patient=NAME"), "{said}");
}

#[test]
fn the_sequence_on_a_folder_per_class() {
    let folder = scratch("intake-sequence-classes");
    let root = folder.join("set");
    write_films(&root, 80, |film, ill| format!("{}/{film}.png", if ill { "PNEUMONIA" } else { "NORMAL" }));
    let said = sequence(&folder, &root, "PNEUMONIA");
    assert!(
        said.contains("the folders NORMAL, PNEUMONIA are not read as labels; --task with one of these names"),
        "{said}"
    );
    assert!(said.contains("the folders NORMAL, PNEUMONIA are read as labels"), "{said}");
    let ran = run(arguments![
        "linear",
        "--data",
        root,
        "--weights",
        folder.join("out/run"),
        "--task",
        "Edema",
        "--out",
        folder.join("edema")
    ]);
    assert_eq!(ran.code, Some(1));
    says(&ran, &["unknown label \"Edema\": nothing in", "--task names one"]);
}

#[test]
fn the_sequence_on_folders_of_parts() {
    let folder = scratch("intake-sequence-parts");
    let root = folder.join("set");
    let class = |ill: bool| if ill { "Pneumonia" } else { "Normal" };
    write_films(&root, 80, |film, ill| {
        format!("{}/{}/{film}.png", if film < 56 { "train" } else { "val" }, class(ill))
    });
    let said = sequence(&folder, &root, "Pneumonia");
    assert!(said.contains("no test part: results are for the valid part"), "{said}");
    // One note is said once, although several parts are compared with each other.
    let linear = run(arguments![
        "linear",
        "--data",
        root,
        "--weights",
        folder.join("out/run"),
        "--task",
        "Pneumonia",
        "--out",
        folder.join("again")
    ]);
    assert_eq!(linear.stderr.matches("patients of test are unknown").count(), 1, "{}", linear.stderr);
}

/// A patient in two published parts is a leak, and the way out that the error names can be taken.
#[test]
fn a_leak_between_published_parts_has_a_way_out() {
    let folder = scratch("intake-leak");
    let root = folder.join("set");
    write_films(&root, 80, |film, _| format!("{}/{film:02}.png", if film < 48 { "train" } else { "val" }));
    let mut table = "file,patient,Mass\n".to_owned();
    // Film 47 and film 48 are of one patient.
    (0..80).for_each(|film| table.push_str(&format!("{film:02}.png,P{},{}\n", (film + 1) / 2, (film + 1) / 2 % 2)));
    fs::write(root.join("labels.csv"), table).unwrap();
    let out = folder.join("linear");
    let linear = |more: &[&str]| {
        let random = [
            "linear",
            "--weights",
            "random",
            "--arch",
            "resnet18-narrow",
            "--image-size",
            "32",
            "--task",
            "Mass",
            "--out",
            out.to_str().unwrap(),
            "--data",
        ];
        let words = random.iter().map(std::ffi::OsString::from).chain([root.clone().into_os_string()]);
        run(words.chain(more.iter().map(std::ffi::OsString::from)))
    };
    let ran = linear(&[]);
    assert_eq!(ran.code, Some(1));
    says(&ran, &["share 1 patient(s): P24", "`moco-cxr splits --kind patients --data", "--table parts/parts.csv"]);
    let parts = folder.join("parts");
    succeed(arguments!["splits", "--kind", "patients", "--data", root, "--out", parts]);
    let ran = linear(&["--table", parts.join("parts.csv").to_str().unwrap()]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
}

/// The page of a run on several sets counts each of them, and reads tables as the run did.
#[test]
fn the_page_counts_every_set_of_a_run() {
    let folder = scratch("intake-sets");
    let [one, other] = ["one", "two"].map(|name| {
        let root = films(&folder, name, 8);
        fs::rename(root.join("labels.csv"), folder.join(format!("{name}.csv"))).unwrap();
        fs::copy(folder.join(format!("{name}.csv")), root.join("kept.csv")).unwrap();
        fs::copy(folder.join(format!("{name}.csv")), root.join("other.csv")).unwrap();
        root
    });
    let (config, out) = (tiny_config(&folder), folder.join("out/run"));
    let both =
        arguments!["pretrain", "--data", one, "--data", other, "--table", "kept.csv", "--config", config, "--out", out];
    succeed(both);
    succeed(arguments!["report", out]);
    let page = page(&folder);
    for words in ["train, of one", "train, of two", "Effusion"] {
        assert!(page.contains(words), "{words:?} in {page}");
    }
    assert!(!page.contains("What could not be read"));
}

/// Images without any label are kept by `splits`, and stay without one in every command that reads its table.
#[test]
fn splits_keep_images_without_labels() {
    let folder = scratch("intake-unlabelled");
    let root = folder.join("set");
    write_films(&root, 20, |film, _| format!("img/{film:02}.png"));
    let mut table = "path,patient,kind\n".to_owned();
    (0..20).for_each(|film| {
        let kind = ["normal", "Mass", ""][film % 3];
        table.push_str(&format!("img/{film:02}.png,P{film},{kind}\n"));
    });
    fs::write(root.join("labels.csv"), table).unwrap();
    let parts = folder.join("parts");
    let ran = succeed(arguments!["splits", "--kind", "patients", "--data", root, "--task", "Mass", "--out", parts]);
    says(&ran, &["6 images have no labels at all; parts.csv keeps them"]);
    let ran = succeed(arguments!["audit", "--data", root, "--table", parts.join("parts.csv")]);
    says(&ran, &["images have no labels, as \"labelled\" says"]);
}

/// A set without published parts: pretrained on as a whole it cannot be evaluated on, and the error names the way out, which
/// works; the parts written as a table are read by every command.
#[test]
fn a_set_without_parts_is_pretrained_and_evaluated_by_one_division() {
    let folder = scratch("intake-division");
    let root = films(&folder, "films", 40);
    let config = tiny_config(&folder);
    let [all, share] = ["all", "share"].map(|name| folder.join(name));
    let ran = succeed(arguments!["pretrain", "--data", root, "--config", config, "--out", all]);
    says(&ran, &["--part train leaves out"]);
    let linear = |weights: &Path, out: &str, more: &[&str]| {
        let mut words = arguments![
            "linear",
            "--data",
            root,
            "--weights",
            weights,
            "--task",
            "Pleural Effusion",
            "--out",
            folder.join(out)
        ]
        .to_vec();
        words.extend(more.iter().map(std::ffi::OsString::from));
        run(words)
    };
    let ran = linear(&all, "refused", &[]);
    assert_eq!(ran.code, Some(1));
    says(&ran, &["leak", "--part train"]);
    says(
        &succeed(arguments!["pretrain", "--data", root, "--config", config, "--part", "train", "--out", share]),
        &["the train share of the division by patient with seed 0: 52 images"],
    );
    let ran = linear(&share, "linear", &[]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    says(&ran, &["\"Pleural Effusion\" is \"Effusion\"", "divided by patient (seed 0)"]);
    let ran = linear(&share, "exact", &["--exact-task"]);
    says(&ran, &["unknown label \"Pleural Effusion\"; expected one of Effusion"]);

    let parts = folder.join("parts");
    succeed(arguments!["splits", "--kind", "patients", "--data", root, "--out", parts]);
    let ran = linear(
        Path::new("random"),
        "by-table",
        &["--arch", "resnet18-narrow", "--image-size", "32", "--table", parts.join("parts.csv").to_str().unwrap()],
    );
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(!ran.stderr.contains("divided by patient"));
    let ran = run(arguments![
        "embed",
        "--weights",
        share,
        "--data",
        root,
        "--part",
        "valid",
        "--out",
        folder.join("embedded")
    ]);
    assert_eq!(ran.code, Some(1));
    says(&ran, &["expected the part \"valid\"", "no published parts"]);
}

/// Two folders are one set, whose patients stay apart.
#[test]
fn several_sets_in_one_run() {
    let folder = scratch("intake-together");
    let [one, two] = [("one", 5), ("second", 4)].map(|(name, patients)| films(&folder, name, patients));
    let ran = succeed(arguments!["audit", "--data", one, "--data", two]);
    says(&ran, &["images 18, patients 9", "one: 10 images of the data set", "second: 8 images"]);
    let out = folder.join("run");
    succeed(arguments![
        "pretrain",
        "--data",
        one,
        "--data",
        two,
        "--config",
        tiny_config(&folder),
        "--out",
        out,
        "--quiet"
    ]);
    assert_eq!(read_json(&out.join("run.json"))["data"]["images"], 18);
    succeed(arguments!["pretrain", "--resume", "--epochs", "2", "--out", out, "--quiet"]);
}

/// C62, C76, C77: score files of other tools.
#[test]
fn c62_c76_c77_score_files() {
    let folder = scratch("intake-scores");
    let file = |name: &str, text: &str| {
        fs::write(folder.join(name), text).unwrap();
        folder.join(name)
    };
    let rows = |line: &dyn Fn(usize) -> String| (0..40).map(|row| line(row) + "\n").collect::<String>();
    let alone = file("alone.csv", &format!("label_A,score_A\n{}", rows(&|row| format!("{},0.{}", row % 2, row + 10))));
    says(&succeed(arguments!["evaluate", alone, "--replicates", "100"]), &["every row counts as a patient of its own"]);
    let label = |row: usize| ["1.0", "0.0", "-1.0", ""][row % 4];
    let truth = file("train.csv", &format!("Path,Edema\n{}", rows(&|row| format!("{row}.jpg,{}", label(row)))));
    let scores = file("scores.csv", &format!("Path,Edema\n{}", rows(&|row| format!("{row}.jpg,0.{}", row + 10))));
    let evaluate = |scores: &Path, more: &[&str]| {
        let mut words =
            arguments!["evaluate", "--ground-truth", truth, "--predictions", scores, "--replicates", "100", "--json"]
                .to_vec();
        words.extend(more.iter().map(std::ffi::OsString::from));
        run(words)
    };
    let results = |ran: &Ran| serde_json::from_str::<serde_json::Value>(&ran.stdout).unwrap();
    let default = evaluate(&scores, &[]);
    assert_eq!((results(&default)["rows"][0]["n"].clone(), default.code), (30.into(), Some(0)));
    says(&default, &["labels under the policy uncertain=ignore,not-mentioned=negative,views=all"]);
    let ones = evaluate(&scores, &["--policy", "uncertain=ones,not-mentioned=ignore"]);
    assert_eq!(results(&ones)["rows"][0]["n"], 30);
    assert_eq!(results(&ones)["stamp"]["label_policy"], "uncertain=ones,not-mentioned=ignore,views=all");
    let half: String = fs::read_to_string(&scores).unwrap().lines().take(21).map(|line| format!("{line}\n")).collect();
    let half = file("half.csv", &half);
    says(&evaluate(&half, &[]), &["--scored-only"]);
    let half = evaluate(&half, &["--scored-only"]);
    assert_eq!(results(&half)["stamp"]["split"], "20 of 40 rows, those with scores");
    let ran = evaluate(&scores, &["--policy", "views=frontal"]);
    assert_eq!(ran.code, Some(2));
}
