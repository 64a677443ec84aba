//! Convolution by unrolled patches and matrix products.
//!
//! `cols[(c, ky, kx), (y, x)]` holds the pixel under tap `(ky, kx)` of channel `c` for output position `(y, x)`; then
//! `out = W · cols`, `dW = dout · colsᵀ`, and `dx` is `Wᵀ · dout` folded back. Patches are unrolled tile by tile so that
//! they stay in the cache.

use std::ops::Range;

use burn::{
    backend::{
        Flex,
        autodiff::{
            NodeId,
            checkpoint::base::Checkpointer,
            grads::Gradients,
            ops::{Backward, Ops, OpsKind},
        },
        flex::FlexTensor,
    },
    tensor::{DType, Tensor},
};
use rayon::prelude::*;

use super::{
    Real,
    gemm::{Matrix, gemm},
    tape::{self, Strategy},
};

/// Output positions of a tile: enough for an efficient product, few enough for its patches to stay in the cache.
const TILE: usize = 512;

/// # Shapes
/// - x `[B, Ci, H, W]`, weight `[Co, Ci, kH, kW]` to `[B, Co, H', W']`
pub(crate) fn conv2d(x: &Tensor<4>, weight: &Tensor<4>, stride: usize, padding: usize) -> Option<Tensor<4>> {
    let (a, w) = (tape::operand(x)?, tape::operand(weight)?);
    if x.dtype() != weight.dtype() {
        return None;
    }
    let context = tape::context(&[&a, &w]);
    let prepared = ConvBackward.prepare::<Strategy>([a.tensor.node(), w.tensor.node()]).compute_bound().stateful();
    let (x, weight) = (a.tensor.into_primitive().to_contiguous(), w.tensor.into_primitive().to_contiguous());
    let geometry = Geometry::new(tape::dims(&x), tape::dims(&weight), stride, padding);
    let out = match x.dtype() {
        DType::F32 => forward::<f32>(&geometry, &x, &weight),
        _ => forward::<f64>(&geometry, &x, &weight),
    };
    let out = match prepared {
        OpsKind::Tracked(prepared) => prepared.finish(State { x, weight, geometry }, out),
        OpsKind::UnTracked(prepared) => prepared.finish(out),
    };
    Some(tape::wrap(out, context))
}

#[derive(Debug)]
struct ConvBackward;

#[derive(Debug, Clone)]
struct State {
    x: FlexTensor,
    weight: FlexTensor,
    geometry: Geometry,
}

impl Backward<Flex, 2> for ConvBackward {
    type State = State;

    fn backward(self, ops: Ops<State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [x, weight]: [Option<NodeId>; 2] = ops.parents.map(|p| p.map(|p| p.id));
        let grad = grads.consume::<Flex>(&ops.node).to_contiguous();
        let State { x: input, weight: w, geometry } = ops.state;
        if let Some(x) = x {
            let dx = match grad.dtype() {
                DType::F32 => input_grad::<f32>(&geometry, &w, &grad),
                _ => input_grad::<f64>(&geometry, &w, &grad),
            };
            grads.register::<Flex>(x, dx);
        }
        if let Some(weight) = weight {
            let dw = match grad.dtype() {
                DType::F32 => weight_grad::<f32>(&geometry, &input, &grad),
                _ => weight_grad::<f64>(&geometry, &input, &grad),
            };
            grads.register::<Flex>(weight, dw);
        }
    }
}

/// Sizes of one convolution.
#[derive(Debug, Clone, Copy)]
struct Geometry {
    batch: usize,
    input: usize,
    height: usize,
    width: usize,
    output: usize,
    kernel: [usize; 2],
    stride: usize,
    padding: usize,
    out_height: usize,
    out_width: usize,
}

/// Some rows of the output of some images: whole images where they are small, a band of one image where it is large.
#[derive(Debug, Clone)]
struct Tile {
    images: Range<usize>,
    rows: Range<usize>,
}

