//! Any folder: all its images, without labels, or those of a CSV with paths, patients and labels.

use std::io::Read;
use std::path::{Path, PathBuf};

use regex_lite::Regex;
use walkdir::WalkDir;

use super::cells::{label, view_of_name};
use super::images::ImageFinder;
use super::table::Table;
use super::{Dataset, LoadOptions, Part, listing, reading};
use crate::decode::Format;
use crate::{Error, Manifest, Record, Result, View};

/// Accepted column names, in any case.
const PATH: [&str; 6] = ["path", "image", "file", "filename", "image_path", "file_name"];
const PATIENT: [&str; 6] = ["patient", "patient_id", "patientid", "patient id", "subject", "subject_id"];
const STUDY: [&str; 3] = ["study", "study_id", "studyid"];
const VIEW: [&str; 2] = ["view", "frontal/lateral"];
const SEX: [&str; 2] = ["sex", "gender"];
const AGE: [&str; 2] = ["age", "age_years"];

pub(crate) fn load(dir: &Path, part: Part, options: &LoadOptions) -> Result<Manifest> {
    let pattern = options.patient_regex.as_deref().map(Pattern::new).transpose()?;
    let mut manifest = match find_table(dir, part, options)? {
        Some(table) => from_table(dir, &table, pattern.as_ref(), options)?,
        None => {
            let named = dir.join(part.to_string());
            let has_parts = part != Part::All && named.is_dir();
            let mut manifest = from_files(if has_parts { &named } else { dir }, pattern.as_ref())?;
            if !has_parts {
                manifest.notes.extend(super::no_parts(Dataset::Folder, part, manifest.len()));
            }
            manifest
        }
    };
    if !manifest.patients_known {
        manifest.notes.push(format!(
            "{}: patients: unknown. Every file counts as its own patient, so splits may separate images of one patient and \
             the leak check finds equal images only. Give a patient pattern (--patient-regex) or a patient column",
            dir.display()
        ));
    }
    Ok(manifest)
}

/// The requested table, or else `train.csv` or the like, or else the folder's only CSV that names images.
fn find_table(dir: &Path, part: Part, options: &LoadOptions) -> Result<Option<PathBuf>> {
    if let Some(table) = &options.table {
        return Ok(Some(if table.is_file() { table.clone() } else { dir.join(table) }));
    }
    let named = dir.join(format!("{part}.csv"));
    if named.is_file() {
        return Ok(Some(named));
    }
    let io = |source| Error::Io { path: dir.into(), source };
    let mut tables = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(io)? {
        let path = entry.map_err(io)?.path();
        if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("csv")) && names_images(&path)? {
            tables.push(path);
        }
    }
    tables.sort();
    match &tables[..] {
        [] => Ok(None),
        [table] => Ok(Some(table.clone())),
        [first, second, ..] => Err(Error::Layout {
            dir: dir.into(),
            expected: "one table of images; choose the one to read".into(),
            found: format!("{} and {}", first.display(), second.display()),
        }),
    }
}

fn from_table(dir: &Path, path: &Path, pattern: Option<&Pattern>, options: &LoadOptions) -> Result<Manifest> {
    let table = Table::read(path)?;
    let path_column = any_column(&table, &PATH).ok_or_else(|| Error::MissingColumns {
        path: path.into(),
        missing: vec![PATH[0].into()],
        found: table.header.clone(),
    })?;
    let [patient, study] = [&PATIENT[..], &STUDY].map(|names| any_column(&table, names));
    let [view, sex, age] = [&VIEW[..], &SEX, &AGE].map(|names| any_column(&table, names));
    let taken = [Some(path_column), patient, study, view, sex, age, table.column("AP/PA")];
    let mut notes = Vec::new();
    let columns = match &options.tasks {
        Some(names) => {
            let found = names.iter().map(|name| table.columns([name.as_str()]).map(|[column]| column));
            found.collect::<Result<Vec<_>>>()?
        }
        None => {
            let free = (0..table.header.len()).filter(|&c| !taken.contains(&Some(c)) && !is_index(&table.header[c]));
            let (labels, other): (Vec<_>, Vec<_>) = free.partition(|&column| begins_with_label(&table, column));
            if !other.is_empty() {
                let names: Vec<_> = other.iter().map(|&column| table.header[column].as_str()).collect();
                notes.push(format!("{}: columns not read: {}", path.display(), names.join(", ")));
            }
            labels
        }
    };

    let mut finder = ImageFinder::new(dir, path, options);
    let mut records = Vec::new();
    for row in table.rows() {
        let labels = columns.iter().map(|&column| label(row, column)).collect::<Result<_>>()?;
        let Some(path) = finder.find(row, path_column)? else { continue };
        let patient = match (patient.map(|column| (column, row.cell(column))), pattern) {
            (Some((column, "")), _) => return Err(row.fault(column, "a patient")),
            (Some((_, patient)), _) => patient.to_string(),
            (None, Some(pattern)) => pattern.patient(&path)?,
            (None, None) => path.clone(),
        };
        let study = study.map(|column| row.cell(column)).filter(|study| !study.is_empty());
        records.push(Record {
            study: study.map_or_else(|| path.clone(), |study| format!("{patient}/{study}")),
            patient,
            view: match view.map_or("", |column| row.cell(column)).to_lowercase().as_str() {
                "frontal" | "ap" | "pa" => Some(View::Frontal),
                "lateral" | "ll" | "rl" => Some(View::Lateral),
                _ => view_of_name(&path),
            },
            projection: None,
            sex: sex.and_then(|column| reading::sex(row.cell(column))),
            age: age.and_then(|column| reading::age(row.cell(column))),
            labels,
            path,
        });
    }
    notes.extend(finder.notes());
    if let (Some(column), Some(_)) = (patient, pattern) {
        let (table, column) = (path.display(), &table.header[column]);
        notes.push(format!("{table}: the patient pattern is not used: the column \"{column}\" has the patients"));
    }
    let tasks = columns.iter().map(|&column| table.header[column].clone()).collect();
    let patients_known = patient.is_some() || pattern.is_some();
    Ok(Manifest { root: dir.into(), dataset: Dataset::Folder, tasks, records, patients_known, notes })
}

