//! CheXpert (Irvin et al. 2019), small or full: `train.csv` and `valid.csv` with a row per image, and the test set with
//! its ground truth per study. Format and quirks: the official CSVs and MoCo-CXR's `reorganize_files.py`.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use super::cells::{
    Quirks, age_of_cell, label, patient_and_study, projection_of_cell, sex_of_cell, view_of_cell, view_of_name,
};
use super::images::ImageFinder;
use super::table::Table;
use super::{Dataset, LoadOptions, OnBad, Part, listing};
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
    let headers = tables.chain(test_table(root)).map(|path| Table::header_of(&path)).collect::<Result<Vec<_>>>()?;
    let known = |header: &Vec<String>| TASKS.iter().filter(|task| header.iter().any(|name| name == *task)).count();
    Ok(headers.iter().any(|header| known(header) > TASKS.len() / 2))
}

/// The table of the test set, beside the other tables or in the folder `test`.
fn test_table(root: &Path) -> Option<PathBuf> {
    TEST_IMAGES
        .iter()
        .chain(&TEST_STUDIES)
        .flat_map(|name| [root.join(name), root.join("test").join(name)])
        .find(|path| path.is_file())
}

pub(crate) fn load(dir: &Path, part: Part, options: &LoadOptions) -> Result<Manifest> {
    let root = find_root(dir)?;
    let mut manifest = Manifest {
        dataset: Dataset::Chexpert,
        tasks: TASKS.map(String::from).into(),
        records: Vec::new(),
        patients_known: true,
        notes: Vec::new(),
        root,
    };
    let root = manifest.root.clone();
    let absent = |expected: &str| -> Result<Error> {
        Ok(Error::Layout { dir: root.clone(), expected: expected.into(), found: listing(&root)? })
    };
    for (wanted, name) in [(Part::Train, "train.csv"), (Part::Valid, "valid.csv")] {
        let table = root.join(name);
        if part == wanted && !table.is_file() {
            return Err(absent(name)?);
        }
        if part == wanted || part == Part::All && table.is_file() {
            add_images(&mut manifest, &table, true, options)?;
        }
    }
    match test_table(&root) {
        None if part == Part::Test => {
            return Err(absent("test.csv, or test_groundtruth.csv or groundtruth.csv with a row per study")?);
        }
        Some(table) if matches!(part, Part::Test | Part::All) => {
            if table.file_name().is_some_and(|name| TEST_STUDIES.iter().any(|study| name == *study)) {
                add_studies(&mut manifest, &table, options)?;
            } else {
                add_images(&mut manifest, &table, false, options)?;
            }
        }
        _ => {}
    }
    Ok(manifest)
}

/// Adds the rows of a table with one image each. The test table may lack the metadata columns.
fn add_images(manifest: &mut Manifest, path: &Path, all_columns: bool, options: &LoadOptions) -> Result<()> {
    let table = Table::read(path)?;
    let [path_column] = table.columns(["Path"])?;
    let tasks = table.columns(TASKS)?;
    if all_columns {
        table.columns(METADATA)?;
    }
    let [sex, age, view, projection] = METADATA.map(|name| table.column(name));
    let mut finder = ImageFinder::new(&manifest.root, path, options);
    let mut quirks = Quirks::default();
    for row in table.rows() {
        let (patient, study) = patient_and_study(row.cell(path_column))
            .ok_or_else(|| row.fault(path_column, "a path with .../patientNNNNN/studyN/..."))?;
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
fn add_studies(manifest: &mut Manifest, path: &Path, options: &LoadOptions) -> Result<()> {
    let table = Table::read(path)?;
    let [study_column] = table.columns(["Study"])?;
    let tasks = table.columns(TASKS)?;
    let mut truth = HashMap::new();
    let mut order = Vec::new();
    for row in table.rows() {
        let (_, study) = patient_and_study(row.cell(study_column))
            .ok_or_else(|| row.fault(study_column, "a path with .../patientNNNNN/studyN"))?;
        let labels: Vec<Label> = tasks.iter().map(|&column| label(row, column)).collect::<Result<_>>()?;
        if truth.insert(study.clone(), labels).is_some() {
            return Err(row.fault(study_column, "each study once"));
        }
        order.push((study, row));
    }

    let beside = path.with_file_name(TEST_PATHS);
    let images = if beside.is_file() {
        listed_images(manifest, &beside, options)?
    } else {
        images_on_disk(&manifest.root, order.iter().map(|(study, _)| study.as_str()))?
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
    if options.keep_missing {
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
    } else if let (OnBad::Fail, Some((_, row))) = (options.on_bad, without_image.first()) {
        return Err(Error::MissingImage {
            table: path.into(),
            line: row.line(),
            image: row.cell(study_column).into(),
            root: manifest.root.clone(),
        });
    }
    if !without_image.is_empty() && !options.keep_missing {
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

fn listed_images(manifest: &mut Manifest, path: &Path, options: &LoadOptions) -> Result<Vec<String>> {
    let table = Table::read(path)?;
    let [column] = table.columns(["Path"])?;
    let mut finder = ImageFinder::new(&manifest.root, path, options);
    let mut images = Vec::new();
    for row in table.rows() {
        images.extend(finder.find(row, column)?);
    }
    let notes = finder.notes();
    manifest.notes.extend(notes);
    Ok(images)
}

/// Images of the studies below `root/test` or `root`, sorted by name within a study.
fn images_on_disk<'s>(root: &Path, studies: impl Iterator<Item = &'s str>) -> Result<Vec<String>> {
    let mut images = Vec::new();
    for study in studies {
        for below in ["test/", ""] {
            let folder = format!("{below}{study}");
            let Ok(entries) = std::fs::read_dir(root.join(&folder)) else { continue };
            let mut names = Vec::new();
            for entry in entries {
                let entry = entry.map_err(|source| Error::Io { path: root.join(&folder), source })?;
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
            names.retain(|name| super::has_image_extension(Path::new(name)));
            names.sort();
            images.extend(names.into_iter().map(|name| format!("{folder}/{name}")));
            break;
        }
    }
    Ok(images)
}