impl Geometry {
    fn new([batch, input, height, width]: [usize; 4], weight: [usize; 4], stride: usize, padding: usize) -> Self {
        let [output, channels, kh, kw] = weight;
        assert_eq!(input, channels, "channels of a convolution's input and of its weight");
        let side = |size: usize, k: usize| {
            assert!(size + 2 * padding >= k, "a convolution of kernel {k} and padding {padding} over {size} pixels");
            (size + 2 * padding - k) / stride + 1
        };
        let (out_height, out_width) = (side(height, kh), side(width, kw));
        Self { batch, input, height, width, output, kernel: [kh, kw], stride, padding, out_height, out_width }
    }

    fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Length of a patch.
    fn depth(&self) -> usize {
        self.input * self.taps()
    }

    fn positions(&self) -> usize {
        self.out_height * self.out_width
    }

    fn image(&self) -> usize {
        self.input * self.height * self.width
    }

    /// A 1x1 convolution without stride or padding: the image is its own matrix of patches.
    fn pointwise(&self) -> bool {
        self.kernel == [1, 1] && self.stride == 1 && self.padding == 0
    }

    /// Images unrolled together, so that a product has at least [`TILE`] columns.
    fn images_per_tile(&self) -> usize {
        TILE.div_ceil(self.positions()).min(self.batch.max(1))
    }

    /// The tiles of a range of images.
    fn tiles(&self, images: Range<usize>) -> Vec<Tile> {
        if self.positions() <= 2 * TILE {
            let rows = 0..self.out_height;
            let step = self.images_per_tile();
            let tile = |i: usize| Tile { images: i..(i + step).min(images.end), rows: rows.clone() };
            return images.clone().step_by(step).map(tile).collect();
        }
        let band = TILE.div_ceil(self.out_width);
        let bands = |i: usize| {
            let rows = (0..self.out_height).step_by(band);
            rows.map(move |y| Tile { images: i..i + 1, rows: y..(y + band).min(self.out_height) })
        };
        images.flat_map(bands).collect()
    }

    /// Patches of `channels` for one tile, `[channels * taps, columns]` row-major; columns run over images, rows, x.
    fn unroll<T: Real>(&self, x: &[T], tile: &Tile, channels: Range<usize>, cols: &mut Vec<T>) {
        let [kh, kw] = self.kernel;
        let per_image = tile.rows.len() * self.out_width;
        let columns = tile.images.len() * per_image;
        cols.clear();
        cols.resize(channels.len() * self.taps() * columns, T::zero());
        for (r, row) in cols.chunks_exact_mut(columns).enumerate() {
            let (c, tap) = (channels.start + r / self.taps(), r % self.taps());
            let (ky, kx) = (tap / kw, tap % kw);
            debug_assert!(ky < kh);
            for (image, part) in tile.images.clone().zip(row.chunks_exact_mut(per_image)) {
                let plane = &x[image * self.image() + c * self.height * self.width..][..self.height * self.width];
                for (y, line) in tile.rows.clone().zip(part.chunks_exact_mut(self.out_width)) {
                    // Rows outside the image stay zero.
                    let Some(iy) = (y * self.stride + ky).checked_sub(self.padding).filter(|iy| *iy < self.height)
                    else {
                        continue;
                    };
                    let source = &plane[iy * self.width..][..self.width];
                    let (inside, first) = self.inside(kx);
                    if self.stride == 1 {
                        line[inside.clone()].copy_from_slice(&source[first..first + inside.len()]);
                    } else {
                        for (to, from) in line[inside].iter_mut().zip(source[first..].iter().step_by(self.stride)) {
                            *to = *from;
                        }
                    }
                }
            }
        }
    }

    /// Adds patches back onto the pixels they came from: the transpose of [`Self::unroll`] over all channels. `dx` begins
    /// at image `first`.
    fn fold<T: Real>(&self, cols: &[T], tile: &Tile, first: usize, dx: &mut [T]) {
        let kw = self.kernel[1];
        let per_image = tile.rows.len() * self.out_width;
        let columns = tile.images.len() * per_image;
        for (r, row) in cols.chunks_exact(columns).enumerate() {
            let (c, tap) = (r / self.taps(), r % self.taps());
            let (ky, kx) = (tap / kw, tap % kw);
            for (image, part) in tile.images.clone().zip(row.chunks_exact(per_image)) {
                let offset = (image - first) * self.image() + c * self.height * self.width;
                let plane = &mut dx[offset..][..self.height * self.width];
                for (y, line) in tile.rows.clone().zip(part.chunks_exact(self.out_width)) {
                    let Some(iy) = (y * self.stride + ky).checked_sub(self.padding).filter(|iy| *iy < self.height)
                    else {
                        continue;
                    };
                    let (inside, start) = self.inside(kx);
                    let target = &mut plane[iy * self.width + start..(iy + 1) * self.width];
                    if self.stride == 1 {
                        for (to, from) in target.iter_mut().zip(&line[inside]) {
                            *to = *to + *from;
                        }
                    } else {
                        for (to, from) in target.iter_mut().step_by(self.stride).zip(&line[inside]) {
                            *to = *to + *from;
                        }
                    }
                }
            }
        }
    }

