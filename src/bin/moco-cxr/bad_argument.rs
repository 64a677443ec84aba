//! Faults of the arguments alone, found before any data were read: exit status 2, as for those that clap finds.
//!
//! What may be asked for is known to the library (`validate` of its settings). Where such a check is called says that its
//! fault is one of the arguments; the same check within the work itself would be a defect.

use std::fmt;

use moco_cxr::cxr_data::{self, LoadOptions};

use crate::Fault;

/// What is wrong with an argument, or with a settings file or several arguments together.
#[derive(Debug)]
pub(crate) struct BadArgument(String);

impl fmt::Display for BadArgument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadArgument {}

impl BadArgument {
    /// A fault that says so.
    pub(crate) fn fault(what: impl Into<String>) -> Fault {
        Box::new(Self(what.into()))
    }
}

/// Takes a fault for one of the arguments.
pub(crate) trait OrBadArgument<T> {
    fn or_bad_argument(self) -> Result<T, Fault>;
}

impl<T, E: fmt::Display> OrBadArgument<T> for Result<T, E> {
    fn or_bad_argument(self) -> Result<T, Fault> {
        self.map_err(|fault| BadArgument::fault(fault.to_string()))
    }
}

/// As clap takes a `--patient-regex`.
pub(crate) fn patient_regex(text: &str) -> Result<String, cxr_data::Error> {
    let options = LoadOptions { patient_regex: Some(text.to_owned()), ..LoadOptions::default() };
    options.validate().map(|()| text.to_owned())
}
