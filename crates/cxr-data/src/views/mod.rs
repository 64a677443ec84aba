//! [`Radiograph`] -> S x S view: a deterministic resize, one geometric sampling, intensity operations, one rounding.
//!
//! ```text
//! radiograph --prepare--> short side resized      deterministic: shared by both views, kept in the cache
//!            --geometry-> flip, rotate, crop      one composed transform, sampled once
//!            --intensity> CLAHE, brightness, contrast, gamma, blur, noise, erasing      f32 in 0..=1
//!            --round----> u8 (or u16)
//! ```
//!
//! Source: MoCo-CXR section 3.2 and its `image_transform.py` for [`ViewConfig::moco_cxr`]; the other operations are
//! those of MoCo v2 (arXiv:2003.04297) and SimCLR that make sense on one grey channel.

mod bilinear;
mod bordered;
mod clahe;
mod config;
mod geometry;
mod intensity;
mod params;
mod resize;
mod tent;

use std::any::Any;
use std::borrow::Cow;

use ndarray::Array2;
use rand::Rng;

use crate::radiograph::Level;
use crate::{Pixels, Radiograph};
pub use clahe::clahe;
pub use config::{Clahe, Crop, Operation, Sampling, ViewConfig};
pub use geometry::ViewMap;
pub use params::{Rect, ViewParams};

/// The deterministic part of a view: the short side resized to [`ViewConfig::working_side`].
///
/// Preparing a prepared image changes nothing, so a cache may hold prepared images.
#[must_use]
pub fn prepare<'a>(image: &'a Radiograph, config: &ViewConfig) -> Cow<'a, Radiograph> {
    let short = image.width().min(image.height());
    let side = config.working_side();
    // A resized crop is taken directly from a smaller source, which saves an interpolation.
    if short == side || (short < side && matches!(config.crop, Crop::Resized { .. })) {
        Cow::Borrowed(image)
    } else {
        Cow::Owned(image.resize_short_side(side))
    }
}

/// One random view of an image.
///
/// # Shapes
/// Returns `[S, S]`, row by row from the top, S = [`ViewConfig::size`]; 0 = black, the full range of `T` = white.
///
/// # Panics
/// If `config` does not pass [`ViewConfig::validate`], or the prepared image has a side beyond 65,536 pixels.
#[must_use]
pub fn render<T: Level>(image: &Radiograph, config: &ViewConfig, rng: &mut impl Rng) -> Array2<T> {
    let prepared = prepare(image, config);
    let params = ViewParams::draw(config, prepared.width(), prepared.height(), rng);
    render_with(&prepared, config, &params)
}

/// The view with these parameters, of an image that [`prepare`] returned.
///
/// # Shapes
/// As [`render`].
///
/// # Panics
/// As [`render`].
#[must_use]
pub fn render_with<T: Level>(prepared: &Radiograph, config: &ViewConfig, params: &ViewParams) -> Array2<T> {
    let values = match T::MAX {
        <u8 as Level>::MAX => convert(in_bytes(prepared, config, params)),
        _ => convert(in_words(prepared, config, params)),
    };
    Array2::from_shape_vec((config.size, config.size), values).expect("geometry returns S * S values")
}

// Both depths by name, so that the loops are compiled here, and not once more in each crate that asks for views.

fn in_bytes(prepared: &Radiograph, config: &ViewConfig, params: &ViewParams) -> Vec<u8> {
    view(prepared, config, params)
}

fn in_words(prepared: &Radiograph, config: &ViewConfig, params: &ViewParams) -> Vec<u16> {
    view(prepared, config, params)
}

fn view<T: Level>(prepared: &Radiograph, config: &ViewConfig, params: &ViewParams) -> Vec<T> {
    let (width, height) = (prepared.width(), prepared.height());
    match prepared.pixels() {
        Pixels::U8(values) => view_of(Plane { width, height, values }, config, params),
        Pixels::U16(values) => view_of(Plane { width, height, values }, config, params),
    }
}

/// A borrowed image plane of one depth.
#[derive(Debug, Clone, Copy)]
struct Plane<'a, S> {
    width: usize,
    height: usize,
    values: &'a [S],
}

fn view_of<S: Level, T: Level>(image: Plane<'_, S>, config: &ViewConfig, params: &ViewParams) -> Vec<T> {
    let side = config.size;
    let to_unit = |values: Vec<S>| -> Vec<f32> { values.into_iter().map(Level::to_unit).collect() };
    // Without intensity operations, nearest sampling gives the view in the source's own values.
    let mut unit = match config.sampling {
        Sampling::Nearest => {
            let values = geometry::nearest(image, side, params);
            match params.clahe {
                false if !params.changes_intensity() => return convert(values),
                false => to_unit(values),
                true => to_unit(clahe(&values, side, side, &config.clahe)),
            }
        }
        Sampling::Bilinear => {
            let unit = bilinear::bilinear(image, side, params);
            match params.clahe {
                false => unit,
                // The histograms need levels, so values are rounded to the source's depth.
                true => {
                    let values: Vec<S> = unit.into_iter().map(S::from_unit).collect();
                    to_unit(clahe(&values, side, side, &config.clahe))
                }
            }
        }
    };
    intensity::apply(&mut unit, side, params);
    unit.into_iter().map(T::from_unit).collect()
}

/// The values at another depth; at the same depth they are moved without a copy.
fn convert<S: Level, T: Level>(values: Vec<S>) -> Vec<T> {
    let mut values = Some(values);
    match (&mut values as &mut dyn Any).downcast_mut::<Option<Vec<T>>>() {
        Some(same) => same.take().unwrap_or_default(),
        None => values.into_iter().flatten().map(Level::convert).collect(),
    }
}
