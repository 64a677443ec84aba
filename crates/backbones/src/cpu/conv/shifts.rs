//! A convolution as shifts of padded planes.
//!
//! Once a plane has its zero border, and with a stride is sorted into one plane per phase, the pixels under one tap for
//! consecutive positions of a row lie one after another, and another tap only shifts them. The forward pass is one
//! such set of shifts over the input; the gradient of the input is one over the gradient of the output for every phase
//! of the stride, with the taps of that phase in reverse.

use super::geometry::Geometry;

/// A set of shifts: `out[r, position] = Σ weight[r, c, tap] · planes[c, position + shift[tap]]`.
#[derive(Debug)]
pub(super) struct Shifts {
    /// Channels, height and width of an image of the source.
    pub(super) source: [usize; 3],
    /// Zeros above and left of a source plane; negative where pixels are left out.
    pub(super) before: [isize; 2],
    /// Distance of pixels that one plane holds.
    pub(super) stride: usize,
    /// Phases of rows and of columns that some tap uses.
    pub(super) phases: [usize; 2],
    /// Height and width of a padded plane of one phase.
    pub(super) plane: [usize; 2],
    /// Shift of every tap within the planes of a channel, and its index in the kernel.
    pub(super) taps: Vec<(usize, usize)>,
    /// Rows and columns of positions.
    pub(super) grid: [usize; 2],
    /// First row and column of the target, and the distance from one position to the next.
    pub(super) first: [usize; 2],
    pub(super) step: usize,
}

/// One side of [`Shifts`] of a phase of the input gradient.
struct Phase {
    taps: Vec<usize>,
    before: isize,
    positions: usize,
    first: usize,
}

impl Shifts {
    /// From input to output.
    pub(super) fn forward(g: &Geometry) -> Self {
        let [kh, kw] = g.kernel;
        let phases = [kh.min(g.stride), kw.min(g.stride)];
        let side = |positions: usize, k: usize| positions + (k - 1) / g.stride;
        let plane = [side(g.out_height, kh), side(g.out_width, kw)];
        let shift = |tap: usize| {
            let (ky, kx) = (tap / kw, tap % kw);
            let phase = ky % g.stride * phases[1] + kx % g.stride;
            phase * plane[0] * plane[1] + ky / g.stride * plane[1] + kx / g.stride
        };
        Self {
            source: [g.input, g.height, g.width],
            before: [g.padding as isize; 2],
            stride: g.stride,
            phases,
            plane,
            taps: (0..kh * kw).filter(|tap| g.meets([tap / kw, tap % kw])).map(|tap| (shift(tap), tap)).collect(),
            grid: [g.out_height, g.out_width],
            first: [0, 0],
            step: 1,
        }
    }

    /// From the gradient of the output to that of the input, one set for every phase that has a tap and a pixel.
    pub(super) fn backward(g: &Geometry) -> Vec<Self> {
        let rows = phases(g, g.height, g.kernel[0]);
        let columns = phases(g, g.width, g.kernel[1]);
        let mut sets = Vec::new();
        for y in &rows {
            for x in &columns {
                let plane = [y.positions + y.taps.len() - 1, x.positions + x.taps.len() - 1];
                let mut taps = Vec::new();
                for (i, ky) in y.taps.iter().enumerate() {
                    let used = x.taps.iter().enumerate().filter(|(_, kx)| g.meets([*ky, **kx]));
                    taps.extend(used.map(|(j, kx)| (i * plane[1] + j, ky * g.kernel[1] + kx)));
                }
                sets.push(Self {
                    source: [g.output, g.out_height, g.out_width],
                    before: [y.before, x.before],
                    stride: 1,
                    phases: [1, 1],
                    plane,
                    taps,
                    grid: [y.positions, x.positions],
                    first: [y.first, x.first],
                    step: g.stride,
                });
            }
        }
        sets
    }

    pub(super) fn positions(&self) -> usize {
        self.grid[0] * self.grid[1]
    }

    /// Shifts of all channels and taps, in the order of a patch.
    pub(super) fn all(&self, channels: usize) -> Vec<usize> {
        let channel = self.channel();
        (0..channels).flat_map(|c| self.taps.iter().map(move |(shift, _)| c * channel + shift)).collect()
    }

    /// Indices into the kernel, in the order of [`Self::all`] within a channel.
    pub(super) fn kernel_taps(&self) -> impl Iterator<Item = usize> {
        self.taps.iter().map(|(_, tap)| *tap)
    }

    /// Where the weights of all channels and taps begin, in the order of [`Self::all`]; those of two channels are `channel` apart.
    pub(super) fn weights(&self, channel: usize) -> Vec<usize> {
        (0..self.source[0]).flat_map(|c| self.kernel_taps().map(move |tap| c * channel + tap)).collect()
    }
}

/// The phases of one side of the input of `pixels`. Pixel `i` lies under tap `k` of position `o` where
/// `i + padding = o · stride + k`.
fn phases(g: &Geometry, pixels: usize, kernel: usize) -> Vec<Phase> {
    let phase = |r: usize| {
        let taps: Vec<usize> = (r..kernel).step_by(g.stride).rev().collect();
        // `i + padding = t · stride + r`: the first and the last `t`.
        let start = g.padding.saturating_sub(r).div_ceil(g.stride);
        let end = (pixels + g.padding).saturating_sub(r).div_ceil(g.stride);
        let before = taps.len() as isize - 1 - start as isize;
        let first = start * g.stride + r - g.padding.min(start * g.stride + r);
        (!taps.is_empty() && end > start).then(|| Phase { taps, before, positions: end - start, first })
    };
    (0..g.stride).filter_map(phase).collect()
}
