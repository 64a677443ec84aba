//! Sets whose tables name the findings of an image as words: every word that occurs is a task, positive where it is named
//! and negative elsewhere.

use std::collections::BTreeSet;

use super::Part;
use crate::{Label, Record};

/// Rows with the words of their findings; `None` where nothing is said of them.
pub(crate) struct Worded {
    rows: Vec<(Option<Part>, Record, Option<BTreeSet<String>>)>,
}

impl Worded {
    pub(crate) fn new() -> Self {
        Self { rows: Vec::new() }
    }

    pub(crate) fn push(&mut self, part: Option<Part>, record: Record, words: Option<BTreeSet<String>>) {
        self.rows.push((part, record, words));
    }

    /// The tasks, sorted, and the rows with their labels.
    pub(crate) fn labelled(self) -> (Vec<String>, Vec<(Option<Part>, Record)>) {
        let tasks: BTreeSet<&String> = self.rows.iter().filter_map(|(.., words)| words.as_ref()).flatten().collect();
        let tasks: Vec<String> = tasks.into_iter().cloned().collect();
        let label = |named: bool| if named { Label::Positive } else { Label::Negative };
        let rows = self.rows.into_iter().map(|(part, record, words)| {
            let labels = words.map(|words| tasks.iter().map(|task| label(words.contains(task))).collect());
            (part, Record { labels: labels.unwrap_or_default(), ..record })
        });
        let rows = rows.collect();
        (tasks, rows)
    }
}

/// A record of which only path, patient and study are known.
pub(crate) fn record(path: String, patient: &str, study: &str) -> Record {
    Record {
        study: if study.is_empty() { path.clone() } else { format!("{patient}/{study}") },
        patient: patient.into(),
        path,
        view: None,
        projection: None,
        sex: None,
        age: None,
        labels: Vec::new(),
    }
}

/// The words of a cell such as `['cardiomegaly', 'pleural effusion']`, as Python writes a list; `None` where it is blank.
pub(crate) fn python_list(cell: &str) -> Option<BTreeSet<String>> {
    let inner = cell.trim().strip_prefix('[')?.strip_suffix(']')?;
    let mut words = BTreeSet::new();
    let mut rest = inner;
    while let Some(start) = rest.find(['\'', '"']) {
        let mark = rest[start..].chars().next().unwrap_or('\'');
        let after = &rest[start + 1..];
        let end = after.find(mark).unwrap_or(after.len());
        let word = after[..end].trim();
        if !word.is_empty() {
            words.insert(word.to_owned());
        }
        rest = after.get(end + 1..).unwrap_or_default();
    }
    Some(words)
}

/// The words of a cell, separated by any of these signs; `None` where it is blank.
pub(crate) fn separated(cell: &str, signs: &[char]) -> Option<BTreeSet<String>> {
    let words: BTreeSet<String> =
        cell.split(signs).map(str::trim).filter(|word| !word.is_empty()).map(String::from).collect();
    (!words.is_empty()).then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_cell() {
        let set = |words: &[&str]| Some(words.iter().map(|word| (*word).to_owned()).collect::<BTreeSet<_>>());
        assert_eq!(
            python_list("['cardiomegaly', ' pleural effusion', '']"),
            set(&["cardiomegaly", "pleural effusion"])
        );
        assert_eq!(python_list("[\"Chilaiditi's sign\"]"), set(&["Chilaiditi's sign"]));
        assert_eq!((python_list("[]"), python_list("nan")), (set(&[]), None));
        assert_eq!(separated("Pneumonia/Viral/COVID-19", &['/', ',']), set(&["Pneumonia", "Viral", "COVID-19"]));
        assert_eq!(separated("  ", &[';']), None);
    }
}
