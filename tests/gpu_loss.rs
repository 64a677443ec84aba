//! The loss on a GPU is the CPU's, with its measures and gradients, and so is the unit length of embeddings.
//!
//! Needs the feature `wgpu` and an adapter; a software one (lavapipe of Mesa) will do. Without an adapter the tests are
//! skipped and say so, unless `MOCO_CXR_REQUIRE_GPU` is set.
#![cfg(feature = "wgpu")]
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use moco_cxr::{
    backbones::kernels::gpu::{Spans, Wanted, contrast, unit_length},
    burn::tensor::{Bool, Device, Tensor, TensorData},
    moco_core::{Negatives, info_nce},
};
use support::gpu::{difference, gpu, tensor, values};

/// Sums in f32 of up to 6,000 exponentials in another order than the CPU's; exponents up to 100 lose two digits more.
const BOUND: f32 = 2e-5;

struct Case {
    /// Queries, length of an embedding, negatives of the queue.
    sizes: [usize; 3],
    masked: bool,
    of_batch: bool,
    temperature: f64,
}

const CASE: Case = Case { sizes: [4, 16, 64], masked: false, of_batch: false, temperature: 0.2 };

/// Rows of unit length.
fn rows(n: usize, dimension: usize, seed: usize, device: &Device) -> Tensor<2> {
    let rows: Tensor<2> = tensor([n, dimension], seed, device);
    let length = rows.clone().square().sum_dim(1).sqrt();
    rows / length
}

/// True in a seventh of all places, in all of the second row, and in the diagonal, which is a query's own key if they are
/// those of the batch.
fn mask(rows: usize, columns: usize, device: &Device) -> Tensor<2, Bool> {
    let excluded = |row: usize, column: usize| (row * columns + column) % 7 == 2 || row == 1 || row == column;
    let mask = (0..rows * columns).map(|i| excluded(i / columns, i % columns)).collect::<Vec<bool>>();
    Tensor::from_data(TensorData::new(mask, [rows, columns]), device)
}

/// Measures, gradient of the query, similarities of the positives and of the queue.
fn loss(case: &Case, device: &Device) -> Vec<Vec<f32>> {
    let [n, dimension, negatives] = case.sizes;
    let q = rows(n, dimension, 1, &device.clone().autodiff()).detach().require_grad();
    // Positives of all similarities.
    let k = q.clone().inner() * 0.5 + rows(n, dimension, 2, device);
    let k = k.clone() / k.square().sum_dim(1).sqrt();
    let all = Negatives {
        rows: if negatives > 0 { rows(negatives, dimension, 3, device) } else { Tensor::zeros([0, dimension], device) },
        excluded: (case.masked && negatives > 0).then(|| mask(n, negatives, device)),
        batch: case.of_batch.then(|| mask(n, n, device)),
    };
    let found = info_nce(q.clone(), k, all, case.temperature);
    let gradient = q.grad(&(found.loss.clone() * 3.0).backward()).unwrap();
    let mut results = vec![values(found.loss.inner()), values(found.measures), values(gradient)];
    if let Some((positives, kept)) = found.similarities {
        assert_eq!((positives.dims(), kept.dims()), ([n, 1], [n, negatives.min(1024)]));
        results.extend([values(positives), values(kept)]);
    }
    results
}

#[test]
fn the_loss_and_its_gradient_are_the_cpus() {
    let Some(gpu) = gpu() else { return };
    let cases = [
        CASE,
        Case { sizes: [1, 5, 33], ..CASE },     // vectors of one negative
        Case { sizes: [7, 300, 1030], ..CASE }, // of two; longer embeddings than cubes are wide; not all are kept
        Case { sizes: [300, 8, 64], ..CASE },   // more queries than a cube has units
        Case { of_batch: true, masked: true, sizes: [6, 16, 6_000], ..CASE }, // several chunks
        Case { of_batch: true, sizes: [9, 16, 0], ..CASE }, // of the batch alone
        Case { temperature: 0.001, masked: true, ..CASE }, // exponents that overflow but for the subtraction
    ];
    for case in cases {
        let (there, here) = (loss(&case, &gpu), loss(&case, &Device::flex()));
        assert_eq!(there.len(), here.len());
        assert!(there.iter().flatten().all(|value| value.is_finite()));
        // An exponent is a similarity, with an error of its own, over the temperature.
        let bound = BOUND.max(4.0 * f32::EPSILON / case.temperature as f32);
        for (i, (there, here)) in there.iter().zip(&here).enumerate() {
            let found = difference(there, here);
            assert!(found <= bound, "{:?}, at {}: result {i} differs by {found}", case.sizes, case.temperature);
        }
    }
}

