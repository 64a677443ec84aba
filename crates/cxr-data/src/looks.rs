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
/// Of a negative the frame (the outer twentieth) is brighter than the middle by at least this, and bright itself.
const NEGATIVE_STEP: f32 = 0.3;
const NEGATIVE_FRAME: f32 = 0.75;

/// Numbers about the grey values of one image, from 0 (black) to 1 (the brightest its depth can hold).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Looks {
    /// Whether all pixels are equal.
    constant: bool,
    /// Hundredth and ninety-ninth percentile.
    low: f32,
    high: f32,
    /// Mean of the outer twentieth on each side, and of the middle half.
    frame: f32,
    middle: f32,
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
    /// The frame is bright and the middle dark, as of a film shown as a negative (MONOCHROME1 without its inversion).
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
}

impl Remark {
    /// Words for the report.
    pub fn words(self) -> &'static str {
        match self {
            Self::Constant => "images of one grey (all pixels equal)",
            Self::NearlyConstant => "images that are nearly of one grey (they span less than 1/50 of the range)",
            Self::SmallRange => "images that use a small part of their range (less than 1/8)",
            Self::Negative => "images that look like negatives (bright frame, dark middle)",
            Self::Bars => "images with bars of one grey over more than a third of the area",
            Self::Strip => "images of which one side is more than 2.5 times the other",
            Self::TwelveBit => "images of 12 bits in 16, scaled to the full range",
            Self::Turned => "images turned as their EXIF orientation says",
            Self::Cmyk => "images in the colours of print (CMYK), converted to grey",
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
        let (x_edge, y_edge) = ((width / 20).max(1), (height / 20).max(1));
        let (mut frame, mut middle) = ((0_u64, 0_u64), (0_u64, 0_u64));
        for y in 0..height {
            let in_frame_row = y < y_edge || y >= height - y_edge;
            let in_middle_row = y >= height / 4 && y < height - height / 4;
            for x in 0..width {
                let grey = value(y * width + x);
                counts[grey * STEPS / (most + 1)] += 1;
                (least, greatest) = (least.min(grey), greatest.max(grey));
                if in_frame_row || x < x_edge || x >= width - x_edge {
                    frame = (frame.0 + grey as u64, frame.1 + 1);
                } else if in_middle_row && x >= width / 4 && x < width - width / 4 {
                    middle = (middle.0 + grey as u64, middle.1 + 1);
                }
            }
        }
        let all = (width * height) as u64;
        let mean = |(sum, count): (u64, u64)| if count == 0 { 0.0 } else { (sum as f64 / count as f64 / most as f64) as f32 };
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
        let (top, bottom) = ((0..height).take_while(|&y| row(y)).count(), (0..height).rev().take_while(|&y| row(y)).count());
        let (left, right) = ((0..width).take_while(|&x| column(x)).count(), (0..width).rev().take_while(|&x| column(x)).count());
        let rest = height.saturating_sub(top + bottom) * width.saturating_sub(left + right);
        Self {
            constant: least == greatest,
            low: percentile(0.01),
            high: percentile(0.99),
            frame: mean(frame),
            middle: mean(middle),
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
        if self.frame >= NEGATIVE_FRAME && self.frame - self.middle >= NEGATIVE_STEP {
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
