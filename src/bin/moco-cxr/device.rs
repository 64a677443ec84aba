//! `--device` and what is asked of a device before it is used.

use std::{
    cell::OnceCell,
    collections::BTreeMap,
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use clap::Args;
use moco_cxr::{Adapter, Backend, DeviceChoice, Error, ParityReport, burn::tensor::Device, guard, kernel_folder};

use crate::Fault;

/// Longest time a self-test may take; compiling kernels for the first time takes a minute at worst.
const PATIENCE: Duration = Duration::from_secs(600);

/// Where to compute.
#[derive(Debug, Clone, Args)]
pub(crate) struct DeviceArguments {
    /// auto, cpu, cuda, rocm, metal, vulkan or wgpu; the last five also as cuda:1 (see moco-cxr devices). [default: auto]
    #[arg(long, value_name = "DEVICE")]
    pub(crate) device: Option<DeviceChoice>,
    /// Use an adapter that imitates a GPU on the CPU.
    #[arg(long)]
    allow_software: bool,
    /// Do not check that the device computes what the CPU computes.
    #[arg(long)]
    no_selftest: bool,
    /// What [`Self::choose`] found.
    #[arg(skip)]
    chosen: OnceCell<DeviceChoice>,
}

impl DeviceArguments {
    /// The device to use instead of `setting`: one that exists, is hardware (or allowed) and computes what the CPU
    /// computes. `auto` becomes the first that does. Asked once, kept after.
    pub(crate) fn choose(&self, setting: DeviceChoice, quiet: bool) -> Result<DeviceChoice, Fault> {
        if let Some(chosen) = self.chosen.get() {
            return Ok(*chosen);
        }
        let mut note = |text: &str| {
            if !quiet {
                eprintln!("note: {text}");
            }
        };
        let chosen = self.find(setting, &mut note)?;
        Ok(*self.chosen.get_or_init(|| chosen))
    }

    /// Runs a command whose device fails with an error and not with a panic.
    pub(crate) fn guarded(&self, quiet: bool, work: impl FnOnce() -> Result<(), Fault>) -> Result<(), Fault> {
        guard(self.choose(DeviceChoice::Auto, quiet)?, work)
    }

    /// The device itself.
    pub(crate) fn select(&self) -> Result<Device, Fault> {
        Ok(self.choose(DeviceChoice::Auto, true)?.select()?)
    }

    fn find(&self, setting: DeviceChoice, note: &mut dyn FnMut(&str)) -> Result<DeviceChoice, Fault> {
        if let DeviceChoice::On(..) = self.device.unwrap_or(setting) {
            let choice = self.device.unwrap_or(setting);
            let adapter = choice.adapter()?;
            if adapter.software && !self.allow_software {
                let reason = format!(
                    "{} imitates a GPU on the CPU, slowly; say --allow-software, or --device cpu",
                    adapter.name
                );
                return Err(Error::Device { asked: choice.to_string(), reason }.into());
            }
            self.test(choice, &adapter, note)?;
            return Ok(choice);
        }
        // Backend by backend, because asking for its adapters opens them.
        for backend in Backend::ALL {
            let adapters = backend.adapters().unwrap_or_default();
            for adapter in adapters.iter().filter(|a| !a.software) {
                let choice = DeviceChoice::On(adapter.backend, adapter.index);
                match self.test(choice, adapter, note) {
                    Ok(()) => {
                        if backend != Backend::Cpu {
                            note(&format!("device: {choice} ({})", adapter.name));
                        }
                        return Ok(choice);
                    }
                    Err(fault) => note(&format!("{choice} is passed over: {fault}")),
                }
            }
        }
        Ok(DeviceChoice::Auto.adapter().map(|a| DeviceChoice::On(a.backend, a.index))?)
    }

    /// In a child process, because a wrong driver may end the process.
    fn test(&self, choice: DeviceChoice, adapter: &Adapter, note: &mut dyn FnMut(&str)) -> Result<(), Fault> {
        if adapter.backend == Backend::Cpu || self.no_selftest {
            return Ok(());
        }
        let (key, store) = (key(adapter), Store::open());
        if store.passed.contains_key(&key) {
            return Ok(());
        }
        note(&format!("{choice}: checking that it computes what the CPU computes (once; --no-selftest skips it)"));
        let report = in_child(&["--self-test"], choice)?;
        if !report.passed() {
            let reason = format!("it computes wrong numbers: {}", describe(&report));
            return Err(Error::Device { asked: choice.to_string(), reason }.into());
        }
        store.keep(key, report);
        Ok(())
    }
}

/// The report of `moco-cxr parity --device X --json` with further arguments, run in a process of its own.
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
            return Err(failed(format!("its self-test did not end within {} s", PATIENCE.as_secs())).into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let out = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&out.stderr);
    let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
    if out.status.code().is_none() {
        return Err(failed(format!("its driver crashed in a self-test ({}); last words: {last}", out.status)).into());
    }
    serde_json::from_slice(&out.stdout)
        .map_err(|_| failed(format!("its self-test failed: {}", last.trim_start_matches("error: "))).into())
}

/// The differences of a report in a line.
pub(crate) fn describe(report: &ParityReport) -> String {
    let part = |(name, d): (&str, moco_cxr::Difference)| {
        let mark = if d.max <= d.bound { "" } else { " (too far)" };
        format!("{name} {:.1e} of {:.1e}{mark}", d.max, d.bound)
    };
    report.parts().map(part).join(", ")
}

/// What decides whether a kept result still holds.
fn key(adapter: &Adapter) -> String {
    let driver = adapter.driver.as_deref().unwrap_or("driver unknown");
    format!(
        "{} | {} | {driver} | {} | {}",
        adapter.backend.name(),
        adapter.name,
        adapter.compiler,
        env!("CARGO_PKG_VERSION")
    )
}

/// Self-tests that passed, in the cache folder; losing it costs a repetition.
struct Store {
    path: Option<PathBuf>,
    passed: BTreeMap<String, ParityReport>,
}

impl Store {
    fn open() -> Self {
        let path = kernel_folder().and_then(|f| f.parent().map(|cache| cache.join("selftest.json")));
        let text = path.as_ref().and_then(|p| std::fs::read(p).ok());
        Self { passed: text.and_then(|t| serde_json::from_slice(&t).ok()).unwrap_or_default(), path }
    }

    fn keep(mut self, key: String, report: ParityReport) {
        self.passed.insert(key, report);
        let Some(path) = self.path else { return };
        let text = serde_json::to_vec_pretty(&self.passed).unwrap_or_default();
        // Written aside and renamed: two runs may start at once.
        let aside = path.with_extension(format!("{}.tmp", std::process::id()));
        let folder = path.parent().map_or(Ok(()), std::fs::create_dir_all);
        let _ = folder.and_then(|()| std::fs::write(&aside, text)).and_then(|()| std::fs::rename(&aside, &path));
    }
}
