//! Kernels for Burn's GPU backends with their own backward passes, one source for CUDA, ROCm, Vulkan, Metal and WGSL.
//!
//! Without them a normalisation is a chain of some 45 operations, each a launch and a pass over memory. The kernels cover what
//! the networks use: `f32` and, where the device has it, `bf16` maps, in memory as convolutions leave them, channels last.
//!
//! Functions return `None` for a device or precision that they do not support; the caller then uses Burn's own operations,
//! which are the reference in tests.

pub(crate) mod bytes;
pub(crate) mod contrast;
pub(crate) mod conv;
#[cfg(feature = "cudnn")]
pub(crate) mod cudnn;
pub(crate) mod flat;
pub(crate) mod length;
pub(crate) mod norm;
pub(crate) mod packed;
pub(crate) mod pool;
pub(crate) mod slab;
mod sums;
pub(crate) mod tape;
pub(crate) mod update;

use cubecl::{calculate_cube_count_elemwise, client::Client, prelude::*};

/// Units of a cube.
const UNITS: u32 = 256;

/// Cubes for a unit an item.
fn unit_an_item(client: &Client, items: usize) -> (CubeCount, CubeDim) {
    let cube = CubeDim::new_1d(UNITS);
    (calculate_cube_count_elemwise(client, items, cube), cube)
}
