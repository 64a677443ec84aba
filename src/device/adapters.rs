//! The backends of this build with their adapters, or the reason why one is not available.

use burn::{
    backend::{Backend as _, Dispatch},
    tensor::Device,
};
use serde::{Deserialize, Serialize};

use super::panics::quietly;

/// Cargo unifies features, so any dependency on burn with its default features turns fusion on without a warning.
const FUSED: &str = "built with Burn's feature `fusion`, whose losses and gradients are wrong (see docs/devices.md); \
                     where burn is depended on, set default-features = false";

/// A backend of Burn, compiled in by the feature of the same name (`flex` for the CPU).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Backend {
    /// NVIDIA.
    Cuda,
    /// AMD.
    Rocm,
    /// Apple, natively.
    Metal,
    /// Vulkan with SPIR-V.
    Vulkan,
    /// Vulkan, Metal, DirectX or OpenGL through wgpu.
    Wgpu,
    /// Burn's CPU backend.
    Cpu,
}

/// One device a backend offers.
#[derive(Debug, Clone, Serialize)]
pub struct Adapter {
    /// The device, without autodiff.
    #[serde(skip)]
    pub device: Device,
    /// The backend.
    pub backend: Backend,
    /// Number among the backend's adapters, from 0.
    pub index: usize,
    /// Name of the adapter.
    pub name: String,
    /// Shader compiler in use.
    pub compiler: String,
    /// Driver and version; `None` if unknown.
    pub driver: Option<String>,
    /// Memory of the card in MiB; `None` if unknown.
    pub memory_mib: Option<u64>,
    /// Emulates a GPU on the CPU: good for tests, too slow for anything else.
    pub software: bool,
}

/// A backend's adapters, or why it has none.
#[derive(Debug, Clone, Serialize)]
pub struct BackendReport {
    /// The backend.
    pub backend: Backend,
    /// Its adapters, hardware first.
    pub adapters: Vec<Adapter>,
    /// Why there are none.
    pub unavailable: Option<String>,
}

/// Every backend, in the order in which `auto` tries them.
pub fn devices() -> Vec<BackendReport> {
    let report = |backend: Backend| match backend.adapters() {
        Ok(adapters) => BackendReport { backend, adapters, unavailable: None },
        Err(reason) => BackendReport { backend, adapters: Vec::new(), unavailable: Some(reason) },
    };
    Backend::ALL.into_iter().map(report).collect()
}

impl Backend {
    /// All, in the order in which `auto` tries them.
    pub const ALL: [Self; 6] = [Self::Cuda, Self::Rocm, Self::Metal, Self::Vulkan, Self::Wgpu, Self::Cpu];

