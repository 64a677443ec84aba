//! Maximum over 3x3 windows with stride 2.

use burn::{
    backend::{
        Flex,
        autodiff::{
            checkpoint::base::Checkpointer,
            grads::Gradients,
            ops::{Backward, Ops, OpsKind},
        },
        flex::FlexTensor,
    },
    tensor::{DType, Tensor},
};
use rayon::prelude::*;

use crate::cpu::{
    Real,
    clock::{self, Part},
    memory::Buffer,
    pass::{self, Pass},
    simd::Level,
    tape::{self, Strategy},
};

/// # Shapes
/// - `[B, C, H, W]` to `[B, C, (H - 1) / 2 + 1, (W - 1) / 2 + 1]`
pub(crate) fn max_pool_3x3_s2(x: &Tensor<4>) -> Option<Tensor<4>> {
    let a = tape::operand(x)?;
    let context = tape::context(&[&a]);
    let node = a.tensor.node();
    let x = a.tensor.into_primitive().to_contiguous();
    let shape: [usize; 4] = tape::dims(&x);
    let run = |tracked| match x.dtype() {
        DType::F32 => forward::<f32>(&x, shape, tracked),
        _ => forward::<f64>(&x, shape, tracked),
    };
    if !tape::records(context) {
        return Some(tape::constant(run(false).0, context));
    }
    let out = match PoolBackward.prepare::<Strategy>([node]).compute_bound().stateful() {
        OpsKind::Tracked(prepared) => {
            let (out, winners) = run(true);
            prepared.finish((winners, shape), out)
        }
        OpsKind::UnTracked(prepared) => prepared.finish(run(false).0),
    };
    Some(tape::wrap(out, context))
}

#[derive(Debug)]
struct PoolBackward;

impl Backward<Flex, 1> for PoolBackward {
    /// For each output the place of its maximum within the window, 0 to 8 in reading order, and the shape of the input.
    type State = (Vec<u8>, [usize; 4]);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = tape::gradient(grads, &ops);
        let [x] = ops.parents.map(|p| p.map(|p| p.id));
        let (winners, shape) = ops.state;
        if let Some(x) = x {
            let dx = match grad.dtype() {
                DType::F32 => backward::<f32>(&grad, &winners, shape),
                _ => backward::<f64>(&grad, &winners, shape),
            };
            grads.register::<Flex>(x, dx);
        }
    }
}

fn half(side: usize) -> usize {
    side.div_ceil(2)
}

/// The maxima, and their places if `tracked`.
fn forward<T: Real>(x: &FlexTensor, [n, c, h, w]: [usize; 4], tracked: bool) -> (FlexTensor, Vec<u8>) {
    let _t = clock::time(Part::Pooling);
    let (values, level) = (tape::values::<T>(x), Level::best());
    let (ho, wo) = (half(h), half(w));
    let mut out = Buffer::<T>::stale(n * c * ho * wo);
    let mut winners = vec![0; if tracked { out.len() } else { 0 }];
    let planes = out.par_chunks_mut(ho * wo).zip(values.par_chunks(h * w));
    if tracked {
        planes.zip(winners.par_chunks_mut(ho * wo)).for_each_init(Vec::new, |scratch, ((out, plane), winners)| {
            pass::run(level, Maxima { out, winners, plane, size: [h, w], scratch });
        });
    } else {
        planes.for_each_init(Vec::new, |scratch, (out, plane)| {
            pass::run(level, Maxima { out, winners: &mut [], plane, size: [h, w], scratch });
        });
    }
    (out.into_tensor([n, c, ho, wo]), winners)
}

/// The maxima of a plane. `winners` gets the first place of each in reading order, as PyTorch breaks ties, and may be
/// empty. NaN is larger than any number, so that it is not hidden.
struct Maxima<'a, T> {
    out: &'a mut [T],
    winners: &'a mut [u8],
    plane: &'a [T],
    size: [usize; 2],
    scratch: &'a mut Vec<T>,
}

impl<T: Real> Pass for Maxima<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { out, winners, plane, size: [h, w], scratch } = self;
        let wo = half(w);
        // Odd and even columns of a row apart, so that a tap is a run of values; -∞ where the window leaves the plane.
        scratch.clear();
        scratch.resize((h + 1) * (2 * wo + 1), T::neg_infinity());
        let (border, rows) = scratch.split_at_mut(2 * wo + 1);
        for (row, x) in rows.chunks_exact_mut(2 * wo + 1).zip(plane.chunks_exact(w)) {
            let (even, odd) = row.split_at_mut(wo);
            for (even, pair) in even.iter_mut().zip(x.chunks(2)) {
                *even = pair[0];
            }
            for (odd, pair) in odd[1..].iter_mut().zip(x.chunks_exact(2)) {
                *odd = pair[1];
            }
        }
        let (border, rows): (&[T], &[T]) = (border, rows);
        let row = |y: Option<usize>| match y {
            Some(y) if y < h => &rows[y * (2 * wo + 1)..][..2 * wo + 1],
            _ => border,
        };
        for (y, out) in out.chunks_exact_mut(wo).enumerate() {
            let rows = [row((2 * y).checked_sub(1)), row(Some(2 * y)), row(Some(2 * y + 1))];
            let taps = rows.map(|row| [&row[wo..2 * wo], &row[..wo], &row[wo + 1..]]);
            out.fill(T::neg_infinity());
            match winners.get_mut(y * wo..(y + 1) * wo) {
                Some(winners) => {
                    winners.fill(4);
                    for (place, tap) in taps.as_flattened().iter().enumerate() {
                        for ((best, winner), &v) in out.iter_mut().zip(winners.iter_mut()).zip(*tap) {
                            let wins = (v > *best) | v.is_nan();
                            *best = if wins { v } else { *best };
                            *winner = if wins { place as u8 } else { *winner };
                        }
                    }
                }
                None => {
                    for tap in taps.as_flattened() {
                        for (best, &v) in out.iter_mut().zip(*tap) {
                            *best = if (v > *best) | v.is_nan() { v } else { *best };
                        }
                    }
                }
            }
        }
    }
}

fn backward<T: Real>(grad: &FlexTensor, winners: &[u8], [n, c, h, w]: [usize; 4]) -> FlexTensor {
    let _t = clock::time(Part::Pooling);
    let grad = tape::values::<T>(grad);
    let (ho, wo) = (half(h), half(w));
    let mut dx = Buffer::<T>::stale(n * c * h * w);
    let planes = dx.par_chunks_mut(h * w).zip(grad.par_chunks(ho * wo)).zip(winners.par_chunks(ho * wo));
    planes.for_each(|((dx, grad), winners)| {
        dx.fill(T::zero());
        for (y, (grad, winners)) in grad.chunks_exact(wo).zip(winners.chunks_exact(wo)).enumerate() {
            for (x, (&g, &place)) in grad.iter().zip(winners).enumerate() {
                let place = usize::from(place);
                let at = (2 * y + place / 3) * w + 2 * x + place % 3 - w - 1;
                dx[at] = dx[at] + g;
            }
        }
    });
    dx.into_tensor([n, c, h, w])
}
