//! Moving averages of tensors, such as those of a key encoder.

use burn::tensor::Tensor;

/// `m·average + (1 - m)·value`, element by element. On the CPU the result is written in the place of `average` if nothing
/// else holds that tensor.
///
/// # Panics
/// When the shapes differ, or a tensor is on an autodiff device and the other is not.
pub fn moving_average<const D: usize>(average: Tensor<D>, value: Tensor<D>, momentum: f64) -> Tensor<D> {
    let shape = average.dims();
    assert_eq!(shape, value.dims(), "shapes of a moving average and of its new value");
    flat_average(average.reshape([-1]), value.reshape([-1]), momentum).reshape(shape)
}

/// [`moving_average`] of flat tensors. Not generic, so that its loop is compiled here and not in each crate that asks for one.
fn flat_average(average: Tensor<1>, value: Tensor<1>, momentum: f64) -> Tensor<1> {
    #[cfg(feature = "flex")]
    {
        use crate::cpu::flat::{blend, precision};
        use burn::tensor::DType;

        match precision([&average, &value]) {
            Some(DType::F32) => return blend::<f32>(average, value, momentum),
            Some(_) => return blend::<f64>(average, value, momentum),
            None => (),
        }
    }
    average * momentum + value * (1.0 - momentum)
}

/// [`moving_average`] of many flat tensors at once, on devices where that takes fewer steps: on GPUs, in f32. `None` elsewhere.
///
/// # Panics
/// When a tensor has not as many elements as its new value.
#[allow(unused_variables)] // without GPU backends
pub fn moving_averages(averages: &[Tensor<1>], values: &[Tensor<1>], momentum: f64) -> Option<Vec<Tensor<1>>> {
    #[cfg(feature = "cube")]
    {
        use crate::gpu::flat::{blend, take, wrap};

        let pairs = averages.iter().zip(values).map(|(average, value)| {
            assert_eq!(average.dims(), value.dims(), "shapes of a moving average and of its new value");
            Some([take(average)?, take(value)?])
        });
        let pairs: Vec<_> = pairs.collect::<Option<_>>()?;
        Some(blend(&pairs, momentum).into_iter().map(wrap).collect())
    }
    #[cfg(not(feature = "cube"))]
    None
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use burn::tensor::{DType, Device, TensorData};

    use super::*;

    fn numbers(n: usize, dtype: DType, seed: usize) -> Tensor<2> {
        let values: Vec<f64> = (0..2 * n).map(|i| ((i * 7919 + seed) % 1009) as f64 / 500.0 - 1.0).collect();
        Tensor::from_data(TensorData::new(values, [2, n]), (&Device::flex(), dtype))
    }

    #[test]
    fn it_is_that_of_tensor_operations_and_leaves_other_references_alone() {
        for dtype in [DType::F32, DType::F64] {
            for n in [1, 501, 20_003] {
                let (average, value) = (numbers(n, dtype, 1), numbers(n, dtype, 5));
                let (kept, before) = (average.clone(), average.to_data());
                let expected = (average.clone() * 0.99 + value.clone() * (1.0 - 0.99)).into_data();
                assert_eq!(moving_average(average, value, 0.99).into_data(), expected, "{dtype:?}, {n}");
                assert_eq!(kept.into_data(), before);
            }
        }
    }
}
