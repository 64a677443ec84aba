//! The arithmetic on one channel of a group of images, while its planes are in the second cache.
//!
//! Sums run in independent lanes, so that they vectorise, and soon go over to lanes in double precision.

use super::channels::Channel;
use crate::cpu::{Real, pass::Pass};

const LANES: usize = 32;

/// Elements whose mean and variance are taken together, in the first cache.
const BLOCK: usize = 1 << 12;

/// Elements after which sums go on in double precision; after each plane they do so anyway.
const SHORT: usize = 16 * LANES;

/// Mean and biased variance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Moments {
    pub(crate) mean: f64,
    pub(crate) variance: f64,
}

impl Moments {
    /// Scale and offset that normalise: `(x - mean) / sqrt(variance + eps) · weight + bias`.
    #[inline(always)]
    pub(super) fn affine<T: Real>(self, weight: T, bias: T, eps: f64) -> (T, T) {
        let scale = weight * T::narrow(self.inverse(eps));
        (scale, bias - T::narrow(self.mean) * scale)
    }

    pub(super) fn inverse(self, eps: f64) -> f64 {
        1.0 / (self.variance + eps).sqrt()
    }
}

/// Mean and variance of a channel: in two passes over each block, as one pass loses digits where the mean is large, and
/// over all blocks by Chan's formula (Chan, Golub and LeVeque 1983, equation 2.1).
pub(super) struct Measure<'a, T>(pub(super) Channel<'a, T>);

impl<T: Real> Pass for Measure<'_, T> {
    type Output = Moments;

    #[inline(always)]
    fn run(self) -> Moments {
        let Channel { maps, channel, images } = self.0;
        let elements = maps.elements();
        let planes = (BLOCK / elements.max(1)).max(1); // of a block
        let (mut count, mut mean, mut squares) = (0.0, 0.0, 0.0);
        for first in images.clone().step_by(planes) {
            let last = images.end.min(first + planes);
            for start in (0..elements).step_by(BLOCK) {
                let part = start..elements.min(start + BLOCK);
                let n = ((last - first) * part.len()) as f64;
                let block = |image| &maps.plane(image, channel)[part.clone()];
                let mut sum = Sum::new();
                for image in first..last {
                    sum.add(block(image), |v| v);
                }
                let of_block = sum.total() / n;
                let near = T::narrow(of_block);
                let mut sum = Sum::new();
                for image in first..last {
                    sum.add(block(image), |v| (v - near) * (v - near));
                }
                let rounding = of_block - near.wide();
                let squares_of_block = (sum.total() - n * rounding * rounding).max(0.0);
                let distance = of_block - mean;
                squares += squares_of_block + distance * distance * (count * n / (count + n));
                count += n;
                mean += distance * (n / count);
            }
        }
        Moments { mean, variance: squares / count }
    }
}

/// `scale · x + offset`, plus another tensor, with negative values cut off if `rectify`.
pub(super) struct Apply<'a, 'o, T> {
    pub(super) out: &'a mut [&'o mut [T]],
    pub(super) x: Channel<'a, T>,
    pub(super) residual: Option<Channel<'a, T>>,
    pub(super) affine: (T, T),
    pub(super) rectify: bool,
}

impl<T: Real> Pass for Apply<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let (scale, offset) = self.affine;
        let cut = |v: T| if v < T::zero() { T::zero() } else { v }; // NaN stays NaN
        // Unused where there is no residual.
        let residual = self.residual.as_ref().unwrap_or(&self.x);
        for ((out, x), r) in self.out.iter_mut().zip(self.x.planes()).zip(residual.planes()) {
            match (&self.residual, self.rectify) {
                (None, false) => write(out, x, r, |x, _| x * scale + offset),
                (None, true) => write(out, x, r, |x, _| cut(x * scale + offset)),
                (Some(_), false) => write(out, x, r, |x, r| x * scale + offset + r),
                (Some(_), true) => write(out, x, r, |x, r| cut(x * scale + offset + r)),
            }
        }
    }
}

/// Where the output was positive; elsewhere the rectifier stops the gradient.
pub(super) enum Mask<'a, T> {
    /// No rectifier.
    None,
    /// By the output.
    Output(Channel<'a, T>),
    /// By the output computed again, bit by bit as it was.
    Affine(T, T),
}

/// The sums of the backward pass, `Σ dy` and `Σ dy·(x - mean)`; `dy` is masked in place.
pub(super) struct Sums<'a, 'o, T> {
    pub(super) dy: &'a mut [&'o mut [T]],
    pub(super) x: &'a Channel<'a, T>,
    pub(super) mask: Mask<'a, T>,
    pub(super) mean: T,
}

impl<T: Real> Pass for Sums<'_, '_, T> {
    type Output = (f64, f64);

    #[inline(always)]
    fn run(self) -> (f64, f64) {
        let Self { dy, x, mask, mean } = self;
        let zero = T::zero();
        match mask {
            Mask::None => sums(dy, x, x, |dy, _, _| dy, mean),
            Mask::Affine(scale, offset) => {
                sums(dy, x, x, |dy, x, _| if x * scale + offset > zero { dy } else { zero }, mean)
            }
            Mask::Output(y) => sums(dy, x, &y, |dy, _, y| if y > zero { dy } else { zero }, mean),
        }
    }
}

