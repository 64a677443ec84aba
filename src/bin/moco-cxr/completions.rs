//! `moco-cxr completions`.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::{Cli, Fault};

/// Print a script for a shell that completes commands and flags.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  moco-cxr completions bash > ~/.local/share/bash-completion/completions/moco-cxr")]
pub(crate) struct Arguments {
    /// Shell to complete in.
    shell: Shell,
}

#[allow(clippy::unnecessary_wraps)] // the signature of every subcommand
pub(crate) fn run(arguments: &Arguments) -> Result<(), Fault> {
    clap_complete::generate(arguments.shell, &mut Cli::command(), "moco-cxr", &mut std::io::stdout());
    Ok(())
}
