//! From attenuation to grey values: exposure, tone, noise, collimation.
//!
//! Mean and deviation of the finished image are drawn independently of its content, so they carry no information about
//! the findings. (Automatic exposure and windowing do much the same to real films.)

use super::draw::Draw;

/// Grey values 0 (air) to 255 from attenuation, `size` x `size`, row by row.
pub(super) fn expose(draw: &mut Draw, attenuation: &[f32], size: usize) -> Vec<u8> {
    let tilt = [draw.around(0.0, 0.05), draw.around(0.0, 0.05)]; // heel effect, uneven grid
    // The film's S-shaped response: its middle and its slope.
    let (middle, slope) = (draw.uniform(0.42, 0.66), draw.uniform(3.6, 6.0));
    let dose = draw.uniform(0.0, 1.0);
    let grain = 0.006 * 4.0_f32.powf(dose); // quantum noise; the worst film has four times that of the best
    let frame = Frame::draw(draw);
    let mean = draw.uniform(110.0, 165.0);
    let deviation = draw.uniform(48.0, 72.0);

    let mut tone = Vec::with_capacity(size * size);
    for (index, &density) in attenuation.iter().enumerate() {
        let x = 2.0 * ((index % size) as f32 + 0.5) / size as f32 - 1.0;
        let y = 2.0 * ((index / size) as f32 + 0.5) / size as f32 - 1.0;
        // The less of the beam arrives, the larger the noise.
        let noisy = density + grain * (0.6 + density) * draw.normal();
        let exposed = (noisy * (1.0 + tilt[0] * x + tilt[1] * y)).max(0.0);
        let value = 1.0 / (1.0 + (-slope * (exposed - middle)).exp());
        tone.push(frame.cover(x, y, value));
    }
    to_grey(&tone, mean, deviation)
}

/// Black border of the collimator, on a fifth of the films.
#[derive(Debug)]
struct Frame([f32; 4]);

impl Frame {
    fn draw(draw: &mut Draw) -> Self {
        let framed = draw.chance(0.2);
        Self([(); 4].map(|()| {
            let width = draw.uniform(-0.06, 0.12).max(0.0);
            if framed { width } else { 0.0 }
        }))
    }

    fn cover(&self, x: f32, y: f32, value: f32) -> f32 {
        let [left, right, top, bottom] = self.0;
        if x < left - 1.0 || x > 1.0 - right || y < top - 1.0 || y > 1.0 - bottom { 0.0 } else { value }
    }
}

/// Scales to this mean and deviation; clipping changes both, so the scale is corrected a few times.
fn to_grey(tone: &[f32], mean: f32, deviation: f32) -> Vec<u8> {
    let (mut gain, mut offset) = (1.0, 0.0);
    for _ in 0..6 {
        let (found_mean, found_deviation) = moments(tone.iter().map(|value| clip(value * gain + offset)));
        let scale = if found_deviation > 1e-3 { deviation / found_deviation } else { 1.0 };
        offset = (offset - found_mean) * scale + mean;
        gain *= scale;
    }
    tone.iter().map(|value| clip(value * gain + offset).round() as u8).collect()
}

fn clip(value: f32) -> f32 {
    value.clamp(0.0, 255.0)
}

fn moments(values: impl Iterator<Item = f32>) -> (f32, f32) {
    let (mut sum, mut squares, mut count) = (0.0_f64, 0.0_f64, 0.0_f64);
    for value in values {
        sum += f64::from(value);
        squares += f64::from(value) * f64::from(value);
        count += 1.0;
    }
    let mean = sum / count;
    (mean as f32, (squares / count - mean * mean).max(0.0).sqrt() as f32)
}
