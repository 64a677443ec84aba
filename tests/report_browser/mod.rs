//! A report in headless Chromium: what it measures there, what the console says, and a screenshot.
//!
//! No browser is installed by the tests. Where none is found they are skipped with a printed reason, unless
//! `MOCO_CXR_TEST_BROWSER` names one that must be there (as in CI).

#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// The browser, if there is one.
pub fn browser() -> Option<PathBuf> {
    if let Some(asked) = std::env::var_os("MOCO_CXR_TEST_BROWSER") {
        let path = PathBuf::from(asked);
        assert!(path.is_file(), "MOCO_CXR_TEST_BROWSER: no file {}", path.display());
        return Some(path);
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let found = std::env::split_paths(&folders).flat_map(|f| names.map(|n| f.join(n))).find(|path| path.is_file());
    if found.is_none() {
        eprintln!("skipped: no Chromium on the PATH; MOCO_CXR_TEST_BROWSER names one elsewhere");
    }
    found
}

/// What the probe measured in a page of `width` pixels.
pub fn measure(browser: &Path, page: &str, width: u32, dark: bool, screenshot: &Path) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let probe = include_str!("probe.html");
    assert_eq!(page.matches("</body>").count(), 1);
    fs::write(folder.path().join("page.html"), page.replace("</body>", &format!("{probe}</body>"))).unwrap();
    let harness = |height: u64| {
        let text = include_str!("harness.html").replace("WIDTH", &width.to_string());
        let file = folder.path().join("harness.html");
        fs::write(&file, text.replace("HEIGHT", &height.to_string())).unwrap();
        format!("file://{}", file.display())
    };
    let run = |height: u64, more: &[String]| {
        let mut command = Command::new(browser);
        command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]);
        command.args(["--disable-component-update", "--disable-sync", "--no-first-run", "--hide-scrollbars"]);
        command.args(["--enable-logging=stderr", "--virtual-time-budget=5000"]);
        command.arg(format!("--user-data-dir={}", folder.path().join("profile").display()));
        command.arg(format!("--window-size={},{height}", width.max(500)));
        command.args(dark.then_some("--force-dark-mode")).args(more).arg(harness(height));
        let output = command.output().unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{err}");
        let said: Vec<&str> = err.lines().filter(|line| line.contains(":CONSOLE")).collect();
        assert!(said.is_empty(), "the console says: {said:#?}");
        out.into_owned()
    };
    let dom = run(900, &["--dump-dom".to_owned()]);
    let said = dom.split("<pre id=\"said\" hidden=\"\">").nth(1).and_then(|rest| rest.split("</pre>").next());
    let said = said.expect("the harness' answer").replace("&gt;", ">").replace("&lt;", "<").replace("&amp;", "&");
    let found: Value = serde_json::from_str(&said).expect("what the probe says");
    // As high as the page is, as far as a picture can be.
    let height = found["height"].as_u64().unwrap().min(16_000);
    run(height, &[format!("--screenshot={}", screenshot.display())]);
    assert!(fs::metadata(screenshot).unwrap().len() > 10_000, "an empty screenshot");
    found
}
