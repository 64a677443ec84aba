//! Loops compiled once for each instruction set and chosen at run time, for passes over memory that the compiler
//! vectorises by itself.
//!
//! Rust neither fuses a product with a sum nor changes their order, so all instruction sets give the same bits.

use super::simd::Level;

/// A piece of work for one thread. `run`, and everything in it that should be vectorised, must be `#[inline(always)]`, as
/// only what is inlined is compiled for the instruction set.
pub(crate) trait Pass {
    type Output;

    fn run(self) -> Self::Output;
}

/// Runs a pass with an instruction set of [`Level::available`].
pub(crate) fn run<P: Pass>(level: Level, pass: P) -> P::Output {
    match level {
        Level::Baseline => pass.run(),
        // SAFETY: a level is found only where the processor has its instructions.
        #[cfg(target_arch = "x86_64")]
        #[allow(unsafe_code)]
        Level::Avx2 => unsafe { avx2(pass) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        #[allow(unsafe_code)]
        Level::Avx512 => unsafe { avx512(pass) },
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn avx2<P: Pass>(pass: P) -> P::Output {
    pass.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl")]
fn avx512<P: Pass>(pass: P) -> P::Output {
    pass.run()
}
