//! The random parameters of a view, all drawn before any pixel is computed.

use rand::Rng;

use super::config::{Crop, Operation, ViewConfig};
use crate::seed::{below, chance, uniform};

/// A rectangle in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rect {
    /// First column.
    pub left: usize,
    /// First row.
    pub top: usize,
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

/// Random parameters of one view; `None` where an operation is not applied.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ViewParams {
    /// Whether the image is flipped horizontally.
    pub flip: bool,
    /// Angle in degrees, counter-clockwise.
    pub rotation: Option<f64>,
    /// Window in the flipped and rotated image, scaled to S x S.
    pub crop: Rect,
    /// Whether CLAHE is applied.
    pub clahe: bool,
    /// Factor for all values.
    pub brightness: Option<f32>,
    /// Factor for the distance from the mean.
    pub contrast: Option<f32>,
    /// Exponent for all values.
    pub gamma: Option<f32>,
    /// Standard deviation of the Gaussian in pixels.
    pub blur: Option<f32>,
    /// Standard deviation as a fraction of the full range, and the seed of the noise.
    pub noise: Option<(f32, u64)>,
    /// Rectangle of the view that becomes black.
    pub erasing: Option<Rect>,
}

impl ViewParams {
    /// Draws parameters for an image of `width` x `height` pixels that has been prepared (see
    /// [`prepare`](super::prepare)).
    ///
    /// The count of random numbers drawn does not depend on which operations are applied, except that crop and erasing
    /// take up to ten tries.
    #[must_use]
    pub fn draw(config: &ViewConfig, width: usize, height: usize, rng: &mut impl Rng) -> Self {
        let flip = chance(rng, config.flip);
        let rotation = draw(rng, config.rotation, |rng, strength| uniform(rng, -strength, strength));
        let crop = draw_crop(config, width, height, rng);
        let clahe = chance(rng, config.clahe.probability);
        let factor = |rng: &mut _, strength: f64| uniform(rng, 1.0 - strength, 1.0 + strength) as f32;
        Self {
            flip,
            rotation,
            crop,
            clahe,
            brightness: draw(rng, config.brightness, factor),
            contrast: draw(rng, config.contrast, factor),
            gamma: draw(rng, config.gamma, |rng, strength| {
                let log = (1.0 + strength).ln();
                uniform(rng, -log, log).exp() as f32
            }),
            blur: draw(rng, config.blur, |rng, strength| uniform(rng, 0.1, strength) as f32),
            noise: draw(rng, config.noise, |rng, strength| (uniform(rng, 0.0, strength) as f32, rng.next_u64())),
            erasing: draw(rng, config.erasing, |rng, strength| {
                rect_of_area(rng, (0.02, strength), 0.3_f64.recip(), config.size, config.size)
            })
            .flatten(),
        }
    }

    /// Whether any operation other than CLAHE changes the values.
    pub(super) fn changes_intensity(&self) -> bool {
        self.brightness.is_some()
            || self.contrast.is_some()
            || self.gamma.is_some()
            || self.blur.is_some()
            || self.noise.is_some()
            || self.erasing.is_some()
    }
}

/// Always draws the value, so that later numbers do not depend on the outcome.
fn draw<R: Rng, V>(rng: &mut R, operation: Operation, value: impl FnOnce(&mut R, f64) -> V) -> Option<V> {
    let happens = chance(rng, operation.probability);
    let value = value(rng, operation.strength);
    happens.then_some(value)
}

fn draw_crop(config: &ViewConfig, width: usize, height: usize, rng: &mut impl Rng) -> Rect {
    let side = config.size;
    let center = |width_of: usize, height_of: usize| {
        // Half a pixel rounds to even, as Python's `round` does in torchvision's CenterCrop.
        let middle = |long: usize, part: usize| ((long.saturating_sub(part)) as f64 / 2.0).round_ties_even() as usize;
        Rect { left: middle(width, width_of), top: middle(height, height_of), width: width_of, height: height_of }
    };
    match config.crop {
        Crop::Center => center(side, side),
        // `prepare` made the short side S, so both differences are at least 0.
        Crop::Random => {
            let top = below(rng, height.saturating_sub(side) + 1);
            let left = below(rng, width.saturating_sub(side) + 1);
            Rect { left, top, width: side, height: side }
        }
        Crop::Resized { min_area, max_area, max_aspect } => {
            rect_of_area(rng, (min_area, max_area), max_aspect, width, height).unwrap_or_else(|| {
                let short = width.min(height);
                center(short, short)
            })
        }
    }
}

/// A rectangle of random area (a fraction of `width` x `height`) and aspect ratio; `None` if ten tries find none that
/// fits.
fn rect_of_area(
    rng: &mut impl Rng,
    (min_area, max_area): (f64, f64),
    max_aspect: f64,
    width: usize,
    height: usize,
) -> Option<Rect> {
    for _ in 0..10 {
        let area = uniform(rng, min_area, max_area.max(min_area)) * (width * height) as f64;
        let aspect = uniform(rng, -max_aspect.ln(), max_aspect.ln()).exp();
        let wide = (area * aspect).sqrt().round() as usize;
        let high = (area / aspect).sqrt().round() as usize;
        if (1..=width).contains(&wide) && (1..=height).contains(&high) {
            let top = below(rng, height - high + 1);
            let left = below(rng, width - wide + 1);
            return Some(Rect { left, top, width: wide, height: high });
        }
    }
    None
}
