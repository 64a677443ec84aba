//! Flat tensors as slices that may be written, for updates of a whole network: one pass over memory each, on all
//! threads.
//!
//! Work is divided into chunks of fixed length and sums of chunks are added in order, so that results do not depend on
//! the number of threads.

use burn::{
    backend::{Flex, flex::FlexTensor},
    tensor::{DType, Tensor},
};
use rayon::prelude::*;

use super::{Real, tape::values};

/// Elements of a chunk. Shorter tensors stay on the calling thread, as waking others would take longer.
const CHUNK: usize = 1 << 14;

/// Independent sums of a chunk, so that the loop vectorises.
const LANES: usize = 16;

/// The precision of the tensors, if all have the same and it is one of [`Real`], and all are of this backend and have no
/// tape.
pub(crate) fn precision<'a>(tensors: impl IntoIterator<Item = &'a Tensor<1>>) -> Option<DType> {
    let mut found = None;
    for tensor in tensors {
        let dtype = tensor.dtype();
        let known = matches!(dtype, DType::F32 | DType::F64) && found.is_none_or(|found| found == dtype);
        if !known || tensor.clone().try_into_primitive::<Flex>().is_err() {
            return None;
        }
        found = Some(dtype);
    }
    found
}

/// The tensor as the backend has it, contiguous; [`precision`] must have accepted it. Its buffer is written in place if
/// this was the only reference to it; otherwise `storage_mut` copies it first.
pub(crate) fn take(tensor: Tensor<1>) -> FlexTensor {
    let tensor = tensor.try_into_primitive::<Flex>().expect("a tensor that `precision` accepted");
    tensor.to_contiguous()
}

/// Back to a tensor of Burn's API.
pub(crate) fn wrap(tensor: FlexTensor) -> Tensor<1> {
    Tensor::from_primitive::<Flex>(tensor)
}

/// `m·average + (1 - m)·value`, in the place of `average`.
pub(crate) fn blend<T: Real>(average: Tensor<1>, value: Tensor<1>, momentum: f64) -> Tensor<1> {
    let (mut average, value) = (take(average), take(value));
    let (m, rest) = (T::narrow(momentum), T::narrow(1.0 - momentum));
    pass_1(average.storage_mut(), values(&value), move |average: T, value| average * m + value * rest);
    wrap(average)
}

/// All elements times a number, in place.
pub(crate) fn scale<T: Real>(tensor: Tensor<1>, factor: f64) -> Tensor<1> {
    let mut tensor = take(tensor);
    let (elements, factor): (&mut [T], T) = (tensor.storage_mut(), T::narrow(factor));
    match elements.len() {
        ..=CHUNK => scale_chunk(elements, factor),
        _ => elements.par_chunks_mut(CHUNK).for_each(|chunk| scale_chunk(chunk, factor)),
    }
    wrap(tensor)
}

/// Euclidean norm of all tensors as one vector, `[1]`, summed in double precision.
pub(crate) fn norm<T: Real>(tensors: impl IntoIterator<Item = Tensor<1>>) -> Tensor<1> {
    let tensors: Vec<FlexTensor> = tensors.into_iter().map(take).collect();
    let chunks: Vec<&[T]> = tensors.iter().flat_map(|tensor| values::<T>(tensor).chunks(CHUNK)).collect();
    let sums: Vec<f64> = chunks.par_iter().map(|chunk| squares(chunk, chunk, |x, _| x)).collect();
    wrap(super::tape::tensor(vec![T::narrow(sums.iter().sum::<f64>().sqrt())], [1]))
}

/// `Σ f(x, y)²` over two slices of the same length, in double precision.
pub(crate) fn sum_of_squares<T: Real>(x: &[T], y: &[T], f: impl Fn(T, T) -> T + Sync) -> f64 {
    assert_eq!(x.len(), y.len(), "lengths of two flat tensors");
    if x.len() <= CHUNK {
        return squares(x, y, f);
    }
    let sums: Vec<f64> = x.par_chunks(CHUNK).zip(y.par_chunks(CHUNK)).map(|(x, y)| squares(x, y, &f)).collect();
    sums.iter().sum()
}

