//! A table of one's own: which columns are read as what, and what is said of the others.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;

use cxr_data::{Dataset, Label, LoadOptions, Part, Sex, load, load_with};
use support::{message, touch};

#[test]
fn a_table_of_ones_own() {
    let dir = tempfile::tempdir().unwrap();
    touch(dir.path(), &["img/1.png", "img/2.png", "img/3.png"]);
    let write = |text: &str| fs::write(dir.path().join("labels.csv"), text).unwrap();
    write(
        "Image,Patient_ID,Study,Sex,Age,Hospital,Mass,Nodule\nimg/1.png,A,s1,F,64days,Basel,1,\n/mnt/x/img/2.png,B,s1,M,40,Bern,0,-1\n",
    );
    let set = load(dir.path(), Dataset::Auto, Part::All).unwrap();
    assert_eq!(set.dataset, Dataset::Folder);
    assert_eq!(set.tasks, ["Mass", "Nodule"]);
    assert!(set.patients_known);
    let second = &set.records[1];
    assert_eq!((second.path.as_str(), second.patient.as_str(), second.study.as_str()), ("img/2.png", "B", "B/s1"));
    assert_eq!((second.sex, second.age), (Some(Sex::Male), Some(40.0)));
    assert_eq!(second.labels, [Label::Negative, Label::Uncertain]);
    assert_eq!(set.records[0].labels, [Label::Positive, Label::NotMentioned]);
    let notes = set.notes.join("\n");
    assert!(
        notes.contains("columns not read: Hospital") && notes.contains("1 paths begin with \"/mnt/x/\""),
        "{notes}"
    );

    // A label column stays one when a later cell is wrong, unless the columns are named.
    write("path,Mass,Count\nimg/1.png,1,0\nimg/2.png,0,7\n");
    let error = message(load(dir.path(), Dataset::Auto, Part::All));
    assert!(
        error.contains("labels.csv line 3, column \"Count\": found \"7\", expected 1, 0, -1 or blank, or yes and no"),
        "{error}"
    );
    let named = |tasks: &[&str]| {
        let tasks = Some(tasks.iter().map(|task| task.to_string()).collect());
        load_with(dir.path(), Dataset::Folder, Part::All, &LoadOptions { tasks, ..LoadOptions::default() })
    };
    let set = named(&["Mass"]).unwrap();
    assert_eq!((set.tasks.as_slice(), set.patients_known), (&["Mass".to_string()][..], false));
    // A column that is asked for has labels and nothing else.
    let error = message(named(&["Count"]));
    assert!(error.contains("line 3, column \"Count\": found \"7\""), "{error}");
    write("path,Side,Mass\nimg/1.png,links,ja\nimg/2.png,rechts,nein\n");
    let error = message(named(&["Side"]));
    assert!(
        error
            .contains("yes and no; where \"links\" names a finding, and not that there is none, give --task \"links\""),
        "{error}"
    );
    let labels: Vec<Label> = named(&["Mass"]).unwrap().records.iter().map(|record| record.labels[0]).collect();
    assert_eq!(labels, [Label::Positive, Label::Negative], "yes and no of other languages");
    assert!(
        message(named(&["Masse"]).and_then(|set| set.task_indices(&["Masse"]).map(|_| set)))
            .contains("unknown label \"Masse\"")
    );

    write("path,patient\nimg/1.png,\n");
    assert!(
        message(load(dir.path(), Dataset::Auto, Part::All))
            .contains("line 2, column \"patient\": found \"\", expected a patient")
    );
}

#[test]
fn what_a_column_may_have_been_meant_as_is_said() {
    let dir = tempfile::tempdir().unwrap();
    touch(dir.path(), &["1.png", "2.png", "3.png", "4.png", "5.png", "6.png"]);
    let rows = "1.png,0000001,train,ja,1\n2.png,2,train,nein,0\n3.png,3,train,vielleicht,0\n\
                4.png,4,test,ja,1\n5.png,5,test,nein,0\n6.png,1,test,nein,0\n";
    fs::write(dir.path().join("labels.csv"), format!("path,patient,conjunto,Befund,Mass\n{rows}")).unwrap();
    let named = |task: &str| {
        let options = LoadOptions { tasks: Some(vec![task.to_owned()]), ..LoadOptions::default() };
        load_with(dir.path(), Dataset::Folder, Part::All, &options)
    };
    let notes = named("Mass").unwrap().notes.join("\n");
    for expected in [
        "its words (test, train) look like those of a split: --columns split=conjunto reads it so",
        "\"Befund\" is not read as labels, because of its words (ja, nein, vielleicht); write 1, 0, -1 or blank",
        "patients 0000001 and 1 are read as two; a spreadsheet may have taken zeros away",
    ] {
        assert!(notes.contains(expected), "{expected}: {notes}");
    }
    // Of a column that says yes and no, no word is offered as the finding: that would turn labels around.
    let error = message(named("Befund"));
    assert!(error.contains("found \"vielleicht\", expected 1, 0, -1 or blank, or yes and no"), "{error}");
    assert!(!error.contains("give --task"), "{error}");
}

#[test]
fn columns_of_a_table_that_is_not_there_are_an_error() {
    let dir = tempfile::tempdir().unwrap();
    touch(dir.path(), &["1.png"]);
    fs::write(dir.path().join("labels.txt"), "path,id\n1.png,A\n").unwrap();
    let columns = "patient=id".parse().unwrap();
    let options = LoadOptions { columns, ..LoadOptions::default() };
    let error = message(load_with(dir.path(), Dataset::Folder, Part::All, &options));
    assert!(error.contains("a table (CSV or TSV) with the columns that --columns names"), "{error}");
    let options = LoadOptions { table: Some("labels.txt".into()), ..options };
    assert!(load_with(dir.path(), Dataset::Folder, Part::All, &options).unwrap().patients_known);
}
