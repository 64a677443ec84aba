//! The `moco-cxr` tool: one file per subcommand, each a thin layer over the library; what they share is in `flags` and
//! `terminal`.

#![recursion_limit = "256"] // for Burn's GPU backends

mod audit;
mod bench;
mod cache;
mod compare;
mod completions;
mod devices;
mod embed;
mod evaluate;
mod explain;
mod export;
mod finetune;
mod flags;
mod import;
mod inspect;
mod knn;
mod linear;
mod merge;
mod neighbours;
mod parity;
mod predict;
mod pretrain;
mod preview;
mod quickstart;
mod reference;
mod report;
mod reproduce;
mod splits;
mod synth;
mod terminal;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::{Arg, CommandFactory, FromArgMatches, Parser, Subcommand};
use moco_cxr::ranks::Launch;
use terminal::print::{Unwritten, errln};

/// Self-supervised pretraining on chest X-rays, from radiographs to AUC with confidence intervals.
///
/// Research software, not a medical device.
#[derive(Debug, Parser)]
#[command(
    version,
    propagate_version = true,
    arg_required_else_help = true,
    after_help = "To begin, without any data:\n  moco-cxr quickstart"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Quickstart(quickstart::Arguments),
    Pretrain(pretrain::Arguments),
    Linear(linear::Arguments),
    Knn(knn::Arguments),
    Finetune(finetune::Arguments),
    Predict(predict::Arguments),
    Embed(embed::Arguments),
    Merge(merge::Arguments),
    Explain(explain::Arguments),
    Neighbours(neighbours::Arguments),
    Evaluate(evaluate::Arguments),
    Compare(compare::Arguments),
    Reproduce(reproduce::Arguments),
    Audit(audit::Arguments),
    Preview(preview::Arguments),
    Cache(cache::Arguments),
    Splits(splits::Arguments),
    Inspect(inspect::Arguments),
    Report(report::Arguments),
    Import(import::Arguments),
    Export(export::Arguments),
    Synth(synth::Arguments),
    Devices(devices::Arguments),
    Parity(parity::Arguments),
    Bench(bench::Arguments),
    Completions(completions::Arguments),
    #[command(hide = true)]
    Reference(reference::Arguments),
}

impl Command {
    /// Refuses several processes where each would do all of the work.
    fn check_launch(&self) -> Result<(), Fault> {
        let Launch { size, by, .. } = Launch::of_this_process();
        let together = match self {
            Self::Pretrain(_) | Self::Finetune(_) | Self::Reproduce(_) | Self::Devices(_) | Self::Completions(_) => {
                true
            }
            Self::Linear(arguments) => arguments.is_shared(),
            Self::Embed(arguments) => arguments.is_shard(),
            Self::Predict(arguments) => arguments.is_shard(),
            Self::Cache(arguments) => arguments.is_shard(),
            Self::Audit(arguments) => arguments.is_shard(),
            _ => false,
        };
        if size == 1 || together {
            return Ok(());
        }
        Err(format!(
            "{by} started {size} processes, each of which would do all of this command; pretrain, finetune, linear --protocol \
             faithful and reproduce are one run on several. Start one process, or cache, embed, predict and audit with a --shard \
             for each (docs/scale.md)"
        )
        .into())
    }
}

/// The exit status is 0 for success, 1 for a failure, 2 for bad arguments (clap's or [`BadArgument`]) and 130 for an
/// interrupted pretraining.
fn main() -> ExitCode {
    let command = match parsed() {
        Ok(cli) => cli.command,
        Err(stop) => return stopped(&stop),
    };
    // Before a device is used; otherwise Burn keeps them in the working folder or the home folder.
    if let Some(folder) = moco_cxr::device::kernel_folder() {
        moco_cxr::device::keep_kernels(&folder);
    }
    if let Err(error) = command.check_launch() {
        errln!("error: {error}");
        return ExitCode::from(2);
    }
    // A pretraining listens itself, to write a checkpoint.
    if !matches!(command, Command::Pretrain(_))
        && let Err(fault) = terminal::interrupt::clears_up()
    {
        return failed(&fault.into());
    }
    let result = match command {
        Command::Quickstart(arguments) => quickstart::run(&arguments),
        Command::Pretrain(arguments) => pretrain::run(arguments),
        Command::Linear(arguments) => linear::run(arguments),
        Command::Knn(arguments) => knn::run(&arguments),
        Command::Finetune(arguments) => finetune::run(arguments),
        Command::Predict(arguments) => predict::run(&arguments),
        Command::Embed(arguments) => embed::run(&arguments),
        Command::Merge(arguments) => merge::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Neighbours(arguments) => neighbours::run(&arguments),
        Command::Evaluate(arguments) => evaluate::run(arguments),
        Command::Compare(arguments) => compare::run(arguments),
        Command::Reproduce(arguments) => reproduce::run(arguments),
        Command::Audit(arguments) => audit::run(&arguments),
        Command::Preview(arguments) => preview::run(&arguments),
        Command::Cache(arguments) => cache::run(&arguments),
        Command::Splits(arguments) => splits::run(&arguments),
        Command::Inspect(arguments) => inspect::run(&arguments),
        Command::Report(arguments) => report::run(arguments),
        Command::Import(arguments) => import::run(&arguments),
        Command::Export(arguments) => export::run(&arguments),
        Command::Synth(arguments) => synth::run(&arguments),
        Command::Devices(arguments) => devices::run(&arguments),
        Command::Parity(arguments) => parity::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments),
        Command::Reference(arguments) => reference::run(&arguments),
    };
    while moco_cxr::files::is_abandoned() {
        // The signal ends the program, and what went wrong since is no news.
        std::thread::park();
    }
    result.map_or_else(|error| failed(&error), |()| ExitCode::SUCCESS)
}

/// The arguments. A number below 0 is a value, which a flag may find out of range, and no flag of its own.
fn parsed() -> Result<Cli, clap::Error> {
    let negative = |arg: Arg| {
        let takes_one = arg.get_action().takes_values() && arg.get_long().is_some();
        if takes_one { arg.allow_negative_numbers(true) } else { arg }
    };
    let command = Cli::command().mut_subcommands(|subcommand| subcommand.mut_args(negative));
    Cli::from_arg_matches(&command.try_get_matches()?)
}

/// The status of a command that failed, after a line that says why.
fn failed(error: &Fault) -> ExitCode {
    // Who closed the pipe, as `head` does, needs no message.
    if error.downcast_ref::<Unwritten>().is_some_and(Unwritten::reader_is_gone) {
        return ExitCode::FAILURE;
    }
    errln!("error: {error}");
    if error.is::<flags::bad_argument::BadArgument>() { ExitCode::from(2) } else { ExitCode::FAILURE }
}

/// Prints what clap has to say instead of a command: help and the version, which are results, or what is wrong in the arguments.
fn stopped(stop: &clap::Error) -> ExitCode {
    match stop.print().and_then(|()| io::stdout().flush()) {
        Err(fault) if !stop.use_stderr() => failed(&Unwritten::new(fault).into()),
        _ => ExitCode::from(u8::try_from(stop.exit_code()).unwrap_or(2)),
    }
}

/// Any error; printed on one line.
type Fault = Box<dyn std::error::Error>;
