//! Views against Pillow (called as torchvision 0.5 calls it), torchvision and OpenCV, each operation alone and the
//! paper's whole chain, given the same random numbers.
//!
//! Values: `golden/make_views.py`, in `golden/views/ops`, with parameters in `cases.json` and versions in
//! `../versions.json`.

#![allow(clippy::unwrap_used)]

mod support;

use cxr_data::{
    Clahe, Crop, Operation, Pixels, Radiograph, Rect, Sampling, ViewConfig, ViewParams, clahe, decode, prepare, render,
    render_with, seed,
};
use ndarray::Array2;
use proptest::prelude::*;
use serde_json::Value;
use support::{golden, npy_u8, npy_u16};

fn cases(kind: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(golden("ops/cases.json")).unwrap();
    let all: Value = serde_json::from_str(&text).unwrap();
    let cases = all[kind].as_array().unwrap().clone();
    assert!(!cases.is_empty());
    cases
}

fn text<'a>(case: &'a Value, field: &str) -> &'a str {
    case[field].as_str().unwrap()
}

fn int(case: &Value, field: &str) -> usize {
    case[field].as_u64().unwrap() as usize
}

fn source(case: &Value) -> Radiograph {
    decode::read(golden(&format!("ops/{}.png", text(case, "source")))).unwrap()
}

fn expected(case: &Value) -> Array2<u8> {
    npy_u8(&golden(&format!("ops/{}.npy", text(case, "name"))))
}

/// Parameters under which nothing happens but the cut of `crop`.
fn still(crop: Rect) -> ViewParams {
    let config = ViewConfig::eval(8);
    ViewParams { crop, ..ViewParams::draw(&config, 8, 8, &mut seed::rng(0, 0, 0, 0)) }
}

/// The bound: within one grey level on 99.9 % of the pixels, the chain being two roundings (Pillow's passes,
/// ours) apart. `exact` where no arithmetic on values is involved.
fn assert_close(name: &str, found: &Array2<u8>, expected: &Array2<u8>, exact: bool) {
    assert_eq!(found.dim(), expected.dim(), "{name}");
    let apart = |levels: u8| found.iter().zip(expected).filter(|(a, b)| a.abs_diff(**b) > levels).count();
    if exact {
        assert_eq!(apart(0), 0, "{name}: pixels that differ");
    }
    let beyond = apart(1);
    assert!(beyond * 1000 <= found.len(), "{name}: {beyond} of {} pixels differ by more than a level", found.len());
}

/// Resize, flip, rotate, crop. Without a resize every pixel must be the same, since nothing but gathering is left.
#[test]
fn the_papers_chain_is_pillows() {
    for case in cases("paper") {
        let size = int(&case, "size");
        let config = ViewConfig::moco_cxr(size);
        let image = source(&case);
        let prepared = prepare(&image, &config);
        let crop = Rect { left: int(&case, "left"), top: int(&case, "top"), width: size, height: size };
        let params =
            ViewParams { flip: case["flip"].as_bool().unwrap(), rotation: case["angle"].as_f64(), ..still(crop) };
        let view = render_with::<u8>(&prepared, &config, &params);
        assert_close(text(&case, "name"), &view, &expected(&case), prepared.as_ref() == &image);
    }
}

/// From the JPEG file on: the decoder may add one level, which a resize averages rather than adds up.
#[test]
fn the_papers_chain_from_a_jpeg_is_pillows() {
    for case in cases("jpeg_chain") {
        let size = int(&case, "size");
        let config = ViewConfig::moco_cxr(size);
        let image = decode::read(golden("decode/grey_q90.jpg")).unwrap();
        let crop = Rect { left: int(&case, "left"), top: int(&case, "top"), width: size, height: size };
        let params = ViewParams { flip: true, rotation: case["angle"].as_f64(), ..still(crop) };
        let view = render_with::<u8>(&prepare(&image, &config), &config, &params);
        assert_close(text(&case, "name"), &view, &expected(&case), false);
    }
}

#[test]
fn evaluation_is_resize_and_centre_crop() {
    for case in cases("eval") {
        let view = render::<u8>(&source(&case), &ViewConfig::eval(int(&case, "size")), &mut seed::rng(0, 0, 0, 0));
        assert_close(text(&case, "name"), &view, &expected(&case), false);
    }
}

#[test]
fn resizing_is_pillows_in_both_directions() {
    for case in cases("resize") {
        let resized = source(&case).resize_short_side(int(&case, "size"));
        let values = Array2::from_shape_vec((resized.height(), resized.width()), resized.to_u8()).unwrap();
        assert_close(text(&case, "name"), &values, &expected(&case), false);
    }
}

