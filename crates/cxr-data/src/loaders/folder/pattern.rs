//! Patients found in paths by a regular expression.

use regex_lite::Regex;

use crate::{Error, Result};

/// Checks that a pattern is a regular expression with a group.
pub(in crate::loaders) fn check_pattern(text: &str) -> Result<()> {
    Pattern::new(text).map(|_| ())
}

/// Finds the patient in a path.
pub(super) struct Pattern {
    regex: Regex,
    text: String,
}

impl Pattern {
    pub(super) fn new(text: &str) -> Result<Self> {
        let regex = Regex::new(text)
            .map_err(|error| Error::PatientPattern { pattern: text.into(), reason: error.to_string() })?;
        if regex.captures_len() < 2 {
            let reason = format!("it has no group to mark the patient within a path, as in \"({text})\"");
            return Err(Error::PatientPattern { pattern: text.into(), reason });
        }
        Ok(Self { regex, text: text.into() })
    }

    pub(super) fn patient(&self, path: &str) -> Result<String> {
        let groups = self.regex.captures(path);
        let found = groups.as_ref().and_then(|groups| groups.get(1));
        found.map(|found| found.as_str()).filter(|patient| !patient.is_empty()).map(String::from).ok_or_else(|| {
            Error::PatientPattern { pattern: self.text.clone(), reason: format!("it finds no patient in \"{path}\"") }
        })
    }
}
