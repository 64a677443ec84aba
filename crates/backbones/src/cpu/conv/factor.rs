//! The weights of a convolution as the kernel reads them.

use std::borrow::Cow;

use rayon::prelude::*;

use crate::cpu::{
    Real,
    kernel::{Columns, Kernels},
};

/// A matrix `[rows, depth]` of weights, divided into panels of `Kernels::rows` rows and blocks of columns.
pub(super) struct Factor<'a, T: Real> {
    weight: Cow<'a, [T]>,
    /// The columns of every block, from the start of a panel.
    pub(super) blocks: Vec<Columns>,
    /// Distance of panels.
    panel: usize,
}

impl<'a, T: Real> Factor<'a, T> {
    /// Element `(r, k)` is `weight[r * row + starts[k]]`, to be read in place.
    pub(super) fn in_place(
        weight: &'a [T],
        rows: usize,
        row: usize,
        starts: &[usize],
        block: usize,
        kernels: &Kernels<T>,
    ) -> Self {
        let missing = rows.next_multiple_of(kernels.rows) - rows;
        let weight = if missing == 0 {
            weight.into()
        } else {
            // Rows of the last panel that nobody asks for read on; what they find does not matter.
            let mut longer = weight.to_vec();
            longer.resize(weight.len() + missing * row, T::zero());
            longer.into()
        };
        let blocks = starts.chunks(block).map(|s| Columns::new(s.to_vec(), row)).collect();
        Self { weight, blocks, panel: kernels.rows * row }
    }

    /// As [`Self::in_place`], copied to `[panel, column, row]`: worth it where columns lie far apart, which the caches
    /// take badly, and many positions use them.
    pub(super) fn packed(
        weight: &[T],
        rows: usize,
        row: usize,
        starts: &[usize],
        block: usize,
        kernels: &Kernels<T>,
    ) -> Self {
        let height = kernels.rows;
        let panel = height * starts.len();
        let mut packed = vec![T::zero(); rows.div_ceil(height) * panel];
        packed.par_chunks_exact_mut(panel).enumerate().for_each(|(p, packed)| {
            let first = p * height;
            let used = height.min(rows - first);
            for (to, start) in packed.chunks_exact_mut(height).zip(starts) {
                let weight = &weight[start + first * row..];
                to[..used].iter_mut().zip(weight.iter().step_by(row)).for_each(|(to, w)| *to = *w);
            }
        });
        let columns =
            |from: usize| Columns::new((from..starts.len().min(from + block)).map(|k| k * height).collect(), 1);
        let blocks = (0..starts.len()).step_by(block).map(columns).collect();
        Self { weight: packed.into(), blocks, panel }
    }

    /// The slice in which `blocks` finds the columns of a panel.
    pub(super) fn panel(&self, panel: usize) -> &[T] {
        &self.weight[panel * self.panel..]
    }
}
