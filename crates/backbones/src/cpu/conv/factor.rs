//! The weights of a convolution as the kernel reads them.

use rayon::prelude::*;

use super::shifts::Shifts;
use crate::cpu::{
    Real,
    kernel::{Columns, Kernels},
    memory::{Buffer, Values},
};

/// A matrix `[rows, depth]` of weights, divided into panels of `Kernels::rows` rows and blocks of columns.
pub(super) struct Factor<'a, T: Real> {
    weight: Values<'a, T>,
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
            Values::There(weight)
        } else {
            // Rows of the last panel that nobody asks for read on; what they find does not matter.
            let mut longer = Buffer::scratch(weight.len() + missing * row);
            longer[..weight.len()].copy_from_slice(weight);
            longer[weight.len()..].fill(T::zero());
            Values::Made(longer)
        };
        let blocks = starts.chunks(block).map(|s| Columns::new(s.to_vec(), row)).collect();
        Self { weight, blocks, panel: kernels.rows * row }
    }

    /// As [`Self::in_place`], from the weights that [`pack`] copied, of which `set` is wanted.
    pub(super) fn packed(weight: &'a [T], sets: &[Shifts], set: usize, block: usize, kernels: &Kernels<T>) -> Self {
        let length = |set: &Shifts| set.source[0] * set.taps.len();
        let first = sets[..set].iter().map(length).sum::<usize>();
        let end = first + length(&sets[set]);
        let columns = |from: usize| Columns::new((from..end.min(from + block)).map(|k| k * kernels.rows).collect(), 1);
        let blocks = (first..end).step_by(block).map(columns).collect();
        Self { weight: Values::There(weight), blocks, panel: kernels.rows * sets.iter().map(length).sum::<usize>() }
    }

    /// The slice in which `blocks` finds the columns of a panel.
    pub(super) fn panel(&self, panel: usize) -> &[T] {
        &self.weight[panel * self.panel..]
    }
}

/// The weights of all sets as `[panel, set, channel of the source, tap, row]`: worth it where those of one row and
/// neighbouring columns lie far apart, which the caches take badly, and many positions use them. The weights of two rows,
/// and of two channels of the source, are `distances` apart.
pub(super) fn pack<T: Real>(
    weight: &[T],
    rows: usize,
    distances: [usize; 2],
    sets: &[Shifts],
    kernels: &Kernels<T>,
) -> Buffer<T> {
    let [row, channel] = distances;
    let height = kernels.rows;
    let channels = sets.first().map_or(0, |s| s.source[0]);
    let panel = height * channels * sets.iter().map(|s| s.taps.len()).sum::<usize>();
    let mut packed = Buffer::zeroed(rows.div_ceil(height) * panel);
    packed.par_chunks_exact_mut(panel.max(1)).enumerate().for_each_init(Vec::new, |taps, (p, packed)| {
        let first = p * height;
        let used = height.min(rows - first);
        taps.resize(row * height, T::zero());
        for c in 0..channels {
            let weight = &weight[c * channel + first * row..];
            if row == 1 {
                taps[..used].copy_from_slice(&weight[..used]);
            } else {
                kernels.transpose(weight, row, taps, height, [used, row]);
            }
            let mut start = 0;
            for set in sets {
                let to = &mut packed[start + c * set.taps.len() * height..][..set.taps.len() * height];
                for (to, tap) in to.chunks_exact_mut(height).zip(set.kernel_taps()) {
                    to.copy_from_slice(&taps[tap * height..][..height]);
                }
                start += channels * set.taps.len() * height;
            }
        }
    });
    packed
}
