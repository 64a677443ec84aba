//! The fast code of views against the plain code of `support/views_reference.rs`: the same pixels, bit for bit.

#![allow(clippy::unwrap_used)]

#[path = "support/views_reference.rs"]
mod reference;

use cxr_data::{
    Clahe, Crop, Operation, Pixels, Radiograph, Rect, Sampling, ViewConfig, ViewParams, prepare, render_with, seed,
};
use rand::Rng;

/// Values with structure at every scale: flat black and white stretches, edges and noise.
fn image(width: usize, height: usize, wide: bool, rng: &mut impl Rng) -> Radiograph {
    let level = |rng: &mut _| match seed::below(rng, 4) {
        0 => 0,
        1 => u16::MAX,
        _ => seed::below(rng, 1 << 16) as u16,
    };
    let mut current = 0;
    let values = (0..width * height).map(|_| {
        if seed::chance(rng, 0.6) {
            current = level(rng);
        }
        current
    });
    let pixels = match wide {
        true => Pixels::U16(values.collect()),
        false => Pixels::U8(values.map(|value| (value >> 8) as u8).collect()),
    };
    Radiograph::new(width, height, pixels).unwrap()
}

fn config(size: usize, rng: &mut impl Rng) -> ViewConfig {
    let mut config = ViewConfig::strong(size);
    let mut on = |strength: f64| {
        let probability = [0.0, 0.5, 1.0][seed::below(rng, 3)];
        Operation { probability, strength: seed::uniform(rng, strength / 10.0, strength) }
    };
    (config.rotation, config.gamma, config.brightness) = (on(180.0), on(2.0), on(1.0));
    (config.contrast, config.noise) = (on(1.0), on(0.3));
    config.blur = Operation { strength: seed::uniform(rng, 0.1, 4.0), ..config.gamma };
    config.erasing = Operation { strength: seed::uniform(rng, 0.02, 0.9), ..config.noise };
    if seed::chance(rng, 0.5) {
        config.rotation.strength = seed::uniform(rng, 0.0, 15.0);
    }
    let probability = [0.0, 0.0, 1.0][seed::below(rng, 3)];
    config.clahe = Clahe { probability, clip_limit: 2.0, tiles: 1 + seed::below(rng, 8) };
    // From small fractions, whose tents span many pixels where the crop is large, to the whole.
    let min_area = [0.05, 0.2, 0.4, 1.0][seed::below(rng, 4)];
    config.crop = match seed::below(rng, 5) {
        0 => Crop::Center,
        1 => Crop::Random,
        _ => Crop::Resized { min_area, max_area: 1.0, max_aspect: seed::uniform(rng, 1.0, 3.0) },
    };
    if !matches!(config.crop, Crop::Resized { .. }) && seed::chance(rng, 0.5) {
        config.sampling = Sampling::Nearest;
    }
    config.validate().unwrap();
    config
}

fn compare(image: &Radiograph, config: &ViewConfig, params: &ViewParams) {
    let case = || format!("{} x {}, {} bits, {config:?}, {params:?}", image.width(), image.height(), image.bits());
    let found = render_with::<u8>(image, config, params).into_raw_vec_and_offset().0;
    assert!(found == reference::render_with::<u8>(image, config, params), "8 bits of {}", case());
    let found = render_with::<u16>(image, config, params).into_raw_vec_and_offset().0;
    assert!(found == reference::render_with::<u16>(image, config, params), "16 bits of {}", case());
}

/// Sizes from one pixel up, even and odd; every operation on and off; crops anywhere, at the border and beyond it; both
/// depths of source and view.
#[test]
fn the_pixels_are_those_of_the_plain_code() {
    for sample in 0..600 {
        let rng = &mut seed::rng(17, 0, sample, 0);
        let size = 8 + seed::below(rng, 70);
        let config = config(size, rng);
        let (width, height) = (8 + seed::below(rng, 150), 8 + seed::below(rng, 150));
        let wide = seed::chance(rng, 0.5);
        let image = image(width, height, wide, rng);
        let prepared = prepare(&image, &config);
        let mut params = ViewParams::draw(&config, prepared.width(), prepared.height(), rng);
        compare(&prepared, &config, &params);
        if config.sampling == Sampling::Bilinear {
            // A window of any size and place, on an image that was not prepared.
            params.crop = Rect {
                left: seed::below(rng, width),
                top: seed::below(rng, height),
                width: 1 + seed::below(rng, 2 * width),
                height: 1 + seed::below(rng, 2 * height),
            };
            compare(&image, &config, &params);
        }
    }
}

/// Right angles and whole shifts, where positions lie exactly on pixels and on the border, and images of a few pixels.
#[test]
fn exact_positions_and_tiny_images_too() {
    for sample in 0..300 {
        let rng = &mut seed::rng(18, 0, sample, 0);
        let (width, height) = (1 + seed::below(rng, 9), 1 + seed::below(rng, 9));
        let wide = seed::chance(rng, 0.5);
        let image = image(width, height, wide, rng);
        let mut config = ViewConfig::strong([8, 9, 16, 17][seed::below(rng, 4)]);
        config.rotation = Operation::OFF;
        let mut params = ViewParams::draw(&config, width, height, rng);
        params.rotation = [None, Some(0.0), Some(90.0), Some(180.0), Some(270.0), Some(45.0)][seed::below(rng, 6)];
        compare(&image, &config, &params);
        let scale = 1 + seed::below(rng, 3);
        (params.crop.width, params.crop.height) = (scale * config.size, config.size);
        compare(&image, &config, &params);
    }
}

/// The preset at its full size, on an image as large as it is prepared for.
#[test]
fn the_preset_small_is_the_plain_code_at_320_pixels() {
    let config = ViewConfig::strong(320);
    let rng = &mut seed::rng(19, 0, 0, 0);
    for (width, height, wide) in [(506, 617, false), (700, 506, true), (320, 320, false), (506, 1500, false)] {
        let image = image(width, height, wide, rng);
        for _ in 0..12 {
            compare(&image, &config, &ViewParams::draw(&config, width, height, rng));
        }
    }
}
