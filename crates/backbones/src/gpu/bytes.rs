//! Grey levels from bytes that travelled as they are, four in an integer, the first in the lowest bits: one launch a view.

use burn::{
    backend::DispatchDevice,
    tensor::{DType, Device, Int, Tensor},
};
use burn_cubecl::tensor::CubeTensor;
use burn_std::Bytes;
use cubecl::prelude::*;

use super::{tape, unit_an_item};

/// Bytes of an integer.
const BYTES: usize = 4;
/// Bytes of a piece of an upload. After a copy of more than 10 MiB CubeCL 0.11.3 waits until the device has done everything up to
/// the last such copy (`command/staging.rs`): of two views, the second would wait for the step before.
const PIECE: usize = 8 << 20;

/// Uploads bytes and divides them by 255; gives the bytes back where the device is no GPU.
///
/// # Shapes
/// - as many bytes as the result `shape` has elements
///
/// # Errors
/// The bytes, if this is another device.
///
/// # Panics
/// When there are not as many bytes.
#[allow(unsafe_code)]
pub fn grey_levels(mut bytes: Vec<u8>, shape: [usize; 4], device: &Device) -> Result<Tensor<4>, Vec<u8>> {
    if !matches!(device.clone().without_autodiff().as_dispatch(), DispatchDevice::Cube(_)) {
        return Err(bytes);
    }
    let count = bytes.len();
    assert_eq!(count, shape.iter().product::<usize>(), "bytes of {shape:?}");
    let words = count.div_ceil(BYTES);
    bytes.resize(words * BYTES, 0);
    let packed = Tensor::<1, Int>::empty([words], (device, DType::I32));
    let (packed, context) = tape::whole(&packed).expect("a tensor of the device that was asked for");
    write(&packed, bytes);
    let levels = tape::new(&packed, [words * BYTES], DType::F32);
    let (cubes, cube) = unit_an_item(&packed.client, words);
    // SAFETY: a unit reads one integer and writes its four levels.
    unsafe {
        unpack::launch_unchecked(
            &packed.client,
            cubes,
            cube,
            BYTES,
            tape::argument(&packed),
            tape::argument(&levels),
            words,
        );
    }
    Ok(tape::constant(shaped(levels, shape), context))
}

/// Fills a tensor without gaps, piece by piece. The bytes are not copied before the driver's own buffer.
fn write(tensor: &CubeTensor, bytes: Vec<u8>) {
    let size = bytes.len();
    // Not `from_bytes_vec`, which aligns bytes as any type may want it, and so copies them.
    let bytes = Bytes::from_elems(bytes).shared();
    for start in (0..size).step_by(PIECE) {
        let end = size.min(start + PIECE);
        let piece = bytes.view(start, end).expect("a part of bytes that are shared");
        let place = tensor.handle.clone().offset_start(start as u64).offset_end((size - end) as u64);
        tensor.client.write(&place, piece);
    }
}

/// The first elements of a tensor that may have a few more.
fn shaped(tensor: CubeTensor, shape: [usize; 4]) -> CubeTensor {
    let CubeTensor { client, handle, meta, device, dtype, .. } = tensor;
    let rest = meta.num_elements() - shape.iter().product::<usize>();
    let handle = if rest == 0 { handle } else { handle.offset_end((rest * dtype.size()) as u64) };
    CubeTensor::new_contiguous(client, device, shape.into(), handle, dtype)
}

#[cube(launch_unchecked)]
fn unpack<N: Size>(words: &[i32], levels: &mut [Vector<f32, N>], count: usize) {
    if ABSOLUTE_POS < count {
        let word = words[ABSOLUTE_POS];
        let mut four = Vector::<f32, N>::new(0.0);
        #[unroll]
        for i in 0..four.vector_size() {
            // The shift of a negative number copies its sign, which the mask removes.
            four.insert(i, f32::cast_from((word >> comptime!(8 * i as i32)) & 0xff));
        }
        levels[ABSOLUTE_POS] = four / Vector::new(255.0);
    }
}

/// Views sampled from packed planes, divided by 255; `None` on a device that is no GPU.
///
/// A row of the table is a number of every view: column and row of its first pixel in 1/65,536 pixels, their change with each
/// column of the view, and with each row, width and height of the plane, and its first byte. Outside the plane it is black.
///
/// # Shapes
/// - words `[M/4]`, table `[9, N, 1, 1]`, both of 32 bits, to `[N, 1, side, side]`
///
/// # Panics
/// When the table has not nine rows.
#[allow(unsafe_code)]
pub fn sample(words: &Tensor<1, Int>, table: &Tensor<4, Int>, side: usize) -> Option<Tensor<4>> {
    if words.dtype() != DType::I32 || table.dtype() != DType::I32 {
        return None;
    }
    let ((words, context), (table, _)) = (tape::whole(words)?, tape::whole(table)?);
    let [numbers, views, ..] = tape::dims::<4>(&table);
    assert_eq!(numbers, 9, "numbers of a view");
    let most = words.meta.num_elements();
    let levels = tape::new(&words, [views, 1, side, side], DType::F32);
    let pixels = views * side * side;
    let (cubes, cube) = unit_an_item(&words.client, pixels);
    // SAFETY: every pixel is of a unit of its own, and reads nothing beyond the last word, whatever the table says.
    unsafe {
        look_up::launch_unchecked(
            &words.client,
            cubes,
            cube,
            tape::argument(&words),
            tape::argument(&table),
            tape::argument(&levels),
            pixels,
            views,
            side,
            most,
        );
    }
    Some(tape::constant(levels, context))
}

#[cube(launch_unchecked)]
fn look_up(words: &[i32], table: &[i32], levels: &mut [f32], pixels: usize, views: usize, side: usize, most: usize) {
    if ABSOLUTE_POS < pixels {
        let (u, rest) = (i32::cast_from(ABSOLUTE_POS % side), ABSOLUTE_POS / side);
        let (v, view) = (i32::cast_from(rest % side), rest / side);
        // The shift keeps the sign, so that positions left of the plane or above it stay negative.
        let x = (table[view] + table[view + 2 * views] * u + table[view + 4 * views] * v) >> 16i32;
        let y = (table[view + views] + table[view + 3 * views] * u + table[view + 5 * views] * v) >> 16i32;
        let (width, height) = (table[view + 6 * views], table[view + 7 * views]);
        let mut level = 0i32;
        if x >= 0 && y >= 0 && x < width && y < height {
            let at = table[view + 8 * views] + y * width + x;
            let word = usize::cast_from(at >> 2i32);
            if at >= 0 && word < most {
                level = (words[word] >> ((at & 3i32) << 3i32)) & 0xff;
            }
        }
        levels[ABSOLUTE_POS] = f32::cast_from(level) / 255.0;
    }
}
