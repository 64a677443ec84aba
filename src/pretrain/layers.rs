//! Laying settings over settings, and error messages for unknown ones.

use std::path::Path;

use cxr_data::nearest_name;
use toml::{Table, Value};

use crate::error::{Error, Result};

/// Parses `a.b.c=value` into nested tables. The value is TOML, or else taken as a string.
pub(crate) fn assignment(text: &str) -> Result<Table> {
    let wrong = || fault(&format!("--set {text}"), "expected KEY=VALUE", None);
    let (key, value) = text.split_once('=').ok_or_else(wrong)?;
    let value = value.trim();
    let value = toml::from_str::<Table>(&format!("v = {value}"))
        .ok()
        .and_then(|mut table| table.remove("v"))
        .unwrap_or_else(|| Value::String(value.to_owned()));
    let nested =
        key.trim().rsplit('.').fold(value, |value, part| Value::Table(Table::from_iter([(part.to_owned(), value)])));
    match nested {
        Value::Table(table) => Ok(table),
        _ => Err(wrong()),
    }
}

/// Two ways to say the same: whichever is set later stands alone.
const EITHER: [&str; 2] = ["warmup_epochs", "warmup_share"];

/// Merges tables and replaces everything else. A choice with settings of its own, such as an optimiser's rule, is merged if
/// it has the same `name` and replaced if it has another.
pub(crate) fn lay_over(base: &mut Table, over: Table) {
    if let [Some(_), None] | [None, Some(_)] = EITHER.map(|key| over.get(key)) {
        EITHER.iter().filter(|key| !over.contains_key(**key)).for_each(|key| zero(base, key));
    }
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(Value::Table(base)), Value::Table(over)) if !is_another_choice(base, &over) => lay_over(base, over),
            // People write `1` where a float is expected.
            (Some(Value::Float(base)), Value::Integer(over)) => *base = over as f64,
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

fn zero(table: &mut Table, key: &str) {
    if let Some(value) = table.get_mut(key) {
        *value = Value::Float(0.0);
    }
}

fn is_another_choice(base: &Table, over: &Table) -> bool {
    matches!((base.get("name"), over.get("name")), (Some(before), Some(now)) if before != now)
}

/// An error in a settings file, with its line if the TOML error or the key it names tells it.
pub(crate) fn in_file(path: &Path, text: &str, e: &toml::de::Error, known: Option<&Table>) -> Error {
    let line = match (e.span(), named(e.message()).first()) {
        (Some(at), _) => Some(1 + text[..at.start].matches('\n').count()),
        (None, Some(key)) => text.lines().position(|line| mentions(line, key)).map(|line| line + 1),
        _ => None,
    };
    let line = line.map_or_else(String::new, |line| format!(" line {line}"));
    fault(&format!("{}{line}", path.display()), e.message(), known)
}

/// Whether a line sets `key`, alone, in a dotted path or in a table header.
fn mentions(line: &str, key: &str) -> bool {
    let key_part = line.split('#').next().unwrap_or_default();
    key_part.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-')).any(|word| word == key)
}

/// An error in `origin`. For an unknown key it suggests a similar one: a sibling, which the message lists, or the path of any
/// setting in `known`.
pub(crate) fn fault(origin: &str, message: &str, known: Option<&Table>) -> Error {
    let mut reason = message.trim_end().to_owned();
    let names = named(message);
    if let (true, Some((found, neighbours))) = (message.starts_with("unknown "), names.split_first()) {
        let mut paths = Vec::new();
        known.into_iter().for_each(|table| collect("", table, &mut paths));
        let elsewhere = || {
            let last = |path: &str| path.rsplit('.').next().map(str::to_owned).unwrap_or_default();
            let leaves: Vec<String> = paths.iter().map(|path| last(path)).collect();
            let leaf = nearest_name(found, leaves.iter().map(String::as_str))?;
            paths.iter().find(|path| last(path) == leaf).map(String::as_str)
        };
        if let Some(meant) = nearest_name(found, neighbours.iter().copied()).or_else(elsewhere) {
            reason.push_str(&format!("; did you mean `{meant}`?"));
        }
    }
    Error::Config { origin: origin.to_owned(), reason }
}

/// The names in backticks: a, b and c of ``unknown field `a`, expected `b` or `c` ``.
fn named(message: &str) -> Vec<&str> {
    message.split('`').skip(1).step_by(2).collect()
}

/// Paths of all settings of a table.
fn collect(prefix: &str, table: &Table, paths: &mut Vec<String>) {
    for (key, value) in table {
        let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        if let Value::Table(inner) = value {
            collect(&path, inner, paths);
        }
        paths.push(path);
    }
}
