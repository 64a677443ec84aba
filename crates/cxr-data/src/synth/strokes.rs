//! Lines: the vessels of the lungs, and foreign objects that are not findings (tubes, leads, markers).

use super::anatomy::{Pose, smooth};
use super::draw::Draw;

/// A soft-edged line; both ends and the half width are in the same unit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stroke {
    from: [f32; 2],
    to: [f32; 2],
    half_width: f32,
    density: f32,
}

impl Stroke {
    /// Draws the line into `plane`, keeping the denser value at each pixel. Ends are in pixels.
    fn draw(&self, plane: &mut [f32], size: usize) {
        let reach = self.half_width + 1.0;
        let span = |a: f32, b: f32| {
            let low = (a.min(b) - reach).floor().clamp(0.0, size as f32) as usize;
            let high = (a.max(b) + reach).ceil().clamp(0.0, size as f32) as usize;
            low..high
        };
        let along = [self.to[0] - self.from[0], self.to[1] - self.from[1]];
        let length = (along[0] * along[0] + along[1] * along[1]).max(1e-6);
        for y in span(self.from[1], self.to[1]) {
            for x in span(self.from[0], self.to[0]) {
                let p = [x as f32 + 0.5 - self.from[0], y as f32 + 0.5 - self.from[1]];
                let t = ((p[0] * along[0] + p[1] * along[1]) / length).clamp(0.0, 1.0);
                let distance = (p[0] - t * along[0]).hypot(p[1] - t * along[1]);
                let value = self.density * smooth((self.half_width + 0.7 - distance) / 1.4);
                let pixel = &mut plane[y * size + x];
                *pixel = pixel.max(value);
            }
        }
    }
}

/// Vessels of both lungs, in chest coordinates with `v` relative to the height of the lung. The same in all studies.
pub(super) fn vessels(draw: &mut Draw) -> Vec<Stroke> {
    let mut strokes = Vec::new();
    for side in [-1.0, 1.0] {
        let hilum = [side * draw.uniform(0.20, 0.26), draw.uniform(0.38, 0.44)];
        for branch in 0..8 {
            let angle = -1.2 + 2.5 * (branch as f32 + draw.uniform(-0.4, 0.4)) / 7.0;
            let start = [hilum[0], hilum[1] + 0.09 * angle];
            grow(draw, &mut strokes, side, start, angle, draw_width(branch), 0.14, 2);
        }
    }
    strokes
}

/// Vessels to the lower lung are wider.
fn draw_width(branch: usize) -> f32 {
    0.018 + 0.0015 * branch as f32
}

#[allow(clippy::too_many_arguments)] // the state of a random walk, passed on at each fork
fn grow(
    draw: &mut Draw,
    strokes: &mut Vec<Stroke>,
    side: f32,
    mut at: [f32; 2],
    mut angle: f32,
    mut half_width: f32,
    mut density: f32,
    forks: u32,
) {
    let step = 0.06;
    for index in 0..12 {
        let to = [at[0] + side * step * angle.cos(), at[1] + step * angle.sin() / 1.5];
        strokes.push(Stroke { from: at, to, half_width, density });
        at = to;
        angle += draw.around(0.0, 0.18);
        half_width *= 0.90;
        density *= 0.92;
        if forks > 0 && index > 1 && draw.chance(0.28) {
            let turn = draw.side() * draw.uniform(0.35, 0.75);
            grow(draw, strokes, side, at, angle + turn, 0.75 * half_width, 0.9 * density, forks - 1);
        }
    }
}

