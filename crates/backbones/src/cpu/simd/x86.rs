//! AVX2 and AVX-512.

use std::arch::x86_64::*;

use super::Vector;

vector!(
    __m512,
    f32,
    16,
    _mm512_set1_ps,
    _mm512_loadu_ps,
    _mm512_storeu_ps,
    |x, a, b| _mm512_fmadd_ps(x, a, b),
    _mm512_add_ps,
    _mm512_sub_ps,
    interleave512_ps,
    _mm512_reduce_add_ps,
    add_four_ps
);
vector!(
    __m512d,
    f64,
    8,
    _mm512_set1_pd,
    _mm512_loadu_pd,
    _mm512_storeu_pd,
    |x, a, b| _mm512_fmadd_pd(x, a, b),
    _mm512_add_pd,
    _mm512_sub_pd,
    interleave512_pd,
    _mm512_reduce_add_pd
);
vector!(
    __m256,
    f32,
    8,
    _mm256_set1_ps,
    _mm256_loadu_ps,
    _mm256_storeu_ps,
    |x, a, b| _mm256_fmadd_ps(x, a, b),
    _mm256_add_ps,
    _mm256_sub_ps,
    interleave256_ps,
    sum_ps
);
vector!(
    __m256d,
    f64,
    4,
    _mm256_set1_pd,
    _mm256_loadu_pd,
    _mm256_storeu_pd,
    |x, a, b| _mm256_fmadd_pd(x, a, b),
    _mm256_add_pd,
    _mm256_sub_pd,
    interleave256_pd,
    sum_pd
);

/// Four sums at once take a third of the shuffles of one by one.
#[inline(always)]
#[allow(unsafe_code)]
unsafe fn add_four_ps([a, b, c, d]: [__m512; 4], to: *mut f32) {
    // SAFETY: the caller has a `__m512` and so AVX-512F, and four elements at `to`.
    unsafe {
        let ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
        let cd = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
        // Each quarter now holds two parts of `a` and `b`, and of `c` and `d`, by turns.
        let sums = _mm512_add_ps(_mm512_shuffle_ps::<0x44>(ab, cd), _mm512_shuffle_ps::<0xEE>(ab, cd));
        let low = _mm_add_ps(_mm512_castps512_ps128(sums), _mm512_extractf32x4_ps::<1>(sums));
        let high = _mm_add_ps(_mm512_extractf32x4_ps::<2>(sums), _mm512_extractf32x4_ps::<3>(sums));
        _mm_storeu_ps(to, _mm_add_ps(_mm_loadu_ps(to), _mm_add_ps(low, high)));
    }
}

#[inline(always)]
#[allow(unsafe_code)]
unsafe fn sum_ps(v: __m256) -> f32 {
    // SAFETY: the caller has a `__m256` and so AVX; SSE3 comes with it.
    unsafe {
        let four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v));
        let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
        _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
    }
}

#[inline(always)]
#[allow(unsafe_code)]
unsafe fn sum_pd(v: __m256d) -> f64 {
    // SAFETY: as above.
    unsafe {
        let two = _mm_add_pd(_mm256_castpd256_pd128(v), _mm256_extractf128_pd::<1>(v));
        _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)))
    }
}

#[inline(always)]
#[allow(unsafe_code)]
unsafe fn interleave512_ps(a: __m512, b: __m512) -> [__m512; 2] {
    // SAFETY: the caller has a `__m512` and so AVX-512F.
    unsafe {
        let low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
        let high = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
        [_mm512_permutex2var_ps(a, low, b), _mm512_permutex2var_ps(a, high, b)]
    }
}

#[inline(always)]
#[allow(unsafe_code)]
unsafe fn interleave512_pd(a: __m512d, b: __m512d) -> [__m512d; 2] {
    // SAFETY: as above.
    unsafe {
        let low = _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11);
        let high = _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15);
        [_mm512_permutex2var_pd(a, low, b), _mm512_permutex2var_pd(a, high, b)]
    }
}

#[inline(always)]
#[allow(unsafe_code)]
unsafe fn interleave256_ps(a: __m256, b: __m256) -> [__m256; 2] {
    // SAFETY: the caller has a `__m256` and so AVX.
    unsafe {
        let (low, high) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
        [_mm256_permute2f128_ps::<0x20>(low, high), _mm256_permute2f128_ps::<0x31>(low, high)]
    }
}

#[inline(always)]
#[allow(unsafe_code)]
unsafe fn interleave256_pd(a: __m256d, b: __m256d) -> [__m256d; 2] {
    // SAFETY: as above.
    unsafe {
        let (low, high) = (_mm256_unpacklo_pd(a, b), _mm256_unpackhi_pd(a, b));
        [_mm256_permute2f128_pd::<0x20>(low, high), _mm256_permute2f128_pd::<0x31>(low, high)]
    }
}
