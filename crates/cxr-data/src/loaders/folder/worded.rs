//! Columns that name findings by words (`diagnosis`: normal, pneumonia), in a table of one's own. Such a column may as well be
//! anything else: it is read as labels where a task names one of its words.

use std::collections::BTreeSet;

use tables::{Label, Row, Table, is_missing, label, number, projection, sex};

use crate::loaders::columns::Layout;
use crate::loaders::findings::{python_list, separated};
use crate::loaders::words::{one_spelling, part, same_finding};

/// Columns with more words than this are texts, or names.
const MOST: usize = 50;
/// Words that are shown of a column which is not read.
const SHOWN: usize = 10;

/// A column of words that is read as labels.
pub(super) struct Worded {
    column: usize,
    pub(super) tasks: Vec<String>,
}

impl Worded {
    /// The first column that has a word which a task asks for and no column is named.
    pub(super) fn find(table: &Table, layout: &Layout, asked: &[String]) -> Option<Self> {
        let is = |name: &str, task: &str| same_finding(name, task);
        let unanswered: Vec<&String> =
            asked.iter().filter(|task| !table.header().iter().any(|name| is(name, task))).collect();
        if unanswered.is_empty() {
            return None;
        }
        layout.unread_columns.iter().find_map(|&column| {
            let tasks = all_words(table, column)?;
            let answers = tasks.iter().any(|word| unanswered.iter().any(|task| is(word, task)));
            answers.then(|| Self { column, tasks: one_spelling(tasks) })
        })
    }

    /// The labels of a row; none where nothing is said.
    pub(super) fn labels(&self, row: Row<'_>) -> Vec<Label> {
        let words = words(row.cell(self.column));
        let has = |task: &String| words.iter().any(|word| same_finding(word, task));
        let label = |task: &String| if has(task) { Label::Positive } else { Label::Negative };
        if words.is_empty() { Vec::new() } else { self.tasks.iter().map(label).collect() }
    }

    /// What is said of it.
    pub(super) fn note(&self, table: &Table) -> String {
        format!(
            "{}: \"{}\" is read as labels, by its words {}: each image is positive for those named, negative for the others",
            table.path().display(),
            table.header()[self.column],
            self.tasks.join(", ")
        )
    }
}

/// The note on columns that are not read and may have been meant as labels by words.
pub(super) fn unread(table: &Table, layout: &Layout) -> Vec<String> {
    let note = |&column: &usize| {
        let words = all_words(table, column).filter(|words| (2..=SHOWN).contains(&words.len()))?;
        // Names of which every row has its own are no findings.
        (2 * words.len() <= table.len()).then(|| {
            let (path, name) = (table.path().display(), &table.header()[column]);
            format!("{path}: \"{name}\" {}", advice(name, &words))
        })
    };
    layout.unread_columns.iter().filter_map(note).collect()
}

/// What its words say that a column may be, and how it is read so. Words for yes and no are not offered as findings: what is not
/// one of them would be taken for its opposite.
fn advice(name: &str, words: &BTreeSet<String>) -> String {
    let listed = words.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    let all = |is: fn(&str) -> bool| words.iter().all(|word| is(word));
    let roles = [
        ("split", all(|word| part(word).is_some())),
        ("sex", all(|word| sex(word).is_some())),
        ("projection", all(|word| projection(word) != (None, None))),
    ];
    let role = roles.into_iter().find_map(|(role, is)| is.then_some(role));
    match role {
        Some(role) => format!(
            "is not read; its words ({listed}) look like those of a {role}: --columns {role}={name} reads it so"
        ),
        None if words.iter().any(|word| label(word).is_some()) => format!(
            "is not read as labels, because of its words ({listed}); write 1, 0, -1 or blank in all of its cells, or yes and no"
        ),
        None => format!("is not read as labels; --task with one of its words ({listed}) reads it so"),
    }
}

/// The words of a column, if there are few and none is a number.
fn all_words(table: &Table, column: usize) -> Option<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for row in table.rows() {
        found.extend(words(row.cell(column)));
        if found.len() > MOST || found.iter().any(|word| number(word).is_some()) {
            return None;
        }
    }
    Some(found)
}

fn words(cell: &str) -> BTreeSet<String> {
    if is_missing(cell) {
        return BTreeSet::new();
    }
    python_list(cell).or_else(|| separated(cell, &['|', ';', ','])).unwrap_or_default()
}
