//! The forward pass.

use burn::tensor::DType;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::{
    Division, Norm,
    kernels::{self, Plane},
    merged,
    pooled::{self, Winners},
    whole,
};
use crate::gpu::{
    UNITS,
    packed::Packed,
    tape::{self, Rows},
};

/// Buffers that the kernel for small maps binds, with its own for numbers, and that for maps of few chunks.
const BINDINGS: u32 = 10;
const BINDINGS_OF_MERGED: u32 = 11;

/// A map that is to be normalised.
pub(super) struct Map<'a> {
    pub(super) norm: Norm,
    pub(super) division: Division,
    pub(super) x: &'a Rows,
    pub(super) residual: Option<&'a Rows>,
    pub(super) weight: &'a CubeTensor,
    pub(super) bias: &'a CubeTensor,
    /// Whether a backward pass may follow.
    pub(super) recorded: bool,
}

/// What the forward pass gives.
pub(super) struct Normalised {
    pub(super) out: CubeTensor,
    /// `[4, G, C]`, see [`Plane`].
    pub(super) statistics: CubeTensor,
    /// Of a pooled map, if a backward pass may follow.
    pub(super) winners: Option<Winners>,
}

impl Map<'_> {
    /// Normalised by the running statistics.
    pub(super) fn by_given(&self, running: [CubeTensor; 2]) -> Normalised {
        self.normalised(self.given(running))
    }

    /// Normalised by its own statistics, and the running ones after the batch.
    pub(super) fn by_batch(&self, running: [CubeTensor; 2], momentum: f64) -> (Normalised, [CubeTensor; 2]) {
        let most = self.x.map.client.properties().hardware.max_bindings;
        if !self.norm.pool && self.division.small() && most >= BINDINGS {
            return self.at_once(running, momentum);
        }
        let sums = self.measure();
        if !self.norm.pool && self.division.few() && most >= BINDINGS_OF_MERGED {
            return self.merged(&sums, running, momentum);
        }
        let (statistics, running) = self.finish(&sums, running, momentum);
        (self.normalised(statistics), running)
    }

    fn normalised(&self, statistics: CubeTensor) -> Normalised {
        let (out, winners) = match self.norm.pool {
            true => pooled::forward(self, &statistics, self.recorded),
            false => (self.apply(&statistics), None),
        };
        Normalised { out, statistics, winners }
    }

    #[allow(unsafe_code)]
    fn at_once(&self, [mean, variance]: [CubeTensor; 2], momentum: f64) -> (Normalised, [CubeTensor; 2]) {
        let Self { norm, division: d, x, residual, .. } = self;
        let out = x.new_like();
        let statistics = tape::new(&x.map, [Plane::COUNT, d.groups, d.channels()], DType::F32);
        let running = Packed::new(&x.map, vec![d.channels(); 2]);
        let (other, other_pitch) = self.other();
        // SAFETY: every index is below the size of its buffer, by the division of the map.
        unsafe {
            whole::forward::launch_unchecked(
                &x.map.client,
                d.columns(),
                CubeDim::new_1d(UNITS),
                d.vector,
                x.argument(),
                other,
                tape::argument(self.weight),
                tape::argument(self.bias),
                tape::argument(&mean),
                tape::argument(&variance),
                tape::argument(&statistics),
                running.argument(),
                tape::argument(&out),
                d.rows,
                d.groups,
                d.width,
                x.pitch / d.vector,
                other_pitch / d.vector,
                running.start(1) / d.vector,
                norm.eps as f32,
                momentum as f32,
                d.lanes,
                residual.is_some(),
                norm.rectify,
                x.element(),
            );
        }
        (Normalised { out, statistics, winners: None }, [0, 1].map(|i| running.tensor(i)))
    }

    /// The residual, or a small buffer that is not read.
    fn other(&self) -> (BufferArg, usize) {
        match self.residual {
            Some(residual) => (residual.argument(), residual.pitch),
            None => (tape::argument(self.weight), 0),
        }
    }

    /// Sums over chunks, `[2, G, chunks, C]`.
    #[allow(unsafe_code)]
    fn measure(&self) -> CubeTensor {
        let Self { division: d, x, .. } = self;
        let sums = tape::new(&x.map, [2, d.groups, d.chunks, d.channels()], DType::F32);
        // SAFETY: every index is below the size of its buffer, by the division of the map.
        unsafe {
            kernels::measure::launch_unchecked(
                &x.map.client,
                d.cubes(),
                CubeDim::new_1d(UNITS),
                d.vector,
                x.argument(),
                tape::argument(&sums),
                d.rows,
                d.per_chunk,
                d.width,
                x.pitch / d.vector,
                d.lanes,
                x.element(),
            );
        }
        sums
    }

    /// Statistics `[4, G, C]` of the batch, and the running ones after it.
    #[allow(unsafe_code)]
    fn finish(
        &self,
        sums: &CubeTensor,
        [mean, variance]: [CubeTensor; 2],
        momentum: f64,
    ) -> (CubeTensor, [CubeTensor; 2]) {
        let Self { norm, division: d, x, .. } = self;
        let statistics = tape::new(&x.map, [Plane::COUNT, d.groups, d.channels()], DType::F32);
        let running = Packed::new(&x.map, vec![d.channels(); 2]);
        let (lanes_of_sums, cubes_of_sums) = d.sums();
        // SAFETY: every index is below the size of its buffer, by the division of the map.
        unsafe {
            kernels::finish::launch_unchecked(
                &x.map.client,
                cubes_of_sums,
                CubeDim::new_1d(UNITS),
                d.vector,
                x.argument(),
                tape::argument(sums),
                tape::argument(self.weight),
                tape::argument(self.bias),
                tape::argument(&mean),
                tape::argument(&variance),
                tape::argument(&statistics),
                running.argument(),
                d.rows,
                d.chunks,
                d.groups,
                d.width,
                x.pitch / d.vector,
                running.start(1) / d.vector,
                norm.eps as f32,
                momentum as f32,
                lanes_of_sums,
                x.element(),
            );
        }
        (statistics, [0, 1].map(|i| running.tensor(i)))
    }

    /// What [`Self::finish`] and [`Self::apply`] give.
    #[allow(unsafe_code)]
    fn merged(
        &self,
        sums: &CubeTensor,
        [mean, variance]: [CubeTensor; 2],
        momentum: f64,
    ) -> (Normalised, [CubeTensor; 2]) {
        let Self { norm, division: d, x, residual, .. } = self;
        let out = x.new_like();
        let statistics = tape::new(&x.map, [Plane::COUNT, d.groups, d.channels()], DType::F32);
        let running = Packed::new(&x.map, vec![d.channels(); 2]);
        let (other, other_pitch) = self.other();
        // SAFETY: every index is below the size of its buffer, by the division of the map.
        unsafe {
            merged::apply::launch_unchecked(
                &x.map.client,
                d.cubes(),
                CubeDim::new_1d(UNITS),
                d.vector,
                x.argument(),
                other,
                tape::argument(sums),
                tape::argument(self.weight),
                tape::argument(self.bias),
                tape::argument(&mean),
                tape::argument(&variance),
                tape::argument(&statistics),
                running.argument(),
                tape::argument(&out),
                d.rows,
                d.per_chunk,
                d.chunks,
                d.width,
                x.pitch / d.vector,
                other_pitch / d.vector,
                running.start(1) / d.vector,
                norm.eps as f32,
                momentum as f32,
                d.lanes,
                residual.is_some(),
                norm.rectify,
                x.element(),
            );
        }
        (Normalised { out, statistics, winners: None }, [0, 1].map(|i| running.tensor(i)))
    }

    /// Statistics `[4, 1, C]` from the running ones.
    #[allow(unsafe_code)]
    fn given(&self, [mean, variance]: [CubeTensor; 2]) -> CubeTensor {
        let Self { norm, division: d, x, .. } = self;
        let statistics = tape::new(&x.map, [Plane::COUNT, 1, d.channels()], DType::F32);
        let cubes = CubeCount::Static(d.width.div_ceil(UNITS as usize) as u32, 1, 1);
        // SAFETY: every index is below the number of columns.
        unsafe {
            kernels::given::launch_unchecked(
                &x.map.client,
                cubes,
                CubeDim::new_1d(UNITS),
                d.vector,
                tape::argument(self.weight),
                tape::argument(self.bias),
                tape::argument(&mean),
                tape::argument(&variance),
                tape::argument(&statistics),
                d.width,
                norm.eps as f32,
            );
        }
        statistics
    }

    #[allow(unsafe_code)]
    fn apply(&self, statistics: &CubeTensor) -> CubeTensor {
        let Self { norm, division: d, x, residual, .. } = self;
        let out = x.new_like();
        let (other, other_pitch) = self.other();
        // SAFETY: every index is below the size of its buffer, by the division of the map.
        unsafe {
            kernels::apply::launch_unchecked(
                &x.map.client,
                d.cubes(),
                CubeDim::new_1d(UNITS),
                d.vector,
                x.argument(),
                other,
                tape::argument(statistics),
                tape::argument(&out),
                d.rows,
                d.per_chunk,
                d.width,
                x.pitch / d.vector,
                other_pitch / d.vector,
                d.lanes,
                residual.is_some(),
                norm.rectify,
                x.element(),
            );
        }
        out
    }
}
