//! From shapes to the attenuation of the beam at each pixel, 0 for air.

use super::anatomy::{Pose, smooth};
use super::findings::Lesions;

/// How much less fully aerated lung attenuates than soft tissue of the same depth.
const LUNG: f32 = 0.66;

/// Attenuation at each pixel of a `size` x `size` image, row by row, about 0 (air) to 1.6 (spine over abdomen).
/// `vessels` and `devices` are planes of the same size.
pub(super) fn attenuation(pose: &Pose, lesions: &Lesions, vessels: &[f32], devices: &[f32], size: usize) -> Vec<f32> {
    let step = 2.0 / size as f32;
    let edge = (0.75 * step * pose.zoom).max(0.012); // no border is sharper than a pixel, or than focus and motion allow
    let mut plane = Vec::with_capacity(size * size);
    for row in 0..size {
        for column in 0..size {
            let (x, y) = ((column as f32 + 0.5) * step - 1.0, (row as f32 + 0.5) * step - 1.0);
            let (u, v) = pose.chest(x, y);
            let index = row * size + column;
            plane.push(tissue(pose, lesions, u, v, vessels[index], edge) + devices[index]);
        }
    }
    plane
}

fn tissue(pose: &Pose, lesions: &Lesions, u: f32, v: f32, vessel: f32, edge: f32) -> f32 {
    let (side, w) = (if u < 0.0 { -1.0 } else { 1.0 }, u.abs());
    let outline = pose.outline(v);
    let inside = smooth((outline - w) / (2.0 * edge) + 0.5);
    if inside == 0.0 {
        return arm(w, v, edge);
    }
    let soft = soft_tissue(pose, u, v, outline);
    let [outer, inner, below] = pose.lung_depth(side, w, v);
    let bones = bones(pose, side, u, v, outer, edge);
    let mut density = soft + bones;

    let in_lung = smooth(outer / (2.0 * edge) + 0.5) * smooth(inner / 0.07 + 0.4) * smooth(below / (2.5 * edge) + 0.5);
    if in_lung > 0.0 {
        density += in_lung * lung(pose, lesions, u, v, outer, vessel, edge);
    }
    (density * inside).max(arm(w, v, edge))
}

/// The upper arm, hanging beside the trunk: muscle around a shaft of bone.
fn arm(w: f32, v: f32, edge: f32) -> f32 {
    let across = w - 1.36 - 0.20 * (v - 0.1);
    let muscle = 0.55 * (1.0 - (across / 0.24).powi(2)).max(0.0).sqrt();
    (muscle + 0.2 * shaft(across, 0.07, edge)) * smooth((v - 0.05) / 0.25)
}

/// Change of the attenuation by the lung and what lies within it; mostly negative.
fn lung(pose: &Pose, lesions: &Lesions, u: f32, v: f32, outer: f32, vessel: f32, edge: f32) -> f32 {
    let (side, w) = (if u < 0.0 { -1.0 } else { 1.0 }, u.abs());
    let round = 1.0 - (1.0 - (outer / 0.45).clamp(0.0, 1.0)).powi(2);
    let depth = (0.30 + 0.70 * round.sqrt()) * (0.72 + 0.28 * smooth(v / (0.6 * pose.lung_height)));

    let coarse = value_noise(pose.body.texture, 7.0 * u, 7.0 * v / pose.lung_height) - 0.5;
    let fine = value_noise(pose.body.texture ^ 0x9e37_79b9, 19.0 * u, 19.0 * v / pose.lung_height) - 0.5;
    let mut markings = vessel + 0.05 * coarse + 0.05 * fine;
    let mut air = depth;
    let mut line = 0.0;
    if let Some((free, pleura)) = lesions.collapse_at(pose, side, w, v, edge.max(0.02)) {
        let density = lesions.collapse.map_or(0.0, |collapse| collapse.density);
        air = air * (1.0 - density) * (1.0 - free) + (air + 0.16) * free;
        markings *= 1.0 - free;
        line = 0.08 * pleura;
    }
    // hilum, aortic knob and heart displace lung
    let hilum = 0.35 * (-((w - 0.24) / 0.12).powi(2) - ((v - 0.41 * pose.lung_height) / 0.16).powi(2)).exp();
    let [knob_u, knob_v, knob_r] = pose.body.knob;
    let knob = 0.70 * smooth((knob_r - (u - pose.turn - knob_u).hypot(v - knob_v)) / (5.0 * edge) + 0.5);
    let heart = pose.heart_depth(u, v);
    let heart = (0.74 + 0.16 * smooth(heart / 0.3)) * smooth(heart / (4.0 * edge) + 0.5);
    let fluid = lesions.fluid_cover(pose, side, w, v);
    let aerated = (1.0 - hilum) * (1.0 - knob) * (1.0 - heart) * (1.0 - fluid);
    let nodules = lesions.nodule_density(u, v);
    -LUNG * air * aerated + (markings + line) * aerated + nodules * (1.0 - fluid) + 0.04 * (heart + fluid)
}

