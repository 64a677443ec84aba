//! Maximum over 3x3 windows with stride 2 and one pixel of padding: the pooling at the head of ResNet and DenseNet.

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

use super::{
    Real,
    clock::{self, Part},
    tape::{self, Strategy},
};

/// # Shapes
/// - `[B, C, H, W]` to `[B, C, (H - 1) / 2 + 1, (W - 1) / 2 + 1]`
pub(crate) fn max_pool_3x3_s2(x: &Tensor<4>) -> Option<Tensor<4>> {
    let a = tape::operand(x)?;
    let context = tape::context(&[&a]);
    let prepared = PoolBackward.prepare::<Strategy>([a.tensor.node()]).compute_bound().stateful();
    let x = a.tensor.into_primitive().to_contiguous();
    let shape: [usize; 4] = tape::dims(&x);
    let (out, winners) = match x.dtype() {
        DType::F32 => forward::<f32>(&x, shape),
        _ => forward::<f64>(&x, shape),
    };
    let out = match prepared {
        OpsKind::Tracked(prepared) => prepared.finish((winners, shape), out),
        OpsKind::UnTracked(prepared) => prepared.finish(out),
    };
    Some(tape::wrap(out, context))
}

#[derive(Debug)]
struct PoolBackward;

impl Backward<Flex, 1> for PoolBackward {
    /// For each output the position of its maximum within the plane, and the shape of the input.
    type State = (Vec<u32>, [usize; 4]);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [x] = ops.parents.map(|p| p.map(|p| p.id));
        let grad = grads.consume::<Flex>(&ops.node).to_contiguous();
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

fn forward<T: Real>(x: &FlexTensor, [n, c, h, w]: [usize; 4]) -> (FlexTensor, Vec<u32>) {
    let _t = clock::time(Part::Pooling);
    let values = tape::values::<T>(x);
    let (ho, wo) = (half(h), half(w));
    let mut out = vec![T::zero(); n * c * ho * wo];
    let mut winners = vec![0_u32; out.len()];
    let planes = out.par_chunks_mut(ho * wo).zip(winners.par_chunks_mut(ho * wo)).zip(values.par_chunks(h * w));
    planes.for_each(|((out, winners), plane)| {
        for y in 0..ho {
            for x in 0..wo {
                let (best, at) = window_max(plane, h, w, y, x);
                out[y * wo + x] = best;
                winners[y * wo + x] = at as u32;
            }
        }
    });
    (tape::tensor(out, [n, c, ho, wo]), winners)
}

/// First maximum of a window in reading order, as PyTorch breaks ties; NaN wins, so that it is not hidden.
fn window_max<T: Real>(plane: &[T], h: usize, w: usize, y: usize, x: usize) -> (T, usize) {
    let rows = (2 * y).saturating_sub(1)..(2 * y + 2).min(h);
    let cols = (2 * x).saturating_sub(1)..(2 * x + 2).min(w);
    let (mut best, mut at) = (T::neg_infinity(), rows.start * w + cols.start);
    for iy in rows {
        for ix in cols.clone() {
            let v = plane[iy * w + ix];
            if v > best || v.is_nan() {
                (best, at) = (v, iy * w + ix);
            }
        }
    }
    (best, at)
}

fn backward<T: Real>(grad: &FlexTensor, winners: &[u32], [n, c, h, w]: [usize; 4]) -> FlexTensor {
    let _t = clock::time(Part::Pooling);
    let grad = tape::values::<T>(grad);
    let positions = half(h) * half(w);
    let mut dx = vec![T::zero(); n * c * h * w];
    let planes = dx.par_chunks_mut(h * w).zip(grad.par_chunks(positions)).zip(winners.par_chunks(positions));
    planes.for_each(|((dx, grad), winners)| {
        for (&g, &at) in grad.iter().zip(winners) {
            dx[at as usize] = dx[at as usize] + g;
        }
    });
    tape::tensor(dx, [n, c, h, w])
}
