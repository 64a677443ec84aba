//! What stands in the documentation is run as it stands there, and what it links to is there.
//!
//! Commands are those of blocks tagged `sh`, page by page and in their order, in a folder where `CheXpert-v1.0-small` is a
//! small drawn set in the layout of the download. Options of size are replaced ([`SMALL`]), nothing else is. Blocks
//! of commands that need a GPU (`sh gpu`) or that CI runs itself (`sh ci`) say so; any other block with a command of the
//! tool fails the test.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
};

use support::{scratch, succeed, synth, tool};

/// Each takes what the one before left, so a page is one test; pages do not depend on each other.
const PAGES: [&str; 4] = ["README.md", "docs/tutorial.md", "docs/pytorch-users.md", "docs/devices.md"];
/// Pages outside `docs/` whose links are followed; of those inside, all are.
const OUTSIDE: [&str; 4] = ["README.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md"];
/// How a page of the site links to a file that is not part of it.
const REPOSITORY: [&str; 2] =
    ["https://github.com/moco-cxr/moco-cxr/blob/main/", "https://github.com/moco-cxr/moco-cxr/tree/main/"];
/// Blocks that are no commands of the tool, or that are not run here.
const NOT_RUN: [&str; 6] = ["sh gpu", "sh ci", "text", "toml", "rust", "python"];

/// What makes a command small enough for a test, whether the text has the option or not.
const SMALL: [(&str, &[(&str, &str)]); 14] = [
    ("pretrain", &[("--image-size", "32"), ("--epochs", "1"), ("--batch-size", "8"), ("--moco-k", "64")]),
    ("preview", &[("--image-size", "32")]),
    ("cache", &[("--image-size", "32")]),
    ("linear", &[("--draws", "2")]),
    ("knn", &[("--draws", "2")]),
    ("finetune", &[("--epochs", "1"), ("--draws", "1"), ("--batch-size", "8"), ("--image-size", "32")]),
    ("predict", &[("--batch-size", "16")]),
    ("embed", &[("--batch-size", "16")]),
    ("explain", &[("--batch-size", "16")]),
    ("neighbours", &[("--batch-size", "16")]),
    ("evaluate", &[("--replicates", "100")]),
    ("compare", &[("--replicates", "100")]),
    ("report", &[("--replicates", "100"), ("--images", "32")]),
    ("synth", &[("--size", "32"), ("--train-patients", "8"), ("--valid-patients", "2"), ("--test-patients", "2")]),
];

/// A page's text.
fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    fs::read_to_string(&path).unwrap_or_else(|fault| panic!("{}: {fault}", path.display()))
}

/// The commands of a page that are to be run, each with the number of its (last) line. A command that would escape is a fault.
fn commands(name: &str, text: &str) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    let mut block: Option<&str> = None;
    let mut begun = String::new();
    for (number, line) in text.lines().enumerate().map(|(index, line)| (index + 1, line)) {
        if let Some(tag) = line.trim_start().strip_prefix("```") {
            block = if block.is_some() { None } else { Some(tag.trim()) };
            continue;
        }
        let is_tool = line.trim_start().starts_with("moco-cxr ");
        match block {
            Some("sh") => {
                begun.push_str(line.trim_end().trim_end_matches('\\'));
                if line.trim_end().ends_with('\\') {
                    continue;
                }
                let words = words(&std::mem::take(&mut begun));
                match words.first().map(String::as_str) {
                    Some("moco-cxr") => found.push((number, words[1..].to_vec())),
                    Some(_) => panic!("{name}:{number}: only moco-cxr can be run here, tag the block: {line}"),
                    None => {}
                }
            }
            Some(tag) if is_tool && !NOT_RUN.contains(&tag) => panic!("{name}:{number}: in a block {tag:?}: {line}"),
            None if is_tool && line.starts_with("    ") => panic!("{name}:{number}: outside a fenced block: {line}"),
            _ => {}
        }
    }
    assert!(block.is_none(), "{name}: a block that does not end");
    found
}

/// A command line as a shell takes it apart: quotes and comments, and nothing else of a shell.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    for c in line.chars() {
        match (quote, c) {
            (Some(q), _) if c == q => quote = None,
            (Some(_), _) => word.get_or_insert_default().push(c),
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => break,
            (None, ' ') => words.extend(word.take()),
            (None, '|' | '&' | ';' | '$' | '`' | '<' | '*') => panic!("{c:?} needs a shell: {line}"),
            (None, _) => word.get_or_insert_default().push(c),
        }
    }
    assert!(quote.is_none(), "an open quote: {line}");
    words.extend(word);
    words
}

/// The command with its options of size replaced.
fn small(mut command: Vec<String>) -> Vec<String> {
    let options = SMALL.iter().find(|(name, _)| *name == command[0]).map_or(&[][..], |(_, options)| *options);
    for (option, value) in options {
        if let Some(at) = command.iter().position(|word| word == option) {
            command.drain(at..=at + 1);
        }
        command.extend([(*option).to_owned(), (*value).to_owned()]);
    }
    command
}

