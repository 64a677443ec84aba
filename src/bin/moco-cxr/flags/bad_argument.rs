//! Errors in the arguments alone, found before any data are read: exit status 2, as for those that clap finds.
//!
//! The library decides what is valid (`validate` of its settings). A caller of such a check states with
//! [`OrBadArgument`] that the error lies in the arguments.

use std::fmt;

use crate::Fault;

/// What is wrong with an argument, a settings file, or several arguments together.
#[derive(Debug)]
pub(crate) struct BadArgument(String);

impl fmt::Display for BadArgument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadArgument {}

impl BadArgument {
    /// An error with this text.
    pub(crate) fn fault(text: impl Into<String>) -> Fault {
        Box::new(Self(text.into()))
    }

    /// The error of a flag (or several): what was found and what was expected.
    pub(crate) fn found(flag: &str, found: impl fmt::Display, expected: impl fmt::Display) -> Fault {
        Self::fault(format!("{flag}: found {found}, expected {expected}"))
    }
}

/// Marks an error as one in the arguments.
pub(crate) trait OrBadArgument<T> {
    fn or_bad_argument(self) -> Result<T, Fault>;
}

impl<T, E: fmt::Display> OrBadArgument<T> for Result<T, E> {
    fn or_bad_argument(self) -> Result<T, Fault> {
        self.map_err(|error| BadArgument::fault(error.to_string()))
    }
}
