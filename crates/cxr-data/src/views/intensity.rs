//! Operations on grey values in f32, 0 = black, 1 = white. Each clamps to that range, as in torchvision.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::params::{Rect, ViewParams};

/// Applies all operations in `params` to a view of `side * side` values.
pub(super) fn apply(view: &mut [f32], side: usize, params: &ViewParams) {
    if let Some(factor) = params.brightness {
        brightness(view, factor);
    }
    if let Some(factor) = params.contrast {
        contrast(view, factor);
    }
    if let Some(exponent) = params.gamma {
        view.iter_mut().for_each(|value| *value = value.powf(exponent));
    }
    if let Some(deviation) = params.blur {
        blur(view, side, deviation);
    }
    if let Some((deviation, seed)) = params.noise {
        noise(view, deviation, seed);
    }
    if let Some(rect) = params.erasing {
        erase(view, side, rect);
    }
}

fn clamp(value: f32) -> f32 {
    value.clamp(0.0, 1.0)
}

fn brightness(view: &mut [f32], factor: f32) {
    view.iter_mut().for_each(|value| *value = clamp(*value * factor));
}

fn contrast(view: &mut [f32], factor: f32) {
    // Summed in f64, because a sum of a million f32 values would lose precision.
    let mean = (view.iter().map(|&value| f64::from(value)).sum::<f64>() / view.len() as f64) as f32;
    view.iter_mut().for_each(|value| *value = clamp(mean + (*value - mean) * factor));
}

/// Gaussian blur, with reflection at the border that does not repeat it (torchvision's `gaussian_blur`); the kernel
/// covers three deviations.
fn blur(view: &mut [f32], side: usize, deviation: f32) {
    let radius = ((3.0 * deviation).ceil() as usize).clamp(1, side - 1);
    let mut kernel: Vec<f32> =
        (0..=2 * radius).map(|i| (-0.5 * ((i as f32 - radius as f32) / deviation).powi(2)).exp()).collect();
    let sum: f32 = kernel.iter().sum();
    kernel.iter_mut().for_each(|weight| *weight /= sum);
    let mut line = vec![0.0; side + 2 * radius];
    for row in view.chunks_exact_mut(side) {
        line[radius..radius + side].copy_from_slice(row);
        for i in 0..radius {
            line[radius - 1 - i] = row[i + 1];
            line[radius + side + i] = row[side - 2 - i];
        }
        row.fill(0.0);
        for (weight, shifted) in kernel.iter().zip(line.windows(side)) {
            row.iter_mut().zip(shifted).for_each(|(value, &source)| *value += weight * source);
        }
    }
    // Vertically as sums of weighted rows, so that memory is read row by row.
    let source = view.to_vec();
    let reflect = |row: isize| {
        let row = row.unsigned_abs();
        if row < side { row } else { 2 * (side - 1) - row }
    };
    for (y, out) in view.chunks_exact_mut(side).enumerate() {
        out.fill(0.0);
        for (i, weight) in kernel.iter().enumerate() {
            let from = reflect(y as isize + i as isize - radius as isize) * side;
            out.iter_mut().zip(&source[from..from + side]).for_each(|(value, &source)| *value += weight * source);
        }
    }
}

/// Nearly normal noise of mean 0 and the given deviation: the sum of four uniform numbers, limited to 3.5 deviations,
/// from 64 random bits per pixel.
fn noise(view: &mut [f32], deviation: f32, seed: u64) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    // Each of the four 16 bit numbers has the variance 2^32 / 12.
    let scale = deviation * 3.0_f32.sqrt() / 65_536.0;
    let mut bytes = [0; 8 * NOISE_AT_ONCE];
    for values in view.chunks_mut(NOISE_AT_ONCE) {
        let bytes = &mut bytes[..8 * values.len()];
        rng.fill_bytes(bytes);
        for (value, &[a, b, c, d, e, f, g, h]) in values.iter_mut().zip(bytes.as_chunks().0) {
            let part = |low, high| i32::from(u16::from_le_bytes([low, high]));
            let sum = part(a, b) + part(c, d) + part(e, f) + part(g, h);
            *value = clamp(*value + (sum as f32 - 131_070.0) * scale);
        }
    }
}

/// Values whose random bits are drawn together, which is faster than one by one; the bits are the same.
const NOISE_AT_ONCE: usize = 128;

fn erase(view: &mut [f32], side: usize, rect: Rect) {
    for row in view.chunks_exact_mut(side).skip(rect.top).take(rect.height) {
        row[rect.left..rect.left + rect.width].fill(0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mean of 65,536 values has the standard error 0.1 / 256, their deviation about 0.1 / 362; the bounds are five
    /// times these.
    #[test]
    fn noise_has_the_mean_and_deviation_it_claims() {
        let mut view = vec![0.5; 65_536];
        noise(&mut view, 0.1, 3);
        let n = view.len() as f32;
        let mean = view.iter().sum::<f32>() / n;
        let deviation = (view.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / n).sqrt();
        assert!((mean - 0.5).abs() < 5.0 * 0.1 / 256.0, "{mean}");
        assert!((deviation - 0.1).abs() < 5.0 * 0.1 / 362.0, "{deviation}");
    }

    #[test]
    fn a_flat_view_stays_flat_under_blur_and_contrast() {
        let mut view = vec![0.25; 16 * 16];
        blur(&mut view, 16, 9.0);
        contrast(&mut view, 0.3);
        // 2 * radius + 1 = 31 products of f32, twice.
        assert!(view.iter().all(|value| (value - 0.25).abs() < 62.0 * f32::EPSILON), "{view:?}");
    }
}
