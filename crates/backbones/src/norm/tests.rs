//! The kernels of the CPU against operations on whole tensors, and against finite differences.

use burn::tensor::{Device, TensorData};

use super::*;

/// Numbers around `mean` with deviation 1 or so, repeatable.
fn numbers(count: usize, mean: f64, mut seed: u64) -> Vec<f64> {
    let mut next = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 11) as f64 / (1_u64 << 53) as f64 - 0.5
    };
    (0..count).map(|_| mean + 4.0 * next()).collect()
}

fn tensor<const D: usize>(values: Vec<f64>, shape: [usize; D], dtype: DType) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), (&Device::flex().autodiff(), dtype))
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().convert::<f64>().try_to_vec().unwrap()
}

fn layer(channels: usize, dtype: DType) -> BatchNorm {
    let vector = |mean, seed| tensor(numbers(channels, mean, seed), [channels], dtype);
    let norm = BatchNorm::new(vector(0.2, 1), vector(0.1, 2), vector(0.5, 3), vector(4.0, 4));
    norm.train()
}

/// Output, gradients of input, residual, weight and bias under a random loss, and running statistics.
fn results(
    shape: [usize; 4],
    dtype: DType,
    mode: Mode,
    residual: bool,
    forward: impl Fn(&mut BatchNorm, Tensor<4>, Option<Tensor<4>>) -> Tensor<4>,
) -> Vec<Vec<f64>> {
    let count = shape.iter().product();
    let leaf = |mean, seed| tensor(numbers(count, mean, seed), shape, dtype).require_grad();
    let (x, r) = (leaf(3.0, 5), leaf(0.0, 6));
    let mut norm = layer(shape[1], dtype);
    let y = forward(&mut norm, x.clone(), residual.then(|| r.clone()));
    assert_eq!(y.dims(), shape, "{mode:?}");
    let gradients = (y.clone() * tensor(numbers(count, 0.1, 7), shape, dtype)).sum().backward();
    let mut all = vec![values(y.inner()), values(x.grad(&gradients).unwrap())];
    all.extend(r.grad(&gradients).map(values));
    for parameter in [&norm.weight, &norm.bias] {
        all.push(values(parameter.val().grad(&gradients).unwrap()));
    }
    all.extend([&norm.running_mean, &norm.running_var].map(|p| values(p.val().inner())));
    all
}

fn assert_close(found: &[Vec<f64>], expected: &[Vec<f64>], bound: f64, case: &str) {
    assert_eq!(found.len(), expected.len(), "{case}");
    for (k, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_eq!(found.len(), expected.len(), "{case}");
        let size = expected.iter().fold(1.0_f64, |m, v| m.max(v.abs()));
        for (i, (a, b)) in found.iter().zip(expected).enumerate() {
            assert!((a - b).abs() <= bound * size, "{case}, tensor {k}: {a} and {b} at {i}");
        }
    }
}

/// Planes shorter than a vector, longer than a block, and of odd lengths.
const SHAPES: [[usize; 4]; 5] = [[4, 3, 5, 7], [2, 2, 1, 2], [6, 5, 66, 67], [8, 3, 2, 2], [2, 70, 9, 9]];

#[test]
fn one_pass_gives_what_operations_on_whole_tensors_give() {
    // In f32 both sides lose digits where the mean of 3 is subtracted; an error of the method is far larger.
    for (dtype, bound) in [(DType::F64, 1e-12), (DType::F32, 2e-5)] {
        for shape in SHAPES {
            for mode in [Mode::TRAIN, Mode::Train { groups: 2 }, Mode::Eval] {
                for (residual, rectify) in [(false, false), (false, true), (true, true)] {
                    let fused = results(shape, dtype, mode, residual, |norm, x, r| {
                        norm.fused(&x, r.as_ref(), rectify, mode).unwrap()
                    });
                    let plain =
                        results(shape, dtype, mode, residual, |norm, x, r| finish(norm.plain(x, mode), r, rectify));
                    let case = format!("{dtype:?}, {shape:?}, {mode:?}, residual {residual}, rectify {rectify}");
                    assert_close(&fused, &plain, bound, &case);
                }
            }
        }
    }
}