/// `dx = (dy - c₁ - (x - c₃)·c₂) · c₀`.
pub(super) struct Propagate<'a, 'o, 'd, T> {
    pub(super) dy: &'a mut [&'o mut [T]],
    /// Where to; in the place of `dy` if `None`.
    pub(super) dx: Option<&'a mut [&'d mut [T]]>,
    /// Adds to what is in `dx`.
    pub(super) add: bool,
    pub(super) x: &'a Channel<'a, T>,
    pub(super) coefficients: [T; 4],
}

impl<T: Real> Pass for Propagate<'_, '_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let [scale, mean_dy, slope, mean] = self.coefficients;
        let gradient = |dy: T, x: T| (dy - mean_dy - (x - mean) * slope) * scale;
        let planes = self.dy.iter_mut().zip(self.x.planes());
        match (self.dx, self.add) {
            (None, _) => {
                for (dy, x) in planes {
                    for (dy, &x) in dy.iter_mut().zip(x) {
                        *dy = gradient(*dy, x);
                    }
                }
            }
            (Some(dx), false) => {
                for ((dy, x), dx) in planes.zip(dx) {
                    write(dx, dy, x, gradient);
                }
            }
            (Some(dx), true) => {
                for ((dy, x), dx) in planes.zip(dx) {
                    for (dx, (&dy, &x)) in dx.iter_mut().zip(dy.iter().zip(x)) {
                        *dx = *dx + gradient(dy, x);
                    }
                }
            }
        }
    }
}

/// `Σ dy` and `Σ dy·(x - mean)` of the masked gradient, which `mask` gets from `dy`, `x` and `y`.
#[inline(always)]
fn sums<T: Real>(
    dy: &mut [&mut [T]],
    x: &Channel<'_, T>,
    y: &Channel<'_, T>,
    mask: impl Fn(T, T, T) -> T,
    mean: T,
) -> (f64, f64) {
    let (mut sum, mut product) = (Sum::new(), Sum::new());
    for ((dy, x), y) in dy.iter_mut().zip(x.planes()).zip(y.planes()) {
        for ((dy, x), y) in dy.chunks_mut(SHORT).zip(x.chunks(SHORT)).zip(y.chunks(SHORT)) {
            let (mut a, mut b) = ([T::zero(); LANES], [T::zero(); LANES]);
            let (mut dys, xs, ys) = (dy.chunks_exact_mut(LANES), x.chunks_exact(LANES), y.chunks_exact(LANES));
            let (x_rest, y_rest) = (xs.remainder(), ys.remainder());
            for ((dy, x), y) in dys.by_ref().zip(xs).zip(ys) {
                for lane in 0..LANES {
                    dy[lane] = mask(dy[lane], x[lane], y[lane]);
                    a[lane] = a[lane] + dy[lane];
                    b[lane] = b[lane] + dy[lane] * (x[lane] - mean);
                }
            }
            let rest = dys.into_remainder().iter_mut().zip(x_rest.iter().zip(y_rest));
            for ((dy, (&x, &y)), (a, b)) in rest.zip(a.iter_mut().zip(&mut b)) {
                *dy = mask(*dy, x, y);
                *a = *a + *dy;
                *b = *b + *dy * (x - mean);
            }
            sum.widen(&a);
            product.widen(&b);
        }
    }
    (sum.total(), product.total())
}

#[inline(always)]
fn write<T: Real>(out: &mut [T], x: &[T], y: &[T], f: impl Fn(T, T) -> T) {
    for (out, (&x, &y)) in out.iter_mut().zip(x.iter().zip(y)) {
        *out = f(x, y);
    }
}

/// A sum in lanes of double precision.
struct Sum([f64; LANES]);

impl Sum {
    #[inline(always)]
    fn new() -> Self {
        Self([0.0; LANES])
    }

    /// Adds `Σ f(v)`.
    #[inline(always)]
    fn add<T: Real>(&mut self, values: &[T], f: impl Fn(T) -> T) {
        for values in values.chunks(SHORT) {
            let mut lanes = [T::zero(); LANES];
            let chunks = values.chunks_exact(LANES);
            let rest = chunks.remainder();
            for chunk in chunks {
                for lane in 0..LANES {
                    lanes[lane] = lanes[lane] + f(chunk[lane]);
                }
            }
            for (lane, &v) in lanes.iter_mut().zip(rest) {
                *lane = *lane + f(v);
            }
            self.widen(&lanes);
        }
    }

    #[inline(always)]
    fn widen<T: Real>(&mut self, lanes: &[T; LANES]) {
        for (sum, lane) in self.0.iter_mut().zip(lanes) {
            *sum += lane.wide();
        }
    }

    #[inline(always)]
    fn total(&self) -> f64 {
        self.0.iter().sum()
    }
}
