//! The labels of a study: the truth in valid and test; in train, what a labeler of reports would have found.

use super::cohort::SynthStudy;
use super::config::{Finding, FindingRates, SynthConfig};
use super::draw::{Draw, Topic};
use crate::{Label, Part};

/// CheXpert's label columns in order, with the counts of 1, 0, -1 and blank in its train.csv.
pub(super) const COLUMNS: [(&str, [u32; 4]); 14] = [
    ("No Finding", [22381, 0, 0, 201_033]),
    ("Enlarged Cardiomediastinum", [10798, 21638, 12403, 178_575]),
    ("Cardiomegaly", [27000, 11116, 8087, 177_211]),
    ("Lung Opacity", [105_581, 6599, 5598, 105_636]),
    ("Lung Lesion", [9186, 1270, 1488, 211_470]),
    ("Edema", [52246, 20726, 12984, 137_458]),
    ("Consolidation", [14783, 28097, 27742, 152_792]),
    ("Pneumonia", [6039, 2799, 18770, 195_806]),
    ("Atelectasis", [33376, 1328, 33739, 154_971]),
    ("Pneumothorax", [19448, 56341, 3145, 144_480]),
    ("Pleural Effusion", [86187, 35396, 11628, 90203]),
    ("Pleural Other", [3523, 316, 2653, 216_922]),
    ("Fracture", [9040, 2512, 642, 211_220]),
    ("Support Devices", [116_001, 6137, 1079, 100_197]),
];

const NO_FINDING: usize = 0;
const SUPPORT_DEVICES: usize = 13;

/// The 14 cells of a study, in the order of [`COLUMNS`].
pub(super) fn labels(config: &SynthConfig, part: Part, patient: u32, study: &SynthStudy) -> [Label; 14] {
    let truth = truth(study);
    let exact = truth.map(|present| if present { Label::Positive } else { Label::Negative });
    if part != Part::Train {
        return exact;
    }
    let mut draw = Draw::new(config.seed, patient, study.number, Topic::Report);
    let mut cells = [Label::NotMentioned; 14];
    for (column, cell) in cells.iter_mut().enumerate().skip(1) {
        *cell = mention(&mut draw, &rates(config, column), truth[column]);
    }
    // The labeler leaves this blank or writes 1, and 1 only where nothing else is found or suspected.
    let quiet = cells[..SUPPORT_DEVICES].iter().all(|cell| !matches!(cell, Label::Positive | Label::Uncertain));
    if truth[NO_FINDING] && quiet {
        cells[NO_FINDING] = Label::Positive;
    }
    cells
}

/// What the image shows. Cardiomegaly implies an enlarged cardiomediastinum and a lesion an opacity, as in CheXpert's
/// label hierarchy; the other columns are never drawn.
fn truth(study: &SynthStudy) -> [bool; 14] {
    COLUMNS.map(|(name, _)| match name {
        "No Finding" => study.findings.iter().all(|present| !present),
        "Enlarged Cardiomediastinum" | "Cardiomegaly" => study.has(Finding::Cardiomegaly),
        "Lung Opacity" | "Lung Lesion" => study.has(Finding::LungLesion),
        "Pneumothorax" => study.has(Finding::Pneumothorax),
        "Pleural Effusion" => study.has(Finding::PleuralEffusion),
        "Support Devices" => study.support_devices,
        _ => false,
    })
}

fn rates(config: &SynthConfig, column: usize) -> FindingRates {
    let (name, [ones, zeros, uncertain, blanks]) = COLUMNS[column];
    if let Some(finding) = Finding::ALL.into_iter().find(|finding| finding.column() == name) {
        return *config.rates(finding);
    }
    let all = f64::from(ones + zeros + uncertain + blanks);
    FindingRates {
        prevalence: f64::from(ones) / all,
        uncertain: f64::from(uncertain) / all,
        blank_if_absent: f64::from(blanks) / f64::from(zeros + blanks),
        blank_if_present: 0.1,
    }
}

fn mention(draw: &mut Draw, rates: &FindingRates, present: bool) -> Label {
    let uncertain = draw.chance(rates.uncertain);
    let blank = draw.chance(if present { rates.blank_if_present } else { rates.blank_if_absent });
    match (uncertain, blank, present) {
        (true, ..) => Label::Uncertain,
        (false, true, _) => Label::NotMentioned,
        (false, false, true) => Label::Positive,
        (false, false, false) => Label::Negative,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synth::draw_patient;

    /// A train row never has "No Finding" together with a finding that is present, found or suspected.
    #[test]
    fn no_finding_contradicts_no_other_cell() {
        let config = SynthConfig { train_patients: 3000, ..SynthConfig::default() };
        let mut healthy = 0;
        for number in 1..=3000 {
            for study in draw_patient(&config, number).studies {
                let cells = labels(&config, Part::Train, number, &study);
                if cells[NO_FINDING] == Label::Positive {
                    healthy += 1;
                    assert_eq!(study.findings, [false; 4]);
                    let others = &cells[1..SUPPORT_DEVICES];
                    assert!(others.iter().all(|cell| matches!(cell, Label::Negative | Label::NotMentioned)));
                } else {
                    assert_eq!(cells[NO_FINDING], Label::NotMentioned);
                }
            }
        }
        assert!(healthy > 0);
    }

    #[test]
    fn drawn_findings_are_columns() {
        for finding in Finding::ALL {
            assert!(COLUMNS.iter().any(|(name, _)| *name == finding.column()));
        }
        let rows: Vec<u32> = COLUMNS.iter().map(|(_, counts)| counts.iter().sum()).collect();
        assert_eq!(rows, [223_414; 14], "each column of CheXpert's train.csv has a cell in every row");
    }
}
