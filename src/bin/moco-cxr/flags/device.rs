//! `--device`, and the choice of a device that works.

use std::cell::OnceCell;

use clap::Args;
use moco_cxr::{
    DeviceChoice, Error, Watch,
    device::{Adapter, Backend, cudnn, guard},
};

use super::self_test::self_test;
use crate::{Fault, terminal::watch::Terminal};

/// Where to compute.
#[derive(Debug, Clone, Args)]
pub(crate) struct DeviceArguments {
    /// Device to compute on: auto, cpu, cuda, rocm, metal, vulkan or wgpu, with an index if there are several, as in cuda:1
    /// (see moco-cxr devices). [default: auto]
    #[arg(long, value_name = "DEVICE")]
    pub(crate) device: Option<DeviceChoice>,
    /// Allow software adapters, which emulate a GPU on the CPU.
    #[arg(long)]
    allow_software: bool,
    /// Skip the self-test, which compares the results of the device with those of the CPU.
    #[arg(long)]
    no_selftest: bool,
    /// The result of [`Self::choose`].
    #[arg(skip)]
    chosen: OnceCell<DeviceChoice>,
}

impl DeviceArguments {
    /// The device to use instead of `setting`: one that exists, is hardware (or allowed) and passes its self-test. `auto`
    /// becomes the first that does. The choice is made once.
    pub(crate) fn choose(&self, setting: DeviceChoice, quiet: bool) -> Result<DeviceChoice, Fault> {
        if let Some(chosen) = self.chosen.get() {
            return Ok(*chosen);
        }
        let chosen = self.find(setting, &Terminal::new(quiet))?;
        Ok(*self.chosen.get_or_init(|| chosen))
    }

    /// Runs a command so that a failing device ends it with an error instead of a panic.
    pub(crate) fn guarded(&self, quiet: bool, work: impl FnOnce() -> Result<(), Fault>) -> Result<(), Fault> {
        guard(self.choose(DeviceChoice::Auto, quiet)?, work)
    }

    fn find(&self, setting: DeviceChoice, watch: &dyn Watch) -> Result<DeviceChoice, Fault> {
        let choice = self.device.unwrap_or(setting);
        if let DeviceChoice::On(..) = choice {
            let adapter = choice.adapter()?;
            if adapter.software && !self.allow_software {
                let reason = format!(
                    "{} emulates a GPU on the CPU, which is slow; expected --allow-software with it, or --device cpu",
                    adapter.name
                );
                return Err(Error::Device { asked: choice.to_string(), reason }.into());
            }
            self.test(choice, &adapter, watch)?;
            return Ok(choice);
        }
        // Backend by backend, because listing the adapters of one opens them.
        for backend in Backend::ALL {
            let adapters = backend.adapters().unwrap_or_default();
            for adapter in adapters.iter().filter(|a| !a.software) {
                let choice = DeviceChoice::On(adapter.backend, adapter.index);
                match self.test(choice, adapter, watch) {
                    Ok(()) => {
                        if backend != Backend::Cpu {
                            watch.note(&format!("device: {choice} ({})", adapter.name));
                        }
                        return Ok(choice);
                    }
                    Err(fault) => watch.note(&format!("{choice} is skipped: {fault}")),
                }
            }
        }
        Ok(DeviceChoice::Auto.adapter().map(|a| DeviceChoice::On(a.backend, a.index))?)
    }

    fn test(&self, choice: DeviceChoice, adapter: &Adapter, watch: &dyn Watch) -> Result<(), Fault> {
        if let (Backend::Cuda, Some(Err(reason))) = (adapter.backend, cudnn()) {
            watch.note(&format!("{choice}: convolutions go through this program's own kernels: cuDNN: {reason}"));
        }
        if adapter.backend == Backend::Cpu || self.no_selftest { Ok(()) } else { self_test(choice, adapter, watch) }
    }
}
