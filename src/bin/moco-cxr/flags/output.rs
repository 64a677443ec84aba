//! `--json` and `--quiet`: what a command prints.

use clap::Args;
use serde::Serialize;

use crate::{
    Fault,
    terminal::print::{self, errln},
};

/// `--json`, for commands without notes.
#[derive(Debug, Clone, Args)]
pub(crate) struct JsonArguments {
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `--quiet`, for commands without JSON.
#[derive(Debug, Clone, Args)]
pub(crate) struct QuietArguments {
    /// Do not show progress or notes.
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

impl QuietArguments {
    /// Prints a note to standard error, unless quiet.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            errln!("note: {text}");
        }
    }
}

/// `--json` and `--quiet`.
#[derive(Debug, Clone, Args)]
pub(crate) struct OutputArguments {
    #[command(flatten)]
    json: JsonArguments,
    #[command(flatten)]
    quiet: QuietArguments,
}

impl OutputArguments {
    /// Whether results are printed as JSON.
    pub(crate) fn json(&self) -> bool {
        self.json.json
    }

    /// Whether progress and notes are hidden.
    pub(crate) fn quiet(&self) -> bool {
        self.quiet.quiet
    }

    /// Hides them.
    pub(crate) fn hush(&mut self) {
        self.quiet.quiet = true;
    }

    /// Prints a note to standard error, unless quiet.
    pub(crate) fn note(&self, text: &str) {
        self.quiet.note(text);
    }
}

/// Prints a result to standard output as indented JSON.
pub(crate) fn print_json(result: &impl Serialize) -> Result<(), Fault> {
    print::json(&serde_json::to_string_pretty(result)?)
}
