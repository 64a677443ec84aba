//! The order in which the elements of a tensor lie in memory, so that flat tensors need no copy.
//!
//! Kernels of GPUs read and write the weights of a convolution channels last. An update takes elements one by one and asks for
//! no order, but weight, gradient and state must have the same.

use burn::tensor::Tensor;

/// An order of elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// The last axis runs fastest, as in files.
    #[default]
    RowMajor,
    /// Of a weight `[out, in, kH, kW]` of these sizes: as `[out, kH, kW, in]`.
    ChannelsLast([usize; 4]),
}

impl Order {
    /// That in which a tensor lies, as far as there is a name for it.
    #[allow(unused_variables)] // without GPU backends
    pub fn of<const D: usize>(tensor: &Tensor<D>) -> Self {
        #[cfg(feature = "cube")]
        if let Some(sizes) = crate::gpu::tape::channels_last(tensor) {
            return Self::ChannelsLast(sizes);
        }
        Self::RowMajor
    }

    /// All elements in this order, a copy only where the tensor lies in another.
    ///
    /// # Panics
    /// When the tensor has other sizes.
    pub fn flatten<const D: usize>(self, tensor: Tensor<D>) -> Tensor<1> {
        match self {
            Self::RowMajor => tensor.reshape([-1]),
            Self::ChannelsLast(sizes) => {
                let tensor: Tensor<4> = tensor.reshape(sizes);
                tensor.permute([0, 2, 3, 1]).reshape([-1])
            }
        }
    }

    /// The tensor whose elements these are in this order, without a copy.
    ///
    /// # Panics
    /// When it has another number of elements.
    pub fn restore<const D: usize>(self, elements: Tensor<1>, sizes: [usize; D]) -> Tensor<D> {
        match self {
            Self::RowMajor => elements.reshape(sizes),
            Self::ChannelsLast([out, inner, height, width]) => {
                elements.reshape([out, height, width, inner]).permute([0, 3, 1, 2]).reshape(sizes)
            }
        }
    }

    /// The same elements in the order `to`.
    pub(super) fn change(self, elements: Tensor<1>, to: Self) -> Tensor<1> {
        match (self, to) {
            (from, to) if from == to => elements,
            (Self::ChannelsLast(sizes), to) => to.flatten(self.restore(elements, sizes)),
            (Self::RowMajor, to) => to.flatten(elements),
        }
    }
}
