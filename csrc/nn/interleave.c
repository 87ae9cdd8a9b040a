/* interleave.c: sixteen channels side by side, by transposing squares of
 * sixteen by sixteen values where the processor has vectors of that length. */
#include "interleave.h"

#if defined(__x86_64__)
#include <immintrin.h>

__attribute__((target("avx512f"))) static void interleave_avx512(float *to, const float *from,
                                                                 size_t plane, size_t channels,
                                                                 size_t n) {
    for (size_t i = 0; i < n; i += 16, to += 256) {
        const size_t left = n - i < 16 ? n - i : 16;
        const __mmask16 mask = (__mmask16)((1U << left) - 1);
        __m512 r[16], t[16];
#pragma GCC unroll 16
        for (size_t j = 0; j < 16; j++)
            r[j] = _mm512_maskz_loadu_ps(j < channels ? mask : 0, from + i + (j < channels ? j : 0) * plane);
#pragma GCC unroll 8
        for (int j = 0; j < 16; j += 2) {
            t[j] = _mm512_unpacklo_ps(r[j], r[j + 1]);
            t[j + 1] = _mm512_unpackhi_ps(r[j], r[j + 1]);
        }
#pragma GCC unroll 4
        for (int j = 0; j < 16; j += 4) { /* r[j+k]: values k, k+4, k+8, k+12 of four channels */
            r[j] = _mm512_castpd_ps(
                _mm512_unpacklo_pd(_mm512_castps_pd(t[j]), _mm512_castps_pd(t[j + 2])));
            r[j + 1] = _mm512_castpd_ps(
                _mm512_unpackhi_pd(_mm512_castps_pd(t[j]), _mm512_castps_pd(t[j + 2])));
            r[j + 2] = _mm512_castpd_ps(
                _mm512_unpacklo_pd(_mm512_castps_pd(t[j + 1]), _mm512_castps_pd(t[j + 3])));
            r[j + 3] = _mm512_castpd_ps(
                _mm512_unpackhi_pd(_mm512_castps_pd(t[j + 1]), _mm512_castps_pd(t[j + 3])));
        }
#pragma GCC unroll 4
        for (int k = 0; k < 4; k++) {
            __m512 a = _mm512_shuffle_f32x4(r[k], r[k + 4], 0x88);
            __m512 b = _mm512_shuffle_f32x4(r[k], r[k + 4], 0xdd);
            __m512 c = _mm512_shuffle_f32x4(r[k + 8], r[k + 12], 0x88);
            __m512 d = _mm512_shuffle_f32x4(r[k + 8], r[k + 12], 0xdd);
            t[k] = _mm512_shuffle_f32x4(a, c, 0x88);
            t[k + 8] = _mm512_shuffle_f32x4(a, c, 0xdd);
            t[k + 4] = _mm512_shuffle_f32x4(b, d, 0x88);
            t[k + 12] = _mm512_shuffle_f32x4(b, d, 0xdd);
        }
        if (left == 16) {
#pragma GCC unroll 16
            for (int j = 0; j < 16; j++) _mm512_storeu_ps(to + j * 16, t[j]);
        } else {
#pragma GCC unroll 16
            for (size_t j = 0; j < 16; j++)
                if (j < left) _mm512_storeu_ps(to + j * 16, t[j]);
        }
    }
}
#endif

static void interleave_plain(float *to, const float *from, size_t plane, size_t channels,
                             size_t n) {
    for (size_t j = 0; j < 16; j++)
        for (size_t i = 0; i < n; i++) to[i * 16 + j] = j < channels ? from[j * plane + i] : 0;
}

void nn_interleave(float *to, const float *from, size_t plane, size_t channels, size_t n) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f")) {
        interleave_avx512(to, from, plane, channels, n);
        return;
    }
#endif
    interleave_plain(to, from, plane, channels, n);
}
