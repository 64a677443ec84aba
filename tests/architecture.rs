//! The plan of docs/ARCHITECTURE.md, read off the `use` lines: floors import downwards, and nothing imports in a circle.
#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// The floors of `src/` from the ground up. Those of a row do not import each other.
const FLOORS: [&[&str]; 11] = [
    &["error"],
    &["files"],
    &["ranks", "shards"],
    &["device"],
    &["data"],
    &["weights"],
    &["pretrain"],
    &["check"],
    &["study"],
    &["report", "reproduce"],
    &["quickstart"],
];

/// What a crate of the workspace may import of the others.
const CRATES: [(&str, &[&str]); 5] = [
    ("tables", &[]),
    ("cxr-data", &["tables"]),
    ("backbones", &[]),
    ("moco-core", &["backbones"]),
    ("eval", &["backbones", "tables"]),
];

type Graph = BTreeMap<String, BTreeSet<String>>;

#[test]
fn floors_import_what_is_below_them() {
    let height = |floor: &str| FLOORS.iter().position(|row| row.contains(&floor));
    let mut wrong = Vec::new();
    for file in sources(&root().join("src")) {
        let below = file.strip_prefix(root().join("src")).unwrap();
        let floor = first(below);
        let Some(own) = height(&floor) else {
            assert!(["lib", "prelude", "bin"].contains(&&*floor), "{}: a floor that FLOORS lacks", file.display());
            continue;
        };
        for path in paths(&file, "crate") {
            let Some(other) = height(&path[0]) else {
                wrong.push(format!(
                    "{}: crate::{} is imported from the root of the crate",
                    below.display(),
                    path.join("::")
                ));
                continue;
            };
            if other > own || other == own && path[0] != floor {
                wrong.push(format!("{}: imports {} from a floor above or beside it", below.display(), path.join("::")));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn nothing_imports_in_a_circle() {
    let mut circles = Vec::new();
    for floor in FLOORS.concat().into_iter().filter(|floor| root().join("src").join(floor).is_dir()) {
        let folder = root().join("src").join(floor);
        circles.extend(circle(&graph(&folder, &["crate", floor])).map(|found| format!("{floor}: {found}")));
    }
    for (name, _) in CRATES {
        let folder = root().join("crates").join(name).join("src");
        // The others were never meant to be without circles; what they are must not spread.
        if name == "eval" {
            circles.extend(circle(&graph(&folder, &["crate"])).map(|found| format!("{name}: {found}")));
        }
    }
    assert!(circles.is_empty(), "{circles:#?}");
}

#[test]
fn crates_import_in_one_direction() {
    for (name, allowed) in CRATES {
        let text = fs::read_to_string(root().join("crates").join(name).join("Cargo.toml")).unwrap();
        let dependencies = text.split("[dependencies]").nth(1).unwrap().split("\n[").next().unwrap().to_owned();
        for (other, package) in [
            ("tables", "moco-cxr-tables"),
            ("cxr-data", "cxr-data"),
            ("backbones", "moco-cxr-backbones"),
            ("moco-core", "moco-core"),
            ("eval", "moco-cxr-eval"),
        ] {
            let depends = dependencies.lines().any(|line| line.starts_with(package));
            assert!(!depends || allowed.contains(&other), "{name} depends on {other}");
        }
        let without = ["tables", "cxr-data"].contains(&name);
        assert_eq!(without, !text.contains("burn"), "{name}: only tables and cxr-data know nothing of Burn");
    }
}

/// Files that may read another file to its end: where the limits are, and what reads the system's own files, a stream with a
/// limit, or what it has just written.
const WHOLE_READERS: [&str; 17] = [
    "crates/tables/src/bounded.rs",
    "crates/tables/src/text.rs",
    "crates/cxr-data/src/limits.rs",
    "crates/cxr-data/src/decode/elements.rs",
    "crates/cxr-data/src/decode/header.rs",
    "crates/cxr-data/src/inventory/kind.rs",
    "crates/backbones/src/bounded.rs",
    "crates/backbones/src/weights/file.rs",
    "crates/backbones/src/weights/large.rs",
    "src/check/available.rs",
    "src/check/bench_process.rs",
    "src/files/lock.rs",
    "src/pretrain/log/run_log.rs",
    "src/ranks/launch.rs",
    "src/report/mod.rs",
    "src/study/feature_cache.rs",
    "src/bin/moco-cxr/terminal/interrupt.rs",
];

/// A file of any size must not be asked for in one piece.
#[test]
fn files_are_read_whole_within_limits_alone() {
    let mut found = BTreeSet::new();
    for file in ["src", "crates"].iter().flat_map(|folder| sources(&root().join(folder))) {
        let name = file.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/");
        if name.split('/').any(|part| ["tests", "benches", "examples", "tests.rs"].contains(&part)) {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        let code = text.split("\n#[cfg(test)]\n").next().unwrap();
        if ["fs::read(", "read_to_string(", "read_to_end("].iter().any(|call| code.contains(call)) {
            found.insert(name);
        }
    }
    assert_eq!(found, WHOLE_READERS.iter().map(|name| (*name).to_owned()).collect(), "use read_within");
}

/// The reader itself, on what it has to understand.
#[test]
fn use_trees_are_read_whole() {
    let found = use_paths(
        "use crate::{\n    data::{Rows, draws::{self, Draws as D}},\n    error::Result,\n};\nuse std::fs;",
        "crate",
    );
    let expected = ["data::Rows", "data::draws", "data::draws::Draws", "error::Result"];
    assert_eq!(found.iter().map(|path| path.join("::")).collect::<Vec<_>>(), expected);
    let circled = Graph::from([
        ("a".into(), ["b".to_owned()].into()),
        ("b".into(), ["c".to_owned()].into()),
        ("c".into(), ["b".to_owned()].into()),
    ]);
    assert_eq!(circle(&circled).as_deref(), Some("b -> c -> b"));
    assert_eq!(circle(&Graph::from([("a".into(), ["b".to_owned()].into())])), None);
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust files below a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            found.extend(sources(&entry));
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            found.push(entry);
        }
    }
    found.sort();
    found
}

/// The module that a path below a source folder belongs to.
fn first(below: &Path) -> String {
    let name = below.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
    name.strip_suffix(".rs").map(str::to_owned).unwrap_or(name)
}

/// Which modules of a folder import which, by their `use` lines; names that the folder's own `mod.rs` or `lib.rs` passes on
/// are those of the module they come from.
fn graph(folder: &Path, prefix: &[&str]) -> Graph {
    let modules: BTreeSet<String> =
        sources(folder).iter().map(|file| first(file.strip_prefix(folder).unwrap())).collect();
    let door = ["mod.rs", "lib.rs"].map(|name| folder.join(name)).into_iter().find(|path| path.is_file()).unwrap();
    let mut passed_on: BTreeMap<String, String> = BTreeMap::new();
    let text = fs::read_to_string(&door).unwrap();
    for module in &modules {
        for path in use_paths(&text, module) {
            passed_on.insert(path.last().unwrap().clone(), module.clone());
        }
    }
    let mut graph = Graph::new();
    for file in sources(folder) {
        let below = file.strip_prefix(folder).unwrap();
        let own = first(below);
        if file == door {
            continue;
        }
        let mut imported: Vec<Vec<String>> = paths(&file, prefix[0]);
        if let Some(floor) = prefix.get(1) {
            imported = imported.into_iter().filter(|path| path[0] == *floor).map(|path| path[1..].to_vec()).collect();
        }
        if below.components().count() == 1 {
            imported.extend(paths(&file, "super"));
        }
        for path in imported.into_iter().filter(|path| !path.is_empty()) {
            let module = Some(&path[0]).filter(|name| modules.contains(*name)).or_else(|| passed_on.get(&path[0]));
            if let Some(module) = module.filter(|module| **module != own) {
                graph.entry(own.clone()).or_default().insert(module.clone());
            }
        }
    }
    graph
}

/// A circle, if there is one.
fn circle(graph: &Graph) -> Option<String> {
    fn walk(graph: &Graph, at: &str, way: &mut Vec<String>, done: &mut BTreeSet<String>) -> Option<String> {
        if let Some(begin) = way.iter().position(|module| module == at) {
            way.push(at.to_owned());
            return Some(way[begin..].join(" -> "));
        }
        if !done.insert(at.to_owned()) {
            return None;
        }
        way.push(at.to_owned());
        let found = graph.get(at).into_iter().flatten().find_map(|next| walk(graph, next, way, done));
        if found.is_none() {
            way.pop();
        }
        found
    }
    let mut done = BTreeSet::new();
    graph.keys().find_map(|module| walk(graph, module, &mut Vec::new(), &mut done))
}

/// What the code of a file imports below `root`, its unit tests left out.
fn paths(file: &Path, root: &str) -> Vec<Vec<String>> {
    let text = fs::read_to_string(file).unwrap();
    use_paths(text.split("\n#[cfg(test)]\nmod ").next().unwrap().split("\n#[cfg(test)]\n#[allow").next().unwrap(), root)
}

/// The paths that `use` lines name below `root`, segment by segment.
fn use_paths(text: &str, root: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("use ") {
        let before = text[..at].rsplit('\n').next().unwrap().trim();
        if !["", "pub", "pub(crate)", "pub(super)"].contains(&before) {
            continue;
        }
        let tree = text[at + 4..].split(';').next().unwrap();
        let tree: String = tree.lines().map(|line| line.split("//").next().unwrap()).collect::<Vec<_>>().join(" ");
        if let Some(rest) = tree.trim().strip_prefix(root).and_then(|rest| rest.strip_prefix("::")) {
            spread(&mut Vec::new(), rest.trim(), &mut found);
        }
    }
    found
}

fn spread(prefix: &mut Vec<String>, tree: &str, found: &mut Vec<Vec<String>>) {
    if let Some(inner) = tree.strip_prefix('{') {
        let inner = &inner[..inner.rfind('}').unwrap()];
        let (mut depth, mut begin) = (0, 0);
        let cuts = inner.char_indices().filter(|&(_, c)| {
            depth += i32::from(c == '{') - i32::from(c == '}');
            c == ',' && depth == 0
        });
        for end in cuts.map(|(at, _)| at).chain([inner.len()]).collect::<Vec<_>>() {
            let part = inner[begin..end].trim_start_matches(',').trim();
            begin = end;
            if !part.is_empty() {
                spread(&mut prefix.clone(), part, found);
            }
        }
        return;
    }
    match tree.split_once("::") {
        Some((segment, rest)) => {
            prefix.push(segment.trim().to_owned());
            spread(prefix, rest.trim(), found);
        }
        None => {
            let name = tree.split(" as ").next().unwrap().trim();
            if name != "self" {
                prefix.push(name.to_owned());
            }
            found.push(prefix.clone());
        }
    }
}
