//! The patients of a set, their studies, and the findings of each study.

use super::config::{Finding, SynthConfig};
use super::draw::{Draw, Topic};
use crate::{Part, Projection, Sex};

/// One examination: a single frontal image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SynthStudy {
    /// Number within the patient, from 1.
    pub number: u32,
    /// Beam direction: AP or PA.
    pub projection: Projection,
    /// True findings, in the order of [`Finding::ALL`].
    pub findings: [bool; 4],
    /// Whether a line or leads are drawn, independent of the findings.
    pub support_devices: bool,
}

impl SynthStudy {
    /// Whether the finding is present.
    pub fn has(&self, finding: Finding) -> bool {
        self.findings[finding as usize]
    }
}

/// One patient with one to three studies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SynthPatient {
    /// Number within the set, from 1.
    pub number: u32,
    /// The patient's part: train, valid or test.
    pub part: Part,
    /// Sex; affects the body, not the findings.
    pub sex: Sex,
    /// Age in years, 18 to 90; the same in all studies.
    pub age: u32,
    /// Studies, in order of their numbers.
    pub studies: Vec<SynthStudy>,
}

/// Patient `number` (from 1) of a set. Findings are drawn for each study, independently of the patient.
pub fn draw_patient(config: &SynthConfig, number: u32) -> SynthPatient {
    let mut draw = Draw::new(config.seed, number, 0, Topic::Patient);
    let part = if number <= config.train_patients {
        Part::Train
    } else if number <= config.train_patients.saturating_add(config.valid_patients) {
        Part::Valid
    } else {
        Part::Test
    };
    let sex = if draw.chance(0.41) { Sex::Female } else { Sex::Male }; // CheXpert: 41 % female
    let age = draw.around(60.0, 16.0).clamp(18.0, 90.0) as u32;
    let studies = 1 + draw.weighted(&config.study_weights) as u32;
    let studies = (1..=studies).map(|study| draw_study(config, number, study)).collect();
    SynthPatient { number, part, sex, age, studies }
}

fn draw_study(config: &SynthConfig, patient: u32, number: u32) -> SynthStudy {
    let mut draw = Draw::new(config.seed, patient, number, Topic::Findings);
    let projection = if draw.chance(0.75) { Projection::Ap } else { Projection::Pa };
    let findings = Finding::ALL.map(|finding| draw.chance(config.rates(finding).prevalence));
    SynthStudy { number, projection, findings, support_devices: draw.chance(0.5) }
}
