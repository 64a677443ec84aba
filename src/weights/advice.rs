//! The line to type when a weight file does not fit as it is.

use std::path::Path;

use backbones::Error as Fault;

use super::import_settings::ImportSettings;
use crate::error::Error;

/// The error of reading weights, with the command that would read them, if one would; `settings` and `out` are those of the
/// import in which it came up.
pub(super) fn advised(fault: Fault, settings: &ImportSettings, out: Option<&Path>) -> Error {
    let line = |more: &str| import(settings, more, out);
    let then = if out.is_some() { "" } else { ", and then DIR in its place" };
    let advice = match &fault {
        Fault::Import(report) => match report.droppable() {
            Some(names) => {
                let names: Vec<String> = names.iter().map(|name| quoted(name)).collect();
                format!("; if that is no part of the network: `{}`{then}", line(&format!("--drop {}", names.join(" "))))
            }
            None => String::new(),
        },
        Fault::Ambiguous { networks, .. } => {
            let first = |prefix: &str| prefix.split('.').next().unwrap_or_default().to_owned();
            let firsts: Vec<String> = networks.iter().map(|(prefix, _)| first(prefix)).collect();
            let distinct = firsts.iter().enumerate().all(|(i, name)| !name.is_empty() && !firsts[..i].contains(name));
            let flag = |(prefix, first): (&str, &String)| match distinct {
                true => format!("--dictionary {}", quoted(first)),
                false => format!("--prefix {}", quoted(prefix)),
            };
            let prefixes = networks.iter().map(|(prefix, _)| prefix.as_str());
            let lines: Vec<_> = prefixes.zip(&firsts).map(|place| format!("`{}`", line(&flag(place)))).collect();
            format!("; {}{then}", lines.join(" or "))
        }
        _ => String::new(),
    };
    Error::Weights { fault, advice }
}

/// An import of the same file, with one option more.
fn import(settings: &ImportSettings, more: &str, out: Option<&Path>) -> String {
    let mut line = format!("moco-cxr import {}", quoted(&settings.source));
    let mut add = |flag: &str, values: &[String]| {
        if !values.is_empty() {
            let values: Vec<String> = values.iter().map(|value| quoted(value)).collect();
            line += &format!(" {flag} {}", values.join(" "));
        }
    };
    add("--arch", settings.arch.map(|arch| arch.to_string()).as_slice());
    add("--prefix", settings.prefix.as_slice());
    add("--dictionary", settings.dictionary.as_slice());
    // One --drop takes them all.
    let (drop, rest) = match more.strip_prefix("--drop ") {
        Some(names) => (names, ""),
        None => ("", more),
    };
    let mut dropped: Vec<String> = settings.drop.iter().map(|name| quoted(name)).collect();
    dropped.extend((!drop.is_empty()).then(|| drop.to_owned()));
    add("--allow-missing", &settings.allow_missing);
    settings.labels.iter().for_each(|label| add("--label", std::slice::from_ref(label)));
    if !dropped.is_empty() {
        line += &format!(" --drop {}", dropped.join(" "));
    }
    if !rest.is_empty() {
        line += &format!(" {rest}");
    }
    if settings.onnx {
        line += " --onnx";
    }
    let out = out.map_or("DIR".to_owned(), |out| quoted(&out.display().to_string()));
    format!("{line} --out {out}")
}

/// A word of a POSIX shell's command line.
pub(super) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_-./:+,=@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_would_change_them() {
        assert_eq!(quoted("state_dict.net."), "state_dict.net.");
        assert_eq!(quoted("it's a file.pth"), r"'it'\''s a file.pth'");
        assert_eq!(quoted(""), "''");
    }
}