/// The body without lungs and bones.
fn soft_tissue(pose: &Pose, u: f32, v: f32, outline: f32) -> f32 {
    let body = &pose.body;
    let w = u.abs();
    let chord = (1.0 - (w / outline).powi(2)).max(0.0).powf(0.42);
    let level = 0.62 + 0.30 * smooth((v + 0.35) / 0.5) + 0.22 * smooth((v - pose.lung_height + 0.35) / 0.6);
    let mut soft = body.fat * level * chord;
    // the midline: great vessels above, the spine throughout, the trachea as a dark column
    if w < 0.35 {
        soft += 0.10 * (-(u / 0.17).powi(4)).exp();
        let vertebrae = 0.85 + 0.15 * (std::f32::consts::TAU * v / 0.17).cos();
        soft += 0.13 * vertebrae * (-(u / 0.10).powi(6)).exp();
        let off = u - 0.5 * pose.turn;
        soft -= 0.14 * (-(off / 0.05).powi(4)).exp() * smooth((0.52 - v) / 0.12);
    }
    // breasts, or the pectoral fold
    let [bu, bv] = body.breast_at;
    let ring = ((w - bu) / 0.42).hypot((v - bv) / 0.36);
    soft += body.breast * smooth((1.0 - ring) / 0.22) * smooth((v - bv + 0.45) / 0.5);
    if let Some([su, dv, rx, ry]) = pose.stomach {
        let gas = ((u - su) / rx).hypot((v - pose.lung_height - dv) / ry);
        soft -= 0.28 * smooth((1.0 - gas) / 0.3);
    }
    let bowel = value_noise(body.texture ^ 0x85eb_ca6b, 4.0 * u, 4.0 * v) - 0.5;
    soft + 0.10 * bowel * smooth((v - pose.lung_height - 0.05) / 0.3) + 0.03 * bowel
}

fn bones(pose: &Pose, side: f32, u: f32, v: f32, outer: f32, edge: f32) -> f32 {
    let body = &pose.body;
    let w = u.abs();
    let mut bones = 0.0;
    // Ribs lie on the chest wall: from the spine down and outwards behind, from the wall down and inwards in front.
    let cage = smooth((outer + 0.09) / 0.05) * smooth((w - 0.10) / 0.06) * smooth((v + 0.12) / 0.1);
    if cage > 0.0 {
        let crossing = 0.25 + 0.75 * smooth((pose.lung_height + 0.25 - v) / 0.35);
        let slope = 2.0 * body.rib_drop * w;
        let behind = rib(body, v - body.rib_drop * w * w, edge, 1.0 / (1.0 + slope * slope).sqrt());
        let front_slope = 0.75_f32;
        let front = rib(
            body,
            v - body.rib_drop - 0.55 * body.rib_spacing - front_slope * (1.0 - w),
            edge,
            1.0 / (1.0 + front_slope * front_slope).sqrt(),
        );
        let front = 0.45 * front * smooth((w - 0.42) / 0.3);
        bones += body.rib_contrast * cage * crossing * (behind + front);
    }
    // clavicle
    let curve = 0.13 - body.clavicle_slope * (w - 0.1) + 0.05 * (std::f32::consts::PI * (w - 0.1) / 0.55).sin();
    let thick = 0.040 + 0.012 * (w - 0.5);
    let along = smooth((w - 0.10) / 0.05) * smooth((1.25 - w) / 0.06);
    bones += 0.15 * along * shaft(v - curve - 0.02 * side * pose.turn, thick, edge);
    // head of the humerus and the blade of the scapula
    let head = (w - 1.32).hypot(v - 0.02);
    bones += 0.07 * smooth((0.17 - head) / (2.0 * edge) + 0.5);
    let blade = 0.86 + 0.16 * smooth(v / 0.9);
    bones + 0.05 * smooth((w - blade) / (2.0 * edge) + 0.5) * smooth((1.0 - v) / 0.15) * smooth((v + 0.05) / 0.15)
}

/// The nearest of evenly spaced ribs; `tilt` converts vertical distance to distance across the rib.
fn rib(body: &super::anatomy::Body, v: f32, edge: f32, tilt: f32) -> f32 {
    let phase = (v - body.rib_first) / body.rib_spacing;
    let nearest = phase.round().clamp(0.0, 10.0);
    shaft((phase - nearest) * body.rib_spacing * tilt, body.rib_half_width, edge)
}

/// Profile across a long bone: a plateau between denser borders.
fn shaft(across: f32, half_width: f32, edge: f32) -> f32 {
    let depth = half_width - across.abs();
    let plateau = smooth(depth / (2.0 * edge) + 0.5);
    plateau * (0.75 + 0.45 * (-((depth - edge) / (1.3 * edge)).powi(2)).exp())
}

/// Smooth noise in [0, 1] with grid spacing 1, a pure function of seed and position.
fn value_noise(seed: u32, x: f32, y: f32) -> f32 {
    let (left, top) = (x.floor(), y.floor());
    let (tx, ty) = (smooth(x - left), smooth(y - top));
    let corner = |dx: i32, dy: i32| {
        let mut hash = seed
            ^ (left as i32).wrapping_add(dx).cast_unsigned().wrapping_mul(0x27d4_eb2f)
            ^ (top as i32).wrapping_add(dy).cast_unsigned().wrapping_mul(0x1656_67b1);
        hash = (hash ^ (hash >> 15)).wrapping_mul(0x85eb_ca6b);
        hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
        (hash ^ (hash >> 16)) as f32 / u32::MAX as f32
    };
    let upper = corner(0, 0) + tx * (corner(1, 0) - corner(0, 0));
    let lower = corner(0, 1) + tx * (corner(1, 1) - corner(0, 1));
    upper + ty * (lower - upper)
}
