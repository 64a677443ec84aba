//! Contrast limited adaptive histogram equalisation (Zuiderveld, Graphics Gems IV, 1994) with OpenCV's conventions.

use super::config::Clahe;
use crate::radiograph::Level;

/// Equalises each of `tiles` x `tiles` tiles of an image by its own histogram, with bins clipped at `clip_limit` times
/// their mean, and interpolates bilinearly between the mappings of neighbouring tiles.
///
/// As in OpenCV's `createCLAHE`, the image is extended by reflection to a multiple of the tiles, the clipped counts are
/// spread evenly, and the mapping is rounded to a level. 8-bit images use 256 bins, 16-bit images 65,536.
///
/// # Shapes
/// `values` and the result have `width * height` values, row by row.
///
/// # Panics
/// If the sizes disagree or `tiles` is 0.
#[must_use]
pub fn clahe<S: Level>(values: &[S], width: usize, height: usize, config: &Clahe) -> Vec<S> {
    assert_eq!(values.len(), width * height, "values of a {width} x {height} image");
    let tiles = config.tiles;
    assert!(tiles > 0, "at least one tile");
    let (tile_width, tile_height) = (width.div_ceil(tiles), height.div_ceil(tiles));
    let bins = usize::from(S::MAX) + 1;
    let tables: Vec<Vec<S>> = (0..tiles * tiles)
        .map(|tile| {
            let mut histogram = vec![0_u32; bins];
            let (left, top) = (tile % tiles * tile_width, tile / tiles * tile_height);
            for y in top..top + tile_height {
                let row = reflect(y, height) * width;
                for x in left..left + tile_width {
                    histogram[usize::from(values[row + reflect(x, width)].get())] += 1;
                }
            }
            equalise(&mut histogram, tile_width * tile_height, config.clip_limit)
        })
        .collect();
    let columns: Vec<_> = (0..width).map(|x| neighbours(x, tile_width, tiles)).collect();
    let mut out = Vec::with_capacity(values.len());
    for y in 0..height {
        let (above, below, down) = neighbours(y, tile_height, tiles);
        for (&(left, right, across), value) in columns.iter().zip(&values[y * width..]) {
            let level =
                |row: usize, column: usize| f32::from(tables[row * tiles + column][usize::from(value.get())].get());
            let upper = level(above, left) * (1.0 - across) + level(above, right) * across;
            let lower = level(below, left) * (1.0 - across) + level(below, right) * across;
            let blended = upper * (1.0 - down) + lower * down;
            out.push(S::from_levels(blended.round_ties_even() as u16));
        }
    }
    out
}

/// The index reflected into `0..length`, without repeating the last pixel; as often as necessary.
fn reflect(at: usize, length: usize) -> usize {
    if at < length {
        return at;
    }
    let period = (2 * length).saturating_sub(2).max(1);
    let at = at % period;
    if at < length { at } else { period - at }
}

/// The mapping of one tile: its clipped histogram, summed up and scaled to the full range.
fn equalise<S: Level>(histogram: &mut [u32], area: usize, clip_limit: f64) -> Vec<S> {
    let bins = histogram.len();
    let limit = ((clip_limit * area as f64 / bins as f64) as u32).max(1);
    let mut cut = 0;
    for bin in histogram.iter_mut() {
        cut += bin.saturating_sub(limit);
        *bin = (*bin).min(limit);
    }
    let even = cut / bins as u32;
    histogram.iter_mut().for_each(|bin| *bin += even);
    let rest = cut as usize - even as usize * bins;
    if let Some(step) = bins.checked_div(rest) {
        let step = step.max(1);
        histogram.iter_mut().step_by(step).take(rest).for_each(|bin| *bin += 1);
    }
    let scale = f32::from(S::MAX) / area as f32;
    let mut sum = 0;
    let map = |&count: &u32| {
        sum += count;
        S::from_levels((sum as f32 * scale).round_ties_even() as u16)
    };
    histogram.iter().map(map).collect()
}

/// The tiles on either side of a pixel, and the weight of the second.
fn neighbours(at: usize, tile: usize, tiles: usize) -> (usize, usize, f32) {
    // The same single-precision arithmetic as OpenCV: position in units of tiles, from the first tile's centre.
    let position = at as f32 * (1.0 / tile as f32) - 0.5;
    let first = position.floor();
    let weight = position - first;
    let clamp = |tile: f32| (tile.max(0.0) as usize).min(tiles - 1);
    (clamp(first), clamp(first + 1.0), weight)
}
