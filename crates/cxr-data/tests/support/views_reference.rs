//! Views as the definitions say, pixel by pixel and operation by operation: what the library's fast code is held to, bit
//! for bit, and timed against.

#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

use cxr_data::{Level, Pixels, Radiograph, Rect, Sampling, ViewConfig, ViewMap, ViewParams, clahe};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The view with these parameters, row by row.
pub fn render_with<T: Level>(prepared: &Radiograph, config: &ViewConfig, params: &ViewParams) -> Vec<T> {
    let (width, height) = (prepared.width(), prepared.height());
    match prepared.pixels() {
        Pixels::U8(values) => view_of(Plane { width, height, values }, config, params),
        Pixels::U16(values) => view_of(Plane { width, height, values }, config, params),
    }
}

#[derive(Debug, Clone, Copy)]
struct Plane<'a, S> {
    width: usize,
    height: usize,
    values: &'a [S],
}

fn view_of<S: Level, T: Level>(image: Plane<'_, S>, config: &ViewConfig, params: &ViewParams) -> Vec<T> {
    let side = config.size;
    let mut values: Vec<S> = Vec::new();
    let mut unit: Vec<f32> = Vec::new();
    match config.sampling {
        Sampling::Nearest => values = nearest(image, side, params),
        Sampling::Bilinear => unit = bilinear(image, side, params),
        _ => unreachable!("two ways of sampling"),
    }
    let bare =
        ViewParams { brightness: None, contrast: None, gamma: None, blur: None, noise: None, erasing: None, ..*params };
    if config.sampling == Sampling::Nearest && !params.clahe && *params == bare {
        return values.into_iter().map(T::convert).collect();
    }
    if params.clahe {
        if config.sampling == Sampling::Bilinear {
            values = unit.into_iter().map(S::from_unit).collect();
        }
        values = clahe(&values, side, side, &config.clahe);
        unit = Vec::new();
    }
    if unit.is_empty() {
        unit = values.into_iter().map(Level::to_unit).collect();
    }
    apply(&mut unit, side, params);
    unit.into_iter().map(T::from_unit).collect()
}

fn nearest<S: Level>(image: Plane<'_, S>, side: usize, params: &ViewParams) -> Vec<S> {
    let map = ViewMap::new(params, image.width, image.height);
    let pixel = |at: usize| {
        let (u, v) = ((at % side) as i64, (at / side) as i64);
        let place = |axis: usize| (map.start[axis] + map.across[axis] * u + map.down[axis] * v) >> 16;
        let inside = |at: i64, length: usize| usize::try_from(at).ok().filter(|&at| at < length);
        match (inside(place(0), image.width), inside(place(1), image.height)) {
            (Some(x), Some(y)) => image.values[y * image.width + x],
            _ => S::default(),
        }
    };
    (0..side * side).map(pixel).collect()
}

/// An affine map from view coordinates (u, v) to image coordinates, `x = xx * u + xy * v + x0` and likewise for y.
/// Pixel centres are at half-integers.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Affine {
    xx: f64,
    xy: f64,
    x0: f64,
    yx: f64,
    yy: f64,
    y0: f64,
}

impl Affine {
    /// Rotation of the output by `degrees` counter-clockwise about the centre, as in Pillow's `Image.rotate`, including
    /// its rounding to 15 digits, which makes right angles exact.
    fn rotation(degrees: f64, width: usize, height: usize) -> Self {
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

/// The view by a tent-weighted mean around each pixel's position in the image, in 0..=1, black outside.
///
/// Where the map enlarges, this is bilinear interpolation as in Pillow; where it shrinks, the tent is as wide as a
/// pixel of the view, to avoid aliasing. Border pixels are repeated beyond the border.
///
/// # Shapes
/// Returns `side * side` values, row by row.
fn bilinear<S: Level>(image: Plane<'_, S>, side: usize, params: &ViewParams) -> Vec<f32> {
    let Plane { width, height, .. } = image;
    let crop = params.crop;
    let (scale_x, scale_y) = (crop.width as f64 / side as f64, crop.height as f64 / side as f64);
    let map = Affine::rotation(params.rotation.unwrap_or(0.0), width, height);
    let mut taps = (Taps::new(scale_x), Taps::new(scale_y));
    let mut view = vec![0.0; side * side];
    for (row, out) in view.chunks_exact_mut(side).enumerate() {
        let v = crop.top as f64 + (row as f64 + 0.5) * scale_y;
        for (column, pixel) in out.iter_mut().enumerate() {
            let u = crop.left as f64 + (column as f64 + 0.5) * scale_x;
            let x = map.xx * u + map.xy * v + map.x0;
            let y = map.yx * u + map.yy * v + map.y0;
            if !(0.0..width as f64).contains(&x) || !(0.0..height as f64).contains(&y) {
                continue;
            }
            let x = if params.flip { width as f64 - x } else { x };
            *pixel = weighted_mean(image, &mut taps, x, y);
        }
    }
    view
}

/// Weights of a tent along one axis.
struct Taps {
    /// Half the tent's base in image pixels: 1, or the scale where the map shrinks.
    radius: f64,
    weights: Vec<f32>,
}

impl Taps {
    fn new(scale: f64) -> Self {
        let radius = scale.max(1.0);
        Self { radius, weights: Vec::with_capacity(2 * radius.ceil() as usize + 1) }
    }

    /// Sets the weights around the coordinate `at`, normalised to a sum of 1; returns the pixel of the first weight.
    fn place(&mut self, at: f64) -> isize {
        let at = at - 0.5;
        let first = (at - self.radius).floor() as isize + 1;
        let last = (at + self.radius).ceil() as isize - 1;
        self.weights.clear();
        let weight = |pixel: isize| (1.0 - (pixel as f64 - at).abs() / self.radius) as f32;
        self.weights.extend((first..=last.max(first)).map(weight));
        let sum: f32 = self.weights.iter().sum();
        self.weights.iter_mut().for_each(|weight| *weight /= sum);
        first
    }
}

fn weighted_mean<S: Level>(image: Plane<'_, S>, (across, down): &mut (Taps, Taps), x: f64, y: f64) -> f32 {
    let (left, top) = (across.place(x), down.place(y));
    let clamp = |at: isize, length: usize| at.clamp(0, length as isize - 1) as usize;
    let mut mean = 0.0;
    for (row, weight) in down.weights.iter().enumerate() {
        let start = clamp(top + row as isize, image.height) * image.width;
        let mut sum = 0.0;
        for (column, weight) in across.weights.iter().enumerate() {
            sum += weight * image.values[start + clamp(left + column as isize, image.width)].to_unit();
        }
        mean += weight * sum;
    }
    mean
}

/// Applies all operations in `params` to a view of `side * side` values.
fn apply(view: &mut [f32], side: usize, params: &ViewParams) {
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
    for value in view {
        let bits = rng.next_u64();
        let sum = (bits & 0xffff) + (bits >> 16 & 0xffff) + (bits >> 32 & 0xffff) + (bits >> 48);
        *value = clamp(*value + (sum as f32 - 131_070.0) * scale);
    }
}

fn erase(view: &mut [f32], side: usize, rect: Rect) {
    for row in view.chunks_exact_mut(side).skip(rect.top).take(rect.height) {
        row[rect.left..rect.left + rect.width].fill(0.0);
    }
}
