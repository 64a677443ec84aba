//! Vectors of the processor under one name, and the choice among them at run time.

/// Instruction sets that the kernels are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// What every processor of the target has; NEON on aarch64.
    Baseline,
    /// AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512F and VL; without VL a vector that is ever halved must lie in one of 16 registers.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Level {
    /// All levels this processor has, the best last.
    pub(crate) fn available() -> Vec<Self> {
        #[allow(unused_mut)]
        let mut levels = vec![Self::Baseline];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                levels.push(Self::Avx2);
                if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl") {
                    levels.push(Self::Avx512);
                }
            }
        }
        levels
    }

    pub(crate) fn best() -> Self {
        *Self::available().last().expect("the baseline is always available")
    }
}

/// One vector register.
///
/// # Safety
/// The methods may only run where the processor has the instructions of the implementing type, and `load` and `store`
/// only where `N` elements may be read or written.
#[allow(unsafe_code)]
pub(crate) trait Vector: Copy {
    type Element: Copy;
    /// Elements of a vector.
    const N: usize;
    unsafe fn zero() -> Self;
    unsafe fn splat(value: Self::Element) -> Self;
    unsafe fn load(from: *const Self::Element) -> Self;
    unsafe fn store(self, to: *mut Self::Element);
    /// `self · a + b`.
    unsafe fn mul_add(self, a: Self, b: Self) -> Self;
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn sub(self, other: Self) -> Self;
    /// Elements of both by turns: the first halves, then the second halves.
    unsafe fn interleave(self, other: Self) -> [Self; 2];
    /// The first `count` elements, and zeros; all `N` from a `count` of `N` on.
    #[inline(always)]
    unsafe fn load_some(from: *const Self::Element, count: usize) -> Self {
        // SAFETY: the caller may read `count` elements; a vector is `N` elements without padding, and `count` less than that.
        unsafe {
            if count >= Self::N {
                return Self::load(from);
            }
            let mut vector = Self::zero();
            std::ptr::copy_nonoverlapping(from, (&raw mut vector).cast(), count);
            vector
        }
    }
    /// Writes the first `count` elements, at most `N`.
    #[inline(always)]
    unsafe fn store_some(self, to: *mut Self::Element, count: usize) {
        // SAFETY: as above, for writing.
        unsafe {
            if count >= Self::N {
                return self.store(to);
            }
            std::ptr::copy_nonoverlapping((&raw const self).cast(), to, count);
        }
    }
    /// Asks for the cache line of an address, which may be any.
    #[inline(always)]
    fn prefetch(_: *const Self::Element) {}
    /// Sum of the elements, in an order of the type's own.
    unsafe fn sum(self) -> Self::Element;
    /// Adds the sums of some vectors to as many elements.
    #[inline(always)]
    unsafe fn add_sums<const M: usize>(vectors: [Self; M], to: *mut Self::Element)
    where
        Self::Element: std::ops::Add<Output = Self::Element>,
    {
        for (m, vector) in vectors.into_iter().enumerate() {
            // SAFETY: the caller's promise; `to` has `M` elements.
            unsafe { to.add(m).write(to.add(m).read() + vector.sum()) }
        }
    }
}

/// A vector in the compiler's hands, for processors without a type of their own.
#[derive(Clone, Copy)]
#[cfg_attr(target_arch = "aarch64", allow(dead_code))]
pub(crate) struct Plain<T, const N: usize>([T; N]);