/// Similarities that something else holds must not be overwritten by their gradient, and the result is the same.
#[test]
fn similarities_that_are_held_stay_what_they_are() {
    let Some(gpu) = gpu() else { return };
    let device = gpu.clone().autodiff();
    let wanted = Wanted { sharpness: 5.0, of_batch: false, keep: 0, spans: None };
    let run = |held: bool| {
        let (q, k) = (rows(4, 16, 1, &device).detach().require_grad(), rows(4, 16, 2, &gpu));
        let similarities = q.clone().matmul(rows(64, 16, 3, &device).detach().transpose());
        let copy = held.then(|| similarities.clone());
        let found = contrast(&q, &k, &[(similarities, None)], wanted).unwrap();
        let gradient = values(q.grad(&found.loss.backward()).unwrap());
        (gradient, copy.map(values))
    };
    let ((free, _), (held, copy)) = (run(false), run(true));
    assert_eq!(free, held);
    let expected = rows(4, 16, 1, &gpu).matmul(rows(64, 16, 3, &gpu).transpose());
    assert_eq!(copy.unwrap(), values(expected));
}

/// Two spans of a ring of 40, of which the second goes over its end.
#[test]
fn spans_of_a_ring_are_measured() {
    let Some(gpu) = gpu() else { return };
    let spans = Spans { starts: [3, 35], length: 9, ring: 40 };
    let wanted = Wanted { sharpness: 5.0, of_batch: false, keep: 0, spans: Some(spans) };
    let (q, k) = (rows(4, 16, 1, &gpu), rows(4, 16, 2, &gpu));
    let similarities = q.clone().matmul(rows(40, 16, 3, &gpu).transpose());
    let host = values(similarities.clone());
    let mean = |slots: &mut dyn Iterator<Item = usize>| {
        let of_slots: Vec<f32> =
            slots.flat_map(|slot| (0..4).map(move |row| row * 40 + slot)).map(|i| host[i]).collect();
        assert_eq!(of_slots.len(), 4 * 9);
        of_slots.iter().sum::<f32>() / of_slots.len() as f32
    };
    let measures = values(contrast(&q, &k, &[(similarities, None)], wanted).unwrap().measures);
    assert!((measures[5] - mean(&mut (3..12))).abs() < 1e-6, "{measures:?}");
    assert!((measures[6] - mean(&mut (35..40).chain(0..4))).abs() < 1e-6, "{measures:?}");
}

#[test]
fn a_similarity_that_is_not_a_number_reaches_the_loss() {
    let Some(gpu) = gpu() else { return };
    for at in [0, 37, 63] {
        let mut data = vec![0.1_f32; 64 * 16];
        data[at * 16 + 3] = f32::NAN;
        let negatives = Tensor::from_data(TensorData::new(data, [64, 16]), &gpu);
        let q = rows(2, 16, 1, &gpu.clone().autodiff());
        let found = info_nce(q, rows(2, 16, 2, &gpu), Negatives { rows: negatives, excluded: None, batch: None }, 0.2);
        assert!(values(found.loss)[0].is_nan(), "NaN in negative {at}");
    }
}

/// Rows of unit length by operations on whole tensors.
fn plainly(x: Tensor<2>, smallest: f64) -> Tensor<2> {
    x.clone() / x.square().sum_dim(1).clamp_min(smallest * smallest).sqrt()
}

/// Sums of up to 300 products; a gradient is a difference of numbers of about its size.
#[test]
fn rows_of_unit_length_are_those_of_whole_tensors() {
    let Some(gpu) = gpu() else { return };
    for (n, dimension, scale) in [(4, 16, 1.0), (3, 300, 50.0), (1, 2, 2.0), (5, 128, 1e-3), (2, 7, 0.0)] {
        // The last two are of rows that are shorter than the smallest length, 0 among them.
        let smallest = if scale < 1.0 { 0.1 } else { 1e-12 };
        let results = |device: &Device, divide: &dyn Fn(Tensor<2>) -> Tensor<2>| {
            let device = device.clone().autodiff();
            let x = (tensor::<2>([n, dimension], 1, &device) * scale).detach().require_grad();
            let y = divide(x.clone());
            let gradients = (y.clone() * tensor([n, dimension], 2, &device)).sum().backward();
            [values(y), values(x.grad(&gradients).unwrap())]
        };
        let there = results(&gpu, &|x| unit_length(&x, smallest).unwrap());
        let here = results(&Device::flex(), &|x| plainly(x, smallest));
        let rows = values(unit_length(&tensor::<2>([n, dimension], 1, &gpu), smallest).unwrap());
        assert!(difference(&rows, &values(plainly(tensor([n, dimension], 1, &Device::flex()), smallest))) < 1e-6);
        for (there, here) in there.iter().zip(&here) {
            let found = difference(there, here);
            assert!(found < 2e-6, "[{n}, {dimension}] times {scale}: differs by {found}");
        }
    }
}
