//! The arithmetic of a network's activations.

use burn::tensor::{DType, Device, FloatDType, Tensor};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// In what precision activations are kept and products are made.
///
/// Weights, statistics of normalisation, features, loss, averages and optimiser state are f32 in either case: with a
/// momentum of 0.999 or AdamW, updates in bf16 would round to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32 bits (on NVIDIA's tensor cores Burn multiplies them as TF32).
    #[default]
    F32,
    /// 16 bits with the exponent of 32: half the memory and traffic of activations, no loss scaling needed.
    Bf16,
}

impl Precision {
    /// Checks that a device computes in it.
    ///
    /// # Errors
    /// [`Error::PrecisionNotOffered`] when it does not say so.
    pub fn check(self, device: &Device) -> Result<()> {
        if self == Self::F32 || device.supports_dtype(DType::BF16) {
            return Ok(());
        }
        Err(Error::PrecisionNotOffered { found: self.to_string() })
    }

    /// An activation on its way into the network.
    pub(crate) fn enter<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::F32 => x,
            Self::Bf16 => x.cast(FloatDType::BF16),
        }
    }

    /// Features on their way out.
    pub(crate) fn leave<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::F32 => x,
            Self::Bf16 => x.cast(FloatDType::F32),
        }
    }
}

/// A parameter, kept in f32, for use with an activation.
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
