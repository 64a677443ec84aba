//! Convolution on the CPU, forward and backward.
//!
//! Planes get their zero border once ([`planes`]); then a tap of the kernel is a shift of a plane ([`shifts`]). The output
//! and the gradient of the input are products of the weights ([`factor`]) with patches that are packed
//! strip by strip for the innermost loop ([`product`]); the gradient of the weight sums over positions ([`weight_grad`]).
//! With channels enough, 3x3 kernels multiply fewer numbers ([`winograd`]), and the gradient of the weight is a product
//! of turned matrices ([`by_tap`]). [`method`] chooses.

mod by_tap;
mod factor;
mod geometry;
mod method;
mod planes;
mod product;
mod shifts;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
mod weight_grad;
mod winograd;

use burn::{
    backend::{
        Flex,
        autodiff::{
            NodeId,
            checkpoint::base::Checkpointer,
            grads::Gradients,
            ops::{Backward, Ops, OpsKind},
        },
        flex::FlexTensor,
    },
    tensor::{DType, Tensor},
};

use super::{
    Real,
    clock::{self, ConvShape, Part, Timer},
    tape::{self, Strategy},
};
use geometry::Geometry;

/// # Shapes
/// - x `[B, Ci, H, W]`, weight `[Co, Ci, kH, kW]` to `[B, Co, H', W']`
pub(crate) fn conv2d(x: &Tensor<4>, weight: &Tensor<4>, stride: usize, padding: usize) -> Option<Tensor<4>> {
    let (a, w) = (tape::operand(x)?, tape::operand(weight)?);
    if x.dtype() != weight.dtype() {
        return None;
    }
    let context = tape::context(&[&a, &w]);
    let nodes = [a.tensor.node(), w.tensor.node()];
    let (x, weight) = (a.tensor.into_primitive().to_contiguous(), w.tensor.into_primitive().to_contiguous());
    let geometry = Geometry::new(tape::dims(&x), tape::dims(&weight), stride, padding);
    let out = match x.dtype() {
        DType::F32 => forward::<f32>(&geometry, &x, &weight),
        _ => forward::<f64>(&geometry, &x, &weight),
    };
    if !tape::records(context) {
        return Some(tape::constant(out, context));
    }
    let out = match ConvBackward.prepare::<Strategy>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(prepared) => prepared.finish(State { x, weight, geometry }, out),
        OpsKind::UnTracked(prepared) => prepared.finish(out),
    };
    Some(tape::wrap(out, context))
}

#[derive(Debug)]
struct ConvBackward;

#[derive(Debug, Clone)]
struct State {
    x: FlexTensor,
    weight: FlexTensor,
    geometry: Geometry,
}

impl Backward<Flex, 2> for ConvBackward {
    type State = State;

    fn backward(self, ops: Ops<State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = tape::gradient(grads, &ops);
        let [x, weight]: [Option<NodeId>; 2] = ops.parents.map(|p| p.map(|p| p.id));
        let State { x: input, weight: w, geometry } = ops.state;
        if let Some(x) = x {
            let dx = match grad.dtype() {
                DType::F32 => input_grad::<f32>(&geometry, &w, &grad),
                _ => input_grad::<f64>(&geometry, &w, &grad),
            };
            grads.register::<Flex>(x, dx);
        }
        if let Some(weight) = weight {
            let dw = match grad.dtype() {
                DType::F32 => weight_grad::<f32>(&geometry, &input, &grad),
                _ => weight_grad::<f64>(&geometry, &input, &grad),
            };
            grads.register::<Flex>(weight, dw);
        }
    }
}

fn forward<T: Real>(g: &Geometry, x: &FlexTensor, weight: &FlexTensor) -> FlexTensor {
    let _t = timer(Part::ConvForward, g);
    let out = method::forward::<T>(g, tape::values(x), tape::values(weight));
    out.into_tensor([g.batch, g.output, g.out_height, g.out_width])
}

fn input_grad<T: Real>(g: &Geometry, weight: &FlexTensor, grad: &FlexTensor) -> FlexTensor {
    let _t = timer(Part::ConvInputGrad, g);
    let dx = method::input_grad::<T>(g, tape::values(weight), tape::values(grad));
    dx.into_tensor([g.batch, g.input, g.height, g.width])
}

fn weight_grad<T: Real>(g: &Geometry, x: &FlexTensor, grad: &FlexTensor) -> FlexTensor {
    let _t = timer(Part::ConvWeightGrad, g);
    let dw = method::weight_grad::<T>(g, tape::values(x), tape::values(grad));
    dw.into_tensor([g.output, g.input, g.kernel[0], g.kernel[1]])
}

fn timer(part: Part, g: &Geometry) -> Timer {
    let Geometry { batch, input, output, kernel, stride, .. } = *g;
    let (side, out_side) = ([g.height, g.width], [g.out_height, g.out_width]);
    clock::time_conv(part, || ConvShape { batch, input, side, output, kernel, stride, out_side })
}
