//! NIH ChestX-ray14 (Wang et al. 2017): `Data_Entry_2017.csv`, images in `images/` or `images_001/images/` and so on.
//! A row lists the findings mined from the report; findings not listed are read as negative, as in the paper.

use std::collections::HashSet;

use tables::{Age, Row, age, sex};

use super::finder::{ImageFinder, Search};
use super::source::{NO_PARTS, Source};
use super::{Dataset, Part};
use crate::{Error, Label, Manifest, Projection, Record, Result, View};

/// Findings in alphabetical order, then the label for none of them.
const TASKS: [&str; 15] = [
    "Atelectasis",
    "Cardiomegaly",
    "Consolidation",
    "Edema",
    "Effusion",
    "Emphysema",
    "Fibrosis",
    "Hernia",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pleural_Thickening",
    "Pneumonia",
    "Pneumothorax",
    NONE,
];
const NONE: &str = "No Finding";

/// The columns by which a table of this set is known, whatever its name: `Data_Entry_2017.csv`, `_v2020`,
/// `sample_labels.csv` of the sample on Kaggle.
const COLUMNS: [&str; 3] = ["Image Index", "Finding Labels", "Patient ID"];

/// The table of the set.
pub(crate) fn find_table<'s>(source: &Source<'s>) -> Option<&'s str> {
    source.tables_with(&COLUMNS).next()
}

pub(crate) fn load(source: &Source<'_>) -> Result<Manifest> {
    let part = source.part;
    let Some(path) = find_table(source) else {
        return Err(source.layout("Data_Entry_2017.csv, or another table with its columns"));
    };
    let lists = ["train_val_list.txt", "test_list.txt"].map(|name| source.file_named(name));
    // The whole set is never taken for its training part because the lists were not downloaded.
    let has_parts = lists.iter().any(Option::is_some) || path.to_lowercase().contains("data_entry_2017");
    let list = match part {
        Part::All => None,
        Part::Valid if has_parts => {
            return Err(source.layout("train_val or test: the set has no validation part; split train_val"));
        }
        Part::Train | Part::Test if has_parts => {
            let (name, list) =
                if part == Part::Train { ("train_val_list.txt", lists[0]) } else { ("test_list.txt", lists[1]) };
            Some(list.ok_or_else(|| source.layout(format!("{name}, the published list of this part")))?)
        }
        Part::Train => None,
        _ => return Err(source.no_such_part(Dataset::Nih, NO_PARTS)),
    };
    // Of the whole set the lists say which images belong to no part.
    let mut of_a_part = HashSet::new();
    for other in lists.into_iter().flatten().filter(|other| Some(*other) != list) {
        match part {
            Part::All => of_a_part.extend(source.list(other)?),
            _ => source.note_other_part(&source.inventory.on_disk(other)),
        }
    }
    let mut of_none = 0;
    let wanted: Option<HashSet<String>> = list.map(|list| source.list(list)).transpose()?.map(HashSet::from_iter);

    let table = source.read(path)?;
    let [name, findings, patient] = table.columns(COLUMNS)?;
    let [follow_up, years, view] = table.columns(["Follow-up #", "Patient Age", "View Position"])?;
    let gender = table.column("Patient Gender").or_else(|| table.column("Patient Sex"));
    let mut finder = ImageFinder::new(source.inventory, "", table.path(), Search::Names, source.options);
    let mut records = Vec::new();
    let mut ages = 0;
    for row in table.rows().filter(|row| wanted.as_ref().is_none_or(|wanted| wanted.contains(row.cell(name)))) {
        of_none += usize::from(!of_a_part.contains(row.cell(name)));
        let labels = labels(row, findings)?;
        let projection = match row.cell(view) {
            "AP" => Some(Projection::Ap),
            "PA" => Some(Projection::Pa),
            "" => None,
            _ => return Err(row.fault(view, "AP, PA or blank").into()),
        };
        let Some(path) = finder.find(row, name)? else { continue };
        // 058Y in the first release, 58 in the later one; a few ages of the first are impossible.
        let years = match age(row.cell(years)) {
            Some(Age::Years(years)) => Some(years),
            Some(Age::Missing) => None,
            _ => {
                ages += 1;
                None
            }
        };
        records.push(Record {
            path,
            patient: row.cell(patient).into(),
            study: format!("{}/{}", row.cell(patient), row.cell(follow_up)),
            view: Some(View::Frontal),
            projection,
            sex: gender.and_then(|column| sex(row.cell(column)).flatten()),
            age: years,
            labels,
        });
    }
    let mut notes = finder.notes();
    if ages > 0 {
        notes.push(format!("{}: {ages} rows with an impossible age, read as not recorded", table.path().display()));
    }
    if part == Part::All && lists.iter().all(Option::is_some) && of_none > 0 {
        notes.push(format!("{}: {of_none} images are in neither list and belong to no part", table.path().display()));
    }
    if !has_parts {
        notes.extend(super::no_parts(Dataset::Nih, part, records.len()));
    }
    Ok(Manifest {
        root: source.dir().into(),
        dataset: Dataset::Nih,
        tasks: TASKS.map(String::from).into(),
        records,
        patients_known: true,
        has_parts,
        notes,
        ..Manifest::default()
    })
}

fn labels(row: Row<'_>, column: usize) -> Result<Vec<Label>> {
    let mut labels = vec![Label::Negative; TASKS.len()];
    for finding in row.cell(column).split('|').map(str::trim) {
        let task = TASKS.iter().position(|task| *task == finding);
        let task = task.ok_or_else(|| {
            Error::from(row.fault(column, format!("findings out of {}, separated by |", TASKS.join(", "))))
        })?;
        labels[task] = Label::Positive;
    }
    Ok(labels)
}
