//! Number formats of weight files.

use std::fmt;

/// The number format of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // the names say it
pub enum Dtype {
    F64,
    F32,
    F16,
    BF16,
    I64,
    I32,
    I16,
    I8,
    U8,
    Bool,
}

impl Dtype {
    /// Bytes of one number.
    pub fn size(self) -> usize {
        match self {
            Dtype::F64 | Dtype::I64 => 8,
            Dtype::F32 | Dtype::I32 => 4,
            Dtype::F16 | Dtype::BF16 | Dtype::I16 => 2,
            Dtype::I8 | Dtype::U8 | Dtype::Bool => 1,
        }
    }

    /// By the name of PyTorch's storage class, such as `FloatStorage`.
    pub(super) fn of_storage(class: &str) -> Option<Self> {
        Some(match class {
            "DoubleStorage" => Dtype::F64,
            "FloatStorage" => Dtype::F32,
            "HalfStorage" => Dtype::F16,
            "BFloat16Storage" => Dtype::BF16,
            "LongStorage" => Dtype::I64,
            "IntStorage" => Dtype::I32,
            "ShortStorage" => Dtype::I16,
            "CharStorage" => Dtype::I8,
            "ByteStorage" => Dtype::U8,
            "BoolStorage" => Dtype::Bool,
            _ => return None,
        })
    }

    /// The same number format in safetensors.
    pub(super) fn of_safetensors(dtype: safetensors::Dtype) -> Option<Self> {
        use safetensors::Dtype as S;
        Some(match dtype {
            S::F64 => Dtype::F64,
            S::F32 => Dtype::F32,
            S::F16 => Dtype::F16,
            S::BF16 => Dtype::BF16,
            S::I64 => Dtype::I64,
            S::I32 => Dtype::I32,
            S::I16 => Dtype::I16,
            S::I8 => Dtype::I8,
            S::U8 => Dtype::U8,
            S::BOOL => Dtype::Bool,
            _ => return None,
        })
    }

    /// One little-endian number as f64, exact for all but large 64-bit integers. `bytes` has [`Dtype::size`] bytes.
    pub(super) fn decode(self, bytes: &[u8]) -> f64 {
        let mut b = [0; 8];
        b[..self.size()].copy_from_slice(&bytes[..self.size()]);
        let [b0, b1, b2, b3, ..] = b;
        match self {
            Dtype::F64 => f64::from_le_bytes(b),
            Dtype::F32 => f64::from(f32::from_le_bytes([b0, b1, b2, b3])),
            Dtype::F16 => half_to_f64(u16::from_le_bytes([b0, b1])),
            Dtype::BF16 => f64::from(f32::from_bits(u32::from(u16::from_le_bytes([b0, b1])) << 16)),
            Dtype::I64 => i64::from_le_bytes(b) as f64,
            Dtype::I32 => f64::from(i32::from_le_bytes([b0, b1, b2, b3])),
            Dtype::I16 => f64::from(i16::from_le_bytes([b0, b1])),
            Dtype::I8 => f64::from(i8::from_le_bytes([b0])),
            Dtype::U8 | Dtype::Bool => f64::from(b0),
        }
    }
}

/// IEEE 754 binary16: 1 sign, 5 exponent (bias 15) and 10 fraction bits.
fn half_to_f64(bits: u16) -> f64 {
    let sign = if bits & 0x8000 != 0 { -1.0 } else { 1.0 };
    let fraction = f64::from(bits & 0x3ff) / 1024.0;
    sign * match (bits >> 10) & 0x1f {
        0 => fraction * 2f64.powi(-14),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        exponent => (1.0 + fraction) * 2f64.powi(i32::from(exponent) - 15),
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Dtype::F64 => "f64",
            Dtype::F32 => "f32",
            Dtype::F16 => "f16",
            Dtype::BF16 => "bf16",
            Dtype::I64 => "i64",
            Dtype::I32 => "i32",
            Dtype::I16 => "i16",
            Dtype::I8 => "i8",
            Dtype::U8 => "u8",
            Dtype::Bool => "bool",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_precision_widens_exactly() {
        let cases = [(0x0000, 0.0), (0x3c00, 1.0), (0xc000, -2.0), (0x7bff, 65504.0), (0x0001, 2f64.powi(-24))];
        for (bits, value) in cases {
            assert_eq!(Dtype::F16.decode(&u16::to_le_bytes(bits)), value);
        }
        assert_eq!(Dtype::F16.decode(&[0, 0x7c]), f64::INFINITY);
        assert!(Dtype::F16.decode(&[1, 0x7c]).is_nan());
        assert_eq!(Dtype::BF16.decode(&[0x80, 0x3f]), 1.0);
    }
}