/// A 16 bit resize rounded to 8 bits is the 8 bit resize but for the rounding of its passes.
#[test]
fn sixteen_bits_resize_like_eight() {
    let image = decode::read(golden("ops/wide.png")).unwrap();
    let wide = image.to_u8().iter().map(|&value| u16::from(value) * 257).collect();
    let wide = Radiograph::new(image.width(), image.height(), Pixels::U16(wide)).unwrap();
    for side in [33, 160] {
        let (narrow, wide) = (image.resize_short_side(side), wide.resize_short_side(side));
        assert_eq!((wide.width(), wide.height(), wide.bits()), (narrow.width(), narrow.height(), 16));
        let worst = narrow.to_u8().iter().zip(wide.to_u8()).map(|(&a, b)| a.abs_diff(b)).max().unwrap();
        assert!(worst <= 1, "{worst}");
    }
}

/// Pillow's bilinear rotation truncates to a level where we round: at most one level apart.
#[test]
fn bilinear_rotation_is_pillows() {
    for case in cases("bilinear") {
        let size = int(&case, "size");
        let mut config = ViewConfig::eval(size);
        config.sampling = Sampling::Bilinear;
        let image = source(&case);
        let prepared = prepare(&image, &config);
        let params = ViewParams::draw(&config, prepared.width(), prepared.height(), &mut seed::rng(0, 0, 0, 0));
        let params = ViewParams { rotation: case["angle"].as_f64(), ..params };
        assert_close(text(&case, "name"), &render_with(&prepared, &config, &params), &expected(&case), false);
    }
}

/// The 90 x 90 corner of the wide image: what the intensity operations were given.
fn corner() -> Radiograph {
    let image = decode::read(golden("ops/wide.png")).unwrap();
    let Pixels::U8(values) = image.pixels() else { panic!("an 8 bit image") };
    let rows = values.chunks(image.width()).take(90).flat_map(|row| row[..90].iter().copied());
    Radiograph::new(90, 90, Pixels::U8(rows.collect())).unwrap()
}

const WHOLE: Rect = Rect { left: 0, top: 0, width: 90, height: 90 };

/// Both sides compute in f32 and round once; sums in another order move a value by some 1e-7, across a rounding
/// boundary for few pixels: one level, and for fewer than 1 in 100 pixels.
#[test]
fn intensity_operations_are_torchvisions() {
    let view_of = |params: &ViewParams| render_with::<u8>(&corner(), &ViewConfig::eval(90), params);
    let check = |name: &str, view: &Array2<u8>, expected: &Array2<u8>| {
        let differing = view.iter().zip(expected).filter(|(a, b)| a != b).count();
        assert_close(name, view, expected, false);
        assert!(differing * 100 <= view.len(), "{name}: {differing} of {} pixels differ", view.len());
    };
    for case in cases("jitter") {
        let factor = Some(case["factor"].as_f64().unwrap() as f32);
        let params = match text(&case, "op") {
            "brightness" => ViewParams { brightness: factor, ..still(WHOLE) },
            "contrast" => ViewParams { contrast: factor, ..still(WHOLE) },
            "gamma" => ViewParams { gamma: factor, ..still(WHOLE) },
            other => panic!("unknown operation {other}"),
        };
        check(text(&case, "name"), &view_of(&params), &expected(&case));
    }
    for case in cases("blur") {
        let params = ViewParams { blur: Some(case["sigma"].as_f64().unwrap() as f32), ..still(WHOLE) };
        check(text(&case, "name"), &view_of(&params), &expected(&case));
    }
}

/// OpenCV computes in f32 too; its vector code may contract multiply and add, which moves values at a rounding
/// boundary by a level of the image's own depth.
#[test]
fn clahe_is_opencvs() {
    for case in cases("clahe") {
        let name = text(&case, "name");
        let config =
            Clahe { probability: 1.0, clip_limit: case["clip_limit"].as_f64().unwrap(), tiles: int(&case, "tiles") };
        let (input, output) = (golden(&format!("ops/{name}_in.npy")), golden(&format!("ops/{name}.npy")));
        if int(&case, "bits") == 8 {
            let (values, expected) = (npy_u8(&input), npy_u8(&output));
            let found = clahe(values.as_slice().unwrap(), values.ncols(), values.nrows(), &config);
            let worst = found.iter().zip(&expected).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
            assert!(worst <= 1, "{name}: {worst}");
        } else {
            let (values, expected) = (npy_u16(&input), npy_u16(&output));
            let found = clahe(values.as_slice().unwrap(), values.ncols(), values.nrows(), &config);
            let worst = found.iter().zip(&expected).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
            assert!(worst <= 1, "{name}: {worst}");
        }
    }
}

#[test]
fn noise_and_erasing_do_what_they_say() {
    let image = corner();
    let config = ViewConfig::eval(90);
    let plain = render_with::<u8>(&image, &config, &still(WHOLE));
    let rect = Rect { left: 10, top: 70, width: 50, height: 20 };
    let erased = render_with::<u8>(&image, &config, &ViewParams { erasing: Some(rect), ..still(WHOLE) });
    for ((y, x), &value) in erased.indexed_iter() {
        let inside = (10..60).contains(&x) && (70..90).contains(&y);
        assert_eq!(value, if inside { 0 } else { plain[(y, x)] });
    }
    let noisy = |seed| render_with::<u8>(&image, &config, &ViewParams { noise: Some((0.02, seed)), ..still(WHOLE) });
    assert_ne!(noisy(1), noisy(2));
    assert_eq!(noisy(1), noisy(1));
}

