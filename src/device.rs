//! The one place where a device is chosen.

use std::{fmt, str::FromStr};

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// What `--device` takes: a kind of device, with an index where there can be several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum DeviceChoice {
    /// The first that works; today the CPU.
    #[default]
    Auto,
    /// The CPU (feature `flex`).
    Cpu,
}

/// Names of backends that Burn has and this build does not.
const NOT_YET: [&str; 5] = ["cuda", "vulkan", "wgpu", "metal", "rocm"];

impl DeviceChoice {
    /// The device, without autodiff.
    ///
    /// # Errors
    /// [`Error::Device`] when the backend is not compiled in, with the feature that adds it.
    pub fn select(self) -> Result<Device> {
        #[cfg(feature = "flex")]
        return Ok(Device::flex());
        #[cfg(not(feature = "flex"))]
        Err(Error::Device {
            asked: self.to_string(),
            reason: "this build has no CPU backend; add the feature `flex`".into(),
        })
    }

    /// Name and index of what [`Self::select`] gives.
    pub fn resolved(self) -> &'static str {
        "cpu"
    }
}

impl FromStr for DeviceChoice {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self> {
        let reason = match s.split(':').next().unwrap_or_default() {
            _ if s == "auto" => return Ok(Self::Auto),
            _ if s == "cpu" => return Ok(Self::Cpu),
            kind if NOT_YET.contains(&kind) => "this version runs on the CPU only; expected auto or cpu".to_owned(),
            _ => "expected auto or cpu".to_owned(),
        };
        Err(Error::Device { asked: s.to_owned(), reason })
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Cpu => "cpu",
        })
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
