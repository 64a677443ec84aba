//! Against a plain loop in double precision, for every instruction set of this processor.

use super::{Geometry, by_tap, product, weight_grad::weight_grad, winograd};
use crate::cpu::{Real, simd::Level};

/// Uniform values of mean zero, repeatable.
fn values(count: usize, mut seed: u64) -> Vec<f64> {
    let mut next = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 11) as f64 / (1_u64 << 53) as f64 - 0.5
    };
    (0..count).map(|_| next()).collect()
}

#[derive(Debug, Clone, Copy)]
enum Way {
    Direct,
    Winograd,
    ByTap,
}

const WAYS: [Way; 3] = [Way::Direct, Way::Winograd, Way::ByTap];

/// Input, weight and output gradient; then output, input gradient and weight gradient by the definition.
struct Case {
    geometry: Geometry,
    given: [Vec<f64>; 3],
    expected: [Vec<f64>; 3],
}

impl Case {
    fn new(x: [usize; 4], weight: [usize; 4], stride: usize, padding: usize) -> Self {
        let g = Geometry::new(x, weight, stride, padding);
        let given = [
            values(x.iter().product(), 1),
            values(weight.iter().product(), 2),
            values(g.batch * g.output * g.positions(), 3),
        ];
        let mut expected = [vec![0.0; given[2].len()], vec![0.0; given[0].len()], vec![0.0; given[1].len()]];
        let pixel = |position: usize, tap: usize, pixels: usize| {
            (position * stride + tap).checked_sub(padding).filter(|pixel| *pixel < pixels)
        };
        for at in 0..given[2].len() {
            let (column, row) = (at % g.out_width, at / g.out_width % g.out_height);
            let (o, n) = (at / g.positions() % g.output, at / g.positions() / g.output);
            for k in 0..g.depth() {
                let (c, ky, kx) = (k / g.taps(), k % g.taps() / g.kernel[1], k % g.kernel[1]);
                let (Some(y), Some(x)) = (pixel(row, ky, g.height), pixel(column, kx, g.width)) else { continue };
                let i = ((n * g.input + c) * g.height + y) * g.width + x;
                let w = o * g.depth() + k;
                expected[0][at] += given[0][i] * given[1][w];
                expected[1][i] += given[2][at] * given[1][w];
                expected[2][w] += given[2][at] * given[0][i];
            }
        }
        Self { geometry: g, given, expected }
    }

    fn values<T: Real>(&self) -> [Vec<T>; 3] {
        self.given.each_ref().map(|v| v.iter().map(|v| T::narrow(*v)).collect())
    }

    /// By one way; `None` where it does not apply.
    fn results<T: Real>(&self, way: Way, level: Level) -> [Option<Vec<T>>; 3] {
        let [x, w, grad] = self.values::<T>();
        let (g, kernels) = (&self.geometry, T::kernels(level));
        match way {
            Way::Direct => [
                Some(product::forward(g, &x, &w, level).to_vec()),
                Some(product::input_grad(g, &w, &grad, level).to_vec()),
                Some(weight_grad(g, &x, &grad, level).to_vec()),
            ],
            Way::Winograd if winograd::applies(g) => [
                Some(winograd::forward(g, &x, &w, &kernels).to_vec()),
                Some(winograd::input_grad(g, &w, &grad, &kernels).to_vec()),
                Some(winograd::weight_grad(g, &x, &grad, &kernels).to_vec()),
            ],
            Way::ByTap if by_tap::applies(g, &kernels) => {
                [None, None, Some(by_tap::weight_grad(g, &x, &grad, &kernels).to_vec())]
            }
            _ => [None, None, None],
        }
    }

    /// A sum of `terms` products of at most 1/4 errs by about `terms / 10` units when rounding errors are random, and could err
    /// by `terms² / 4`; a product too many or too few errs by far more.
    fn check<T: Real>(&self, way: Way, level: Level) {
        let g = &self.geometry;
        let unit = T::epsilon().wide();
        let terms = [g.depth(), g.output * g.taps(), g.batch * g.positions()];
        let results = self.results::<T>(way, level);
        for (((name, terms), result), expected) in
            ["output", "dx", "dw"].iter().zip(terms).zip(&results).zip(&self.expected)
        {
            let Some(result) = result else { continue };
            assert_eq!(result.len(), expected.len());
            let bound = 2.0 * unit * terms as f64;
            for (i, (found, expected)) in result.iter().zip(expected).enumerate() {
                let error = (found.wide() - expected).abs();
                assert!(
                    error <= bound,
                    "{way:?}, {name}[{i}] of {g:?} in {:?} with {level:?}: {error:e} > {bound:e}",
                    T::dtype()
                );
            }
        }
    }
}

