//! The feature maps of a dense block in one buffer.
//!
//! Every layer reads all maps before it and adds its own. In one buffer `[B, H, W, C]` of all channels of the block a layer
//! reads the first of each row, and its output is copied behind them: nothing is joined. The gradients of the maps meet in
//! another such buffer, to which the layers add in turn.

use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::Tensor;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::{
    conv::conv2d,
    tape::{self, Rows},
    unit_an_item,
};

/// The maps so far of a block, whose buffer has room for more. After each map all so far are normalised once at most, and the graph
/// is followed back once: gradients are added up over the layers.
#[derive(Debug, Clone)]
pub(crate) struct Slab {
    buffer: CubeTensor,
    /// Channels of each map so far.
    widths: Vec<usize>,
    /// Gradients, once the last layer of the block has been through its backward pass.
    gradients: Arc<Mutex<Option<CubeTensor>>>,
}

impl Slab {
    /// With one map `[B, C, H, W]` and room for so many channels more.
    pub(crate) fn new(first: &Tensor<4>, room: usize) -> Option<Self> {
        let map = tape::operand(first)?.tensor.into_primitive();
        let [b, c, h, w] = tape::dims(&map);
        let buffer = tape::new_map(&map, [b, c + room, h, w], map.dtype);
        let mut slab = Self { buffer, widths: Vec::new(), gradients: Arc::default() };
        slab.append(map);
        Some(slab)
    }

    /// Adds the map that a convolution makes of x, as [`conv2d`] does it; `None` also for another precision.
    pub(crate) fn convolved(
        &mut self,
        x: &Tensor<4>,
        weight: &Tensor<4>,
        stride: usize,
        padding: usize,
    ) -> Option<Tensor<4>> {
        let x = Some(x).filter(|x| x.dtype() == self.buffer.dtype)?;
        let new = conv2d(x, weight, stride, padding, Some(self))?;
        self.widths.push(new.dims()[1]);
        Some(new)
    }

    /// The whole buffer and the channel where the next map begins, if it is of these sizes.
    ///
    /// # Panics
    /// When it does not fit.
    pub(crate) fn place(&self, [b, c, h, w]: [usize; 4]) -> (Rows, usize) {
        let ([images, capacity, height, width], start) = (tape::dims(&self.buffer), self.channels());
        assert!(
            [b, h, w] == [images, height, width] && start + c <= capacity,
            "a map {b} x {c} x {h} x {w} for a block of {images} x {capacity} x {height} x {width} with {start} channels so far"
        );
        (self.whole(), start)
    }

    /// Adds a map.
    ///
    /// # Panics
    /// When the tensor is of another backend or precision than the first, or does not fit.
    pub(crate) fn push(&mut self, map: &Tensor<4>) {
        self.append(tape::operand(map).expect("a map of the block's device").tensor.into_primitive());
    }

    fn append(&mut self, map: CubeTensor) {
        assert!(map.dtype == self.buffer.dtype, "a map of {:?} for a block of {:?}", map.dtype, self.buffer.dtype);
        let map = Rows::of(map);
        let (to, start) = self.place(tape::dims(&map.map));
        copy_rows(&map, &to, start);
        self.widths.push(map.columns);
    }

    /// Where the last map begins.
    pub(crate) fn last(&self) -> usize {
        self.widths.split_last().map_or(0, |(_, others)| others.iter().sum())
    }

    fn channels(&self) -> usize {
        self.widths.iter().sum()
    }

    fn whole(&self) -> Rows {
        Rows::of(self.buffer.clone())
    }

    /// All maps so far as one.
    pub(crate) fn rows(&self) -> Rows {
        self.part(self.buffer.clone(), self.channels())
    }

    /// The first `channels` channels of a buffer of this size.
    fn part(&self, buffer: CubeTensor, channels: usize) -> Rows {
        let whole = Rows::of(buffer);
        let mut map = whole.map;
        let [b, _, h, w] = tape::dims(&map);
        let strides = map.meta.strides().clone();
        *map.meta = burn_std::Metadata::new([b, channels, h, w], strides);
        Rows { map, columns: channels, ..whole }
    }

    /// The buffer for the gradients of the maps so far, whether it holds gradients already, to which those of this layer are
    /// added, and where the last map begins, whose gradient goes to [`Self::new_last`] instead.
    pub(crate) fn gradient(&self) -> (Rows, bool, usize) {
        let mut place = self.gradients.lock().unwrap_or_else(PoisonError::into_inner);
        let there = place.is_some();
        let gradients = place.get_or_insert_with(|| {
            let buffer = &self.buffer;
            // As wide as what is asked for first, which is by the last layer of the block.
            let [b, _, h, w] = tape::dims(buffer);
            tape::new_map(buffer, [b, self.channels(), h, w], buffer.dtype)
        });
        (self.part(gradients.clone(), self.channels()), there, self.last())
    }

    /// An uninitialised map of the size of the last one.
    pub(crate) fn new_last(&self) -> CubeTensor {
        let [b, _, h, w] = tape::dims(&self.buffer);
        tape::new_map(&self.buffer, [b, self.channels() - self.last(), h, w], self.buffer.dtype)
    }
}

/// Copies a map into another of as many rows, where it begins at a column.
#[allow(unsafe_code)]
pub(super) fn copy_rows(from: &Rows, to: &Rows, start: usize) {
    let sizes = [from.pitch, to.pitch, start, from.columns];
    let vector = tape::vector(&sizes);
    let [from_pitch, to_pitch, start, width] = sizes.map(|size| size / vector);
    let client = &from.map.client;
    let (cubes, cube) = unit_an_item(client, from.rows * width);
    // SAFETY: both maps have these rows, and the columns are within theirs.
    unsafe {
        copy::launch_unchecked(
            client,
            cubes,
            cube,
            vector,
            from.argument(),
            to.argument(),
            from.rows,
            width,
            from_pitch,
            to_pitch,
            start,
            from.element(),
        );
    }
}

/// Copies rows of `width` vectors from one map into another of another pitch, at `start` of each row.
#[cube(launch_unchecked)]
fn copy<F: Float, N: Size>(
    from: &[Vector<F, N>],
    to: &mut [Vector<F, N>],
    rows: usize,
    width: usize,
    from_pitch: usize,
    to_pitch: usize,
    start: usize,
    #[define(F)] _element: ElemType,
) {
    let (row, column) = (ABSOLUTE_POS / width, ABSOLUTE_POS % width);
    if row < rows {
        to[row * to_pitch + start + column] = from[row * from_pitch + column];
    }
}
