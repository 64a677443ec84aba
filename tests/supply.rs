//! What the crates are built of, read off the sources and `cargo tree`: licences, no C, and every file with unsafe code.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Licences that the default build may rest on; `deny.toml` has those of all features.
const ALLOWED: [&str; 14] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    // jpeg-encoder, which dicom-pixeldata has and this project does not call
    "IJG",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "Unicode-3.0",
    "Zlib",
];
/// What says nothing of it in its manifest; the file beside it is the Apache License 2.0.
const UNSAID: [&str; 1] = ["cfg_block"];
/// Names that end like bindings to C, and are constants only.
const NO_BINDINGS: [&str; 1] = ["linux-raw-sys"];
/// Tools that build C.
const TOOLS: [&str; 4] = ["cc", "cmake", "bindgen", "pkg-config"];

/// Crates of the default build by name, with their licences; nothing where this cargo cannot say it without a network.
fn tree(format: &str, of: &[&str]) -> Option<Vec<String>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args([
        "tree",
        "--offline",
        "--workspace",
        "--edges",
        "normal,build",
        "--prefix",
        "none",
        "--format",
        format,
    ]);
    let output = command.args(of).current_dir(root()).output().ok()?;
    if !output.status.success() {
        println!("skipped: cargo tree --offline: {}", String::from_utf8_lossy(&output.stderr));
        return None;
    }
    let text = String::from_utf8(output.stdout).unwrap();
    // Blank lines lie between the crates of the workspace.
    let lines = text.lines().filter(|line| !line.is_empty());
    Some(lines.map(|line| line.trim_end_matches(" (*)").to_owned()).collect())
}

#[test]
fn every_licence_of_the_default_build_is_allowed() {
    let Some(lines) = tree("{p}|{l}", &[]) else { return };
    assert!(lines.len() > 100, "{lines:?}");
    let mut wrong: Vec<&String> = lines
        .iter()
        .filter(|line| {
            let (package, licence) = line.split_once('|').unwrap();
            let name = package.split(' ').next().unwrap();
            !(may(licence.trim()) || licence.trim().is_empty() && UNSAID.contains(&name))
        })
        .collect();
    wrong.dedup();
    assert!(wrong.is_empty(), "licences that are not allowed: {wrong:#?}");
}

/// Whether one of the choices of a licence expression is allowed, or all of its parts.
fn may(licence: &str) -> bool {
    let inner = licence.replace(['(', ')'], "");
    let all = |text: &str| text.split(" AND ").all(|one| one.split(" OR ").any(|one| ALLOWED.contains(&one.trim())));
    if licence.contains(" AND ") {
        all(&inner)
    } else {
        inner.replace('/', " OR ").split(" OR ").any(|one| ALLOWED.contains(&one.trim()))
    }
}

#[test]
fn a_licence_is_read_with_its_choices() {
    assert!(may("MIT OR Apache-2.0") && may("Apache-2.0 / MIT") && may("LGPL-2.1-or-later OR MIT"));
    assert!(may("(MIT OR Apache-2.0) AND Unicode-3.0"));
    assert!(!may("GPL-3.0") && !may("") && !may("MIT AND GPL-3.0") && !may("(MIT OR Apache-2.0) AND GPL-2.0"));
}

#[test]
fn the_default_build_needs_no_c() {
    let Some(lines) = tree("{p}", &[]) else { return };
    let names = lines.iter().map(|line| line.split(' ').next().unwrap());
    let bindings: Vec<&str> =
        names.clone().filter(|name| name.ends_with("-sys") && !NO_BINDINGS.contains(name)).collect();
    assert!(bindings.is_empty(), "bindings to C: {bindings:?}");
    // BLAKE3 has C and assembly that its feature `pure` leaves out; its build script still names the compiler's crate.
    for tool in TOOLS.into_iter().filter(|tool| names.clone().any(|name| name == *tool)) {
        let users = tree("{p}", &["--invert", tool, "--depth", "1"]).unwrap();
        let users: Vec<&String> =
            users.iter().filter(|line| !line.starts_with(tool) && !line.starts_with('[')).collect();
        assert!(tool == "cc" && users.iter().all(|user| user.starts_with("blake3 ")), "{tool} builds for {users:?}");
    }
    let manifests =
        ["Cargo.toml", "crates/cxr-data/Cargo.toml"].map(|path| fs::read_to_string(root().join(path)).unwrap());
    let blake3 = manifests.iter().flat_map(|text| text.lines()).filter(|line| line.starts_with("blake3 "));
    assert!(blake3.clone().count() == 2 && { blake3 }.all(|line| line.contains("\"pure\"")), "BLAKE3 without C");
}

/// `docs/unsafe.md` has a row for each file with unsafe code: how often the word occurs, why, and the tests.
#[test]
fn every_file_with_unsafe_code_is_listed() {
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    for folder in ["src", "crates", "tests", "benches", "examples", "build.rs"] {
        for path in sources(&root().join(folder)) {
            let text = fs::read_to_string(&path).unwrap();
            let count = text.lines().map(occurrences).sum::<usize>();
            let name = path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/");
            if count > 0 && name != "tests/supply.rs" {
                found.insert(name, count);
            }
        }
    }
    let page = fs::read_to_string(root().join("docs/unsafe.md")).unwrap();
    let mut listed: BTreeMap<String, usize> = BTreeMap::new();
    for row in page.lines().filter(|line| line.starts_with("| `crates/") || line.starts_with("| `src/")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        listed.insert(cells[1].trim_matches('`').to_owned(), cells[2].parse().unwrap());
        for test in cells[4].split('`').filter(|name| name.contains('_') && !name.contains(['/', '.'])) {
            let is_there = |path: &PathBuf| fs::read_to_string(path).unwrap().contains(&format!("fn {test}("));
            let mut files = ["crates", "tests"].into_iter().flat_map(|folder| sources(&root().join(folder)));
            assert!(files.any(|file| is_there(&file)), "{}: no test {test}", cells[1]);
        }
    }
    assert_eq!(listed, found, "left: docs/unsafe.md, right: the sources");
}

/// How often a line of code, not of comment, has the keyword.
fn occurrences(line: &str) -> usize {
    let code = line.split("//").next().unwrap();
    // Dots and slashes are of names of files.
    code.split(|c: char| !c.is_alphanumeric() && !"_./".contains(c)).filter(|word| *word == "unsafe").count()
}

#[test]
fn the_keyword_is_counted_and_not_the_word() {
    assert_eq!(occurrences("        unsafe { a() } // unsafe"), 1);
    assert_eq!(occurrences("#[allow(unsafe_code)] \"docs/unsafe.md\""), 0);
    assert_eq!(occurrences("unsafe fn a() { unsafe { b() } }"), 2);
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust files below a folder, or the file itself.
fn sources(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return if path.extension().is_some_and(|extension| extension == "rs") {
            vec![path.to_owned()]
        } else {
            Vec::new()
        };
    }
    let entries = fs::read_dir(path).into_iter().flatten();
    let mut found: Vec<PathBuf> = entries.flat_map(|entry| sources(&entry.unwrap().path())).collect();
    found.sort();
    found
}
