//! The arithmetic of a network's activations.

use burn::tensor::{DType, Device, FloatDType, Tensor};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The precision of activations and matrix products.
///
/// Weights, statistics of normalisation, features, loss, averages and optimiser state are f32 in either case: with a
/// momentum of 0.999 or AdamW, updates in bf16 would round to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32 bits (Burn multiplies them as TF32 on NVIDIA's tensor cores).
    #[default]
    F32,
    /// 16 bits with the exponent range of f32: half the memory and traffic of activations, no loss scaling needed.
    Bf16,
}

impl Precision {
    /// Checks that the device supports this precision.
    ///
    /// # Errors
    /// [`Error::PrecisionNotOffered`] when it does not.
    pub fn check(self, device: &Device) -> Result<()> {
        if self == Self::F32 || device.supports_dtype(DType::BF16) {
            return Ok(());
        }
        Err(Error::PrecisionNotOffered { found: self.to_string() })
    }

    /// Casts an activation that enters a network.
    pub fn enter<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::F32 => x,
            Self::Bf16 => x.cast(FloatDType::BF16),
        }
    }

    /// Casts features that leave a network to f32.
    pub fn leave<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::F32 => x,
            Self::Bf16 => x.cast(FloatDType::F32),
        }
    }
}

/// A parameter, stored in f32, in the precision of an activation.
pub(crate) fn like<const D: usize, const E: usize>(parameter: Tensor<D>, activation: &Tensor<E>) -> Tensor<D> {
    if activation.dtype() == DType::BF16 { parameter.cast(FloatDType::BF16) } else { parameter }
}

impl std::str::FromStr for Precision {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self> {
        match s {
            "f32" => Ok(Self::F32),
            "bf16" => Ok(Self::Bf16),
            _ => Err(Error::Precision { found: s.to_owned() }),
        }
    }
}

impl std::fmt::Display for Precision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        })
    }
}