macro_rules! plain {
    ($element:ty, $n:literal) => {
        #[allow(unsafe_code)]
        impl Vector for Plain<$element, $n> {
            type Element = $element;
            const N: usize = $n;

            #[inline(always)]
            unsafe fn zero() -> Self {
                Self([0.0; $n])
            }

            #[inline(always)]
            unsafe fn splat(value: $element) -> Self {
                Self([value; $n])
            }

            #[inline(always)]
            unsafe fn load(from: *const $element) -> Self {
                // SAFETY: the caller's promise; an array is aligned as its element is.
                Self(unsafe { from.cast::<[$element; $n]>().read() })
            }

            #[inline(always)]
            unsafe fn store(self, to: *mut $element) {
                // SAFETY: as above.
                unsafe { to.cast::<[$element; $n]>().write(self.0) }
            }

            #[inline(always)]
            unsafe fn mul_add(self, a: Self, b: Self) -> Self {
                Self(std::array::from_fn(|i| self.0[i] * a.0[i] + b.0[i]))
            }

            #[inline(always)]
            unsafe fn add(self, other: Self) -> Self {
                Self(std::array::from_fn(|i| self.0[i] + other.0[i]))
            }

            #[inline(always)]
            unsafe fn sub(self, other: Self) -> Self {
                Self(std::array::from_fn(|i| self.0[i] - other.0[i]))
            }

            #[inline(always)]
            unsafe fn interleave(self, other: Self) -> [Self; 2] {
                let half = |first: usize| {
                    Self(std::array::from_fn(
                        |i| if i % 2 == 0 { self.0[first + i / 2] } else { other.0[first + i / 2] },
                    ))
                };
                [half(0), half($n / 2)]
            }

            #[inline(always)]
            unsafe fn sum(self) -> $element {
                self.0.into_iter().sum()
            }
        }
    };
}

plain!(f32, 4);
plain!(f64, 2);

#[allow(unused_macros)]
macro_rules! vector {
    ($vector:ty, $element:ty, $n:literal, $splat:path, $load:path, $store:path, |$x:ident, $a:ident, $b:ident| $fma:expr, $add:path, $sub:path, $interleave:path, $sum:path $(, $four:path)?) => {
        #[allow(unsafe_code)]
        impl Vector for $vector {
            type Element = $element;
            const N: usize = $n;

            #[inline(always)]
            unsafe fn zero() -> Self {
                // SAFETY: the caller's promise, here and below.
                unsafe { $splat(0.0) }
            }

            #[inline(always)]
            unsafe fn splat(value: $element) -> Self {
                unsafe { $splat(value) }
            }

            #[inline(always)]
            unsafe fn load(from: *const $element) -> Self {
                unsafe { $load(from) }
            }

            #[inline(always)]
            unsafe fn store(self, to: *mut $element) {
                unsafe { $store(to, self) }
            }

            #[inline(always)]
            unsafe fn mul_add(self, a: Self, b: Self) -> Self {
                let ($x, $a, $b) = (self, a, b);
                unsafe { $fma }
            }

            #[inline(always)]
            unsafe fn add(self, other: Self) -> Self {
                unsafe { $add(self, other) }
            }

            #[inline(always)]
            unsafe fn sub(self, other: Self) -> Self {
                unsafe { $sub(self, other) }
            }

            #[inline(always)]
            unsafe fn interleave(self, other: Self) -> [Self; 2] {
                unsafe { $interleave(self, other) }
            }

            #[inline(always)]
            unsafe fn sum(self) -> $element {
                unsafe { $sum(self) }
            }

            #[cfg(target_arch = "x86_64")]
            #[inline(always)]
            fn prefetch(from: *const $element) {
                use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
                // SAFETY: a prefetch reads nothing, whatever the address; SSE is part of the target.
                unsafe { _mm_prefetch::<_MM_HINT_T0>(from.cast()) }
            }

            $(#[inline(always)]
            unsafe fn add_sums<const M: usize>(vectors: [Self; M], to: *mut $element) {
                let mut m = 0;
                // SAFETY: the caller's promise; `to` has `M` elements.
                unsafe {
                    while m + 4 <= M {
                        $four([vectors[m], vectors[m + 1], vectors[m + 2], vectors[m + 3]], to.add(m));
                        m += 4;
                    }
                    while m < M {
                        to.add(m).write(to.add(m).read() + vectors[m].sum());
                        m += 1;
                    }
                }
            })?
        }
    };
}

#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(target_arch = "x86_64")]
mod x86;
