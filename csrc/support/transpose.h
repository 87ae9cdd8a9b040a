/* transpose.h: squares of sixteen by sixteen floats, for code that runs where cpu.h says
 * AVX-512. */
#ifndef BC_TRANSPOSE_H
#define BC_TRANSPOSE_H

#if defined(__x86_64__)
#include <immintrin.h>

#define BC_AVX512_TARGET __attribute__((target("avx512f,avx512bw,avx512vl")))
#define BC_AVX512 BC_AVX512_TARGET __attribute__((always_inline)) static inline

/* Rows become columns. */
BC_AVX512 void bc_transpose_avx512(__m512 *r) {
    __m512 t[16];
#pragma GCC unroll 8
    for (int j = 0; j < 16; j += 2) {
        t[j] = _mm512_unpacklo_ps(r[j], r[j + 1]);
        t[j + 1] = _mm512_unpackhi_ps(r[j], r[j + 1]);
    }
#pragma GCC unroll 4
    for (int j = 0; j < 16; j += 4) { /* r[j+k]: values k, k+4, k+8, k+12 of four rows */
        __m512d a = _mm512_castps_pd(t[j]), b = _mm512_castps_pd(t[j + 2]);
        __m512d c = _mm512_castps_pd(t[j + 1]), d = _mm512_castps_pd(t[j + 3]);
        r[j] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
        r[j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
        r[j + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(c, d));
        r[j + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(c, d));
    }
#pragma GCC unroll 4
    for (int k = 0; k < 4; k++) {
        __m512 a = _mm512_shuffle_f32x4(r[k], r[k + 4], 0x88);
        __m512 b = _mm512_shuffle_f32x4(r[k], r[k + 4], 0xdd);
        __m512 c = _mm512_shuffle_f32x4(r[k + 8], r[k + 12], 0x88);
        __m512 d = _mm512_shuffle_f32x4(r[k + 8], r[k + 12], 0xdd);
        r[k] = _mm512_shuffle_f32x4(a, c, 0x88);
        r[k + 8] = _mm512_shuffle_f32x4(a, c, 0xdd);
        r[k + 4] = _mm512_shuffle_f32x4(b, d, 0x88);
        r[k + 12] = _mm512_shuffle_f32x4(b, d, 0xdd);
    }
}

#endif
#endif
