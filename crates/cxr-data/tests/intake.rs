//! Folders and tables as people have them: every file accounted for, every table read or named.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::Path;

use cxr_data::{
    Columns, Dataset, Label, LoadOptions, Manifest, OnBad, Part, Projection, Result, Sex, View, audit, label_policies,
    load, load_together, load_with, prescan,
};
use support::image;
use tempfile::TempDir;

fn write(root: &Path, name: &str, content: impl AsRef<[u8]>) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// Files without content: loading opens no image.
fn folder(files: &[&str]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    files.iter().for_each(|name| write(dir.path(), name, b""));
    dir
}

fn auto(dir: &TempDir) -> Result<Manifest> {
    load(dir.path(), Dataset::Auto, Part::All)
}

fn paths(set: &Manifest) -> Vec<&str> {
    set.records.iter().map(|record| record.path.as_str()).collect()
}

fn left_out(set: &Manifest) -> Vec<String> {
    set.account.left_out.iter().map(ToString::to_string).collect()
}

fn warnings(set: &Manifest) -> String {
    set.account.warnings().map(|left| format!("{left}\n")).collect()
}

/// Images, tables and everything left out are all there is below the folder.
fn all_accounted_for(set: &Manifest, files: usize) {
    assert_eq!(set.account.files(), files, "{:?}", set.account);
    assert_eq!(set.account.images, set.len());
}

#[cfg(unix)]
fn bytes_name(bytes: &[u8]) -> &Path {
    use std::os::unix::ffi::OsStrExt;
    Path::new(std::ffi::OsStr::from_bytes(bytes))
}

/// C19: names that are not UTF-8 are read, keep apart and come back.
#[cfg(unix)]
#[test]
fn c19_names_that_are_not_utf8_are_read() {
    let names: [&[u8]; 4] = [b"gr\xf6\xdfe0.png", b"gr\xf6\xdfe1.png", b"\xe3\x81.png", b"\\xf6.png"];
    let dir = folder(&["0.png"]);
    for (number, name) in names.iter().enumerate() {
        image(number as u8).write_png(&dir.path().join(bytes_name(name))).unwrap();
    }
    let below = dir.path().join(bytes_name(b"l\xe4ufe"));
    fs::create_dir(&below).unwrap();
    image(9).write_png(&below.join("1.png")).unwrap();
    image(8).write_png(&dir.path().join("0.png")).unwrap();
    let set = auto(&dir).unwrap();
    all_accounted_for(&set, 6);
    assert!(
        paths(&set).contains(&"gr\\xf6\\xdfe0.png") && paths(&set).contains(&"l\\xe4ufe/1.png"),
        "{:?}",
        paths(&set)
    );
    assert!(prescan(&set, 2).faults.is_empty());
}

/// C22: links that lead nowhere are images that cannot be read; a loop is walked once; a second name is no second image.
#[cfg(unix)]
#[test]
fn c22_links() {
    use std::os::unix::fs::symlink;
    let dir = folder(&["a/1.png", "a/2.png", "3.png"]);
    let root = dir.path();
    symlink("../.git/annex/4.png", root.join("a/4.png")).unwrap();
    symlink(".", root.join("again")).unwrap();
    symlink("nowhere", root.join("notes")).unwrap();
    symlink("1.png", root.join("a/5.png")).unwrap();
    symlink("a", root.join("b")).unwrap();
    let set = auto(&dir).unwrap();
    assert_eq!(paths(&set), ["3.png", "a/1.png", "a/2.png", "a/4.png"]);
    let left = left_out(&set);
    assert!(left.contains(&"1 links to a folder above them (loops), which are walked once: again".into()), "{left:?}");
    assert!(left.contains(&"1 links that lead nowhere: notes".into()), "{left:?}");
    assert!(left.iter().any(|line| line.contains("other names (links)") && line.contains("a/5.png")), "{left:?}");
    let faults = prescan(&set, 1).faults;
    assert!(faults.iter().any(|(row, _)| set.records[*row].path == "a/4.png"));

    // A table that names both a file and a link to it names one image twice.
    write(root, "labels.csv", "path,Mass\na/1.png,1\na/5.png,0\n");
    let error = auto(&dir).unwrap_err().to_string();
    assert!(error.contains("line 3") && error.contains("every image once (line 2 lists it too)"), "{error}");
    write(root, "labels.csv", "path,Mass\na/1.png,1\n./a//1.png,0\n");
    assert!(auto(&dir).unwrap_err().to_string().contains("every image once"));
}

