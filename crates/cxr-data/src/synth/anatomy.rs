//! The body: shapes in chest coordinates, drawn per patient and posed per study.
//!
//! The unit is half the inner width of the chest (about 14 cm). `u` runs to the right of the image (the patient's
//! left), 0 at the spine; `v` runs down, 0 at the apex of the lungs. Within a half of the chest `w = |u|`.

use super::draw::Draw;
use crate::{Projection, Sex};

/// Shapes of one patient, the same in all studies.
#[derive(Debug, Clone)]
pub(super) struct Body {
    /// Chest units per half image width; larger for a smaller patient.
    pub(super) zoom: f32,
    /// Height of the right lung from apex to dome.
    pub(super) lung_height: f32,
    /// Roundness of the outer lung border near the apex.
    lung_round: f32,
    /// Half width of the mediastinum above the heart.
    pub(super) mediastinum: f32,
    /// How much lower the left dome lies.
    dome_drop: f32,
    /// How deep the costophrenic angle lies below the dome.
    angle_depth: f32,
    /// Width of the normal heart over the width of the chest, below 0.48.
    heart_ratio: f32,
    /// Fraction of the heart left of the spine (in the image).
    heart_right_share: f32,
    /// Position (u, v) of the aortic knob, and its radius.
    pub(super) knob: [f32; 3],
    /// Half width of the trunk and of the neck.
    trunk: f32,
    neck: f32,
    shoulder: f32,
    /// Relative thickness of soft tissue.
    pub(super) fat: f32,
    pub(super) rib_first: f32,
    pub(super) rib_spacing: f32,
    pub(super) rib_drop: f32,
    pub(super) rib_half_width: f32,
    pub(super) rib_contrast: f32,
    pub(super) clavicle_slope: f32,
    pub(super) breast: f32,
    pub(super) breast_at: [f32; 2],
    /// Seed of the lung's texture.
    pub(super) texture: u32,
}

impl Body {
    pub(super) fn draw(draw: &mut Draw, sex: Sex, age: u32) -> Self {
        let (size, breast) = match sex {
            Sex::Female => (1.07, draw.uniform(0.04, 0.16)),
            Sex::Male => (1.0, draw.uniform(0.0, 0.03)),
        };
        let old = (age as f32 - 50.0) / 40.0;
        Self {
            zoom: size * draw.around(1.24, 0.05),
            lung_height: draw.around(1.52, 0.08),
            lung_round: draw.uniform(1.9, 2.6),
            mediastinum: draw.around(0.19 + 0.015 * old, 0.02),
            dome_drop: draw.uniform(0.01, 0.08),
            angle_depth: draw.uniform(0.22, 0.36),
            heart_ratio: draw.uniform(0.39, 0.47),
            heart_right_share: draw.uniform(0.30, 0.37),
            knob: [draw.uniform(0.14, 0.18), draw.uniform(0.46, 0.56), draw.around(0.12 + 0.015 * old, 0.012)],
            trunk: draw.around(1.21, 0.05),
            neck: draw.uniform(0.34, 0.46),
            shoulder: draw.uniform(-0.14, 0.02),
            fat: draw.uniform(0.85, 1.2),
            rib_first: draw.uniform(-0.08, 0.06),
            rib_spacing: draw.around(0.185, 0.010),
            rib_drop: draw.uniform(0.26, 0.42),
            rib_half_width: draw.uniform(0.034, 0.046),
            rib_contrast: draw.uniform(0.07, 0.12),
            clavicle_slope: draw.uniform(0.14, 0.34),
            breast,
            breast_at: [draw.uniform(0.50, 0.66), draw.uniform(0.98, 1.18)],
            texture: draw.bits(),
        }
    }
}

/// A body in one study: position and inspiration.
#[derive(Debug, Clone)]
pub(super) struct Pose {
    pub(super) body: Body,
    /// Lung height with this breath.
    pub(super) lung_height: f32,
    /// How far the heart reaches to the left and to the right of the image.
    heart: [f32; 2],
    /// Height where its borders leave the mediastinum.
    heart_top: f32,
    cos: f32,
    sin: f32,
    /// Chest coordinates of the image's centre.
    centre: [f32; 2],
    /// Chest units per half image width.
    pub(super) zoom: f32,
    /// Rotation of the patient, as a shift of structures in front.
    pub(super) turn: f32,
    pub(super) stomach: Option<[f32; 4]>,
}

