//! `results.json` and `results.csv`: the numbers of a model with the conditions they were obtained under.

use std::path::Path;

use ::tables::read_within;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::write::write_new;
use crate::compare::Comparisons;
use crate::error::{Error, Result};
use crate::interval::{Interval, WithDraws};
use crate::results::Results;
use crate::stamp::Stamp;
use crate::tables::Table;

impl Results {
    /// Writes the results as JSON; an undefined number is `null`, with the reason beside it.
    ///
    /// # Errors
    /// [`Error::Exists`] if the file exists; failures to write.
    pub fn write_json(&self, path: &Path) -> Result<()> {
        write_json(path, self)
    }

    /// Reads a file that [`Self::write_json`] wrote.
    ///
    /// # Errors
    /// No such file, or other JSON than results.
    pub fn read_json(path: &Path) -> Result<Self> {
        read_json(path)
    }

    /// Writes one CSV line per statistic, with all digits and with columns for the conditions.
    ///
    /// # Errors
    /// [`Error::Exists`] if the file exists; failures to write.
    pub fn write_csv(&self, path: &Path) -> Result<()> {
        let mut table = Table::new([
            "task",
            "group_by",
            "group",
            "statistic",
            "estimate",
            "lower",
            "upper",
            "level",
            "method",
            "unit",
            "observed",
            "standard_error",
            "replicates",
            "redrawn",
            "n",
            "positives",
            "patients",
            "seed",
            "between_draws",
            "total_error",
            "draws",
            "lower_with_draws",
            "upper_with_draws",
            "undefined",
            "label_policy",
            "split",
            "protocol",
            "rows",
            "patients_known",
            "pretraining_images",
        ]);
        for row in &self.rows {
            let interval = row.interval.as_ref();
            let of = |pick: fn(&Interval) -> String| interval.map(pick).unwrap_or_default();
            let both = interval.and_then(|interval| interval.with_draws.as_ref());
            let drawn = |pick: fn(&WithDraws) -> String| both.map(pick).unwrap_or_default();
            let group = row.group.as_ref();
            let draws = row.draws.as_ref();
            let stamp = self.stamp.fields().map(|(_, value)| value.clone().unwrap_or_default());
            let cells = [
                row.task.clone(),
                group.map(|group| name_of(&group.by)).unwrap_or_default(),
                group.map(|group| group.value.clone()).unwrap_or_default(),
                row.metric.to_string(),
                of(|i| i.estimate.to_string()),
                of(|i| i.lower.to_string()),
                of(|i| i.upper.to_string()),
                of(|i| i.level.to_string()),
                of(|i| name_of(&i.method)),
                of(|i| name_of(&i.unit)),
                of(|i| i.observed.to_string()),
                of(|i| i.standard_error.to_string()),
                of(|i| i.replicates.to_string()),
                of(|i| i.redrawn.to_string()),
                row.n.to_string(),
                row.positives.to_string(),
                row.patients.to_string(),
                of(|i| i.seed.map(|seed| seed.to_string()).unwrap_or_default()),
                draws.map(|draws| draws.between_draws.to_string()).unwrap_or_default(),
                draws.map(|draws| draws.total.to_string()).unwrap_or_default(),
                drawn(|both| both.draws.to_string()),
                drawn(|both| both.lower.to_string()),
                drawn(|both| both.upper.to_string()),
                row.undefined.as_ref().map(ToString::to_string).unwrap_or_default(),
            ];
            let remarks = self.stamp.remarks().map(|remark| remark.clone().unwrap_or_default());
            table.push(cells.into_iter().chain(stamp).chain(remarks));
        }
        write_new(path, table.to_csv().as_bytes())
    }
}

impl Comparisons {
    /// Writes the comparison as JSON.
    ///
    /// # Errors
    /// [`Error::Exists`] if the file exists; failures to write.
    pub fn write_json(&self, path: &Path) -> Result<()> {
        write_json(path, self)
    }

    /// Reads a file that [`Self::write_json`] wrote.
    ///
    /// # Errors
    /// No such file, or other JSON than a comparison.
    pub fn read_json(path: &Path) -> Result<Self> {
        read_json(path)
    }
}

/// The stamp of a prediction file: that of the `results.json` in its folder, or an empty one without such a file.
///
/// # Errors
/// A `results.json` that cannot be read.
pub fn read_stamp_beside(predictions: &Path) -> Result<Stamp> {
    #[derive(serde::Deserialize)]
    struct Stamped {
        stamp: Stamp,
    }
    let path = predictions.with_file_name("results.json");
    if !path.exists() {
        return Ok(Stamp::default());
    }
    read_json::<Stamped>(&path).map(|stamped| stamped.stamp)
}

/// The name of a unit variant in JSON.
fn name_of(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => name,
        _ => String::new(),
    }
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let fault = |source| Error::Json { path: path.to_owned(), source };
    let mut text = serde_json::to_string_pretty(value).map_err(fault)?;
    text.push('\n');
    write_new(path, text.as_bytes())
}

/// Most bytes of a file of results; the longest has some megabytes.
const MAX_RECORD: u64 = 256_000_000;

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = read_within(path, MAX_RECORD, "a file of results")
        .map_err(|source| Error::Io { path: path.to_owned(), source })?;
    serde_json::from_slice(&text).map_err(|source| Error::Json { path: path.to_owned(), source })
}
