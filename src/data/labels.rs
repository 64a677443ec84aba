//! Label columns and their policy.

use cxr_data::{LabelPolicy, Manifest};

use crate::error::{Error, Result};

/// Label columns, and how their values are interpreted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Labels {
    /// Label columns, at least one, each once.
    pub tasks: Vec<String>,
    /// How to treat uncertain and unmentioned labels, and which views to include. Default: the paper's policy.
    pub policy: LabelPolicy,
    /// Whether a set's own names of its labels are the only ones; otherwise a finding is found by the name that another set
    /// gives it. Default: no.
    pub exact: bool,
    /// Whether to merge the images of a study by their highest logit, as the paper does; otherwise every image is a row of
    /// the results. Default: yes.
    pub fold_studies: bool,
}

impl Labels {
    /// These label columns, with the paper's policy, merged to studies.
    pub fn new<S: Into<String>>(tasks: impl IntoIterator<Item = S>) -> Self {
        Self {
            tasks: tasks.into_iter().map(Into::into).collect(),
            policy: LabelPolicy::default(),
            exact: false,
            fold_studies: true,
        }
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// No task, or a task given twice.
    pub fn validate(&self) -> Result<()> {
        let fault = |found: String, expected: &str| {
            Err(Error::Setting { key: "task".into(), found, expected: expected.into() })
        };
        if self.tasks.is_empty() {
            return fault("none".into(), "at least one label column");
        }
        // Each task has its own folder in the results.
        let folders: Vec<String> = self.tasks.iter().map(|task| folder_name(task)).collect();
        match (1..folders.len()).find(|&at| folders[..at].contains(&folders[at])) {
            Some(twice) => {
                fault(format!("{:?} twice (ignoring case and punctuation)", self.tasks[twice]), "each task once")
            }
            None => Ok(()),
        }
    }

    /// Columns of a set's labels.
    pub(crate) fn columns(&self, manifest: &Manifest) -> Result<Vec<usize>> {
        let found =
            if self.exact { manifest.exact_task_indices(&self.tasks) } else { manifest.task_indices(&self.tasks) };
        Ok(found?)
    }

    /// What to say of labels that the set calls otherwise.
    pub(crate) fn notes(&self, manifest: &Manifest) -> Vec<String> {
        let said = |(asked, own): (&str, &str)| {
            format!(
                "the label \"{asked}\" is \"{own}\" in {}; --exact-task takes a set's own names only",
                manifest.root.display()
            )
        };
        manifest.named_otherwise(&self.tasks).into_iter().map(said).collect()
    }

    /// The unit of the results: `studies` or `images`.
    pub(crate) fn rows(&self) -> &'static str {
        if self.fold_studies { "studies" } else { "images" }
    }
}

/// Folder name of a task: `Pleural Effusion` becomes `pleural-effusion`.
pub(crate) fn folder_name(task: &str) -> String {
    task.chars().map(|c| if c.is_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect()
}
