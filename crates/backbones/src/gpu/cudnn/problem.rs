//! A convolution as cuDNN is told of it.

use std::ffi::c_int;

use burn::tensor::DType;

use crate::gpu::conv::Pass;

/// `CUDNN_DATA_FLOAT` and `CUDNN_DATA_BFLOAT16`.
const F32: c_int = 0;
const BF16: c_int = 9;

/// A pass of a convolution. Everything that an algorithm is chosen by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::gpu) struct Problem {
    pub(super) pass: Pass,
    /// Of maps and weights; sums are f32.
    pub(super) kind: c_int,
    pub(super) x: Map,
    /// `[out, in, kH, kW]`, which lies as `[out, kH, kW, in]`.
    pub(super) filter: Map,
    pub(super) y: Map,
    pub(super) stride: c_int,
    pub(super) padding: c_int,
}

/// Sizes and strides, in elements, of `[B, C, H, W]` that lies as `[B, H, W, C]` without gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Map {
    pub(super) sizes: [c_int; 4],
    pub(super) strides: [c_int; 4],
}

impl Map {
    fn new(sizes: [usize; 4]) -> Option<Self> {
        let [b, c, h, w] = numbers(sizes)?;
        // cuDNN counts the elements of a map in 31 bits.
        let positions = h.checked_mul(w)?.checked_mul(c)?;
        positions.checked_mul(b)?;
        Some(Self { sizes: [b, c, h, w], strides: [positions, 1, w * c, c] })
    }
}

impl Problem {
    /// `None` for what cuDNN does not take: other types, empty maps, and 2^31 elements or more.
    pub(in crate::gpu) fn new(
        pass: Pass,
        dtype: DType,
        x: [usize; 4],
        filter: [usize; 4],
        y: [usize; 4],
        [stride, padding]: [usize; 2],
    ) -> Option<Self> {
        let kind = match dtype {
            DType::F32 => F32,
            DType::BF16 => BF16,
            _ => return None,
        };
        let empty = [x, filter, y].iter().flatten().any(|&size| size == 0);
        let [stride, padding] = numbers([stride, padding])?;
        let (x, filter, y) = (Map::new(x)?, Map::new(filter)?, Map::new(y)?);
        (!empty).then_some(Self { pass, kind, x, filter, y, stride, padding })
    }
}

fn numbers<const N: usize>(sizes: [usize; N]) -> Option<[c_int; N]> {
    let mut numbers = [0; N];
    for (number, size) in numbers.iter_mut().zip(sizes) {
        *number = c_int::try_from(size).ok()?;
    }
    Some(numbers)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn strides_are_those_of_channels_last() {
        let problem =
            Problem::new(Pass::Forward, DType::BF16, [8, 64, 56, 28], [128, 64, 3, 1], [8, 128, 28, 14], [2, 1]);
        let Problem { x, y, filter, kind, stride, padding, .. } = problem.unwrap();
        assert_eq!((x.sizes, x.strides), ([8, 64, 56, 28], [64 * 28 * 56, 1, 64 * 28, 64]));
        assert_eq!((y.sizes, y.strides), ([8, 128, 28, 14], [128 * 14 * 28, 1, 128 * 14, 128]));
        assert_eq!((filter.sizes, filter.strides), ([128, 64, 3, 1], [64 * 3, 1, 64, 64]));
        assert_eq!((kind, stride, padding), (BF16, 2, 1));
    }

    #[test]
    fn what_cudnn_cannot_count_or_compute_is_left_to_other_kernels() {
        let of = |dtype, b| Problem::new(Pass::WeightGrad, dtype, [b, 64, 112, 112], [64; 4], [b, 64, 56, 56], [1, 0]);
        assert!(of(DType::F32, 256).is_some());
        assert!(of(DType::F32, 4096).is_none(), "2^31 elements and more");
        assert!(of(DType::F16, 256).is_none());
        assert!(of(DType::F32, 0).is_none());
    }
}
