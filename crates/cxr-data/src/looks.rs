//! What a person sees at a glance: images of one grey, of a small part of their range, negatives, bars, strips.

use serde::{Deserialize, Serialize};

use crate::{Pixels, Radiograph};

/// Grey values are counted in this many steps of the full range.
const STEPS: usize = 256;
/// Images whose grey values, without the darkest and brightest hundredth, span less than this are nearly constant.
const NEARLY_CONSTANT: f32 = 0.02;
/// Images that span less than this use a small part of their range.
const SMALL_RANGE: f32 = 0.125;
/// Bars of one grey at the edges that together take more than this share of the area.
const BARS: f32 = 0.35;
/// Sides in a ratio above this.
const STRIP: f32 = 2.5;
/// Of a negative both upper corners (air beside the neck) are brighter than the strip of spine and heart by at least this, and
/// bright themselves.
///
/// Measured on 2,394 real radiographs (NIH, Shenzhen, Montgomery, Hannover, COVID-CXNet): none is taken for a negative, and
/// of their negatives 70 % are. The rest have corners cut by collimation or markers; the measure would rather miss one.
const NEGATIVE_STEP: f32 = 0.3;
const NEGATIVE_CORNERS: f32 = 0.5;

/// Numbers about the grey values of one image, from 0 (black) to 1 (the brightest its depth can hold).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Looks {
    /// Whether all pixels are equal.
    constant: bool,
    /// Hundredth and ninety-ninth percentile.
    low: f32,
    high: f32,
    /// Mean of the darker of the two upper corners, each a tenth of the sides.
    corners: f32,
    /// Mean of the strip of spine and heart: 42 to 58 % of the width, 40 to 90 % of the height.
    strip: f32,
    /// Share of the area in bars of one grey at the edges.
    bars: f32,
    /// Longer side divided by the shorter.
    ratio: f32,
}

/// A remark on what an image looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Remark {
    /// All pixels are equal.
    Constant,
    /// The grey values span less than a fiftieth of the range.
    NearlyConstant,
    /// The grey values span less than an eighth of the range.
    SmallRange,
    /// The upper corners are bright and the spine dark, as of a film shown as a negative (MONOCHROME1 without its inversion).
    Negative,
    /// Bars of one grey take more than a third of the area.
    Bars,
    /// One side is more than two and a half times the other.
    Strip,
    /// 16 bits of which the values use 12 at most; they are scaled to the full range.
    TwelveBit,
    /// Turned as the camera's note (EXIF) says.
    Turned,
    /// Stored in the colours of print (CMYK), and converted.
    Cmyk,
    /// Several frames, of which the first is read.
    Frames,
}

impl Remark {
    /// Words for the report.
    pub fn words(self) -> &'static str {
        match self {
            Self::Constant => "images of one grey (all pixels equal)",
            Self::NearlyConstant => "images that are nearly of one grey (they span less than 1/50 of the range)",
            Self::SmallRange => "images that use a small part of their range (less than 1/8)",
            Self::Negative => "images that look like negatives (bright corners, dark spine)",
            Self::Bars => "images with bars of one grey over more than a third of the area",
            Self::Strip => "images of which one side is more than 2.5 times the other",
            Self::TwelveBit => "images of 12 bits in 16, scaled to the full range",
            Self::Turned => "images turned as their EXIF orientation says",
            Self::Cmyk => "images in the colours of print (CMYK), converted to grey",
            Self::Frames => "files of several frames, of which the first is read",
        }
    }

    /// The share of a set from which on this fails an audit: an image of one grey is an accident, a set of them is none.
    pub(crate) fn fails_from(self) -> Option<f64> {
        match self {
            Self::Constant | Self::NearlyConstant => Some(0.5),
            _ => None,
        }
    }

    /// Whether it only says what was done, in which there is nothing to mend.
    pub(crate) fn is_note(self) -> bool {
        matches!(self, Self::TwelveBit | Self::Turned | Self::Cmyk)
    }
}

impl Looks {
    pub(crate) fn of(image: &Radiograph) -> Self {
        match image.pixels() {
            Pixels::U8(values) => Self::measured(image, |at| usize::from(values[at]), u8::MAX.into()),
            Pixels::U16(values) => Self::measured(image, |at| usize::from(values[at]), u16::MAX.into()),
        }
    }

