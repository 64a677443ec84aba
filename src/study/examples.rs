//! Which images show what a classifier does: the surest hits, and its errors.

use cxr_data::{Label, Manifest};

/// Up to `most` rows of a task with a caption: of those labelled with the finding the highest scores and the lowest, and of the
/// others the highest, so that errors are shown where there are any; without labels, the highest scores. `scores` are rows with
/// their scores.
pub(crate) fn examples_of(
    manifest: &Manifest,
    task: &str,
    mut scores: Vec<(usize, f64)>,
    most: usize,
) -> Vec<(&'static str, usize)> {
    scores.sort_by(|a, b| b.1.total_cmp(&a.1));
    let Ok(columns) = manifest.task_indices(&[task]) else {
        return scores.iter().take(most).map(|(row, _)| ("highest score", *row)).collect();
    };
    let is = |row: usize, label: Label| manifest.records[row].labels.get(columns[0]) == Some(&label);
    let positive: Vec<usize> = scores.iter().map(|s| s.0).filter(|&row| is(row, Label::Positive)).collect();
    let negative = scores.iter().map(|s| s.0).find(|&row| !is(row, Label::Positive) && !is(row, Label::Uncertain));
    let hits = most.saturating_sub(2).max(1);
    let mut found: Vec<(&str, usize)> = positive.iter().take(hits).map(|&row| ("with the finding", row)).collect();
    if let Some(&row) = positive.get(hits..).and_then(<[usize]>::last) {
        found.push(("with the finding, lowest score", row));
    }
    found.extend(negative.map(|row| ("not labelled with the finding, highest score", row)));
    found.truncate(most);
    found
}

#[cfg(test)]
mod tests {
    use cxr_data::Record;

    use super::*;

    fn manifest(labels: &[Label]) -> Manifest {
        let record = |&label: &Label| Record {
            path: String::new(),
            patient: String::new(),
            study: String::new(),
            view: None,
            projection: None,
            sex: None,
            age: None,
            labels: vec![label],
        };
        Manifest {
            tasks: vec!["Edema".to_owned()],
            records: labels.iter().map(record).collect(),
            ..Manifest::default()
        }
    }

    #[test]
    fn the_highest_and_lowest_with_the_finding_and_the_highest_of_the_others_are_shown() {
        use Label::{Negative, NotMentioned, Positive, Uncertain};
        let set = manifest(&[Positive, Uncertain, NotMentioned, Positive, Positive, Negative, Positive]);
        let scores = || vec![(0, 0.1), (1, 0.9), (2, 0.4), (3, 0.8), (4, 0.3), (5, 0.2), (6, 0.7)];
        let rows = |task, most| examples_of(&set, task, scores(), most).iter().map(|e| e.1).collect::<Vec<_>>();
        assert_eq!(rows("Edema", 4), [3, 6, 0, 2]);
        assert_eq!(rows("edema", 3), [3, 0, 2]);
        assert_eq!(rows("Edema", 1), [3]);
        assert_eq!(rows("Edema", 9), [3, 6, 4, 0, 2], "every hit is a hit, and no row twice");
        assert_eq!(rows("Mass", 2), [1, 3], "without labels");
    }
}
