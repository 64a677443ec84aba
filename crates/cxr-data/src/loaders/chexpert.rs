//! CheXpert (Irvin et al. 2019), small or full: `train.csv` and `valid.csv` with a row per image, and the test set with
//! its ground truth per study. Format and quirks: the official CSVs and MoCo-CXR's `reorganize_files.py`.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use tables::Table;

use super::cells::{
    Quirks, age_of_cell, label, patient_and_study, projection_of_cell, sex_of_cell, view_of_cell, view_of_name,
};
use super::finder::{ImageFinder, Search};
use super::source::Source;
use super::{Dataset, OnBad, Part, listing};
use crate::inventory::to_text;
use crate::{Error, Label, Manifest, Record, Result};

/// The label columns, in the order of the official `train.csv`.
pub(crate) const TASKS: [&str; 14] = [
    "No Finding",
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Opacity",
    "Lung Lesion",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
];

const METADATA: [&str; 4] = ["Sex", "Age", "Frontal/Lateral", "AP/PA"];
/// Test tables with a row per image, and those with a row per study.
const TEST_IMAGES: [&str; 2] = ["test.csv", "test_labels.csv"];
const TEST_STUDIES: [&str; 2] = ["test_groundtruth.csv", "groundtruth.csv"];
const TEST_PATHS: &str = "test_image_paths.csv";

/// The folder with the tables: `dir` itself or a folder directly in it.
pub(crate) fn find_root(dir: &Path) -> Result<PathBuf> {
    if holds_tables(dir) {
        return Ok(dir.into());
    }
    let io = |source| Error::Io { path: dir.into(), source };
    let mut roots = BTreeSet::new();
    for entry in std::fs::read_dir(dir).map_err(io)? {
        let path = entry.map_err(io)?.path();
        if path.is_dir() && holds_tables(&path) {
            roots.insert(path);
        }
    }
    let fault = |found| Error::Layout {
        dir: dir.into(),
        expected: "train.csv, valid.csv or the tables of the test set, here or in one folder below".into(),
        found,
    };
    match roots.len() {
        1 => roots.pop_first().ok_or_else(|| fault(String::new())),
        0 => Err(fault(listing(dir)?)),
        _ => Err(fault(format!(
            "several folders with such tables ({}); choose one of them",
            roots.iter().map(|root| root.display().to_string()).collect::<Vec<_>>().join(", ")
        ))),
    }
}

fn holds_tables(dir: &Path) -> bool {
    ["train.csv", "valid.csv"].iter().any(|name| dir.join(name).is_file()) || test_table(dir).is_some()
}

/// Whether one of the tables has CheXpert's columns, not only its name. One is enough: a damaged table among sound ones
/// must not turn the set into a plain folder, which has the images of all parts.
pub(crate) fn has_its_columns(root: &Path) -> Result<bool> {
    let tables = ["train.csv", "valid.csv"].map(|name| root.join(name)).into_iter().filter(|path| path.is_file());
    let heads = tables.chain(test_table(root)).map(|path| head_of(&path)).collect::<Result<Vec<_>>>()?;
    let known = |header: &[String]| TASKS.iter().filter(|task| header.iter().any(|name| name == *task)).count();
    Ok(heads.iter().any(|head| known(&head.header) > TASKS.len() / 2))
}

/// The head of a table, which must have rows.
fn head_of(path: &Path) -> Result<tables::Head> {
    let head = Table::head(path)?;
    if head.has_rows {
        return Ok(head);
    }
    Err(tables::Error::Empty { path: path.into(), found: "a header and no rows" }.into())
}

/// The folder that the images are below: that of the tables, or the one above it where the full release lies as it was
/// unzipped, in a folder for each of its four batches, the tables in the first of them.
fn images_root(source: &Source<'_>, tables: &Path) -> String {
    let below = to_text(tables.strip_prefix(source.dir()).unwrap_or(tables));
    let batches = |path: &str| path.split('/').next().is_some_and(|folder| folder.contains(" batch "));
    let in_batches =
        batches(&below) && source.inventory.images().any(|path| batches(path) && !path.starts_with(&below));
    if in_batches { String::new() } else { below }
}