/// C23, C15, and what cameras, servers and editors leave: nothing of it is an image, and all of it is counted.
#[test]
fn c23_own_outputs_and_what_systems_leave_behind() {
    let dir = folder(&[
        "1.png",
        "2.png",
        "._1.png",
        ".DS_Store",
        "__MACOSX/1.png",
        "@eaDir/1.png/SYNOPHOTO_THUMB_M.jpg",
        "Thumbs.db",
        "sub/.thumbnails/x.png",
        "run/tb/views.png",
        "run/export/model.safetensors",
        "notes.txt",
    ]);
    write(dir.path(), "run/run.json", r#"{"command": "pretrain", "moco_cxr": "0.1.0"}"#);
    // A run.json of another program makes no run of a folder.
    write(dir.path(), "other/run.json", r#"{"command": "train", "version": "2.1"}"#);
    write(dir.path(), "other/3.png", "");
    let set = auto(&dir).unwrap();
    assert_eq!(paths(&set), ["1.png", "2.png", "other/3.png"]);
    let left = left_out(&set).join("\n");
    for expected in [
        "1 folders that moco-cxr wrote itself: run/",
        "hidden files and folders: .DS_Store",
        "thumbnails",
        "2 other files",
    ] {
        assert!(left.contains(expected), "{expected} in {left}");
    }
    assert!(set.account.warnings().next().is_none());
    // The run itself is asked for by name.
    assert_eq!(load(&dir.path().join("run"), Dataset::Folder, Part::All).unwrap().len(), 1);
}

/// C24: kinds that are not read are named; those with a decoder are read.
#[test]
fn c24_kinds_that_are_not_read() {
    let dir = folder(&["0.png", "1.bmp", "2.tif", "3.tiff", "4.webp", "5.gif", "6.jp2", "7.jfif", "8.nii.gz"]);
    let set = auto(&dir).unwrap();
    assert_eq!(paths(&set), ["0.png", "1.bmp", "2.tif", "3.tiff", "4.webp", "7.jfif"]);
    assert_eq!(warnings(&set), "3 images of kinds that are not read (gif, gz, jp2): 5.gif, 6.jp2, 8.nii.gz\n");
    all_accounted_for(&set, 9);
}

/// C26: folders of parts in any spelling, and of classes within them.
#[test]
fn c26_folders_of_parts_and_classes() {
    for (train, valid, test) in
        [("train", "val", "test"), ("Training", "Validation", "Testing"), ("TRAIN", "dev", "tst")]
    {
        let mut files = Vec::new();
        for (part, count) in [(train, 3), (valid, 1), (test, 2)] {
            for class in ["NORMAL", "PNEUMONIA"] {
                files.extend((0..count).map(|number| format!("chest/{part}/{class}/{number}.jpeg")));
            }
        }
        let dir = folder(&files.iter().map(String::as_str).collect::<Vec<_>>());
        let part = |part| load(dir.path(), Dataset::Auto, part).unwrap();
        let counts = [Part::Train, Part::Valid, Part::Test, Part::All].map(|which| part(which).len());
        assert_eq!(counts, [6, 2, 4, 12], "{train}");
        let set = part(Part::Valid);
        assert_eq!((set.tasks.as_slice(), set.has_parts), (&["NORMAL".to_owned(), "PNEUMONIA".into()][..], true));
        assert_eq!(set.records[0].labels, [Label::Positive, Label::Negative]);
        assert_eq!(set.records[1].labels, [Label::Negative, Label::Positive]);
        assert!(set.notes.join("\n").contains("are read as labels"));
    }
    // A part that is not there is an error, never the whole.
    let dir = folder(&["train/1.png", "test/2.png"]);
    let error = load(dir.path(), Dataset::Auto, Part::Valid).unwrap_err().to_string();
    assert!(error.contains("expected the part \"valid\"") && error.contains("the folders train, test"), "{error}");
    let error = load(folder(&["p1/1.png", "p2/2.png"]).path(), Dataset::Auto, Part::Test).unwrap_err().to_string();
    assert!(error.contains("no published parts") && error.contains("splits"), "{error}");
    // Folders of patients are no classes.
    assert!(auto(&folder(&["train/p1/1.png", "train/p2/1.png", "test/p3/1.png"])).unwrap().tasks.is_empty());
}

/// C26: folders of a set without parts may be patients or classes; they are classes if a task names one, and that is said.
#[test]
fn c26_folders_are_classes_where_a_task_names_one() {
    let dir = folder(&["set/Normal/1.png", "set/Normal/a/2.png", "set/TB/3.png", "set/odd.png"]);
    let ask = |dir: &TempDir, task: &str, part| {
        let options = LoadOptions { tasks: Some(vec![task.into()]), ..LoadOptions::default() };
        load_with(dir.path(), Dataset::Auto, part, &options).unwrap()
    };
    let set = ask(&dir, "tuberculosis", Part::Train);
    assert_eq!(set.tasks, ["Normal", "TB"]);
    let (yes, no) = (Label::Positive, Label::Negative);
    assert_eq!(
        set.records.iter().map(|record| record.labels.clone()).collect::<Vec<_>>(),
        [vec![yes, no], vec![yes, no], vec![no, yes], vec![]]
    );
    assert!(
        set.notes.join("\n").contains("1 images lie in none of these folders and have no labels"),
        "{:?}",
        set.notes
    );
    // Another word, or none: no labels.
    assert!(ask(&dir, "Edema", Part::Train).tasks.is_empty());
    fs::remove_file(dir.path().join("set/odd.png")).unwrap();
    let set = auto(&dir).unwrap();
    let notes = set.notes.join("\n");
    assert!(set.tasks.is_empty() && notes.contains("the folders Normal, TB are not read as labels; --task"), "{notes}");
    let error = set.task_indices(&["TB"]).unwrap_err().to_string();
    assert!(error.contains("nothing in") && error.contains("--task names one"), "{error}");
    // Parts that do not have the same classes.
    let dir = folder(&["train/A/1.png", "train/B/2.png", "val/A/3.png"]);
    assert!(auto(&dir).unwrap().tasks.is_empty());
    let set = ask(&dir, "b", Part::Valid);
    assert_eq!((set.tasks.as_slice(), &set.records[0].labels), (&["A".to_owned(), "B".into()][..], &vec![yes, no]));
    // Many folders are patients, of which nothing is said.
    let many: Vec<String> = (0..30).map(|number| format!("p{number}/1.png")).collect();
    let dir = folder(&many.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(!auto(&dir).unwrap().notes.join("\n").contains("--task"));
}

/// C06, C30: the tables and lists of the other parts of a set are no tables that somebody forgot.
#[test]
fn c06_c30_tables_of_other_parts_are_no_warning() {
    let mass = "path,Mass\nimg/1.png,1\n";
    let dir =
        three_images(&[("train.csv", mass), ("val.csv", &mass.replace("1.png", "2.png")), ("notes.csv", "day\n3\n")]);
    fs::remove_file(dir.path().join("img/3.png")).unwrap();
    let set = load(dir.path(), Dataset::Auto, Part::Train).unwrap();
    let left = left_out(&set);
    assert!(left.contains(&"1 tables and lists of other parts: val.csv".into()), "{left:?}");
    assert_eq!(warnings(&set).lines().count(), 1, "{}", warnings(&set));
    assert!(warnings(&set).contains("notes.csv"));
    all_accounted_for(&set, 5);
    assert!(!left_out(&auto(&dir).unwrap()).join("\n").contains("other parts"));
}

/// A column that names findings by words is read as labels where a task names one of them, and otherwise offered.
#[test]
fn a_column_of_words_is_labels_where_a_task_names_one() {
    let text = "path,patient,diagnosis,Mass\nimg/1.png,A,Normal,0\nimg/2.png,B,COVID-19 | Effusion,1\nimg/3.png,C,,\n";
    let dir = three_images(&[("labels.csv", text)]);
    let ask = |task: &str| {
        let options = LoadOptions { tasks: Some(vec![task.into()]), ..LoadOptions::default() };
        load_with(dir.path(), Dataset::Auto, Part::All, &options).unwrap()
    };
    let set = ask("pleural effusion");
    assert_eq!(set.tasks, ["Mass", "COVID-19", "Effusion", "Normal"]);
    let (yes, no, blank) = (Label::Positive, Label::Negative, Label::NotMentioned);
    let labels: Vec<_> = set.records.iter().map(|record| record.labels.clone()).collect();
    assert_eq!(labels, [vec![no, no, no, yes], vec![yes, yes, yes, no], vec![blank; 4]]);
    assert!(set.notes.join("\n").contains("\"diagnosis\" is read as labels, by its words"), "{:?}", set.notes);
    assert_eq!(ask("mass").tasks, ["Mass"]);
    // Where it is the only one, a blank says nothing at all.
    write(
        dir.path(),
        "labels.csv",
        text.replace(",Mass", "").replace(",0\n", "\n").replace(",1\n", "\n").replace(",,", ","),
    );
    let set = ask("normal");
    assert_eq!((set.tasks.len(), set.records[2].labels.len()), (3, 0));
    // Few words that come again are offered.
    write(dir.path(), "labels.csv", "path,kind\nimg/1.png,film\nimg/2.png,film\nimg/3.png,digital\n");
    let notes = auto(&dir).unwrap().notes.join("\n");
    assert!(!notes.contains("is not read as labels"), "two words in three rows: {notes}");
    write(dir.path(), "img/4.png", "");
    write(
        dir.path(),
        "labels.csv",
        "path,kind\nimg/1.png,film\nimg/2.png,film\nimg/3.png,digital\nimg/4.png,digital\n",
    );
    let notes = auto(&dir).unwrap().notes.join("\n");
    assert!(notes.contains("\"kind\" is not read as labels; --task with one of its words (digital, film)"), "{notes}");
}

/// One finding in two spellings is one label: an image of the other spelling must not be negative.
#[test]
fn spellings_of_a_finding_are_one_label() {
    let (yes, no) = (Label::Positive, Label::Negative);
    let ask = |dir: &TempDir| {
        let options = LoadOptions { tasks: Some(vec!["Effusion".into()]), ..LoadOptions::default() };
        let set = load_with(dir.path(), Dataset::Auto, Part::All, &options).unwrap();
        (set.tasks.clone(), set.records.iter().map(|record| record.labels.clone()).collect::<Vec<_>>())
    };
    let text = "path,diagnosis\nimg/1.png,effusion\nimg/2.png,Pleural Effusion\nimg/3.png,Normal\n";
    let (tasks, labels) = ask(&three_images(&[("labels.csv", text)]));
    assert_eq!((tasks.len(), labels), (2, vec![vec![no, yes], vec![no, yes], vec![yes, no]]), "{tasks:?}");
    let (tasks, labels) = ask(&folder(&["EFFUSION/1.png", "effusion/2.png", "normal/3.png"]));
    assert_eq!((tasks.len(), labels), (2, vec![vec![yes, no], vec![yes, no], vec![no, yes]]), "{tasks:?}");
}

/// Images beside the only folder of a part may be the test images under a name of their own.
#[test]
fn what_lies_beside_a_train_folder_is_not_trained_on() {
    for beside in ["holdout/2.png", "2.png"] {
        let dir = folder(&["train/1.png", beside]);
        let train = load(dir.path(), Dataset::Auto, Part::Train).unwrap();
        assert_eq!((train.has_parts, paths(&train)), (true, vec!["1.png"]), "{beside}");
    }
}

/// Titles and comments above the header of a table, as exports and spreadsheets have them; lines are those of the file.
#[test]
fn titles_and_comments_above_a_header() {
    for above in ["# exported by me, on Monday\n", "Study export 2020-01-01,,\r\n\r\n", "Study export\n# second line\n"]
    {
        let dir = three_images(&[("labels.csv", &format!("{above}path,patient,Effusion\n{ROWS}"))]);
        let set = auto(&dir).unwrap();
        assert_eq!((set.tasks.as_slice(), set.patient_count()), (&["Effusion".to_owned()][..], 2), "{above:?}");
        write(dir.path(), "labels.csv", format!("{above}path,patient,Effusion\n{}", ROWS.replace("A,1", "A,7")));
        let lines = above.matches('\n').count() + 2;
        let error = auto(&dir).unwrap_err().to_string();
        assert!(error.contains(&format!("line {lines}, column \"Effusion\": found \"7\"")), "{error}");
    }
}

/// Folders of parts with a word beside the part; one part alone is none; what lies beside the parts is said.
#[test]
fn folders_of_parts_in_other_words() {
    let part = |dir: &TempDir, part| load(dir.path(), Dataset::Auto, part);
    for [train, valid, test] in
        [["train set", "validation set", "test set"], ["train_images", "val_images", "TestData"]]
    {
        let dir = folder(&[&format!("{train}/1.png"), &format!("{valid}/2.png"), &format!("{test}/3.png"), "4.png"]);
        for (which, name) in [(Part::Train, "1.png"), (Part::Valid, "2.png"), (Part::Test, "3.png")] {
            assert_eq!(paths(&part(&dir, which).unwrap()), [name], "{train}");
        }
        let notes = auto(&dir).unwrap().notes.join("\n");
        assert!(notes.contains("1 images lie outside of the folders") && notes.contains("4.png"), "{notes}");
    }
    let dir = folder(&["train/a/1.png", "train/b/2.png"]);
    let set = part(&dir, Part::Train).unwrap();
    assert_eq!((set.has_parts, paths(&set)), (false, vec!["train/a/1.png", "train/b/2.png"]));
    let dir = three_images(&[("train.csv", &format!("path,patient,Effusion\n{ROWS}"))]);
    assert!(!part(&dir, Part::Train).unwrap().has_parts);
    // One odd word in a column of parts is a fault of the table, not a set without parts.
    let dir =
        three_images(&[("labels.csv", "path,split,Mass\nimg/1.png,train,1\nimg/2.png,holdout,0\nimg/3.png,,1\n")]);
    let error = auto(&dir).unwrap_err().to_string();
    assert!(error.contains("line 3, column \"split\": found \"holdout\", expected train, valid or test"), "{error}");
}

/// Masks, archives and tables of other kinds beside the images are named, and are none of them.
#[test]
fn masks_archives_and_json_are_named() {
    let dir =
        folder(&["COVID/images/1.png", "COVID/masks/1.png", "ManualMask/leftMask/1.png", "more.zip", "all.tar.gz"]);
    write(dir.path(), "labels.json", "[]");
    let set = auto(&dir).unwrap();
    assert_eq!(paths(&set), ["COVID/images/1.png"]);
    let found = warnings(&set);
    for words in
        ["2 masks, by the names of their folders", "2 archives, in which nothing is looked for", "1 tables (JSON"]
    {
        assert!(found.contains(words), "{words:?} in {found}");
    }
    all_accounted_for(&set, 6);
    // Where there is nothing else they were asked for, and a table may name them.
    assert_eq!(auto(&folder(&["masks/1.png", "masks/2.png"])).unwrap().len(), 2);
    write(dir.path(), "labels.csv", "path,Mass\nCOVID/masks/1.png,1\n");
    assert_eq!(paths(&auto(&dir).unwrap()), ["COVID/masks/1.png"]);
}

const ROWS: &str = "img/1.png,A,1\nimg/2.png,B,0\nimg/3.png,A,\n";

fn three_images(tables: &[(&str, &str)]) -> TempDir {
    let dir = folder(&["img/1.png", "img/2.png", "img/3.png"]);
    tables.iter().for_each(|(name, text)| write(dir.path(), name, text));
    dir
}

/// C13: any separator, and a table that cannot be read is named.
#[test]
fn c13_tables_of_any_separator_are_read_and_workbooks_named() {
    let text = format!("path,patient,Effusion\n{ROWS}");
    for (name, separator) in [("labels.csv", ";"), ("labels.tsv", "\t"), ("labels.csv", "|")] {
        let set = auto(&three_images(&[(name, &text.replace(',', separator))])).unwrap();
        assert_eq!(
            (set.tasks.as_slice(), set.patient_count()),
            (&["Effusion".to_owned()][..], 2),
            "{name} {separator}"
        );
        assert_eq!(set.account.tables, [name]);
    }
    let dir = three_images(&[("labels.xlsx", "PK\u{3}\u{4}xl/workbook.xml")]);
    let found = warnings(&auto(&dir).unwrap());
    assert_eq!(found, "1 tables (found a workbook or an archive; save its sheet as CSV, or unpack it): labels.xlsx\n");
}

/// C15: a stray table beside the good one is named, and does not stop the load.
#[test]
fn c15_stray_tables_are_named() {
    let good = format!("path,patient,Effusion\n{ROWS}");
    for (name, content, reason) in [
        ("._labels.csv", "\0\u{5}\u{16}", ""),
        ("todo.csv", "", "an empty file"),
        ("devices.csv", "Ger\u{e4}t;Gr\u{f6}\u{df}e\nA;43 cm\n", "no column of paths among Gerät, Größe"),
        ("broken.csv", "a,a\n1,2\n", "two columns are named \"a\""),
    ] {
        let dir = three_images(&[("labels.csv", &good), (name, content)]);
        let set = auto(&dir).unwrap();
        assert_eq!((set.len(), set.tasks.len(), set.patients_known), (3, 1, true), "{name}");
        let found = warnings(&set);
        assert!(found.contains(reason) && found.contains(name) != reason.is_empty(), "{name}: {found}");
    }
}

/// C12, C04: the way out that the error names is one that can be taken.
#[test]
fn c12_two_tables_and_the_option_that_chooses() {
    let labels = format!("path,patient,Effusion\n{ROWS}");
    let dir = three_images(&[("labels.csv", &labels), ("metadata.csv", "path,age\nimg/1.png,50\nimg/2.png,60\n")]);
    let error = auto(&dir).unwrap_err().to_string();
    assert!(
        error.contains("labels.csv and") && error.contains("metadata.csv") && error.contains("--table FILE"),
        "{error}"
    );
    let with = |table: &str| {
        let options = LoadOptions { table: Some(table.into()), ..LoadOptions::default() };
        load_with(dir.path(), Dataset::Auto, Part::All, &options)
    };
    let set = with("labels.csv").unwrap();
    assert_eq!((set.len(), set.tasks.len()), (3, 1));
    assert!(warnings(&set).contains("labels.csv is read; --table takes this one): metadata.csv"), "{}", warnings(&set));
    assert_eq!(with("metadata.csv").unwrap().records[1].age, Some(60.0));
    assert_eq!(with(dir.path().join("metadata.csv").to_str().unwrap()).unwrap().len(), 2);
    assert!(with("nothing.csv").unwrap_err().to_string().contains("nothing.csv"));
}

/// C11: a column of numbers is no label; one that is asked for has to be.
#[test]
fn c11_columns_of_numbers_are_no_labels() {
    let text = "path,patient,followup,Score,PatientAge,Effusion\nimg/1.png,A,0,1,1,1\nimg/2.png,B,1,0,31,0\nimg/3.png,C,2,3,61,\n";
    let dir = three_images(&[("labels.csv", &text.replace("Score", "Grade"))]);
    // One odd value alone is taken for a fault, and the error says what to do.
    let error = auto(&three_images(&[("labels.csv", text)])).unwrap_err().to_string();
    assert!(error.contains("--task"), "{error}");
    let tasks = |names: &[&str]| {
        let tasks = Some(names.iter().map(|name| (*name).to_owned()).collect());
        load_with(dir.path(), Dataset::Auto, Part::All, &LoadOptions { tasks, ..LoadOptions::default() })
    };
    let set = tasks(&["Effusion"]).unwrap();
    assert_eq!((set.tasks.as_slice(), set.records[1].age), (&["Effusion".to_owned()][..], Some(31.0)));
    let notes = set.notes.join("\n");
    assert!(notes.contains("columns not read: followup (no labels: line 4 has \"2\"), Grade (no labels"), "{notes}");
    // By the name that another set gives the finding.
    assert_eq!(tasks(&["Pleural Effusion"]).unwrap().tasks, ["Effusion"]);
    assert!(tasks(&["Grade"]).unwrap_err().to_string().contains("column \"Grade\": found \"3\""));
}

/// Columns of any name, by choice or by what they hold.
#[test]
fn columns_by_choice_and_by_content() {
    let text = "who,film,side,Effusion\nA,1.png,PA,1\nB,2.png,L,0\nA,3.png,AP,1\n";
    let dir = three_images(&[("films.csv", text)]);
    let set = auto(&dir).unwrap();
    assert_eq!((set.len(), set.patients_known, set.tasks.as_slice()), (3, false, &["Effusion".to_owned()][..]));
    let options =
        |columns: &str| LoadOptions { columns: columns.parse::<Columns>().unwrap(), ..LoadOptions::default() };
    let named = |columns: &str| load_with(dir.path(), Dataset::Auto, Part::All, &options(columns));
    let set = named("path=film,patient=who,view=side").unwrap();
    assert_eq!((set.patient_count(), set.records[1].view), (2, Some(View::Lateral)));
    assert_eq!(set.records[2].projection, Some(Projection::Ap));
    let error = named("patient=whom").unwrap_err().to_string();
    assert!(error.contains("column \"whom\" not found; the header has \"who\", \"film\""), "{error}");
}

/// C16, C30: paths of Windows, other endings, images further down; and what is ambiguous stays an error.
#[test]
fn c16_c30_images_are_found_by_the_rest_of_their_names() {
    let table =
        |paths: [&str; 3]| format!("path,patient,Effusion\n{},A,1\n{},B,0\n{},A,1\n", paths[0], paths[1], paths[2]);
    for paths in [
        ["C:\\data\\img\\1.png", "C:\\data\\img\\2.png", "C:\\data\\img\\3.png"],
        ["D:/data\\img\\1.png", "D:/data\\img\\2.png", "D:/data\\img\\3.png"],
        ["img/1.PNG", "img/2.jpg", "img/3"],
        ["1", "2.dcm", "3.png"],
        ["x/1.png", "y/2.png", "z/3.png"],
    ] {
        let set = auto(&three_images(&[("labels.csv", &table(paths))])).unwrap();
        assert_eq!(
            set.records.iter().map(|r| r.path.as_str()).collect::<Vec<_>>(),
            ["img/1.png", "img/2.png", "img/3.png"],
            "{paths:?}"
        );
    }
    // A missing image is never replaced by one of its name elsewhere: others are where the table says.
    let dir = three_images(&[("labels.csv", &table(["img/1.png", "img/2.png", "img/4.png"]))]);
    write(dir.path(), "more/4.png", "");
    let error = auto(&dir).unwrap_err().to_string();
    assert!(
        error.contains("image \"img/4.png\" not found") && error.contains("a file of this name is more/4.png"),
        "{error}"
    );
    // Two candidates are none.
    let dir = three_images(&[("labels.csv", &table(["1.png", "2.png", "3.png"]))]);
    write(dir.path(), "more/1.png", "");
    assert!(auto(&dir).unwrap_err().to_string().contains("several files have this name: img/1.png, more/1.png"));
}

/// C25, C27: the line an editor shows; cells that a spreadsheet spoilt are said, and a group of ages is no age.
#[test]
fn c25_c27_lines_and_spoilt_cells() {
    for end in ["\n", "\r\n"] {
        let text = ["path,patient,Effusion", "img/1.png,A,1", "img/2.png,B,0", "img/3.png,A,7", ""].join(end);
        let error = auto(&three_images(&[("labels.csv", &text)])).unwrap_err().to_string();
        assert!(error.contains("labels.csv line 4, column \"Effusion\": found \"7\""), "{error}");
    }
    let text = "path,patient,age,Effusion\nimg/1.png,9.00001E+37,40-50,1\nimg/2.png,9.00001E+37,85 or more,0\nimg/3.png,9.00002E+37,020Y,1\n";
    let set = auto(&three_images(&[("labels.csv", text)])).unwrap();
    assert_eq!(set.records.iter().map(|record| record.age).collect::<Vec<_>>(), [None, None, Some(20.0)]);
    let notes = set.notes.join("\n");
    assert!(
        notes.contains("3 rows have a patient that looks like a long number which a spreadsheet rounded"),
        "{notes}"
    );
    assert!(notes.contains("2 ages are groups, which are no ages"), "{notes}");
    let subsets = [cxr_data::Subset { name: "train", role: cxr_data::Role::Train, manifest: &set }];
    let warnings = audit(&subsets, &label_policies()).unwrap().warnings().join("\n");
    assert!(warnings.contains("patients: train, 3 rows have a patient like 9.00001E+37"), "{warnings}");
}

/// A column that says the part, and tables named for parts in any spelling.
#[test]
fn parts_by_a_column_and_by_tables() {
    let dir = three_images(&[(
        "labels.csv",
        "path,patient,Split,Mass\nimg/1.png,A,training,1\nimg/2.png,B,VAL,0\nimg/3.png,C,test,1\n",
    )]);
    let part = |dir: &TempDir, part| load(dir.path(), Dataset::Auto, part).map(|set| paths(&set).join(" "));
    assert_eq!(part(&dir, Part::Train).unwrap(), "img/1.png");
    assert_eq!(part(&dir, Part::Valid).unwrap(), "img/2.png");
    assert_eq!(part(&dir, Part::All).unwrap(), "img/1.png img/2.png img/3.png");
    // Folders named for parts are parts of a table that says nothing of them.
    let dir = folder(&["train/1.png", "val/2.png"]);
    write(dir.path(), "labels.csv", "path,Mass\ntrain/1.png,1\nval/2.png,0\n");
    assert_eq!(part(&dir, Part::Valid).unwrap(), "val/2.png");
    assert!(part(&dir, Part::Test).is_err());
    // Words that are no parts make no parts of a column.
    let dir = three_images(&[("labels.csv", "path,set,Mass\nimg/1.png,3,1\nimg/2.png,b,0\nimg/3.png,c,1\n")]);
    assert!(!auto(&dir).unwrap().has_parts);
    let dir = three_images(&[
        ("train.csv", "path,Mass\nimg/1.png,1\nimg/2.png,0\n"),
        ("val.csv", "path,Mass\nimg/3.png,1\n"),
    ]);
    assert_eq!(part(&dir, Part::Valid).unwrap(), "img/3.png");
    assert_eq!(part(&dir, Part::All).unwrap(), "img/1.png img/2.png img/3.png");
    assert!(part(&dir, Part::Test).unwrap_err().to_string().contains("expected the part \"test\""));
    write(dir.path(), "val.csv", "path,Mass\nimg/1.png,1\n");
    assert!(part(&dir, Part::All).unwrap_err().to_string().contains("every image in one part"));
}

/// Several sets are one, with ids kept apart and labels that all have.
#[test]
fn sets_together_keep_their_patients_apart() {
    let [first, second] = [
        "path,patient,Effusion,Mass\nimg/1.png,1,1,0\nimg/2.png,2,0,0\nimg/3.png,1,0,1\n",
        "path,patient,Pleural Effusion,Edema\nimg/1.png,1,0,0\nimg/2.png,1,1,0\nimg/3.png,7,1,1\n",
    ]
    .map(|text| three_images(&[("labels.csv", text)]));
    let dirs = [first.path().to_path_buf(), second.path().to_path_buf()];
    let set = load_together(&dirs, Dataset::Auto, Part::Train, &LoadOptions::default()).unwrap();
    assert_eq!((set.len(), set.patient_count(), set.tasks.as_slice()), (6, 4, &["Effusion".to_owned()][..]));
    assert!((0..6).all(|row| set.image_path(row).is_file()));
    assert_eq!(set.records[4].labels, [Label::Positive]);
    assert_eq!(set.account.images, 6);
    let notes = set.notes.join("\n");
    assert!(notes.contains("3 images of the data set \"folder\"") && notes.contains("not read: Edema"), "{notes}");
    let within = [first.path().to_path_buf(), first.path().join("img")];
    let error = load_together(&within, Dataset::Auto, Part::All, &LoadOptions::default()).unwrap_err().to_string();
    assert!(error.contains("data sets in folders of their own"), "{error}");
}

/// A table whose images are missing says so, and skipping counts them.
#[test]
fn missing_images_of_an_own_table_are_counted() {
    let dir = three_images(&[("labels.csv", "path,Mass\nimg/1.png,1\nimg/8.png,0\nimg/9.png,0\n")]);
    let options = LoadOptions { on_bad: OnBad::Skip, ..LoadOptions::default() };
    let set = load_with(dir.path(), Dataset::Auto, Part::All, &options).unwrap();
    assert_eq!(set.len(), 1);
    assert!(set.notes.join("\n").contains("2 rows skipped because their images are missing (the first: "));
    assert!(warnings(&set).contains("2 images that no row of the set names: img/2.png, img/3.png"));
}

/// H beside F is a man (homme); beside M it may be hombre or hembra, which is not guessed. What is not read is said.
#[test]
fn sexes_of_other_languages_are_read_or_said() {
    let sexes = |cells: [&str; 3]| {
        let [one, two, three] = cells;
        let rows = format!("path,sex,Mass\nimg/1.png,{one},1\nimg/2.png,{two},0\nimg/3.png,{three},0\n");
        let set = auto(&three_images(&[("labels.csv", &rows)])).unwrap();
        (set.records.iter().map(|record| record.sex).collect::<Vec<_>>(), set.notes.join("\n"))
    };
    let (man, woman) = (Some(Sex::Male), Some(Sex::Female));
    let (spanish, note) = sexes(["H", "M", ""]);
    assert_eq!(spanish, [None; 3]);
    assert!(
        note.contains("H and M of a sex may be hombre and mujer, or hembra and macho; read as not recorded"),
        "{note}"
    );
    assert_eq!(sexes(["h", "F", "m"]).0, [man, woman, man]);
    let (unknown, note) = sexes(["Femme", "xx", "homme"]);
    assert_eq!(unknown, [woman, None, man]);
    assert!(note.contains("1 words for a sex are not known; read as not recorded (the first: xx)"), "{note}");
}

/// Parts written as a table are the published parts of the set that is read with it, whatever the set was.
#[cfg(unix)]
#[test]
fn parts_written_as_a_table_come_back() {
    let text = "path,patient,study,view,sex,age,Effusion,Edema\nimg/1.png,A,s1,PA,F,40,1,-1\nimg/2.png,B,s1,lateral,M,,0,\nimg/3.png,C,s2,AP,,7.5,,0\n";
    let dir = three_images(&[("labels.csv", text)]);
    write(dir.path(), "img/gr.png", "");
    fs::rename(dir.path().join("img/3.png"), dir.path().join(bytes_name(b"img/gr\xf6.png"))).unwrap();
    fs::rename(dir.path().join("img/gr.png"), dir.path().join("img/3.png")).unwrap();
    let set = auto(&dir).unwrap();
    let odd = load(dir.path().join("img").as_path(), Dataset::Folder, Part::All).unwrap();
    for (set, root) in [(&set, dir.path().to_path_buf()), (&odd, dir.path().join("img"))] {
        let kept = tempfile::tempdir().unwrap();
        let table = kept.path().join("parts.csv");
        let rows: Vec<usize> = (0..set.len()).collect();
        let parts = [("train", &rows[..1]), ("valid", &rows[1..2]), ("test", &rows[2..])];
        cxr_data::splits::write_parts(fs::File::create(&table).unwrap(), &table, set, &parts).unwrap();
        let options = LoadOptions { table: Some(table), ..LoadOptions::default() };
        let part = |part| load_with(&root, Dataset::Auto, part, &options).unwrap();
        assert_eq!(part(Part::All).records, set.records);
        assert_eq!((part(Part::Valid).records, part(Part::Test).has_parts), (set.records[1..2].to_vec(), true));
        assert_eq!((part(Part::All).tasks, part(Part::All).patients_known), (set.tasks.clone(), set.patients_known));
    }
}

/// An image of which a set says nothing stays one: its blanks are not taken for labels that a report does not mention.
#[test]
fn images_without_labels_come_back_without_labels() {
    let rows = "path,patient,Effusion,Edema\nimg/1.png,A,1,\nimg/2.png,B,,\nimg/3.png,C,0,1\n";
    let dir = three_images(&[("labels.csv", rows)]);
    let mut set = auto(&dir).unwrap();
    set.records[1].labels.clear();
    assert_eq!(cxr_data::splits::unlabelled(&set), 1);
    let table = dir.path().join("parts.csv");
    let parts: [(&str, &[usize]); 2] = [("train", &[0, 1]), ("test", &[2])];
    cxr_data::splits::write_parts(fs::File::create(&table).unwrap(), &table, &set, &parts).unwrap();
    let options = LoadOptions { table: Some("parts.csv".into()), ..LoadOptions::default() };
    let back = load_with(dir.path(), Dataset::Auto, Part::All, &options).unwrap();
    assert_eq!((&back.records, &back.tasks), (&set.records, &set.tasks));
    assert!(back.notes.join("\n").contains("1 images have no labels, as \"labelled\" says"), "{:?}", back.notes);
    let masked = cxr_data::LabelPolicy::default().apply(&back, &[0, 1]).unwrap().targets;
    assert!(masked.row(1).iter().all(|target| target.is_nan()) && masked[[0, 1]] == 0.0);
    // A word that is neither yes nor no is a fault of the table.
    write(dir.path(), "parts.csv", "path,labelled,Mass\nimg/1.png,yes,1\nimg/2.png,later,0\n");
    let error = load_with(dir.path(), Dataset::Auto, Part::All, &options).unwrap_err().to_string();
    assert!(error.contains("line 3, column \"labelled\": found \"later\", expected yes, no or blank"), "{error}");
}
