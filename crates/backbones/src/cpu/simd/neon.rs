//! NEON.

use std::arch::aarch64::*;

use super::Vector;

vector!(float32x4_t, f32, 4, vdupq_n_f32, vld1q_f32, vst1q_f32, |x, a, b| vfmaq_f32(b, x, a), vaddq_f32, vaddvq_f32);
vector!(float64x2_t, f64, 2, vdupq_n_f64, vld1q_f64, vst1q_f64, |x, a, b| vfmaq_f64(b, x, a), vaddq_f64, vaddvq_f64);
