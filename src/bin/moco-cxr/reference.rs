//! `moco-cxr reference`, which is hidden: every command as Markdown, for docs/reference.md (`tests/reference.rs`).

use std::fmt::Write;

use clap::{Arg, Args, Command, CommandFactory, builder::StyledStr};

use crate::{Cli, Fault, terminal::print};

/// Print every command with its options as Markdown.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  moco-cxr reference")]
pub(crate) struct Arguments {}

pub(crate) fn run(_: &Arguments) -> Result<(), Fault> {
    let mut all = Cli::command();
    all.build();
    let mut page = String::new();
    let shown = |command: &&Command| !command.is_hide_set() && command.get_name() != "help";
    for command in all.get_subcommands().filter(shown) {
        section(command, &mut page)?;
    }
    print::script(page.as_bytes())
}

fn section(command: &Command, page: &mut String) -> Result<(), Fault> {
    writeln!(page, "\n## {}\n", command.get_name())?;
    let about = command.get_long_about().or_else(|| command.get_about()).map(plain).unwrap_or_default();
    writeln!(page, "{about}{}", if about.ends_with(['.', ':']) { "" } else { "." })?;
    let usage = command.clone().render_usage().to_string();
    writeln!(page, "\n```text\n{}\n```", usage.trim_start_matches("Usage: "))?;
    writeln!(page, "\n| option | what it does |\n|---|---|")?;
    let shown = |arg: &&Arg| !arg.is_hide_set() && !["help", "version"].contains(&arg.get_id().as_str());
    for arg in command.get_arguments().filter(shown) {
        writeln!(page, "| {} | {} |", name(arg), description(arg))?;
    }
    let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    for paragraph in after.split("\n\n").filter(|paragraph| !paragraph.trim().is_empty()) {
        match paragraph.trim_end() {
            examples if examples.starts_with("Example") => writeln!(page, "\n```text\n{examples}\n```")?,
            said => writeln!(page, "\n{}", escaped(said))?,
        }
    }
    Ok(())
}

/// The flag with its value, or the value of an argument without a flag.
fn name(arg: &Arg) -> String {
    let mut values = String::new();
    if arg.get_action().takes_values() {
        let names = arg.get_value_names().unwrap_or_default();
        values = names.iter().map(|name| format!(" <{name}>")).collect();
        if arg.get_num_args().is_some_and(|range| range.max_values() > names.len()) {
            values.push_str("...");
        }
    }
    let short = arg.get_short().map(|short| format!(", `-{short}`")).unwrap_or_default();
    let name = match arg.get_long() {
        Some(long) => format!("`--{long}{values}`{short}"),
        None => format!("`{}`", values.trim_start()),
    };
    in_a_cell(&name)
}

/// Text in a table, where a bar would end the cell, also within code.
fn in_a_cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn description(arg: &Arg) -> String {
    let text = arg.get_long_help().or_else(|| arg.get_help()).map(plain).unwrap_or_default();
    let mut text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if !text.ends_with(['.', ']']) {
        text.push('.');
    }
    if arg.is_required_set() {
        text.push_str(" **Required.**");
    }
    let values: Vec<String> = arg.get_possible_values().iter().map(|value| format!("`{}`", value.get_name())).collect();
    if arg.get_action().takes_values() && !values.is_empty() && !arg.is_hide_possible_values_set() {
        text.push_str(&format!(" One of {}.", values.join(", ")));
    }
    let defaults: Vec<String> =
        arg.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect();
    if arg.get_action().takes_values() && !defaults.is_empty() && !arg.is_hide_default_value_set() {
        text.push_str(&format!(" [default: {}]", defaults.join(" ")));
    }
    in_a_cell(&text)
}

/// Text of a help page as Markdown shows it unchanged.
fn plain(text: &StyledStr) -> String {
    escaped(&text.to_string())
}

fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, c| {
        if "<>*_`[]".contains(c) {
            out.push('\\');
        }
        out.push(c);
        out
    })
}
