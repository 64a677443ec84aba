//! The folders that `linear` and `finetune` write: `linear.json` or `finetune.json`, and `TASK/predictions.csv`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use eval::{Bootstrap, FractionResult, Scores, read_predictions, read_stamp_beside};

use crate::files::{Watch, text_of};

/// The contents of the evaluation folders of a run.
#[derive(Debug, Default)]
pub(super) struct Evaluations {
    /// Results by label fraction, each with the command that made them: `linear`, `finetune`.
    pub(super) fractions: Vec<(String, Vec<FractionResult>)>,
    /// Predictions, one entry per folder and task.
    pub(super) tasks: Vec<TaskScores>,
    /// Settings of the intervals.
    pub(super) bootstrap: Bootstrap,
}

/// Labels and scores of one task.
#[derive(Debug)]
pub(super) struct TaskScores {
    /// The folder they come from.
    pub(super) source: String,
    /// Name of the task.
    pub(super) task: String,
    /// Scores with one column.
    pub(super) scores: Scores,
    /// Label policy, split, protocol and the like, as far as known.
    pub(super) conditions: String,
}

impl TaskScores {
    /// Whether all scores lie in [0, 1]; others are taken as logits.
    pub(super) fn are_probabilities(&self) -> bool {
        self.scores.scores().iter().all(|score| (0.0..=1.0).contains(score))
    }

    /// `score` as a probability: unchanged, or passed through the logistic function if the scores are logits.
    pub(super) fn probability(&self, score: f64) -> f64 {
        if self.are_probabilities() { score } else { 1.0 / (1.0 + (-score).exp()) }
    }
}

impl Evaluations {
    /// Reads these folders and their subfolders that contain a `predictions.csv`. Files that cannot be read are noted.
    pub(super) fn read(folders: &[PathBuf], bootstrap: &Bootstrap, private: bool, watch: &dyn Watch) -> Self {
        let mut found = Self { bootstrap: bootstrap.clone(), ..Self::default() };
        for (number, folder) in folders.iter().enumerate() {
            let name = if private {
                format!("evaluation {}", number + 1)
            } else {
                folder.file_name().map_or_else(|| folder.display().to_string(), |n| n.to_string_lossy().into_owned())
            };
            for path in result_files(folder) {
                let text = text_of(&path).unwrap_or_default();
                // Other JSON files in the folder, such as run.json, contain an object.
                if !text.trim_start().starts_with('[') {
                    continue;
                }
                let kind = path.file_stem().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
                match serde_json::from_str::<Vec<FractionResult>>(&text) {
                    Ok(results) => found.fractions.push((kind, results)),
                    Err(e) => watch.note(&format!("{}: {e}", path.display())),
                }
            }
            for file in prediction_files(folder) {
                match read_tasks(&file, &name) {
                    Ok(tasks) => found.tasks.extend(tasks),
                    Err(fault) => watch.note(&format!("{}: {fault}", file.display())),
                }
            }
        }
        found
    }

    /// The text of a section without an evaluation.
    pub(super) fn missing() -> String {
        format!(
            "{} adds it.",
            super::page::command("moco-cxr linear --data DIR --weights RUN --task NAME --out RUN/eval")
        )
    }
}

/// The JSON files in a folder, `linear.json` or `finetune.json` among them.
fn result_files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()).collect();
    files.retain(|file| file.is_file() && file.extension().is_some_and(|e| e == "json"));
    files.sort();
    files
}

fn prediction_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = vec![folder.join("predictions.csv")];
    if let Ok(entries) = fs::read_dir(folder) {
        files.extend(entries.flatten().map(|entry| entry.path().join("predictions.csv")));
    }
    files.retain(|file| file.is_file());
    files.sort();
    files
}

/// The labelled tasks of a file.
fn read_tasks(file: &Path, source: &str) -> eval::Result<Vec<TaskScores>> {
    let scores = read_predictions(file)?;
    let stamp = read_stamp_beside(file)?;
    let conditions = [
        stamp.split.map(|split| format!("split: {split}")),
        stamp.label_policy.map(|policy| format!("labels: {policy}")),
        stamp.protocol.map(|protocol| format!("protocol: {protocol}")),
        stamp.rows.map(|rows| format!("rows: {rows}")),
        stamp.patients.map(|patients| format!("patients: {patients}")),
        stamp.pretraining.map(|checked| format!("pretraining images: {checked}")),
    ];
    let conditions = conditions.into_iter().flatten().collect::<Vec<_>>().join("; ");
    let mut tasks = Vec::new();
    for task in scores.tasks() {
        let one = scores.select_tasks(&[task])?;
        if one.labels().iter().any(|label| !label.is_nan()) {
            let (source, task, conditions) = (source.to_owned(), task.clone(), conditions.clone());
            tasks.push(TaskScores { source, task, scores: one, conditions });
        }
    }
    Ok(tasks)
}

#[cfg(test)]
pub(super) mod tests {
    use std::cell::RefCell;

    use super::*;

    /// A prediction file of `n` rows whose scores are logits that mostly follow the labels.
    pub(crate) fn predictions(n: usize, task: &str) -> String {
        let mut text = format!("path,patient,study,view,sex,age,projection,label_{task},score_{task}\n");
        for i in 0..n {
            let label = usize::from(i % 3 == 0);
            let score = (i * 37 % n) as f64 / n as f64 * 4.0 - 3.0 + 1.5 * label as f64;
            let (sex, age) = (["Female", "Male"][i % 2], 20 + i % 70);
            text.push_str(&format!("p{0}/s1,p{0},p{0}/s1,frontal,{sex},{age},AP,{label},{score}\n", i / 2 * 2 + i % 2));
        }
        text
    }

    #[test]
    fn one_file_that_cannot_be_read_leaves_the_others() {
        let folder = tempfile::tempdir().expect("a folder");
        for (task, text) in [("a", predictions(20, "Edema")), ("b", "no,scores\n1,2\n".to_owned())] {
            fs::create_dir(folder.path().join(task)).expect("made");
            fs::write(folder.path().join(task).join("predictions.csv"), text).expect("written");
        }
        fs::write(folder.path().join("linear.json"), "[").expect("written");
        let notes = RefCell::new(Vec::new());
        let found = Evaluations::read(&[folder.path().into()], &Bootstrap::default(), false, &|note: &str| {
            notes.borrow_mut().push(note.to_owned())
        });
        assert_eq!(found.tasks.len(), 1);
        assert_eq!(found.tasks[0].task, "Edema");
        assert_eq!(notes.borrow().len(), 2, "{notes:?}");
        assert!(!found.tasks[0].are_probabilities());
        assert_eq!(found.tasks[0].probability(0.0), 0.5);
    }
}
