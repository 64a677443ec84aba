//! The CPU's tensors as slices, and as the tape knows them.

use burn::{
    backend::{
        BackendTensor, DispatchAutodiffContext, DispatchTensorKind, Flex,
        autodiff::{grads::Gradients, ops::Ops},
        flex::FlexTensor,
    },
    tensor::{DType, Shape, Tensor, TensorData},
};

use super::Real;
pub(crate) use crate::tape::{Strategy, context, records};

/// A float tensor of the CPU backend as the tape knows it.
pub(crate) type Tracked = crate::tape::Tracked<Flex>;

/// A tensor of the CPU backend, and whether it lives on an autodiff device.
pub(crate) type Operand = crate::tape::Operand<Flex>;

impl crate::tape::Home for Flex {
    fn unwrap(kind: DispatchTensorKind) -> Option<BackendTensor<Self>> {
        match kind {
            DispatchTensorKind::Flex(tensor) => Some(tensor),
            _ => None,
        }
    }

    fn wrap(tensor: BackendTensor<Self>) -> DispatchTensorKind {
        DispatchTensorKind::Flex(tensor)
    }
}

/// `None` when the tensor is on another device or of a precision the kernels do not support.
pub(crate) fn operand<const D: usize>(tensor: &Tensor<D>) -> Option<Operand> {
    if !matches!(tensor.dtype(), DType::F32 | DType::F64) {
        return None;
    }
    crate::tape::operand(tensor)
}

/// Converts back to a tensor of Burn's API.
pub(crate) fn wrap<const D: usize>(tensor: Tracked, context: DispatchAutodiffContext) -> Tensor<D> {
    crate::tape::wrap::<Flex, D>(tensor, context)
}

/// [`wrap`] for the result of an operation that is not recorded.
pub(crate) fn constant<const D: usize>(tensor: FlexTensor, context: DispatchAutodiffContext) -> Tensor<D> {
    crate::tape::constant::<Flex, D>(tensor, context)
}

/// The values of a tensor in row-major order; `tensor` must be contiguous (`to_contiguous`).
pub(crate) fn values<T: Real>(tensor: &FlexTensor) -> &[T] {
    tensor.as_slice().expect("a contiguous tensor of the precision that the caller matched on")
}

/// A tensor from values in row-major order.
pub(crate) fn tensor<T: Real>(values: Vec<T>, shape: impl Into<Shape>) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}

/// Sizes of a tensor of known rank.
pub(crate) fn dims<const D: usize>(tensor: &FlexTensor) -> [usize; D] {
    tensor.layout().shape().dims()
}

/// The gradient that reached an operation, contiguous. Writing to it does not copy it where nothing else holds it.
pub(crate) fn gradient<S, const N: usize>(grads: &mut Gradients, ops: &Ops<S, N>) -> FlexTensor {
    let gradient = grads.consume::<Flex>(&ops.node);
    gradient.to_contiguous() // the other reference is dropped here
}
