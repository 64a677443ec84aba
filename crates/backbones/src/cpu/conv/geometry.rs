//! Sizes of one convolution.

#[derive(Debug, Clone, Copy)]
pub(super) struct Geometry {
    pub(super) batch: usize,
    pub(super) input: usize,
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) output: usize,
    pub(super) kernel: [usize; 2],
    pub(super) stride: usize,
    pub(super) padding: usize,
    pub(super) out_height: usize,
    pub(super) out_width: usize,
}

impl Geometry {
    pub(super) fn new(
        [batch, input, height, width]: [usize; 4],
        weight: [usize; 4],
        stride: usize,
        padding: usize,
    ) -> Self {
        let [output, channels, kh, kw] = weight;
        assert_eq!(input, channels, "channels of a convolution's input and of its weight");
        let side = |size: usize, k: usize| {
            assert!(size + 2 * padding >= k, "a convolution of kernel {k} and padding {padding} over {size} pixels");
            (size + 2 * padding - k) / stride + 1
        };
        let (out_height, out_width) = (side(height, kh), side(width, kw));
        Self { batch, input, height, width, output, kernel: [kh, kw], stride, padding, out_height, out_width }
    }

    pub(super) fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Length of a patch.
    pub(super) fn depth(&self) -> usize {
        self.input * self.taps()
    }

    pub(super) fn positions(&self) -> usize {
        self.out_height * self.out_width
    }

    /// Whether a tap finds a pixel from some position: over a plane of one pixel only the middle one does.
    pub(super) fn meets(&self, tap: [usize; 2]) -> bool {
        let side = |k: usize, pixels: usize, positions: usize| {
            let first = self.padding.saturating_sub(k).div_ceil(self.stride);
            first < positions && first * self.stride + k < pixels + self.padding
        };
        side(tap[0], self.height, self.out_height) && side(tap[1], self.width, self.out_width)
    }
}
