//! The evaluated rows: the labels of one task, and which rows belong to the same patient.

use std::collections::HashMap;
use std::hash::Hash;

use crate::checked;
use crate::error::{Error, Result};
use crate::interval::Unit;
use crate::undefined::Undefined;

/// Labels of one task and the patient of every row, without masked rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cohort {
    labels: Vec<bool>,
    /// Patients numbered in order of first appearance.
    patients: Vec<u32>,
    patient_count: usize,
}

impl Cohort {
    /// A cohort of n rows.
    ///
    /// # Shapes
    /// `labels` `[n]`; `patients` `[n]`: ids of any type, equal for rows of the same patient.
    ///
    /// # Errors
    /// Different lengths, or more than 2^30 rows.
    pub fn new<P: Hash + Eq>(labels: Vec<bool>, patients: &[P]) -> Result<Self> {
        checked::length("patients", patients.len(), labels.len())?;
        if labels.len() > 1 << 30 {
            return Err(Error::Setting { name: "rows", found: labels.len().to_string(), expected: "at most 2^30" });
        }
        let mut numbers: HashMap<&P, u32> = HashMap::new();
        let patients = patients
            .iter()
            .map(|patient| {
                let next = numbers.len() as u32; // at most 2^30, checked above
                *numbers.entry(patient).or_insert(next)
            })
            .collect();
        Ok(Self { labels, patients, patient_count: numbers.len() })
    }

    /// A cohort in which every row is a patient of its own.
    ///
    /// # Errors
    /// More than 2^30 rows.
    pub fn independent(labels: Vec<bool>) -> Result<Self> {
        let patients: Vec<usize> = (0..labels.len()).collect();
        Self::new(labels, &patients)
    }

    /// The label of every row.
    pub fn labels(&self) -> &[bool] {
        &self.labels
    }

    /// Patient of every row, numbered from 0 in order of first appearance.
    pub fn patients(&self) -> &[u32] {
        &self.patients
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Number of positive rows.
    pub fn positives(&self) -> usize {
        self.labels.iter().filter(|label| **label).count()
    }

    /// Number of units with positive rows and number with negative rows. A patient may have both.
    pub(crate) fn units_of_each_class(&self, unit: Unit) -> (usize, usize) {
        if unit == Unit::Row {
            return (self.positives(), self.len() - self.positives());
        }
        let mut has = vec![[false; 2]; self.patient_count];
        for (&label, &patient) in self.labels.iter().zip(&self.patients) {
            has[patient as usize][usize::from(label)] = true;
        }
        let with = |class: usize| has.iter().filter(|classes| classes[class]).count();
        (with(1), with(0))
    }

    /// Refuses fewer than two units of a class: every resample with both classes would repeat the same one.
    pub(crate) fn enough_for_an_interval(&self, unit: Unit) -> Result<(), Undefined> {
        match self.units_of_each_class(unit) {
            (positives, negatives) if positives < 2 || negatives < 2 => {
                Err(Undefined::TooFewOfAClass { positives, negatives, unit })
            }
            _ => Ok(()),
        }
    }

    /// Number of patients.
    pub fn patient_count(&self) -> usize {
        self.patient_count
    }
}
