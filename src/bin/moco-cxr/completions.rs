//! `moco-cxr completions`.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::{Cli, Fault, terminal::print};

/// Print a script for a shell that completes commands and flags.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  moco-cxr completions bash > ~/.local/share/bash-completion/completions/moco-cxr")]
pub(crate) struct Arguments {
    /// Shell to complete in.
    shell: Shell,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Fault> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "moco-cxr", &mut script);
    print::script(&script)
}