    /// Output columns whose tap `kx` lies inside the image, and the pixel under the first of them.
    fn inside(&self, kx: usize) -> (Range<usize>, usize) {
        let first = self.padding.saturating_sub(kx).div_ceil(self.stride);
        let end = (self.width + self.padding).saturating_sub(kx).div_ceil(self.stride).min(self.out_width);
        let end = end.max(first);
        (first..end, (first * self.stride + kx).saturating_sub(self.padding).min(self.width))
    }

    /// `dout` of one tile as a matrix `[Co, columns]`, packed into `buffer` unless `grad` already holds it as one.
    fn gather<'a, T: Real>(&self, grad: &'a [T], tile: &Tile, buffer: &'a mut Vec<T>) -> Matrix<'a, T> {
        let positions = self.positions();
        let start = tile.rows.start * self.out_width;
        let per_image = tile.rows.len() * self.out_width;
        let offset = |image: usize, o: usize| (image * self.output + o) * positions + start;
        if tile.images.len() == 1 {
            let data = &grad[offset(tile.images.start, 0)..];
            return Matrix::new(data, self.output, per_image, positions);
        }
        buffer.clear();
        for o in 0..self.output {
            for image in tile.images.clone() {
                buffer.extend_from_slice(&grad[offset(image, o)..][..per_image]);
            }
        }
        let columns = tile.images.len() * per_image;
        Matrix::new(buffer, self.output, columns, columns)
    }
}

fn forward<T: Real>(g: &Geometry, x: &FlexTensor, weight: &FlexTensor) -> FlexTensor {
    let (x, w) = (tape::values::<T>(x), tape::values::<T>(weight));
    let w = Matrix::new(w, g.output, g.depth(), g.depth());
    let positions = g.positions();
    let mut out = vec![T::zero(); g.batch * g.output * positions];
    let group = g.images_per_tile();
    out.par_chunks_mut(group * g.output * positions).enumerate().for_each_init(
        || (Vec::new(), Vec::new()),
        |(cols, product), (i, out)| {
            let first = i * group;
            let images = first..(first + group).min(g.batch);
            if g.pointwise() && images.len() == 1 {
                let x = Matrix::new(&x[first * g.image()..][..g.image()], g.input, positions, positions);
                return gemm(out, positions, w, x, false);
            }
            for tile in g.tiles(images) {
                let per_image = tile.rows.len() * g.out_width;
                let columns = tile.images.len() * per_image;
                g.unroll(x, &tile, 0..g.input, cols);
                let patches = Matrix::new(cols, g.depth(), columns, columns);
                if tile.images.len() == 1 {
                    let start = (tile.images.start - first) * g.output * positions + tile.rows.start * g.out_width;
                    gemm(&mut out[start..], positions, w, patches, false);
                    continue;
                }
                product.clear();
                product.resize(g.output * columns, T::zero());
                gemm(product, columns, w, patches, false);
                for (o, row) in product.chunks_exact(columns).enumerate() {
                    for (n, part) in row.chunks_exact(per_image).enumerate() {
                        out[(n * g.output + o) * positions..][..per_image].copy_from_slice(part);
                    }
                }
            }
        },
    );
    tape::tensor(out, [g.batch, g.output, g.out_height, g.out_width])
}

