//! Tent weights along one axis, for several positions at once.

/// Positions whose weights are computed together. The loops over them have no branches, so that the compiler makes
/// vector instructions of them.
pub(super) const LANES: usize = 8;

/// The first pixel and the weights of `N` pixels from there on, for each of [`LANES`] positions.
pub(super) struct Tents<const N: usize> {
    pub(super) first: [f64; LANES],
    pub(super) weights: [[f32; LANES]; N],
}

impl<const N: usize> Tents<N> {
    /// Weights around the coordinates `at`, normalised to a sum of 1, of a tent whose base is `2 * radius` pixels wide.
    ///
    /// `N` must be at least `2 * radius`, the largest number of pixels inside the base. Weights of pixels outside are 0.
    #[inline(always)]
    pub(super) fn around(at: &[f64; LANES], radius: f64) -> Self {
        let at = at.map(|at| at - 0.5);
        let first = at.map(|at| floor(at - radius) + 1.0);
        let last = at.map(|at| -floor(-(at + radius)) - 1.0);
        let mut weights = [[0.0_f32; LANES]; N];
        let mut sum = [0.0_f32; LANES];
        for (k, weights) in weights.iter_mut().enumerate() {
            for i in 0..LANES {
                let pixel = first[i] + k as f64;
                let distance = (pixel - at[i]).abs();
                // Where the map enlarges, N is 2 and the radius 1: nothing to divide by.
                let weight = 1.0 - if N == 2 { distance } else { distance / radius };
                weights[i] = (if pixel <= last[i] { weight } else { 0.0 }) as f32;
                sum[i] += weights[i];
            }
        }
        for weights in &mut weights {
            for i in 0..LANES {
                weights[i] /= sum[i];
            }
        }
        Self { first, weights }
    }
}

/// At this magnitude neighbouring numbers are 1 apart, so that a sum with it is rounded to an integer, which stands in
/// its last bits.
const INTEGERS: f64 = (3_u64 << 51) as f64;

/// The integers below 2^32 that these numbers are.
#[inline(always)]
pub(super) fn integers(values: [f64; LANES]) -> [usize; LANES] {
    values.map(|value| (value + INTEGERS).to_bits() as u32 as usize)
}

/// The largest integer not above `value`, for magnitudes below 2^51.
///
/// `f64::floor` is a function call on x86-64 without SSE4.1.
#[inline(always)]
fn floor(value: f64) -> f64 {
let nearest = (value + INTEGERS) - INTEGERS;
    nearest - if nearest > value { 1.0 } else { 0.0 }
}
