//! Tensors of GPU backends in the layout of the kernels: channels last.

use burn::{
    backend::{
        BackendTensor, Cube, DispatchAutodiffContext, DispatchTensor, DispatchTensorKind,
        autodiff::{grads::Gradients, ops::Ops},
    },
    tensor::{DType, Tensor, kind::Basic},
};
use burn_cubecl::{
    kernel::into_contiguous,
    ops::{numeric::empty_device_contiguous_dtype, permute},
    tensor::CubeTensor,
};
use cubecl::{
    ir::{ElemType, FloatKind},
    prelude::BufferArg,
};

pub(crate) use crate::tape::{Strategy, context, records};

/// A float tensor of a GPU backend as the tape knows it.
pub(crate) type Tracked = crate::tape::Tracked<Cube>;

/// A tensor of a GPU backend, and whether it lives on an autodiff device.
pub(crate) type Operand = crate::tape::Operand<Cube>;

impl crate::tape::Home for Cube {
    fn unwrap(kind: DispatchTensorKind) -> Option<BackendTensor<Self>> {
        match kind {
            DispatchTensorKind::Cube(tensor) => Some(tensor),
            #[allow(unreachable_patterns)] // without the CPU's backend
            _ => None,
        }
    }

    fn wrap(tensor: BackendTensor<Self>) -> DispatchTensorKind {
        DispatchTensorKind::Cube(tensor)
    }
}

/// `None` when the tensor is on another device or of a precision the kernels do not support.
pub(crate) fn operand<const D: usize>(tensor: &Tensor<D>) -> Option<Operand> {
    if !matches!(tensor.dtype(), DType::F32 | DType::BF16) {
        return None;
    }
    crate::tape::operand(tensor)
}

/// A tensor of any kind without gaps, and the context it lives in; `None` when it is on another device.
pub(crate) fn whole<const D: usize, K: Basic>(tensor: &Tensor<D, K>) -> Option<(CubeTensor, DispatchAutodiffContext)> {
    let DispatchTensor { kind, autodiff: context } = tensor.clone().into_dispatch();
    let kind = match kind {
        DispatchTensorKind::Autodiff(inner) => *inner,
        kind => kind,
    };
    let tensor = match <Cube as crate::tape::Home>::unwrap(kind)? {
        BackendTensor::Float(tensor) | BackendTensor::Int(tensor) | BackendTensor::Bool(tensor) => tensor,
        BackendTensor::Autodiff(tensor) => tensor.into_primitive(),
        BackendTensor::Quantized(_) => return None,
    };
    Some((into_contiguous(tensor), context))
}

/// Sizes `[out, in, kH, kW]` of a weight on a GPU that lies in memory as `[out, kH, kW, in]`, if that is another order.
pub(crate) fn channels_last<const D: usize>(tensor: &Tensor<D>) -> Option<[usize; 4]> {
    let tensor = operand(tensor).filter(|_| D == 4)?.tensor.into_primitive();
    let [out, inner, height, width] = dims(&tensor);
    let last = [height * width * inner, 1, width * inner, inner];
    let lies = tensor.meta.strides().iter().zip(last).all(|(stride, expected)| *stride == expected);
    (lies && inner > 1 && height * width > 1).then_some([out, inner, height, width])
}

/// Whether a tensor is one of a GPU, of a precision that the kernels support.
pub fn serves<const D: usize>(tensor: &Tensor<D>) -> bool {
    operand(tensor).is_some()
}

/// Converts back to a tensor of Burn's API.
pub(crate) fn wrap<const D: usize>(tensor: Tracked, context: DispatchAutodiffContext) -> Tensor<D> {
    crate::tape::wrap::<Cube, D>(tensor, context)
}

/// [`wrap`] for the result of an operation that is not recorded.
pub(crate) fn constant<const D: usize>(tensor: CubeTensor, context: DispatchAutodiffContext) -> Tensor<D> {
    crate::tape::constant::<Cube, D>(tensor, context)
}

/// Sizes of a tensor of known rank.
pub(crate) fn dims<const D: usize>(tensor: &CubeTensor) -> [usize; D] {
    tensor.meta.shape().dims()
}