fn input_grad<T: Real>(g: &Geometry, weight: &FlexTensor, grad: &FlexTensor) -> FlexTensor {
    let (w, grad) = (tape::values::<T>(weight), tape::values::<T>(grad));
    let w = Matrix::new(w, g.output, g.depth(), g.depth()).transposed();
    let positions = g.positions();
    let mut dx = vec![T::zero(); g.batch * g.image()];
    let group = g.images_per_tile();
    dx.par_chunks_mut(group * g.image()).enumerate().for_each_init(
        || (Vec::new(), Vec::new()),
        |(cols, buffer), (i, dx)| {
            let first = i * group;
            let images = first..(first + group).min(g.batch);
            if g.pointwise() && images.len() == 1 {
                let grad = &grad[first * g.output * positions..][..g.output * positions];
                return gemm(dx, positions, w, Matrix::new(grad, g.output, positions, positions), false);
            }
            for tile in g.tiles(images) {
                let grad = g.gather(grad, &tile, buffer);
                cols.clear();
                cols.resize(g.depth() * grad.cols, T::zero());
                gemm(cols, grad.cols, w, grad, false);
                g.fold(cols, &tile, first, dx);
            }
        },
    );
    tape::tensor(dx, [g.batch, g.input, g.height, g.width])
}

/// Divided by input channels, so that no two tasks write the same part of `dW`; with few channels also by images, whose
/// parts are added in order.
fn weight_grad<T: Real>(g: &Geometry, x: &FlexTensor, grad: &FlexTensor) -> FlexTensor {
    let (x, grad) = (tape::values::<T>(x), tape::values::<T>(grad));
    let block = g.input.div_ceil(16).max(256_usize.div_ceil(g.taps()).min(g.input.div_ceil(4)));
    let tiles = g.tiles(0..g.batch);
    let blocks = g.input.div_ceil(block);
    let parts = if blocks < 4 { 8.min(tiles.len().max(1)) } else { 1 };
    let packed = pack(g, grad, &tiles);
    let tasks: Vec<(usize, usize)> = (0..blocks).flat_map(|b| (0..parts).map(move |p| (b, p))).collect();
    let sums: Vec<Vec<T>> = tasks
        .par_iter()
        .map_init(Vec::new, |cols, &(b, part)| {
            let channels = b * block..((b + 1) * block).min(g.input);
            let depth = channels.len() * g.taps();
            let mut sum = vec![T::zero(); g.output * depth];
            let share = tiles.len().div_ceil(parts);
            let range = (part * share).min(tiles.len())..((part + 1) * share).min(tiles.len());
            for t in range {
                let tile = &tiles[t];
                g.unroll(x, tile, channels.clone(), cols);
                let columns = tile.images.len() * tile.rows.len() * g.out_width;
                let patches = Matrix::new(cols, depth, columns, columns).transposed();
                let mut none = Vec::new();
                let grad = match &packed {
                    Some(packed) => Matrix::new(&packed[t], g.output, columns, columns),
                    None => g.gather(grad, tile, &mut none),
                };
                gemm(&mut sum, depth, grad, patches, true);
            }
            sum
        })
        .collect();
    let mut dw = vec![T::zero(); g.output * g.depth()];
    for (&(b, _), sum) in tasks.iter().zip(&sums) {
        let start = b * block * g.taps();
        let depth = sum.len() / g.output;
        for (to, from) in dw.chunks_exact_mut(g.depth()).zip(sum.chunks_exact(depth)) {
            for (to, from) in to[start..start + depth].iter_mut().zip(from) {
                *to = *to + *from;
            }
        }
    }
    tape::tensor(dw, [g.output, g.input, g.kernel[0], g.kernel[1]])
}

/// `dout` of every tile as `[Co, columns]`, where tiles span images; made once for all channel blocks.
fn pack<T: Real>(g: &Geometry, grad: &[T], tiles: &[Tile]) -> Option<Vec<Vec<T>>> {
    if tiles.iter().all(|t| t.images.len() == 1) {
        return None;
    }
    let one = |tile: &Tile| {
        let mut buffer = Vec::new();
        let matrix = g.gather(grad, tile, &mut buffer);
        if tile.images.len() > 1 {
            return buffer;
        }
        (0..matrix.rows).flat_map(|r| &matrix.data[r * matrix.row_stride..][..matrix.cols]).copied().collect()
    };
    Some(tiles.par_iter().map(one).collect())
}
