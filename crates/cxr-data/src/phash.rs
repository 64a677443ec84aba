//! What is kept of an image to find it again: a hash of its pixels for equality, a perceptual hash for the search of
//! near duplicates, and a thumbnail to confirm them.
//!
//! The perceptual hash is the DCT hash of Zauner, *Implementation and benchmarking of perceptual image hash functions*
//! (2010): 32 x 32 thumbnail, its lowest 8 x 8 frequencies, one bit each for above or below their median.

use std::f32::consts::PI;

use crate::{Pixels, Radiograph};

/// Side of the thumbnail.
const SIDE: usize = 32;
/// Frequencies per axis that enter the hash.
const LOW: usize = 8;

/// About 1 KB per image: 230 MB for the whole of CheXpert.
#[derive(Debug, Clone)]
pub(crate) struct Fingerprint {
    /// 128 bits of the BLAKE3 hash of size, depth and pixels: equal exactly for images that are.
    pub(crate) pixels: [u8; 16],
    hash: u64,
    thumbnail: Box<[u8; SIDE * SIDE]>,
}

impl Fingerprint {
    pub(crate) fn of(image: &Radiograph) -> Self {
        let (width, height) = (image.width(), image.height());
        let mut hasher = blake3::Hasher::new();
        hasher.update(&(width as u64).to_le_bytes()).update(&(height as u64).to_le_bytes());
        let thumbnail = match image.pixels() {
            Pixels::U8(values) => {
                hasher.update(b"8").update(values);
                thumbnail(width, height, |at| f32::from(values[at]))
            }
            Pixels::U16(values) => {
                hasher.update(b"16");
                let mut bytes = Vec::with_capacity(2 * width);
                for line in values.chunks(width.max(1)) {
                    bytes.clear();
                    bytes.extend(line.iter().flat_map(|value| value.to_le_bytes()));
                    hasher.update(&bytes);
                }
                thumbnail(width, height, |at| f32::from(values[at]))
            }
        };
        let mut pixels = [0; 16];
        pixels.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Self { pixels, hash: dct_hash(&thumbnail), thumbnail: Box::new(stretched(&thumbnail)) }
    }

    /// Number of bits, 0 to 64, in which the perceptual hashes differ.
    pub(crate) fn distance(&self, other: &Self) -> u32 {
        (self.hash ^ other.hash).count_ones()
    }

    /// Correlation of the thumbnails, -1 to 1; 0 where one of them is constant.
    pub(crate) fn correlation(&self, other: &Self) -> f32 {
        let mean = |values: &[u8]| values.iter().map(|&value| f64::from(value)).sum::<f64>() / values.len() as f64;
        let (mean_a, mean_b) = (mean(&self.thumbnail[..]), mean(&other.thumbnail[..]));
        let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
        for (&a, &b) in self.thumbnail.iter().zip(other.thumbnail.iter()) {
            let (a, b) = (f64::from(a) - mean_a, f64::from(b) - mean_b);
            (ab, aa, bb) = (ab + a * b, aa + a * a, bb + b * b);
        }
        if aa * bb > 0.0 { (ab / (aa * bb).sqrt()) as f32 } else { 0.0 }
    }
}

/// Mean grey value of each of 32 x 32 equal fields.
fn thumbnail(width: usize, height: usize, value: impl Fn(usize) -> f32) -> [f32; SIDE * SIDE] {
    let mut out = [0.0; SIDE * SIDE];
    if width == 0 || height == 0 {
        return out;
    }
    // Bounds of a field; at least one pixel wide where the image is smaller than the thumbnail.
    let field = |at: usize, length: usize| {
        let start = at * length / SIDE;
        start..((at + 1) * length / SIDE).max(start + 1)
    };
    for (at, mean) in out.iter_mut().enumerate() {
        let (rows, columns) = (field(at / SIDE, height), field(at % SIDE, width));
        let count = (rows.len() * columns.len()) as f32;
        let sum: f32 = rows.map(|row| columns.clone().map(|column| value(row * width + column)).sum::<f32>()).sum();
        *mean = sum / count;
    }
    out
}

/// Grey values spread over 0..=255, so that 8 bits are enough whatever the depth and contrast of the source.
fn stretched(thumbnail: &[f32; SIDE * SIDE]) -> [u8; SIDE * SIDE] {
    let (low, high) = thumbnail.iter().fold((f32::MAX, f32::MIN), |(low, high), &v| (low.min(v), high.max(v)));
    let scale = if high > low { 255.0 / (high - low) } else { 0.0 };
    thumbnail.map(|value| ((value - low) * scale).round() as u8)
}

fn dct_hash(thumbnail: &[f32; SIDE * SIDE]) -> u64 {
    let wave = |frequency: usize, at: usize| (PI * frequency as f32 * (at as f32 + 0.5) / SIDE as f32).cos();
    let mut rows = [[0.0_f32; LOW]; SIDE];
    for (y, row) in rows.iter_mut().enumerate() {
        for (u, sum) in row.iter_mut().enumerate() {
            *sum = (0..SIDE).map(|x| thumbnail[y * SIDE + x] * wave(u, x)).sum();
        }
    }
    let mut spectrum = [0.0_f32; LOW * LOW];
    for (at, sum) in spectrum.iter_mut().enumerate() {
        *sum = (0..SIDE).map(|y| rows[y][at % LOW] * wave(at / LOW, y)).sum();
    }
    // The first term is the mean of the image; it would dominate the median.
    let mut sorted = spectrum;
    sorted[1..].sort_by(f32::total_cmp);
    let median = sorted[1 + (LOW * LOW - 1) / 2];
    spectrum.iter().enumerate().skip(1).fold(0, |hash, (bit, &value)| hash | (u64::from(value > median) << bit))
}