/// With everything of zero strength, every operation is the identity, alone and together, in both depths.
#[test]
fn zero_strength_changes_nothing() {
    let image = corner();
    let plain = render_with::<u8>(&image, &ViewConfig::eval(90), &still(WHOLE));
    let zero = Operation { probability: 1.0, strength: 0.0 };
    for sampling in [Sampling::Nearest, Sampling::Bilinear] {
        let mut config = ViewConfig::eval(90);
        config.sampling = sampling;
        (config.rotation, config.brightness, config.contrast, config.gamma, config.noise) =
            (zero, zero, zero, zero, zero);
        config.validate().unwrap();
        assert_eq!(render::<u8>(&image, &config, &mut seed::rng(3, 0, 0, 0)), plain);
    }
    let Pixels::U8(values) = image.pixels() else { panic!("an 8 bit image") };
    assert_eq!(plain.as_slice().unwrap(), values);
    let mut whole = ViewConfig::eval(90);
    whole.crop = Crop::Resized { min_area: 1.0, max_area: 1.0, max_aspect: 1.0 };
    whole.sampling = Sampling::Bilinear;
    assert_eq!(render::<u8>(&image, &whole, &mut seed::rng(3, 0, 0, 0)), plain);
}

/// A crop that is shrunk is averaged, not picked: a fine checkerboard becomes grey.
#[test]
fn shrinking_a_crop_does_not_alias() {
    let values = (0..96 * 96).map(|i| if (i / 96 + i % 96) % 2 == 0 { 255 } else { 0 }).collect();
    let image = Radiograph::new(96, 96, Pixels::U8(values)).unwrap();
    let mut config = ViewConfig::eval(24);
    config.sampling = Sampling::Bilinear;
    let crop = Rect { left: 8, top: 8, width: 80, height: 80 };
    let view = render_with::<u8>(&image, &config, &still(crop));
    // The sum over a tent that spans 3.3 pixels leaves at most a few levels of the pattern.
    assert!(view.iter().all(|value| value.abs_diff(127) <= 8), "{view}");
}

#[test]
fn flip_off_keeps_left_and_right() {
    let values = (0..64 * 64).map(|i| if i % 64 < 32 { 200 } else { 20 }).collect();
    let image = Radiograph::new(64, 64, Pixels::U8(values)).unwrap();
    for (flip, expected) in [(0.0, 0), (1.0, 200)] {
        let mut config = ViewConfig::moco_cxr(64);
        config.flip = flip;
        let flipped = (0..200).filter(|&sample| {
            let view = render::<u8>(&image, &config, &mut seed::rng(0, 0, sample, 0));
            view[(32, 50)] > view[(32, 14)]
        });
        assert_eq!(flipped.count(), expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    /// Any valid recipe on any image gives a view of the size asked for, the same for the same key, whether the image
    /// was prepared before or not.
    #[test]
    fn any_recipe_renders(
        width in 8..90_usize, height in 8..90_usize, size in 8..60_usize, wide: bool, sample: u64,
        degrees in 0.0..180.0_f64, min_area in 0.05..1.0_f64, resized: bool, p in 0.0..=1.0_f64,
    ) {
        let on = |strength| Operation { probability: p, strength };
        let mut config = ViewConfig::eval(size);
        (config.rotation, config.flip) = (on(degrees), p);
        config.crop = if resized { Crop::Resized { min_area, max_area: 1.0, max_aspect: 2.0 } } else { Crop::Random };
        config.sampling = if resized { Sampling::Bilinear } else { Sampling::Nearest };
        config.clahe = Clahe { probability: p, clip_limit: 2.0, tiles: 5 };
        (config.brightness, config.contrast, config.gamma) = (on(0.5), on(0.9), on(1.0));
        (config.blur, config.noise, config.erasing) = (on(3.0), on(0.2), on(0.9));
        config.validate().unwrap();
        let values = (0..width * height).map(|i| (i * 37 % 256) as u16);
        let pixels = if wide { Pixels::U16(values.map(|v| v * 257).collect()) } else { Pixels::U8(values.map(|v| v as u8).collect()) };
        let image = Radiograph::new(width, height, pixels).unwrap();
        let view = |image: &Radiograph| render::<u16>(image, &config, &mut seed::rng(1, 2, sample, 3));
        prop_assert_eq!(view(&image).dim(), (size, size));
        let prepared = prepare(&image, &config).into_owned();
        prop_assert_eq!(view(&prepared), view(&image));
    }
}
