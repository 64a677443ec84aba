//! The prediction files of one model: one per label draw, with the conditions they were obtained under.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::join::{JoinOptions, join};
use super::read::read_under;
use super::recorded::RecordedLabels;
use super::results::read_stamp_beside;
use super::sheet::Sheet;
use crate::error::{Error, Result, RowMismatch};
use crate::fold::fold_studies;
use crate::names::unique;
use crate::row::{PatientSource, Row};
use crate::scores::Scores;
use crate::stamp::Stamp;

/// The scores of one model.
#[derive(Debug, Clone, PartialEq)]
pub struct Predictions {
    /// One entry per label draw, in the order of the files.
    pub draws: Vec<Scores>,
    /// The conditions in the `results.json` beside the files; empty for files of other tools.
    pub stamp: Stamp,
}

/// How prediction files are read.
#[derive(Debug, Clone, Default)]
pub struct ReadOptions<'a> {
    /// A file with the labels, and the name of its key column.
    pub ground_truth: Option<(&'a Path, &'a str)>,
    /// The tasks that are kept; all, if none are named.
    pub tasks: Option<&'a [String]>,
    /// What becomes of labels that are recorded as uncertain or not at all. `None`: the default of [`RecordedLabels`] for the
    /// columns of a table of labels; in `label_<task>` columns an uncertain label is an error.
    pub recorded: Option<RecordedLabels>,
    /// Whether rows of the ground truth without scores are left out, which the stamp says.
    pub scored_only: bool,
}

impl Predictions {
    /// Reads prediction files, one per label draw. A folder stands for the `predictions*.csv` in it, in the order of
    /// their names. With `ground_truth`, a file and the name of its key column, the labels are those of that file. With
    /// `tasks`, only these tasks are kept.
    ///
    /// # Errors
    /// As [`read_predictions`](crate::read_predictions) and [`join_ground_truth`](crate::join_ground_truth); a folder without
    /// predictions; [`Error::StampMismatch`] between draws; a task that a file lacks, with the nearest names.
    pub fn read(paths: &[PathBuf], ground_truth: Option<(&Path, &str)>, tasks: Option<&[String]>) -> Result<Self> {
        Self::read_with(paths, &ReadOptions { ground_truth, tasks, ..ReadOptions::default() })
    }

    /// [`Self::read`], with all options.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_with(paths: &[PathBuf], options: &ReadOptions<'_>) -> Result<Self> {
        let ReadOptions { ground_truth, tasks, recorded, scored_only } = options;
        let tasks = *tasks;
        let joining = JoinOptions { recorded: recorded.clone(), scored_only: *scored_only };
        let (mut draws, mut stamp) = (Vec::new(), None::<Stamp>);
        for path in paths {
            for file in files(path)? {
                let (scores, policy, of_rows) = match ground_truth {
                    Some((truth, key)) => {
                        let joined = join(truth, &file, key, tasks, &joining)?;
                        (joined.scores, joined.policy, joined.of_rows)
                    }
                    None => (read_under(&file, recorded.as_ref())?, recorded.as_ref().map(|r| r.policy.clone()), None),
                };
                let rows = scores.rows().len();
                draws.push(match tasks {
                    Some(tasks) => scores.select_tasks_of(tasks, &file.display().to_string())?,
                    None => scores,
                });
                let mut beside = read_stamp_beside(&file)?;
                beside.label_policy = policy.or(beside.label_policy);
                if let Some(all) = of_rows {
                    beside.split = Some(format!("{rows} of {all} rows, those with scores"));
                }
                stamp = Some(match stamp {
                    None => beside,
                    Some(stamp) => stamp.merged(&beside)?,
                });
            }
        }
        Ok(Self { draws, stamp: stamp.unwrap_or_default() })
    }

    /// Folds images to studies, with the highest score of the images.
    ///
    /// # Errors
    /// As [`fold_studies`].
    pub fn folded(self) -> Result<Self> {
        let draws = self.draws.iter().map(fold_studies).collect::<Result<_>>()?;
        Ok(Self { draws, stamp: Stamp { rows: Some("studies".to_owned()), ..self.stamp } })
    }

    /// Adds patient, sex, age, projection and view from another file, such as CheXpert's `test.csv`, whose column `key`
    /// has the path or the study of each row. Values that the predictions have are kept.
    ///
    /// # Errors
    /// A key column that is missing or has an id twice; rows that the file lacks; cells that cannot be read.
    pub fn described_by(self, file: &Path, key: &str) -> Result<Self> {
        let sheet = Sheet::read(file)?;
        let column = sheet.column(key)?;
        let ids = || sheet.rows_of_table().map(|row| row.cell(column));
        unique(&file.display().to_string(), key, ids())?;
        let places: HashMap<&str, usize> = ids().enumerate().map(|(place, id)| (id, place)).collect();
        let (known, known_by) = sheet.rows_keyed(column)?;
        let describe = |scores: Scores| {
            let of = |row: &Row| places.get(row.path.as_str()).or_else(|| places.get(row.study.as_str()));
            let missing: Vec<&str> =
                scores.rows().iter().filter(|row| of(row).is_none()).map(|row| row.path.as_str()).collect();
            if !missing.is_empty() {
                let place = file.display().to_string();
                return Err(RowMismatch::error(key, (place, &[]), ("the predictions".to_owned(), &missing)));
            }
            let rows: Vec<Row> = scores
                .rows()
                .iter()
                .filter_map(|row| {
                    let (known, mut row) = (&known[*of(row)?], row.clone());
                    row.sex = row.sex.or_else(|| known.sex.clone());
                    row.age = row.age.or(known.age);
                    row.projection = row.projection.or_else(|| known.projection.clone());
                    row.view = row.view.or_else(|| known.view.clone());
                    if scores.patient_source() == PatientSource::Row && known_by != PatientSource::Row {
                        row.patient.clone_from(&known.patient);
                    }
                    Some(row)
                })
                .collect();
            let source = match scores.patient_source() {
                PatientSource::Row => known_by,
                own => own,
            };
            let (tasks, labels, values) = (scores.tasks(), scores.labels(), scores.scores());
            Ok(Scores::new(tasks.to_vec(), rows, labels.to_owned(), values.to_owned())?.with_patient_source(source))
        };
        Ok(Self { draws: self.draws.into_iter().map(describe).collect::<Result<_>>()?, stamp: self.stamp })
    }
}

/// The prediction files that a path stands for.
fn files(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let io = |source| Error::Io { path: path.to_owned(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(io)? {
        let entry = entry.map_err(io)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("predictions") && name.ends_with(".csv") {
            files.push(entry.path());
        }
    }
    if files.is_empty() {
        return Err(Error::EmptyFile { path: path.to_owned(), what: "no predictions*.csv in this folder" });
    }
    files.sort();
    Ok(files)
}