/// Every image below a folder, sorted by path. Images are recognised by their extension or their first bytes.
fn from_files(dir: &Path, pattern: Option<&Pattern>) -> Result<Manifest> {
    let mut records = Vec::new();
    let mut others = 0;
    let hidden = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with('.');
    let entries = WalkDir::new(dir).follow_links(true).sort_by_file_name().into_iter();
    for entry in entries.filter_entry(|entry| entry.depth() == 0 || !hidden(entry.file_name())) {
        let entry = entry.map_err(|error| Error::Io {
            path: error.path().unwrap_or(dir).into(),
            source: error.into_io_error().unwrap_or_else(|| std::io::Error::other("a loop of links")),
        })?;
        if !entry.file_type().is_file() {
            continue;
        }
        if !super::has_image_extension(entry.path()) && !begins_like_an_image(entry.path()) {
            others += 1;
            continue;
        }
        let Some(path) = super::below(dir, entry.path()) else { continue };
        records.push(Record {
            patient: pattern.map_or_else(|| Ok(path.clone()), |pattern| pattern.patient(&path))?,
            study: path.clone(),
            view: view_of_name(&path),
            projection: None,
            sex: None,
            age: None,
            labels: Vec::new(),
            path,
        });
    }
    if records.is_empty() {
        return Err(Error::Layout {
            dir: dir.into(),
            expected: "images (JPEG, PNG, DICOM), here or in folders below".into(),
            found: listing(dir)?,
        });
    }
    let notes = if others > 0 { vec![format!("{}: {others} other files ignored", dir.display())] } else { Vec::new() };
    Ok(Manifest {
        root: dir.into(),
        dataset: Dataset::Folder,
        tasks: Vec::new(),
        records,
        patients_known: pattern.is_some(),
        notes,
    })
}

fn begins_like_an_image(path: &Path) -> bool {
    let mut start = Vec::new();
    // A file that cannot be opened could not be read later either.
    std::fs::File::open(path).is_ok_and(|file| file.take(132).read_to_end(&mut start).is_ok())
        && Format::of(&start).is_some()
}

/// Checks that a pattern is a regular expression with a group.
pub(super) fn check_pattern(text: &str) -> Result<()> {
    Pattern::new(text).map(|_| ())
}

/// Finds the patient in a path.
struct Pattern {
    regex: Regex,
    text: String,
}

impl Pattern {
    fn new(text: &str) -> Result<Self> {
        let regex = Regex::new(text)
            .map_err(|error| Error::PatientPattern { pattern: text.into(), reason: error.to_string() })?;
        if regex.captures_len() < 2 {
            let reason = format!("it has no group to mark the patient within a path, as in \"({text})\"");
            return Err(Error::PatientPattern { pattern: text.into(), reason });
        }
        Ok(Self { regex, text: text.into() })
    }

    fn patient(&self, path: &str) -> Result<String> {
        let groups = self.regex.captures(path);
        let found = groups.as_ref().and_then(|groups| groups.get(1));
        found.map(|found| found.as_str()).filter(|patient| !patient.is_empty()).map(String::from).ok_or_else(|| {
            Error::PatientPattern { pattern: self.text.clone(), reason: format!("it finds no patient in \"{path}\"") }
        })
    }
}

fn any_column(table: &Table, names: &[&str]) -> Option<usize> {
    names.iter().find_map(|name| table.column(name))
}

fn names_images(table: &Path) -> Result<bool> {
    let header = Table::header_of(table)?;
    Ok(header.iter().any(|found| PATH.iter().any(|name| found.eq_ignore_ascii_case(name))))
}

/// The unnamed first column that pandas writes.
fn is_index(name: &str) -> bool {
    name.is_empty() || name.starts_with("Unnamed:")
}

/// Whether the first non-blank cell of a column is a label; then all others must be too.
fn begins_with_label(table: &Table, column: usize) -> bool {
    table.rows().find(|row| !row.cell(column).is_empty()).is_some_and(|row| label(row, column).is_ok())
}