/// The table of the test set, beside the other tables or in the folder `test`.
fn test_table(root: &Path) -> Option<PathBuf> {
    TEST_IMAGES
        .iter()
        .chain(&TEST_STUDIES)
        .flat_map(|name| [root.join(name), root.join("test").join(name)])
        .find(|path| path.is_file())
}

pub(crate) fn load(source: &Source<'_>) -> Result<Manifest> {
    let part = source.part;
    let root = find_root(source.dir())?;
    let below = images_root(source, &root);
    let mut manifest = Manifest {
        dataset: Dataset::Chexpert,
        tasks: TASKS.map(String::from).into(),
        patients_known: true,
        has_parts: true,
        root: if below.is_empty() { source.dir().into() } else { root.clone() },
        ..Manifest::default()
    };
    let absent = |expected: &str| -> Result<Error> {
        Ok(Error::Layout { dir: root.clone(), expected: expected.into(), found: listing(&root)? })
    };
    for (wanted, name) in [(Part::Train, "train.csv"), (Part::Valid, "valid.csv")] {
        let table = root.join(name);
        if part == wanted && !table.is_file() {
            return Err(absent(name)?);
        }
        if part == wanted || part == Part::All && table.is_file() {
            add_images(&mut manifest, &table, true, source)?;
        } else if table.is_file() {
            source.note_other_part(&table);
        }
    }
    match test_table(&root) {
        None if part == Part::Test => {
            return Err(absent("test.csv, or test_groundtruth.csv or groundtruth.csv with a row per study")?);
        }
        Some(table) if matches!(part, Part::Test | Part::All) => {
            if table.file_name().is_some_and(|name| TEST_STUDIES.iter().any(|study| name == *study)) {
                add_studies(&mut manifest, &table, source)?;
            } else {
                add_images(&mut manifest, &table, false, source)?;
            }
        }
        Some(table) => {
            source.note_other_part(&table);
            source.note_other_part(&table.with_file_name(TEST_PATHS));
        }
        None => {}
    }
    Ok(manifest)
}

/// Files are called `view1_frontal.jpg`: patient and study belong to their names.
fn finder<'s>(manifest: &Manifest, table: &Path, source: &Source<'s>) -> ImageFinder<'s> {
    let root = to_text(manifest.root.strip_prefix(source.dir()).unwrap_or(Path::new("")));
    ImageFinder::new(source.inventory, &root, table, Search::Folders(2), source.options)
}

/// Adds the rows of a table with one image each. The test table may lack the metadata columns.
fn add_images(manifest: &mut Manifest, path: &Path, all_columns: bool, source: &Source<'_>) -> Result<()> {
    let table = source.read_at(path)?;
    let [path_column] = table.columns(["Path"])?;
    let tasks = table.columns(TASKS)?;
    if all_columns {
        table.columns(METADATA)?;
    }
    let [sex, age, view, projection] = METADATA.map(|name| table.column(name));
    let mut finder = finder(manifest, path, source);
    let mut quirks = Quirks::default();
    for row in table.rows() {
        let (patient, study) = patient_and_study(row.cell(path_column))
            .ok_or_else(|| Error::from(row.fault(path_column, "a path with .../patientNNNNN/studyN/...")))?;
        let labels = tasks.iter().map(|&column| label(row, column)).collect::<Result<_>>()?;
        let named = view_of_name(row.cell(path_column));
        let record = Record {
            path: String::new(),
            patient,
            study,
            view: view.map_or(Ok(named), |column| view_of_cell(row, column, named, &mut quirks))?,
            projection: projection.map_or(Ok(None), |column| projection_of_cell(row, column))?,
            sex: sex.map_or(Ok(None), |column| sex_of_cell(row, column, &mut quirks))?,
            age: age.map_or(Ok(None), |column| age_of_cell(row, column, &mut quirks))?,
            labels,
        };
        if let Some(path) = finder.find(row, path_column)? {
            manifest.records.push(Record { path, ..record });
        }
    }
    let mut notes = finder.notes();
    notes.extend(quirks.notes(path));
    manifest.notes.extend(notes);
    Ok(())
}

