//! What a message advises can be done: every flag and every command that a text of the sources names is one of the tool's.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use support::succeed;

/// Flags of other programs that texts name, and flags of the tool that `--help` hides.
const OTHERS: [&str; 5] = ["--mpi", "--features", "--in-process", "--query-gpu", "--format"];

/// The long flags of every subcommand, as its help lists them, and of its aliases.
fn commands() -> BTreeMap<String, BTreeSet<String>> {
    let listed = succeed(["--help"]).stdout;
    let names = listed.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names: Vec<&str> =
        names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").collect();
    assert!(names.contains(&"import") && names.len() > 15, "{listed}");
    let flags = |name: &str| {
        let help = succeed([name, "--help"]).stdout;
        let starts = help.lines().filter(|line| line.trim_start().starts_with('-'));
        let words =
            starts.flat_map(|line| line.split([' ', ',', '=', '[', '<']).map(str::to_owned).collect::<Vec<_>>());
        words.filter(|word| word.starts_with("--")).collect()
    };
    names
        .into_iter()
        .map(|name| (name.to_owned(), flags(name)))
        .chain([("lincls".to_owned(), flags("linear"))])
        .collect()
}

/// The files of the library, the tool and the crates.
fn sources() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let crates = fs::read_dir(root.join("crates")).unwrap().map(|entry| entry.unwrap().path().join("src"));
    let mut folders: Vec<PathBuf> = crates.chain([root.join("src")]).collect();
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found
}

/// The string literals of a source file, up to its tests, with their line; a literal over several lines is one.
fn texts(source: &str) -> Vec<(usize, String)> {
    let source = source.split("#[cfg(test)]\nmod tests").next().unwrap();
    let mut found = Vec::new();
    let mut line = 1;
    let mut chars = source.chars().peekable();
    let mut before = ' ';
    while let Some(c) = chars.next() {
        match c {
            '\n' => line += 1,
            '/' if chars.peek() == Some(&'/') => {
                let _ = chars.by_ref().find(|c| *c == '\n');
                line += 1;
            }
            // A character: '"' and '\'' are none of a text. A lifetime has no closing quote.
            '\'' => {
                let ahead: Vec<char> = chars.clone().take(3).collect();
                let length = if ahead.first() == Some(&'\\') { 3 } else { 2 };
                if ahead.get(length - 1) == Some(&'\'') {
                    chars.by_ref().take(length).for_each(drop);
                }
            }
            '"' => {
                let (start, raw) = (line, before == 'r' || before == '#');
                let mut text = String::new();
                while let Some(c) = chars.next() {
                    match c {
                        '"' => break,
                        '\\' if !raw => match chars.next() {
                            Some('\n') => {
                                line += 1;
                                while chars.peek().is_some_and(|c| c.is_whitespace()) {
                                    line += usize::from(chars.next() == Some('\n'));
                                }
                            }
                            Some('n') => text.push('\n'),
                            Some(other) => text.push(other),
                            None => {}
                        },
                        c => {
                            line += usize::from(c == '\n');
                            text.push(c);
                        }
                    }
                }
                found.push((start, text));
            }
            _ => {}
        }
        before = c;
    }
    found
}

/// The flags in a text: `--drop`, not `---` nor the dash of a sentence.
fn flags(text: &str) -> impl Iterator<Item = &str> {
    let flag = |start: usize| {
        let rest = &text[start..];
        let length = rest[2..]
            .find(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'))
            .map_or(rest.len(), |at| at + 2);
        let before = text[..start].chars().next_back();
        let is_flag = length > 2
            && rest[2..].starts_with(|c: char| c.is_ascii_lowercase())
            && !before.is_some_and(|c| c == '-' || c.is_alphanumeric())
            && !text[..start].ends_with("var("); // of a style sheet
        is_flag.then(|| rest[..length].trim_end_matches('-'))
    };
    text.match_indices("--").filter_map(move |(at, _)| flag(at))
}

#[test]
fn every_flag_and_command_that_a_text_names_exists() {
    let commands = commands();
    let all: BTreeSet<&str> = commands.values().flatten().map(String::as_str).collect();
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for path in sources() {
        for (line, text) in texts(&fs::read_to_string(&path).unwrap()) {
            let place = || format!("{}:{line}", path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().display());
            // A name of the library is no advice to who types commands; the model card's code is for who writes programs.
            if text.contains(' ') && text.contains("::") && !path.ends_with("weights/card.rs") {
                wrong.push(format!("{}: names something of the library: {text:?}", place()));
            }
            for flag in flags(&text) {
                seen.insert(flag.to_owned());
                if !all.contains(flag) && !OTHERS.contains(&flag) {
                    wrong.push(format!("{}: no command has {flag}: {text:?}", place()));
                }
            }
            // A command line within the text, up to its end: a backtick, a line, a sentence.
            for (at, _) in text.match_indices("moco-cxr ") {
                let rest = &text[at + "moco-cxr ".len()..];
                let rest = rest.split(['`', '\n', ';', '(']).next().unwrap();
                let Some(name) = rest.split([' ', ',', '.', ')']).next().filter(|name| !name.is_empty()) else {
                    continue;
                };
                let Some(known) = commands.get(name) else {
                    // `moco-cxr` at the start of a sentence, or a placeholder.
                    if text[..at].ends_with('`') && name.chars().all(|c| c.is_ascii_lowercase()) {
                        wrong.push(format!("{}: no command {name:?}: {text:?}", place()));
                    }
                    continue;
                };
                for flag in flags(rest).filter(|flag| text[..at].ends_with('`') && !known.contains(*flag)) {
                    wrong.push(format!("{}: {name} has no {flag}: {text:?}", place()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // The reader of the sources finds what it should.
    assert!(
        ["--prefix", "--dictionary", "--drop", "--image-size", "--arch"].iter().all(|flag| seen.contains(*flag)),
        "{seen:?}"
    );
}

#[test]
fn texts_and_flags_are_found_in_a_source() {
    let source = "let a = 'x'; // \"no\"\nlet b = f::<'a>(\"one --two-3, \\\n      `moco-cxr import --x`\", '\"', r\"raw\\\");\n#[cfg(test)]\nmod tests { \"late\" }";
    let texts = texts(source);
    assert_eq!(texts, [(2, "one --two-3, `moco-cxr import --x`".to_owned()), (3, "raw\\".to_owned())]);
    assert_eq!(flags(&texts[0].1).collect::<Vec<_>>(), ["--two-3", "--x"]);
    assert_eq!(flags("a --- b -- c, x--y, -- --z").collect::<Vec<_>>(), ["--z"]);
}
