//! Conversion between Burn's tensors and those of one backend, with or without the autodiff tape: what kernels of our own
//! have in common, whatever they run on.

use burn::{
    backend::{
        Autodiff, Backend, BackendTensor, DispatchAutodiffContext, DispatchTensor, DispatchTensorKind,
        autodiff::checkpoint::strategy::NoCheckpointing, tensor::FloatTensor,
    },
    tensor::Tensor,
};

/// A float tensor of a backend as the tape knows it.
pub(crate) type Tracked<B> = FloatTensor<Autodiff<B>>;

/// The checkpointing strategy of these kernels.
pub(crate) type Strategy = NoCheckpointing;

/// A backend with kernels of our own.
pub(crate) trait Home: Backend {
    /// The tensor, if it is of this backend.
    fn unwrap(kind: DispatchTensorKind) -> Option<BackendTensor<Self>>;
    /// The other way.
    fn wrap(tensor: BackendTensor<Self>) -> DispatchTensorKind;
}

/// A tensor of a backend, and whether it lives on an autodiff device.
pub(crate) struct Operand<B: Home> {
    pub(crate) tensor: Tracked<B>,
    context: DispatchAutodiffContext,
}

/// `None` when the tensor is of another backend.
pub(crate) fn operand<B: Home, const D: usize>(tensor: &Tensor<D>) -> Option<Operand<B>> {
    let DispatchTensor { kind, autodiff: context } = tensor.clone().into_dispatch();
    let kind = match kind {
        DispatchTensorKind::Autodiff(inner) => *inner,
        kind => kind,
    };
    let tensor = match B::unwrap(kind)? {
        BackendTensor::Float(tensor) => Tracked::<B>::new(tensor),
        BackendTensor::Autodiff(tensor) => tensor,
        _ => return None,
    };
    let ours = match context {
        DispatchAutodiffContext::Disabled => true,
        DispatchAutodiffContext::Enabled(strategy) => strategy == Default::default(),
    };
    ours.then_some(Operand { tensor, context })
}

/// The context in which an operation over these operands runs.
pub(crate) fn context<B: Home>(operands: &[&Operand<B>]) -> DispatchAutodiffContext {
    let all = operands.iter().map(|o| o.context);
    all.max_by_key(|c| *c != DispatchAutodiffContext::Disabled).unwrap_or_default()
}

/// Whether operations in this context are recorded: not those of the key encoder, or in evaluation.
pub(crate) fn records(context: DispatchAutodiffContext) -> bool {
    context != DispatchAutodiffContext::Disabled
}

/// Converts back to a tensor of Burn's API.
pub(crate) fn wrap<B: Home, const D: usize>(tensor: Tracked<B>, context: DispatchAutodiffContext) -> Tensor<D> {
    let kind = match context {
        DispatchAutodiffContext::Disabled => B::wrap(BackendTensor::Float(tensor.into_primitive())),
        DispatchAutodiffContext::Enabled(_) => {
            DispatchTensorKind::Autodiff(Box::new(B::wrap(BackendTensor::Autodiff(tensor))))
        }
    };
    Tensor::from_dispatch(DispatchTensor { kind, autodiff: context })
}

/// [`wrap`] for the result of an operation that is not recorded.
pub(crate) fn constant<B: Home, const D: usize>(tensor: FloatTensor<B>, context: DispatchAutodiffContext) -> Tensor<D> {
    wrap::<B, D>(Tracked::<B>::new(tensor), context)
}
