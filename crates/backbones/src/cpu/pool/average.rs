//! Averages over 2x2 windows and over whole planes.

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
    tape::{self, Strategy},
};

/// Mean of each 2x2 window; a last odd row or column is left out.
///
/// # Shapes
/// - `[B, C, H, W]` to `[B, C, H / 2, W / 2]`
pub(crate) fn avg_pool_2x2(x: &Tensor<4>) -> Option<Tensor<4>> {
    average(x, Windows::Quads)
}

/// Mean of each plane.
///
/// # Shapes
/// - `[B, C, H, W]` to `[B, C]`
pub(crate) fn plane_means(x: &Tensor<4>) -> Option<Tensor<2>> {
    average(x, Windows::Planes)
}

fn average<const D: usize>(x: &Tensor<4>, windows: Windows) -> Option<Tensor<D>> {
    let a = tape::operand(x)?;
    let context = tape::context(&[&a]);
    let node = a.tensor.node();
    let x = a.tensor.into_primitive().to_contiguous();
    let shape: [usize; 4] = tape::dims(&x);
    let out = match x.dtype() {
        DType::F32 => forward::<f32>(&x, shape, windows),
        _ => forward::<f64>(&x, shape, windows),
    };
    if !tape::records(context) {
        return Some(tape::constant(out, context));
    }
    let out = match AverageBackward.prepare::<Strategy>([node]).compute_bound().stateful() {
        OpsKind::Tracked(prepared) => prepared.finish((windows, shape), out),
        OpsKind::UnTracked(prepared) => prepared.finish(out),
    };
    Some(tape::wrap(out, context))
}

#[derive(Debug, Clone, Copy)]
enum Windows {
    Quads,
    Planes,
}

#[derive(Debug)]
struct AverageBackward;

impl Backward<Flex, 1> for AverageBackward {
    type State = (Windows, [usize; 4]);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = tape::gradient(grads, &ops);
        let [x] = ops.parents.map(|p| p.map(|p| p.id));
        let (windows, shape) = ops.state;
        if let Some(x) = x {
            let dx = match grad.dtype() {
                DType::F32 => backward::<f32>(&grad, shape, windows),
                _ => backward::<f64>(&grad, shape, windows),
            };
            grads.register::<Flex>(x, dx);
        }
    }
}

fn forward<T: Real>(x: &FlexTensor, [n, c, h, w]: [usize; 4], windows: Windows) -> FlexTensor {
    let _t = clock::time(Part::Pooling);
    let planes = tape::values::<T>(x).par_chunks((h * w).max(1));
    match windows {
        Windows::Planes => {
            let mut out = Buffer::<T>::stale(n * c);
            let mean = |(out, plane): (&mut T, &[T])| {
                let sum: f64 = plane.iter().map(|v| v.wide()).sum();
                *out = T::narrow(sum / (h * w) as f64);
            };
            out.par_iter_mut().zip(planes).with_min_len(64).for_each(mean);
            out.into_tensor([n, c])
        }
        Windows::Quads => {
            let (ho, wo) = (h / 2, w / 2);
            let mut out = Buffer::<T>::stale(n * c * ho * wo);
            let quarter = T::narrow(0.25);
            out.par_chunks_mut((ho * wo).max(1)).zip(planes).for_each(|(out, plane)| {
                for (out, rows) in out.chunks_exact_mut(wo.max(1)).zip(plane.chunks_exact(2 * w)) {
                    let (top, bottom) = rows.split_at(w);
                    for (out, (a, b)) in out.iter_mut().zip(top.chunks_exact(2).zip(bottom.chunks_exact(2))) {
                        *out = (a[0] + a[1] + b[0] + b[1]) * quarter;
                    }
                }
            });
            out.into_tensor([n, c, ho, wo])
        }
    }
}

fn backward<T: Real>(grad: &FlexTensor, [n, c, h, w]: [usize; 4], windows: Windows) -> FlexTensor {
    let _t = clock::time(Part::Pooling);
    let grad = tape::values::<T>(grad);
    let mut dx = Buffer::<T>::stale(n * c * h * w);
    let planes = dx.par_chunks_mut((h * w).max(1));
    match windows {
        Windows::Planes => {
            let positions = T::narrow((h * w) as f64); // divided by, as its reciprocal is rounded
            planes.zip(grad.par_iter()).for_each(|(dx, &g)| dx.fill(g / positions));
        }
        Windows::Quads => {
            let (wo, quarter) = (w / 2, T::narrow(0.25));
            planes.zip(grad.par_chunks((h / 2 * wo).max(1))).for_each(|(dx, grad)| {
                let (covered, rest) = dx.split_at_mut(h / 2 * 2 * w);
                rest.fill(T::zero());
                for (dx, grad) in covered.chunks_exact_mut(2 * w).zip(grad.chunks_exact(wo.max(1))) {
                    for row in dx.chunks_exact_mut(w) {
                        row[2 * wo..].fill(T::zero());
                        for (dx, &g) in row.chunks_exact_mut(2).zip(grad) {
                            dx.fill(g * quarter);
                        }
                    }
                }
            });
        }
    }
    dx.into_tensor([n, c, h, w])
}
