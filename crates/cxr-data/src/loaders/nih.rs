//! NIH ChestX-ray14 (Wang et al. 2017): `Data_Entry_2017.csv`, images in `images/` or `images_001/images/` and so on.
//! A row lists the findings mined from the report; findings not listed are read as negative, as in the paper.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::images::Once;
use super::table::{Row, Table};
use super::{Dataset, LoadOptions, OnBad, Part, listing, reading};
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

/// The table of the first release or of 2020.
pub(crate) fn find_table(dir: &Path) -> Option<PathBuf> {
    ["Data_Entry_2017.csv", "Data_Entry_2017_v2020.csv"].iter().map(|name| dir.join(name)).find(|path| path.is_file())
}

pub(crate) fn load(dir: &Path, part: Part, options: &LoadOptions) -> Result<Manifest> {
    let layout = |expected: &str| -> Result<Error> {
        Ok(Error::Layout { dir: dir.into(), expected: expected.into(), found: listing(dir)? })
    };
    let Some(path) = find_table(dir) else {
        return Err(layout("Data_Entry_2017.csv")?);
    };
    let list = match part {
        Part::All => None,
        Part::Train => Some("train_val_list.txt"),
        Part::Test => Some("test_list.txt"),
        Part::Valid => {
            return Err(layout("train_val or test: the set has no validation part; split train_val")?);
        }
    };
    let wanted: Option<HashSet<String>> = match list.map(|name| dir.join(name)) {
        None => None,
        Some(path) if path.is_file() => {
            let text = std::fs::read_to_string(&path).map_err(|source| Error::Io { path: path.clone(), source })?;
            Some(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(String::from).collect())
        }
        Some(path) => return Err(layout(&path.file_name().unwrap_or_default().to_string_lossy())?),
    };

    let images = images_by_name(dir);
    let table = Table::read(&path)?;
    let [name, findings, follow_up, patient] =
        table.columns(["Image Index", "Finding Labels", "Follow-up #", "Patient ID"])?;
    let [age, view] = table.columns(["Patient Age", "View Position"])?;
    let sex = table.column("Patient Gender").or_else(|| table.column("Patient Sex"));
    let mut records = Vec::new();
    let mut seen = Once::default();
    let (mut missing, mut ages) = (0, 0);
    for row in table.rows().filter(|row| wanted.as_ref().is_none_or(|wanted| wanted.contains(row.cell(name)))) {
        let labels = labels(row, findings)?;
        let projection = match row.cell(view) {
            "AP" => Some(Projection::Ap),
            "PA" => Some(Projection::Pa),
            "" => None,
            _ => return Err(row.fault(view, "AP, PA or blank")),
        };
        // 058Y in the first release, 58 in the later one; a few ages of the first are impossible.
        let years = reading::age(row.cell(age));
        ages += usize::from(years.is_none() && !row.cell(age).is_empty());
        seen.check(row, name, row.cell(name))?;
        let missing_but_kept = || options.keep_missing.then(|| row.cell(name).to_owned());
        let Some(path) = images.get(row.cell(name)).cloned().or_else(missing_but_kept) else {
            if options.on_bad == OnBad::Fail {
                return Err(Error::MissingImage {
                    table: table.path.clone(),
                    line: row.line(),
                    image: row.cell(name).into(),
                    root: dir.into(),
                });
            }
            missing += 1;
            continue;
        };
        records.push(Record {
            path,
            patient: row.cell(patient).into(),
            study: format!("{}/{}", row.cell(patient), row.cell(follow_up)),
            view: Some(View::Frontal),
            projection,
            sex: sex.and_then(|column| reading::sex(row.cell(column))),
            age: years,
            labels,
        });
    }
    let notes = [
        (missing, "rows skipped because their images are missing"),
        (ages, "rows with an impossible age, read as not recorded"),
    ];
    let notes = notes.into_iter().filter(|(rows, _)| *rows > 0);
    let notes = notes.map(|(rows, what)| format!("{}: {rows} {what}", path.display())).collect();
    Ok(Manifest {
        root: dir.into(),
        dataset: Dataset::Nih,
        tasks: TASKS.map(String::from).into(),
        records,
        patients_known: true,
        notes,
    })
}

fn labels(row: Row<'_>, column: usize) -> Result<Vec<Label>> {
    let mut labels = vec![Label::Negative; TASKS.len()];
    for finding in row.cell(column).split('|').map(str::trim) {
        let task = TASKS.iter().position(|task| *task == finding);
        let task =
            task.ok_or_else(|| row.fault(column, &format!("findings out of {}, separated by |", TASKS.join(", "))))?;
        labels[task] = Label::Positive;
    }
    Ok(labels)
}

/// Paths below `dir` of all its PNG files, by file name; file names are unique in the set.
fn images_by_name(dir: &Path) -> HashMap<String, String> {
    let files = WalkDir::new(dir)
        .max_depth(3)
        .follow_links(true)
        .sort_by_file_name()
        .into_iter()
        .filter_map(|entry| entry.ok());
    files
        .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "png"))
        .filter_map(|entry| {
            let name = entry.file_name().to_str()?.to_string();
            Some((name, super::below(dir, entry.path())?))
        })
        .collect()
}
