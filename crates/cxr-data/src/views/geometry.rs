//! Flip, rotation and crop, composed into one affine map from view to image, which is sampled once.

use super::{Plane, params::ViewParams};
use crate::radiograph::Level;

/// An affine map from view coordinates (u, v) to image coordinates, `x = xx * u + xy * v + x0` and likewise for y.
/// Pixel centres are at half-integers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Affine {
    pub(super) xx: f64,
    pub(super) xy: f64,
    pub(super) x0: f64,
    pub(super) yx: f64,
    pub(super) yy: f64,
    pub(super) y0: f64,
}

impl Affine {
    /// Rotation of the output by `degrees` counter-clockwise about the centre, as in Pillow's `Image.rotate`, including
    /// its rounding to 15 digits, which makes right angles exact.
    pub(super) fn rotation(degrees: f64, width: usize, height: usize) -> Self {
        let radians = -degrees.rem_euclid(360.0).to_radians();
        let (sin, cos) = (round15(radians.sin()), round15(radians.cos()));
        let (cx, cy) = (width as f64 / 2.0, height as f64 / 2.0);
        let (x0, y0) = (cos * -cx + sin * -cy + cx, -sin * -cx + cos * -cy + cy);
        Self { xx: cos, xy: sin, x0, yx: -sin, yy: cos, y0 }
    }
}

fn round15(value: f64) -> f64 {
    format!("{value:.15}").parse().expect("a formatted number is a number")
}

/// Flip, rotation and crop in one map with [`Sampling::Nearest`](crate::Sampling::Nearest): the pixel of the prepared
/// image for each pixel of a view.
///
/// The view's column `u` and row `v` show the image's column `(start[0] + across[0] * u + down[0] * v) >> 16` and row
/// `(start[1] + across[1] * u + down[1] * v) >> 16`, black outside. Integer arithmetic gives every
/// implementation the same pixels.
///
/// Bit for bit the same as Pillow's `transpose(FLIP_LEFT_RIGHT)`, `rotate(angle, NEAREST)` and `crop` in sequence:
/// Pillow's map has 16 fractional bits and steps exactly over whole pixels, so a crop only changes the starting point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ViewMap {
    /// Image column and row of the view's first pixel, in 1/65,536 pixels.
    pub start: [i64; 2],
    /// Change of column and row with each column of the view.
    pub across: [i64; 2],
    /// Change of column and row with each row of the view.
    pub down: [i64; 2],
}

impl ViewMap {
    /// The map of the view with these parameters, for a prepared image of `width` x `height` pixels.
    #[must_use]
    pub fn new(params: &ViewParams, width: usize, height: usize) -> Self {
        let map = Affine::rotation(params.rotation.unwrap_or(0.0), width, height);
        let fixed = |value: f64| (value * 65_536.0 + 0.5).floor() as i64;
        let (left, top) = (params.crop.left as i64, params.crop.top as i64);
        let [across_x, across_y] = [fixed(map.xx), fixed(map.yx)];
        let [down_x, down_y] = [fixed(map.xy), fixed(map.yy)];
        let x = fixed(map.x0 + map.xx * 0.5 + map.xy * 0.5) + across_x * left + down_x * top;
        let y = fixed(map.y0 + map.yx * 0.5 + map.yy * 0.5) + across_y * left + down_y * top;
        // A flip mirrors the column: floor(W - 1 / 65536 - x) is exactly W - 1 - floor(x).
        let (x, across_x, down_x) =
            if params.flip { (((width as i64) << 16) - 1 - x, -across_x, -down_x) } else { (x, across_x, down_x) };
        Self { start: [x, y], across: [across_x, across_y], down: [down_x, down_y] }
    }
}

/// The view by nearest sampling along its [`ViewMap`], black outside the image.
///
/// # Shapes
/// Returns `side * side` values, row by row.
///
/// # Panics
/// If the image has a side beyond 65,536 pixels.
pub(super) fn nearest<S: Level>(image: Plane<'_, S>, side: usize, params: &ViewParams) -> Vec<S> {
    let Plane { width, height, values } = image;
    assert!(width.max(height) <= 1 << 16, "an image of {width} x {height} pixels; at most 65,536 a side");
    let ViewMap { start: [first_x, first_y], across: [step_x, step_y], down: [row_x, row_y] } =
        ViewMap::new(params, width, height);
    // Both coordinates in one number, y in the upper half, so that a step is one addition. Inside the image both are in
    // 0..2^32.
    let step = (step_y << 32).wrapping_add(step_x) as u64;
    let place = |at: u64| (at >> 48) as usize * width + (at as u32 >> 16) as usize;
    let mut view = vec![S::default(); side * side];
    for (row, out) in view.chunks_exact_mut(side).enumerate() {
        let (x, y) = (first_x + row_x * row as i64, first_y + row_y * row as i64);
        // The columns of this row inside the image are one range, computed first so that the loop has no bounds test.
        let inside = intersect(columns_inside(x, step_x, width, side), columns_inside(y, step_y, height, side));
        let (x, y) = (x + step_x * inside.start as i64, y + step_y * inside.start as i64);
        let mut at = (y << 32).wrapping_add(x) as u64;
        let mut pixels = out[inside].chunks_exact_mut(4);
        for four in &mut pixels {
            for (i, pixel) in (0..).zip(four) {
                *pixel = values[place(at.wrapping_add(step.wrapping_mul(i)))];
            }
            at = at.wrapping_add(step.wrapping_mul(4));
        }
        for pixel in pixels.into_remainder() {
            *pixel = values[place(at)];
            at = at.wrapping_add(step);
        }
    }
    view
}

/// The steps `i` of `0..count` for which `start + step * i` (16 fractional bits) lies in `0..length`.
fn columns_inside(start: i64, step: i64, length: usize, count: usize) -> std::ops::Range<usize> {
    let end = (length as i64) << 16;
    let clamp = |i: i64| i.clamp(0, count as i64) as usize;
    // The first step at or beyond `bound`.
    let reach = |bound: i64, step: i64| (bound - start * step.signum() + step.abs() - 1).div_euclid(step.abs());
    match step {
        0 if (0..end).contains(&start) => 0..count,
        0 => 0..0,
        1.. => clamp(reach(0, step))..clamp(reach(end, step)),
        // Falling: negated, the positions -start - step * i rise through -(end - 1)..=0.
        _ => clamp(reach(1 - end, step))..clamp(reach(1, step)),
    }
}

fn intersect(a: std::ops::Range<usize>, b: std::ops::Range<usize>) -> std::ops::Range<usize> {
    let start = a.start.max(b.start);
    start..a.end.min(b.end).max(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stretch_inside_is_what_asking_every_pixel_finds() {
        for step in [-70_000, -65_536, -3, -1, 0, 1, 5, 11_380, 65_536, 64_000] {
            for start in [-200_000, -65_537, -1, 0, 1, 65_535, 655_359, 655_360, 700_000] {
                let asked: Vec<usize> =
                    (0..40).filter(|&i| (0..10).contains(&((start + step * i as i64) >> 16))).collect();
                let found: Vec<usize> = columns_inside(start, step, 10, 40).collect();
                assert_eq!(found, asked, "start {start}, step {step}");
            }
        }
    }
}
