//! Passes the commit to the library as `MOCO_CXR_GIT_COMMIT`, if known: from git in a checkout, from Cargo's record in a
//! package, or from `MOCO_CXR_COMMIT`, as in a container that is built without the repository.

use std::{env, fs, path::Path, process::Command};

fn main() {
    let root = env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    let root = Path::new(&root);
    println!("cargo::rerun-if-changed=build.rs");
    // A package may lie inside another repository's checkout; only a repository of this folder counts.
    let commit = if root.join(".git").exists() { from_git(root) } else { from_package(root).or_else(from_variable) };
    if let Some(commit) = commit {
        println!("cargo::rustc-env=MOCO_CXR_GIT_COMMIT={commit}");
    }
}

/// The commit, with `-dirty` if files were changed.
fn from_git(root: &Path) -> Option<String> {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").arg("-C").arg(root).args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let logs = git(&["rev-parse", "--git-path", "logs/HEAD"])?; // changes with every commit and checkout
    for path in [root.join(logs), root.join("src"), root.join("crates"), root.join("Cargo.lock")] {
        if path.exists() {
            println!("cargo::rerun-if-changed={}", path.display());
        }
    }
    git(&["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"])
}

/// The commit in `.cargo_vcs_info.json`, which `cargo package` writes.
fn from_package(root: &Path) -> Option<String> {
    let path = root.join(".cargo_vcs_info.json");
    println!("cargo::rerun-if-changed={}", path.display());
    let text = fs::read_to_string(path).ok()?;
    let sha = text.split("\"sha1\"").nth(1)?.split('"').nth(1)?;
    is_sha(sha).then(|| sha.to_owned())
}

fn from_variable() -> Option<String> {
    println!("cargo::rerun-if-env-changed=MOCO_CXR_COMMIT");
    env::var("MOCO_CXR_COMMIT").ok().filter(|commit| is_sha(commit.trim_end_matches("-dirty")))
}

fn is_sha(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_hexdigit())
}
