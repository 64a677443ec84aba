//! Clinical readings of the two NLM tuberculosis sets: a few typed lines per patient with sex, age and findings, in
//! varying spelling.

use crate::Sex;

/// A clinical reading.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Reading {
    pub(crate) sex: Option<Sex>,
    /// Years.
    pub(crate) age: Option<f32>,
    /// The lines after sex and age, joined with "; ".
    pub(crate) findings: String,
    /// Whether sex and age are given twice, because the text of another patient has slipped in.
    pub(crate) contaminated: bool,
}

impl Reading {
    /// Shenzhen: `male 45yrs`, then findings. Irregular ages (`16month`, `64days`) and spellings (`femal`) occur.
    pub(crate) fn shenzhen(text: &str) -> Self {
        let mut reading = Self::default();
        let mut findings = Vec::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            match sex_and_age(line) {
                None => findings.push(line),
                Some((sex, age)) if reading.sex.is_none() => (reading.sex, reading.age) = (Some(sex), age),
                Some(_) => reading.contaminated = true,
            }
        }
        reading.findings = findings.join("; ");
        reading
    }

    /// Montgomery: `Patient's Sex: F`, `Patient's Age: 027Y`, then findings.
    pub(crate) fn montgomery(text: &str) -> Self {
        let mut reading = Self::default();
        let mut findings = Vec::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let lower = line.to_lowercase();
            match lower.split_once(':') {
                Some((name, value)) if name.ends_with("sex") => reading.sex = sex(value.trim()),
                Some((name, value)) if name.ends_with("age") => reading.age = age(value),
                _ => findings.push(line),
            }
        }
        reading.findings = findings.join("; ");
        reading
    }

    /// Whether the findings contradict a label; `None` where they mention neither tuberculosis nor a normal film.
    pub(crate) fn contradicts(&self, tuberculosis: bool) -> Option<bool> {
        let words = || {
            self.findings.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty()).map(str::to_lowercase)
        };
        // PTB, STB, ATB, NATB: pulmonary, secondary, active, non-active; "normale" occurs.
        let ill = words().any(|word| word.ends_with("tb") || word.starts_with("tubercul"));
        let normal = words().any(|word| word.starts_with("normal"));
        match (ill, normal) {
            (true, _) => Some(!tuberculosis),
            (false, true) => Some(tuberculosis),
            (false, false) => None,
        }
    }
}

/// `male 45yrs`, or `None` for a line of findings.
fn sex_and_age(line: &str) -> Option<(Sex, Option<f32>)> {
    let lower = line.to_lowercase();
    let word: String = lower.chars().take_while(|c| c.is_alphabetic()).collect();
    Some((sex(&word)?, age(&lower[word.len()..])))
}

pub(crate) fn sex(word: &str) -> Option<Sex> {
    tables::sex(word).flatten()
}

/// The first number of a text with its unit, in years.
pub(crate) fn age(text: &str) -> Option<f32> {
    let from = &text[text.find(|c: char| c.is_ascii_digit())?..];
    match tables::age(from) {
        Some(tables::Age::Years(years)) => Some(years),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn irregular_sexes_and_ages() {
        for (line, sex, years) in [
            ("male 45yrs", Sex::Male, 45.0),
            ("femal 32yrs", Sex::Female, 32.0),
            ("male 16month", Sex::Male, 16.0 / 12.0),
            ("female 64days", Sex::Female, 64.0 / 365.25),
            ("Female, 8 yr", Sex::Female, 8.0),
            ("male 5", Sex::Male, 5.0),
        ] {
            let reading = Reading::shenzhen(&format!("{line}\r\nnormal\r\n"));
            assert_eq!((reading.sex, reading.age), (Some(sex), Some(years)), "{line}");
            assert_eq!((reading.findings.as_str(), reading.contaminated), ("normal", false));
        }
        assert_eq!(Reading::shenzhen("male\nnormal").age, None);
        assert_eq!(Reading::shenzhen("male 4500yrs\nnormal").age, None);
        assert_eq!(Reading::shenzhen(""), Reading::default());
        assert!(Reading::shenzhen("male 45yrs\nnormal\nfemale 30yrs\nSTB").contaminated);
    }

    #[test]
    fn montgomery_lines() {
        let reading = Reading::montgomery("Patient's Sex: F\nPatient's Age: 027Y\nnormal\n");
        assert_eq!((reading.sex, reading.age, reading.findings.as_str()), (Some(Sex::Female), Some(27.0), "normal"));
    }

    #[test]
    fn findings_against_labels() {
        let contradicts =
            |findings: &str, tb| Reading { findings: findings.into(), ..Reading::default() }.contradicts(tb);
        for findings in ["bilateral PTB", "STB", "NATB", "right upper ATB", "tuberculosis pleuritis", "TB"] {
            assert_eq!(
                (contradicts(findings, true), contradicts(findings, false)),
                (Some(false), Some(true)),
                "{findings}"
            );
        }
        for findings in ["normal", "normale"] {
            assert_eq!(
                (contradicts(findings, true), contradicts(findings, false)),
                (Some(true), Some(false)),
                "{findings}"
            );
        }
        for findings in ["right upper pneumonia", "abnormal", ""] {
            assert_eq!(contradicts(findings, true), None, "{findings}");
        }
    }
}