impl Pose {
    /// `enlarged` is the width of an enlarged heart over that of the chest; `None` for the patient's normal heart.
    pub(super) fn draw(draw: &mut Draw, body: &Body, projection: Projection, enlarged: Option<f32>) -> Self {
        // A patient in bed inspires less deeply.
        let breath = if projection == Projection::Ap { -0.05 } else { 0.02 };
        let lung_height = body.lung_height + breath + draw.around(0.0, 0.035);
        let ratio = enlarged.unwrap_or(body.heart_ratio + draw.uniform(-0.01, 0.01));
        let share = body.heart_right_share;
        let angle = draw.around(0.0, 3.0_f32.to_radians());
        Self {
            body: body.clone(),
            lung_height,
            heart: [2.0 * ratio * share, 2.0 * ratio * (1.0 - share)],
            heart_top: lung_height * draw.uniform(0.44, 0.50) - 0.25 * (ratio - 0.43),
            cos: angle.cos(),
            sin: angle.sin(),
            centre: [draw.around(0.0, 0.08), draw.around(0.80, 0.08)],
            zoom: body.zoom * draw.around(1.0, 0.05),
            turn: draw.around(0.0, 0.025),
            stomach: draw.chance(0.6).then(|| {
                [draw.uniform(0.35, 0.6), draw.uniform(0.2, 0.36), draw.uniform(0.1, 0.24), draw.uniform(0.06, 0.12)]
            }),
        }
    }

    /// Chest coordinates of a point of the image, given in [-1, 1] from left to right and from top to bottom.
    pub(super) fn chest(&self, x: f32, y: f32) -> (f32, f32) {
        let (x, y) = (self.zoom * x, self.zoom * y);
        (self.centre[0] + self.cos * x + self.sin * y, self.centre[1] - self.sin * x + self.cos * y)
    }

    /// Inverse of [`Self::chest`].
    pub(super) fn image(&self, u: f32, v: f32) -> (f32, f32) {
        let (u, v) = (u - self.centre[0], v - self.centre[1]);
        ((self.cos * u - self.sin * v) / self.zoom, (self.sin * u + self.cos * v) / self.zoom)
    }

    /// Outer border of the lung at height `v`.
    pub(super) fn lung_outer(&self, v: f32) -> f32 {
        0.40 + 0.60 * bow(v / (0.72 * self.lung_height), self.body.lung_round)
            - 0.03 * smooth((v - self.lung_height) / 0.4)
    }

    /// Inner border, along the mediastinum.
    pub(super) fn lung_inner(&self, v: f32) -> f32 {
        let inner = self.body.mediastinum;
        0.40 - (0.40 - inner) * bow(v / (0.30 * self.lung_height), 2.0)
    }

    /// Height of the diaphragm at `w` on a side.
    pub(super) fn diaphragm(&self, side: f32, w: f32) -> f32 {
        let top = self.lung_height + if side > 0.0 { self.body.dome_drop } else { 0.0 };
        let off = (w - 0.46) / 0.54;
        if off > 0.0 { top + self.body.angle_depth * off * off } else { top + 0.16 * off * off }
    }

    /// Depth inside the lung on a side: towards the ribs, the mediastinum, the diaphragm. Negative: outside.
    pub(super) fn lung_depth(&self, side: f32, w: f32, v: f32) -> [f32; 3] {
        // Near the apex the border is almost horizontal; its slope turns the horizontal distance into the true one.
        let outer = self.lung_outer(v);
        let slope = (self.lung_outer(v + 0.02) - outer) / 0.02;
        let depth = (outer - w) / (1.0 + slope * slope).sqrt();
        let depth = if v <= 0.0 { v.min(depth) } else { depth };
        [depth, w - self.lung_inner(v), self.diaphragm(side, w) - v]
    }

