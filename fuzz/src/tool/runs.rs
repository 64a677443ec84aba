//! The folder of a run, as a report reads it. The first byte says which of its files the rest is.

use std::hint::black_box;

use moco_cxr::report::{Report, ReportOptions};

use crate::Outcome;
use crate::plain::files::{folder, write};

const FILES: [(&str, &[u8]); 4] = [
    ("run.json", include_bytes!("../../../tests/old_run/run.json")),
    ("metrics.jsonl", b"{\"split\":\"train\",\"step\":1,\"epoch\":0,\"loss\":2.5}\n"),
    ("audit.json", b"{}"),
    ("config.toml", include_bytes!("../../../tests/old_run/config.toml")),
];

pub(crate) fn run(bytes: &[u8]) -> Outcome {
    let (&which, rest) = bytes.split_first().ok_or("no bytes")?;
    let folder = folder("runs");
    for (at, (name, whole)) in FILES.iter().enumerate() {
        write(&folder.join(name), if usize::from(which) % FILES.len() == at { rest } else { whole });
    }
    let report = Report::read(&folder, &ReportOptions::default()).map_err(|fault| fault.to_string())?;
    let page = report.to_html();
    assert!(!page.contains('\u{1b}'), "an escape in the page");
    black_box(page);
    Ok(())
}
