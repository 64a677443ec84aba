//! The set on disk, in the layout of CheXpert-v1.0-small.

use std::fs;
use std::path::{Path, PathBuf};

use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;
use rayon::prelude::*;
use serde::Serialize;

use super::building::Building;
use super::cohort::{SynthPatient, SynthStudy, draw_patient};
use super::config::{Finding, SynthConfig};
use super::{render_study, report};
use crate::{Error, Label, Part, Projection, Result, Sex, limits};

/// Name of the set's folder, with which the paths in its tables begin.
const ROOT: &str = "CheXpert-v1.0-small";
/// The file that says how a set was drawn.
const DESCRIBED: &str = "synth.json";

/// Counts of one part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartSummary {
    /// Patients.
    pub patients: usize,
    /// Images, one per study.
    pub images: usize,
    /// Images that show each finding, in the order of [`Finding::ALL`]; not counts of labels.
    pub present: [usize; 4],
    /// Numbers of cells with 1, 0, -1 and blank in each finding's column, in the order of [`Finding::ALL`].
    pub cells: [[usize; 4]; 4],
}

/// Summary of a set written by [`write()`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SynthSummary {
    /// Folder with the three tables and the folders of images.
    pub root: PathBuf,
    /// The training part.
    pub train: PartSummary,
    /// The validation part.
    pub valid: PartSummary,
    /// The test part.
    pub test: PartSummary,
}

/// Writes a set in the layout of CheXpert-v1.0-small.
///
/// ```text
/// OUT/synth.json                             the configuration
/// OUT/CheXpert-v1.0-small/train.csv          19 columns, with blanks and -1.0 as from reports
/// OUT/CheXpert-v1.0-small/valid.csv, test.csv    0.0 and 1.0 only, the truth
/// OUT/CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg
/// ```
///
/// Images are drawn on all of rayon's threads; the bytes depend only on the configuration. The set is built beside
/// `out` and moved there when complete. A part without patients has no table.
///
/// # Errors
///
/// [`Error::SynthConfig`] for a value out of range, [`Error::NotEmpty`] when `out` is not an empty or a new folder,
/// [`Error::Io`] when the file system fails. `out` is then unchanged.
pub fn write(config: &SynthConfig, out: &Path) -> Result<SynthSummary> {
    config.validate()?;
    refuse_occupied(out)?;
    let building = Building::begin(out).map_err(io(out))?;
    let whole = building.set();

    let patients: Vec<SynthPatient> = (1..=config.patients()).map(|number| draw_patient(config, number)).collect();
    let root = whole.join(ROOT);
    fs::create_dir_all(&root).map_err(io(&root))?;
    patients.par_iter().try_for_each(|patient| write_images(config, patient, &root))?;
    let table = |part| {
        let of_part: Vec<&SynthPatient> = patients.iter().filter(|patient| patient.part == part).collect();
        write_table(config, part, &of_part, &root)
    };
    let summary = SynthSummary {
        root: out.join(ROOT),
        train: table(Part::Train)?,
        valid: table(Part::Valid)?,
        test: table(Part::Test)?,
    };

    let described = whole.join(DESCRIBED);
    let json = serde_json::to_string_pretty(config)
        .map_err(|source| Error::Io { path: described.clone(), source: source.into() })?;
    fs::write(&described, json + "\n").map_err(io(&described))?;

    if out.exists() {
        fs::remove_dir(out).map_err(io(out))?; // fails if it is no longer empty
    }
    fs::rename(&whole, out).map_err(io(out))?;
    Ok(summary)
}

/// Whether a folder is a set that [`write()`] drew, or the `CheXpert-v1.0-small` in one. A set is known by its `synth.json`, of
/// this or another version; without that file, it is taken for radiographs.
pub fn is_drawn(folder: &Path) -> bool {
    let described = |folder: &Path| {
        let read = limits::note(&folder.join(DESCRIBED)).ok()?;
        let json: serde_json::Value = serde_json::from_slice(&read).ok()?;
        Some(json.get("train_patients")?.is_u64() && json.get("seed")?.is_u64())
    };
    // A folder may be named from within, as `.`.
    let whole = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let above = whole.parent().filter(|_| whole.ends_with(ROOT));
    [Some(whole.as_path()), above].into_iter().flatten().any(|folder| described(folder) == Some(true))
}

