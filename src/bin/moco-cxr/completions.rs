//! `moco-cxr completions`.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::{Cli, Fault};

/// Print a script that completes the tool's commands and options in a shell.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  moco-cxr completions bash > ~/.local/share/bash-completion/completions/moco-cxr")]
pub(crate) struct Arguments {
    /// The shell.
    shell: Shell,
}

#[allow(clippy::unnecessary_wraps)] // as every subcommand
pub(crate) fn run(arguments: &Arguments) -> Result<(), Fault> {
    clap_complete::generate(arguments.shell, &mut Cli::command(), "moco-cxr", &mut std::io::stdout());
    Ok(())
}
