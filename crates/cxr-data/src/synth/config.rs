//! Configuration of a synthetic set.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The findings that are drawn, in the order of CheXpert's columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Finding {
    /// Heart wider than 0.55 of the chest (normal here: below 0.48).
    Cardiomegaly,
    /// Two to four round opacities within the lungs, about 4 to 7 cm wide: masses rather than nodules.
    LungLesion,
    /// Air around a partly collapsed lung, at the apex 2 to 6 cm of it.
    Pneumothorax,
    /// Fluid at the base of one or both lungs.
    PleuralEffusion,
}

impl Finding {
    /// All four, in the order in which [`SynthStudy::findings`](super::SynthStudy::findings) holds them.
    pub const ALL: [Self; 4] = [Self::Cardiomegaly, Self::LungLesion, Self::Pneumothorax, Self::PleuralEffusion];

    /// Name of CheXpert's column.
    pub fn column(self) -> &'static str {
        match self {
            Self::Cardiomegaly => "Cardiomegaly",
            Self::LungLesion => "Lung Lesion",
            Self::Pneumothorax => "Pneumothorax",
            Self::PleuralEffusion => "Pleural Effusion",
        }
    }
}

/// How often a finding is present, and how the labels of the train part report it. All are probabilities in [0, 1].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FindingRates {
    /// P(present), independent for each study and finding, in every part. Strictly between 0 and 1.
    pub prevalence: f64,
    /// P(`-1.0`), present or not. Train only.
    pub uncertain: f64,
    /// P(blank) of an absent finding that is not uncertain. Train only.
    pub blank_if_absent: f64,
    /// P(blank) of a present finding that is not uncertain. Train only.
    pub blank_if_present: f64,
}

/// Configuration of a synthetic chest X-ray set.
///
/// The default label rates follow the counts of CheXpert's train.csv (223,414 images): `uncertain` is the share of -1
/// among all cells, `blank_if_absent` the share of blanks among blanks and 0. How many present findings go unreported
/// is not known; 0.1 is assumed. Prevalences are higher than CheXpert's, so that a small set has enough of each
/// finding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SynthConfig {
    /// Random seed. Default 0.
    pub seed: u64,
    /// Patients of the train part, at least 1. Default 1000.
    pub train_patients: u32,
    /// Patients of the valid part, 0 for none. Default 100.
    pub valid_patients: u32,
    /// Patients of the test part, 0 for none. Default 400.
    pub test_patients: u32,
    /// Weights of 1, 2 and 3 studies per patient; one frontal image per study. Default 0.4, 0.35, 0.25.
    pub study_weights: [f64; 3],
    /// Side of the square images in pixels, 32 to 2048. Default 128.
    pub size: u32,
    /// JPEG quality, 1 to 100. Default 90.
    pub jpeg_quality: u8,
    /// Cardiomegaly. Default 0.30 present, 0.036 uncertain, 0.94 of the absent blank.
    pub cardiomegaly: FindingRates,
    /// Lung Lesion. Default 0.30 present, 0.0067 uncertain, 0.994 of the absent blank.
    pub lung_lesion: FindingRates,
    /// Pneumothorax. Default 0.25 present, 0.014 uncertain, 0.72 of the absent blank.
    pub pneumothorax: FindingRates,
    /// Pleural Effusion. Default 0.40 present, 0.052 uncertain, 0.72 of the absent blank.
    pub pleural_effusion: FindingRates,
}

impl Default for SynthConfig {
    fn default() -> Self {
        let rates = |prevalence, uncertain, blank_if_absent| FindingRates {
            prevalence,
            uncertain,
            blank_if_absent,
            blank_if_present: 0.1,
        };
        Self {
            seed: 0,
            train_patients: 1000,
            valid_patients: 100,
            test_patients: 400,
            study_weights: [0.4, 0.35, 0.25],
            size: 128,
            jpeg_quality: 90,
            cardiomegaly: rates(0.30, 0.036, 0.94),
            lung_lesion: rates(0.30, 0.0067, 0.994),
            pneumothorax: rates(0.25, 0.014, 0.72),
            pleural_effusion: rates(0.40, 0.052, 0.72),
        }
    }
}

/// Patient folders have five digits, as in CheXpert.
const MAX_PATIENTS: u64 = 99_999;

impl SynthConfig {
    /// Rates of one finding.
    pub fn rates(&self, finding: Finding) -> &FindingRates {
        match finding {
            Finding::Cardiomegaly => &self.cardiomegaly,
            Finding::LungLesion => &self.lung_lesion,
            Finding::Pneumothorax => &self.pneumothorax,
            Finding::PleuralEffusion => &self.pleural_effusion,
        }
    }

    /// Number of patients of all parts. They are numbered from 1: first train, then valid, then test.
    pub fn patients(&self) -> u32 {
        self.train_patients.saturating_add(self.valid_patients).saturating_add(self.test_patients)
    }

    /// Checks every range.
    ///
    /// # Errors
    ///
    /// [`Error::SynthConfig`] names the first field out of range, its value and the range.
    pub fn validate(&self) -> Result<()> {
        let fault =
            |field: String, found: String, expected: &'static str| Err(Error::SynthConfig { field, found, expected });
        if self.train_patients == 0 {
            return fault("train_patients".into(), "0".into(), "at least 1");
        }
        let patients = u64::from(self.train_patients) + u64::from(self.valid_patients) + u64::from(self.test_patients);
        if patients > MAX_PATIENTS {
            return fault("patients of all parts".into(), patients.to_string(), "at most 99999");
        }
        if !(32..=2048).contains(&self.size) {
            return fault("size".into(), self.size.to_string(), "32 to 2048 pixels");
        }
        if !(1..=100).contains(&self.jpeg_quality) {
            return fault("jpeg_quality".into(), self.jpeg_quality.to_string(), "1 to 100");
        }
        let weights = &self.study_weights;
        if weights.iter().any(|weight| !weight.is_finite() || *weight < 0.0) || weights.iter().sum::<f64>() <= 0.0 {
            return fault("study_weights".into(), format!("{weights:?}"), "three weights of at least 0, not all 0");
        }
        for finding in Finding::ALL {
            let rates = self.rates(finding);
            let name = |rate| format!("{rate} of {}", finding.column());
            if !(rates.prevalence > 0.0 && rates.prevalence < 1.0) {
                return fault(name("prevalence"), rates.prevalence.to_string(), "strictly between 0 and 1");
            }
            for (rate, value) in [
                ("uncertain", rates.uncertain),
                ("blank_if_absent", rates.blank_if_absent),
                ("blank_if_present", rates.blank_if_present),
            ] {
                if !(0.0..=1.0).contains(&value) {
                    return fault(name(rate), value.to_string(), "0 to 1");
                }
            }
        }
        Ok(())
    }
}
