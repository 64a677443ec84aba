//! Tent weights along one axis, for several positions at once.

/// Positions whose weights are computed together. The loops over them have no branches, so that the compiler makes
/// vector instructions of them.
pub(super) const LANES: usize = 8;

/// Sets the weights around the coordinates `at`, normalised to a sum of 1, of a tent whose base is `2 * radius` pixels
/// wide; returns the pixel of the first weight.
///
/// There must be at least `2 * radius` weights, the largest number of pixels inside the base. Those of pixels outside are
/// set to 0.
#[inline(always)]
pub(super) fn tents(weights: &mut [[f32; LANES]], at: &[f64; LANES], radius: f64) -> [f64; LANES] {
    let at = at.map(|at| at - 0.5);
    let first = at.map(|at| floor(at - radius) + 1.0);
    let last = at.map(|at| -floor(-(at + radius)) - 1.0);
    let mut sum = [0.0_f32; LANES];
    let count = weights.len();
    for (k, weights) in weights.iter_mut().enumerate() {
        for i in 0..LANES {
            let pixel = first[i] + k as f64;
            let distance = (pixel - at[i]).abs();
            // With two weights the radius is 1, and nothing need be divided.
            let weight = 1.0 - if count == 2 { distance } else { distance / radius };
            weights[i] = (if pixel <= last[i] { weight } else { 0.0 }) as f32;
            sum[i] += weights[i];
        }
    }
    for weights in weights {
        for i in 0..LANES {
            weights[i] /= sum[i];
        }
    }
    first
}

/// 1.5 * 2^52. At this magnitude neighbouring numbers are 1 apart, so adding it rounds to an integer, which can then be
/// read from the last 51 bits. Unlike `as`, this needs no test for numbers out of range.
const INTEGERS: f64 = (3_u64 << 51) as f64;

/// Whole numbers from 0 to below 2^51, as integers.
#[inline(always)]
pub(super) fn integers(values: [f64; LANES]) -> [usize; LANES] {
    values.map(|value| (value + INTEGERS).to_bits() & ((1 << 51) - 1)).map(|bits| bits as usize)
}

/// The largest integer not above `value`, for magnitudes below 2^51.
///
/// `f64::floor` is a function call on x86-64 without SSE4.1.
#[inline(always)]
fn floor(value: f64) -> f64 {
    let nearest = (value + INTEGERS) - INTEGERS;
    nearest - if nearest > value { 1.0 } else { 0.0 }
}