/// An uninitialised feature map `[B, C, H, W]` in memory as `[B, H, W, C]`, on the device of another.
pub(crate) fn new_map(like: &CubeTensor, [b, c, h, w]: [usize; 4], dtype: DType) -> CubeTensor {
    permute(new(like, [b, h, w, c], dtype), &[0, 3, 1, 2])
}

/// An uninitialised contiguous tensor on the device of another.
pub(crate) fn new<const D: usize>(like: &CubeTensor, shape: [usize; D], dtype: DType) -> CubeTensor {
    empty_device_contiguous_dtype(like.client.clone(), like.device.clone(), shape.into(), dtype)
}

/// A tensor as a kernel's argument, in the order of its memory.
pub(crate) fn argument(tensor: &CubeTensor) -> BufferArg {
    let length = tensor.meta.num_elements();
    // SAFETY: kernels do not ask for this length. They are told rows and the distance between them, which the buffer holds.
    #[allow(unsafe_code)]
    unsafe {
        BufferArg::from_raw_parts(tensor.handle.clone(), length)
    }
}

/// A tensor's precision as kernels are told of it.
pub(crate) fn element(tensor: &CubeTensor) -> ElemType {
    ElemType::Float(if tensor.dtype == DType::BF16 { FloatKind::BF16 } else { FloatKind::F32 })
}

/// The gradient that reached an operation.
pub(crate) fn gradient<S, const N: usize>(grads: &mut Gradients, ops: &Ops<S, N>) -> CubeTensor {
    grads.consume::<Cube>(&ops.node)
}

/// A feature map `[B, C, H, W]` as a matrix in memory: a row a position, a column a channel.
#[derive(Debug, Clone)]
pub(crate) struct Rows {
    pub(crate) map: CubeTensor,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    /// Elements from one row to the next, at least the number of columns.
    pub(crate) pitch: usize,
}

impl Rows {
    /// As convolutions leave a map; any other is copied.
    pub(crate) fn of(map: CubeTensor) -> Self {
        let [b, c, h, w] = dims(&map);
        let rows = b * h * w;
        if let Some(pitch) = pitch([b, c, h, w], map.meta.strides()) {
            return Self { map, rows, columns: c, pitch };
        }
        let map = permute(into_contiguous(permute(map, &[0, 2, 3, 1])), &[0, 3, 1, 2]);
        Self { map, rows, columns: c, pitch: c }
    }

    /// An uninitialised map of the same size and precision, without gaps.
    pub(crate) fn new_like(&self) -> CubeTensor {
        new_map(&self.map, dims(&self.map), self.map.dtype)
    }

    /// Channels in a vector: the largest power of two up to 4 that divides the columns and the pitch.
    pub(crate) fn vector(&self) -> usize {
        vector(&[self.columns, self.pitch])
    }

    /// A map whose columns divide into vectors of this size, copied if its pitch does not.
    pub(crate) fn in_vectors(self, size: usize) -> Self {
        if self.pitch.is_multiple_of(size) {
            return self;
        }
        Self::of(permute(into_contiguous(permute(self.map, &[0, 2, 3, 1])), &[0, 3, 1, 2]))
    }

    pub(crate) fn argument(&self) -> BufferArg {
        argument(&self.map)
    }

    pub(crate) fn element(&self) -> ElemType {
        element(&self.map)
    }
}

/// Elements in a vector: the largest power of two up to 4 that divides all of these lengths.
pub(crate) fn vector(lengths: &[usize]) -> usize {
    [4, 2].into_iter().find(|n| lengths.iter().all(|length| length % n == 0)).unwrap_or(1)
}

/// Elements from one position of a map to the next, if all are equally far from each other and their channels side by side.
fn pitch([b, c, h, w]: [usize; 4], strides: &[usize]) -> Option<usize> {
    // The stride of a side of length 1 says nothing.
    let steps = [(w, strides[3], 1), (h, strides[2], w), (b, strides[0], h * w)];
    let mut steps = steps.into_iter().filter(|(length, ..)| *length > 1);
    let pitch = steps.clone().next().map_or(c, |(_, stride, positions)| stride / positions);
    let regular = steps.all(|(_, stride, positions)| stride == pitch * positions);
    (regular && pitch >= c && (c == 1 || strides[1] == 1)).then_some(pitch)
}