/// Adds the images of a table with one study per row: those listed in `test_image_paths.csv`, or else those on disk.
fn add_studies(manifest: &mut Manifest, path: &Path, source: &Source<'_>) -> Result<()> {
    let table = source.read_at(path)?;
    let [study_column] = table.columns(["Study"])?;
    let tasks = table.columns(TASKS)?;
    let mut truth = HashMap::new();
    let mut order = Vec::new();
    for row in table.rows() {
        let (_, study) = patient_and_study(row.cell(study_column))
            .ok_or_else(|| Error::from(row.fault(study_column, "a path with .../patientNNNNN/studyN")))?;
        let labels: Vec<Label> = tasks.iter().map(|&column| label(row, column)).collect::<Result<_>>()?;
        if truth.insert(study.clone(), labels).is_some() {
            return Err(row.fault(study_column, "each study once").into());
        }
        order.push((study, row));
    }

    let beside = path.with_file_name(TEST_PATHS);
    let images = if beside.is_file() {
        listed_images(manifest, &beside, source)?
    } else {
        images_on_disk(manifest, source, order.iter().map(|(study, _)| study.as_str()))
    };

    let mut without_truth = Vec::new();
    let mut seen = BTreeSet::new();
    for path in images {
        let Some((patient, study)) = patient_and_study(&path).filter(|(_, study)| truth.contains_key(study)) else {
            without_truth.push(path);
            continue;
        };
        seen.insert(study.clone());
        let labels = truth[&study].clone();
        let view = view_of_name(&path);
        manifest.records.push(Record { path, patient, study, view, projection: None, sex: None, age: None, labels });
    }
    let without_image: Vec<_> = order.iter().filter(|(study, _)| !seen.contains(study)).collect();
    if source.options.keep_missing {
        manifest.records.extend(without_image.iter().map(|(study, row)| Record {
            path: study.clone(),
            patient: patient_and_study(row.cell(study_column)).map_or_else(String::new, |(patient, _)| patient),
            study: study.clone(),
            view: None,
            projection: None,
            sex: None,
            age: None,
            labels: truth[study].clone(),
        }));
    } else if let (OnBad::Fail, Some((_, row))) = (source.options.on_bad, without_image.first()) {
        return Err(Error::MissingImage {
            table: path.into(),
            line: row.line(),
            image: row.cell(study_column).into(),
            root: manifest.root.clone(),
            hint: String::new(),
        });
    }
    if !without_image.is_empty() && !source.options.keep_missing {
        manifest.notes.push(format!(
            "{}: {} of {} studies skipped because they have no images (the first: {})",
            path.display(),
            without_image.len(),
            order.len(),
            without_image[0].0
        ));
    }
    if let Some(first) = without_truth.first() {
        manifest.notes.push(format!(
            "{}: {} images left out because their study is not in the table (the first: {first})",
            path.display(),
            without_truth.len()
        ));
    }
    Ok(())
}

fn listed_images(manifest: &mut Manifest, path: &Path, source: &Source<'_>) -> Result<Vec<String>> {
    let table = source.read_at(path)?;
    let [column] = table.columns(["Path"])?;
    let mut finder = finder(manifest, path, source);
    let mut images = Vec::new();
    for row in table.rows() {
        images.extend(finder.find(row, column)?);
    }
    let notes = finder.notes();
    manifest.notes.extend(notes);
    Ok(images)
}

/// Images of the studies below `root/test` or `root`, sorted by name within a study.
fn images_on_disk<'s>(manifest: &Manifest, source: &Source<'_>, studies: impl Iterator<Item = &'s str>) -> Vec<String> {
    let root = to_text(manifest.root.strip_prefix(source.dir()).unwrap_or(Path::new("")));
    let prefix = if root.is_empty() { root } else { format!("{root}/") };
    let mut of_folder: HashMap<&str, Vec<&str>> = HashMap::new();
    for path in source.inventory.images().filter_map(|path| path.strip_prefix(&prefix)) {
        of_folder.entry(path.rsplit_once('/').map_or("", |(folder, _)| folder)).or_default().push(path);
    }
    let found = |study: &str| {
        let folders = [format!("test/{study}"), study.to_owned()];
        let images = folders.iter().find_map(|folder| of_folder.get(folder.as_str()));
        images.into_iter().flatten().map(|path| (*path).to_owned()).collect::<Vec<_>>()
    };
    studies.flat_map(found).collect()
}
