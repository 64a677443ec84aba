//! Conversion between Burn's tensors and slices, with or without the autodiff tape.

use burn::{
    backend::{
        Autodiff, BackendTensor, DispatchAutodiffContext, DispatchTensor, DispatchTensorKind, Flex,
        autodiff::{checkpoint::strategy::NoCheckpointing, grads::Gradients, ops::Ops},
        flex::FlexTensor,
        tensor::FloatTensor,
    },
    tensor::{DType, Shape, Tensor, TensorData},
};

use super::Real;

/// A float tensor of the CPU backend as the tape knows it.
pub(crate) type Tracked = FloatTensor<Autodiff<Flex>>;

/// The checkpointing strategy of these kernels.
pub(crate) type Strategy = NoCheckpointing;

/// A tensor of the CPU backend, and whether it lives on an autodiff device.
pub(crate) struct Operand {
    pub(crate) tensor: Tracked,
    context: DispatchAutodiffContext,
}

/// `None` when the tensor is on another device or of a precision the kernels do not support.
pub(crate) fn operand<const D: usize>(tensor: &Tensor<D>) -> Option<Operand> {
    if !matches!(tensor.dtype(), DType::F32 | DType::F64) {
        return None;
    }
    let DispatchTensor { kind, autodiff: context } = tensor.clone().into_dispatch();
    let tensor = match kind {
        DispatchTensorKind::Flex(BackendTensor::Float(t)) => Tracked::new(t),
        DispatchTensorKind::Flex(BackendTensor::Autodiff(t)) => t,
        DispatchTensorKind::Autodiff(inner) => match *inner {
            DispatchTensorKind::Flex(BackendTensor::Autodiff(t)) => t,
            DispatchTensorKind::Flex(BackendTensor::Float(t)) => Tracked::new(t),
            _ => return None,
        },
        _ => return None,
    };
    let ours = match context {
        DispatchAutodiffContext::Disabled => true,
        DispatchAutodiffContext::Enabled(strategy) => strategy == Default::default(),
    };
    ours.then_some(Operand { tensor, context })
}

/// The context in which an operation over these operands runs.
pub(crate) fn context(operands: &[&Operand]) -> DispatchAutodiffContext {
    let all = operands.iter().map(|o| o.context);
    all.max_by_key(|c| *c != DispatchAutodiffContext::Disabled).unwrap_or_default()
}

/// Whether operations in this context are recorded: not those of the key encoder, or in evaluation.
pub(crate) fn records(context: DispatchAutodiffContext) -> bool {
    context != DispatchAutodiffContext::Disabled
}

/// [`wrap`] for the result of an operation that is not recorded.
pub(crate) fn constant<const D: usize>(tensor: FlexTensor, context: DispatchAutodiffContext) -> Tensor<D> {
    wrap(Tracked::new(tensor), context)
}

/// Converts back to a tensor of Burn's API.
pub(crate) fn wrap<const D: usize>(tensor: Tracked, context: DispatchAutodiffContext) -> Tensor<D> {
    let kind = match context {
        DispatchAutodiffContext::Disabled => DispatchTensorKind::Flex(BackendTensor::Float(tensor.into_primitive())),
        DispatchAutodiffContext::Enabled(_) => {
            DispatchTensorKind::Autodiff(Box::new(DispatchTensorKind::Flex(BackendTensor::Autodiff(tensor))))
        }
    };
    Tensor::from_dispatch(DispatchTensor { kind, autodiff: context })
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