    /// Name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cuda => "cuda",
            Self::Rocm => "rocm",
            Self::Metal => "metal",
            Self::Vulkan => "vulkan",
            Self::Wgpu => "wgpu",
            Self::Cpu => "cpu",
        }
    }

    /// Message for a machine without an adapter of this backend.
    fn needs(self) -> &'static str {
        match self {
            Self::Cuda => "no NVIDIA GPU with a driver was found (libcuda was looked for); see nvidia-smi",
            Self::Rocm => "no AMD GPU with a ROCm driver was found (libamdhip64 was looked for); see rocminfo",
            Self::Metal => "no Metal device was found; Metal exists on Apple hardware only",
            Self::Vulkan => "no Vulkan driver with an adapter was found (libvulkan was looked for); see vulkaninfo",
            Self::Wgpu => "no Vulkan, Metal, DirectX 12 or OpenGL driver with an adapter was found",
            Self::Cpu => "",
        }
    }

    /// Devices of this backend, hardware before software.
    ///
    /// # Errors
    /// Why there are none: not compiled in, compiled with Burn's `fusion`, or no driver.
    pub fn adapters(self) -> Result<Vec<Adapter>, String> {
        // Drivers may panic while adapters are listed.
        let listed = quietly(|| self.enumerate()).map_err(|reason| format!("its driver failed: {reason}"))?;
        let Some(devices) = listed else {
            let feature = if self == Self::Cpu { "flex" } else { self.name() };
            return Err(format!("not compiled in; build with --features {feature}"));
        };
        if devices.iter().any(|device| runtime(device).is_some_and(|name| name.contains("fusion"))) {
            return Err(FUSED.to_owned());
        }
        let mut adapters: Vec<Adapter> = devices.into_iter().filter_map(|device| self.describe(device)).collect();
        if adapters.is_empty() {
            return Err(self.needs().to_owned());
        }
        adapters.sort_by_key(|adapter| adapter.software);
        for (index, adapter) in adapters.iter_mut().enumerate() {
            adapter.index = index;
        }
        Ok(adapters)
    }

    /// `None` when the backend is not compiled in.
    fn enumerate(self) -> Option<Vec<Device>> {
        match self {
            #[cfg(feature = "flex")]
            Self::Cpu => Some(vec![Device::flex()]),
            #[cfg(feature = "cuda")]
            Self::Cuda => Some(Device::enumerate(burn::tensor::DeviceType::Cuda).into_vec()),
            #[cfg(feature = "rocm")]
            Self::Rocm => Some(Device::enumerate(burn::tensor::DeviceType::Rocm).into_vec()),
            #[cfg(feature = "metal")]
            Self::Metal => Some(Device::enumerate(burn::tensor::DeviceType::Metal).into_vec()),
            #[cfg(feature = "vulkan")]
            Self::Vulkan => Some(Device::enumerate(burn::tensor::DeviceType::Vulkan).into_vec()),
            #[cfg(feature = "wgpu")]
            Self::Wgpu => Some(Device::enumerate(burn::tensor::DeviceType::Wgpu).into_vec()),
            #[allow(unreachable_patterns)] // with all features on
            _ => None,
        }
    }

    /// `None` for an adapter that is listed but cannot be opened.
    fn describe(self, device: Device) -> Option<Adapter> {
        #[allow(unused_mut)] // without GPU backends
        let mut adapter = Adapter {
            device,
            backend: self,
            index: 0,
            name: "CPU".into(),
            compiler: "native".into(),
            driver: None,
            memory_mib: None,
            software: false,
        };
        #[cfg(any(feature = "cuda", feature = "rocm", feature = "wgpu"))]
        if self != Self::Cpu {
            let identity = quietly(|| adapter.device.identity()).ok().flatten()?;
            adapter.software = identity.physical.is_none();
            adapter.name = identity.name;
            adapter.compiler = compiler(&runtime(&adapter.device)?);
            (adapter.driver, adapter.memory_mib) = self.driver(&adapter.name);
        }
        Some(adapter)
    }

    /// Driver, and memory in MiB, where known.
    #[cfg(any(feature = "cuda", feature = "rocm", feature = "wgpu"))]
    fn driver(self, name: &str) -> (Option<String>, Option<u64>) {
        if let Some(found) = nvidia(name) {
            return found;
        }
        #[cfg(feature = "wgpu")]
        if matches!(self, Self::Metal | Self::Vulkan | Self::Wgpu) {
            return (wgpu_driver(name), None);
        }
        (None, None)
    }
}

/// Burn's name for the runtime of a device, such as `dispatch<cubecl<wgpu<spirv>>>`; `None` if it cannot be opened.
fn runtime(device: &Device) -> Option<String> {
    quietly(|| Dispatch::name(device.as_dispatch())).ok()
}

/// The shader compiler, from the innermost part of a runtime's name. With `vulkan` compiled in, only the runtime knows whether
/// an adapter takes SPIR-V or falls back to WGSL.
#[cfg(any(feature = "cuda", feature = "rocm", feature = "wgpu"))]
fn compiler(runtime: &str) -> String {
    let name = runtime.trim_end_matches('>').rsplit('<').next().unwrap_or(runtime);
    let known = [("spirv", "SPIR-V"), ("wgsl", "WGSL"), ("msl", "MSL"), ("cuda", "PTX"), ("hip", "HIP")];
    known.iter().find(|(part, _)| *part == name).map_or(name, |(_, shown)| shown).to_owned()
}

/// Driver and memory of an NVIDIA card, from `nvidia-smi`, which comes with every driver.
#[cfg(any(feature = "cuda", feature = "rocm", feature = "wgpu"))]
fn nvidia(name: &str) -> Option<(Option<String>, Option<u64>)> {
    if !name.to_lowercase().contains("nvidia") {
        return None;
    }
    let out = std::process::Command::new("nvidia-smi")
        .args(["--query-gpu=name,driver_version,memory.total", "--format=csv,noheader,nounits"])
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let line = text.lines().find(|line| line.split(", ").next().is_some_and(|n| name.contains(n)))?;
    let mut parts = line.split(", ").skip(1);
    Some((parts.next().map(|v| format!("NVIDIA {v}")), parts.next().and_then(|m| m.trim().parse().ok())))
}

#[cfg(feature = "wgpu")]
fn wgpu_driver(name: &str) -> Option<String> {
    use burn::tensor::wgpu::wgpu;
    let descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    let adapters = quietly(|| {
        let instance = wgpu::Instance::new(descriptor);
        burn::cubecl::future::block_on(instance.enumerate_adapters(wgpu::Backends::all()))
    });
    let infos: Vec<_> = adapters.ok()?.iter().map(wgpu::Adapter::get_info).collect();
    let info = infos.iter().find(|info| info.name == name)?;
    let text = format!("{} {}", info.driver, info.driver_info).trim().to_owned();
    (!text.is_empty()).then_some(text)
}
