//! Sums over the units of a cube.

use cubecl::prelude::*;

use super::UNITS;

/// Sum over the units of a cube, which all of them get.
#[cube]
pub(super) fn add_up(value: f32) -> f32 {
    let unit = UNIT_POS as usize;
    let mut all = Shared::new_slice(comptime!(UNITS as usize));
    all[unit] = value;
    sync_cube();
    let mut half = comptime!(UNITS as usize / 2).runtime();
    while half > 0 {
        if unit < half {
            let other = all[unit + half];
            all[unit] += other;
        }
        sync_cube();
        half /= 2;
    }
    let sum = all[0];
    sync_cube();
    sum
}
