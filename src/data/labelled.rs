//! Labelled images: rows of a manifest, what a label policy makes of their labels, and their images as batches.

use backbones::Network;
use cxr_data::{BatchLoader, BatchOptions, LabelPolicy, Manifest, OnBad, PolicyResult, Record, ViewConfig};
use eval::{Features, PatientSource, Row, estimate_running_statistics, extract_features};
use ndarray::{Array2, Array3, Axis};

use crate::{
    data::Origin,
    error::{Error, Result},
    study::ProbeSettings,
};

/// Labelled images: a manifest, the rows of it that are used, and their targets.
#[derive(Debug)]
pub struct Labelled<'a> {
    manifest: &'a Manifest,
    policy: PolicyResult,
    patients: Vec<u64>,
    origin: Option<&'a Origin>,
}

impl<'a> Labelled<'a> {
    /// Applies a label policy to the readable `rows` of a manifest.
    ///
    /// # Errors
    /// A task that the manifest does not have (with the nearest names), or no rows.
    pub fn new(manifest: &'a Manifest, rows: &[usize], tasks: &[String], policy: LabelPolicy) -> Result<Self> {
        let columns = manifest.task_indices(tasks)?;
        let mut policy = policy.apply(manifest, &columns)?;
        let keep: Vec<usize> =
            (0..policy.rows.len()).filter(|&i| rows.binary_search(&policy.rows[i]).is_ok()).collect();
        if keep.is_empty() {
            let found = format!("no image of {} that the label policy admits", manifest.root.display());
            return Err(Error::Setting { key: "data".into(), found, expected: "at least one".into() });
        }
        policy.targets = policy.targets.select(Axis(0), &keep);
        policy.rows = keep.iter().map(|&i| policy.rows[i]).collect();
        let mut numbers = std::collections::HashMap::new();
        let number = |&row: &usize| {
            let next = numbers.len() as u64;
            *numbers.entry(manifest.records[row].patient.as_str()).or_insert(next)
        };
        let patients = policy.rows.iter().map(number).collect();
        Ok(Self { manifest, policy, patients, origin: None })
    }

    /// With where they were read from, for the record of weights that are trained on them.
    #[must_use]
    pub(crate) fn from(self, origin: &'a Origin) -> Self {
        Self { origin: Some(origin), ..self }
    }

    pub(crate) fn origin(&self) -> Option<&'a Origin> {
        self.origin
    }

    /// Rows of the manifest, ascending.
    pub fn rows(&self) -> &[usize] {
        &self.policy.rows
    }

    /// What the policy made of the labels, with counts before and after.
    pub fn labels(&self) -> &PolicyResult {
        &self.policy
    }

    /// Targets `[N, T]`: 0, 1, NaN where masked.
    pub fn targets(&self) -> Array2<f64> {
        self.policy.targets.mapv(f64::from)
    }

    pub(crate) fn manifest(&self) -> &'a Manifest {
        self.manifest
    }

    /// Patient of every row, numbered.
    pub(crate) fn patients(&self) -> &[u64] {
        &self.patients
    }

    pub(crate) fn score_rows(&self) -> Vec<Row> {
        self.rows().iter().map(|&row| score_row(&self.manifest.records[row])).collect()
    }

    /// Features of these rows, in their order.
    ///
    /// # Errors
    /// An image that cannot be read, a device that fails, a network that moved.
    pub fn features(&self, network: &Network, views: ViewConfig, settings: &ProbeSettings) -> Result<Array2<f32>> {
        features(network, self.manifest, self.rows(), views, settings)
    }
}

/// How the patients of a manifest are known to those who read its scores.
pub(crate) fn patient_source(manifest: &Manifest) -> PatientSource {
    if manifest.patients_known { PatientSource::Column } else { PatientSource::Row }
}

/// What a prediction file says of an image.
pub(crate) fn score_row(record: &Record) -> Row {
    Row {
        path: record.path.clone(),
        patient: record.patient.clone(),
        study: record.study.clone(),
        view: record.view.map(|v| format!("{v:?}").to_lowercase()),
        sex: record.sex.map(|s| format!("{s:?}")),
        age: record.age.map(f64::from),
        projection: record.projection.map(|p| format!("{p:?}").to_uppercase()),
    }
}

/// Features of rows of a manifest, in the order of `rows`.
pub(crate) fn features(
    network: &Network,
    manifest: &Manifest,
    rows: &[usize],
    views: ViewConfig,
    settings: &ProbeSettings,
) -> Result<Array2<f32>> {
    let loader = loader(manifest, rows, views, settings)?;
    let batches = settings.watch.over(loader.in_order::<u8>().map(one_view), rows.len());
    let Features { values, rows: came } = extract_features(network, batches)?;
    same_rows(&came, rows)?;
    Ok(values)
}

/// Fails unless the rows that came are those that were asked for, in their order: labels and paths are put beside features
/// and scores by place.
pub(crate) fn same_rows(came: &[usize], asked: &[usize]) -> Result<()> {
    if came == asked {
        return Ok(());
    }
    let place = came.iter().zip(asked).position(|(came, asked)| came != asked).unwrap_or(came.len().min(asked.len()));
    Err(Error::OtherRows { place, came: came.get(place).copied(), asked: asked.get(place).copied() })
}

/// Gives a network the running statistics that training on these images would have given it, without a change of weights.
///
/// # Errors
/// As [`Labelled::features`].
pub fn adapt_statistics(
    network: &mut Network,
    manifest: &Manifest,
    rows: &[usize],
    views: ViewConfig,
    settings: &ProbeSettings,
) -> Result<()> {
    let loader = loader(manifest, rows, views, settings)?;
    let batches = settings.watch.over(loader.shuffled::<u8>(0, 0)?.map(one_view), rows.len());
    Ok(estimate_running_statistics(network, batches)?)
}

/// Batches of rows of a manifest, decoded from their files.
pub(crate) fn loader(
    manifest: &Manifest,
    rows: &[usize],
    views: ViewConfig,
    settings: &ProbeSettings,
) -> Result<BatchLoader> {
    let options = BatchOptions {
        batch_size: settings.batch_size.min(rows.len().max(1)),
        workers: settings.workers,
        seed: settings.seed,
        on_bad: OnBad::Fail,
        ..BatchOptions::default()
    };
    Ok(BatchLoader::new(manifest, views, options)?.with_rows(rows)?)
}

pub(crate) fn one_view(batch: cxr_data::Result<cxr_data::ViewBatch>) -> cxr_data::Result<(Array3<u8>, Vec<usize>)> {
    batch.map(|batch| (batch.images, batch.rows))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_are_not_those_asked_for_are_an_error_with_the_place() {
        assert!(same_rows(&[2, 3, 5], &[2, 3, 5]).is_ok());
        let message = |came: &[usize]| same_rows(came, &[2, 3, 5]).unwrap_err().to_string();
        assert!(
            message(&[2, 5, 5]).contains("row 5 came in place 1, where row 3 was asked for"),
            "{}",
            message(&[2, 5, 5])
        );
        assert!(message(&[3, 2, 5]).contains("row 3 came in place 0, where row 2"));
        assert!(message(&[2, 3]).contains("nothing came in place 2, where row 5"));
    }
}