    fn measured(image: &Radiograph, value: impl Fn(usize) -> usize, most: usize) -> Self {
        let (width, height) = (image.width(), image.height());
        let mut counts = [0_u64; STEPS];
        let (mut least, mut greatest) = (usize::MAX, 0);
        for y in 0..height {
            for x in 0..width {
                let grey = value(y * width + x);
                counts[grey * STEPS / (most + 1)] += 1;
                (least, greatest) = (least.min(grey), greatest.max(grey));
            }
        }
        let all = (width * height) as u64;
        // Mean of a box, given in hundredths of the sides.
        let mean = |(left, right): (usize, usize), (top, bottom): (usize, usize)| {
            let columns = left * width / 100..(right * width / 100).max(left * width / 100 + 1);
            let rows = top * height / 100..(bottom * height / 100).max(top * height / 100 + 1);
            let count = (columns.len() * rows.len()) as f64;
            let sum: f64 = rows.map(|y| columns.clone().map(|x| value(y * width + x) as f64).sum::<f64>()).sum();
            (sum / count / most as f64) as f32
        };
        let percentile = |share: f64| {
            let mut seen = 0;
            let wanted = (all as f64 * share) as u64;
            let step = counts.iter().position(|count| {
                seen += count;
                seen > wanted
            });
            step.unwrap_or(STEPS - 1) as f32 / (STEPS - 1) as f32
        };
        let tolerance = most / 64;
        let same = |values: &mut dyn Iterator<Item = usize>| {
            let (low, high) = values.fold((usize::MAX, 0), |(low, high), v| (low.min(v), high.max(v)));
            high - low.min(high) <= tolerance
        };
        let row = |y: usize| same(&mut (0..width).map(|x| value(y * width + x)));
        let column = |x: usize| same(&mut (0..height).map(|y| value(y * width + x)));
        let (top, bottom) =
            ((0..height).take_while(|&y| row(y)).count(), (0..height).rev().take_while(|&y| row(y)).count());
        let (left, right) =
            ((0..width).take_while(|&x| column(x)).count(), (0..width).rev().take_while(|&x| column(x)).count());
        let rest = height.saturating_sub(top + bottom) * width.saturating_sub(left + right);
        Self {
            constant: least == greatest,
            low: percentile(0.01),
            high: percentile(0.99),
            corners: mean((0, 10), (0, 10)).min(mean((90, 100), (0, 10))),
            strip: mean((42, 58), (40, 90)),
            bars: 1.0 - rest as f32 / all as f32,
            ratio: width.max(height) as f32 / width.min(height) as f32,
        }
    }

    /// What there is to say of the image.
    pub(crate) fn remarks(&self) -> Vec<Remark> {
        if self.constant {
            return vec![Remark::Constant];
        }
        let span = self.high - self.low;
        if span < NEARLY_CONSTANT {
            return vec![Remark::NearlyConstant];
        }
        let mut remarks = Vec::new();
        if span < SMALL_RANGE {
            remarks.push(Remark::SmallRange);
        }
        if self.corners >= NEGATIVE_CORNERS && self.corners - self.strip >= NEGATIVE_STEP {
            remarks.push(Remark::Negative);
        }
        if self.bars > BARS {
            remarks.push(Remark::Bars);
        }
        if self.ratio > STRIP {
            remarks.push(Remark::Strip);
        }
        remarks
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A film of 100 x 100: air in the upper corners, a bright spine, grey values from `low` to `high` of 255.
    fn film(low: f32, high: f32, invert: bool) -> Vec<u8> {
        let grey = |at: usize| {
            let (x, y) = (at % 100, at / 100);
            let spine = (40..60).contains(&x) && y > 20;
            let air = y < 25 && !(25..75).contains(&x);
            let value = if spine {
                0.95
            } else if air {
                0.02
            } else {
                0.2 + 0.4 * (x as f32 * 0.37).sin().abs()
            };
            let value = if invert { 1.0 - value } else { value };
            (low + value * (high - low)) as u8
        };
        (0..100 * 100).map(grey).collect()
    }

    fn remarks(width: usize, height: usize, values: Vec<u8>) -> Vec<Remark> {
        Looks::of(&Radiograph::new(width, height, Pixels::U8(values)).unwrap()).remarks()
    }

    #[test]
    fn what_a_person_sees_at_a_glance() {
        assert_eq!(remarks(100, 100, film(0.0, 255.0, false)), []);
        assert_eq!(remarks(100, 100, film(0.0, 255.0, true)), [Remark::Negative]);
        assert_eq!(remarks(100, 100, film(100.0, 120.0, false)), [Remark::SmallRange]);
        assert_eq!(remarks(100, 100, film(100.0, 103.0, false)), [Remark::NearlyConstant]);
        assert_eq!(remarks(100, 100, vec![7; 10_000]), [Remark::Constant]);
        let mut bars = film(0.0, 255.0, false);
        for (at, value) in bars.iter_mut().enumerate() {
            if at % 100 < 20 || at % 100 >= 80 {
                *value = 3;
            }
        }
        assert_eq!(remarks(100, 100, bars), [Remark::Bars]);
        let strip = film(0.0, 255.0, false).into_iter().cycle().take(30 * 100).collect();
        assert_eq!(remarks(30, 100, strip), [Remark::Strip]);
    }
}