#[test]
fn gradients_are_those_of_finite_differences() {
    const STEP: f64 = 1e-5;
    let (shape, mode) = ([4, 3, 3, 5], Mode::Train { groups: 2 });
    let count: usize = shape.iter().product();
    let factors = numbers(count, 0.1, 7);
    let loss = |x: Vec<f64>, r: Vec<f64>| -> f64 {
        let y = layer(3, DType::F64).forward_add_relu(tensor(x, shape, DType::F64), tensor(r, shape, DType::F64), mode);
        values(y.inner()).iter().zip(&factors).map(|(y, f)| y * f).sum()
    };
    let all = results(shape, DType::F64, mode, true, |norm, x, r| norm.forward_add_relu(x, r.unwrap(), mode));
    let (x, r) = (numbers(count, 3.0, 5), numbers(count, 0.0, 6));
    #[allow(clippy::needless_range_loop)] // `i` is a place in several
    for i in 0..count {
        let moved = |v: &[f64], by: f64| v.iter().enumerate().map(|(j, v)| if i == j { v + by } else { *v }).collect();
        let dx = (loss(moved(&x, STEP), r.clone()) - loss(moved(&x, -STEP), r.clone())) / (2.0 * STEP);
        let dr = (loss(x.clone(), moved(&r, STEP)) - loss(x.clone(), moved(&r, -STEP))) / (2.0 * STEP);
        // The error of a central difference is about STEP² times the third derivative, and 1e-16 / STEP by rounding.
        assert!((dx - all[1][i]).abs() < 1e-8, "{dx} and {} at {i}", all[1][i]);
        assert!((dr - all[2][i]).abs() < 1e-8, "{dr} and {} at {i}", all[2][i]);
    }
}

/// A small dense block: every layer normalises all pieces and appends half of its first channels; at the end one more
/// normalisation reads everything.
fn dense_block(shape: [usize; 4], dtype: DType, mode: Mode, joined: bool) -> Vec<Vec<f64>> {
    let [b, c, h, w] = shape;
    let leaf = tensor(numbers(b * c * h * w, 1.0, 5), shape, dtype).require_grad();
    let mut pieces = Pieces::new(leaf.clone(), 6);
    let mut all = Vec::new();
    let mut norms = Vec::new();
    let mut normalise = |pieces: &mut Pieces, channels: usize| {
        let mut norm = layer(channels, dtype);
        let y = match joined {
            true => relu(norm.plain(pieces.joined(), mode)),
            false => norm.fused_pieces(pieces, mode).unwrap(),
        };
        norms.push(norm);
        y
    };
    for i in 0..3 {
        let y = normalise(&mut pieces, c + 2 * i);
        pieces.push(y.clone().slice([0..b, 0..2]) * 0.5 + y.slice([0..b, 1..3]) * 0.25);
    }
    let y = normalise(&mut pieces, c + 6);
    let factors = tensor(numbers(b * (c + 6) * h * w, 0.1, 7), [b, c + 6, h, w], dtype);
    let gradients = (y.clone() * factors).sum().backward();
    all.extend([values(y.inner()), values(leaf.grad(&gradients).unwrap())]);
    for norm in &norms {
        for parameter in [&norm.weight, &norm.bias] {
            all.push(values(parameter.val().grad(&gradients).unwrap()));
        }
        all.extend([&norm.running_mean, &norm.running_var].map(|p| values(p.val().inner())));
    }
    all
}

#[test]
fn pieces_give_what_their_join_gives() {
    for (dtype, bound) in [(DType::F64, 1e-12), (DType::F32, 1e-4)] {
        for mode in [Mode::TRAIN, Mode::Train { groups: 2 }, Mode::Eval] {
            for shape in [[4, 3, 5, 7], [2, 40, 3, 3]] {
                let found = dense_block(shape, dtype, mode, false);
                let expected = dense_block(shape, dtype, mode, true);
                // Gradients cancel where the next normalisation takes away what they add: an error is as large as their
                // terms make it, so all are measured by the largest.
                let case = format!("{dtype:?}, {shape:?}, {mode:?}");
                assert_close(&[found.concat()], &[expected.concat()], bound, &case);
            }
        }
    }
}

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    let all = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mode = Mode::Train { groups: 2 };
            let one = results([4, 33, 20, 21], DType::F32, mode, true, |norm, x, r| {
                norm.forward_add_relu(x, r.unwrap(), mode)
            });
            (one, dense_block([4, 33, 20, 21], DType::F32, mode, false))
        })
    };
    let one = all(1);
    assert!(one == all(2) && one == all(5));
}

#[test]
fn a_batch_of_one_value_and_numbers_that_are_not_finite() {
    let x = tensor(vec![1.0, f64::NAN, 2.0, f64::INFINITY], [1, 4, 1, 1], DType::F32);
    let y = values(layer(4, DType::F32).forward_relu(x, Mode::TRAIN).inner());
    assert!(y[0].is_finite() && y[1].is_nan() && y[2].is_finite() && !y[3].is_finite(), "{y:?}");
}
