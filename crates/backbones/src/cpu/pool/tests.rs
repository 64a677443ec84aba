//! Against Burn's own pooling, in both precisions.

use burn::tensor::{
    DType, Device, Tensor, TensorData,
    module::{avg_pool2d, max_pool2d},
    ops::{AvgPoolOptions, MaxPoolOptions},
};

use super::*;

/// Few different values, so that windows have ties.
fn leaf(shape: [usize; 4], dtype: DType) -> Tensor<4> {
    let count: usize = shape.iter().product();
    let values: Vec<f64> = (0..count).map(|i| (i.wrapping_mul(2_654_435_761) >> 7) as f64 % 5.0 - 2.0).collect();
    Tensor::from_data(TensorData::new(values, shape), (&Device::flex().autodiff(), dtype)).require_grad()
}

/// Output and gradient of the input, under a loss that weighs every output differently.
fn results<const D: usize>(
    shape: [usize; 4],
    dtype: DType,
    forward: impl Fn(Tensor<4>) -> Tensor<D>,
) -> (TensorData, TensorData) {
    let x = leaf(shape, dtype);
    let y = forward(x.clone());
    let count = y.dims().iter().product::<usize>();
    let factors: Vec<f64> = (0..count).map(|i| 1.0 + i as f64).collect();
    let factors = Tensor::<D>::from_data(TensorData::new(factors, y.dims()), (&Device::flex().autodiff(), dtype));
    let gradients = (y.clone() * factors).sum().backward();
    (y.into_data().convert::<f64>(), x.grad(&gradients).unwrap().into_data().convert::<f64>())
}

const SHAPES: [[usize; 4]; 6] = [[2, 3, 8, 8], [1, 2, 7, 9], [3, 1, 1, 1], [2, 2, 2, 5], [1, 1, 40, 71], [1, 3, 5, 2]];

#[test]
fn maxima_are_burns() {
    for dtype in [DType::F32, DType::F64] {
        for shape in SHAPES {
            let options = MaxPoolOptions::new([3, 3]).with_stride([2, 2]).with_padding([1, 1]);
            let ours = results(shape, dtype, |x| max_pool_3x3_s2(&x).unwrap());
            let burns = results(shape, dtype, |x| max_pool2d(x, options.clone()));
            assert_eq!(ours, burns, "{shape:?}");
            let inner = max_pool_3x3_s2(&leaf(shape, dtype).inner()).unwrap();
            assert_eq!(inner.into_data().convert::<f64>(), ours.0, "without a tape, {shape:?}");
        }
    }
}

#[test]
fn a_maximum_over_nan_is_nan_at_any_place_of_the_window() {
    for at in 0..9 {
        let mut values = vec![1.0_f32; 9];
        values[at] = f32::NAN;
        let x = Tensor::<4>::from_data(TensorData::new(values, [1, 1, 3, 3]), &Device::flex());
        let y = max_pool_3x3_s2(&x).unwrap().into_data().try_to_vec::<f32>().unwrap();
        let windows = [[0, 1, 3, 4], [1, 2, 4, 5], [3, 4, 6, 7], [4, 5, 7, 8]];
        for (y, window) in y.iter().zip(windows) {
            assert_eq!(y.is_nan(), window.contains(&at), "NaN at {at}");
        }
    }
}

#[test]
fn averages_are_burns() {
    // Sums of small multiples of a quarter are exact; a mean over a plane is rounded once or twice.
    for (dtype, bound) in [(DType::F32, 1e-6), (DType::F64, 1e-14)] {
        for shape in SHAPES {
            if shape[2] > 1 && shape[3] > 1 {
                let options = AvgPoolOptions::new([2, 2]).with_stride([2, 2]);
                let ours = results(shape, dtype, |x| avg_pool_2x2(&x).unwrap());
                assert_eq!(ours, results(shape, dtype, |x| avg_pool2d(x, options.clone())), "{shape:?}");
            }
            let ours = results(shape, dtype, |x| plane_means(&x).unwrap());
            let burns = results(shape, dtype, |x| x.mean_dims(&[2, 3]).reshape([shape[0], shape[1]]));
            for (ours, burns) in [(ours.0, burns.0), (ours.1, burns.1)] {
                for (a, b) in ours.iter::<f64>().zip(burns.iter::<f64>()) {
                    assert!((a - b).abs() <= bound * (1.0 + b.abs()), "{shape:?}: {a} and {b}");
                }
            }
        }
    }
}
