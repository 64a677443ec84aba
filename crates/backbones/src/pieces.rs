//! The feature maps of a dense block, each layer's output a tensor of its own.
//!
//! Every layer reads all outputs before it. Joining them before each layer copies the block once a layer; on the CPU the
//! normalisation at the head of a layer reads them where they are, and the moments of a piece, which are the same for every
//! layer, are computed once. On a GPU they are also in one buffer, of which a layer reads the first channels.

use burn::tensor::Tensor;

#[cfg(feature = "flex")]
use crate::cpu::{
    self,
    norm::{Gathered, Moments},
};
#[cfg(feature = "cube")]
use crate::gpu::slab::Slab;

/// Tensors `[B, c, H, W]` that follow each other along the channels; a single one on devices without a kernel for several.
#[derive(Debug)]
pub(crate) struct Pieces {
    tensors: Vec<Tensor<4>>,
    /// Of each piece that was normalised, `[c·G]`.
    #[cfg(feature = "flex")]
    moments: Vec<Vec<Moments>>,
    #[cfg(feature = "flex")]
    gathered: Option<Gathered>,
    /// On GPUs the maps are also in one buffer.
    #[cfg(feature = "cube")]
    slab: Option<Slab>,
}

impl Pieces {
    /// `room` is the number of channels that are pushed later.
    pub(crate) fn new(first: Tensor<4>, room: usize) -> Self {
        #[cfg(not(feature = "cube"))]
        let _ = room;
        Self {
            #[cfg(feature = "cube")]
            slab: Slab::new(&first, room),
            #[cfg(feature = "flex")]
            gathered: cpu::serves(&first).then(|| Gathered::new(vec![None].into())),
            #[cfg(feature = "flex")]
            moments: Vec::new(),
            tensors: vec![first],
        }
    }

    /// Appends channels, which were computed from [`crate::BatchNorm::forward_pieces_relu`] of all pieces so far.
    pub(crate) fn push(&mut self, new: Tensor<4>) {
        #[cfg(feature = "flex")]
        if let Some(gathered) = &self.gathered {
            gathered.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(None);
            self.tensors.push(new);
            return;
        }
        #[cfg(feature = "cube")]
        if let Some(slab) = &mut self.slab {
            slab.push(&new);
            self.tensors.push(new);
            return;
        }
        self.tensors.push(new);
        self.tensors = vec![self.joined()];
    }

    /// All channels in one tensor.
    pub(crate) fn joined(&self) -> Tensor<4> {
        match &self.tensors[..] {
            [one] => one.clone(),
            several => Tensor::cat(several.to_vec(), 1),
        }
    }
}

#[cfg(feature = "cube")]
impl Pieces {
    /// Appends a convolution of x, in one go with it; `false` where that is not possible.
    pub(crate) fn convolve(&mut self, x: &Tensor<4>, weight: &Tensor<4>, stride: usize, padding: usize) -> bool {
        let new = self.slab.as_mut().and_then(|slab| slab.convolved(x, weight, stride, padding));
        let done = new.is_some();
        self.tensors.extend(new);
        done
    }

    /// The buffer of all pieces, and the last piece.
    pub(crate) fn slab(&self) -> Option<(&Slab, &Tensor<4>)> {
        self.slab.as_ref().zip(self.tensors.last())
    }
}

#[cfg(feature = "flex")]
impl Pieces {
    /// The tensors, the moments known of the first of them, and the place where gradients meet.
    #[allow(clippy::type_complexity)] // three things of one place
    pub(crate) fn separate(&self) -> Option<(&[Tensor<4>], &[Vec<Moments>], &Gathered)> {
        Some((&self.tensors[..], &self.moments[..], self.gathered.as_ref()?))
    }

    /// Keeps the moments of pieces that had none, from those of all, `[C·G]`.
    pub(crate) fn learn(&mut self, moments: &[Moments], groups: usize) {
        let mut start = 0;
        for (i, tensor) in self.tensors.iter().enumerate() {
            let [_, channels, ..] = tensor.dims();
            let end = start + channels * groups;
            if i == self.moments.len() {
                self.moments.push(moments[start..end].to_vec());
            }
            start = end;
        }
    }
}
