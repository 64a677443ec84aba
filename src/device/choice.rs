//! The value of `--device`.

use std::{fmt, str::FromStr};

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::{Adapter, Backend};
use crate::error::{Error, Result};

/// The value of `--device`: a backend, with the number of an adapter where there can be several.
///
/// `auto`, `cpu`, `cuda`, `rocm`, `metal`, `vulkan` or `wgpu`; the last five also with `:1`, `:2`, ... for the second, third,
/// ... adapter in the order of `moco-cxr devices`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum DeviceChoice {
    /// The first backend that has a hardware adapter, in the order of [`Backend::ALL`], else the CPU.
    #[default]
    Auto,
    /// An adapter of one backend, counted from 0; the CPU has one.
    On(Backend, usize),
}

impl DeviceChoice {
    /// The CPU.
    pub const CPU: Self = Self::On(Backend::Cpu, 0);

    /// Whether it is the CPU, or `auto` in a build without a GPU backend.
    pub fn is_cpu(self) -> bool {
        let gpus = cfg!(any(feature = "cuda", feature = "rocm", feature = "wgpu"));
        matches!(self, Self::On(Backend::Cpu, _)) || (self == Self::Auto && !gpus)
    }

    /// The device of one of several processes on a machine, by its number among them: of a GPU backend without a number (or with
    /// 0) the adapter of that number, from the first again where there are more processes; of `auto` the same of the first backend
    /// with a hardware adapter. Anything else stays.
    #[must_use]
    pub fn for_process(self, number: usize) -> Self {
        match self {
            Self::Auto => {
                let of = |backend: Backend| {
                    let found = backend.adapters().unwrap_or_default().into_iter().filter(|a| !a.software);
                    let found: Vec<usize> = found.map(|adapter| adapter.index).collect();
                    (!found.is_empty()).then(|| Self::On(backend, found[number % found.len()]))
                };
                Backend::ALL.into_iter().find_map(of).unwrap_or(self)
            }
            Self::On(backend, 0) if backend != Backend::Cpu => {
                let adapters = backend.adapters().map_or(1, |adapters| adapters.len().max(1));
                Self::On(backend, number % adapters)
            }
            other => other,
        }
    }

    /// The device, without autodiff.
    ///
    /// Nothing is computed here; [`crate::check::parity`] checks whether the device computes correctly.
    ///
    /// # Errors
    /// [`Error::Device`] when the backend is not compiled in (with the feature that adds it), has no driver, or has no
    /// adapter of that number.
    pub fn select(self) -> Result<Device> {
        self.adapter().map(|adapter| adapter.device)
    }

    /// As [`Self::select`], with a description of the adapter.
    ///
    /// # Errors
    /// As [`Self::select`].
    pub fn adapter(self) -> Result<Adapter> {
        let fault = |reason| Error::Device { asked: self.to_string(), reason };
        match self {
            Self::Auto => {
                let first = |backend: Backend| backend.adapters().ok()?.into_iter().find(|a| !a.software);
                let found = Backend::ALL.into_iter().find_map(first);
                found.ok_or_else(|| fault("this build has no backend; add the feature `flex` for the CPU".into()))
            }
            Self::On(backend, index) => {
                let adapters = backend.adapters().map_err(fault)?;
                let n = adapters.len();
                adapters
                    .into_iter()
                    .nth(index)
                    .ok_or_else(|| fault(format!("found {n} adapters, counted from 0; see moco-cxr devices")))
            }
        }
    }
}

impl DeviceChoice {
    /// Name and number of the device that [`Self::select`] returns, for a GPU with the adapter's name and shader compiler; the
    /// choice itself if none is available.
    pub fn resolved(self) -> String {
        match self.adapter() {
            Ok(adapter) if adapter.backend == Backend::Cpu => "cpu".into(),
            Ok(adapter) => {
                let Adapter { backend, index, name, compiler, .. } = adapter;
                format!("{}:{index} ({name}, {compiler})", backend.name())
            }
            Err(_) => self.to_string(),
        }
    }
}

impl FromStr for DeviceChoice {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self> {
        let fault = |reason: &str| Error::Device { asked: s.to_owned(), reason: reason.to_owned() };
        if s == "auto" {
            return Ok(Self::Auto);
        }
        let (name, index) = s.split_once(':').unwrap_or((s, "0"));
        let backend = Backend::ALL.into_iter().find(|b| b.name() == name).ok_or_else(|| {
            fault("expected auto, cpu, cuda, rocm, metal, vulkan or wgpu, the last five also as cuda:1 and so on")
        })?;
        let index = index.parse().map_err(|_| fault("expected a number from 0 after the colon"))?;
        if backend == Backend::Cpu && s != "cpu" {
            return Err(fault("there is one CPU; expected cpu"));
        }
        Ok(Self::On(backend, index))
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::On(Backend::Cpu, _) => f.write_str("cpu"),
            Self::On(backend, index) => write!(f, "{}:{index}", backend.name()),
        }
    }
}

impl TryFrom<String> for DeviceChoice {
    type Error = Error;

    fn try_from(s: String) -> Result<Self> {
        s.parse()
    }
}

impl From<DeviceChoice> for String {
    fn from(choice: DeviceChoice) -> Self {
        choice.to_string()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for name in ["auto", "cpu", "cuda:0", "cuda:1", "vulkan:2", "wgpu:0", "metal:0", "rocm:0"] {
            assert_eq!(name.parse::<DeviceChoice>().unwrap().to_string(), name);
        }
        assert_eq!("cuda".parse::<DeviceChoice>().unwrap(), DeviceChoice::On(Backend::Cuda, 0));
    }

    #[test]
    fn what_is_no_device_is_refused_with_what_there_is() {
        for (text, expected) in [("tpu", "vulkan or wgpu"), ("cuda:x", "number"), ("cpu:1", "one CPU"), ("", "auto")] {
            let fault = text.parse::<DeviceChoice>().unwrap_err().to_string();
            assert!(fault.contains(expected), "{fault}");
        }
    }

    /// Whatever is compiled in and present, asking for a thousandth adapter is an error that says what to do.
    #[test]
    fn a_device_that_is_not_there_is_an_error() {
        for backend in Backend::ALL.into_iter().filter(|b| *b != Backend::Cpu) {
            let fault = DeviceChoice::On(backend, 999).select().unwrap_err().to_string();
            let helps = ["feature", "driver", "moco-cxr devices"].iter().any(|word| fault.contains(word));
            assert!(helps, "{fault}");
        }
    }
}