fn refuse_occupied(out: &Path) -> Result<()> {
    if !out.exists() {
        return Ok(());
    }
    let occupied = !out.is_dir() || fs::read_dir(out).map_err(io(out))?.next().is_some();
    if occupied { Err(Error::NotEmpty { path: out.into() }) } else { Ok(()) }
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_path_buf();
    |source| Error::Io { path, source }
}

fn part_name(part: Part) -> &'static str {
    match part {
        Part::Train => "train",
        Part::Valid => "valid",
        Part::Test | Part::All => "test", // no patient belongs to All
    }
}

/// Folder of a study relative to the set's root, with `/` as separator.
fn study_folder(patient: &SynthPatient, study: &SynthStudy) -> String {
    format!("{}/patient{:05}/study{}", part_name(patient.part), patient.number, study.number)
}

fn write_images(config: &SynthConfig, patient: &SynthPatient, root: &Path) -> Result<()> {
    for study in &patient.studies {
        let folder = root.join(study_folder(patient, study));
        fs::create_dir_all(&folder).map_err(io(&folder))?;
        let path = folder.join("view1_frontal.jpg");
        let radiograph = render_study(config, patient, study);
        let mut jpeg = Vec::new();
        JpegEncoder::new_with_quality(&mut jpeg, config.jpeg_quality)
            .encode(&radiograph.to_u8(), config.size, config.size, ExtendedColorType::L8)
            .map_err(|source| Error::Io { path: path.clone(), source: std::io::Error::other(source) })?;
        fs::write(&path, jpeg).map_err(io(&path))?;
    }
    Ok(())
}

fn write_table(config: &SynthConfig, part: Part, patients: &[&SynthPatient], root: &Path) -> Result<PartSummary> {
    let mut summary = PartSummary { patients: patients.len(), images: 0, present: [0; 4], cells: [[0; 4]; 4] };
    // An empty part has no table.
    if patients.is_empty() {
        return Ok(summary);
    }
    let path = root.join(format!("{}.csv", part_name(part)));
    let csv_fault = |source| Error::Csv { path: path.clone(), source };
    let mut table = csv::Writer::from_path(&path).map_err(csv_fault)?;
    let front = ["Path", "Sex", "Age", "Frontal/Lateral", "AP/PA"];
    table.write_record(front.into_iter().chain(report::COLUMNS.iter().map(|(name, _)| *name))).map_err(csv_fault)?;
    for patient in patients {
        for study in &patient.studies {
            let labels = report::labels(config, part, patient.number, study);
            let sex = match patient.sex {
                Sex::Female => "Female",
                Sex::Male => "Male",
            };
            let projection = if study.projection == Projection::Pa { "PA" } else { "AP" };
            let mut row = vec![
                format!("{ROOT}/{}/view1_frontal.jpg", study_folder(patient, study)),
                sex.into(),
                patient.age.to_string(),
                "Frontal".into(),
                projection.into(),
            ];
            row.extend(labels.iter().map(|label| cell(*label).to_string()));
            table.write_record(&row).map_err(csv_fault)?;
            summary.count(study, &labels);
        }
    }
    table.flush().map_err(io(&path))?;
    Ok(summary)
}

fn cell(label: Label) -> &'static str {
    match label {
        Label::Positive => "1.0",
        Label::Negative => "0.0",
        Label::Uncertain => "-1.0",
        Label::NotMentioned => "",
    }
}

impl PartSummary {
    fn count(&mut self, study: &SynthStudy, labels: &[Label; 14]) {
        self.images += 1;
        for finding in Finding::ALL {
            self.present[finding as usize] += usize::from(study.has(finding));
            for ((name, _), label) in report::COLUMNS.iter().zip(labels) {
                if *name == finding.column() {
                    let kind = match label {
                        Label::Positive => 0,
                        Label::Negative => 1,
                        Label::Uncertain => 2,
                        Label::NotMentioned => 3,
                    };
                    self.cells[finding as usize][kind] += 1;
                }
            }
        }
    }
}