/// The sum of one chunk: lanes first, then what is left over, then the lanes in order.
fn squares<T: Real>(x: &[T], y: &[T], f: impl Fn(T, T) -> T) -> f64 {
    let square = |x: T, y: T| {
        let value = f(x, y).wide();
        value * value
    };
    let mut sums = [0.0; LANES];
    let (xs, ys) = (x.chunks_exact(LANES), y.chunks_exact(LANES));
    let rest: f64 = xs.remainder().iter().zip(ys.remainder()).map(|(&x, &y)| square(x, y)).sum();
    for (x, y) in xs.zip(ys) {
        for lane in 0..LANES {
            sums[lane] += square(x[lane], y[lane]);
        }
    }
    sums.iter().fold(rest, |total, sum| total + sum)
}

/// `a = f(a, x)` for every element.
pub(crate) fn pass_1<T: Real>(a: &mut [T], x: &[T], f: impl Fn(T, T) -> T + Copy + Send + Sync) {
    assert_eq!(a.len(), x.len(), "lengths of two flat tensors");
    match x.len() {
        ..=CHUNK => chunk_1(a, x, f),
        _ => a.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).for_each(|(a, x)| chunk_1(a, x, f)),
    }
}

/// `(a, b) = f(a, b, x)` for every element.
pub(crate) fn pass_2<T: Real>(a: &mut [T], b: &mut [T], x: &[T], f: impl Fn(T, T, T) -> (T, T) + Copy + Send + Sync) {
    assert!([a.len(), b.len()] == [x.len(); 2], "lengths of three flat tensors");
    match x.len() {
        ..=CHUNK => chunk_2(a, b, x, f),
        _ => {
            let chunks = a.par_chunks_mut(CHUNK).zip(b.par_chunks_mut(CHUNK)).zip(x.par_chunks(CHUNK));
            chunks.for_each(|((a, b), x)| chunk_2(a, b, x, f));
        }
    }
}

/// `(a, b, c) = f(a, b, c, x)` for every element.
pub(crate) fn pass_3<T: Real>(
    a: &mut [T],
    b: &mut [T],
    c: &mut [T],
    x: &[T],
    f: impl Fn(T, T, T, T) -> (T, T, T) + Copy + Send + Sync,
) {
    assert!([a.len(), b.len(), c.len()] == [x.len(); 3], "lengths of four flat tensors");
    match x.len() {
        ..=CHUNK => chunk_3(a, b, c, x, f),
        _ => {
            let targets = a.par_chunks_mut(CHUNK).zip(b.par_chunks_mut(CHUNK)).zip(c.par_chunks_mut(CHUNK));
            targets.zip(x.par_chunks(CHUNK)).for_each(|(((a, b), c), x)| chunk_3(a, b, c, x, f));
        }
    }
}

// The loops are functions of their own, with `f` by value: the compiler then knows that neither the slices nor the
// constants of `f` overlap, and vectorises them.

fn scale_chunk<T: Real>(a: &mut [T], factor: T) {
    for a in a {
        *a = *a * factor;
    }
}

fn chunk_1<T: Real>(a: &mut [T], x: &[T], f: impl Fn(T, T) -> T) {
    for (a, &x) in a.iter_mut().zip(x) {
        *a = f(*a, x);
    }
}

fn chunk_2<T: Real>(a: &mut [T], b: &mut [T], x: &[T], f: impl Fn(T, T, T) -> (T, T)) {
    for ((a, b), &x) in a.iter_mut().zip(b).zip(x) {
        (*a, *b) = f(*a, *b, x);
    }
}

fn chunk_3<T: Real>(a: &mut [T], b: &mut [T], c: &mut [T], x: &[T], f: impl Fn(T, T, T, T) -> (T, T, T)) {
    for (((a, b), c), &x) in a.iter_mut().zip(b).zip(c).zip(x) {
        (*a, *b, *c) = f(*a, *b, *c, x);
    }
}
