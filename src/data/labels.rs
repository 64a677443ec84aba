//! Which labels are used, and how.

use cxr_data::LabelPolicy;

use crate::error::{Error, Result};

/// Label columns, and what their cells mean.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Labels {
    /// Label columns, at least one, each once.
    pub tasks: Vec<String>,
    /// How to treat uncertain and unmentioned labels, and which views count. Default: the paper's.
    pub policy: LabelPolicy,
    /// Folds images to studies by the highest logit, as the paper reports; otherwise every image counts. Default: yes.
    pub fold_studies: bool,
}

impl Labels {
    /// These label columns, under the paper's policy, folded to studies.
    pub fn new<S: Into<String>>(tasks: impl IntoIterator<Item = S>) -> Self {
        Self { tasks: tasks.into_iter().map(Into::into).collect(), policy: LabelPolicy::default(), fold_studies: true }
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// No task, or one that is named twice.
    pub fn validate(&self) -> Result<()> {
        let fault = |found: String, expected: &str| {
            Err(Error::Setting { key: "task".into(), found, expected: expected.into() })
        };
        if self.tasks.is_empty() {
            return fault("none".into(), "at least one label column");
        }
        // Each task has a folder of its own in the results.
        let folders: Vec<String> = self.tasks.iter().map(|task| folder_name(task)).collect();
        match (1..folders.len()).find(|&at| folders[..at].contains(&folders[at])) {
            Some(twice) => {
                fault(format!("{:?} twice, up to case and punctuation", self.tasks[twice]), "each task once")
            }
            None => Ok(()),
        }
    }

    /// A row of results: `studies` or `images`.
    pub(crate) fn rows(&self) -> &'static str {
        if self.fold_studies { "studies" } else { "images" }
    }
}

/// A task's name as a folder: `Pleural Effusion` becomes `pleural-effusion`.
pub(crate) fn folder_name(task: &str) -> String {
    task.chars().map(|c| if c.is_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect()
}