/// Runs a page's commands in a folder of its own; `> FILE` at the end of one takes what it prints.
fn run_page(name: &str) {
    let folder = scratch(&format!("docs-{}", name.replace(['/', '.'], "-")));
    // As the download: tables and images in the folder itself, and no test part.
    let (set, _) = synth(&folder, "drawn", 1, [40, 24, 0]);
    fs::rename(set.join("CheXpert-v1.0-small"), folder.join("CheXpert-v1.0-small")).unwrap();
    fs::remove_dir_all(set).unwrap();
    let downloaded = folder.join("CheXpert-v1.0-small");
    assert!(!downloaded.join("test.csv").exists() && !downloaded.join("test").exists());
    let commands = commands(name, &page(name));
    assert!(!commands.is_empty(), "{name}: no command found");
    for (line, mut command) in commands {
        let into = command.iter().position(|word| word == ">").map(|at| command.split_off(at));
        let command = small(command);
        let output = tool(&command).current_dir(&folder).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{name}:{line}: moco-cxr {}\n{said}", command.join(" "));
        if let Some(into) = into {
            assert_eq!(into.len(), 2, "{name}:{line}: > and one file: {into:?}");
            fs::write(folder.join(&into[1]), output.stdout).unwrap();
        }
    }
}

#[test]
fn the_commands_of_the_readme_run() {
    run_page(PAGES[0]);
}

#[test]
fn the_commands_of_the_tutorial_run_and_end_in_a_report() {
    run_page(PAGES[1]);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("docs-docs-tutorial-md");
    let html = fs::read_to_string(folder.join("runs/first/report.html")).unwrap();
    assert!(html.contains("Pleural Effusion"));
    // Commands with which a report says what it lacks.
    for missing in ["moco-cxr audit", "moco-cxr linear", "moco-cxr finetune", "moco-cxr report RUN"] {
        assert!(!html.contains(missing), "the report lacks what {missing} adds");
    }
}

#[test]
fn the_commands_for_pytorch_users_run() {
    run_page(PAGES[2]);
}

#[test]
fn the_commands_of_the_page_on_devices_run() {
    run_page(PAGES[3]);
}

/// The pages below a folder, by their path from the root.
fn pages(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{folder}/{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            found.extend(pages(&name));
        } else if name.ends_with(".md") {
            found.push(name);
        }
    }
    found.sort();
    found
}

/// The anchors of a page's headings, as GitHub and mdBook name them.
fn anchors(text: &str) -> Vec<String> {
    let mut inside = false;
    let headings = text.lines().filter(|line| {
        inside ^= line.trim_start().starts_with("```");
        !inside && line.starts_with('#')
    });
    let letter = |c: char| match c {
        ' ' => Some('-'),
        c if c.is_alphanumeric() || "-_".contains(c) => Some(c),
        _ => None,
    };
    let slug = |line: &str| line.trim_start_matches('#').trim().to_lowercase().chars().filter_map(letter).collect();
    headings.map(slug).collect()
}

/// The targets of a page's links, those in code left out.
fn links(text: &str) -> Vec<&str> {
    let mut inside = false;
    let lines = text.lines().filter(|line| {
        inside ^= line.trim_start().starts_with("```");
        !inside
    });
    lines
        .flat_map(|line| line.match_indices("](").map(move |(at, _)| line[at + 2..].split(')').next().unwrap()))
        .collect()
}

/// On GitHub and on the site: what lies outside `docs/` is linked by its address there.
#[test]
fn links_lead_to_files_and_headings() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut wrong = Vec::new();
    for name in pages("docs").into_iter().chain(OUTSIDE.map(str::to_owned)) {
        let text = page(&name);
        let folder = Path::new(&name).parent().unwrap();
        for link in links(&text) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let ours = REPOSITORY.iter().find_map(|start| file.strip_prefix(start));
            if file.contains("://") && ours.is_none() || file.starts_with("mailto:") {
                continue;
            }
            let target = match (ours, file) {
                (Some(path), _) => PathBuf::from(path),
                (None, "") => PathBuf::from(&name),
                (None, file) => folder.join(file),
            };
            let there = root.join(&target);
            let within = ours.is_some() || !name.starts_with("docs/") || {
                let docs = root.join("docs").canonicalize().unwrap();
                there.canonicalize().is_ok_and(|path| path.starts_with(docs) && path.is_file())
            };
            let anchored = anchor.is_empty()
                || there.extension().is_none_or(|ending| ending != "md")
                || fs::read_to_string(&there).is_ok_and(|text| anchors(&text).iter().any(|known| known == anchor));
            if !(there.exists() && within && anchored) {
                wrong.push(format!("{name}: {link}"));
            }
        }
    }
    assert!(wrong.is_empty(), "no such file, no such heading, or outside docs/ without its address: {wrong:#?}");
}

#[test]
fn the_site_has_every_page_once() {
    let summary = page("docs/SUMMARY.md");
    let mut listed: Vec<String> = links(&summary).into_iter().map(|link| format!("docs/{link}")).collect();
    listed.sort();
    let there: Vec<String> = pages("docs").into_iter().filter(|name| name != "docs/SUMMARY.md").collect();
    assert_eq!(listed, there, "docs/SUMMARY.md");
}

#[test]
fn the_readme_lists_every_command_and_every_example() {
    let readme = page("README.md");
    let help = succeed(["--help"]).stdout;
    let listed = help.split("Commands:").nth(1).unwrap().split("Options:").next().unwrap();
    let names: Vec<&str> = listed.lines().filter_map(|line| line.split_whitespace().next()).collect();
    for name in names.iter().filter(|name| **name != "help") {
        assert!(readme.contains(&format!("| `{name}` |")), "no row for {name}");
    }
    assert!(names.contains(&"pretrain"), "{names:?}");
    for example in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")).unwrap() {
        let name = example.unwrap().file_name().into_string().unwrap();
        assert!(!name.ends_with(".rs") || readme.contains(&format!("](examples/{name})")), "no row for {name}");
    }
}