/// Odd sizes, few and many channels, none a multiple of a vector.
fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for [batch, input, output] in [[1, 1, 1], [2, 3, 5], [3, 17, 13], [9, 4, 33]] {
        for [height, width] in [[7, 7], [5, 11], [1, 3], [13, 9]] {
            for kernel in [1, 3, 7] {
                for (stride, padding) in [1, 2, 3].into_iter().flat_map(|s| (0..4).map(move |p| (s, p))) {
                    if height + 2 * padding >= kernel && width + 2 * padding >= kernel {
                        let weight = [output, input, kernel, kernel];
                        cases.push(Case::new([batch, input, height, width], weight, stride, padding));
                    }
                }
            }
        }
    }
    // Whole tiles and panels; several blocks of depth, tiles of positions, splits of channels; a kernel that is no square.
    cases.push(Case::new([2, 32, 16, 16], [64, 32, 3, 3], 1, 1));
    cases.push(Case::new([8, 40, 7, 7], [272, 40, 3, 3], 1, 1));
    cases.push(Case::new([1, 2, 57, 40], [8, 2, 3, 3], 1, 1));
    cases.push(Case::new([1, 1, 64, 64], [16, 1, 7, 7], 2, 3));
    cases.push(Case::new([2, 5, 12, 9], [6, 5, 3, 2], 2, 1));
    // Channels in whole vectors, and of more than one block, range or piece of depth; odd planes and those of a pixel.
    for [batch, input, output, height, width] in [
        [1, 16, 16, 1, 1],
        [2, 16, 32, 5, 7],
        [3, 48, 16, 2, 2],
        [1, 80, 64, 9, 13],
        [9, 32, 144, 7, 7],
        [2, 272, 16, 3, 4],
    ] {
        cases.push(Case::new([batch, input, height, width], [output, input, 3, 3], 1, 1));
    }
    cases.push(Case::new([1, 16, 40, 33], [16, 16, 3, 3], 1, 1));
    cases.push(Case::new([7, 64, 7, 7], [33, 64, 1, 1], 2, 0));
    cases.push(Case::new([5, 112, 9, 8], [40, 112, 3, 3], 2, 1));
    cases
}

#[test]
fn every_instruction_set_convolves_as_the_definition_says() {
    for case in cases() {
        for level in Level::available() {
            for way in WAYS {
                case.check::<f32>(way, level);
                case.check::<f64>(way, level);
            }
        }
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    for case in [
        Case::new([8, 40, 7, 7], [272, 40, 3, 3], 1, 1),
        Case::new([3, 6, 29, 30], [20, 6, 3, 3], 2, 1),
        Case::new([9, 33, 5, 5], [16, 33, 1, 1], 1, 0),
        Case::new([5, 48, 11, 10], [144, 48, 3, 3], 1, 1),
        Case::new([5, 48, 11, 10], [80, 48, 3, 3], 2, 1),
    ] {
        for (level, way) in Level::available().into_iter().flat_map(|l| WAYS.map(|w| (l, w))) {
            let one = pool(1).install(|| case.results::<f32>(way, level));
            for threads in [2, 3, 7] {
                let more = pool(threads).install(|| case.results::<f32>(way, level));
                assert_eq!(one, more, "{threads} threads, {way:?}, {level:?}");
            }
        }
    }
}

#[test]
fn no_images_have_no_output_and_no_gradient() {
    let case = Case::new([0, 3, 5, 5], [4, 3, 3, 3], 1, 1);
    let [out, dx, dw] = case.results::<f32>(Way::Direct, Level::best()).map(Option::unwrap);
    assert!(out.is_empty() && dx.is_empty());
    assert_eq!(dw, vec![0.0; 4 * 3 * 9]);
}
