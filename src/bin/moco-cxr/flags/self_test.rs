//! The self-test of a device, in a child process because a faulty driver may end the process. Passed tests are kept in the
//! cache folder.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use moco_cxr::{
    DeviceChoice, Error, Watch,
    backbones::read_within,
    check::{Difference, ParityReport},
    device::{Adapter, Backend, cudnn, kernel_folder},
    files::write_whole,
};

use crate::{Fault, terminal::print::errln};

/// Longest time a self-test may take; compiling kernels for the first time takes a minute at worst.
const PATIENCE: Duration = Duration::from_secs(600);

/// How a line of the child about cuDNN begins; it is passed on.
pub(crate) const CUDNN_NOTE: &str = "convolutions by cuDNN:";

/// Compares a device with the CPU, unless it passed before.
pub(super) fn self_test(choice: DeviceChoice, adapter: &Adapter, watch: &dyn Watch) -> Result<(), Fault> {
    let (key, store) = (key(adapter), Store::open());
    if store.passed.contains_key(&key) {
        return Ok(());
    }
    watch.note(&format!("{choice}: comparing its results with the CPU's (once; --no-selftest skips this)"));
    let report = in_child(&["--self-test"], choice)?;
    if !report.passed() {
        let reason = format!("its results differ from the CPU's: {}", describe(&report));
        return Err(Error::Device { asked: choice.to_string(), reason }.into());
    }
    store.keep(key, report);
    Ok(())
}

/// The report of `moco-cxr parity --device X --json` with more arguments, run in a child process.
pub(crate) fn in_child(arguments: &[&str], choice: DeviceChoice) -> Result<ParityReport, Fault> {
    let asked = choice.to_string();
    let failed = |reason: String| Error::Device { asked: asked.clone(), reason };
    let mut child = Command::new(std::env::current_exe()?)
        .args(["parity", "--in-process", "--json", "--device", &asked])
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let start = Instant::now();
    while child.try_wait()?.is_none() {
        if start.elapsed() > PATIENCE {
            child.kill()?;
            return Err(failed(format!("its self-test did not finish within {} s", PATIENCE.as_secs())).into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let out = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&out.stderr);
    let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("none");
    if out.status.code().is_none() {
        let reason = format!("its driver crashed during the self-test ({}); last output: {last}", out.status);
        return Err(failed(reason).into());
    }
    for line in said.lines().filter(|line| line.starts_with(CUDNN_NOTE)) {
        errln!("{choice}: {line}");
    }
    serde_json::from_slice(&out.stdout).map_err(|_| match last.trim_start_matches("error: ") {
        // Such an error names the device already, as one that is not compiled in.
        named if named.starts_with(&format!("device \"{asked}\": ")) => named.into(),
        other => failed(format!("its self-test failed: {other}")).into(),
    })
}

/// The differences of a report on one line.
pub(crate) fn describe(report: &ParityReport) -> String {
    let part = |(name, d): (&str, Difference)| {
        let mark = if d.passed() { "" } else { " (not within)" };
        format!("{name} {:.1e} of {:.1e}{mark}", d.max, d.bound)
    };
    report.parts().map(part).join(", ")
}

/// What a kept result depends on.
fn key(adapter: &Adapter) -> String {
    let driver = adapter.driver.as_deref().unwrap_or("driver unknown");
    let library = match (adapter.backend, cudnn()) {
        (Backend::Cuda, Some(Ok(version))) => format!(" | cuDNN {version}"),
        _ => String::new(),
    };
    format!(
        "{} | {} | {driver} | {} | {}{library}",
        adapter.backend.name(),
        adapter.name,
        adapter.compiler,
        env!("CARGO_PKG_VERSION")
    )
}

/// Self-tests that passed. Losing them only means running them again.
struct Store {
    path: Option<PathBuf>,
    passed: BTreeMap<String, ParityReport>,
}

impl Store {
    fn open() -> Self {
        let path = kernel_folder().and_then(|f| f.parent().map(|cache| cache.join("selftest.json")));
        let text = path.as_ref().and_then(|p| read_within(p, 256_000_000, "the list of self-tests").ok());
        Self { passed: text.and_then(|t| serde_json::from_slice(&t).ok()).unwrap_or_default(), path }
    }

    fn keep(mut self, key: String, report: ParityReport) {
        self.passed.insert(key, report);
        let Some(path) = self.path else { return };
        let text = serde_json::to_vec_pretty(&self.passed).unwrap_or_default();
        // Losing it costs a repetition.
        let _ = write_whole(&path, &text);
    }
}
