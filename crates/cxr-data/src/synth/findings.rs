//! The four findings as shapes, drawn per study; `render` adds them to the anatomy.

use super::anatomy::{Pose, smooth};
use super::cohort::SynthStudy;
use super::config::Finding;
use super::draw::Draw;

/// A round opacity: centre, radius, central density, lobes of its outline.
#[derive(Debug, Clone, Copy)]
pub(super) struct Nodule {
    pub(super) at: [f32; 2],
    pub(super) radius: f32,
    density: f32,
    lobes: [f32; 2],
}

/// Air between the chest wall and the lung of one side.
#[derive(Debug, Clone, Copy)]
pub(super) struct Collapse {
    pub(super) side: f32,
    /// Width of the air at the apex.
    pub(super) rim: f32,
    /// Width at the base relative to that at the apex.
    taper: f32,
    /// How much denser the lung becomes.
    pub(super) density: f32,
}

/// Fluid at one base.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fluid {
    side: f32,
    /// Height of the level above the dome, mid-lung.
    height: f32,
    /// How far the meniscus climbs at the chest wall.
    climb: f32,
    soft: f32,
    density: f32,
}

/// Extent of the findings of one study.
#[derive(Debug, Clone, Default)]
pub(super) struct Lesions {
    pub(super) nodules: Vec<Nodule>,
    pub(super) collapse: Option<Collapse>,
    pub(super) fluid: Vec<Fluid>,
}

/// Width of an enlarged heart over that of the chest.
pub(super) fn enlarged_ratio(draw: &mut Draw) -> f32 {
    draw.uniform(0.555, 0.67)
}

impl Lesions {
    /// Shapes of a study's findings, in the pose of the study.
    pub(super) fn draw(draw: &mut Draw, study: &SynthStudy, pose: &Pose) -> Self {
        let mut lesions = Self::default();
        if study.has(Finding::PleuralEffusion) {
            let both = draw.chance(0.35);
            let first = draw.side();
            let sides: &[f32] = if both { &[-1.0, 1.0] } else { &[first] };
            lesions.fluid = sides
                .iter()
                .map(|&side| Fluid {
                    side,
                    height: draw.uniform(0.05, 0.65),
                    climb: draw.uniform(0.12, 0.34),
                    soft: draw.uniform(0.05, 0.13),
                    density: draw.uniform(0.70, 0.95),
                })
                .collect();
        }
        if study.has(Finding::Pneumothorax) {
            lesions.collapse = Some(Collapse {
                side: draw.side(),
                rim: draw.uniform(0.16, 0.45),
                taper: draw.uniform(0.15, 0.6),
                density: draw.uniform(0.20, 0.50),
            });
        }
        if study.has(Finding::LungLesion) {
            let count = 2 + draw.weighted(&[0.4, 0.35, 0.25]);
            for _ in 0..count {
                let nodule = lesions.place_nodule(draw, pose);
                lesions.nodules.push(nodule);
            }
        }
        lesions
    }

    /// A nodule at a visible place: in the lung, clear of heart, fluid, free air and other nodules.
    fn place_nodule(&self, draw: &mut Draw, pose: &Pose) -> Nodule {
        let radius = draw.uniform(0.14, 0.26);
        let mut nodule = Nodule {
            at: [0.0; 2],
            radius,
            density: draw.uniform(0.34, 0.52),
            lobes: [draw.uniform(0.0, 0.12), draw.uniform(0.0, std::f32::consts::TAU)],
        };
        // 200 tries practically always find a good place; otherwise the last one is kept.
        for _ in 0..200 {
            let side = draw.side();
            let (w, v) = (draw.uniform(0.2, 0.95), draw.uniform(0.15, pose.lung_height));
            nodule.at = [side * w, v];
            let clear_of_borders = pose.lung_depth(side, w, v).iter().all(|depth| *depth > 0.9 * radius);
            let clear_of_heart = pose.heart_depth(side * w, v) < -0.6 * radius;
            let clear_of_fluid = self.fluid_cover(pose, side, w, v + radius) < 0.2;
            let clear_of_air = self.collapse_at(pose, side, w, v, 0.02).is_none_or(|(air, _)| air < 0.5);
            let apart = self.nodules.iter().all(|other| {
                (other.at[0] - nodule.at[0]).hypot(other.at[1] - nodule.at[1]) > 1.2 * (other.radius + radius)
            });
            if clear_of_borders && clear_of_heart && clear_of_fluid && clear_of_air && apart {
                break;
            }
        }
        nodule
    }

    /// Fraction of the air replaced by fluid, 0 to 1.
    pub(super) fn fluid_cover(&self, pose: &Pose, side: f32, w: f32, v: f32) -> f32 {
        let Some(fluid) = self.fluid.iter().find(|fluid| fluid.side == side) else { return 0.0 };
        let lateral = smooth((w - 0.35) / 0.65);
        let medial = smooth((0.35 - w) / 0.35);
        let top = pose.lung_height - fluid.height + 0.10
            - (fluid.climb + 0.10) * lateral * lateral
            - 0.3 * fluid.climb * medial;
        fluid.density * smooth((v - top + fluid.soft) / (2.0 * fluid.soft))
    }

    /// Free air (0 to 1) and the pleural line (0 to 1) on this side; `None` where the lung is not collapsed.
    pub(super) fn collapse_at(&self, pose: &Pose, side: f32, w: f32, v: f32, edge: f32) -> Option<(f32, f32)> {
        let collapse = self.collapse.filter(|collapse| collapse.side == side)?;
        let down = smooth((v - 0.1) / (0.85 * pose.lung_height));
        let rim = collapse.rim * (1.0 - (1.0 - collapse.taper) * down);
        let outer = pose.lung_depth(side, w, v)[0];
        // Distance to the wall, rounded where the side wall meets the apex.
        let apex = v.max(0.0) * 0.75;
        let near = 0.12;
        let blend = (near - (outer - apex).abs()).max(0.0) / near;
        let distance = outer.min(apex) - 0.25 * near * blend * blend;
        let off = distance - rim;
        let air = smooth(0.5 - off / (2.0 * edge));
        let line = (-(off / edge).powi(2)).exp();
        Some((air, line))
    }

    /// Density that the nodules add at a point.
    pub(super) fn nodule_density(&self, u: f32, v: f32) -> f32 {
        self.nodules
            .iter()
            .map(|nodule| {
                let (x, y) = (u - nodule.at[0], v - nodule.at[1]);
                let distance = x.hypot(y);
                if distance > 1.5 * nodule.radius {
                    return 0.0;
                }
                let radius = nodule.radius * (1.0 + nodule.lobes[0] * (3.0 * y.atan2(x) + nodule.lobes[1]).cos());
                nodule.density * smooth((1.25 - distance / radius) / 0.75)
            })
            .sum()
    }
}
