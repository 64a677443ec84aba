//! Bilinear sampling along the composed map, in 0..=1.

use std::ops::Range;

use super::bordered::Bordered;
use super::geometry::Affine;
use super::tent::{LANES, integers, tents};
use super::{Plane, params::ViewParams};
use crate::radiograph::Level;

/// The view by a tent-weighted mean around each pixel's position in the image, in 0..=1, black outside.
///
/// Where the map enlarges, this is bilinear interpolation as in Pillow; where it shrinks, the tent is as wide as a
/// pixel of the view, to avoid aliasing. Border pixels are repeated beyond the border.
///
/// # Shapes
/// Returns `side * side` values, row by row.
pub(super) fn bilinear<S: Level>(image: Plane<'_, S>, side: usize, params: &ViewParams) -> Vec<f32> {
    let sampler = Sampler::new(image, side, params);
    let mut view = vec![0.0; side * side];
    // The most pixels that a tent covers. The common numbers are constants, for which the compiler unrolls the loops.
    match (2.0 * sampler.radius[0].max(sampler.radius[1])).ceil() as usize {
        2 => sampler.fill(image, &mut [[[0.0; LANES]; 2]; 3], &mut view),
        3 => sampler.fill(image, &mut [[[0.0; LANES]; 3]; 3], &mut view),
        4 => sampler.fill(image, &mut [[[0.0; LANES]; 4]; 3], &mut view),
        taps => sampler.fill(image, &mut [(); 3].map(|()| vec![[0.0; LANES]; taps]), &mut view),
    }
    view
}

/// Where the pixels of a view lie in the image.
struct Sampler {
    map: Affine,
    width: f64,
    height: f64,
    flip: bool,
    /// Half the tents' bases in image pixels: 1, or the scale where the map shrinks.
    radius: [f64; 2],
    /// What each column of the view adds to x and y.
    columns: [Vec<f64>; 2],
    rows: Vec<f64>,
}

impl Sampler {
    fn new<S: Level>(image: Plane<'_, S>, side: usize, params: &ViewParams) -> Self {
        let Plane { width, height, .. } = image;
        let crop = params.crop;
        let (scale_x, scale_y) = (crop.width as f64 / side as f64, crop.height as f64 / side as f64);
        let map = Affine::rotation(params.rotation.unwrap_or(0.0), width, height);
        let centres = |first: usize, scale: f64| (0..side).map(move |at| first as f64 + (at as f64 + 0.5) * scale);
        let along = |factor: f64| centres(crop.left, scale_x).map(|u| factor * u).collect();
        Self {
            map,
            width: width as f64,
            height: height as f64,
            flip: params.flip,
            radius: [scale_x.max(1.0), scale_y.max(1.0)],
            columns: [along(map.xx), along(map.yx)],
            rows: centres(crop.top, scale_y).collect(),
        }
    }

    fn fill<S: Level, W: AsMut<[[f32; LANES]]>>(&self, image: Plane<'_, S>, weights: &mut [W; 3], view: &mut [f32]) {
        let side = self.rows.len();
        let bordered = self.bordered(image, weights[0].as_mut().len());
        let mut xs = vec![0.0; side + LANES];
        let mut ys = vec![0.0; side + LANES];
        for (&v, out) in self.rows.iter().zip(view.chunks_exact_mut(side)) {
            for (column, (x, y)) in xs.iter_mut().zip(&mut ys).take(side).enumerate() {
                (*x, *y) = self.position(column, v);
            }
            let inside = self.inside(&xs[..side], &ys[..side]);
            if inside.is_empty() {
                continue;
            }
            if self.flip {
                xs.iter_mut().for_each(|x| *x = self.width - *x);
            }
            // The last group of lanes is filled up with the last pixel.
            for at in [&mut xs, &mut ys] {
                let last = at[inside.end - 1];
                at[inside.end..].fill(last);
            }
            let (xs, _) = xs[inside.start..].as_chunks::<LANES>();
            let (ys, _) = ys[inside.start..].as_chunks::<LANES>();
            for ((x, y), out) in xs.iter().zip(ys).zip(out[inside].chunks_mut(LANES)) {
                let means = self.means(&bordered, weights, x, y);
                match <&mut [f32; LANES]>::try_from(&mut *out) {
                    Ok(group) => *group = means,
                    Err(_) => out.copy_from_slice(&means[..out.len()]),
                }
            }
        }
    }

    /// Image coordinates of the view's pixel, before the flip.
    #[inline(always)]
    fn position(&self, column: usize, v: f64) -> (f64, f64) {
        let Affine { xy, x0, yy, y0, .. } = self.map;
        (self.columns[0][column] + xy * v + x0, self.columns[1][column] + yy * v + y0)
    }

    /// The columns of a row of the view that lie inside the image: one range, because a row is a straight line.
    fn inside(&self, xs: &[f64], ys: &[f64]) -> Range<usize> {
        let inside = |(x, y): (&f64, &f64)| (0.0..self.width).contains(x) && (0.0..self.height).contains(y);
        match xs.iter().zip(ys).position(inside) {
            Some(first) => first..xs.iter().zip(ys).rposition(inside).map_or(first, |last| last + 1),
            None => 0..0,
        }
    }

    /// The part of the image that the tents reach.
    fn bordered<S: Level>(&self, image: Plane<'_, S>, taps: usize) -> Bordered {
        let last = self.rows.len() - 1;
        let corners = [(0, 0), (0, last), (last, 0), (last, last)].map(|(u, v)| self.position(u, self.rows[v]));
        let reach = |corner: fn(&(f64, f64)) -> f64, length: f64, flip: bool| {
            let flipped = |at: f64| if flip { length - at } else { at };
            let at = corners.map(|c| flipped(corner(&c).clamp(0.0, length)));
            let (low, high) = at.into_iter().fold((at[0], at[0]), |(low, high), at| (low.min(at), high.max(at)));
            let margin = taps as isize + 1;
            low.floor() as isize - margin..high.ceil() as isize + margin
        };
        Bordered::new(image, reach(|c| c.0, self.width, self.flip), reach(|c| c.1, self.height, false))
    }

    /// The means around these positions in the image.
    #[inline(always)]
    fn means<W: AsMut<[[f32; LANES]]>>(
        &self,
        image: &Bordered,
        weights: &mut [W; 3],
        x: &[f64; LANES],
        y: &[f64; LANES],
    ) -> [f32; LANES] {
        let [across, down, sums] = weights.each_mut().map(AsMut::as_mut);
        let left = tents(across, x, self.radius[0]);
        let top = tents(down, y, self.radius[1]);
        let mut starts = [0.0; LANES];
        for i in 0..LANES {
            starts[i] = (top[i] - image.top as f64) * image.width as f64 + (left[i] - image.left as f64);
        }
        for (i, start) in integers(starts).into_iter().enumerate() {
            for (row, sums) in sums.iter_mut().enumerate() {
                let pixels = &image.values[start + row * image.width..][..across.len()];
                let mut sum = 0.0;
                for (weights, pixel) in across.iter().zip(pixels) {
                    sum += weights[i] * pixel;
                }
                sums[i] = sum;
            }
        }
        let mut means = [0.0_f32; LANES];
        for (sums, weights) in sums.iter().zip(down.iter()) {
            for i in 0..LANES {
                means[i] += weights[i] * sums[i];
            }
        }
        means
    }
}
