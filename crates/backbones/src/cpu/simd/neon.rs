//! NEON.

use std::arch::aarch64::*;

use super::Vector;

vector!(
    float32x4_t,
    f32,
    4,
    vdupq_n_f32,
    vld1q_f32,
    vst1q_f32,
    |x, a, b| vfmaq_f32(b, x, a),
    vaddq_f32,
    vsubq_f32,
    zip_f32,
    vaddvq_f32
);
vector!(
    float64x2_t,
    f64,
    2,
    vdupq_n_f64,
    vld1q_f64,
    vst1q_f64,
    |x, a, b| vfmaq_f64(b, x, a),
    vaddq_f64,
    vsubq_f64,
    zip_f64,
    vaddvq_f64
);

#[inline(always)]
#[allow(unsafe_code)]
unsafe fn zip_f32(a: float32x4_t, b: float32x4_t) -> [float32x4_t; 2] {
    // SAFETY: the caller has NEON.
    unsafe { [vzip1q_f32(a, b), vzip2q_f32(a, b)] }
}

#[inline(always)]
#[allow(unsafe_code)]
unsafe fn zip_f64(a: float64x2_t, b: float64x2_t) -> [float64x2_t; 2] {
    // SAFETY: as above.
    unsafe { [vzip1q_f64(a, b), vzip2q_f64(a, b)] }
}