/// Density of the vessels at each pixel, row by row.
pub(super) fn vessel_plane(strokes: &[Stroke], pose: &Pose, size: usize) -> Vec<f32> {
    let mut plane = vec![0.0; size * size];
    let scale = 0.5 * size as f32;
    let pixel = |point: [f32; 2]| {
        let (x, y) = pose.image(point[0], point[1] * pose.lung_height);
        [(x + 1.0) * scale, (y + 1.0) * scale]
    };
    for stroke in strokes {
        let half_width = stroke.half_width / pose.zoom * scale;
        // A vessel thinner than a pixel is fainter, not thicker.
        let density = stroke.density * (2.0 * half_width).min(1.0);
        Stroke { from: pixel(stroke.from), to: pixel(stroke.to), half_width: half_width.max(0.3), density }
            .draw(&mut plane, size);
    }
    plane
}

/// Density of foreign objects at each pixel: a side marker on most films, tubes and leads where a study has devices.
/// All are independent of the findings.
pub(super) fn device_plane(draw: &mut Draw, pose: &Pose, devices: bool, size: usize) -> Vec<f32> {
    let mut plane = vec![0.0; size * size];
    let scale = 0.5 * size as f32;
    let unit = scale / pose.zoom; // pixels per chest unit
    let mut path = |points: &[[f32; 2]], half_width: f32, density: f32, chest: bool| {
        let pixel = |point: [f32; 2]| {
            let (x, y) = if chest { pose.image(point[0], point[1]) } else { (point[0], point[1]) };
            [(x + 1.0) * scale, (y + 1.0) * scale]
        };
        for pair in points.windows(2) {
            Stroke { from: pixel(pair[0]), to: pixel(pair[1]), half_width: half_width * unit, density }
                .draw(&mut plane, size);
        }
    };
    if devices {
        let kinds = 1 + draw.weighted(&[0.5, 0.35, 0.15]);
        for _ in 0..kinds {
            match draw.weighted(&[1.0, 0.8, 0.8, 1.2]) {
                // central line: over the clavicle into the superior vena cava
                0 => {
                    let side = draw.side();
                    let far = draw.uniform(0.6, 1.1);
                    let tip = draw.uniform(0.55, 0.85);
                    let points =
                        [[side * far, -0.35], [side * 0.5, 0.02], [side * 0.2, 0.16], [-0.12, 0.34], [-0.13, tip]];
                    path(&points, 0.010, 0.30, true);
                }
                // endotracheal tube
                1 => {
                    let bend = draw.around(0.0, 0.02);
                    path(&[[bend, -0.7], [0.0, -0.2], [bend, draw.uniform(0.15, 0.35)]], 0.018, 0.22, true);
                }
                // gastric tube
                2 => {
                    let end = draw.uniform(0.2, 0.5);
                    let down = pose.lung_height + 0.2;
                    path(&[[0.02, -0.7], [0.03, 0.6], [0.06, down - 0.1], [end, down + 0.15]], 0.012, 0.26, true);
                }
                // leads on the skin
                _ => {
                    for _ in 0..2 + draw.weighted(&[1.0, 1.0, 1.0]) {
                        let side = draw.side();
                        let (u, v) = (side * draw.uniform(0.35, 1.15), draw.uniform(0.0, 1.7));
                        path(&[[u, v], [u + 0.001, v]], 0.032, 0.40, true);
                        let away = draw.uniform(0.2, 0.7);
                        let middle = [u + side * 0.5 * away, v + draw.around(0.0, 0.15)];
                        path(&[[u, v], middle, [side * 1.6, v + draw.around(-0.3, 0.4)]], 0.006, 0.20, true);
                    }
                }
            }
        }
    }
    if draw.chance(0.7) {
        let right = draw.chance(0.5); // the patient's right lies on the left of the image
        let (x, y) = (if right { -1.0 } else { 1.0 } * draw.uniform(0.72, 0.86), draw.uniform(-0.92, -0.62));
        let (w, h) = (0.035, 0.055);
        let letter: &[[f32; 2]] = if right {
            &[[x - w, y + h], [x - w, y - h], [x + w, y - h], [x + w, y], [x - w, y], [x + w, y + h]]
        } else {
            &[[x - w, y - h], [x - w, y + h], [x + w, y + h]]
        };
        path(letter, 0.012, 0.9, false);
    }
    plane
}