    /// Depth inside the heart, from its left and right borders; negative: outside. It has no upper border, because the
    /// great vessels continue it, and ends below the domes.
    pub(super) fn heart_depth(&self, u: f32, v: f32) -> f32 {
        let u = u - self.turn;
        let down = (v - self.heart_top) / (self.lung_height + 0.16 - self.heart_top);
        let narrow = self.body.mediastinum - 0.06;
        let (reach, widest) = if u < 0.0 { (self.heart[0], 0.62) } else { (self.heart[1], 0.76) };
        let border = if down < 0.0 {
            narrow
        } else if down < widest {
            narrow + (reach - narrow) * (std::f32::consts::FRAC_PI_2 * down / widest).sin().powf(1.25)
        } else {
            reach * (1.0 - ((down - widest) / 0.46).powi(2)).max(0.0).sqrt()
        };
        0.8 * (border - u.abs()) // the borders run obliquely: the horizontal distance overstates the depth
    }

    /// Half width of the outline of the body.
    pub(super) fn outline(&self, v: f32) -> f32 {
        let body = &self.body;
        // along the trapezius to the shoulder, then in again at the armpit
        let shoulders = ((v - body.shoulder + 0.55) / 0.60).clamp(0.0, 1.0).powf(2.2);
        let below = smooth((v - 0.25) / 0.40);
        body.neck + (1.58 - body.neck) * shoulders - (1.58 - body.trunk) * below
    }
}

/// 0 below 0, 1 above 1, smooth between.
pub(super) fn smooth(x: f32) -> f32 {
    let x = x.clamp(0.0, 1.0);
    x * x * (3.0 - 2.0 * x)
}

/// Rises from 0 to 1 with a vertical start, like an arch.
fn bow(x: f32, power: f32) -> f32 {
    (1.0 - (1.0 - x.clamp(0.0, 1.0)).powf(power)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synth::draw::Topic;
    use crate::synth::findings::enlarged_ratio;

    fn pose(number: u32, enlarged: bool) -> Pose {
        let draw = |topic| Draw::new(1, number, 0, topic);
        let sex = if number.is_multiple_of(2) { Sex::Female } else { Sex::Male };
        let body = Body::draw(&mut draw(Topic::Anatomy), sex, 18 + number % 73);
        let ratio = enlarged.then(|| enlarged_ratio(&mut draw(Topic::Lesions)));
        Pose::draw(&mut draw(Topic::Pose), &body, Projection::Pa, ratio)
    }

    /// Cardiothoracic ratio, measured on the shapes as a reader would on the film.
    fn cardiothoracic_ratio(pose: &Pose) -> f32 {
        let grid = |steps: i32| (-steps..=steps).map(move |step| step as f32 / steps as f32);
        let (mut left, mut right, mut chest) = (0.0_f32, 0.0_f32, 0.0_f32);
        for v in grid(300).map(|y| 0.8 * (1.0 + y)).filter(|v| *v < pose.lung_height) {
            chest = chest.max(2.0 * pose.lung_outer(v));
            for u in grid(500).filter(|u| pose.heart_depth(*u, v) > 0.0) {
                (left, right) = (left.min(u), right.max(u));
            }
        }
        (right - left) / chest
    }

    #[test]
    fn enlarged_and_normal_hearts_do_not_overlap() {
        for number in 0..200 {
            let (normal, enlarged) =
                (cardiothoracic_ratio(&pose(number, false)), cardiothoracic_ratio(&pose(number, true)));
            // the grid's steps (0.002 of a half width) hide up to 0.002 of each border
            assert!((0.37..=0.48).contains(&normal), "normal heart of {number}: {normal}");
            assert!((0.55..=0.68).contains(&enlarged), "enlarged heart of {number}: {enlarged}");
        }
    }

    #[test]
    fn image_and_chest_coordinates_are_inverse() {
        for number in 0..50 {
            let pose = pose(number, false);
            for (x, y) in [(-1.0, -1.0), (0.3, -0.7), (1.0, 0.4)] {
                let (u, v) = pose.chest(x, y);
                let (back_x, back_y) = pose.image(u, v);
                // a few roundings of f32 values near 1
                assert!((back_x - x).abs() < 1e-5 && (back_y - y).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn most_of_the_lungs_is_on_the_film() {
        for number in 0..200 {
            let pose = pose(number, false);
            for (u, v) in [(-0.85, 1.2), (0.85, 1.2), (-0.4, 0.1), (0.4, 0.1), (0.0, pose.lung_height)] {
                let (x, y) = pose.image(u, v);
                assert!(x.abs() < 1.0 && y.abs() < 1.0, "({u}, {v}) of {number} falls off the film");
            }
        }
    }
}
